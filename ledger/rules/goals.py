"""What keeps a product from granting, each with the changes that would repair it.

A goal is a condition, a score that lends, a limit above the minimum or an amount asked. Its repairs
follow the shape of its expression: all parts of an `&&` must hold, one part of an `||` is enough, a
`!` turns the wish around, a ternary takes the branch it is on or the other one. What is left are
comparisons and flags, which `Solver.solve` solves for one fact at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ledger.rules.product import AMOUNT, Band, Condition, Limit, Product
from ledger.rules.scorecard import Characteristic, Scorecard
from ledger.rules.situations import Goal, Moves, Scoring, State
from ledger.rules.solving import Facts, Solver, evaluate_or_none
from ledger.rules.tree import Apply, Choose, Constant, HasFact, Logic, Tree, facts_of
from ledger.rules.types import BOOL
from ledger.rules.units import FactValue

Repairs = Iterator[Moves]
_BREADTH = 4  # repairs followed for each part of an `&&`
_REFERRED_GAP = 1_000_000


class Aim:
    """The goals of a product, and which of them read which fact."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        self.goals = tuple(goals)
        self._places: dict[str, list[int]] = {}
        for place, goal in enumerate(self.goals):
            for name in goal.reads:
                self._places.setdefault(name, []).append(place)

    def find_unmet(self, state: State, unmet_before: Sequence[int]) -> tuple[int, ...]:
        """Return which goals are not met, in order, of which these are not without moves."""
        touched = {place for name in state.changed for place in self._places.get(name, ())}
        found = [place for place in unmet_before if place not in touched]
        found += [place for place in touched if not state.holds(self.goals[place])]
        return tuple(sorted(found))


class GoalBook:
    """The goals of products of one schema; those of equal conditions are the same goal."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._aims: dict[str, Aim] = {}
        self._conditions: dict[Tree, Goal] = {}
        self._scorings: dict[str, Scoring] = {}
        self._scores: dict[tuple[str, tuple[Band, ...]], Goal] = {}
        self._limits: dict[tuple[Tree, int], Goal] = {}
        self._amount = _amount_goal(solver)

    def aim_of(self, product: Product) -> Aim:
        """Return the goals of a product in the order in which it decides."""
        found = self._aims.get(product.ref)
        if found is None:
            found = self._aims[product.ref] = Aim(
                [
                    *(self.goal_of(item) for item in product.conditions),
                    self._score(product),
                    self._limit(product),
                    self._amount,
                ]
            )
        return found

    def scoring_of(self, card: Scorecard) -> Scoring:
        """Return a scorecard as states are asked about it."""
        if card.ref not in self._scorings:
            self._scorings[card.ref] = Scoring(card)
        return self._scorings[card.ref]

    def goal_of(self, condition: Condition) -> Goal:
        """Return the goal that a condition holds."""
        tree = condition.when.tree
        if tree not in self._conditions:
            self._conditions[tree] = _condition_goal(self._solver, condition)
        return self._conditions[tree]

    def _score(self, product: Product) -> Goal:
        key = product.scorecard_ref, product.bands
        if key not in self._scores:
            short = partial(_points_short, product.bands)
            scoring = self.scoring_of(product.scorecard)
            self._scores[key] = score_goal(self._solver, scoring, short)
        return self._scores[key]

    def _limit(self, product: Product) -> Goal:
        limit = product.limit
        # What is rounded down to a step must reach the first step that is no less than the minimum.
        least_fen = -(-limit.minimum_fen // limit.step_fen) * limit.step_fen
        key = limit.amount.tree, least_fen
        if key not in self._limits:
            self._limits[key] = _limit_goal(self._solver, limit, least_fen)
        return self._limits[key]


def _points_short(bands: Sequence[Band], points: int) -> int:
    """Return how far a score is from a band that lends."""
    index = max(bisect_right([band.lower for band in bands], points) - 1, 0)
    if bands[index].rate_bp is not None:
        return 0
    lending = [band.lower for band in bands[index:] if band.rate_bp is not None]
    # Above the last rate no more points help; below it some must go.
    return lending[0] - points if lending else points - bands[index].lower + 1


def _no_gap(state: State) -> int:
    del state
    return 0


def _condition_goal(solver: Solver, condition: Condition) -> Goal:
    when = condition.when

    def holds(state: State) -> bool:
        return evaluate_or_none(when.evaluate, state.facts) is True

    def repairs(state: State) -> Repairs:
        yield from _repair(solver, when.tree, True, state.facts)

    return Goal(condition.id, when.reads, (when.tree,), holds, repairs, _no_gap)


def _repair(solver: Solver, tree: Tree, want: bool, facts: Facts) -> Repairs:
    """Yield changes with which a boolean tree is `want`."""
    if isinstance(tree, Logic):
        parts = list(_flatten(tree, tree.absorbing))
        if tree.absorbing is want:
            for part in parts:
                yield from _repair(solver, part, want, facts)
        else:
            yield from _repair_all(solver, [(part, want) for part in parts], facts)
    elif isinstance(tree, Apply) and tree.operation == "not":
        yield from _repair(solver, tree.arguments[0], not want, facts)
    elif isinstance(tree, Choose):
        for value, branch in ((True, tree.chosen), (False, tree.otherwise)):
            yield from _repair_all(solver, [(tree.condition, value), (branch, want)], facts)
    elif isinstance(tree, HasFact):
        yield from _repair_presence(solver, tree, want, facts)
    else:
        yield from solver.solve(
            facts_of(tree), (tree,), lambda tried: solver.value(tree, tried) is want, facts
        )


def _flatten(tree: Tree, absorbing: bool) -> Iterator[Tree]:
    if isinstance(tree, Logic) and tree.absorbing is absorbing:
        yield from _flatten(tree.left, absorbing)
        yield from _flatten(tree.right, absorbing)
    else:
        yield tree


def _repair_presence(solver: Solver, tree: HasFact, want: bool, facts: Facts) -> Repairs:
    """Yield the fact's least value where it is missing; what is known is never made unknown."""
    if want and tree.name not in facts and solver.is_movable(tree.name):
        yield {tree.name: solver.origin(tree.name, facts, ())}


