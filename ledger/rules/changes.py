"""The smallest change that would pass: what would have to differ for a product to grant.

It is computed from the rule. What keeps a product from granting are goals: each condition, a score
in a band that lends, a limit that reaches the minimum, an amount asked. A search repairs the first
goal that is not met, by solving its expression for one fact at a time (`solving`), keeps the few
best of what comes out (fewest unmet goals, then the score's distance, then the least effort), and
goes on until all are met. The change is then made small: a move that can be dropped is dropped, a
number goes back toward where it was as far as it can. What is left is decided by the product
itself, and shown only if it grants.

Minimal means: none of the moves can be left out, and no number be one unit nearer to what it was,
with the others as they are, and the product still grant. It does not mean that no other change is
smaller in somebody else's eyes. Facts move as if each stood alone, but for those that are computed
from others (`of` in the schema), which follow where their parts are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from ledger.rules.decision import Decision, Outcome
from ledger.rules.failures import EvalError
from ledger.rules.features import AS_OF, Feature, FeatureSource, Leeway, accept_facts
from ledger.rules.goals import Goal, goals_of, score_goal
from ledger.rules.operations import ratio_bp
from ledger.rules.product import Product
from ledger.rules.scorecard import Scorecard
from ledger.rules.solving import Exhausted, Solver, tighten
from ledger.rules.units import FactValue, Unit

MAX_EVALUATIONS = 30_000  # of one search: some tens of milliseconds
_ROUNDS = 24
_WIDTH = 4
_CANDIDATES = 24
_FINISHED = 4
# How hard a fact is to move, by where it comes from; a wish costs nothing but the wish.
_WEIGHTS: Mapping[FeatureSource, int] = {
    FeatureSource.APPLICATION: 1,
    FeatureSource.ASSET: 2,
    FeatureSource.LEDGER: 3,
    FeatureSource.RECORDS: 4,
}
# What counts as a small amount of a unit, when a number grows from nearly nothing.
_SCALES: Mapping[Unit, int] = {
    Unit.FEN: 1_000_000,
    Unit.BP: 1_000,
    Unit.DAYS: 30,
    Unit.DATE: 365,
    Unit.SCORE: 100,
}
_ONE = 1_000


@dataclass(frozen=True, slots=True)
class Move:
    """One fact that would have to be otherwise; `before` is None for a missing one.

    `others` are the texts that would do as well. A move of `as_of` is a day to wait for.
    """

    feature: str
    unit: str
    before: FactValue | None
    after: FactValue
    others: tuple[FactValue, ...] = ()

    def to_value(self) -> tuple[object, ...]:
        """Return it as a canonical value: the fields in their order."""
        return self.feature, self.unit, self.before, self.after, self.others


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to differ, by name, and what would be decided then.

    `effort` says how much is asked of the company; it has no unit and only orders changes.
    """

    moves: tuple[Move, ...]
    decision: Decision | None  # None where it is about a score alone
    score: int | None
    effort: int


def find_change(product: Product, facts: Mapping[str, FactValue]) -> Change | None:
    """Return the smallest change found after which `product` grants; None where none was found.

    Without moves when it grants as it is. `facts` may hold more than the product reads.
    """
    return ChangeFinder(product).find(facts)


def find_points(scorecard: Scorecard, facts: Mapping[str, FactValue], points: int) -> Change | None:
    """Return the smallest change found after which `scorecard` gives at least `points`."""
    solver = Solver(scorecard.features)
    goal = score_goal(solver, scorecard, lambda found: max(0, points - found))
    search = _Search(solver, (goal,), facts)
    moves = search.find_within(MAX_EVALUATIONS)
    if moves is None:
        return None
    score = scorecard.score(search.facts_after(moves)).points
    return Change(search.describe(moves), None, score, search.effort(moves)[0])


