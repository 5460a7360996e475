"""Matching: one company against many products, each decided as its own `decide` does.

What products share is computed once: the facts are accepted once, each distinct condition is
evaluated once in one generated function (`match_code`), each scorecard scores once, each fact is
encoded once for the digests. What follows from the conditions (score, limit, rate) is the
product's own code. `outcomes` says only what comes out and on which terms; `decide` gives the
whole decisions, equal to those of `Product.decide` bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter

from ledger.encoding import encode_own
from ledger.errors import Code, LocalError
from ledger.rules.codegen import Emitter
from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome, Reason
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.match_code import FAILS, HOLDS, Values, generate_check
from ledger.rules.product import Condition, Product
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
        self._names = {name: encode_own(name) for name in features}
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
                can_fail = Emitter({}).emit(condition.when.tree).may_fail
                self._pleas.append(
                    _Plea(place, condition, tuple(sorted(condition.when.reads)), not can_fail)
                )
            found.append((place, slot))
        return _Plan(product, tuple(found), _picker([item.name for item in product.features]))

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
        encoded = dict.fromkeys(self._names, b"")
        for name, value in known.items():
            encoded[name] = self._names[name] + encode_own(value)
        scores: dict[str, Score] = {}
        found = []
        for plan in self._plans:
            product = plan.product
            reasons, missing = explainer.explain(plan.conditions)
            digest = _digest(plan.pick(encoded))
            score = _score(scores, product, known)
            found.append(product.conclude(known, score, reasons, missing, digest))
        return found


@dataclass(frozen=True, slots=True)
class _Plea:
    """A condition with its reason as one or more products give it.

    `place` is of its value; where `is_safe`, nothing but a missing fact can be its error.
    """

    place: int
    condition: Condition
    names: tuple[str, ...]
    is_safe: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """A product, where the values and the pleas of its conditions are, and how to pick its facts.

    `pick` takes what is encoded of every feature, empty for a missing one.
    """

    product: Product
    conditions: tuple[tuple[int, int], ...]
    pick: Callable[[Mapping[str, bytes]], tuple[bytes, ...]]


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, bytes]], tuple[bytes, ...]]:
    # With one name `itemgetter` gives no tuple.
    return itemgetter(*names) if len(names) > 1 else lambda items: tuple(items[n] for n in names)


def _score(scores: dict[str, Score], product: Product, known: Mapping[str, FactValue]) -> Score:
    score = scores.get(product.scorecard_ref)
    if score is None:
        score = scores[product.scorecard_ref] = product.scorecard.score_accepted(known)
    return score


def _digest(parts: tuple[bytes, ...]) -> bytes:
    """Return the hash of a map of encoded facts, as `Decision` has it; what is empty is missing."""
    count = len(parts) - parts.count(b"")
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
            kind = ErrorKind.MISSING if plea.is_safe else _find_error(when, self._known)
            result = str(kind)
            if kind is ErrorKind.MISSING:
                missing = when.reads - self._known.keys()
        inputs = tuple([(name, self._known.get(name)) for name in plea.names])
        return Reason(condition.reason, condition.id, result, inputs), missing


def _find_error(when: Expression, known: Mapping[str, FactValue]) -> ErrorKind:
    """Return the kind of error of a condition that is known to have one."""
    try:
        when.evaluate(known)
    except EvalError as error:
        return error.kind
    raise ValueError(f"{when.source}: has a value, want the error that was found before")
