"""Acts and questions about authorisations, looks at authorised data, objections and notices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ledger.credit.consent import read_terms
from ledger.credit.persons import name_person, sign_agreement
from ledger.keys import SigningKey
from ledger.transactions.fields import Fields
from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class ConsentState:
    """An authorisation and where it stands: PENDING, ACTIVE, PAUSED, REVOKED, REJECTED, EXPIRED."""

    consent: str
    state: str


@dataclass(frozen=True, slots=True)
class GrantConsent(Act[ConsentState]):
    """By the company, or a counter for it: let `recipient` see categories for a purpose.

    `agreements` are (person, signature) of each of `persons`: `sign_agreement` makes them.
    """

    kind: ClassVar[str] = "consent.grant"
    company: str
    recipient: str
    categories: tuple[str, ...]
    purpose: str
    mode: str
    from_day: int
    to_day: int
    starts_ms: int
    expires_ms: int
    fetch: str
    looks_a_month: int | None = None
    data_life_days: int | None = None
    persons: tuple[str, ...] | None = None
    is_onward_allowed: bool | None = None
    is_cross_border: bool | None = None
    decision_from_day: int | None = None
    agreements: tuple[tuple[str, bytes], ...] | None = None


@dataclass(frozen=True, slots=True)
class RequestConsent(Act[ConsentState]):
    """By the recipient: ask a company for an authorisation in these terms."""

    kind: ClassVar[str] = "consent.request"
    company: str
    recipient: str
    categories: tuple[str, ...]
    purpose: str
    mode: str
    from_day: int
    to_day: int
    starts_ms: int
    expires_ms: int
    fetch: str
    looks_a_month: int | None = None
    data_life_days: int | None = None
    persons: tuple[str, ...] | None = None
    is_onward_allowed: bool | None = None
    is_cross_border: bool | None = None
    decision_from_day: int | None = None


@dataclass(frozen=True, slots=True)
class AcceptConsent(Act[ConsentState]):
    """By the company: accept what was requested, with the agreements of the persons named."""

    kind: ClassVar[str] = "consent.accept"
    consent: str
    agreements: tuple[tuple[str, bytes], ...] | None = None


@dataclass(frozen=True, slots=True)
class RejectConsent(Act[ConsentState]):
    """By the company: reject what was requested."""

    kind: ClassVar[str] = "consent.reject"
    consent: str


@dataclass(frozen=True, slots=True)
class PauseConsent(Act[ConsentState]):
    """By the company: let nobody look for now."""

    kind: ClassVar[str] = "consent.pause"
    consent: str


@dataclass(frozen=True, slots=True)
class ResumeConsent(Act[ConsentState]):
    """By the company: end a pause."""

    kind: ClassVar[str] = "consent.resume"
    consent: str


@dataclass(frozen=True, slots=True)
class RevokeConsent(Act[ConsentState]):
    """By the company: end an authorisation for good."""

    kind: ClassVar[str] = "consent.revoke"
    consent: str


@dataclass(frozen=True, slots=True)
class PersonBound:
    """Whose key was bound, and whether it replaced another."""

    person: str
    replaced: bool


@dataclass(frozen=True, slots=True)
class BindPerson(Act[PersonBound]):
    """By a counter: bind a key to a natural person, who is named by 32 hexadecimal digits."""

    kind: ClassVar[str] = "person.bind"
    person: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class WithdrawAgreement(Act[ConsentState]):
    """By anybody, with the person's signature (`sign_withdrawal`): end an authorisation."""

    kind: ClassVar[str] = "person.withdraw"
    consent: str
    person: str
    signature: bytes


def sign_terms(grant: GrantConsent | RequestConsent, key: SigningKey, chain_id: bytes) -> bytes:
    """Return the agreement of the person whose first key this is to what a grant says."""
    return sign_agreement(key, chain_id, name_person(key.public_key), read_terms_of(grant.body()))


