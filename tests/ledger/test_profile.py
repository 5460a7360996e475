"""The profile: what is known by dimension, how fresh and how complete, and what is withheld."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.credit.profile import (
    FRESH_DAYS,
    Freshness,
    compute_completeness_bp,
    compute_freshness,
)
from ledger.credit.windows_state import Coverage
from tests.lending.province import SELLER, TODAY, Province


@pytest.fixture(scope="module")
def province() -> Province:
    return Province()


def lines(profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["schema"]: line for found in profile["dimensions"].values() for line in found}


def test_supplier_sees_what_it_supplied(province: Province) -> None:
    profile = province.ask("D02", "company.profile", company=SELLER)
    line = lines(profile)["C044/line"]
    assert (line["record_count"], line["last_day"]) == (24, TODAY - 20)
    assert (line["freshness"], line["complete_bp"]) == ("fresh", 10_000)
    assert profile["log_size"] == 24


def test_what_may_not_be_seen_is_named(province: Province) -> None:
    profile = province.ask("ICBC", "company.profile", company=SELLER)
    assert "C044" in profile["withheld"]
    assert "C044/line" not in lines(profile)
    assert lines(profile)["C048"]["freshness"] == "none"


@pytest.mark.parametrize("cadence", sorted(FRESH_DAYS))
def test_freshness_goes_by_cadence(cadence: str) -> None:
    bound = FRESH_DAYS[cadence]
    records = Coverage((), TODAY - 900, TODAY - bound, 3, 0)
    assert compute_freshness(records, cadence, TODAY) is Freshness.FRESH
    assert compute_freshness(records, cadence, TODAY + 1) is Freshness.STALE
    assert compute_freshness(None, cadence, TODAY) is Freshness.NONE


@pytest.mark.parametrize(
    ("intervals", "share"),
    [
        ((), 0),
        (((TODAY - 364, TODAY),), 10_000),
        (((TODAY - 5_000, TODAY + 90),), 10_000),
        (((TODAY - 72, TODAY),), 2_000),
        (((TODAY - 500, TODAY - 365),), 0),
        (((TODAY - 364, TODAY - 292), (TODAY - 72, TODAY)), 4_000),
    ],
)
def test_completeness_is_the_attested_share_of_a_year(
    intervals: tuple[tuple[int, int], ...], share: int
) -> None:
    assert compute_completeness_bp(Coverage(intervals), TODAY) == share
