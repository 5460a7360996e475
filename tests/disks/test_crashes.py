"""F53, F56, F58: every crash of the real database and vote log, judged on real files."""

from __future__ import annotations

import signal

import pytest

from tests.disks.preload import Rule
from tests.disks.recording import Kind
from tests.disks.runs import Laboratory, Run
from tests.disks.workload import Promises, judge, promises_of

STRIDE, SAMPLE = 3, 41


def test_the_recording_says_what_the_process_left(laboratory: Laboratory, recorded: Run) -> None:
    promises = promises_of(recorded.operations)
    assert promises == Promises(block=24, certificate=21, votes=48)
    kinds = {
        (operation.kind, operation.path.partition("/")[0]) for operation in recorded.operations
    }
    files = {Kind.CREATE, Kind.WRITE, Kind.SYNC, Kind.RENAME, Kind.UNLINK, Kind.FOLDER}
    assert {(kind, folder) for kind in files for folder in ("db", "votes")} <= kinds
    judge(recorded.home, laboratory.digests, promises)


def test_f53_f56_crash_after_each_operation_keeps_every_promise(
    laboratory: Laboratory, recorded: Run
) -> None:
    """Lost, torn and late writes as ext4, XFS and btrfs leave them; `./scripts/disks` takes all."""
    tally = laboratory.crashes(recorded.start, recorded.operations, stride=STRIDE, step=SAMPLE)
    assert tally.judged.total() > 20
    assert not tally.refused


def test_f53_disk_without_any_order_is_survived_or_refused(
    laboratory: Laboratory, recorded: Run
) -> None:
    """Holes in unsynced data: the votes stand all the same, the database opens or is refused."""
    tally = laboratory.crashes(
        recorded.start, recorded.operations, stride=STRIDE, step=2 * SAMPLE, has_holes=True
    )
    assert tally.judged.total() > tally.refused.total()


@pytest.mark.parametrize(
    "rule",
    [
        Rule("any", "*", "kill", first=60),
        Rule("sync", "db/*.log", "killafter", first=9),
        Rule("rename", "votes/*", "kill", first=2),
        Rule("write", "db/*.log", "tear", 512, first=11),
        Rule("write", "votes/guard", "tear", 512, first=7),
    ],
    ids=lambda rule: f"{rule.action} {rule.operation} {rule.glob}",
)
def test_f53_killed_process_goes_on_where_it_was(laboratory: Laboratory, rule: Rule) -> None:
    killed = laboratory.run(rule)
    assert killed.code == -signal.SIGKILL, killed.output
    promises = promises_of(killed.operations)
    judge(killed.home, laboratory.digests, promises)
    again = laboratory.run(home=killed.home)
    assert again.code == 0, again.output
    judge(again.home, laboratory.digests, promises_of(again.operations))
