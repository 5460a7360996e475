"""What the bulk answer says of one company and product, and whether a node's evaluator agrees.

`read_answer` turns a row of the files back into outcome, reasons, missing facts and terms, exactly
as `Product.decide` gives them; what a row leaves out (the inputs of reasons, which are the facts,
and the reasons of the score) is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from analytics.matching.plan import Column, Offer, Result
from analytics.sql.values import Fault
from ledger.rules.decision import FAIL, Decision
from ledger.rules.failures import ErrorKind
from ledger.rules.features import accept_facts
from ledger.rules.product import AMOUNT
from ledger.rules.units import FactValue

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision without the inputs: reasons as (code, condition, result); fen and bp."""

    outcome: str
    reasons: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...]
    score: int | None
    limit_fen: int | None
    amount_fen: int | None
    rate_bp: int | None

    def difference(self, other: Answer) -> str:
        """Return the first field that differs, as "limit_fen: 5, want 6"; "" for equal ones."""
        for item in fields(self):
            mine, want = getattr(self, item.name), getattr(other, item.name)
            if mine != want:
                return f"{item.name}: {mine}, want {want}"
        return ""


def from_decision(decision: Decision) -> Answer:
    """Return what the bulk answer must say of this decision."""
    return Answer(
        str(decision.outcome),
        tuple((item.code, item.condition, item.result) for item in decision.reasons),
        decision.missing,
        decision.score,
        decision.limit_fen,
        decision.amount_fen,
        decision.rate_bp,
    )


def read_answer(offer: Offer, row: Row, facts: Mapping[str, FactValue]) -> Answer:
    """Return what `row` says of a product for the company with these facts."""
    product, result = offer.product, Result(row[offer.result])
    known = accept_facts(product.features, facts)
    reasons: list[tuple[str, str, str]] = []
    missing: set[str] = set()
    if result in (Result.DECLINE_CONDITION, Result.REFER_CONDITION):
        reasons, missing = _read_conditions(offer, row, known)
    if result is Result.REFER_CONDITION and _is_score_referred(offer, row):
        reasons.append((product.scorecard.refer_reason, "score", str(ErrorKind.MISSING)))
        missing |= product.scorecard.inputs - known.keys()
    if result is Result.DECLINE_SCORE:
        band = max(
            (item for item in product.bands if item.lower <= row[offer.score]),
            key=lambda item: item.lower,
            default=product.bands[0],
        )
        reasons.append((band.reason, "score", FAIL))
    if result is Result.DECLINE_LIMIT:
        reasons.append((product.limit.reason, "limit", FAIL))
    if result is Result.REFER_LIMIT:
        fault = _fault_of(offer.limit_fault, row)
        reasons.append((product.limit.reason, "limit", str(fault.error)))
        missing |= product.limit.amount.reads - known.keys()
    if result is Result.REFER_AMOUNT:
        kind = ErrorKind.RANGE if AMOUNT in known else ErrorKind.MISSING
        reasons.append((product.limit.reason, "amount", str(kind)))
        missing |= {AMOUNT} - known.keys()
    limit, rate = row[offer.limit], row[offer.rate]
    amount = min(int(known[AMOUNT]), limit) if result is Result.GRANT else None
    return Answer(
        str(result.outcome),
        tuple(reasons),
        tuple(sorted(missing)),
        row[offer.score],
        limit,
        amount,
        rate,
    )


def _read_conditions(
    offer: Offer, row: Row, known: Mapping[str, FactValue]
) -> tuple[list[tuple[str, str, str]], set[str]]:
    reasons = []
    missing: set[str] = set()
    for condition, column in zip(offer.product.conditions, offer.conditions, strict=True):
        holds = row[column.name]
        if holds:
            continue
        shown = FAIL
        if holds is None:
            fault = _fault(column, row)
            shown = str(fault.error)
            if fault is Fault.MISSING:
                missing |= condition.when.reads - known.keys()
        reasons.append((condition.reason, condition.id, shown))
    return reasons, missing


def _fault(column: Column, row: Row) -> Fault:
    return _fault_of(column.fault, row)


def _fault_of(fault: Fault | str | None, row: Row) -> Fault:
    """Return the error of a column that is NULL; a column that is never NULL has none."""
    if isinstance(fault, Fault):
        return fault
    if fault is None:
        raise ValueError("a column that is never NULL is NULL")
    return Fault(row[fault])


def _is_score_referred(offer: Offer, row: Row) -> bool:
    most = offer.product.scorecard.max_missing
    return most is not None and row[offer.missing] > most
