"""A replay that begins with an earlier copy of a home, for homes that have not the whole chain."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.what_if import Options, WhatIfReport, replay_home, replay_store
from ledger.errors import Code, LocalError
from ledger.storage.chain_store import base_writes, erasure_writes
from ledger.storage.leveldb import LevelStore
from ledger.storage.memory import MemoryStore
from tests.audit.test_what_if import SEATS, live
from tests.lending.documents import SALES_ALERT, SCORECARD, credit_line
from tests.lending.province import SELLER, TODAY, invoice
from tests.lending.rulers import Rulers
from tests.lending.test_rule_governance import SCHEMA_2

_LAST = b"\xff" * 64
STRICTER = credit_line(version=2, limit=20_000).replace(b"ap.seats <= 5", b"ap.seats <= 1")


@cache
def grown() -> tuple[Rulers, dict[bytes, bytes], int]:
    """Return a network with a past, what its store held at an earlier block, and that block."""
    network = live()
    copy, height = dict(network.store.scan(b"", _LAST)), network.head.height
    network.succeed(network.submit("D02", "C044", [invoice(700, TODAY + 50)], "line"))
    network.consent(SELLER, "ICBC")
    for seats in (1, 3, 9):
        network.apply("LINE/1", declared=SEATS | {"ap.seats": seats}, amount_fen=100_000)
    network.advance_days(20)
    return network, copy, height


def replay(source: bytes, start: dict[bytes, bytes], **changes: bytes) -> WhatIfReport:
    """Replay the network with more in its store; from an earlier store on, if there is one."""
    network, *_ = grown()
    content = dict(network.store.scan(b"", _LAST))
    content |= {key.encode(): value for key, value in changes.items()}
    return replay_store(MemoryStore(content), MemoryStore(dict(start)), Options(source))


def stored_base(writes: dict[bytes, bytes | None]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in writes.items() if value is not None}


@pytest.mark.parametrize("source", [STRICTER, SALES_ALERT.replace(b"version = 1", b"version = 2")])
def test_from_a_copy_on_it_is_what_it_is_from_the_first_block_on(source: bytes) -> None:
    _, copy, height = grown()
    whole, later = replay(source, {}), replay(source, copy)
    assert (whole.start, later.start, later.alerts) == (0, height, whole.alerts)
    assert whole.blocks == height + later.blocks
    assert later.counts("application") or not whole.counts("application")
    assert later.cases == [case for case in whole.cases if case.height > height]


def test_a_home_that_began_at_a_snapshot_says_from_where_it_can_be_replayed() -> None:
    _, copy, height = grown()
    begun = stored_base(base_writes(height, height))
    with pytest.raises(LocalError, match=f"ended at block {height} or later") as caught:
        replay(STRICTER, {}, **begun)
    assert caught.value.code is Code.HOME_INCOMPLETE
    assert replay(STRICTER, copy, **begun).start == height
    early = stored_base(base_writes(height + 1, height + 1))
    with pytest.raises(LocalError, match=f"ends at block {height}, want {height + 1} to") as caught:
        replay(STRICTER, copy, **early)
    assert caught.value.code is Code.HOME_INCOMPLETE


def test_a_home_that_deleted_erased_records_says_so() -> None:
    _, copy, height = grown()
    erased = stored_base(base_writes(height, 1) | erasure_writes(3, 0))
    with pytest.raises(LocalError, match="3 bodies of erased records were deleted here"):
        replay(STRICTER, {}, **erased)
    assert replay(STRICTER, copy, **erased).start == height


def test_a_rule_that_reads_what_the_copy_does_not_keep_is_refused() -> None:
    _, copy, _ = grown()
    with pytest.raises(LocalError, match="of C044 is kept at block") as caught:
        replay(SALES_ALERT.replace(b"e.net", b"e.tax"), copy)
    assert caught.value.code is Code.INPUT_USAGE
    network, *_ = grown()
    other = credit_line(version=3).replace(b"company/1", b"company/2").replace(b"SME/1", b"SME/3")
    scorecard = SCORECARD.replace(b"version = 1", b"version = 3", 1)
    scorecard = scorecard.replace(b"company/1", b"company/2")
    options = Options(other, beside=(SCHEMA_2, scorecard))
    with pytest.raises(LocalError, match=r"company/2 is not registered at block") as caught:
        replay_store(network.store, MemoryStore(dict(copy)), options)
    assert caught.value.code is Code.INPUT_USAGE


def test_a_copy_of_another_chain_or_of_a_later_block_is_refused() -> None:
    network, copy, height = grown()
    stranger = Rulers()
    stranger.advance_days(1)
    with pytest.raises(LocalError) as caught:
        replay(STRICTER, dict(stranger.store.scan(b"", _LAST)))
    assert caught.value.code is Code.AUDIT_FAILED
    later = dict(network.store.scan(b"", _LAST))
    with pytest.raises(LocalError, match=f"want 0 to {height}") as caught:
        replay_store(MemoryStore(dict(copy)), MemoryStore(later), Options(STRICTER))
    assert caught.value.code is Code.HOME_INCOMPLETE


def test_homes_are_only_read(tmp_path: Path) -> None:
    network, copy, height = grown()
    content: Any = dict(network.store.scan(b"", _LAST))
    for name, held in (("home", content), ("copy", copy)):
        (tmp_path / name).mkdir()
        store = LevelStore(tmp_path / name / "db")
        store.write(dict(held), sync=True)
        store.close()
    (tmp_path / "scratch").mkdir()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/db/*")}
    found = replay_home(
        tmp_path / "home",
        tmp_path / "scratch",
        Options(STRICTER),
        None,
        lambda _height, _last: None,
        tmp_path / "copy",
    )
    assert found.start == height
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/db/*")} == before
