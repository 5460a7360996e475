"""Early warnings: raised while a block is executed, the same on every node (DOMAIN.md, Alerts).

A company of which a transaction said something is put in a queue (`ledger.lending.alerts.queue`).
When its turn comes, in the same block when that is light, `process_company_alerts` looks at each
alert whose records, loans or assets were touched: it is evaluated as of that block's day, and its
state machine moves on (`Alert.advance`). Who has an open loan or a standing alert is looked at by
all rules when the day has come that the last look said (`ledger.lending.alerts.calendar`), and who
has records that rules read in each round of all companies (`ledger.lending.alerts.round`), for only
time can make some rules true (nothing sold for 90 days). A regulator may ask for a review at once.

What is raised is kept in the book of alerts (`ledger.lending.alerts.book`); what regulators do with
it is `ledger.lending.alerts.desk`. Before alerts are looked at, whom the company guarantees and
holds is brought up to date (`ledger.lending.limits.circles`). COMPANY_ALERTS keeps, per company,
each rule's state with its latest alert.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledger.credit.double_registrations import ASSETS_TOUCHED
from ledger.credit.windows_state import CompanyWindows, get_all_coverage
from ledger.encoding import Value
from ledger.lending.alerts.book import (
    RaisedAlert,
    compute_alert_id,
    process_cleared,
    process_raised,
)
from ledger.lending.alerts.calendar import (
    TIME_TOUCHED,
    compute_next_look,
    process_calendar,
    process_plan,
)
from ledger.lending.alerts.queue import (
    compute_dated_limit,
    compute_round_limit,
    get_waiting_count,
)
from ledger.lending.alerts.round import process_round
from ledger.lending.facts import Subject, compute_ledger_facts, get_loans, read_categories
from ledger.lending.limits.circles import process_links
from ledger.lending.limits.watch import Site
from ledger.lending.loans.booking import LOANS_TOUCHED
from ledger.membership.context import (
    BodyReader,
    Context,
    Handler,
    Role,
    RuleBook,
    check_company_known,
    check_role,
)
from ledger.rules.alert import Alert, AlertEvent, AlertOutcome, AlertState
from ledger.rules.features import Feature, FeatureSource
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_ALERTS
from ledger.transactions.fields import Fields

MAX_REVIEWED = 200
ONLY_WATCHES = "~"  # in the id of a rule that is tried and changes nothing (ledger.audit.what_if)
_STATE = b"S"


@dataclass(frozen=True, slots=True)
class Reach:
    """An alert in force, and what may change what it says."""

    alert: Alert
    schemas: frozenset[str]  # record schemas that it reads, itself or through the ledger's facts
    ledger_features: tuple[Feature, ...]  # that it reads, by name

    def is_touched(self, touched: Collection[str]) -> bool:
        """Tell whether what was touched may have changed what the alert says."""
        if TIME_TOUCHED in touched or not self.schemas.isdisjoint(touched):
            return True
        return bool(self.ledger_features) and (
            LOANS_TOUCHED in touched or ASSETS_TOUCHED in touched
        )


class Watch:
    """Where alerts are evaluated: the state and rules as of one block."""

    __slots__ = ("_in_force", "bodies", "day", "height", "rules", "state")

    def __init__(
        self, state: Overlay, rules: RuleBook, bodies: BodyReader, height: int, day: int
    ) -> None:
        self.state = state
        self.rules = rules
        self.bodies = bodies
        self.height = height
        self.day = day
        self._in_force: Mapping[str, Reach] | None = None

    @property
    def in_force(self) -> Mapping[str, Reach]:
        """The alerts in force by reference: computed once, and asked for every company."""
        if self._in_force is None:
            self._in_force = {
                item.ref: _compute_reach(item) for item in self.rules.alerts(self.day)
            }
        return self._in_force


def _compute_reach(alert: Alert) -> Reach:
    features = (alert.features[name] for name in sorted(alert.inputs))
    of_ledger = tuple(item for item in features if item.source is FeatureSource.LEDGER)
    return Reach(alert, alert.categories.union(*map(read_categories, of_ledger)), of_ledger)


def process_company_alerts(
    watch: Watch, company: str, touched: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Evaluate what `touched` ("C044/line", "loans") may have changed of one company.

    Called inside an open overlay transaction, once for each company that is due. Returns (rule,
    what happened) of each alert that was raised, repeated or cleared, by rule.
    """
    site = Site(watch.state, watch.height, watch.day)
    process_links(site, watch.bodies, company, touched)
    happened: list[tuple[str, str]] = []
    windows = CompanyWindows(watch.state, company)  # shared: most alerts read the same streams
    for ref, reach in watch.in_force.items():
        if reach.is_touched(touched):
            event = _process_alert(watch, company, reach, windows)
            if event is not None:
                happened.append((ref, str(event)))
    _plan_next_look(watch, company)
    return tuple(happened)


def process_timed_looks(
    watch: Watch, times_ms: tuple[int, int], limit: int, touched_count: int
) -> tuple[str, ...]:
    """Return the companies that a block looks at because of time, each once.

    Called inside an open overlay transaction, once a block; `times_ms` are the chain times of the
    block before and of this one. Of its `limit` looks `touched_count` companies that it touched,
    and those that wait, have their part.
    """
    before_ms, time_ms = times_ms
    waiting = get_waiting_count(watch.state) + touched_count
    dated = process_calendar(watch.state, watch.day, compute_dated_limit(limit, waiting))
    most = compute_round_limit(limit, waiting, len(dated), time_ms - before_ms)
    walked = process_round(watch.state, time_ms, most)
    names = _find_read_schemas(watch) if walked else frozenset()
    met = (company for company in walked if _has_records(watch.state, company, names))
    return tuple(dict.fromkeys((*dated, *met)))


