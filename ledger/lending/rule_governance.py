"""The rules of credit by the members' vote: what a product's lender does not decide alone.

`rule.propose`, `rule.approve` and `rule.withdraw` are ballots like those on membership
(`ledger.membership.ballots`): one list, the same votes, expiry and states. A decided change is
active at once, in the sense that it is written; from which day it counts its own date says, which
is today or later.

| kind | what it does |
| --- | --- |
| rule | registers a feature schema, a scorecard or an alert, from a day on |
| end_alert | an alert counts until a day and no longer |
| category | a new category, or new versions of record schemas of an old one |
| rates | exchange rates, each of a currency and a day |
| setting | a named setting, from a day on |
| limit | a prudential limit of a supervisory class, from a day on |
| end_limit | a limit counts no more from a day on |

Versions only go up, and what was adopted is never changed: decisions name the versions they were
made by, and those stay readable. An alert's new version takes the place of the old one on its day,
and goes on where that stood. A schema or alert whose windows must first be built counts from its
day or when they are built, whichever is later (`ledger.credit.backfill`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from ledger.credit.backfill import add_fill_job, needs_backfill
from ledger.credit.category_changes import CategoryVersions, check_category_change
from ledger.credit.rates import Rate, check_rate_free, get_rate_ppm, get_rates, put_rate, read_rate
from ledger.credit.rule_terms import Term, check_begun, get_fill_jobs, get_term, get_version_term
from ledger.credit.rulebook import Rules
from ledger.credit.voted_settings import (
    SETTINGS_BY_VOTE,
    check_setting,
    get_changes,
    get_number,
    put_number,
)
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Rejected, RuleSourceError
from ledger.lending.facts import find_unsupported
from ledger.lending.limits.calendar import put_due
from ledger.lending.limits.limits import (
    MAX_LIMITS,
    Limit,
    end_limit,
    get_limits,
    limit_from_value,
    put_limit,
)
from ledger.membership.ballots import (
    Matter,
    process_approve,
    process_propose,
    process_withdraw,
)
from ledger.membership.context import Context, Handler, Query, QueryContext
from ledger.membership.members import get_member
from ledger.membership.proposals import Act, Proposal, ProposalState
from ledger.rules.alert import Alert
from ledger.rules.documents import load_kind
from ledger.rules.features import FeatureSource
from ledger.transactions.fields import Fields

MAX_SOURCE_BYTES = 65_536
MAX_RATES = 512
MAX_LISTED = 1_000
VOTED_KINDS = ("schema", "scorecard", "alert")


@dataclass(frozen=True, slots=True)
class AdoptRule:
    """A document in `smartrule/1`, which counts from a day on."""

    source: bytes
    effective_from: int


@dataclass(frozen=True, slots=True)
class EndAlert:
    """The alert `ref` counts until `last_day` and no longer."""

    ref: str
    last_day: int


@dataclass(frozen=True, slots=True)
class ChangeCategory:
    """A category as it shall be; what its new versions follow is accepted until a day, or ever."""

    value: Mapping[str, Any]
    effective_from: int
    accepted_until: int | None


@dataclass(frozen=True, slots=True)
class SetRates:
    """Exchange rates."""

    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """A setting's value from a day on."""

    name: str
    value: int
    effective_from: int


@dataclass(frozen=True, slots=True)
class ChangeLimit:
    """A prudential limit from a day on; None in place of a limit: the one of that id ends."""

    supervisory_class: str
    limit_id: str
    limit: Limit | None
    effective_from: int


Change: TypeAlias = AdoptRule | EndAlert | ChangeCategory | SetRates | ChangeSetting | ChangeLimit


def _read_rule(fields: Fields) -> Change:
    source = fields.bytes_("source", minimum=1, maximum=MAX_SOURCE_BYTES)
    return AdoptRule(source, fields.day("effective_from"))


def _read_end(fields: Fields) -> Change:
    return EndAlert(fields.text("ref"), fields.day("last_day"))


