"""What a sender of bad things costs: bounded in the long run, and nobody else pays (F68)."""

from __future__ import annotations

import pytest

from ledger.errors import LocalError
from network.allowance import SENDERS_KEPT, AllowanceLimits, Allowances

LIMITS = AllowanceLimits(burst=100, rate=10, bar_s=30)


def test_f68_allowance_is_overdrawn_and_paid_back() -> None:
    held = Allowances(LIMITS)
    assert not held.charge("a", 100, now=0)
    assert held.barred_s("a", 0) == 0
    assert held.charge("a", 50, now=0)
    assert held.barred_s("a", 0) == pytest.approx(5)
    assert not held.charge("a", 1, now=0)  # barred already: said once
    assert held.barred_s("a", 3) == pytest.approx(2.1)
    assert held.barred_s("a", 6) == 0
    assert held.charge("a", 10**6, now=6)
    assert held.barred_s("a", 6) == LIMITS.bar_s
    assert held.barred_s("b", 6) == 0


def test_f68_a_sender_costs_no_more_than_its_rate_in_the_long_run() -> None:
    held, borne = Allowances(LIMITS), 0
    for tick in range(10_000):
        now = tick / 10
        if not held.barred_s("a", now):
            held.charge("a", 7, now)
            borne += 7
    assert borne <= LIMITS.burst + LIMITS.rate * 1000 + 7


def test_allowances_of_many_senders_are_bounded() -> None:
    held = Allowances(LIMITS)
    for number in range(SENDERS_KEPT):
        held.charge(number, 1, now=0)
    held.charge("barred", 150, now=1)
    assert held.barred_s("barred", 2) == pytest.approx(4)
    assert len(held._accounts) <= 1


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(LocalError):
        AllowanceLimits(rate=0)