def _find_read_schemas(watch: Watch) -> frozenset[str]:
    """Return the record schemas that alerts in force read, but for one that only watches."""
    reaches = watch.in_force.items()
    return frozenset().union(*(item.schemas for ref, item in reaches if ONLY_WATCHES not in ref))


def _has_records(state: Overlay, company: str, names: Collection[str]) -> bool:
    return any(name in names for name, _ in get_all_coverage(state, company.encode()))


def _plan_next_look(watch: Watch, company: str) -> None:
    """Put the company into the calendar for the next day on which time may change something."""
    standing = [
        (watch.in_force[ref].alert, state)
        for ref, state in _find_raised(watch.state, company)
        if ref in watch.in_force and ONLY_WATCHES not in ref
    ]
    loans = [loan for _, loan in get_loans(watch.state, company)]
    planned = compute_next_look(loans, standing, watch.day)
    process_plan(watch.state, company, planned, watch.day)


def _process_alert(
    watch: Watch, company: str, reach: Reach, windows: CompanyWindows
) -> AlertEvent | None:
    """Evaluate one alert of one company, and keep what happened."""
    alert = reach.alert
    subject = Subject(watch.state, watch.bodies, company, None, watch.day)
    facts = compute_ledger_facts(subject, reach.ledger_features)
    outcome = alert.evaluate(watch.day, windows, facts)
    key = company.encode() + _STATE + alert.ref.encode()
    kept = watch.state.get(COMPANY_ALERTS, key) or _take_over(watch, company, alert, key)
    before = AlertState.from_value(kept[0]) if kept is not None else AlertState()
    latest: bytes | None = kept[1] if kept is not None else None
    advanced, event = alert.advance(before, outcome, watch.day)
    after = _without_idle_counts(alert, advanced)
    if event in (AlertEvent.RAISED, AlertEvent.REPEATED):
        repeated = latest if event is AlertEvent.REPEATED else None
        latest = _raise_alert(watch, company, alert, outcome, repeated)
    elif event is AlertEvent.CLEARED and latest is not None:
        process_cleared(watch.state, latest, watch.day)
    if after != before or event is not None:
        watch.state.put(COMPANY_ALERTS, key, (after.to_value(), latest))
    return event


def _take_over(watch: Watch, company: str, alert: Alert, key: bytes) -> Any:
    """Move what an earlier version of a rule left of a company to `key`; None where it left none.

    A new version goes on where the old one stood: what that raised, this one may clear.
    """
    if alert.version == 1:
        return None
    earlier = [item for item in watch.rules.alerts() if item.id == alert.id]
    for item in sorted(earlier, key=lambda item: item.version, reverse=True):
        old_key = company.encode() + _STATE + item.ref.encode()
        kept = watch.state.get(COMPANY_ALERTS, old_key)
        if item.version < alert.version and kept is not None:
            state = replace(AlertState.from_value(kept[0]), held_count=0, clear_count=0)
            watch.state.delete(COMPANY_ALERTS, old_key)
            watch.state.put(COMPANY_ALERTS, key, (state.to_value(), kept[1]))
            return watch.state.get(COMPANY_ALERTS, key)
    return None


def _without_idle_counts(alert: Alert, state: AlertState) -> AlertState:
    """Return the state with its counts no higher than they matter, so that it rests when it can."""
    if state.is_raised:
        return replace(state, held_count=0, clear_count=min(state.clear_count, alert.clear_after))
    return replace(state, held_count=min(state.held_count, alert.raise_after), clear_count=0)


def _raise_alert(
    watch: Watch, company: str, alert: Alert, outcome: AlertOutcome, repeated: bytes | None
) -> bytes:
    alert_id = compute_alert_id(alert.ref, company, watch.height)
    raised = RaisedAlert(
        rule=alert.ref,
        rule_hash=alert.source_hash,
        company=company,
        severity=str(alert.severity),
        reason=alert.reason,
        text=alert.text,
        when=alert.when.source,
        inputs=outcome.inputs,
        day=watch.day,
        height=watch.height,
        is_repeat=repeated is not None,
        repeats="" if repeated is None else repeated.hex(),
    )
    process_raised(watch.state, alert_id, raised)
    return alert_id


def process_review(context: Context) -> Value:
    """Evaluate every alert of the named companies as of today; by a regulator.

    For who will not wait for the next round. It does not wait in the queue, and a company that
    waits there is evaluated once more when its turn comes.
    """
    body = Fields(context.body)
    companies = body.texts("companies", maximum=MAX_REVIEWED)
    body.done()
    check_role(context.sender, Role.REGULATOR)
    check_company_known(context.state, companies)
    watch = Watch(context.state, context.rules, context.bodies, context.height, context.day)
    touched = {LOANS_TOUCHED, TIME_TOUCHED}
    for alert in context.rules.alerts(context.day):
        touched |= alert.categories
    happened = {}
    for company in companies:
        events = process_company_alerts(watch, company, touched)
        if events:
            happened[company] = events
    return {"companies": len(companies), "happened": happened}


def find_standing(state: Overlay, company: str) -> tuple[str, ...]:
    """Return the rules that hold of a company now, by their references."""
    return tuple(ref for ref, _ in _find_raised(state, company))


def _find_raised(state: Overlay, company: str) -> Iterator[tuple[str, AlertState]]:
    prefix = company.encode() + _STATE
    for key, (stored, _) in state.scan(COMPANY_ALERTS, prefix):
        kept = AlertState.from_value(stored)
        if kept.is_raised:
            yield key[len(prefix) :].decode(), kept


HANDLERS: Mapping[str, Handler] = {"alert.review": process_review}
