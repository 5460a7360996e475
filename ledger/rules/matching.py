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

from ledger.encoding import encode
from ledger.errors import Code, LocalError
from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome, Reason
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.match_code import FAILS, HOLDS, Values, generate_check
from ledger.rules.product import Condition, Product, inputs_of
from ledger.rules.scorecard import Score
from ledger.rules.units import FactValue

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
        self._check, places = generate_check(trees)
        self._declined = [Answer(product, Outcome.DECLINE) for product in self.products]
        self._referred = [Answer(product, Outcome.REFER) for product in self.products]
        self._pleas: list[_Plea] = []
        slots: dict[tuple[int, str, str], int] = {}
        self._plans = [
            self._plan(product, where, slots)
            for product, where in zip(self.products, places, strict=True)
        ]

    def _plan(
        self, product: Product, places: Sequence[int], slots: dict[tuple[int, str, str], int]
    ) -> _Plan:
        """Return how a product is decided, its reasons among those that others give as well."""
        found = []
        for condition, place in zip(product.conditions, places, strict=True):
            slot = slots.setdefault((place, condition.reason, condition.id), len(slots))
            if slot == len(self._pleas):
                self._pleas.append(_Plea(place, condition))
            found.append((place, slot))
        return _Plan(product, tuple(found), tuple(item.name for item in product.features))

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
            if verdict != HOLDS or _score(scores, product, known).is_referred:
                found[index] = self._referred[index]
                continue
            closed = product.find_terms(known, scores[product.scorecard_ref])
            found[index] = Answer(product, closed.outcome, closed.terms)
        return found

    def decide(self, facts: Mapping[str, FactValue]) -> list[Decision]:
        """Return each product's decision on the facts, in the order of the products."""
        known = accept_facts(self.features, facts)
        values, _ = self._check(known)
        explainer = _Explainer(self._pleas, known, values)
        encoded = {name: encode(name) + encode(value) for name, value in known.items()}
        scores: dict[str, Score] = {}
        found = []
        for plan in self._plans:
            product = plan.product
            reasons, missing = explainer.explain(plan.conditions)
            digest = _digest([encoded[name] for name in plan.names if name in encoded])
            score = _score(scores, product, known)
            found.append(product.conclude(known, score, reasons, missing, digest))
        return found


@dataclass(frozen=True, slots=True)
class _Plea:
    """A condition with its reason as one or more products give it; `place` is of its value."""

    place: int
    condition: Condition


@dataclass(frozen=True, slots=True)
class _Plan:
    """A product, where the values and the pleas of its conditions are, and what it reads."""

    product: Product
    conditions: tuple[tuple[int, int], ...]
    names: tuple[str, ...]


def _score(scores: dict[str, Score], product: Product, known: Mapping[str, FactValue]) -> Score:
    score = scores.get(product.scorecard_ref)
    if score is None:
        score = scores[product.scorecard_ref] = product.scorecard.score_accepted(known)
    return score


def _digest(parts: list[bytes]) -> bytes:
    """Return the hash of a map of encoded facts, as `Decision` has it."""
    count = len(parts)
    head = bytes((0x80 | count,)) if count <= _MAX_FIXMAP else b"\xde" + count.to_bytes(2)
    return sha256(head + b"".join(parts)).digest()


class _Explainer:
    """Why conditions do not hold for one company; each plea is made once."""

    def __init__(
        self, pleas: Sequence[_Plea], known: Mapping[str, FactValue], values: Values
    ) -> None:
        self._pleas = pleas
        self._known = known
        self._values = values
        self._found: list[tuple[Reason, frozenset[str]] | None] = [None] * len(pleas)

    def explain(self, conditions: Sequence[tuple[int, int]]) -> tuple[list[Reason], set[str]]:
        """Return a reason for each condition that does not hold, and the facts that lack."""
        reasons: list[Reason] = []
        missing: set[str] = set()
        values, found = self._values, self._found
        for place, slot in conditions:
            if values[place]:
                continue
            why = found[slot]
            if why is None:
                why = found[slot] = self._explain(self._pleas[slot])
            reasons.append(why[0])
            if why[1]:
                missing |= why[1]
        return reasons, missing

    def _explain(self, plea: _Plea) -> tuple[Reason, frozenset[str]]:
        condition, when = plea.condition, plea.condition.when
        result = FAIL
        missing: frozenset[str] = frozenset()
        if self._values[plea.place] is None:
            kind = _find_error(when, self._known)
            result = str(kind)
            if kind is ErrorKind.MISSING:
                missing = when.reads - self._known.keys()
        reason = Reason(condition.reason, condition.id, result, inputs_of(when, self._known))
        return reason, missing


def _find_error(when: Expression, known: Mapping[str, FactValue]) -> ErrorKind:
    """Return the kind of error of a condition that is known to have one."""
    try:
        when.evaluate(known)
    except EvalError as error:
        return error.kind
    raise ValueError(f"{when.source}: has a value, want the error that was found before")
