"""Rules 43–46: what was promised is still there after any crash, or the key never votes again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from ledger.errors import Code, LocalError, StorageError
from ledger.storage.files import DiskFiles
from ledger.storage.vote_guard import GUARD_BYTES
from ledger.storage.vote_log import (
    GUARD_NAME,
    LogState,
    VoteLog,
    create_vote_log,
    inspect_vote_log,
    log_identity,
    open_vote_log,
    segment_name,
)
from tests.storage.simulated_files import Crash, SimulatedFiles

FOLDER = Path("/home/votes")
ME = log_identity(bytes(32), bytes(range(32)))
LOG = FOLDER / segment_name(1)
GUARD = FOLDER / GUARD_NAME


def _filled(groups: list[list[bytes]]) -> SimulatedFiles:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    for group in groups:
        log.append(group)
    log.close()
    return files


def _flipped(data: bytes, position: int, bit: int = 1) -> bytes:
    changed = bytearray(data)
    changed[position] ^= bit
    return bytes(changed)


def test_records_come_back_from_the_real_disk(tmp_path: Path) -> None:
    files = DiskFiles()
    log = create_vote_log(tmp_path / "votes", files, ME)
    log.append([b"first", b""])
    log.append([b"x" * 2000])
    log.append([])
    assert log.read() == [b"first", b"", b"x" * 2000]
    assert log.number == 3
    log.close()
    again = open_vote_log(tmp_path / "votes", files, ME)
    assert again.read() == [b"first", b"", b"x" * 2000]
    again.prune([b"x" * 2000])
    again.append([b"later"])
    again.close()
    assert files.names(tmp_path / "votes") == [GUARD_NAME, segment_name(2)]
    last = open_vote_log(tmp_path / "votes", files, ME)
    assert last.read() == [b"x" * 2000, b"later"]
    assert last.number == 5
    last.close()


def test_rule_45_one_sync_of_the_log_and_one_of_the_guard_a_group() -> None:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    before = files.operations
    log.append([b"a", b"b", b"c"])
    assert files.operations - before == 4  # write, sync, write, sync


def test_a_second_log_is_never_created_over_the_first() -> None:
    files = _filled([[b"a"]])
    with pytest.raises(LocalError, match="holds a vote log already"):
        create_vote_log(FOLDER, files, ME)


def test_the_log_of_another_key_is_refused() -> None:
    files = _filled([[b"a"]])
    with pytest.raises(StorageError, match="another key or another chain") as caught:
        open_vote_log(FOLDER, files, log_identity(bytes(32), bytes(32)))
    assert caught.value.code is Code.VOTE_LOG_CORRUPT


def test_f59_log_behind_its_guard_never_votes_again() -> None:
    files = _filled([[b"first"], [b"second"]])
    data = files.read(LOG) or b""
    for cut in range(1, 60):
        files.overwrite(LOG, data[:-cut])
        with pytest.raises(StorageError, match="rejoin under a new key") as caught:
            open_vote_log(FOLDER, files, ME)
        assert caught.value.code is Code.VOTE_LOG_BEHIND_GUARD


def test_f59_a_lost_segment_or_guard_is_refused() -> None:
    files = _filled([[b"first"]])
    files.drop(LOG)
    with pytest.raises(StorageError) as caught:
        open_vote_log(FOLDER, files, ME)
    assert caught.value.code is Code.VOTE_LOG_BEHIND_GUARD
    files = _filled([[b"first"]])
    files.drop(GUARD)
    with pytest.raises(StorageError) as caught:
        open_vote_log(FOLDER, files, ME)
    assert caught.value.code is Code.VOTE_LOG_CORRUPT


def test_f60_log_rolled_back_without_its_guard_is_refused() -> None:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    log.append([b"first"])
    old = files.read(LOG) or b""
    log.append([b"second"])
    files.overwrite(LOG, old)
    with pytest.raises(StorageError) as caught:
        open_vote_log(FOLDER, files, ME)
    assert caught.value.code is Code.VOTE_LOG_BEHIND_GUARD


def test_rule_45_records_past_the_guard_are_honoured() -> None:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    log.append([b"first"])
    guard = files.read(GUARD) or b""
    log.append([b"second", b"third"])
    files.overwrite(GUARD, guard)
    report = inspect_vote_log(FOLDER, files, ME)
    assert (report.state, report.reason) == (LogState.AHEAD, "2 records never sent")
    assert open_vote_log(FOLDER, files, ME).read() == [b"first", b"second", b"third"]
    assert inspect_vote_log(FOLDER, files, ME).state is LogState.WHOLE


def test_f57_every_flipped_bit_of_the_log_is_found() -> None:
    files = _filled([[b"first", b"second"], [b"third"]])
    data = files.read(LOG) or b""
    for position in range(len(data)):
        for bit in range(8):
            files.overwrite(LOG, _flipped(data, position, 1 << bit))
            report = inspect_vote_log(FOLDER, files, ME)
            assert report.state in (LogState.BEHIND, LogState.CORRUPT)
            assert report.file == LOG.name
            assert report.offset <= position


def test_f57_a_flipped_bit_of_the_guard_is_found_and_mended_from_its_copy() -> None:
    files = _filled([[b"first"], [b"second"], [b"third"]])
    data = files.read(GUARD) or b""
    assert len(data) == GUARD_BYTES
    for position in range(0, len(data), 7):
        files.overwrite(GUARD, _flipped(data, position))
        report = inspect_vote_log(FOLDER, files, ME)
        assert report.state is LogState.WHOLE
        assert report.damaged_copies == (position // 512 * 512,)
        open_vote_log(FOLDER, files, ME).close()
        assert files.read(GUARD) == data


def test_unreadable_newer_slot_is_refused_when_the_log_may_be_short() -> None:
    files = _filled([[b"first"], [b"second"]])
    data = files.read(GUARD) or b""
    newest = data[:1024]  # generation 2
    log = files.read(LOG) or b""
    frame = 4 + 8 + 32 + len(b"second")
    files.overwrite(GUARD, bytes(len(newest)) + data[1024:])
    assert inspect_vote_log(FOLDER, files, ME).state is LogState.AHEAD
    files.overwrite(LOG, log[:-frame])
    with pytest.raises(StorageError, match="not past the other") as caught:
        open_vote_log(FOLDER, files, ME)
    assert caught.value.code is Code.VOTE_LOG_BEHIND_GUARD


@pytest.mark.parametrize("operation", range(1, 5))
def test_f54_after_a_failed_write_or_sync_everything_is_refused(operation: int) -> None:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    log.append([b"first"])
    files.fail_at = files.operations + operation
    for action in (lambda: log.append([b"second"]), lambda: log.append([b"third"]), log.read):
        with pytest.raises(StorageError, match="simulated failure"):
            action()
    again = open_vote_log(FOLDER, files, ME)
    assert again.read() in ([b"first"], [b"first", b"second"])


def test_f55_a_full_disk_while_pruning_loses_nothing() -> None:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    log.append([b"first", b"second"])
    files.fail_code = Code.DISK_FULL
    files.fail_at = files.operations + 2
    with pytest.raises(StorageError) as caught:
        log.prune([b"second"])
    assert caught.value.code is Code.DISK_FULL
    again = open_vote_log(FOLDER, files, ME)
    assert again.read() == [b"first", b"second"]
    assert files.names(FOLDER) == [GUARD_NAME, segment_name(1)]


def _story(log: VoteLog, promised: list[list[bytes]]) -> None:
    """Append and prune; `promised` holds what must be found whenever the next step has begun."""
    kept: list[bytes] = []
    for number in range(1, 13):
        group = [b"%d" % number * 40 * (i + 1) for i in range(number % 3 + 1)]
        log.append(group)
        kept = kept + group
        promised.append(kept)
        if number % 4 == 0:
            keep = kept[-2:]
            log.prune(keep)
            kept = keep
            promised.append(kept)


def _operations_of_the_story() -> tuple[int, int]:
    files = SimulatedFiles()
    log = create_vote_log(FOLDER, files, ME)
    start = files.operations
    _story(log, [])
    return start, files.operations


@pytest.mark.parametrize("crash_at", range(_operations_of_the_story()[0] + 1,
                                           _operations_of_the_story()[1] + 1))  # fmt: skip
def test_f53_f56_crash_at_every_operation_keeps_every_promise(crash_at: int) -> None:
    for seed in range(8):
        files = SimulatedFiles()
        log = create_vote_log(FOLDER, files, ME)
        files.crash_at = crash_at
        promised: list[list[bytes]] = [[]]
        with pytest.raises(Crash):
            _story(log, promised)
        dice = Random(seed)
        found = files.after_crash(dice)
        again = open_vote_log(FOLDER, found, ME)
        records = again.read()
        sent = promised[-1]
        # All that was sent is there (a prune may have dropped what it was told to drop), in order.
        assert records[: len(sent)] == sent or records == sent[-2:]
        again.append([b"after"])
        again.close()
        assert open_vote_log(FOLDER, found, ME).read() == [*records, b"after"]


def test_crash_while_opening_after_a_crash_is_harmless() -> None:
    for operation in range(1, 6):
        files = SimulatedFiles()
        log = create_vote_log(FOLDER, files, ME)
        log.append([b"first"])
        guard = files.read(GUARD) or b""
        log.append([b"second"])
        files.overwrite(GUARD, guard)
        files.sync_folder(FOLDER)
        files.crash_at = files.operations + operation
        try:
            open_vote_log(FOLDER, files, ME)
        except Crash:
            files = files.after_crash(Random(operation))
        files.crash_at = None
        assert open_vote_log(FOLDER, files, ME).read() == [b"first", b"second"]
