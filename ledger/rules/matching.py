"""Matching: one company against many products, each decided as its own `decide` does.

What products share is computed once: the facts are accepted once, each distinct condition is
evaluated once in one generated function (`match_code`), each scorecard scores once, each fact is
encoded once for the digests. What follows from the conditions (score, limit, rate) is the
product's own code. `outcomes` says only what comes out and on which terms; `explain` adds the
reasons and the score; `decide` gives the whole decisions, equal to those of `Product.decide` bit by
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Any, NamedTuple

from ledger.encoding import encode_own
from ledger.errors import Code, LocalError
from ledger.rules.codegen import Emitter
from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome, Reason, join_missing
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.match_code import FAILS, HOLDS, Values, generate_check
from ledger.rules.product import Condition, Product, Verdict
from ledger.rules.scorecard import Scorecard, Tally
from ledger.rules.tree import Tree
from ledger.rules.units import FactValue

_MAX_FIXMAP = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What a product says: the outcome, and of a grant limit and amount (fen) and rate (bp)."""

    product: Product
    outcome: Outcome
    terms: tuple[int, int, int] | None = None


class Finding(NamedTuple):
    """What a product says, and why: all of its decision that is not about the decision itself.

    A named tuple, as `Verdict` is, for hundreds are made for each company.
    """

    product: Product
    score: Tally
    verdict: Verdict


