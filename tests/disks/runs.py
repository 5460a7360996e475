"""Runs of the workload under the library, and every crash that each might have ended in.

`Laboratory` makes the chain once. `run` follows it on a fresh home, by a plan; `crashes` replays
what was recorded and judges each state that a crash may leave, every `step`th of them. The suite
takes a few; `./scripts/disks` all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

from ledger.errors import Code, StorageError
from tests.disks.crash_states import Disk, State, Tree
from tests.disks.preload import Rule, environment, write_plan
from tests.disks.recording import Operation, read_recording
from tests.disks.workload import (
    Promises,
    Script,
    judge,
    judge_votes,
    make_home,
    make_script,
    read_tree,
    save_script,
)

Moment = tuple[int, State, Promises]
ROOT = Path(__file__).parents[2]
RUN_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Run:
    """One process that followed the script, or stopped before its end, and what it `left`."""

    home: Path
    start: Tree
    left: Tree
    operations: list[Operation]
    code: int
    output: str


@dataclass(slots=True)
class Tally:
    """How many states were judged, by their words; `refused` were refused with a number."""

    judged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count the states of another tally too."""
        self.judged.update(other.judged)
        self.refused.update(other.refused)


class Laboratory:
    """A chain, its script, and a folder for homes."""

    def __init__(self, folder: Path, blocks: int) -> None:
        self.folder = folder
        self.script: Script = make_script(blocks)
        self.digests = self.script.digests()
        self._file = folder / "script"
        save_script(self.script, self._file)
        self._fresh = make_home(folder / "fresh", self.script)

    def new_home(self) -> Path:
        """Return a copy of the home as it was made."""
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        return shutil.copytree(self._fresh, home)

    def run(self, *rules: Rule, home: Path | None = None, is_recorded: bool = True) -> Run:
        """Follow the script by a plan, on a fresh home or where another run stopped."""
        place = self.new_home() if home is None else home
        start = read_tree(place)
        log, plan = self.folder / "log", self.folder / "plan"
        log.unlink(missing_ok=True)
        write_plan(plan, *rules)
        variables = environment(place, plan=plan, log=log if is_recorded else None)
        done = subprocess.run(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-m", "tests.disks.workload", str(place), str(self._file)],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        operations = read_recording(log) if is_recorded else []
        return Run(place, start, read_tree(place), operations, done.returncode, done.stderr)

    def judge_state(self, state: State, promises: Promises, *, may_refuse: bool) -> bool:
        """Judge one state; return False where the database was refused as damaged, and may be."""
        folder = self.folder / "state"
        shutil.rmtree(folder, ignore_errors=True)
        state.write(folder)
        try:
            judge(folder, self.digests, promises)
        except StorageError as error:
            if not may_refuse or error.code is not Code.STORE_CORRUPT:
                raise
            judge_votes(folder, promises)
            return False
        return True

    def crashes(
        self,
        start: Tree,
        operations: Iterable[Operation],
        *,
        step: int = 1,
        offset: int = 0,
        stride: int = 1,
        has_holes: bool = False,
    ) -> Tally:
        """Judge every `step`th state that a crash after each `stride`th operation may leave.

        Raise `AssertionError` with the operation and the state in a note at the first wrong one.
        """
        tally = Tally()
        states = crash_states(start, operations, stride=stride, has_holes=has_holes)
        for index, state, promises in distinct(islice(states, offset, None, step)):
            word = " ".join(part for part in state.words.split() if not part.isdigit())
            try:
                is_open = self.judge_state(state, promises, may_refuse=has_holes)
            except (AssertionError, StorageError) as error:
                error.add_note(f"crash after operation {index}: {state.words}, {promises}")
                raise
            (tally.judged if is_open else tally.refused)[word] += 1
        return tally


def crash_states(
    start: Tree, operations: Iterable[Operation], *, stride: int, has_holes: bool
) -> Iterator[Moment]:
    """Yield the states after each `stride`th operation, with its index and the promises."""
    disk, promises = Disk(start), Promises()
    for index, operation in enumerate(operations):
        disk.apply(operation)
        promises = promises.after(operation)
        if not operation.is_mark and index % stride == 0:
            for state in disk.holes() if has_holes else disk.states():
                yield index, state, promises


def distinct(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Yield each state once for the same promises."""
    seen = set[bytes]()
    for index, state, promises in moments:
        files = state.files
        key = sha256(repr(promises).encode())
        for path, data in sorted(files.items()):
            key.update(path.encode() + sha256(data).digest())
        if key.digest() not in seen:
            seen.add(key.digest())
            yield index, State(state.words, partial(dict, files)), promises
