"""From when until when a rule counts, and what of the past is still being counted for it.

What genesis registered is in force from the first block on and has no entry here. What the members
adopt later has a term: its first day, and a last one where it was ended. The versions of record
schemas have terms too: until its last day an old version is still accepted beside the new one.

A rule that asks of records what no rule asked before needs the windows of the past. They are built
by `ledger.credit.backfill`, a bounded number of records a block, and until that is done the rule is
among the `FillJob`s and does not count (ADR 0017). All of this stands in RULES:

    "term:" kind ":" ref              (first day, last day)
    "version:" category/schema/number the same, of a record schema's version
    "fill"                            the jobs, the first one at work
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from ledger.errors import Code, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import RULES

_TERM = "term:"
_VERSION = "version:"
_FILL = b"fill"


@dataclass(frozen=True, slots=True)
class Term:
    """Days since 1970-01-01, both included; None: from the beginning, without end."""

    first_day: int | None = None
    last_day: int | None = None

    def holds(self, day: int) -> bool:
        """Tell whether the day is in it."""
        return not self.is_before(day) and (self.last_day is None or day <= self.last_day)

    def is_before(self, day: int) -> bool:
        """Tell whether it begins only after the day."""
        return self.first_day is not None and day < self.first_day


ALWAYS = Term()


@dataclass(frozen=True, slots=True)
class FillJob:
    """One rule whose windows of the past are being built, and how far that is.

    `company`, `place` (of a record schema among the rule's, in order) and `day` are where to go on;
    `record_count` are the records read so far.
    """

    kind: str
    ref: str
    height: int
    company: str = ""
    place: int = 0
    day: int | None = None
    record_count: int = 0


def get_term(state: Overlay, kind: str, ref: str) -> Term:
    """Return the term of a rule."""
    return _get(state, f"{_TERM}{kind}:{ref}")


def put_term(state: Overlay, kind: str, ref: str, term: Term) -> None:
    """Keep it."""
    state.put(RULES, f"{_TERM}{kind}:{ref}".encode(), astuple(term))


def check_begun(state: Overlay, kind: str, ref: str, day: int) -> None:
    """Raise `Rejected` (2508) for a day before the rule counts, when something rests on it."""
    term = get_term(state, kind, ref)
    if term.is_before(day):
        raise Rejected(
            Code.RULE_DATE, f"{kind} {ref} counts from day {term.first_day}, want no earlier day"
        )


def get_version_term(state: Overlay, category: str, schema: str, version: int) -> Term:
    """Return from when until when records of a schema's version are accepted."""
    return _get(state, f"{_VERSION}{category}/{schema}/{version}")


def put_version_term(state: Overlay, category: str, schema: str, version: int, term: Term) -> None:
    """Keep it."""
    state.put(RULES, f"{_VERSION}{category}/{schema}/{version}".encode(), astuple(term))


def _get(state: Overlay, key: str) -> Term:
    value = state.get(RULES, key.encode())
    return ALWAYS if value is None else Term(*value)


def get_fill_jobs(state: Overlay) -> tuple[FillJob, ...]:
    """Return the jobs, the one at work first."""
    return tuple(FillJob(*item) for item in state.get(RULES, _FILL) or ())


def put_fill_jobs(state: Overlay, jobs: tuple[FillJob, ...]) -> None:
    """Keep what is left of them."""
    state.put(RULES, _FILL, tuple(astuple(job) for job in jobs) or None)
