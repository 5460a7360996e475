"""What people do with alerts: take them up, escalate them, say what they were worth; and who sees.

`alert.ack` moves an alert through its states. Escalating names another regulator and a day by which
he has to end it; he is told in his inbox, and what is late says so in every list. `alert.feedback`
says afterwards whether an alert was right. From that, and from what became of the companies
(`ledger.lending.alerts.outcomes`), `alerts.quality` measures each rule: of the companies it warned
of and of which the outcome is known, how many came to trouble (precision); of those that came to
trouble, of how many it warned before (recall).

Regulators see every alert, a company its own, a lender or guarantor those of its borrowers (without
the figures of records that are not public or of loans of others), an institution those on its own
limits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

from ledger.credit.ids import read_id
from ledger.credit.notices import NoticeKind, notify
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.alerts.book import (
    ALERT_ID_BYTES,
    PLACE_BITS,
    STATES,
    Feedback,
    RaisedAlert,
    State,
    Step,
    compute_place,
    find_alerts,
    get_alert,
    put_alert,
)
from ledger.lending.alerts.calendar import get_due_count
from ledger.lending.alerts.outcomes import Outcome, get_outcomes
from ledger.lending.alerts.queue import get_waiting_count
from ledger.lending.alerts.raising import find_standing
from ledger.lending.alerts.round import get_behind_count
from ledger.lending.facts import LEDGER_FACTS, builtin_name, get_loans
from ledger.lending.limits.exposure import Party, get_company_exposure, get_party_fen
from ledger.lending.limits.watch import LIMIT_RULE
from ledger.membership.catalogue import Access
from ledger.membership.context import Context, Handler, Query, QueryContext, Role, check_role
from ledger.membership.members import get_member
from ledger.rules.alert import Alert
from ledger.rules.features import FeatureSource
from ledger.state.overlay import Overlay
from ledger.transactions.fields import Fields

MAX_LISTED = 500
MAX_NOTE = 1_000
MAX_SCANNED = 5_000  # entries that one query looks at; the cursor goes on from there
MAX_MEASURED = 50_000  # alerts and outcomes that one measurement looks at
ESCALATION_DAYS_MAX = 90
WATCH_LIST_RULES = 2  # a company is watched when two rules, of different groups, confirm each other
WATCH_LIST = "two or more rules"
_BY_HAND = frozenset(Step) - {Step.CLEAR}
_BP = 10_000


def process_ack(context: Context) -> Value:
    """`alert.ack` {alert, outcome?, note?, to?, due_day?}: take an alert up; by a regulator.

    `to` (a regulator) and `due_day` (within 90 days) belong to the outcome "escalate".
    """
    body = Fields(context.body)
    alert_id = read_id(body, "alert", ALERT_ID_BYTES, Code.ALERT_UNKNOWN)
    step = Step(body.choice("outcome", _BY_HAND)) if body.has("outcome") else Step.ACKNOWLEDGE
    note = body.optional_text("note", maximum=MAX_NOTE) or ""
    to, due_day = _read_escalation(context, body) if step is Step.ESCALATE else ("", None)
    body.done()
    check_role(context.sender, Role.REGULATOR)
    raised = get_alert(context.state, alert_id)
    after = STATES.get((raised.state, step))
    if after is None:
        raise Rejected(Code.ALERT_STATE, f"cannot {step} an alert that is {raised.state}")
    handled = replace(
        raised, state=after, handled_by=context.sender.id, handled_day=context.day, note=note
    )
    if step is Step.ESCALATE:
        handled = replace(handled, escalated_to=to, due_day=due_day)
        about = {"alert": alert_id.hex(), "from": context.sender.id, "due_day": due_day}
        notify(context.state, to, context.height, NoticeKind.ALERT_ESCALATED, about)
    if step is Step.DISMISS:
        handled = replace(handled, feedback=Feedback.WRONG)
    put_alert(context.state, alert_id, handled)
    return {"alert": alert_id.hex(), "state": str(after)}


def _read_escalation(context: Context, body: Fields) -> tuple[str, int]:
    to, due_day = body.identifier("to"), body.day("due_day")
    member = get_member(context.state, to)
    if member is None or member.role is not Role.REGULATOR or member.is_removed:
        raise Rejected(Code.MEMBER_UNKNOWN, f"{to} is no regulator")
    if not context.day <= due_day <= context.day + ESCALATION_DAYS_MAX:
        raise Rejected(
            Code.ALERT_STATE, f"due_day is {due_day}, want today to {ESCALATION_DAYS_MAX} days on"
        )
    return to, due_day


def process_feedback(context: Context) -> Value:
    """`alert.feedback` {alert, verdict, note?}: whether it was "right" or "wrong"; a regulator."""
    body = Fields(context.body)
    alert_id = read_id(body, "alert", ALERT_ID_BYTES, Code.ALERT_UNKNOWN)
    verdict = Feedback(body.choice("verdict", (Feedback.RIGHT, Feedback.WRONG)))
    note = body.optional_text("note", maximum=MAX_NOTE)
    body.done()
    check_role(context.sender, Role.REGULATOR)
    raised = get_alert(context.state, alert_id)
    if raised.state is State.FALSE_POSITIVE and verdict is Feedback.RIGHT:
        raise Rejected(Code.ALERT_STATE, "the alert was dismissed as false")
    judged = replace(raised, feedback=verdict, note=raised.note if note is None else note)
    put_alert(context.state, alert_id, judged)
    return {"alert": alert_id.hex(), "verdict": str(verdict)}


def _describe(alert_id: bytes, raised: RaisedAlert, day: int) -> dict[str, Value]:
    shown: dict[str, Value] = {f.name: getattr(raised, f.name) for f in fields(raised)}
    shown["alert"] = alert_id.hex()
    shown["state"] = str(raised.state)
    shown["feedback"] = str(raised.feedback)
    is_open = raised.state is State.ESCALATED and raised.due_day is not None
    shown["is_late"] = is_open and raised.due_day is not None and raised.due_day < day
    return shown


def _show(context: QueryContext, alert_id: bytes, raised: RaisedAlert) -> dict[str, Value]:
    """Return the alert for the caller: a lender is not shown figures that are not public.

    What a regulator noted (a visit to come, a suspicion) is for regulators.

    That a rule holds is what it is told of its borrower; the records themselves take the company's
    authorisation and a logged look.
    """
    shown = _describe(alert_id, raised, context.day)
    if context.caller.role is not Role.REGULATOR:
        shown["note"] = ""
    if context.caller.role is Role.BANK and not raised.institution:
        alert = context.rules.alert(raised.rule)
        names = {name.partition("/")[0] for name in alert.categories}
        is_public = all(context.rules.category(name).access is Access.PUBLIC for name in names)
        if not is_public or not _may_see_book(context, alert, raised.company):
            shown["inputs"] = tuple((name, None) for name, _ in raised.inputs)
    return shown


def _may_see_book(context: QueryContext, alert: Alert, company: str) -> bool:
    """Tell whether a lender knows all that an alert says of the company's loans and assets.

    It does when all loans of the company are its own, or it stands for them: what the company owes
    to another, or how late it pays him, is theirs.
    """
    names = {
        builtin_name(feature)
        for feature in (alert.features[name] for name in alert.inputs)
        if feature.source is FeatureSource.LEDGER
    }
    if not names <= LEDGER_FACTS.keys():
        return False
    own = context.caller.id
    loans = get_loans(context.state, company) if names else ()
    return all(own in (loan.lender, loan.guarantor) for _, loan in loans)


def _may_see(context: QueryContext, raised: RaisedAlert) -> bool:
    caller = context.caller
    if caller.role is Role.REGULATOR:
        return True
    if raised.institution:
        return caller.id == raised.institution
    if caller.id == raised.company:
        return True
    return caller.role is Role.BANK and _is_exposed(context.state, raised.company, caller.id)


def _is_exposed(state: Overlay, company: str, institution: str) -> bool:
    """Tell whether an institution lends to a company or stands for it."""
    if get_company_exposure(state, company, institution).loans_open > 0:
        return True
    return get_party_fen(state, institution, Party.GUARANTEED, company) > 0


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List alerts in the order they were raised, from `from_height` on or after `cursor`.

    `cursor` of the answer resumes where this one stopped, and that of an alert after it; it stays
    where it was when there is nothing new, so that a follower may ask again. `waiting` is the
    number of companies that were touched, or whose time has come, and that were not yet looked at:
    while it is 0, what is listed is everything.
    """
    reader = Fields(body)
    from_height = reader.optional_integer("from_height", maximum=2**42) or 0
    cursor = reader.optional_integer("cursor", maximum=2**62) or 0
    company = reader.optional_company("company")
    limit = reader.optional_integer("limit", minimum=1) or MAX_LISTED
    reader.done()
    cursor = max(cursor, compute_place(from_height, 0) - 1)
    _check_reached(context, cursor)
    items: list[Value] = []
    found = find_alerts(context.state, company, cursor)
    for place, alert_id in islice(found, MAX_SCANNED):
        cursor = place
        raised = get_alert(context.state, alert_id)
        if _may_see(context, raised):
            items.append(_show(context, alert_id, raised) | {"cursor": place})
        if len(items) >= min(limit, MAX_LISTED):
            break
    return {"alerts": items, "cursor": cursor, "waiting": _get_waiting_count(context)}