def read_terms_of(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the terms that persons sign, of the body of a grant or request."""
    said = {name: value for name, value in body.items() if name != "agreements"}
    return read_terms(Fields(said)).terms()


@dataclass(frozen=True, slots=True)
class Consent:
    """One authorisation as it stands now; `state` is USED when nothing more can come of it.

    `looks_left` counts for this month; `next_look_ms` is None when no look will be allowed again.
    """

    consent: str
    state: str
    company: str
    recipient: str
    categories: tuple[str, ...]
    purpose: str
    mode: str
    from_day: int
    to_day: int
    decision_from_day: int
    starts_ms: int
    expires_ms: int
    fetch: str
    looks_a_month: int
    data_life_days: int
    persons: tuple[str, ...]
    is_onward_allowed: bool
    is_cross_border: bool
    granted_by: str
    height: int
    looks_taken: int
    looks_left: int
    next_look_ms: int | None
    may_decide: bool


@dataclass(frozen=True, slots=True)
class ConsentTerms(Consent):
    """An authorisation, and in words what the ledger enforces of it and what rests on a promise."""

    enforced: tuple[str, ...]
    promised: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowConsent(Ask[ConsentTerms]):
    """One authorisation."""

    name: ClassVar[str] = "consent.show"
    consent: str


@dataclass(frozen=True, slots=True)
class NeededDays:
    """The days that a product reads of a category; None where it reads no window of it."""

    category: str
    first_day: int | None
    last_day: int | None


@dataclass(frozen=True, slots=True)
class Needed:
    """What an application needs, the authorisations it would rest on, and why it is refused."""

    company: str
    product: str
    lender: str
    categories: tuple[NeededDays, ...]
    consents: tuple[str, ...]
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ShowNeededConsent(Ask[Needed]):
    """Which days of which categories must be authorised to apply for a product today."""

    name: ClassVar[str] = "consent.needed"
    company: str
    product: str


@dataclass(frozen=True, slots=True)
class Consents:
    """A company's authorisations that the caller may see."""

    company: str
    consents: tuple[Consent, ...]


@dataclass(frozen=True, slots=True)
class ListConsents(Ask[Consents]):
    """The authorisations of a company."""

    name: ClassVar[str] = "consent.list"
    company: str


@dataclass(frozen=True, slots=True)
class LookTerms:
    """What the reader owes the company under one consent; in mode view nothing may be kept."""

    consent: str
    mode: str
    keep_until_day: int | None
    persons: tuple[str, ...]
    is_onward_allowed: bool
    is_cross_border: bool


@dataclass(frozen=True, slots=True)
class AccessOpened:
    """A look that is logged: `code` 0 and outcome GRANTED, or the code of its refusal."""

    access: str
    outcome: str
    code: int
    text: str
    consents: tuple[str, ...]
    log_size: int
    terms: tuple[LookTerms, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenAccess(Act[AccessOpened]):
    """Log a look at a company's authorised data; a refused one is logged too, and not raised."""

    kind: ClassVar[str] = "access.open"
    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int | None = None
    to_day: int | None = None


@dataclass(frozen=True, slots=True)
class ShareAccess(Act[AccessOpened]):
    """By the reader of a look that is open: let another institution see the same."""

    kind: ClassVar[str] = "access.share"
    access: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was kept of a look is deleted; `days_late` is 0 in time."""

    access: str
    company: str
    due_day: int
    days_late: int


@dataclass(frozen=True, slots=True)
class TellDeleted(Act[Deleted]):
    """By the reader of a look: what I kept of it is gone."""

    kind: ClassVar[str] = "access.deleted"
    access: str


@dataclass(frozen=True, slots=True)
class KeptData:
    """What a reader keeps of a look; `deletion` is DUE, LATE or TOLD."""

    access: str
    reader: str
    company: str
    categories: tuple[str, ...]
    consents: tuple[str, ...]
    due_day: int
    told_day: int | None
    deletion: str


@dataclass(frozen=True, slots=True)
class OverdueDeletions:
    """Whose deletion is late."""

    overdue: tuple[KeptData, ...]


@dataclass(frozen=True, slots=True)
class ListOverdue(Ask[OverdueDeletions]):
    """Who kept data longer than it may: all for regulators, else what concerns the caller."""

    name: ClassVar[str] = "access.overdue"
    company: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One logged look, or a decision by rule; `via` passed it on to the reader, if it is not "".

    `keep_until_day` and `deletion` (DUE, LATE, TOLD, "") say what the reader still has to delete.
    """

    access: str
    reader: str
    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int
    to_day: int
    consents: tuple[str, ...]
    outcome: str
    code: int
    height: int
    time_ms: int
    log_size: int
    log_root: bytes
    via: str = ""
    keep_until_day: int | None = None
    deletion: str = ""


@dataclass(frozen=True, slots=True)
class Accesses:
    """Looks at a company's data; go on from `next_height` unless it is None."""

    company: str
    accesses: tuple[Access, ...]
    next_height: int | None


@dataclass(frozen=True, slots=True)
class ListAccesses(Ask[Accesses]):
    """Who looked at a company's authorised data."""

    name: ClassVar[str] = "access.list"
    company: str
    from_height: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """One objection to a record, and where it stands."""

    objection: str
    company: str
    category: str
    schema: str
    day: int
    digest: bytes
    owner: str
    text: str
    opened_day: int
    due_day: int
    state: str
    answer: str
    decided_by: str
    decided_day: int | None
    complaint: str
    is_annotated: bool
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class OpenObjection(Act[Objection]):
    """By the company: this record of mine is wrong."""

    kind: ClassVar[str] = "objection.open"
    company: str
    category: str
    day: int
    digest: bytes
    text: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class DecideObjection(Act[Objection]):
    """By the category's owner."""

    kind: ClassVar[str] = "objection.decide"
    objection: str
    outcome: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawObjection(Act[Objection]):
    """By the company."""

    kind: ClassVar[str] = "objection.withdraw"
    objection: str


@dataclass(frozen=True, slots=True)
class ComplainOfObjection(Act[Objection]):
    """By the company, to the regulator: the owner's decision, or that there is none."""

    kind: ClassVar[str] = "objection.complain"
    objection: str
    text: str


@dataclass(frozen=True, slots=True)
class RuleOnObjection(Act[Objection]):
    """By a regulator, on a complaint."""

    kind: ClassVar[str] = "objection.rule"
    objection: str
    outcome: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Objections:
    """A company's objections."""

    company: str
    objections: tuple[Objection, ...]


@dataclass(frozen=True, slots=True)
class ListObjections(Ask[Objections]):
    """The objections of a company."""

    name: ClassVar[str] = "objection.list"
    company: str


@dataclass(frozen=True, slots=True)
class Notices:
    """What the caller was told, each a map with its `kind`; go on from `next_height`."""

    notices: tuple[Any, ...]
    next_height: int | None


@dataclass(frozen=True, slots=True)
class ListNotices(Ask[Notices]):
    """What the ledger has to tell the caller: corrections of what it read, complaints, clocks."""

    name: ClassVar[str] = "notices.list"
    from_height: int | None = None
    limit: int | None = None
