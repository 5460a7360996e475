"""Limits watched: how far each is used, and the alerts that are raised when one is broken.

A limit is looked at when a loan moves (drawn, repaid, guaranteed, written off), when the
institution reports, and when companies become related. One that is broken raises an alert to the
institution's supervisor, once; when it is kept again the alert clears. A loan that stands is never
undone by this. A limit that is set to refuse (`is_hard`) rejects the drawing that would break it,
or that cannot be judged because nothing was reported.

When an institution reports, limits on one party are looked at for its MAX_PARTIES largest parties
and for those that are over the limit already; the amounts are ranked, so whoever is beyond them
owes less than all of these.

BREACHES holds, by institution, limit and subject, the alert of a limit that is broken now. The
subject of a group is the first of its companies by code; when groups merge, one breach remains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from ledger.credit.assets import KINDS, get_asset
from ledger.credit.document_numbers import normalise_number
from ledger.credit.notices import REGULATORS, NoticeKind, notify
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.lending.alerts.book import (
    RaisedAlert,
    compute_alert_id,
    process_cleared,
    process_raised,
)
from ledger.lending.facts import get_loans
from ledger.lending.limits.exposure import Party, get_company_exposures, get_largest, get_party_fen
from ledger.lending.limits.limits import Limit, Measure, Status, Unit, Use, get_limits
from ledger.lending.limits.positions import get_figure
from ledger.lending.limits.related import get_group
from ledger.lending.loans.guarantees import get_guarantor_exposure
from ledger.lending.loans.loan import Loan
from ledger.lending.loans.schedule import compute_months_begun
from ledger.membership.context import Context, Role
from ledger.membership.members import get_member
from ledger.state.overlay import Overlay
from ledger.state.tables import BREACHES

MAX_PARTIES = 200
LIMIT_RULE = "limit/"  # what the rule of such an alert begins with
REASON = "L001"
_SEPARATOR = b"\x00"
_GROUPS = {Measure.GROUP: Party.BORROWER, Measure.GUARANTEED_GROUP: Party.GUARANTEED}
_PARTIES = {
    Measure.BORROWER: Party.BORROWER,
    Measure.TERM: Party.BORROWER,
    Measure.DEBTOR: Party.DEBTOR,
    Measure.GUARANTEED_PARTY: Party.GUARANTEED,
    **_GROUPS,
}


@dataclass(frozen=True, slots=True)
class Site:
    """Where limits are looked at: the state as of one block."""

    state: Overlay
    height: int
    day: int


def get_kind(state: Overlay, institution: str) -> str:
    """Return the supervisory class of an institution, "" where it has none."""
    member = get_member(state, institution)
    return "" if member is None else member.kind


def get_debtor(state: Overlay, loan: Loan) -> str:
    """Return who owes the receivable that secures a loan, "" where nothing of that kind does.

    As it is compared: one debtor written in two ways is one debtor.
    """
    if not loan.asset:
        return ""
    asset = get_asset(state, bytes.fromhex(loan.asset))
    return normalise_number(asset.counterparty) if KINDS[asset.kind].is_claim else ""


def compute_use(site: Site, institution: str, limit: Limit, subject: str) -> Use:
    """Return how far a limit is used by `subject` ("" for the institution as a whole)."""
    value = _measure(site, institution, limit, subject)
    return Use(limit, subject, value, _get_base(site, institution, limit))


def compute_idle_use(site: Site, institution: str, limit: Limit) -> Use:
    """Return the use of a limit on parties where there is no party."""
    return Use(limit, "", 0, _get_base(site, institution, limit))


def _get_base(site: Site, institution: str, limit: Limit) -> int | None:
    return get_figure(site.state, institution, limit.base, site.day) if limit.base else None


def _measure(site: Site, institution: str, limit: Limit, subject: str) -> int | None:
    state, measure = site.state, limit.measure
    if measure == Measure.DEFINITION:
        return None
    if measure == Measure.GUARANTEED:
        return get_guarantor_exposure(state, institution).outstanding_fen
    if measure == Measure.TERM:
        return _longest_term(site, institution, subject, limit.unit)
    if measure in _GROUPS:
        companies, _ = get_group(state, subject)
        party = _GROUPS[Measure(measure)]
        return sum(get_party_fen(state, institution, party, company) for company in companies)
    if measure in _PARTIES:
        return get_party_fen(state, institution, _PARTIES[Measure(measure)], subject)
    return get_figure(state, institution, measure, site.day)


def _longest_term(site: Site, institution: str, company: str, unit: Unit) -> int:
    """Return the longest term of a company's open loans, in days or in months begun."""
    loans = (loan for _, loan in get_loans(site.state, company))
    return max(
        (
            loan.due_day - loan.drawn_day
            if unit is Unit.DAYS
            else compute_months_begun(loan.drawn_day, loan.due_day)
            for loan in loans
            if loan.lender == institution and not loan.is_closed
        ),
        default=0,
    )