class Look(NamedTuple):
    """What a matcher has computed of one company, for whatever is asked of it then.

    The accepted facts, the value of each distinct condition, the verdict of each product, and the
    values of the inputs of each scorecard.
    """

    known: Mapping[str, FactValue]
    values: Values
    verdicts: tuple[int, ...]
    inputs: Mapping[str, tuple[FactValue | None, ...]]


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
        cards = {product.scorecard_ref: product.scorecard for product in self.products}
        inputs = [item.input.tree for card in cards.values() for item in card.characteristics]
        trees = [[item.when.tree for item in product.conditions] for product in self.products]
        self._check, places = generate_check(trees, inputs)
        # Each distinct condition, and where its value stands in a look.
        self.conditions: dict[Tree, int] = {}
        for each, where in zip(trees, places, strict=True):
            self.conditions.update(zip(each, where, strict=True))
        self._cards = _cut(tuple(cards.values()))
        self._declined = [Answer(product, Outcome.DECLINE) for product in self.products]
        self._referred = [Answer(product, Outcome.REFER) for product in self.products]
        self._pleas: list[_Plea] = []
        slots: dict[tuple[int, str, str], int] = {}
        order = {ref: index for index, ref in enumerate(cards)}
        self._plans = [
            self._plan(product, order[product.scorecard_ref], where, slots)
            for product, where in zip(self.products, places, strict=True)
        ]

    def _plan(
        self,
        product: Product,
        card: int,
        places: Sequence[int],
        slots: dict[tuple[int, str, str], int],
    ) -> _Plan:
        """Return how a product is decided, its reasons among those that others give as well."""
        found = []
        for condition, place in zip(product.conditions, places, strict=True):
            slot = slots.setdefault((place, condition.reason, condition.id), len(slots))
            if slot == len(self._pleas):
                can_fail = Emitter({}).emit(condition.when.tree).may_fail
                names = tuple(sorted(condition.when.reads))
                self._pleas.append(_Plea(place, condition, names, not can_fail))
            found.append(slot)
        pick_facts = _picker([item.name for item in product.features])
        return _Plan(product, card, _picker(found), pick_facts)

    def outcomes(self, facts: Mapping[str, FactValue]) -> list[Answer]:
        """Return each product's answer on the facts, in the order of the products.

        A score is computed where the conditions leave it to matter.
        """
        known = accept_facts(self.features, facts)
        _, verdicts, inputs = self._check(known)
        scores: list[Tally | None] = [None] * len(self._cards)
        found = list(self._declined)
        for index, verdict in enumerate(verdicts):
            if verdict == FAILS:
                continue
            if verdict != HOLDS:
                found[index] = self._referred[index]
                continue
            plan = self._plans[index]
            score = scores[plan.card]
            if score is None:
                card, part = self._cards[plan.card]
                score = scores[plan.card] = card.tally(inputs[part])
            if score.is_referred:
                found[index] = self._referred[index]
                continue
            closed = plan.product.find_terms(known, score.points)
            found[index] = Answer(plan.product, closed.outcome, closed.terms)
        return found

    def look(self, facts: Mapping[str, FactValue]) -> Look:
        """Return what follows from the facts for all products together."""
        known = accept_facts(self.features, facts)
        values, verdicts, inputs = self._check(known)
        return Look(known, values, verdicts, {card.ref: inputs[at] for card, at in self._cards})

    def explain(self, look: Look) -> list[Finding]:
        """Return each product's verdict and score, in the order of the products."""
        known, values, verdicts, inputs = look
        scores = [card.tally(inputs[card.ref]) for card, _ in self._cards]
        reasons: list[Reason | None] = [None] * len(self._pleas)
        for slot, plea in enumerate(self._pleas):
            if not values[plea.place]:
                reasons[slot] = _explain(plea, known, values)
        found = []
        for (product, card, pick, _), outcome in zip(self._plans, verdicts, strict=True):
            score = scores[card]
            if outcome == HOLDS and not score.is_referred:
                found.append(Finding(product, score, product.find_terms(known, score.points)))
                continue
            why = tuple(filter(None, pick(reasons)))
            if outcome == FAILS:
                verdict = Verdict(Outcome.DECLINE, why, join_missing(why))
            else:
                verdict = product.conclude(known, score, why)
            found.append(Finding(product, score, verdict))
        return found

    def decide(self, facts: Mapping[str, FactValue]) -> list[Decision]:
        """Return each product's decision on the facts, in the order of the products."""
        look = self.look(facts)
        known = look.known
        encoded = dict.fromkeys(self._names, b"")
        for name, value in known.items():
            encoded[name] = self._names[name] + encode_own(value)
        return [
            plan.product.record(
                known, found.score, found.verdict, _digest(plan.pick_facts(encoded))
            )
            for plan, found in zip(self._plans, self.explain(look), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Plea:
    """A condition with its reason as one or more products give it.

    `place` is of its value; where `is_safe`, nothing but a missing fact can be its error.
    """

    place: int
    condition: Condition
    names: tuple[str, ...]
    is_safe: bool


class _Plan(NamedTuple):
    """A product, which scorecard is its own, and how to pick what is its own from all.

    `pick` takes something of every plea, `pick_facts` what is encoded of every feature, empty for
    a missing one.
    """

    product: Product
    card: int
    pick: Callable[[Any], tuple[Any, ...]]
    pick_facts: Callable[[Any], tuple[Any, ...]]


def _picker(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    # With one key `itemgetter` gives no tuple.
    return itemgetter(*keys) if len(keys) > 1 else lambda items: tuple(items[key] for key in keys)


def _cut(cards: Sequence[Scorecard]) -> list[tuple[Scorecard, slice]]:
    """Return the cards, each with where its inputs stand among those of all."""
    found = []
    start = 0
    for card in cards:
        end = start + len(card.characteristics)
        found.append((card, slice(start, end)))
        start = end
    return found


def _digest(parts: tuple[bytes, ...]) -> bytes:
    """Return the hash of a map of encoded facts, as `Decision` has it; what is empty is missing."""
    count = len(parts) - parts.count(b"")
    head = bytes((0x80 | count,)) if count <= _MAX_FIXMAP else b"\xde" + count.to_bytes(2)
    return sha256(head + b"".join(parts)).digest()


def _explain(plea: _Plea, known: Mapping[str, FactValue], values: Values) -> Reason:
    """Return why a condition does not hold."""
    condition = plea.condition
    result = FAIL
    if values[plea.place] is None:
        result = str(ErrorKind.MISSING if plea.is_safe else _find_error(condition.when, known))
    inputs = tuple([(name, known.get(name)) for name in plea.names])
    return Reason(condition.reason, condition.id, result, inputs)


def _find_error(when: Expression, known: Mapping[str, FactValue]) -> ErrorKind:
    """Return the kind of error of a condition that is known to have one."""
    try:
        when.evaluate(known)
    except EvalError as error:
        return error.kind
    raise ValueError(f"{when.source}: has a value, want the error that was found before")
