"""A sample of the crash points (F41, F53, F56); and the checks see what they look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash_points import load
from tests.crash_points.explore import Point, parse_point, run_point
from tests.crash_points.file_store import FileStore
from tests.crash_points.main import main
from tests.crash_points.member import Member
from tests.crash_points.world import SIZE, World
from tests.simulator.checkers import ViolationError
from tests.storage.simulated_files import SimulatedFiles

MODES = ("before", "after", "torn")
# A machine makes some twenty operations before the run begins.
SAMPLE = [Point(number % SIZE, 40 + 47 * number, MODES[number % 3]) for number in range(12)]


@pytest.fixture(scope="module")
def whole_run():
    world = World()
    first = world.members[0].files.operations
    world.run()
    return world, world.members[0].files.operations - first


def test_the_run_is_500_transactions_in_batches_of_ten_without_a_view_change(whole_run):
    world, operations = whole_run
    assert world.counts["blocks"] == 51  # the first batch and the last one are not full
    assert world.counts["highest view"] == 0
    assert operations > 500
    results = [item.results for item in load._executed.values()]
    assert {code for codes in results for code, _ in codes} == {0}


@pytest.mark.parametrize("point", SAMPLE, ids=str)
def test_f41_f53_f56_a_crash_at_a_disk_operation_contradicts_and_loses_nothing(point):
    world = run_point(World(), point)
    assert world.counts["crashes"] == 1


def test_a_vote_that_is_sent_before_it_is_durable_is_seen(monkeypatch):
    def send_first(self, batch, entries):
        self._is_syncing = False
        self._perform(batch)
        self._votes.append(entries)
        self._run_rounds()

    monkeypatch.setattr(Member, "_finish_sync", send_first)
    start = World().members[0].files.operations
    seen = 0
    for operation in range(start + 1, start + 60, 12):
        try:
            run_point(World(), Point(0, operation, "before"))
        except ViolationError as violation:
            seen += "contradictory votes" in str(violation)
    assert seen


def test_a_store_on_files_keeps_whole_batches_only():
    files, path = SimulatedFiles(), Path("/home/data/chain")
    store = FileStore(path, files)
    store.write({b"a": b"1", b"b": b"2"}, sync=True)
    store.write({b"a": None, b"c": b"3"}, sync=True)
    assert list(FileStore(path, files).scan(b"", b"z")) == [(b"b", b"2"), (b"c", b"3")]
    files.overwrite(path, (files.read(path) or b"")[:-1])
    assert list(FileStore(path, files).scan(b"", b"z")) == [(b"a", b"1"), (b"b", b"2")]


@pytest.mark.parametrize("text", ["4:1:torn", "0:0:torn", "0:1:never", "0:1"])
def test_a_point_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"want|unpack"):
        parse_point(text)


def test_the_command_tries_one_point(capsys):
    assert main(["--only", "1:60:torn"]) == 0
    assert "1:60:torn: 51 blocks" in capsys.readouterr().out
