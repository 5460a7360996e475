"""Decisions: what a product says of an application, with enough to compute it again (RULES.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.rules.units import FactValue


class Outcome(StrEnum):
    """The three answers: unknown is never a grant and never a decline."""

    GRANT = "GRANT"
    DECLINE = "DECLINE"
    REFER = "REFER"


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition that did not hold: FAIL, or the kind of error that kept it from being known."""

    code: str
    condition: str
    result: str
    inputs: tuple[tuple[str, FactValue | None], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome and all it rests on. Amounts in fen, rate in basis points, date in days."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    score: int | None
    score_reasons: tuple[str, ...]
    limit_fen: int | None
    amount_fen: int | None
    rate_bp: int | None
    product: str
    rule_hash: bytes
    schema: str
    scorecard: str
    as_of: int | None
    features_digest: bytes

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value."""
        raise NotImplementedError

    @classmethod
    def from_value(cls, value: Any) -> Decision:
        """Return the decision of `to_value`; raise `Refused` if it is malformed."""
        raise NotImplementedError
