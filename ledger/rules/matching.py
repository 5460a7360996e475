"""Matching: one company against many products, each decided as its own `decide` does.

What products share is computed once: the facts are accepted once, each distinct condition is
evaluated once in one generated function (`match_code`), each scorecard scores once, each fact is
encoded once for the digests. What follows from the conditions (score, limit, rate) is the
product's own code. `outcomes` says only what comes out and on which terms; `decide` gives the
whole decisions, equal to those of `Product.decide` bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger.encoding import encode
from ledger.errors import Code, LocalError
from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome, Reason
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.match_code import FAILS, HOLDS, Values, generate_check
from ledger.rules.product import Product, inputs_of
from ledger.rules.scorecard import Score, Scorecard
from ledger.rules.units import FactValue

Inputs: TypeAlias = tuple[tuple[str, FactValue | None], ...]
_MAX_FIXMAP = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What a product says: the outcome, and of a grant limit and amount (fen) and rate (bp)."""

    product: Product
    outcome: Outcome
    terms: tuple[int, int, int] | None = None


class Matcher:
    """Products of one schema compiled together, of any scorecards."""

    def __init__(self, products: Iterable[Product]) -> None:
        """Compile; raise `LocalError` INPUT_USAGE for products of several schemas."""
        self.products = tuple(products)
        refs = sorted({product.schema_ref for product in self.products})
        if len(refs) > 1:
            raise LocalError(Code.INPUT_USAGE, f"products of {', '.join(refs)}, want one schema")
        features = {item.name: item for product in self.products for item in product.features}
        self.features: tuple[Feature, ...] = tuple(features.values())
        trees = [[item.when.tree for item in product.conditions] for product in self.products]
        self._check, self._places = generate_check(trees)
        self._declined = [Answer(product, Outcome.DECLINE) for product in self.products]
        self._referred = [Answer(product, Outcome.REFER) for product in self.products]

    def outcomes(self, facts: Mapping[str, FactValue]) -> list[Answer]:
        """Return each product's answer on the facts, in the order of the products.

        A score is computed where the conditions leave it to matter.
        """
        known = accept_facts(self.features, facts)
        scores: dict[str, Score] = {}
        found = list(self._declined)
        for index, verdict in enumerate(self._check(known)[1]):
            if verdict == FAILS:
                continue
            product = self.products[index]
            if verdict != HOLDS or _score(scores, product.scorecard, known).is_referred:
                found[index] = self._referred[index]
                continue
            closed = product.find_terms(known, scores[product.scorecard_ref])
            found[index] = Answer(product, closed.outcome, closed.terms)
        return found

    def decide(self, facts: Mapping[str, FactValue]) -> list[Decision]:
        """Return each product's decision on the facts, in the order of the products."""
        known = accept_facts(self.features, facts)
        values, _ = self._check(known)
        explainer = _Explainer(known, values)
        scores: dict[str, Score] = {}
        found = []
        for product, places in zip(self.products, self._places, strict=True):
            reasons, missing = explainer.explain(product, places)
            score = _score(scores, product.scorecard, known)
            digest = explainer.digest(product)
            found.append(product.conclude(known, score, reasons, missing, digest))
        return found


def _score(scores: dict[str, Score], scorecard: Scorecard, known: Mapping[str, FactValue]) -> Score:
    score = scores.get(scorecard.ref)
    if score is None:
        score = scores[scorecard.ref] = scorecard.score_accepted(known)
    return score


class _Explainer:
    """Why conditions do not hold for one company; each distinct condition is explained once."""

    def __init__(self, known: Mapping[str, FactValue], values: Values) -> None:
        self._known = known
        self._values = values
        self._found: dict[int, tuple[str, Inputs, frozenset[str]]] = {}
        self._encoded = {name: encode(name) + encode(value) for name, value in known.items()}

    def explain(self, product: Product, places: Sequence[int]) -> tuple[list[Reason], set[str]]:
        """Return a reason for each condition that does not hold, and the facts that lack."""
        reasons: list[Reason] = []
        missing: set[str] = set()
        values, found = self._values, self._found
        for condition, place in zip(product.conditions, places, strict=True):
            if values[place]:
                continue
            why = found.get(place)
            if why is None:
                why = found[place] = self._explain(condition.when, values[place])
            reasons.append(Reason(condition.reason, condition.id, why[0], why[1]))
            missing |= why[2]
        return reasons, missing

    def _explain(self, when: Expression, value: bool | None) -> tuple[str, Inputs, frozenset[str]]:
        inputs = inputs_of(when, self._known)
        if value is False:
            return FAIL, inputs, frozenset()
        kind = _find_error(when, self._known)
        is_missing = kind is ErrorKind.MISSING
        return str(kind), inputs, (when.reads - self._known.keys() if is_missing else frozenset())

    def digest(self, product: Product) -> bytes:
        """Return the hash of the encoded facts that the product reads, as `Decision` has it."""
        encoded = self._encoded
        parts = [encoded[item.name] for item in product.features if item.name in encoded]
        count = len(parts)
        head = bytes((0x80 | count,)) if count <= _MAX_FIXMAP else b"\xde" + count.to_bytes(2)
        return sha256(head + b"".join(parts)).digest()


def _find_error(when: Expression, known: Mapping[str, FactValue]) -> ErrorKind:
    """Return the kind of error of a condition that is known to have one."""
    try:
        when.evaluate(known)
    except EvalError as error:
        return error.kind
    raise ValueError(f"{when.source}: has a value, want the error that was found before")
