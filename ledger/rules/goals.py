"""What keeps a product from granting, each with the changes that would repair it.

A goal is a condition, a score that lends, a limit above the minimum or an amount asked. Its repairs
follow the shape of its expression: all parts of an `&&` must hold, one part of an `||` is enough, a
`!` turns the wish around, a ternary takes the branch it is on or the other one. What is left are
comparisons and flags, which `Solver.solve` solves for one fact at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ledger.rules.failures import EvalError
from ledger.rules.product import AMOUNT, Condition, Product
from ledger.rules.scorecard import Characteristic, Scorecard
from ledger.rules.solving import Facts, Solver
from ledger.rules.tree import Apply, Choose, Constant, HasFact, Logic, Tree, facts_of
from ledger.rules.types import BOOL
from ledger.rules.units import FactValue

Repairs = Iterator[dict[str, FactValue]]
_BREADTH = 4  # repairs followed for each part of an `&&`
_REFERRED_GAP = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """Something that must hold; `gap` orders facts with which it does not, nearest first."""

    name: str
    reads: frozenset[str]
    trees: tuple[Tree, ...]
    holds: Callable[[Facts], bool]
    repairs: Callable[[Facts], Repairs]
    gap: Callable[[Facts], int]


def goals_of(product: Product, solver: Solver) -> tuple[Goal, ...]:
    """Return the goals of a product in the order in which it decides."""
    conditions = [_condition_goal(solver, item) for item in product.conditions]
    lowers = [band.lower for band in product.bands]

    def points_short(points: int) -> int:
        index = max(bisect_right(lowers, points) - 1, 0)
        if product.bands[index].rate_bp is not None:
            return 0
        lending = [band.lower for band in product.bands[index:] if band.rate_bp is not None]
        # Above the last rate no more points help; below it some must go.
        return lending[0] - points if lending else points - lowers[index] + 1

    score = score_goal(solver, product.scorecard, points_short)
    return (*conditions, score, _limit_goal(solver, product), _amount_goal(solver))


def _no_gap(facts: Facts) -> int:
    del facts
    return 0


def _condition_goal(solver: Solver, condition: Condition) -> Goal:
    when = condition.when

    def holds(facts: Facts) -> bool:
        try:
            return bool(when.evaluate(facts))
        except EvalError:
            return False

    def repairs(facts: Facts) -> Repairs:
        yield from _repair(solver, when.tree, True, facts)

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


def score_goal(solver: Solver, scorecard: Scorecard, points_short: Callable[[int], int]) -> Goal:
    """Return the goal of a score that is not referred and of which `points_short` is zero."""

    def gap(facts: Facts) -> int:
        score = scorecard.score_accepted(facts)
        over = score.missing_count - (scorecard.max_missing or 0) if score.is_referred else 0
        return points_short(score.points) + over * _REFERRED_GAP

    solved = [(item, _bound_trees(item)) for item in scorecard.characteristics]

    def repairs(facts: Facts) -> Repairs:
        short = points_short(scorecard.score_accepted(facts).points)
        steps = [
            step for item, trees in solved for step in _better_points(item, trees, facts, short)
        ]
        steps.sort(key=lambda step: not step.is_enough)
        for step in steps:
            yield from solver.solve(step.item.input.reads, step.trees, step.reaches, facts)

    trees = tuple(item.input.tree for item in scorecard.characteristics)
    return Goal("score", scorecard.inputs, trees, lambda facts: gap(facts) == 0, repairs, gap)


@dataclass(frozen=True, slots=True)
class _Step:
    """More points of one characteristic, or points of its own where its input was missing."""

    item: Characteristic
    trees: tuple[Tree, ...]
    target: int
    is_enough: bool

    def reaches(self, facts: Facts) -> bool:
        part = self.item.measure(facts)
        return part.value is not None and part.points >= self.target


def _better_points(
    item: Characteristic, trees: tuple[Tree, ...], facts: Facts, short: int
) -> Iterator[_Step]:
    """Yield the next better points, the first that are enough alone, and the best."""
    now = item.measure(facts)
    given = sorted({*item.points, *item.table.values()})
    better = [points for points in given if points > now.points or now.value is None]
    enough = [points for points in better if points - now.points >= short]
    for target in dict.fromkeys((*enough[:1], *better[:1], *better[-1:])):
        yield _Step(item, trees, target, target in enough)


def _bound_trees(item: Characteristic) -> tuple[Tree, ...]:
    """Return the input, and comparisons of it with its bounds, for the solver to look at."""
    tree = item.input.tree
    return (tree, *(_at_least(tree, lower) for lower in item.lowers))


def _at_least(tree: Tree, bound: int) -> Tree:
    return Apply(BOOL, ">=", (tree, Constant(tree.type, bound)))


def _limit_goal(solver: Solver, product: Product) -> Goal:
    limit = product.limit

    def reach(facts: Facts) -> int:
        try:
            raw: int = limit.amount.evaluate(facts)
        except EvalError:
            return 0
        return max(raw, 0) // limit.step_fen * limit.step_fen

    def holds(facts: Facts) -> bool:
        return reach(facts) >= limit.minimum_fen

    seen = _at_least(limit.amount.tree, limit.minimum_fen)

    def repairs(facts: Facts) -> Repairs:
        yield from solver.solve(limit.amount.reads, (seen,), holds, facts)

    return Goal("limit", limit.amount.reads, (limit.amount.tree,), holds, repairs, _no_gap)


def _amount_goal(solver: Solver) -> Goal:
    def holds(facts: Facts) -> bool:
        return int(facts.get(AMOUNT, 0)) > 0

    def repairs(facts: Facts) -> Repairs:
        yield from solver.solve((AMOUNT,), (), holds, facts)

    return Goal("amount", frozenset({AMOUNT}), (), holds, repairs, _no_gap)
