"""The calendar of alerts: companies of which time alone may change what the rules say.

A loan falls past due, grows older and has a warning of its own at each age though nobody touches
it; a warning that stands is told again after `repeat_days`, and clears when what it was about has
left its window. So whoever has an open loan or a warning that stands is in the calendar, once, on
the day from which on he is to be looked at again (`compute_next_look`). A block takes as many due
companies as its part for them allows (`ledger.lending.alerts.queue`), and looks at them by all
rules. Who is taken is put down for the next day at once, and the look itself says which day it
really is, so that nobody drops out.

    ALERT_CALENDAR  day ‖ company   1
    COMPANY_ALERTS  "D"             the day under which the company stands above

A healthy company without loans is not in it: it has its look in the round of all companies
(`ledger.lending.alerts.round`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ledger.credit.day_keys import day_key
from ledger.lending.loans.loan import Loan, compute_days_past_due
from ledger.rules.alert import Alert, AlertState
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_CALENDAR, COMPANY_ALERTS

TIME_TOUCHED = "time"  # what alerts are told when a company's day has come
LOOK_DAYS = 30  # a borrower, and whom an alert stands on, is looked at at least this often
MAX_COUNTED = 1_000
DAILY_DAYS = 400  # past due: looked at each day up to here, beyond all grades of a loan
_DAY_BYTES = 4
_LOOK = b"D"


def process_calendar(state: Overlay, day: int, limit: int) -> tuple[str, ...]:
    """Return at most `limit` companies whose day has come, each put down for the day after."""
    due = state.scan(ALERT_CALENDAR, b"", stop=day_key(day + 1))
    companies = tuple(key[_DAY_BYTES:].decode() for key, _ in islice(due, limit))
    for company in companies:
        process_next_look(state, company, day + 1)
    return companies


def get_due_count(state: Overlay, day: int) -> int:
    """Return how many companies' day has come; MAX_COUNTED for so many or more."""
    due = state.scan(ALERT_CALENDAR, b"", stop=day_key(day + 1))
    return sum(1 for _ in islice(due, MAX_COUNTED))


def process_plan(state: Overlay, company: str, planned: int | None, today: int) -> None:
    """Put a company down for the day that a look says, or leave it where it stands before that.

    A look more does no harm, and a company that is looked at each week writes nothing then. What
    stands under tomorrow is written anew: that is where `process_calendar` put it for this look.
    """
    kept = state.get(COMPANY_ALERTS, company.encode() + _LOOK)
    if kept is None or planned is None or not today + 1 < kept <= planned:
        process_next_look(state, company, planned)


def process_next_look(state: Overlay, company: str, day: int | None) -> None:
    """Put a company down for a day and for no other; None takes it off the calendar."""
    name = company.encode()
    before = state.get(COMPANY_ALERTS, name + _LOOK)
    if before == day:
        return
    if before is not None:
        state.delete(ALERT_CALENDAR, day_key(before) + name)
    if day is None:
        state.delete(COMPANY_ALERTS, name + _LOOK)
    else:
        state.put(ALERT_CALENDAR, day_key(day) + name, 1)
        state.put(COMPANY_ALERTS, name + _LOOK, day)


def compute_next_look(
    loans: Iterable[Loan], standing: Iterable[tuple[Alert, AlertState]], day: int
) -> int | None:
    """Return the day after `day` on which time may have changed something; None if it cannot."""
    days = [_next_day_of_loan(loan, day) for loan in loans if not loan.is_closed]
    days += [_next_day_of_alert(alert, state, day) for alert, state in standing]
    return min(days, default=None)


def _next_day_of_loan(loan: Loan, day: int) -> int:
    past_due = compute_days_past_due(loan, day)
    if past_due:
        return day + (1 if past_due <= DAILY_DAYS else LOOK_DAYS)
    return min(loan.plan[0].due_day + 1, day + LOOK_DAYS)


def _next_day_of_alert(alert: Alert, state: AlertState, day: int) -> int:
    """Return when an alert that stands is to be told again, or sooner, for it may have cleared."""
    if alert.repeat_days == 0 or state.told_day is None:
        return day + LOOK_DAYS
    return min(max(state.told_day + alert.repeat_days, day + 1), day + LOOK_DAYS)