def process_loan_limits(context: Context, loan: Loan, *, is_new: bool) -> None:
    """Look at what a loan that moved may have changed, for its lender and its guarantor.

    Raises `Rejected` LIMIT_EXCEEDED when the loan is new and goes beyond a limit that refuses.
    """
    site = Site(context.state, context.height, context.day)
    _process_parties(site, loan.lender, (Party.BORROWER, loan.company), is_new)
    debtor = get_debtor(context.state, loan)
    if debtor:
        _process_parties(site, loan.lender, (Party.DEBTOR, debtor), is_new)
    if loan.guarantor:
        _process_parties(site, loan.guarantor, (Party.GUARANTEED, loan.company), is_new)
        for limit in get_limits(site.state, get_kind(site.state, loan.guarantor), site.day):
            if limit.measure == Measure.GUARANTEED:
                _process_limit(site, loan.guarantor, limit, "", is_new)


def process_related(site: Site, companies: tuple[str, ...]) -> None:
    """Look at the limits on groups again, for whoever lends to or guarantees one of these.

    A group that fell apart is looked at for each of its companies, also those that owe nothing: one
    of them may have given the group its name.
    """
    lenders: set[str] = set()
    guarantors: set[str] = set()
    for company in companies:
        lenders.update(get_company_exposures(site.state, company))
        loans = (loan for _, loan in get_loans(site.state, company) if not loan.is_closed)
        guarantors.update(loan.guarantor for loan in loans if loan.guarantor)
    for institutions, party in ((lenders, Party.BORROWER), (guarantors, Party.GUARANTEED)):
        for institution in sorted(institutions):
            for company in companies:
                _process_parties(site, institution, (party, company), is_new=False)


def process_institution(site: Site, institution: str) -> None:
    """Look at every limit of an institution: its figures have changed.

    What was broken of a limit that is in force no more is cleared.
    """
    limits = get_limits(site.state, get_kind(site.state, institution), site.day)
    in_force = {limit.id for limit in limits}
    prefix = institution.encode() + _SEPARATOR
    for key, alert_id in tuple(site.state.scan(BREACHES, prefix)):
        limit_id, _, subject = key[len(prefix) :].decode().partition("\x00")
        if limit_id not in in_force:
            _end_breach(site, institution, limit_id, subject, alert_id)
    for limit in limits:
        for subject in find_subjects(site.state, institution, limit):
            _process_limit(site, institution, limit, subject, is_new=False)


def find_subjects(state: Overlay, institution: str, limit: Limit) -> tuple[str, ...]:
    """Return whom a limit is looked at for: its largest parties, and those over it already."""
    if limit.measure not in _PARTIES:
        return ("",)
    measure = Measure(limit.measure)
    largest = get_largest(state, institution, _PARTIES[measure], MAX_PARTIES)
    found = [company for company, _ in largest]
    if measure in _GROUPS:
        found = [get_group(state, company)[0][0] for company in found]
    found += [subject for subject, _ in get_breaches(state, institution, limit.id)]
    return tuple(dict.fromkeys(found))