def _read_category(fields: Fields) -> Change:
    value = fields.raw("category")
    if not isinstance(value, Mapping):
        raise Rejected(Code.BODY_MALFORMED, "field category: want the map of a category")
    until = fields.optional_day("accepted_until")
    return ChangeCategory(value, fields.day("effective_from"), until)


def _read_rates(fields: Fields) -> Change:
    items = fields.raw("rates")
    if type(items) is not tuple or not 1 <= len(items) <= MAX_RATES:
        raise Rejected(Code.BODY_MALFORMED, f"field rates: want a list of 1 to {MAX_RATES}")
    rates = tuple(read_rate(item) for item in items)
    if len({(rate.currency, rate.day) for rate in rates}) != len(rates):
        raise Rejected(Code.BODY_MALFORMED, "field rates: a currency has two rates for one day")
    return SetRates(rates)


def _read_setting(fields: Fields) -> Change:
    name, value = fields.text("name"), fields.raw("value")
    return ChangeSetting(name, check_setting(name, value), fields.day("effective_from"))


def _read_limit(fields: Fields) -> Change:
    limit = limit_from_value(fields.raw("limit"))
    return ChangeLimit(limit.kind, limit.id, limit, fields.day("effective_from"))


def _read_end_limit(fields: Fields) -> Change:
    named = fields.identifier("class"), fields.identifier("id")
    return ChangeLimit(*named, None, fields.day("effective_from"))


_READERS: Mapping[str, Callable[[Fields], Change]] = {
    "rule": _read_rule,
    "end_alert": _read_end,
    "category": _read_category,
    "rates": _read_rates,
    "setting": _read_setting,
    "limit": _read_limit,
    "end_limit": _read_end_limit,
}


def read_change(fields: Fields) -> Change:
    """Return the change of a body's map, its form checked; raise `Rejected` (2008, 2511)."""
    change = _READERS[fields.choice("kind", _READERS)](fields)
    fields.done()
    return change


def _rules(context: Context | QueryContext) -> Rules:
    if not isinstance(context.rules, Rules):
        raise LocalError(Code.INTERNAL, "the rule book is not that of a state")
    return context.rules


def _check(context: Context, change: Change) -> None:
    """Raise `Rejected` where a change may not be, as things stand."""
    if isinstance(change, AdoptRule):
        _check_rule(context, change)
    elif isinstance(change, EndAlert):
        _check_end(context, change)
    elif isinstance(change, ChangeCategory):
        _check_category(context, change)
    elif isinstance(change, SetRates):
        for rate in change.rates:
            check_rate_free(context.state, rate)
    elif isinstance(change, ChangeLimit):
        _check_limit(context, change)
    else:
        _check_day(context, "effective_from", change.effective_from)


def _check_day(context: Context, name: str, day: int) -> None:
    if day < context.day:
        raise Rejected(
            Code.RULE_DATE, f"{name} is day {day}, want today, day {context.day}, or a later one"
        )


def _check_rule(context: Context, change: AdoptRule) -> tuple[str, Any]:
    """Return kind and document; raise `Rejected` (2501, 2502, 2507, 2508)."""
    _check_day(context, "effective_from", change.effective_from)
    rules = _rules(context)
    try:
        kind = load_kind(change.source)
    except RuleSourceError as error:
        raise Rejected(Code.RULE_INVALID, str(error)) from None
    if kind not in VOTED_KINDS:
        raise Rejected(Code.RULE_INVALID, f"a {kind} is registered by its lender, without a vote")
    document = rules.compile(kind, change.source)
    if document.ref in rules.references(kind):
        raise Rejected(Code.RULE_EXISTS, f"{kind} {document.ref} is registered already")
    versions = [ref.rpartition("/") for ref in rules.references(kind)]
    highest = max((int(last) for name, _, last in versions if name == document.id), default=0)
    if document.version <= highest:
        raise Rejected(
            Code.RULE_VERSION,
            f"{kind} {document.id} version {document.version}, want more than {highest}",
        )
    if isinstance(document, Alert):
        _check_alert(document)
    schema_ref = "" if kind == "schema" else document.schema_ref
    if schema_ref:
        check_begun(context.state, "schema", schema_ref, change.effective_from)
    return kind, document


