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
from typing import TypeAlias, TypeVar

from ledger.encoding import encode
from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome, Reason
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.match_code import FAILS, HOLDS, Values, generate_check
from ledger.rules.product import Product, inputs_of
from ledger.rules.scorecard import Score, Scorecard
from ledger.rules.units import FactValue

T = TypeVar("T")
Inputs: TypeAlias = tuple[tuple[str, FactValue | None], ...]
_MAX_FIXMAP = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What a product says: the outcome, and of a grant limit and amount (fen) and rate (bp)."""

    product: Product
    outcome: Outcome
    terms: tuple[int, int, int] | None = None


class Matcher:
    """Products compiled together; of any schemas and scorecards."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.products = tuple(products)
        groups: dict[str, list[int]] = {}
        for index, product in enumerate(self.products):
            groups.setdefault(product.schema_ref, []).append(index)
        self._groups = [
            (indices, _Group([self.products[index] for index in indices]))
            for indices in groups.values()
        ]

    def outcomes(self, facts: Mapping[str, FactValue]) -> list[Answer]:
        """Return each product's answer on the facts, in the order of the products."""
        return self._gather([(where, group.outcomes(facts)) for where, group in self._groups])

    def decide(self, facts: Mapping[str, FactValue]) -> list[Decision]:
        """Return each product's decision on the facts, in the order of the products."""
        return self._gather([(where, group.decide(facts)) for where, group in self._groups])

    def _gather(self, parts: list[tuple[list[int], list[T]]]) -> list[T]:
        if len(parts) == 1:
            return parts[0][1]
        placed = [pair for where, found in parts for pair in zip(where, found, strict=True)]
        return [item for _, item in sorted(placed, key=lambda pair: pair[0])]


class _Group:
    """The products of one schema."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = products
        features = {item.name: item for product in products for item in product.features}
        self._features: tuple[Feature, ...] = tuple(features.values())
        trees = [[item.when.tree for item in product.conditions] for product in products]
        self._check, self._places = generate_check(trees)
        self._declined = [Answer(product, Outcome.DECLINE) for product in products]
        self._referred = [Answer(product, Outcome.REFER) for product in products]

    def outcomes(self, facts: Mapping[str, FactValue]) -> list[Answer]:
        """Return the answers; a score is computed where the conditions leave it to matter."""
        known = accept_facts(self._features, facts)
        scores: dict[str, Score] = {}
        found = list(self._declined)
        for index, verdict in enumerate(self._check(known)[1]):
            if verdict == FAILS:
                continue
            product = self._products[index]
            if verdict != HOLDS or _score(scores, product.scorecard, known).is_referred:
                found[index] = self._referred[index]
                continue
            closed = product.find_terms(known, scores[product.scorecard_ref])
            found[index] = Answer(product, closed.outcome, closed.terms)
        return found

    def decide(self, facts: Mapping[str, FactValue]) -> list[Decision]:
        """Return the decisions."""
        known = accept_facts(self._features, facts)
        values, _ = self._check(known)
        explainer = _Explainer(known, values)
        scores: dict[str, Score] = {}
        found = []
        for product, places in zip(self._products, self._places, strict=True):
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