def get_breaches(state: Overlay, institution: str, limit_id: str) -> Iterator[tuple[str, bytes]]:
    """Yield (subject, alert id) of a limit that is broken now."""
    prefix = _breach_key(institution, limit_id, "")
    for key, alert_id in state.scan(BREACHES, prefix):
        yield key[len(prefix) :].decode(), alert_id


def _process_parties(site: Site, institution: str, party: tuple[Party, str], is_new: bool) -> None:
    kind, name = party
    for limit in get_limits(site.state, get_kind(site.state, institution), site.day):
        if limit.measure not in _PARTIES or _PARTIES[Measure(limit.measure)] is not kind:
            continue
        subject = name
        if limit.measure in _GROUPS:
            companies, _ = get_group(site.state, name)
            subject = companies[0]
            _drop_merged(site, institution, limit, companies)
        _process_limit(site, institution, limit, subject, is_new)


def _drop_merged(site: Site, institution: str, limit: Limit, companies: tuple[str, ...]) -> None:
    """Clear breaches of groups that have become part of another group."""
    for subject, alert_id in tuple(get_breaches(site.state, institution, limit.id)):
        if subject in companies[1:]:
            _end_breach(site, institution, limit.id, subject, alert_id)


def _process_limit(site: Site, institution: str, limit: Limit, subject: str, is_new: bool) -> None:
    use = compute_use(site, institution, limit, subject)
    if is_new and limit.is_hard and use.status in (Status.BREACHED, Status.UNKNOWN):
        raise Rejected(Code.LIMIT_EXCEEDED, f"limit {limit.id} of {institution} {_sentence(use)}")
    alert_id = site.state.get(BREACHES, _breach_key(institution, limit.id, subject))
    if use.status is Status.BREACHED and alert_id is None:
        _begin_breach(site, institution, use)
    elif use.status is Status.KEPT and alert_id is not None:
        _end_breach(site, institution, limit.id, subject, alert_id)


def _sentence(use: Use) -> str:
    """Say why a loan is refused, without figures: they are the institution's own and regulators'.

    The sentence is read by the lender, the guarantor and the borrower.
    """
    if use.status is Status.UNKNOWN:
        return f"cannot be judged: {use.limit.base or use.limit.measure} was not reported"
    return "would be exceeded: the institution sees by how much (exposure limits)"


def _begin_breach(site: Site, institution: str, use: Use) -> None:
    limit, subject = use.limit, use.subject
    rule = f"{LIMIT_RULE}{limit.id}"
    alert_id = compute_alert_id(f"{rule}@{institution}", subject, site.height)
    member = get_member(site.state, limit.supervisor)
    is_known = member is not None and member.role is Role.REGULATOR and not member.is_removed
    word = "≥" if limit.is_minimum else "≤"
    base = f" of {limit.base}" if limit.base else ""
    raised = RaisedAlert(
        rule=rule,
        rule_hash=sha256(encode(limit.to_value())).digest(),
        company=subject,
        severity="orange" if limit.is_verified else "yellow",
        reason=REASON,
        text=limit.text,
        when=f"{limit.measure} {word} {limit.most} {limit.unit}{base}",
        inputs=((limit.measure, use.value), *(((limit.base, use.base),) if limit.base else ())),
        day=site.day,
        height=site.height,
        is_repeat=False,
        institution=institution,
        recipient=limit.supervisor if is_known else "",
    )
    process_raised(site.state, alert_id, raised)
    site.state.put(BREACHES, _breach_key(institution, limit.id, subject), alert_id)
    about = {"institution": institution, "limit": limit.id, "alert": alert_id.hex()}
    recipient = raised.recipient or REGULATORS
    notify(site.state, recipient, site.height, NoticeKind.LIMIT_BREACHED, about)


def _end_breach(site: Site, institution: str, limit_id: str, subject: str, alert_id: bytes) -> None:
    process_cleared(site.state, alert_id, site.day)
    site.state.delete(BREACHES, _breach_key(institution, limit_id, subject))


def _breach_key(institution: str, limit_id: str, subject: str) -> bytes:
    return _SEPARATOR.join((institution.encode(), limit_id.encode(), subject.encode()))
