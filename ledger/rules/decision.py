"""Decisions: what a product says of an application, with enough to compute it again (RULES.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.errors import Code, Refused
from ledger.rules.failures import ErrorKind
from ledger.rules.units import FactValue


class Outcome(StrEnum):
    """The three answers: unknown is never a grant and never a decline."""

    GRANT = "GRANT"
    DECLINE = "DECLINE"
    REFER = "REFER"


FAIL = "FAIL"
_MISSING = str(ErrorKind.MISSING)


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition that did not hold: FAIL, or the kind of error that kept it from being known."""

    code: str
    condition: str
    result: str
    inputs: tuple[tuple[str, FactValue | None], ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The facts that lacked, in order, where that is why the condition is not known."""
        if self.result != _MISSING:
            return ()
        return tuple([name for name, value in self.inputs if value is None])

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value."""
        return self.code, self.condition, self.result, self.inputs


def join_missing(reasons: Iterable[Reason]) -> tuple[str, ...]:
    """Return the facts that lacked for any of these reasons, once each, in order."""
    lacks = [reason.missing for reason in reasons if reason.result != FAIL]
    if len(lacks) < 2:
        return lacks[0] if lacks else ()
    return tuple(sorted({name for names in lacks for name in names}))


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
        """Return it as a canonical value: the fields in their order."""
        return (
            str(self.outcome),
            tuple(reason.to_value() for reason in self.reasons),
            self.missing,
            self.score,
            self.score_reasons,
            self.limit_fen,
            self.amount_fen,
            self.rate_bp,
            self.product,
            self.rule_hash,
            self.schema,
            self.scorecard,
            self.as_of,
            self.features_digest,
        )

    @classmethod
    def from_value(cls, value: Any) -> Decision:
        """Return the decision of `to_value`; raise `Refused` if it is malformed."""
        try:
            outcome, reasons, missing, score, score_reasons, *rest = value
            decision = cls(
                Outcome(outcome),
                tuple(Reason(*reason) for reason in reasons),
                tuple(missing),
                score,
                tuple(score_reasons),
                *rest,
            )
        except (TypeError, ValueError):
            raise Refused(Code.ENCODING_MALFORMED, "not the value of a decision") from None
        _check_types(decision)
        return decision


def _check_types(decision: Decision) -> None:
    numbers = (
        decision.score,
        decision.limit_fen,
        decision.amount_fen,
        decision.rate_bp,
        decision.as_of,
    )
    texts = (decision.product, decision.schema, decision.scorecard)
    names = (*decision.missing, *decision.score_reasons)
    hashes = (decision.rule_hash, decision.features_digest)
    is_sound = (
        all(number is None or type(number) is int for number in numbers)
        and all(type(text) is str for text in (*texts, *names))
        and all(type(item) is bytes and len(item) == 32 for item in hashes)
        and all(_is_sound_reason(reason) for reason in decision.reasons)
    )
    if not is_sound:
        raise Refused(Code.ENCODING_MALFORMED, "a decision's field has a wrong type")


def _is_sound_reason(reason: Reason) -> bool:
    texts = (reason.code, reason.condition, reason.result)
    return (
        all(type(text) is str for text in texts)
        and type(reason.inputs) is tuple
        and all(type(item) is tuple and len(item) == 2 for item in reason.inputs)
    )