class ChangeFinder:
    """The search over one product; worth keeping when many companies are asked about."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._solver = Solver(product.features)
        self._goals = goals_of(product, self._solver)
        self.spent = 0

    def find(self, facts: Mapping[str, FactValue], evaluations: int | None = None) -> Change | None:
        """Return the smallest change found for these facts; `spent` is then what it took.

        `evaluations` are at most so many, MAX_EVALUATIONS for None.
        """
        search = _Search(self._solver, self._goals, facts)
        most = MAX_EVALUATIONS if evaluations is None else min(evaluations, MAX_EVALUATIONS)
        moves = search.find_within(most)
        self.spent = search.spent
        if moves is None:
            return None
        decision = self._product.decide(search.facts_after(moves))
        if decision.outcome is not Outcome.GRANT:
            return None
        effort = search.effort(moves)[0]
        return Change(search.describe(moves), decision, decision.score, effort)

    def apply(
        self, facts: Mapping[str, FactValue], moves: Mapping[str, FactValue]
    ) -> dict[str, FactValue]:
        """Return the facts after moves, with what is computed from them."""
        return _Search(self._solver, self._goals, facts).facts_after(moves)


class _Search:
    """One search: the facts of one company, and goals to be met."""

    def __init__(
        self, solver: Solver, goals: tuple[Goal, ...], facts: Mapping[str, FactValue]
    ) -> None:
        self._solver = solver
        self._goals = goals
        self._raw = facts
        self._known = accept_facts(solver.features.values(), facts)
        self._derived = [item for item in solver.features.values() if item.of]
        self.spent = 0  # evaluations of the search

    def facts_after(self, moves: Mapping[str, FactValue]) -> dict[str, FactValue]:
        """Return the facts with the moves made, and what is computed from them computed anew."""
        found = self._solver.after(self._known, moves)
        for feature in self._derived:
            if feature.name in moves or moves.keys().isdisjoint(feature.of):
                continue
            parts = (*feature.of, AS_OF) if feature.agg == "days_since" else feature.of
            values = [found.get(part, self._raw.get(part)) for part in parts]
            if None in values:
                continue
            value = _derive(feature, [int(item) for item in values if item is not None])
            if value is not None and feature.accepts(value):
                found[feature.name] = value
            else:
                found.pop(feature.name, None)
        return found

    def find_within(self, evaluations: int) -> dict[str, FactValue] | None:
        """Return the moves; None also when the search is not done within its evaluations."""
        self._solver.allow(evaluations)
        try:
            moves = self._find()
        except Exhausted:
            moves = None
        self.spent = evaluations - self._solver.left
        self._solver.allow(MAX_EVALUATIONS)  # for what is told of the moves
        return moves

    def _find(self) -> dict[str, FactValue] | None:
        """Return the moves, fewest and smallest first tried; None if the search ends without."""
        beam: list[dict[str, FactValue]] = [{}]
        seen: set[tuple[tuple[str, FactValue], ...]] = {()}
        for _ in range(_ROUNDS):
            finished = [moves for moves in beam if self._unmet(moves) is None]
            if finished:
                return min(map(self._shrink, finished[:_FINISHED]), key=self.effort)
            tried = []
            for moves in beam:
                for grown in self._grow(moves):
                    key = tuple(sorted(grown.items()))
                    if key not in seen:
                        seen.add(key)
                        tried.append(grown)
            beam = sorted(tried, key=self._rank)[:_WIDTH]
            if not beam:
                return None
        return None

    def _grow(self, moves: dict[str, FactValue]) -> Iterable[dict[str, FactValue]]:
        """Yield the moves with those added that meet the first unmet goal, or come nearer to it."""
        facts = self.facts_after(moves)
        goal = next(goal for goal in self._goals if not goal.holds(facts))
        for change in islice(goal.repairs(facts), _CANDIDATES):
            if all(self._is_allowed(name, value) for name, value in change.items()):
                grown = {**moves, **change}
                yield {
                    name: value for name, value in grown.items() if self._known.get(name) != value
                }

    def _is_allowed(self, name: str, value: FactValue) -> bool:
        """Return whether a move goes the company's way from where the fact was at first.

        What is computed from others may stand elsewhere since these moved.
        """
        before = self._known.get(name)
        leeway = self._solver.features[name].leeway
        if before is None or isinstance(value, str) or leeway is Leeway.ANY:
            return True
        return int(value) >= int(before) if leeway is Leeway.UP else int(value) <= int(before)

    def _unmet(self, moves: Mapping[str, FactValue]) -> Goal | None:
        facts = self.facts_after(moves)
        self._solver.spend(len(self._goals))
        return next((goal for goal in self._goals if not goal.holds(facts)), None)

    def _rank(self, moves: Mapping[str, FactValue]) -> tuple[int, int, int, int]:
        facts = self.facts_after(moves)
        self._solver.spend(len(self._goals))
        unmet = [goal for goal in self._goals if not goal.holds(facts)]
        gap = sum(goal.gap(facts) for goal in unmet)
        return len(unmet), gap, *self.effort(moves)

    def effort(self, moves: Mapping[str, FactValue]) -> tuple[int, int]:
        """Return how much is asked of the company: for each move its weight, more for a far one."""
        total = 0
        for name, value in moves.items():
            feature = self._solver.features[name]
            total += _WEIGHTS[feature.source] * (_ONE + self._distance(feature, value))
        return total, len(moves)

    def _distance(self, feature: Feature, value: FactValue) -> int:
        """Return how far a value is from what it was, in thousandths of that."""
        before = self._known.get(feature.name)
        far = _ONE if before is None else 0
        if feature.unit in (Unit.FLAG, Unit.TEXT):
            return far + _ONE
        start = int(self._start(feature.name) if before is None else before)
        base = 0 if feature.unit is Unit.DATE else abs(start)
        scale = max(base, _SCALES.get(feature.unit, 1))
        return far + min(abs(int(value) - start) * _ONE // scale, 10 * _ONE)

    def _start(self, name: str) -> FactValue:
        """Return where a number starts: what it was, or what a missing one moves from."""
        before = self._known.get(name)
        return self._solver.origin(name, self._known, ()) if before is None else before

    def _shrink(self, moves: Mapping[str, FactValue]) -> dict[str, FactValue]:
        """Return the moves without those that are not needed, each number as near as it can be."""
        now = dict(moves)
        while True:
            before = dict(now)
            for name in sorted(now, key=lambda item: -self.effort({item: now[item]})[0]):
                rest = {other: value for other, value in now.items() if other != name}
                if self._unmet(rest) is None:
                    now = rest
                else:
                    now[name] = self._pull(now, name)
            if now == before:
                return now

    def _pull(self, moves: dict[str, FactValue], name: str) -> FactValue:
        """Return the value nearest to the start that still passes, by halving."""
        value = moves[name]
        if self._solver.features[name].unit is Unit.FLAG:
            return value
        if self._solver.features[name].unit is Unit.TEXT:
            return self._texts(moves, name)[-1]
        start, end = int(self._start(name)), int(value)
        sign = 1 if end >= start else -1

        def passes(step: int) -> bool:
            return self._unmet({**moves, name: start + sign * step}) is None

        # A missing fact may stay where it starts; a known one fails there, or it would be dropped.
        if start == end or (name not in self._known and passes(0)):
            return start
        return start + sign * tighten(0, abs(end - start), passes)

    def _texts(self, moves: Mapping[str, FactValue], name: str) -> list[FactValue]:
        """Return the texts with which the moves pass, in the order in which rules write them.

        Authors write the best first, so that the last asks least.
        """
        trees = [tree for goal in self._goals for tree in goal.trees if name in goal.reads]
        choices = self._solver.choices(name, trees, self._known.get(name))
        return [item for item in choices if self._unmet({**moves, name: item}) is None]

    def describe(self, moves: Mapping[str, FactValue]) -> tuple[Move, ...]:
        """Return the moves by name, with the texts that would do as well."""
        found = []
        for name, value in sorted(moves.items()):
            feature = self._solver.features[name]
            texts = self._texts(moves, name) if feature.unit is Unit.TEXT else []
            others = tuple(item for item in texts if item != value)
            before = self._known.get(name)
            found.append(Move(name, str(feature.unit), before, value, others))
        return tuple(found)


def _derive(feature: Feature, parts: list[int]) -> int | None:
    if feature.agg == "days_since":
        return parts[1] - parts[0]
    try:
        return ratio_bp(parts[0], parts[1])
    except EvalError:
        return None
