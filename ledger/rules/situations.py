"""Situations: one company's facts, what becomes of them after moves, and what holds then.

A search for the smallest change asks the same things again and again: whether a condition holds
after a move, what a scorecard gives, which moves would repair a condition. Products share
conditions and scorecards, so that it asks them for many products of one company. A `Situation`
keeps one `State` for each set of moves, and a state answers each question once: what no move of it
touches is answered by the state without moves, where the company is now.

Answers stand for the facts of one company and are thrown away with the situation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeAlias

from ledger.rules.failures import EvalError
from ledger.rules.features import AS_OF, Feature, Leeway
from ledger.rules.operations import ratio_bp
from ledger.rules.scorecard import Scorecard
from ledger.rules.solving import Facts, Solver
from ledger.rules.tree import Tree
from ledger.rules.units import FactValue

Moves: TypeAlias = dict[str, FactValue]
_CANDIDATES = 24


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """Something that must hold; `gap` orders states in which it does not, nearest first."""

    name: str
    reads: frozenset[str]
    trees: tuple[Tree, ...]
    holds: Callable[[State], bool]
    repairs: Callable[[State], Iterator[Moves]]
    gap: Callable[[State], int]


class Scoring:
    """A scorecard, and which of its characteristics read which fact."""

    def __init__(self, card: Scorecard) -> None:
        self.card = card
        self.places: dict[str, tuple[int, ...]] = {
            name: tuple(
                index for index, item in enumerate(card.characteristics) if name in item.input.reads
            )
            for name in sorted(card.inputs)
        }


class Given(NamedTuple):
    """What a scorecard gives: points, how many inputs are missing, and each one's points.

    Those of a missing input are None here.
    """

    points: int
    missing_count: int
    parts: list[int | None]


class State:
    """The facts of a company after some moves; each question about them is answered once.

    `changed` are the facts that stand elsewhere than without moves. `effort` is for the search to
    keep.
    """

    __slots__ = (
        "_given", "_situation", "_solutions", "_steps", "_verdicts", "changed", "effort", "facts",
        "moves",
    )  # fmt: skip

    def __init__(
        self,
        situation: Situation,
        moves: Moves,
        facts: dict[str, FactValue],
        changed: set[str],
        verdicts: Mapping[Goal, bool] | None = None,
    ) -> None:
        self.moves = moves
        self.facts = facts
        self.changed = changed
        self.effort: int | None = None
        self._situation = situation
        self._verdicts: dict[Goal, bool] = dict(verdicts or {})
        self._steps: dict[Goal, list[State]] = {}
        self._given: dict[str, Given] = {}
        self._solutions: dict[tuple[str, int, int], list[Moves]] = {}

    def holds(self, goal: Goal) -> bool:
        """Return whether a goal is met."""
        found = self._verdicts.get(goal)
        if found is None:
            self._situation.solver.spend()
            found = self._verdicts[goal] = goal.holds(self)
        return found

    def steps(self, goal: Goal) -> list[State]:
        """Return states with moves added that meet a goal, or come nearer to it."""
        found = self._steps.get(goal)
        if found is None:
            repairs = islice(goal.repairs(self), _CANDIDATES)
            steps = [self._situation.follow(self.moves, change) for change in repairs]
            found = self._steps[goal] = [step for step in steps if step is not None]
        return found

    def give(self, scoring: Scoring) -> Given:
        """Return what a scorecard gives."""
        ref = scoring.card.ref
        found = self._given.get(ref)
        if found is None:
            found = self._given[ref] = self._compute_given(scoring)
        return found

    def _compute_given(self, scoring: Scoring) -> Given:
        card, situation = scoring.card, self._situation
        if self is situation.base:
            return situation.give_first(card)
        first = situation.base.give(scoring)
        names = [name for name in self.changed if name in scoring.places]
        if not names:
            return first
        points, missing_count, before = first
        parts = [*before]
        for place in {place for name in names for place in scoring.places[name]}:
            item = card.characteristics[place]
            situation.solver.spend()
            was, now = parts[place], item.find_points(item.find_value(self.facts))
            parts[place] = now
            points += (item.missing if now is None else now) - (
                item.missing if was is None else was
            )
            missing_count += (now is None) - (was is None)
        return Given(points, missing_count, parts)

    def solutions(
        self, card: Scorecard, index: int, points: int, solve: Callable[[], Iterator[Moves]]
    ) -> list[Moves]:
        """Return the moves with which a characteristic gives so many points; `solve` finds them."""
        key = card.ref, index, points
        found = self._solutions.get(key)
        if found is None:
            found = self._solutions[key] = list(solve())
        return found


class Situation:
    """Where a company stands, and every state that moves lead to."""

    def __init__(
        self,
        solver: Solver,
        facts: Facts,
        known: Facts,
        verdicts: Mapping[Goal, bool] | None = None,
        inputs: Mapping[str, Sequence[FactValue | None]] | None = None,
    ) -> None:
        """`known` are the accepted ones among `facts`, of all features of the solver.

        `verdicts` are of goals, `inputs` of scorecards, where they were computed before.
        """
        self.solver = solver
        self.known = known
        self._raw = facts
        self._inputs = inputs or {}
        self._states: dict[tuple[tuple[str, FactValue], ...], State] = {}
        self.base = self._states[()] = State(self, {}, dict(known), set(), verdicts)

    def give_first(self, card: Scorecard) -> Given:
        """Return what a scorecard gives without moves."""
        values = self._inputs.get(card.ref)
        if values is None:
            values = [item.find_value(self.known) for item in card.characteristics]
        pairs = zip(card.characteristics, values, strict=True)
        parts = [item.find_points(value) for item, value in pairs]
        pairs_of_points = zip(card.characteristics, parts, strict=True)
        points = sum(item.missing if given is None else given for item, given in pairs_of_points)
        return Given(card.initial + points, parts.count(None), parts)

    def after(self, moves: Moves) -> State:
        """Return the state after the moves, what is computed from others computed anew."""
        key = tuple(sorted(moves.items()) if len(moves) > 1 else moves.items())
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = self._make(moves)
        return found

    def follow(self, moves: Moves, change: Moves) -> State | None:
        """Return the state after moves and a change of them; None if the company cannot go there.

        What is computed from others may stand elsewhere since these moved: a move must go the
        company's way from where the fact was at first.
        """
        known, leeways = self.known, self.solver.leeways
        for name, value in change.items():
            before = known.get(name)
            leeway = leeways[name]
            if before is None or isinstance(value, str) or leeway is Leeway.ANY:
                continue
            if int(value) < int(before) if leeway is Leeway.UP else int(value) > int(before):
                return None
        grown = {**moves, **change}
        return self.after(
            {name: value for name, value in grown.items() if known.get(name) != value}
        )

    def _make(self, moves: Moves) -> State:
        solver = self.solver
        facts = solver.after(self.known, moves)
        changed = set(moves)
        if AS_OF in moves:
            changed.update(solver.aging)
        for feature in solver.find_derived(moves):
            if feature.name in moves:
                continue
            parts = (*feature.of, AS_OF) if feature.agg == "days_since" else feature.of
            values = [facts.get(part, self._raw.get(part)) for part in parts]
            if None in values:
                continue
            changed.add(feature.name)
            value = _derive(feature, [int(item) for item in values if item is not None])
            if value is not None and feature.accepts(value):
                facts[feature.name] = value
            else:
                facts.pop(feature.name, None)
        return State(self, moves, facts, changed)


def _derive(feature: Feature, parts: list[int]) -> int | None:
    if feature.agg == "days_since":
        return parts[1] - parts[0]
    try:
        return ratio_bp(parts[0], parts[1])
    except EvalError:
        return None