def _check_reached(context: QueryContext, cursor: int) -> None:
    """Raise `Rejected` NOT_SYNCED for a cursor of a block that this node has not.

    Whoever follows would be told that nothing is new until the chain came past it, and miss all
    that is raised till then. The node may only be behind the one that gave the cursor.
    """
    head = context.chain.head()
    height, last = cursor >> PLACE_BITS, 0 if head is None else head.height
    if height > last:
        raise Rejected(
            Code.NOT_SYNCED,
            f"the cursor is of block {height}, this node's last one is {last}: ask again or another"
            " node, unless it is of another network",
        )


def _get_waiting_count(context: QueryContext) -> int:
    waiting = get_waiting_count(context.state) + get_due_count(context.state, context.day)
    return waiting + get_behind_count(context.state, context.time_ms)


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show one alert."""
    reader = Fields(body)
    alert_id = read_id(reader, "alert", ALERT_ID_BYTES, Code.ALERT_UNKNOWN)
    reader.done()
    raised = get_alert(context.state, alert_id)
    if not _may_see(context, raised):
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} may not see this alert")
    return _show(context, alert_id, raised)


def query_watch(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Tell which rules hold of a company now, and whether it is on the watch list."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    caller = context.caller
    is_exposed = _is_exposed(context.state, company, caller.id)
    if caller.id != company and caller.role is not Role.REGULATOR and not is_exposed:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} may not see the alerts of {company}")
    # A rule that was ended says nothing any more, whatever it said last.
    groups = {alert.id: alert.group for alert in context.rules.alerts(context.day)}
    standing = find_standing(context.state, company)
    rules: list[Value] = [ref for ref in standing if _id_of(ref) in groups]
    return {
        "company": company,
        "rules": rules,
        "is_watched": len({groups[_id_of(str(ref))] for ref in rules}) >= WATCH_LIST_RULES,
    }


def _id_of(ref: str) -> str:
    return ref.rpartition("/")[0]


@dataclass(slots=True)
class _Warnings:
    """What one rule said: its alerts, and by company the first day and the last verdict."""

    raised: int = 0
    first_days: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, Feedback] = field(default_factory=dict)

    def add(self, raised: RaisedAlert) -> None:
        subject = raised.company or raised.institution
        self.raised += 1
        self.first_days[subject] = min(raised.day, self.first_days.get(subject, raised.day))
        if raised.feedback is not Feedback.NONE:
            self.verdicts[subject] = raised.feedback

    def describe(self, rule: str, outcomes: Mapping[str, Outcome]) -> dict[str, Value]:
        right = wrong = 0
        for company in self.first_days:
            verdict = self.verdicts.get(company, _verdict_of(outcomes.get(company)))
            right += verdict is Feedback.RIGHT
            wrong += verdict is Feedback.WRONG
        troubled = {name: item for name, item in outcomes.items() if item.is_troubled}
        caught = sum(
            1
            for company, day in self.first_days.items()
            if company in troubled and _is_before(day, troubled[company].day)
        )
        return {
            "rule": rule,
            "alerts": self.raised,
            "companies": len(self.first_days),
            "right": right,
            "wrong": wrong,
            "precision_bp": _share_bp(right, right + wrong),
            "troubled": len(troubled),
            "caught": caught,
            "recall_bp": _share_bp(caught, len(troubled)),
        }


def _verdict_of(outcome: Outcome | None) -> Feedback:
    if outcome is None:
        return Feedback.NONE
    return Feedback.RIGHT if outcome.is_troubled else Feedback.WRONG


def _is_before(day: int, trouble_day: int | None) -> bool:
    return trouble_day is None or day <= trouble_day


def _share_bp(part: int, whole: int) -> int | None:
    return part * _BP // whole if whole else None


def query_quality(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`alerts.quality` {}: precision and recall of each rule so far; for regulators.

    Counted by company. `is_complete` is false when there is more than one measurement looks at; the
    latest alerts are then left out.
    """
    Fields(body).done()
    if context.caller.role is not Role.REGULATOR:
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} is not a regulator")
    known = list(islice(get_outcomes(context.state), MAX_MEASURED + 1))
    alerts = list(islice(_read_all(context.state), MAX_MEASURED + 1))
    outcomes = dict(known[:MAX_MEASURED])
    by_rule: dict[str, _Warnings] = defaultdict(_Warnings)
    for raised in alerts[:MAX_MEASURED]:
        by_rule[raised.rule].add(raised)
    shown: list[Value] = [by_rule[rule].describe(rule, outcomes) for rule in sorted(by_rule)]
    groups = {alert.ref: alert.group for alert in context.rules.alerts()}
    grouped: dict[str, list[_Warnings]] = defaultdict(list)
    for rule, warnings in by_rule.items():
        if not rule.startswith(LIMIT_RULE):  # what an institution broke puts no company on it
            grouped[groups.get(rule, rule)].append(warnings)
    shown.append(_combine(grouped.values()).describe(WATCH_LIST, outcomes))
    is_complete = max(len(known), len(alerts)) <= MAX_MEASURED
    return {"rules": shown, "outcomes": len(outcomes), "is_complete": is_complete}


def _read_all(state: Overlay) -> Iterable[RaisedAlert]:
    return (get_alert(state, alert_id) for _, alert_id in find_alerts(state, None, 0))


def _combine(groups: Iterable[Iterable[_Warnings]]) -> _Warnings:
    """Return what the watch list said: companies of which rules of two groups warned."""
    days: dict[str, list[int]] = defaultdict(list)
    for group in groups:
        first_days: dict[str, int] = {}
        for warnings in group:
            for company, day in warnings.first_days.items():
                first_days[company] = min(day, first_days.get(company, day))
        for company, day in first_days.items():
            days[company].append(day)
    both = {
        company: sorted(found)[WATCH_LIST_RULES - 1]
        for company, found in days.items()
        if len(found) >= WATCH_LIST_RULES
    }
    return _Warnings(len(both), both)


HANDLERS: Mapping[str, Handler] = {
    "alert.ack": process_ack,
    "alert.feedback": process_feedback,
}
QUERIES: Mapping[str, Query] = {
    "alerts.list": query_list,
    "alert.show": query_show,
    "alerts.watch": query_watch,
    "alerts.quality": query_quality,
}
