"""What a lender is shown of its borrower's alerts, and where a follower goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lending.documents import credit_line
from tests.lending.province import OTHER, Province


@pytest.fixture
def province() -> Province:
    """Return a province where ICBC and CCB may lend to OTHER."""
    made = Province()
    made.sell(OTHER)
    made.consent(OTHER, "CCB")
    source = credit_line().replace(b'"ICBC"', b'"CCB"').replace(b'"LINE"', b'"LINE-CCB"')
    made.do("CCB", "product.register", source=source)
    return made


def lend_of_ccb(province: Province) -> None:
    wish: dict[str, Any] = {"company": OTHER, "term_days": 200, "amount_fen": 1_000_000}
    asked = province.apply("LINE-CCB/1", OTHER, declared={"ap.seats": 1}, **wish)
    named = {"application": asked["application"]}
    province.do(OTHER, "loan.accept", **named)
    province.do("CCB", "loan.disburse", **named)


def overdue_seen(province: Province, who: str) -> Any:
    (alert,) = [
        item
        for item in province.ask(who, "alerts.list", company=OTHER)["alerts"]
        if item["rule"] == "EW01/1"
    ]
    return dict(alert["inputs"])["co.overdue_days"]


def test_how_late_a_company_pays_another_lender_is_not_shown(province: Province) -> None:
    lend_of_ccb(province)
    province.lend(OTHER, term_days=30)
    province.attest_sales(OTHER)
    province.advance_days(31)
    assert overdue_seen(province, "D18") == 1
    assert overdue_seen(province, OTHER) == 1
    # ICBC knows of its own loan, but CCB has lent too: the figure is of both.
    assert overdue_seen(province, "CCB") is None
    assert overdue_seen(province, "ICBC") is None


def test_a_lender_of_all_loans_sees_the_figures(province: Province) -> None:
    province.lend(OTHER, term_days=30)
    province.advance_days(31)
    assert overdue_seen(province, "ICBC") == 1
    assert province.ask("CCB", "alerts.list", company=OTHER)["alerts"] == []
