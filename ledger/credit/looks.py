"""What a look may rest on: which consents, how many looks they still allow, which days they open.

A consent for one look is used up by it; another allows so many looks a calendar month. Each look of
a reader's own accord is counted here, on the company's shelf, as many times as a consent may allow
a month. Of several consents those are taken that allow one more look, open some of the days that
are asked for, and let the data go where the reader is; where none does, the look is refused with
what stands against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ledger.credit.consent import Consent, ConsentState, compute_state, find_basis, get_consent
from ledger.credit.keeping import check_nothing_late
from ledger.errors import Code, Rejected
from ledger.membership.context import MS_A_DAY
from ledger.membership.members import ABROAD, get_member
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_ACCESSES
from ledger.transactions.fields import FIRST_DAY, LAST_DAY

LOOKS_KEPT = 31
ONCE = "once"
_BY_CONSENT = b"C"
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Look:
    """Who wants to see what of whom, for what, and of which days."""

    reader: str
    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int = FIRST_DAY
    to_day: int = LAST_DAY


def show_day(day: int) -> str:
    """Return a day as a date, for a sentence."""
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()


def is_abroad(state: Overlay, member_id: str) -> bool:
    """Tell whether data that the member sees has left the country."""
    member = get_member(state, member_id)
    return member is not None and ABROAD in member.capabilities


def count_look(state: Overlay, company: str, consents: Iterable[str], time_ms: int) -> None:
    """Count a look against the consents that it rests on."""
    for consent_id in consents:
        times = (*get_look_times(state, company, consent_id), time_ms)
        state.put(COMPANY_ACCESSES, _key(company, consent_id), times[-LOOKS_KEPT:])


def get_look_times(state: Overlay, company: str, consent_id: str) -> tuple[int, ...]:
    """Return when the last looks under a consent were taken, in ms of chain time."""
    found: tuple[int, ...] = state.get(COMPANY_ACCESSES, _key(company, consent_id)) or ()
    return found


def _key(company: str, consent_id: str) -> bytes:
    return company.encode() + _BY_CONSENT + bytes.fromhex(consent_id)


def count_looks_left(state: Overlay, consent_id: str, consent: Consent, time_ms: int) -> int:
    """Return how many looks the consent still allows this month, were it active."""
    times = get_look_times(state, consent.company, consent_id)
    if consent.fetch == ONCE:
        return 0 if times else 1
    in_month = sum(_month(time) == _month(time_ms) for time in times)
    return max(0, consent.looks_a_month - in_month)


def compute_next_look_ms(
    state: Overlay, consent_id: str, consent: Consent, time_ms: int
) -> int | None:
    """Return from when on the consent allows a look again; None if it never will."""
    if count_looks_left(state, consent_id, consent, time_ms):
        return time_ms
    if consent.fetch == ONCE:
        return None
    year, month = _month(time_ms)
    following = date(year + month // 12, month % 12 + 1, 1)
    next_ms = (following.toordinal() - _EPOCH_ORDINAL) * MS_A_DAY
    return next_ms if next_ms < consent.expires_ms else None


def _month(time_ms: int) -> tuple[int, int]:
    found = date.fromordinal(_EPOCH_ORDINAL + time_ms // MS_A_DAY)
    return found.year, found.month


def find_look_basis(state: Overlay, look: Look, time_ms: int) -> tuple[str, ...]:
    """Return the consents that a look rests on, those that allow it before the others.

    Raises `Rejected` CONSENT_MISSING; whether the look is allowed is for `check_look` to say.
    """

    def is_fit(consent_id: str, consent: Consent, category: str) -> bool:  # noqa: ARG001
        try:
            _check_consent(state, look, consent_id, consent, time_ms)
        except Rejected:
            return False
        return True

    return find_basis(
        state, look.company, look.reader, look.categories, look.purpose, time_ms, is_fit
    )


def check_look(
    state: Overlay, look: Look, consents: Iterable[str], time_ms: int
) -> tuple[int, int]:
    """Return the (first, last) day that a look under these consents may show.

    Raises `Rejected`: CONSENT_USED when one allows no further look, CONSENT_DAYS when nothing that
    is asked for is open, CONSENT_BORDER when the reader is abroad and the data may not leave,
    DELETION_OVERDUE while the reader owes the company word of a deletion.
    """
    check_nothing_late(state, look.company, look.reader, time_ms // MS_A_DAY)
    first, last = look.from_day, look.to_day
    for consent_id in consents:
        consent = get_consent(state, bytes.fromhex(consent_id))
        if consent is not None:
            _check_consent(state, look, consent_id, consent, time_ms)
            first, last = max(first, consent.from_day), min(last, consent.to_day)
    if first > last:
        raise Rejected(
            Code.CONSENT_DAYS, "the authorisations have no day in common: look at less at a time"
        )
    return first, last


def check_border(state: Overlay, reader: str, consent_id: str, consent: Consent) -> None:
    """Raise `Rejected` CONSENT_BORDER when the data may not go where the reader is."""
    if not consent.is_cross_border and is_abroad(state, reader):
        raise Rejected(
            Code.CONSENT_BORDER,
            f"{reader} is abroad, and consent {consent_id} does not let data leave the country",
        )


def check_onward(state: Overlay, recipient: str, consents: Iterable[tuple[str, Consent]]) -> None:
    """Raise `Rejected` (2219, 2223) unless data under the consents may go on to `recipient`."""
    for consent_id, consent in consents:
        if not consent.is_onward_allowed:
            raise Rejected(
                Code.CONSENT_ONWARD, f"consent {consent_id} does not let data be passed on"
            )
        check_border(state, recipient, consent_id, consent)


def check_holds(state: Overlay, consents: Iterable[str], time_ms: int) -> tuple[Consent, ...]:
    """Return the consents; raise `Rejected` ACCESS_UNFIT when one of them is not active now."""
    found = []
    for consent_id in consents:
        consent = get_consent(state, bytes.fromhex(consent_id))
        if consent is None or compute_state(consent, time_ms) is not ConsentState.ACTIVE:
            raise Rejected(
                Code.ACCESS_UNFIT, f"consent {consent_id} that it rests on does not hold any more"
            )
        found.append(consent)
    return tuple(found)


def _check_consent(
    state: Overlay, look: Look, consent_id: str, consent: Consent, time_ms: int
) -> None:
    _check_left(state, consent_id, consent, time_ms)
    if max(look.from_day, consent.from_day) > min(look.to_day, consent.to_day):
        raise Rejected(
            Code.CONSENT_DAYS,
            f"consent {consent_id} opens {show_day(consent.from_day)} to"
            f" {show_day(consent.to_day)}, and none of the days that were asked for",
        )
    check_border(state, look.reader, consent_id, consent)


def _check_left(state: Overlay, consent_id: str, consent: Consent, time_ms: int) -> None:
    if count_looks_left(state, consent_id, consent, time_ms):
        return
    if consent.fetch == ONCE:
        raise Rejected(Code.CONSENT_USED, f"consent {consent_id} is for one look, and it was taken")
    raise Rejected(
        Code.CONSENT_USED,
        f"consent {consent_id} allows {consent.looks_a_month} looks a month, all taken",
    )
