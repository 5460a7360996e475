"""Prudential limits: what the supervisor allows an institution of a class, measured on its loans.

A limit compares a measure with a base. Measures of the loan book (what one borrower, one group, one
debtor owes, what is guaranteed) come from totals that are kept while loans are booked; every other
measure, and every base, is a figure of the institution's own reports
(`ledger.lending.limits.positions`). A ratio is held in basis points and compared without a
division: it is broken when value × 10,000 is more than most × base, or less where the limit is a
minimum. A base that nobody reported makes a limit unknown, never kept; one that is zero or negative
is exceeded by anything owed.

LIMITS holds them by class, id and the day from which they count, so that the value of a day stays
the value of that day. They come from genesis (`genesis/networks/*/limits.csv`) under the setting
`prudential_limits`; `put_limit` is what a decided vote calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from ledger.encoding import decode
from ledger.errors import Code, CreditLedgerError, Refused, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import LIMITS
from ledger.transactions.envelope import check_name
from ledger.transactions.fields import MAX_AMOUNT_FEN, Fields

GENESIS_SETTING = "prudential_limits"
MAX_LIMITS = 1_000
MAX_TEXT = 128
BP = 10_000
_SEPARATOR = b"\x00"
_DAY_BASE = 1 << 31


class Unit(StrEnum):
    """What `most` counts; a ratio to the base in basis points, or a number of its own."""

    RATIO_BP = "bp"
    FEN = "fen"
    DAYS = "days"
    MONTHS = "months"


class Measure(StrEnum):
    """What is measured on the ledger's own loans; any other measure is a reported balance."""

    BORROWER = "borrower"  # outstanding principal of one borrower
    GROUP = "group"  # … of a borrower and the companies related to it
    DEBTOR = "debtor"  # … of loans secured by receivables that one debtor owes
    TERM = "term"  # the longest term of a borrower's open loans, in months begun
    GUARANTEED = "guaranteed"  # all that a guarantor stands for
    GUARANTEED_PARTY = "guaranteed_party"  # … for one company
    GUARANTEED_GROUP = "guaranteed_group"  # … for a company and those related to it
    DEFINITION = "definition"  # a number that others use; nothing is compared with it


