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

from ledger.rules.decision import Outcome
from ledger.rules.features import Feature, FeatureSource, accept_facts
from ledger.rules.goals import Aim, GoalBook, score_goal
from ledger.rules.matching import Look, Matcher
from ledger.rules.product import Product, Verdict
from ledger.rules.scorecard import Scorecard
from ledger.rules.situations import Goal, Moves, Scoring, Situation, State
from ledger.rules.solving import Exhausted, Solver, tighten
from ledger.rules.units import FactValue, Unit

MAX_EVALUATIONS = 30_000  # of one search: some tens of milliseconds
_ROUNDS = 24
_WIDTH = 4
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
    verdict: Verdict | None  # None where it is about a score alone
    score: int | None
    effort: int


def find_change(product: Product, facts: Mapping[str, FactValue]) -> Change | None:
    """Return the smallest change found after which `product` grants; None where none was found.

    Without moves when it grants as it is. `facts` may hold more than the product reads.
    """
    finder = ChangeFinder([product])
    return finder.find(product, finder.stand(facts))[0]


def find_points(scorecard: Scorecard, facts: Mapping[str, FactValue], points: int) -> Change | None:
    """Return the smallest change found after which `scorecard` gives at least `points`."""
    solver = Solver(scorecard.features)
    scoring = Scoring(scorecard)
    goal = score_goal(solver, scoring, lambda found: max(0, points - found))
    situation = Situation(solver, facts, accept_facts(scorecard.features, facts))
    search = _Search(situation, Aim([goal]))
    state = search.find_within(MAX_EVALUATIONS)
    if state is None:
        return None
    return Change(search.describe(state), None, state.give(scoring).points, search.effort(state))


class ChangeFinder:
    """The search over products of one schema; worth keeping when many companies are asked about.

    With the matcher of the same products, what it has computed of a company is not computed again.
    """

    def __init__(self, products: Iterable[Product], matcher: Matcher | None = None) -> None:
        items = tuple(products)
        features = {item.name: item for product in items for item in product.features}
        self._features = tuple(features.values())
        self._solver = Solver(self._features)
        self._book = GoalBook(self._solver)
        self._places: dict[Goal, int] = {}
        if matcher is not None:
            for condition in (item for product in items for item in product.conditions):
                place = matcher.conditions[condition.when.tree]
                self._places[self._book.goal_of(condition)] = place

    def stand(self, facts: Mapping[str, FactValue], look: Look | None = None) -> Situation:
        """Return where a company stands, to be asked about any of the products.

        `look` is what the matcher has computed of these facts.
        """
        if look is None:
            return Situation(self._solver, facts, accept_facts(self._features, facts))
        verdicts = {goal: look.values[place] is True for goal, place in self._places.items()}
        return Situation(self._solver, facts, look.known, verdicts, look.inputs)

    def estimate(
        self, product: Product, situation: Situation, evaluations: int
    ) -> tuple[int | None, int]:
        """Return the effort of the nearest first repair, and the evaluations it took.

        A change asks no less, but where two small moves do what one great one does. None where
        there is no repair, or none was found within the evaluations; 0 for a grant.
        """
        search = _Search(situation, self._book.aim_of(product))
        return search.estimate(evaluations), search.spent

    def find(
        self,
        product: Product,
        situation: Situation,
        evaluations: int | None = None,
        effort_max: int | None = None,
    ) -> tuple[Change | None, int]:
        """Return the smallest change found with which a product grants, and what it took.

        In evaluations, of which at most so many are made, MAX_EVALUATIONS for None. What was
        evaluated for other products of the same situation is not evaluated again. What asks more
        than `effort_max` is not followed.
        """
        search = _Search(situation, self._book.aim_of(product), effort_max)
        most = MAX_EVALUATIONS if evaluations is None else min(evaluations, MAX_EVALUATIONS)
        state = search.find_within(most)
        if state is None:
            return None, search.spent
        points = state.give(self._book.scoring_of(product.scorecard)).points
        verdict = product.find_terms(state.facts, points)
        if verdict.outcome is not Outcome.GRANT:
            return None, search.spent
        change = Change(search.describe(state), verdict, points, search.effort(state))
        return change, search.spent