def _repair_all(solver: Solver, wishes: Iterable[tuple[Tree, bool]], facts: Facts) -> Repairs:
    """Yield changes with which each tree is as wished, one repaired after the other."""
    wanted = list(wishes)
    states: list[dict[str, FactValue]] = [{}]
    for tree, want in wanted:
        following: list[dict[str, FactValue]] = []
        for state in states:
            changed = solver.after(facts, state)
            if solver.value(tree, changed) is want:
                following.append(state)
                continue
            found = islice(_repair(solver, tree, want, changed), _BREADTH)
            following += [{**state, **change} for change in found]
        states = following[: 2 * _BREADTH]
    for state in states:
        changed = solver.after(facts, state)
        if state and all(solver.value(tree, changed) is want for tree, want in wanted):
            yield state


def score_goal(solver: Solver, scoring: Scoring, points_short: Callable[[int], int]) -> Goal:
    """Return the goal of a score that is not referred and of which `points_short` is zero."""
    card = scoring.card

    def gap(state: State) -> int:
        given = state.give(scoring)
        over = 0 if card.max_missing is None else max(given.missing_count - card.max_missing, 0)
        return points_short(given.points) + over * _REFERRED_GAP

    trees = [_bound_trees(item) for item in card.characteristics]

    def repairs(state: State) -> Repairs:
        given = state.give(scoring)
        short = points_short(given.points)
        steps: list[_Step] = []
        for index, points in enumerate(given.parts):
            steps += _better_points(index, card.characteristics[index], points, short)
        steps.sort(key=lambda step: not step.is_enough)
        for step in steps:
            solve = partial(
                solver.solve, step.item.input.reads, trees[step.index], step.reaches, state.facts
            )
            yield from state.solutions(card, step.index, step.target, solve)

    inputs = tuple(item.input.tree for item in card.characteristics)
    return Goal("score", card.inputs, inputs, lambda state: gap(state) == 0, repairs, gap)


@dataclass(frozen=True, slots=True)
class _Step:
    """More points of one characteristic, or points of its own where its input was missing."""

    index: int
    item: Characteristic
    target: int
    is_enough: bool

    def reaches(self, facts: Facts) -> bool:
        points = self.item.find_points(self.item.find_value(facts))
        return points is not None and points >= self.target


def _better_points(
    index: int, item: Characteristic, known: int | None, short: int
) -> Iterator[_Step]:
    """Yield the next better points, the first that are enough alone, and the best."""
    now = item.missing if known is None else known
    given = sorted({*item.points, *item.table.values()})
    better = [points for points in given if points > now or known is None]
    enough = [points for points in better if points - now >= short]
    for target in dict.fromkeys((*enough[:1], *better[:1], *better[-1:])):
        yield _Step(index, item, target, target in enough)


def _bound_trees(item: Characteristic) -> tuple[Tree, ...]:
    """Return comparisons of the input with its bounds, for the solver to look at, or the input."""
    tree = item.input.tree
    return tuple(_at_least(tree, lower) for lower in item.lowers) or (tree,)


def _at_least(tree: Tree, bound: int) -> Tree:
    return Apply(BOOL, ">=", (tree, Constant(tree.type, bound)))


def _limit_goal(solver: Solver, limit: Limit, least_fen: int) -> Goal:
    amount = limit.amount

    def reaches(facts: Facts) -> bool:
        raw = evaluate_or_none(amount.evaluate, facts)
        return raw is not None and int(raw) >= least_fen

    def repairs(state: State) -> Repairs:
        yield from solver.solve(amount.reads, trees, reaches, state.facts)

    trees = (_at_least(amount.tree, least_fen),)
    return Goal(
        "limit",
        amount.reads,
        (amount.tree,),
        lambda state: reaches(state.facts),
        repairs,
        _no_gap,
    )


def _amount_goal(solver: Solver) -> Goal:
    def reaches(facts: Facts) -> bool:
        return int(facts.get(AMOUNT, 0)) > 0

    def repairs(state: State) -> Repairs:
        yield from solver.solve((AMOUNT,), (), reaches, state.facts)

    return Goal(
        "amount",
        frozenset({AMOUNT}),
        (),
        lambda state: reaches(state.facts),
        repairs,
        _no_gap,
    )