class Status(StrEnum):
    """How a limit stands."""

    KEPT = "kept"
    BREACHED = "breached"
    UNKNOWN = "unknown"  # what it is measured against, or the measure, was not reported
    DEFINITION = "definition"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one supervisory class; `most` in its unit, `base` "" for a plain number.

    `is_hard`: a loan or guarantee beyond it is refused; else it is watched. `supervisor` is the
    member whose matter a breach is. `is_verified`: the figure was checked against the law's text.
    """

    id: str
    kind: str
    measure: str
    base: str
    most: int
    unit: Unit
    is_minimum: bool
    is_hard: bool
    supervisor: str
    text: str
    source: str
    is_verified: bool

    def to_value(self) -> dict[str, Any]:
        """Return it as a canonical map."""
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        return shown | {"unit": str(self.unit)}


@dataclass(frozen=True, slots=True)
class Use:
    """How far a limit is used: the measure and its base as of now, None where not reported."""

    limit: Limit
    subject: str  # a company's code, or "" for the institution as a whole
    value: int | None
    base: int | None

    @property
    def status(self) -> Status:
        """Whether the limit is kept."""
        limit = self.limit
        if limit.measure == Measure.DEFINITION:
            return Status.DEFINITION
        if self.value is None or (limit.base and self.base is None):
            return Status.UNKNOWN
        have, may = self._sides(self.value)
        is_breached = have < may if limit.is_minimum else have > may
        return Status.BREACHED if is_breached else Status.KEPT

    @property
    def used_bp(self) -> int | None:
        """The measure as a share of what is allowed, in basis points, rounded up; None unknown."""
        if self.status in (Status.UNKNOWN, Status.DEFINITION):
            return None
        have, may = self._sides(self.value or 0)
        if may <= 0:
            return 0 if have <= 0 else None
        return -(-have * BP // may)

    def _sides(self, value: int) -> tuple[int, int]:
        """Return what is compared: (the measure, the most), both in the same unit."""
        if not self.limit.base:
            return value, self.limit.most
        return value * BP, self.limit.most * max(0, self.base or 0)


def limit_from_value(value: object) -> Limit:
    """Return the limit of a map with every field of `Limit`; raise `Rejected` (2008)."""
    body = Fields(value if isinstance(value, Mapping) else {})
    base = body.identifier("base") if body.raw("base") else ""
    limit = Limit(
        id=body.identifier("id"),
        kind=body.identifier("kind"),
        measure=body.identifier("measure"),
        base=base,
        most=body.integer("most", minimum=1, maximum=MAX_AMOUNT_FEN),
        unit=Unit(body.choice("unit", Unit)),
        is_minimum=body.flag("is_minimum"),
        is_hard=body.flag("is_hard"),
        supervisor=body.identifier("supervisor"),
        text=body.text("text", maximum=MAX_TEXT),
        source=body.text("source", maximum=MAX_TEXT),
        is_verified=body.flag("is_verified"),
    )
    body.done()
    if (limit.unit is Unit.RATIO_BP) != bool(base):
        raise Rejected(
            Code.BODY_MALFORMED, "field base: a ratio has a base, and nothing else has one"
        )
    return limit


def read_genesis_limits(settings: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Return the limits of the genesis document; raise `Refused` 7002 with the place."""
    data = settings.get(GENESIS_SETTING)
    if data is None:
        return ()
    place = f"settings.{GENESIS_SETTING}"
    rows = decode(data) if type(data) is bytes else None
    if type(rows) is not tuple or len(rows) > MAX_LIMITS:
        raise Refused(
            Code.GENESIS_INVALID, f"{place}: want a list of at most {MAX_LIMITS} in bytes"
        )
    found: list[Limit] = []
    for index, row in enumerate(rows):
        try:
            found.append(limit_from_value(row))
        except CreditLedgerError as error:
            raise Refused(Code.GENESIS_INVALID, f"{place}[{index}]: {error.message}") from None
    return tuple(found)


def put_limits(state: Overlay, limits: Iterable[Limit], day: int) -> None:
    """Keep limits, each from `day` on."""
    for limit in limits:
        put_limit(state, limit, day)


def put_limit(state: Overlay, limit: Limit, day: int) -> None:
    """Keep a limit from a day on; an earlier value stays that of the days before."""
    state.put(LIMITS, _prefix(limit.kind) + _id_key(limit.id) + _day_key(day), limit.to_value())


def end_limit(state: Overlay, kind: str, limit_id: str, day: int) -> None:
    """Let a limit count no more from a day on."""
    state.put(LIMITS, _prefix(kind) + _id_key(limit_id) + _day_key(day), {})


def get_limits(state: Overlay, kind: str, day: int) -> tuple[Limit, ...]:
    """Return the limits in force for a supervisory class on a day, by id."""
    if not kind:
        return ()
    found: dict[bytes, Any] = {}
    for key, value in state.scan(LIMITS, _prefix(kind)):
        if key[-4:] <= _day_key(day):
            found[key[:-4]] = value
    return tuple(_stored_limit(value) for value in found.values() if value)


def _stored_limit(value: Mapping[str, Any]) -> Limit:
    return Limit(**{**value, "unit": Unit(value["unit"])})


def _prefix(kind: str) -> bytes:
    check_name("kind", kind)
    return kind.encode() + _SEPARATOR


def _id_key(limit_id: str) -> bytes:
    return limit_id.encode() + _SEPARATOR


def _day_key(day: int) -> bytes:
    return (day + _DAY_BASE).to_bytes(4, "big")
