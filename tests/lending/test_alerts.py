"""Alerts raised while blocks are executed, followed, acknowledged, cleared."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, Rejected
from ledger.lending.alerts.book import STATES, State, Step, compute_alert_id, compute_place
from tests.ledger_harness import DAY_MS
from tests.lending.province import OTHER, SELLER, TODAY, Province, invoice
from tests.lending.test_loans import drawn


@pytest.fixture
def province() -> Province:
    return Province()


def cliff(province: Province) -> dict[str, Any]:
    """Let OTHER's sales fall off a cliff: sold 100 days ago, next to nothing since."""
    lines = [
        invoice(1, TODAY - 100, 9_000_000, company=OTHER),
        invoice(2, TODAY - 10, 1_000_000, company=OTHER),
    ]
    province.succeed(province.submit("D02", "C044", lines, "line"))
    (alert,) = province.ask("D18", "alerts.list", company=OTHER)["alerts"]
    return dict(alert)


def test_records_that_fall_off_a_cliff_raise_an_alert(province: Province) -> None:
    alert = cliff(province)
    assert (alert["rule"], alert["severity"], alert["reason"]) == ("EW05/1", "orange", "A105")
    assert dict(alert["inputs"]) == {"w.now": 1_000_000, "w.before": 9_000_000}
    assert (alert["state"], alert["company"], alert["day"]) == ("OPEN", OTHER, TODAY)
    wanted = compute_alert_id("EW05/1", OTHER, province.head.height)
    assert alert["alert"] == wanted.hex()
    assert alert.pop("cursor") == compute_place(province.head.height, 0)
    assert province.ask("D18", "alert.show", alert=alert["alert"]) == alert


def test_healthy_companies_raise_nothing(province: Province) -> None:
    assert province.ask("D18", "alerts.list")["alerts"] == []
    assert province.ask("D18", "alerts.watch", company=SELLER)["rules"] == []


def test_a_raised_alert_is_not_raised_again_and_clears(province: Province) -> None:
    first = cliff(province)
    more = [invoice(3, TODAY - 9, 100, company=OTHER)]
    province.succeed(province.submit("D02", "C044", more, "line"))
    assert len(province.ask("D18", "alerts.list")["alerts"]) == 1
    recovered = [invoice(4, TODAY - 8, 8_000_000, company=OTHER)]
    province.succeed(province.submit("D02", "C044", recovered, "line"))
    (cleared,) = province.ask("D18", "alerts.list")["alerts"]
    assert (cleared["alert"], cleared["state"]) == (first["alert"], "RESOLVED")
    assert cleared["cleared_day"] == TODAY
    assert province.ask("D18", "alerts.watch", company=OTHER)["rules"] == []


def test_a_regulator_takes_an_alert_up(province: Province) -> None:
    alert = cliff(province)["alert"]
    for stranger in ("ICBC", "D02", SELLER):
        province.refuse(Code.NOT_PERMITTED, stranger, "alert.ack", alert=alert)
    assert province.do("D18", "alert.ack", alert=alert)["state"] == "ACKNOWLEDGED"
    province.refuse(Code.ALERT_STATE, "D18", "alert.ack", alert=alert)
    escalated = province.do(
        "D18",
        "alert.ack",
        alert=alert,
        outcome="escalate",
        note="visited, closed",
        to="D18",
        due_day=TODAY + 10,
    )
    assert escalated["state"] == "ESCALATED"
    shown = province.ask("D18", "alert.show", alert=alert)
    assert (shown["handled_by"], shown["note"]) == ("D18", "visited, closed")
    province.do("D18", "alert.ack", alert=alert, outcome="dismiss")
    province.refuse(Code.ALERT_STATE, "D18", "alert.ack", alert=alert, outcome="resolve")
    province.refuse(Code.ALERT_UNKNOWN, "D18", "alert.ack", alert="00" * 16)
    province.refuse(Code.BODY_MALFORMED, "D18", "alert.ack", alert=alert, outcome="clear")


def test_what_only_time_makes_true_is_found_at_once_by_a_review(province: Province) -> None:
    lines = [invoice(1, TODAY - 87, 6_000_000, company=OTHER)]
    lines += [invoice(2, TODAY, 1_000_000, company=OTHER)]
    province.succeed(province.submit("D02", "C044", lines, "line"))
    province.advance_days(5)
    assert province.ask("D18", "alerts.list")["alerts"] == []
    province.refuse(Code.NOT_PERMITTED, "ICBC", "alert.review", companies=(OTHER,))
    unknown = "91440300MA5DTR1L4X"
    province.refuse(Code.COMPANY_UNKNOWN, "D18", "alert.review", companies=(unknown,))
    happened = province.do("D18", "alert.review", companies=(SELLER, OTHER))["happened"]
    assert happened == {OTHER: (("EW05/1", "RAISED"),)}


