"""Alerts: when they hold, when it cannot be told, and what is raised (RULES.md, "An alert")."""

from __future__ import annotations

import pytest

from ledger.errors import Code, Refused, RuleSourceError
from ledger.rules.alert import Alert, AlertEvent, AlertOutcome, AlertState, Severity, load_alert
from ledger.rules.schema import load_schema
from tests.rules.samples import ALERT, EVENTS, SCHEMA
from tests.rules.test_schema import Records, sale

_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
_TODAY = 18_000


def _alert(text: str = ALERT) -> Alert:
    return load_alert(text.encode(), EVENTS, _SCHEMA)


def _paid(day: int, yuan: int, tax_type: str = "VAT") -> tuple[str, int, dict[str, object]]:
    return "C040", day, {"tax_type": tax_type, "paid_amount": yuan * 100}


def test_holds_on_the_windows_of_its_records() -> None:
    records = Records(
        _paid(_TODAY - 180, 9_000_000),  # before both windows
        _paid(_TODAY - 100, 81_000),
        _paid(_TODAY - 100, 5_000_000, "CIT"),
        _paid(_TODAY - 89, 30_000),
        attested=_TODAY,
    )
    outcome = _alert().evaluate(_TODAY, records)
    assert outcome == AlertOutcome(True, (("w.now", 3_000_000), ("w.prev", 8_100_000)), "")
    assert _alert().evaluate(_TODAY + 1, records).holds is None  # the last day is not attested


def test_an_empty_window_counts_as_zero_only_with_coverage() -> None:
    paid = _paid(_TODAY - 100, 81_000)
    assert _alert().evaluate(_TODAY, Records(paid, attested=_TODAY)).holds is True
    untold = _alert().evaluate(_TODAY, Records(paid, attested=_TODAY - 1))
    assert (untold.holds, untold.error) == (None, "MISSING")


def test_what_is_known_without_the_missing_window_is_told() -> None:
    records = Records(_paid(_TODAY - 100, 49_999), attested=_TODAY - 90)
    assert _alert().evaluate(_TODAY, records).holds is False


def test_more_events_than_allowed_are_an_error_and_never_a_truncation() -> None:
    paid = [_paid(_TODAY - 100 + day, 81_000) for day in range(4)]
    alert = _alert(ALERT.replace("max_events = 512", "max_events = 3"))
    outcome = alert.evaluate(_TODAY, Records(*paid, attested=_TODAY))
    assert (outcome.holds, outcome.error) == (None, "RANGE")


def test_reads_features_of_its_schema_parameters_and_facts_of_others() -> None:
    text = ALERT.replace(
        'when = "w.prev >= yuan(50000) && w.now * 2 < w.prev"',
        'schema = "company/7"\n'
        'when = "co.void_rate >= p.floor && co.overdue_days_max_24m > days(0)"\n'
        '[params]\nfloor = "20.00%"',
    )
    alert = _alert(text)
    records = Records(sale(_TODAY, 5, status="X"), attested=_TODAY)
    assert alert.evaluate(_TODAY, records).holds is None
    assert alert.evaluate(_TODAY, records, {"co.overdue_days_max_24m": 1}).holds is True
    assert alert.evaluate(_TODAY, records, {"co.overdue_days_max_24m": -1}).holds is None
    assert alert.categories == {"C044/line"}
    assert len(alert.streams) == 2
    assert alert.inputs == {"co.void_rate", "co.overdue_days_max_24m"}


def test_windows_with_one_question_share_a_stream() -> None:
    alert = _alert()
    assert (alert.severity, alert.ref) == (Severity.ORANGE, "EW-TAX-DROP/1")
    assert len(alert.streams) == 1
    assert alert.categories == {"C040"}


def _story(alert: Alert, *steps: tuple[int, bool | None]) -> list[AlertEvent | None]:
    state = AlertState()
    events: list[AlertEvent | None] = []
    for day, holds in steps:
        state, event = alert.advance(state, AlertOutcome(holds, ()), day)
        assert AlertState.from_value(state.to_value()) == state
        events.append(event)
    return events


def test_is_raised_once_repeated_after_its_days_and_cleared_after_its_count() -> None:
    steps = (1, True), (2, True), (30, True), (31, True), (32, False), (33, False), (34, False)
    assert _story(_alert(), *steps) == [
        AlertEvent.RAISED, None, None, AlertEvent.REPEATED, None, AlertEvent.CLEARED, None,
    ]  # fmt: skip


def test_is_raised_only_after_consecutive_evaluations() -> None:
    alert = _alert(ALERT.replace("raise_after = 1", "raise_after = 3"))
    steps = (1, True), (2, True), (3, False), (4, True), (5, True), (6, True)
    assert _story(alert, *steps)[-1] is AlertEvent.RAISED
    assert _story(alert, *steps)[:-1] == [None] * 5


def test_an_untold_evaluation_changes_nothing() -> None:
    steps = (1, None), (2, True), (3, False), (4, None), (5, False)
    assert _story(_alert(), *steps) == [None, AlertEvent.RAISED, None, None, AlertEvent.CLEARED]


def test_is_not_raised_again_sooner_than_its_days() -> None:
    steps = (1, True), (2, False), (3, False), (4, True), (30, True), (31, True)
    assert _story(_alert(), *steps) == [
        AlertEvent.RAISED, None, AlertEvent.CLEARED, None, None, AlertEvent.RAISED,
    ]  # fmt: skip


def test_a_quiet_company_has_a_state_at_rest() -> None:
    alert = _alert()
    state, _ = alert.advance(AlertState(), AlertOutcome(False, ()), 1)
    state, _ = alert.advance(state, AlertOutcome(False, ()), 2)
    assert alert.advance(state, AlertOutcome(False, ()), 3)[0] == state


@pytest.mark.parametrize(
    "value", [None, (), (0, 0, 0, None), (True, 0, 0), (True, 0, 0, "1"), (True, 0, 0, None, 1)]
)
def test_a_damaged_state_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        AlertState.from_value(value)


_REFUSED = [
    ('stream = "C040"', 'stream = "C041"', 14, 10, Code.RULE_NAME, "no records C041"),
    ('field = "e.paid_amount"', 'field = "e.paid"', 17, 9, Code.RULE_NAME, "unknown field paid"),
    ("w.prev >=", "w.previous >=", 8, 9, Code.RULE_NAME, "unknown window w.previous"),
    ("yuan(50000)", "50000", 8, 16, Code.RULE_UNIT, "write yuan(50000)"),
    ('name = "prev"', 'name = "now"', 22, 8, Code.RULE_DOCUMENT, "is declared twice"),
    ('"orange"', '"purple"', 5, 12, Code.RULE_DOCUMENT, "none of blue, yellow, orange, red"),
    ('unit = "fen"', 'unit = "date"', 18, 8, Code.RULE_UNIT, "want fen"),
    ("version = 1", 'version = 1\nschema = "other/1"', 5, 10, Code.RULE_DOCUMENT, "want company/7"),
    ("days = 90", "days = 9.0", 19, 8, Code.RULE_FORBIDDEN, "a fraction"),
]


@pytest.mark.parametrize(("old", "new", "line", "column", "code", "words"), _REFUSED)
def test_refuses_an_alert_with_the_place_of_the_mistake(
    old: str, new: str, line: int, column: int, code: Code, words: str
) -> None:
    with pytest.raises(RuleSourceError) as caught:
        _alert(ALERT.replace(old, new, 1))
    assert words in caught.value.message
    assert (caught.value.line, caught.value.column, caught.value.code) == (line, column, code)