def _check_alert(alert: Alert) -> None:
    """Raise for an alert that reads what is not known of a company without an application."""
    for name in sorted(alert.inputs):
        feature = alert.features[name]
        if feature.source not in (FeatureSource.RECORDS, FeatureSource.LEDGER):
            raise Rejected(
                Code.RULE_INVALID, f"{name} is of an {feature.source}: an alert cannot know it"
            )
        problem = find_unsupported(feature)
        if problem is not None:
            raise Rejected(Code.RULE_INVALID, problem)


def _check_end(context: Context, change: EndAlert) -> None:
    _check_day(context, "last_day", change.last_day)
    _rules(context).alert(change.ref)
    term = get_term(context.state, "alert", change.ref)
    if term.last_day is not None:
        raise Rejected(Code.RULE_DATE, f"alert {change.ref} ends on day {term.last_day} already")
    if term.is_before(change.last_day):
        raise Rejected(Code.RULE_DATE, f"alert {change.ref} begins on day {term.first_day} only")


def _check_limit(context: Context, change: ChangeLimit) -> None:
    _check_day(context, "effective_from", change.effective_from)
    state, day = context.state, change.effective_from
    known = {limit.id for limit in get_limits(state, change.supervisory_class, day)}
    if change.limit is None:
        if change.limit_id not in known:
            name = f"{change.supervisory_class} limit {change.limit_id}"
            raise Rejected(Code.BODY_MALFORMED, f"field id: {name} is not in force on day {day}")
        return
    supervisor = get_member(state, change.limit.supervisor)
    if supervisor is None or supervisor.is_removed:
        raise Rejected(Code.MEMBER_UNKNOWN, f"no member {change.limit.supervisor}")
    if len(known) >= MAX_LIMITS and change.limit_id not in known:
        raise Rejected(Code.BODY_MALFORMED, f"a class has at most {MAX_LIMITS} limits")


def _check_category(context: Context, change: ChangeCategory) -> CategoryVersions:
    _check_day(context, "effective_from", change.effective_from)
    if change.accepted_until is not None and change.accepted_until < change.effective_from:
        raise Rejected(
            Code.RULE_DATE,
            f"accepted_until is day {change.accepted_until}, before the new version counts",
        )
    return check_category_change(context.state, _rules(context), change.value)


def _decide(context: Context, proposal: Proposal, change: Change) -> Proposal:
    """Write what a quorum approved; raise `Rejected` if it may not be any more."""
    if isinstance(change, AdoptRule):
        kind, document = _check_rule(context, change)
        _adopt_rule(context, proposal, change, kind, document)
    elif isinstance(change, ChangeCategory):
        _put_category(context, change)
    else:
        _check(context, change)
        _put_plain(context, change)
    return proposal.after(Act.DECIDE, ProposalState.ACTIVE, active_from=context.height)


def _adopt_rule(
    context: Context, proposal: Proposal, change: AdoptRule, kind: str, document: Any
) -> None:
    rules = _rules(context)
    rules.register(kind, change.source, proposal.proposer, context.height)
    rules.set_term(kind, document.ref, Term(change.effective_from))
    if kind != "scorecard" and needs_backfill(rules, kind, document.ref):
        add_fill_job(context.state, kind, document.ref, context.height)


def _put_category(context: Context, change: ChangeCategory) -> None:
    versions = _check_category(context, change)
    terms = {key: Term(change.effective_from) for key in versions.fresh}
    if change.accepted_until is not None:
        for name, version in versions.followed:
            before = get_version_term(context.state, change.value["id"], name, version)
            terms[name, version] = Term(before.first_day, change.accepted_until)
    _rules(context).put_category(change.value, terms)


