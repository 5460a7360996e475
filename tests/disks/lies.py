"""Disks that lie (F58): a write that went elsewhere or nowhere, though it was said to be done.

`lying_states` takes a recording, falsifies one write, and yields what the files hold some
operations later, all of which reached the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from tests.disks.crash_states import Disk, State
from tests.disks.recording import Kind
from tests.disks.runs import Run
from tests.disks.workload import Promises

LATER = 60
MISDIRECTED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Lie:
    """What was falsified, and the files that it left."""

    path: str
    how: str
    state: State
    promises: Promises


def lying_states(run: Run, dice: Random, count: int, below: str = "") -> Iterator[Lie]:
    """Yield `count` outcomes of one lost or misdirected write each, to files `below` a folder."""
    writes = [
        index
        for index, operation in enumerate(run.operations)
        if operation.kind is Kind.WRITE
        and operation.path.startswith(below)
        and not operation.is_mark
        and operation.path != "lock"
    ]
    for _ in range(count):
        at, how = dice.choice(writes), dice.choice(("lost", "misdirected"))
        yield _lie(run, at, how, at + dice.randint(1, LATER))


def _lie(run: Run, at: int, how: str, end: int) -> Lie:
    disk, promises = Disk(run.start), Promises()
    for index, operation in enumerate(run.operations[: end + 1]):
        promises = promises.after(operation)
        if index != at:
            disk.apply(operation)
        elif how == "misdirected":
            disk.apply(replace(operation, offset=operation.offset + MISDIRECTED_BYTES))
    words = f"{how} operation {at}, seen after operation {end}"
    return Lie(run.operations[at].path, how, State(words, disk.current), promises)