def test_a_loan_that_nobody_touches_raises_on_its_day_and_clears_when_paid(
    province: Province,
) -> None:
    loan = drawn(province)
    province.advance_days(90)
    assert province.ask("D18", "alerts.list")["alerts"] == []
    province.advance_days(1)
    (alert,) = [
        item for item in province.ask("ICBC", "alerts.list")["alerts"] if item["rule"] == "EW01/1"
    ]
    assert dict(alert["inputs"]) == {"co.overdue_days": 1}
    owed_fen = province.ask("ICBC", "loan.show", loan=loan)["owed_fen"]
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=owed_fen)
    shown = province.ask("D18", "alert.show", alert=alert["alert"])
    assert (shown["state"], shown["cleared_day"]) == ("RESOLVED", TODAY + 91)


def test_a_lender_sees_the_alerts_of_its_borrowers_only(province: Province) -> None:
    drawn(province)
    alert = cliff(province)["alert"]
    red_letter = [invoice(900, TODAY, -160_000_000)]
    province.succeed(province.submit("D02", "C044", red_letter, "line"))
    seen = {
        who: {item["company"] for item in province.ask(who, "alerts.list")["alerts"]}
        for who in ("D18", "ICBC", "CCB", OTHER, "D02")
    }
    assert seen == {
        "D18": {SELLER, OTHER},
        "ICBC": {SELLER},
        "CCB": set(),
        OTHER: {OTHER},
        "D02": set(),
    }
    with pytest.raises(Rejected, match="2006"):
        province.ask("ICBC", "alert.show", alert=alert)
    with pytest.raises(Rejected, match="2006"):
        province.ask("ICBC", "alerts.watch", company=OTHER)


def test_a_guarantor_sees_the_alerts_of_whom_it_stands_for(province: Province) -> None:
    province.sell(OTHER)
    loan = province.lend(guaranteed_fen=900_000)
    province.advance_days(31)
    (alert,) = province.ask("PAB", "alerts.list", company=OTHER)["alerts"]
    assert dict(alert["inputs"]) == {"co.overdue_days": 1}
    assert province.ask("PAB", "alerts.watch", company=OTHER)["rules"] == ["EW01/1"]
    owed_fen = province.ask("ICBC", "loan.show", loan=loan)["owed_fen"]
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=owed_fen)
    assert province.ask("PAB", "alerts.list", company=OTHER)["alerts"] == []
    with pytest.raises(Rejected, match="2006"):
        province.ask("PAB", "alerts.watch", company=OTHER)


def test_a_follower_resumes_where_it_stopped(province: Province) -> None:
    start = province.ask("D18", "alerts.list")["cursor"]
    first = cliff(province)
    page = province.ask("D18", "alerts.list", cursor=start, limit=1)
    assert [item["alert"] for item in page["alerts"]] == [first["alert"]]
    again = province.ask("D18", "alerts.list", cursor=page["cursor"])
    assert (again["alerts"], again["cursor"]) == ([], page["cursor"])
    province.advance_days(31)
    province.do("D18", "alert.review", companies=(OTHER,))
    news = province.ask("D18", "alerts.list", cursor=page["cursor"])["alerts"]
    assert [(item["rule"], item["is_repeat"]) for item in news] == [("EW05/1", True)]
    later = province.ask("D18", "alerts.list", from_height=news[0]["height"])["alerts"]
    assert later == news


def test_two_rules_put_a_company_on_the_watch_list(province: Province) -> None:
    drawn(province)
    province.advance_days(90)
    little = [invoice(900, TODAY + 50, 100)]
    province.succeed(province.submit("D02", "C044", little, "line"))
    assert province.ask("D18", "alerts.watch", company=SELLER)["is_watched"] is False
    province.advance_days(1)
    watched = province.ask("ICBC", "alerts.watch", company=SELLER)
    assert watched == {"company": SELLER, "rules": ["EW01/1", "EW05/1"], "is_watched": True}


def test_a_company_that_rests_costs_no_writes(province: Province) -> None:
    def writes() -> set[bytes]:
        line = [invoice(700 + province.head.height, TODAY - 3, 100)]
        executed = province.block(province.submit("D02", "C044", line, "line"))
        return {key for key in executed.writes if key[:2] in (b"si", b"sI", b"sR")}

    assert writes() == set()
    cliff(province)
    assert writes() == set()