def _put_plain(context: Context, change: EndAlert | SetRates | ChangeSetting | ChangeLimit) -> None:
    state = context.state
    if isinstance(change, EndAlert):
        first_day = get_term(state, "alert", change.ref).first_day
        _rules(context).set_term("alert", change.ref, Term(first_day, change.last_day))
    elif isinstance(change, SetRates):
        for rate in change.rates:
            put_rate(state, rate)
    elif isinstance(change, ChangeLimit):
        if change.limit is not None:
            put_limit(state, change.limit, change.effective_from)
        else:
            end_limit(state, change.supervisory_class, change.limit_id, change.effective_from)
        put_due(state, change.supervisory_class, change.effective_from)
    else:
        put_number(state, change.name, change.value, change.effective_from)


MATTER: Matter[Change] = Matter("rule", _READERS.__contains__, read_change, _check, _decide)


def handle_propose(context: Context) -> Value:
    """`rule.propose` {change, expires_ms, note?}: propose a change; it counts as a vote for it."""
    return process_propose(context, MATTER)


def handle_approve(context: Context) -> Value:
    """`rule.approve` {proposal}: vote for a proposal; the vote that makes a quorum decides it."""
    return process_approve(context, MATTER)


def handle_withdraw(context: Context) -> Value:
    """`rule.withdraw` {proposal}: take an own proposal back while it is open."""
    return process_withdraw(context, MATTER)


def query_status(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`rules.status` {}: from when until when each voted rule counts, and whether it does now.

    `state` is later, counting (windows of the past are being built), in force, followed (an alert
    with a later version in force) or ended. `records` are those counted so far.
    """
    Fields(body).done()
    jobs = {(job.kind, job.ref): job for job in get_fill_jobs(context.state)}
    in_force = {alert.ref for alert in _rules(context).alerts(context.day)}
    items: list[Value] = []
    for kind in VOTED_KINDS:
        for ref in context.rules.references(kind):
            term = get_term(context.state, kind, ref)
            job = jobs.get((kind, ref))
            is_followed = kind == "alert" and ref not in in_force
            owner, height = context.rules.owner(kind, ref)
            items.append(
                {
                    "kind": kind,
                    "ref": ref,
                    "owner": owner,
                    "height": height,
                    "effective_from": term.first_day,
                    "last_day": term.last_day,
                    "state": _name_state(term, context.day, job is not None, is_followed),
                    "records": None if job is None else job.record_count,
                }
            )
    return {"rules": items}


def _name_state(term: Term, day: int, is_filling: bool, is_followed: bool) -> str:
    if is_filling:
        return "counting"
    if term.is_before(day):
        return "later"
    if not term.holds(day):
        return "ended"
    return "followed" if is_followed else "in force"


def query_rates(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`rates.list` {currency, from_day, to_day}: the rates that were set, and today's."""
    fields = Fields(body)
    currency = fields.text("currency", maximum=3)
    first_day, last_day = fields.day("from_day"), fields.day("to_day")
    fields.done()
    found = islice(get_rates(context.state, currency, first_day, last_day), MAX_LISTED)
    return {
        "currency": currency,
        "rates": tuple((rate.day, rate.ppm) for rate in found),
        "today_ppm": get_rate_ppm(context.state, currency, context.day),
    }


def query_settings(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`settings.list` {}: what can be set by vote, its bounds, today's value and all changes."""
    Fields(body).done()
    return {
        "settings": [
            {
                "name": name,
                "text": spec.text,
                "lowest": spec.lowest,
                "highest": spec.highest,
                "value": get_number(context.state, name, context.day),
                "changes": tuple(get_changes(context.state, name)),
            }
            for name, spec in sorted(SETTINGS_BY_VOTE.items())
        ]
    }


HANDLERS: Mapping[str, Handler] = {
    "rule.propose": handle_propose,
    "rule.approve": handle_approve,
    "rule.withdraw": handle_withdraw,
}
QUERIES: Mapping[str, Query] = {
    "rules.status": query_status,
    "rates.list": query_rates,
    "settings.list": query_settings,
}
