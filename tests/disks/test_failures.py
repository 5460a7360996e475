"""F54, F55: disks that report failure, at the system calls of the real database and vote log."""

from __future__ import annotations

import errno
import shutil

import pytest

from ledger.errors import Code
from tests.disks.preload import EVER, Rule, failing_sync, full_disk
from tests.disks.recording import Kind
from tests.disks.runs import Laboratory, Run
from tests.disks.workload import FAILED, Promises, judge, promises_of

STRIDE, SAMPLE = 19, 23


def go_on(laboratory: Laboratory, failed: Run) -> Run:
    """Start again on a home whose disk is well now; check that nothing is lost, then or later."""
    judge(failed.home, laboratory.digests, promises_of(failed.operations))
    shutil.rmtree(failed.home)
    home = failed.home
    for path, data in failed.left.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(data)
    again = laboratory.run(home=home)
    assert again.code == 0, again.output
    judge(home, laboratory.digests, promises_of(again.operations))
    return again


@pytest.mark.parametrize(
    ("glob", "first"),
    [("votes/*.log", 3), ("votes/guard", 4), ("votes/*.new", 2), ("db/*.log", 5), ("db/*.ldb", 2)],
)
def test_f54_failed_sync_stops_the_process_before_it_promises(
    laboratory: Laboratory, glob: str, first: int
) -> None:
    """What the failed sync should have kept is gone for good, though reads still show it."""
    failed = laboratory.run(failing_sync(glob, first))
    assert failed.code == FAILED
    assert failed.output.startswith(f"E{int(Code.STORE_IO)} ")
    at = next(
        i for i, done in enumerate(failed.operations) if done.has_failed and done.kind is Kind.SYNC
    )
    if glob.startswith("votes"):
        assert promises_of(failed.operations[at:]) == Promises()
    again = go_on(laboratory, failed)
    # A power cut at any later time finds what the second process promised, too.
    laboratory.crashes(
        failed.start, [*failed.operations, *again.operations], stride=STRIDE, step=SAMPLE
    )


def test_f54_failed_sync_of_the_folder_stops_the_process(laboratory: Laboratory) -> None:
    failed = laboratory.run(Rule("folder", "votes", "fail", errno.EIO, 1, EVER))
    assert failed.code == FAILED
    assert failed.output.startswith(f"E{int(Code.STORE_IO)} ")
    again = go_on(laboratory, failed)
    laboratory.crashes(
        failed.start, [*failed.operations, *again.operations], stride=STRIDE, step=SAMPLE
    )


@pytest.mark.parametrize(
    ("glob", "first"),
    [("*", 1), ("*", 40), ("votes/*", 7), ("votes/*.new", 1), ("db/*.ldb", 4), ("db/*.log", 9)],
)
def test_f55_full_disk_stops_with_its_number_and_goes_on_when_there_is_room(
    laboratory: Laboratory, glob: str, first: int
) -> None:
    full = laboratory.run(full_disk(glob, first))
    assert full.code == FAILED, full.output
    assert full.output.startswith(f"E{int(Code.DISK_FULL)} no space left for ")
    assert "free space, then start the node again" in full.output
    go_on(laboratory, full)


@pytest.mark.parametrize("glob", ["db/*.log", "db/MANIFEST*", "votes/guard", "votes/*.new"])
def test_f48_no_more_open_files_stop_with_a_number(laboratory: Laboratory, glob: str) -> None:
    """EMFILE where the database or the vote log opens a file."""
    starved = laboratory.run(
        Rule("create", glob, "fail", errno.EMFILE, 1, EVER),
        Rule("open", glob, "fail", errno.EMFILE, 1, EVER),
    )
    assert starved.code == FAILED, starved.output
    assert starved.output.startswith(f"E{int(Code.STORE_IO)} ")
    go_on(laboratory, starved)