def test_an_escalated_alert_has_somebody_and_a_day(province: Province) -> None:
    alert = cliff(province)["alert"]
    wish = {"alert": alert, "outcome": "escalate"}
    province.refuse(Code.BODY_MALFORMED, "D18", "alert.ack", **wish)
    to_bank = wish | {"to": "ICBC", "due_day": TODAY + 5}
    province.refuse(Code.MEMBER_UNKNOWN, "D18", "alert.ack", **to_bank)
    for day in (TODAY - 1, TODAY + 91):
        late = wish | {"to": "D18", "due_day": day}
        province.refuse(Code.ALERT_STATE, "D18", "alert.ack", **late)
    province.do("D18", "alert.ack", **wish, to="D18", due_day=TODAY + 5)
    told = province.ask("D18", "notices.list")["notices"]
    assert [(n["kind"], n["alert"], n["due_day"]) for n in told] == [
        ("alert escalated", alert, TODAY + 5)
    ]
    shown = province.ask("D18", "alert.show", alert=alert)
    assert (shown["escalated_to"], shown["due_day"], shown["is_late"]) == ("D18", TODAY + 5, False)
    province.advance_days(6)
    assert province.ask("D18", "alert.show", alert=alert)["is_late"]
    province.do("D18", "alert.ack", alert=alert, outcome="resolve")
    assert not province.ask("D18", "alert.show", alert=alert)["is_late"]


def quality(province: Province) -> dict[str, Any]:
    return {item["rule"]: item for item in province.ask("D18", "alerts.quality")["rules"]}


def test_rules_are_measured_by_what_became_of_companies(province: Province) -> None:
    alert = cliff(province)["alert"]
    assert quality(province)["EW05/1"]["precision_bp"] is None
    with pytest.raises(Rejected, match="2006"):
        province.ask("ICBC", "alerts.quality")
    wish = {"company": OTHER, "is_troubled": True}
    province.refuse(Code.NOT_PERMITTED, "ICBC", "company.outcome", **wish)
    province.refuse(Code.RECORD_DATE, "D18", "company.outcome", **wish, day=TODAY + 1)
    province.do("D18", "company.outcome", **wish, day=TODAY - 1)
    measured = quality(province)["EW05/1"]
    assert (measured["right"], measured["precision_bp"]) == (1, 10_000)
    assert (measured["caught"], measured["troubled"], measured["recall_bp"]) == (0, 1, 0)
    province.do("D18", "company.outcome", **wish, day=TODAY)
    province.do("D18", "company.outcome", company=SELLER, is_troubled=True)
    measured = quality(province)["EW05/1"]
    assert (measured["caught"], measured["troubled"], measured["recall_bp"]) == (1, 2, 5_000)
    province.do("D18", "alert.feedback", alert=alert, verdict="wrong")
    assert quality(province)["EW05/1"]["precision_bp"] == 0
    assert quality(province)["two or more rules"]["companies"] == 0


def test_feedback_is_a_regulators_and_agrees_with_a_dismissal(province: Province) -> None:
    alert = cliff(province)["alert"]
    wish = {"alert": alert, "verdict": "right"}
    province.refuse(Code.NOT_PERMITTED, "ICBC", "alert.feedback", **wish)
    province.do("D18", "alert.feedback", **wish)
    province.do("D18", "alert.ack", alert=alert, outcome="dismiss")
    assert province.ask("D18", "alert.show", alert=alert)["feedback"] == "wrong"
    province.refuse(Code.ALERT_STATE, "D18", "alert.feedback", **wish)


def test_a_loan_that_fails_is_an_outcome_by_itself(province: Province) -> None:
    loan = drawn(province)
    province.advance_days(91)
    province.do("D18", "alert.review", companies=(SELLER,))
    province.do("ICBC", "loan.default", loan=loan)
    measured = quality(province)["EW01/1"]
    assert (measured["right"], measured["caught"], measured["recall_bp"]) == (1, 1, 10_000)


def test_states_end_where_they_should() -> None:
    final = {State.FALSE_POSITIVE, State.RESOLVED}
    assert not any(state in final for state, _ in STATES)
    assert {state for state, _ in STATES} == set(State) - final
    assert {step for _, step in STATES} == set(Step)


def test_alerts_are_a_function_of_the_blocks_alone() -> None:
    runs = []
    for _ in range(2):
        province = Province()
        cliff(province)
        province.block(time_ms=province.head.time_ms + 40 * DAY_MS)
        province.do("D18", "alert.review", companies=(OTHER, SELLER))
        runs.append(province.head.hash())
    assert runs[0] == runs[1]
