"""Reports of institutions that come late, and what a guarantor stands for after it was claimed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.lending.limits.exposure import KEPT_DAYS, Side, get_day_total, process_day_total
from ledger.lending.loans.guarantees import get_guarantor_exposure
from ledger.state.overlay import Overlay
from ledger.state.tables import EXPOSURE_DAYS
from ledger.storage.memory import MemoryStore
from tests.lending.province import OTHER
from tests.lending.test_limits import Supervised


def reconciled(province: Supervised, who: str, day: int) -> tuple[int, int]:
    """Let an institution report a day; return what the ledger is said to have held."""
    told: dict[str, Any] = province.report(who, 90_000_000, day=day)["reconciled"]
    return told["loans"]["ledgered_fen"], told["guarantees"]["ledgered_fen"]


def test_a_late_report_is_held_against_the_day_that_it_speaks_of() -> None:
    province = Supervised()
    province.report("PAB", 90_000_000)
    province.sell(OTHER)
    before = province.day - 1
    loan = province.lend(OTHER, guaranteed_fen=400_000)
    province.advance_days(5)
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=900_000)
    today = province.day
    assert reconciled(province, "ICBC", before) == (0, 0)
    lent, _ = reconciled(province, "ICBC", today - 1)
    assert lent == 1_000_000
    left, _ = reconciled(province, "ICBC", today)
    assert 100_000 <= left < 102_000
    assert reconciled(province, "PAB", today - 1) == (0, 400_000)
    assert reconciled(province, "PAB", today) == (0, left)
    shown = province.ask("D18", "institution.show", institution="ICBC")
    assert shown["ledgered_fen"] == left


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 10**15)), max_size=30))
def test_totals_of_days_equal_a_naive_list(moves: list[tuple[int, int]]) -> None:
    state, naive, day = Overlay(MemoryStore()), dict[int, int](), 18_000
    state.begin()
    for gap, fen in moves:
        day += gap
        naive[day] = fen
        process_day_total(state, "bank", Side.LENT, day, fen)
        process_day_total(state, "bank2", Side.LENT, day, 1)
        process_day_total(state, "bank", Side.GUARANTEED, day, 2)
    for asked in range(day - KEPT_DAYS, day + 2, 37):
        last = max((item for item in naive if item <= asked), default=None)
        want = 0 if last is None else naive[last]
        assert get_day_total(state, "bank", Side.LENT, asked) == want
    kept = [key for key, _ in state.scan(EXPOSURE_DAYS, b"bank\x00L")]
    assert len(kept) <= 1 + sum(1 for item in naive if item > day - KEPT_DAYS)


def test_a_guarantor_that_paid_stands_for_no_more() -> None:
    province = Supervised()
    province.report("PAB", 90_000_000)
    province.sell(OTHER)
    loan = province.lend(OTHER, guaranteed_fen=600_000)

    def stood() -> tuple[int, int]:
        total = get_guarantor_exposure(province.state(), "PAB").outstanding_fen
        return total, int(province.limits("PAB")["FG-PARTY"]["value"] or 0)

    assert stood() == (600_000, 600_000)
    province.advance_days(60)
    province.do("ICBC", "loan.default", loan=loan)
    province.do("ICBC", "loan.claim", loan=loan, amount_fen=500_000)
    assert stood() == (500_000, 500_000)
    province.do("PAB", "loan.pay_claim", loan=loan, amount_fen=500_000)
    assert stood() == (0, 0)
    province.do("ICBC", "loan.write_off", loan=loan, reason="gone")
    assert stood() == (0, 0)
    assert get_guarantor_exposure(province.state(), "PAB").loans_open == 0