class _Search:
    """One search: where a company stands, and goals to be met."""

    def __init__(self, situation: Situation, aim: Aim, effort_max: int | None = None) -> None:
        self._situation = situation
        self._solver = situation.solver
        self._known = situation.known
        self._aim = aim
        self._effort_max = effort_max
        self._unmet_of: dict[State, tuple[int, ...]] = {}
        self.spent = 0  # evaluations of the search

    def find_within(self, evaluations: int) -> State | None:
        """Return the state in which all goals are met; None also when the search is not done.

        That is when it has used up its evaluations.
        """
        self._solver.allow(evaluations)
        try:
            state = self._find()
        except Exhausted:
            state = None
        self.spent = evaluations - self._solver.left
        self._solver.allow(MAX_EVALUATIONS)  # for what is told of the moves
        return state

    def estimate(self, evaluations: int) -> int | None:
        """Return the effort of the nearest repair of the first goal that is not met."""
        self._solver.allow(evaluations)
        try:
            unmet = self._find_first()
            steps = self._situation.base.steps(self._aim.goals[unmet[0]]) if unmet else []
        except Exhausted:
            unmet, steps = (-1,), []
        self.spent = evaluations - self._solver.left
        return min(map(self.effort, steps), default=None) if unmet else 0

    def _find_first(self) -> tuple[int, ...]:
        """Return which goals are not met without moves."""
        base = self._situation.base
        unmet = tuple([at for at, goal in enumerate(self._aim.goals) if not base.holds(goal)])
        self._unmet_of[base] = unmet
        return unmet

    def _find(self) -> State | None:
        """Return a state, fewest and smallest moves first tried; None if the search ends."""
        base, goals = self._situation.base, self._aim.goals
        self._find_first()
        beam = [base]
        seen = {base}
        for _ in range(_ROUNDS):
            finished = [state for state in beam if not self._unmet(state)]
            if finished:
                return min(map(self._shrink, finished[:_FINISHED]), key=self._size)
            tried = []
            for state in beam:
                for grown in state.steps(goals[self._unmet(state)[0]]):
                    if grown not in seen and self._is_near(grown):
                        seen.add(grown)
                        tried.append(grown)
            beam = sorted(tried, key=self._rank)[:_WIDTH]
            if not beam:
                return None
        return None

    def _unmet(self, state: State) -> tuple[int, ...]:
        """Return which goals are not met."""
        found = self._unmet_of.get(state)
        if found is None:
            self._solver.spend()
            before = self._unmet_of[self._situation.base]
            found = self._unmet_of[state] = self._aim.find_unmet(state, before)
        return found

    def _passes(self, moves: Moves) -> bool:
        return not self._unmet(self._situation.after(moves))

    def _rank(self, state: State) -> tuple[int, int, int, int]:
        unmet = self._unmet(state)
        gap = sum([self._aim.goals[place].gap(state) for place in unmet])
        return len(unmet), gap, *self._size(state)

    def _size(self, state: State) -> tuple[int, int]:
        return self.effort(state), len(state.moves)

    def _is_near(self, state: State) -> bool:
        return self._effort_max is None or self.effort(state) <= self._effort_max

    def effort(self, state: State) -> int:
        """Return how much is asked of the company: for each move its weight, more for a far one."""
        if state.effort is None:
            state.effort = sum([self._weigh(name, value) for name, value in state.moves.items()])
        return state.effort

    def _weigh(self, name: str, value: FactValue) -> int:
        feature = self._solver.features[name]
        return _WEIGHTS[feature.source] * (_ONE + self._distance(feature, value))

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

    def _shrink(self, state: State) -> State:
        """Return the state without moves that are not needed, each number as near as it can be."""
        now = dict(state.moves)
        while True:
            before = dict(now)
            for name in sorted(now, key=lambda item: -self._weigh(item, now[item])):
                rest = {other: value for other, value in now.items() if other != name}
                if self._passes(rest):
                    now = rest
                else:
                    now[name] = self._pull(now, name)
            if now == before:
                return self._situation.after(now)

    def _pull(self, moves: Moves, name: str) -> FactValue:
        """Return the value nearest to the start that still passes, by halving."""
        value = moves[name]
        if self._solver.features[name].unit is Unit.FLAG:
            return value
        if self._solver.features[name].unit is Unit.TEXT:
            return self._texts(moves, name)[-1]
        start, end = int(self._start(name)), int(value)
        sign = 1 if end >= start else -1

        def passes(step: int) -> bool:
            return self._passes({**moves, name: start + sign * step})

        # A missing fact may stay where it starts; a known one fails there, or it would be dropped.
        if start == end or (name not in self._known and passes(0)):
            return start
        far = abs(end - start)
        # What a repair proposes is most often a border already.
        if far == 1 or not passes(far - 1):
            return end
        return start + sign * tighten(0, far - 1, passes)

    def _texts(self, moves: Moves, name: str) -> list[FactValue]:
        """Return the texts with which the moves pass, in the order in which rules write them.

        Authors write the best first, so that the last asks least.
        """
        trees = [tree for goal in self._aim.goals for tree in goal.trees if name in goal.reads]
        choices = self._solver.choices(name, trees, self._known.get(name))
        return [item for item in choices if self._passes({**moves, name: item})]

    def describe(self, state: State) -> tuple[Move, ...]:
        """Return the moves by name, with the texts that would do as well."""
        found = []
        for name, value in sorted(state.moves.items()):
            feature = self._solver.features[name]
            texts = self._texts(state.moves, name) if feature.unit is Unit.TEXT else []
            others = tuple(item for item in texts if item != value)
            before = self._known.get(name)
            found.append(Move(name, str(feature.unit), before, value, others))
        return tuple(found)
