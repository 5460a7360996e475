"""The early warnings over invoices, EW05 to EW13, through executed blocks, at their thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ledger.transactions.records import Record
from tests.ledger_harness import GENESIS_DAY, SALT
from tests.lending.warnings import COMPANY, Watched, watched

NOW = GENESIS_DAY
LAST_YEAR = NOW - 365  # the latest day of the twelve months before the last twelve


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice: net of tax in fen, void or not."""

    day: int
    net: int
    partner: str = "one"
    status: str = "V"


def submit(network: Watched, category: str, invoices: list[Invoice], first: int = 0) -> None:
    """Let the tax department submit invoices, and attest that there are no others."""
    records = []
    for number, item in enumerate(invoices, first):
        fields = {"invoice_no": f"{category}-{number}", "issued_on": item.day}
        fields |= {"counterparty": item.partner, "net": item.net, "tax": 0, "gross": item.net}
        records.append(Record(COMPANY, item.day, fields | {"status": item.status}, salt=SALT))
    attest = network.attest("D02", category, (COMPANY,), NOW - 1_200, NOW, schema_name="line")
    given = [network.submit("D02", category, records, "line")] if records else []
    executed = network.block(*given, attest)
    assert [code for code, _ in executed.results] == [0] * len(executed.results)


def raised(sales: list[Invoice], purchases: list[Invoice] | None = None) -> list[str]:
    """Return which rules hold of a company with these invoices and no others."""
    network = watched()
    submit(network, "C044", sales)
    if purchases is not None:
        submit(network, "C045", purchases)
    return network.standing()


def fall(before: int, now: int) -> list[Invoice]:
    return [Invoice(LAST_YEAR, before), Invoice(LAST_YEAR + 1, now)]


def voided(count: int, void: int) -> list[Invoice]:
    marks = ["X"] * void + ["V"] * (count - void)
    return [Invoice(NOW - number, 100_000_000, f"b{number}", m) for number, m in enumerate(marks)]


def shares(first: int, rest: int) -> list[Invoice]:
    return [Invoice(NOW, first), Invoice(NOW, rest, "another")]


THRESHOLDS = (
    ("EW05", fall(20_000_000, 10_000_000), fall(20_000_000, 10_000_001)),
    ("EW05", fall(5_000_000, 0), fall(4_999_999, 0)),
    ("EW06", fall(20_000_000, 14_000_000), fall(20_000_000, 14_000_001)),
    ("EW07", [Invoice(NOW - 90, 1)], [Invoice(NOW - 89, 1)]),
    ("EW08", [Invoice(NOW - 180, 1)], [Invoice(NOW - 179, 1)]),
    ("EW09", voided(10, 2), voided(11, 2)),
    ("EW09", voided(10, 9), voided(9, 9)),
    ("EW10", voided(20, 3), voided(21, 3)),
    ("EW12", shares(60, 40), shares(59, 40)),
    ("EW13", [Invoice(NOW, 49_999_999)], [Invoice(NOW, 50_000_000)]),
)


@pytest.mark.parametrize(("rule", "at", "below"), THRESHOLDS)
def test_a_warning_holds_at_its_threshold_and_not_below(
    rule: str, at: list[Invoice], below: list[Invoice]
) -> None:
    assert rule in raised(at)
    assert rule not in raised(below)


def test_purchases_exceed_sales_by_one_fen() -> None:
    sales = [Invoice(NOW, 100_000_000)]
    assert "EW11" in raised(sales, [Invoice(NOW, 100_000_001)])
    assert "EW11" not in raised(sales, [Invoice(NOW, 100_000_000)])
    assert "EW11" not in raised(sales)  # nobody said that there are none


def test_nothing_is_said_of_a_company_without_invoices_or_attestation() -> None:
    network = watched()
    network.review()
    assert network.alerts() == []


def test_a_source_that_fell_silent_says_nothing_more() -> None:
    network = watched()
    submit(network, "C044", [Invoice(NOW - 20, 49_000_000)])
    assert network.standing() == ["EW12", "EW13"]
    (first, second) = network.alerts()
    network.advance_days(45)
    network.review()
    network.advance_days(1)
    network.review()
    assert network.standing() == ["EW12", "EW13"]  # it cannot be told: nothing changes
    assert network.alerts() == [first, second]


def test_sales_that_come_back_clear_and_a_fall_is_told_again() -> None:
    network = watched()
    submit(network, "C044", fall(20_000_000, 10_000_000))
    assert network.standing() == ["EW05", "EW06", "EW07", "EW08", "EW12", "EW13"]
    submit(network, "C044", [Invoice(NOW, 40_000_000, "another")], first=9)
    assert network.standing() == ["EW12"]
    states = {item["rule"]: item["state"] for item in network.alerts()}
    assert {states[f"{rule}/1"] for rule in ("EW05", "EW06", "EW07", "EW08", "EW13")} == {
        "RESOLVED"
    }
