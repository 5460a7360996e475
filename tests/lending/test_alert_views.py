"""What a lender is shown of its borrower's alerts, and where a follower goes on."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, Rejected
from ledger.lending.alerts.book import (
    MAX_CLEARED,
    RaisedAlert,
    State,
    compute_alert_id,
    compute_place,
    find_alerts,
    get_alert,
    process_cleared,
    process_raised,
)
from ledger.state.overlay import Overlay
from ledger.storage.memory import MemoryStore
from tests.lending.documents import credit_line
from tests.lending.province import OTHER, TODAY, Province
from tests.lending.test_limits import Supervised


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


@pytest.mark.parametrize("beyond", [1, 2, 10**6])
def test_a_cursor_beyond_the_last_block_is_told_so(province: Province, beyond: int) -> None:
    height = province.head.height
    last = compute_place(height + 1, 0) - 1  # the last place that this block can have
    assert province.ask("D18", "alerts.list", cursor=last)["cursor"] == last
    assert province.ask("D18", "alerts.list", from_height=height + 1)["cursor"] == last
    for body in ({"cursor": compute_place(height + beyond, 0)}, {"from_height": height + 9}):
        with pytest.raises(Rejected, match="this node's last one is") as caught:
            province.ask("D18", "alerts.list", **body)
        assert caught.value.code is Code.NOT_SYNCED
    with pytest.raises(Rejected) as caught:
        province.ask("D18", "alerts.list", cursor=-1)
    assert caught.value.code is Code.BODY_MALFORMED


def test_one_matter_has_one_place_in_a_block() -> None:
    state = Overlay(MemoryStore())
    state.begin()
    alert_id = compute_alert_id("EW05/1", OTHER, 7)
    raised = RaisedAlert(
        "EW05/1", bytes(32), OTHER, "orange", "A105", "", "", (), TODAY, 7, is_repeat=False
    )
    process_raised(state, alert_id, raised)
    process_cleared(state, alert_id, TODAY)
    process_raised(state, alert_id, raised)
    assert [found for _, found in find_alerts(state, None, 0)] == [alert_id]
    assert [found for _, found in find_alerts(state, OTHER, 0)] == [alert_id]
    assert get_alert(state, alert_id).state is State.OPEN


def test_only_so_many_alerts_of_one_matter_clear_in_a_block() -> None:
    state = Overlay(MemoryStore())
    state.begin()
    ids, before = list[bytes](), ""
    for height in range(1, MAX_CLEARED + 3):
        alert_id = compute_alert_id("EW05/1", OTHER, height)
        values = (bytes(32), OTHER, "orange", "A105", "", "", (), TODAY, height)
        raised = RaisedAlert("EW05/1", *values, is_repeat=bool(before), repeats=before)
        process_raised(state, alert_id, raised)
        ids.append(alert_id)
        before = alert_id.hex()
    process_cleared(state, ids[-1], TODAY)
    states = [get_alert(state, alert_id).state for alert_id in ids]
    assert states == [State.OPEN] * 2 + [State.RESOLVED] * MAX_CLEARED


def test_a_limit_that_an_institution_broke_puts_no_company_on_the_watch_list() -> None:
    supervised = Supervised()
    supervised.sell(OTHER)
    supervised.report("ICBC", 9_000_000)
    supervised.lend(OTHER, term_days=30)
    supervised.advance_days(31)
    rules = {item["rule"]: item for item in supervised.ask("D18", "alerts.quality")["rules"]}
    assert {"limit/ML-BORROWER", "EW01/1"} <= set(rules)
    assert rules["two or more rules"]["companies"] == 0
    assert not supervised.ask("D18", "alerts.watch", company=OTHER)["is_watched"]
