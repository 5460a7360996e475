"""Solving a condition for one fact: the nearest value with which it would hold.

A fact moves only within its declared range and only the way the company can move it
(`Feature.leeway`). A number is sought outward from where it is, at the numbers that stand in the
rule, at where a straight line through two values would meet the other side, and at distances that
double; between the last value that fails and one that passes, halving finds a border: a value that
passes beside one that does not. A short range is looked through whole. Where it is known at which
numbers a rule turns (`turns`), only these are tried. Texts and flags are tried one by one. Nothing
is believed that was not evaluated.

A fact that is missing moves too, from the least that could be said of it (`origin`): to attest
something is a change as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.rules.closures import build_evaluator
from ledger.rules.failures import EvalError
from ledger.rules.features import AS_OF, Feature, Leeway
from ledger.rules.tree import Apply, Constant, Loop, Tree, children_of
from ledger.rules.turns import Turns, find_turns, reads
from ledger.rules.types import Kind
from ledger.rules.units import FactValue, Unit

Facts: TypeAlias = Mapping[str, FactValue]
Test: TypeAlias = Callable[[FactValue], bool]
_WAIT_DAYS_MAX = 1_826  # five years: a later day is no advice
_SHORT = 64
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
# How far a number without a declared range may go.
_FARTHEST: Mapping[Unit, int] = {
    Unit.FEN: 10**14,
    Unit.BP: 10**6,
    Unit.DAYS: 36_500,
    Unit.DATE: 100_000,
    Unit.COUNT: 10**14,
    Unit.SCORE: 10**6,
    Unit.NUMBER: 10**18,
}


class Exhausted(Exception):
    """A search has used up its evaluations; nothing is said then."""


def evaluate_or_none(run: Callable[[Facts], Any], facts: Facts) -> Any:
    """Return the value, None for an error."""
    try:
        return run(facts)
    except EvalError:
        return None


class Solver:
    """The features of one rule, and its trees as functions."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = {feature.name: feature for feature in features}
        self.leeways = {feature.name: feature.leeway for feature in features}
        # What the company can keep as it is (the days since its last sale) stays as it is.
        self.aging = {
            item.name: item
            for item in features
            if item.agg == "days_since" and self.leeways[item.name] is Leeway.FIXED
        }
        self.left = 0  # evaluations that a search may still make
        self._derived = [feature for feature in features if feature.of]
        self._parts = frozenset(part for feature in self._derived for part in feature.of)
        self._functions: dict[int, tuple[Tree, Callable[[Facts], Any]]] = {}
        self._texts: dict[int, tuple[Tree, tuple[str, ...]]] = {}
        self._clues: dict[tuple[int, str], tuple[Tree, _Clues]] = {}

    def allow(self, evaluations: int) -> None:
        """Grant a search so many evaluations, so that no rule makes one go on for long."""
        self.left = evaluations

    def spend(self, evaluations: int = 1) -> None:
        """Count what is evaluated; raise `Exhausted` beyond what was allowed."""
        self.left -= evaluations
        if self.left < 0:
            raise Exhausted

    def value(self, tree: Tree, facts: Facts) -> Any:
        """Return the value of a tree, None for an error."""
        self.spend()
        found = self._functions.get(id(tree))
        if found is None:
            # The tree is kept as well, so that its id stays its own.
            found = self._functions[id(tree)] = tree, build_evaluator(tree)
        return evaluate_or_none(found[1], facts)

    def after(self, facts: Facts, moves: Facts) -> dict[str, FactValue]:
        """Return the facts with moves made, that of the day with what follows from it."""
        day = moves.get(AS_OF)
        return {**(facts if day is None else self._wait(facts, int(day))), **moves}

    def _wait(self, facts: Facts, as_of: int) -> dict[str, FactValue]:
        """Return the facts on another day: the days since what is past and fixed have grown."""
        found = {**facts, AS_OF: as_of}
        passed = as_of - int(facts.get(AS_OF, as_of))
        for name in self.aging.keys() & facts.keys():
            value = int(facts[name]) + passed
            if self.aging[name].accepts(value):
                found[name] = value
            else:
                del found[name]
        return found

    def find_derived(self, moves: Facts) -> list[Feature]:
        """Return the features that are computed from one that moves, in their order."""
        if self._parts.isdisjoint(moves):
            return []
        return [item for item in self._derived if not moves.keys().isdisjoint(item.of)]

    def is_movable(self, name: str) -> bool:
        """Return whether the company can move the fact at all."""
        return self.leeways[name] is not Leeway.FIXED

    def solve(
        self,
        names: Iterable[str],
        trees: Iterable[Tree],
        holds: Callable[[Facts], bool],
        facts: Facts,
    ) -> Iterator[dict[str, FactValue]]:
        """Yield changes of facts among `names` after which `holds`: of one, else of two.

        Facts that are missing are all given a value first. `trees` are what `holds` looks at.
        """
        sources = list(trees)
        candidates = set(names)
        if AS_OF in facts and not candidates.isdisjoint(self.aging):
            candidates.add(AS_OF)
        movable = [name for name in sorted(candidates) if self.is_movable(name)]
        given = {name: self.origin(name, facts, sources) for name in movable if name not in facts}
        start = {**facts, **given}
        if given and holds(start):
            yield given
        count = 0
        for name in movable:
            for value in self._nearest(name, start, sources, holds, facts):
                count += 1
                yield {**given, name: value}
        if count == 0:
            for change in self._solve_pairs(movable, start, sources, holds):
                yield {**given, **change}

    def _solve_pairs(
        self, names: list[str], start: Facts, sources: list[Tree], holds: Callable[[Facts], bool]
    ) -> Iterator[dict[str, FactValue]]:
        for first in names:
            for value in self._extremes(first, start, sources):
                moved = self.after(start, {first: value})
                for second in names:
                    if second != first:
                        for other in self._nearest(second, moved, sources, holds, moved):
                            yield {first: value, second: other}

    def _extremes(self, name: str, facts: Facts, sources: list[Tree]) -> Iterable[FactValue]:
        feature = self.features[name]
        if feature.unit in (Unit.FLAG, Unit.TEXT):
            return [value for value in self._choices(name, sources) if value != facts[name]]
        return [value for value in self.bounds(name, facts) if value != facts[name]]

    def origin(self, name: str, facts: Facts, sources: Iterable[Tree]) -> FactValue:
        """Return what a missing fact moves from: the least that could be said of it."""
        feature = self.features[name]
        if feature.unit is Unit.FLAG:
            return False
        if feature.unit is Unit.TEXT:
            return self._choices(name, sources)[-1]
        zero = int(facts.get(AS_OF, 0)) if feature.unit is Unit.DATE else 0
        low, high = _range_of(feature)
        return min(max(zero, low), high)

    def bounds(self, name: str, facts: Facts) -> tuple[int, int]:
        """Return the least and greatest value that a number may move to from where it is."""
        feature = self.features[name]
        low, high = _range_of(feature)
        now = int(facts[name])
        if name == AS_OF:
            high = min(high, now + _WAIT_DAYS_MAX)
        if self.leeways[name] is Leeway.UP:
            low = now
        elif self.leeways[name] is Leeway.DOWN:
            high = now
        if feature.minimum is None and now >= 0:
            low = max(low, 0)
        return min(low, now), max(high, now)

    def _span(self, name: str, now: int) -> tuple[int, int]:
        """Return the least and greatest value that a number may turn out to have."""
        low, high = _range_of(self.features[name])
        return min(low if self.features[name].minimum is not None else 0, now), max(high, now)

    def choices(self, name: str, trees: Iterable[Tree], now: FactValue | None) -> list[FactValue]:
        """Return what a text or flag may become."""
        leeway = self.leeways[name]
        is_one_way = leeway in (Leeway.UP, Leeway.DOWN) and now is not None
        if self.features[name].unit is Unit.FLAG and is_one_way:
            return [leeway is Leeway.UP]
        return [value for value in self._choices(name, trees) if value != now]

    def _choices(self, name: str, trees: Iterable[Tree]) -> list[FactValue]:
        """Return the values of a flag or text: those in the rules first, in their order there."""
        feature = self.features[name]
        if feature.unit is Unit.FLAG:
            return [False, True]
        written = [text for tree in trees for text in self._find_texts(tree)]
        known = sorted(feature.values or ())
        found = [text for text in dict.fromkeys((*known, *written)) if feature.accepts(text)]
        found.sort(key=lambda text: written.index(text) if text in written else len(written))
        return list(found) or [""]

    def _find_texts(self, tree: Tree) -> tuple[str, ...]:
        """Return the texts that stand in a tree; once for each tree."""
        found = self._texts.get(id(tree))
        if found is None:
            # The tree is kept as well, so that its id stays its own.
            found = self._texts[id(tree)] = tree, tuple(_constants(tree, str))
        return found[1]

    def _nearest(
        self,
        name: str,
        facts: Facts,
        sources: list[Tree],
        holds: Callable[[Facts], bool],
        known: Facts,
    ) -> list[FactValue]:
        """Return the nearest values with which it holds: a number's below and above.

        What is not `known` may turn out either way, whichever way the company moves what is.
        """
        changed = dict(facts)

        def test(value: FactValue) -> bool:
            self.spend()
            if name == AS_OF:
                return holds(self.after(facts, {AS_OF: value}))
            changed[name] = value
            return holds(changed)

        if self.features[name].unit in (Unit.FLAG, Unit.TEXT):
            now_known = facts[name] if name in known else None
            choices = self.choices(name, sources, now_known)
            return [item for item in choices if item != facts[name] and test(item)]
        now = int(facts[name])
        low, high = self.bounds(name, facts) if name in known else self._span(name, now)
        hints, is_exact = self._hints(name, facts, sources)
        search = _search_turns if is_exact else _search
        sides = (
            search(now, low, [hint for hint in hints if low <= hint < now], test),
            search(now, high, [hint for hint in hints if now < hint <= high], test),
        )
        return [value for value in sides if value is not None]

    def _hints(self, name: str, facts: Facts, sources: list[Tree]) -> tuple[list[int], bool]:
        """Return numbers where the trees may turn, and whether they turn nowhere else."""
        found: set[int] = set()
        is_exact = name != AS_OF and bool(sources)
        for tree in sources:
            clues = self._find_clues(tree, name)
            turns = self._find_turns(clues, tree, facts) if is_exact else None
            if turns is None:
                is_exact = False
                found.update(clues.constants)
                for left, right in clues.compared:
                    found.update(self._meet(name, facts, left, right))
            else:
                found.update(turns)
        if is_exact:
            # From each of them on, so that what comes before counts up to the one below it.
            return sorted({*found, *(turn - 1 for turn in found)}), True
        return sorted({hint + step for hint in found for step in (-1, 0, 1)}), False

    def _find_turns(self, clues: _Clues, tree: Tree, facts: Facts) -> list[int] | None:
        """Return where the tree turns, None where that is not known: it has no value, say."""
        if clues.turns is None or self.value(tree, facts) is None:
            return None
        try:
            return clues.turns(facts)
        except EvalError:
            return None

    def _find_clues(self, tree: Tree, name: str) -> _Clues:
        """Return what a tree says of where a fact matters; once for each tree."""
        found = self._clues.get((id(tree), name))
        if found is None:
            compared = tuple(_compared(tree, name))
            clues = _Clues(find_turns(tree, name), tuple(_constants(tree, int)), compared)
            # The tree is kept as well, so that its id stays its own.
            found = self._clues[id(tree), name] = tree, clues
        return found[1]

    def _meet(self, name: str, facts: Facts, left: Tree, right: Tree) -> list[int]:
        """Return where left - right would be zero, were it a straight line in the fact."""
        now = int(facts[name])
        gaps = []
        for value in (now, now + 1):
            moved = {**facts, name: value}
            one, other = self.value(left, moved), self.value(right, moved)
            if one is None or other is None:
                return []
            gaps.append(one - other)
        slope = gaps[1] - gaps[0]
        return [now - gaps[0] // slope] if slope else []


@dataclass(frozen=True, slots=True)
class _Clues:
    """Where a fact matters to a tree: its turns, else its numbers and comparisons."""

    turns: Turns | None
    constants: tuple[int, ...]
    compared: tuple[tuple[Tree, Tree], ...]


def _range_of(feature: Feature) -> tuple[int, int]:
    farthest = _FARTHEST[feature.unit]
    low = -farthest if feature.minimum is None else feature.minimum
    return low, farthest if feature.maximum is None else feature.maximum


def _search(now: int, end: int, hints: Iterable[int], test: Test) -> int | None:
    """Return a value between `now` and `end` that passes beside one that fails, None if unseen.

    Candidates are looked at from the nearest to the farthest; `now` itself is known to fail.
    """
    sign = 1 if end >= now else -1
    length = abs(end - now)
    if length <= _SHORT:
        steps = list(range(1, length + 1))
    else:
        doubled = (1 << power for power in range(length.bit_length()))
        steps = sorted({abs(hint - now) for hint in hints} | set(doubled) | {length})
    last = 0
    for step in steps:
        if test(now + sign * step):
            return now + sign * tighten(last, step, lambda item: test(now + sign * item))
        last = step
    return None


def _search_turns(now: int, end: int, hints: Iterable[int], test: Test) -> int | None:
    """Return the nearest value that passes, where it turns nowhere but about the hints."""
    ordered = sorted(hints, reverse=end < now)
    return next((hint for hint in ordered if test(hint)), None)


def tighten(fails: int, passes: int, test: Callable[[int], bool]) -> int:
    """Return a number in (fails, passes] that passes while the one before it does not."""
    while passes - fails > 1:
        middle = (fails + passes) // 2
        if test(middle):
            passes = middle
        else:
            fails = middle
    return passes


def _compared(tree: Tree, name: str) -> Iterator[tuple[Tree, Tree]]:
    """Yield both sides of each comparison of numbers that reads the fact, outside of macros."""
    if isinstance(tree, Loop):
        return
    if isinstance(tree, Apply) and tree.operation in _COMPARISONS:
        left, right = tree.arguments
        if left.type.kind is Kind.INT and right.type.kind is Kind.INT and reads(tree, name):
            yield left, right
    for child in children_of(tree):
        yield from _compared(child, name)


def _constants(tree: Tree, kind: type) -> list[Any]:
    """Return the numbers or texts that stand in a tree, from left to right."""
    found: list[Any] = []
    if isinstance(tree, Constant):
        values = tree.value if isinstance(tree.value, tuple) else (tree.value,)
        found += [value for value in values if type(value) is kind]
    for child in children_of(tree):
        found += _constants(child, kind)
    return found
