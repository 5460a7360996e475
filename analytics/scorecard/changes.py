"""What would change a score: the better bands of each characteristic, and a way to a target.

A change is proposed from the card and then tried: the fact that the input reads is moved to the
bound of the better band and the ledger's evaluator is asked again; only a change that brings the
whole score what it promises names a fact: more purchases may help one characteristic and harm
another. An input that no single fact moves as promised (a share, say) is told by its band alone,
and so are changes that do not go together. Nothing here needs more than the ledger's own rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from ledger.rules.features import accept_facts
from ledger.rules.scorecard import Characteristic, Part, Scorecard
from ledger.rules.units import FactValue

_TOGETHER_MAX = 4  # characteristics changed at once, before it is said that there is no way

Facts = Mapping[str, FactValue]


@dataclass(frozen=True, slots=True)
class Change:
    """One characteristic in a better band: its input must be at least `lower` and below `below`
    (or `level`), for `gain` points more; `fact` and `value` are what was tried, if one did it."""

    id: str
    lower: int | None
    below: int | None
    level: str | None
    gain: int
    fact: str | None = None
    value: FactValue | None = None


def find_changes(scorecard: Scorecard, facts: Facts) -> tuple[Change, ...]:
    """Return the nearest better band of each characteristic, greatest gain first.

    Of a band above and one below, the one with more points is taken.
    """
    known = accept_facts(scorecard.features, facts)
    found = []
    for item, part in zip(scorecard.characteristics, scorecard.score(known).parts, strict=True):
        nearest = _nearest(_better(item, part))
        if nearest is not None:
            found.append(_try(scorecard, item, part, nearest, known))
    return tuple(sorted(found, key=lambda change: -change.gain))


def find_way(scorecard: Scorecard, facts: Facts, target: int) -> tuple[Change, ...] | None:
    """Return the fewest changes that reach `target` points, the smallest bands that do; None if
    four together do not, () if nothing need change.

    Where every change names a fact, all of them together were tried and reach `target`.
    """
    known = accept_facts(scorecard.features, facts)
    score = scorecard.score(known)
    need = target - score.points
    if need <= 0:
        return ()
    pairs = list(zip(scorecard.characteristics, score.parts, strict=True))
    options = {place: list(_better(*pair)) for place, pair in enumerate(pairs)}
    for count in range(1, _TOGETHER_MAX + 1):
        ways = [
            way
            for places in combinations(
                [place for place, better in options.items() if better], count
            )
            if (way := _reach([options[place] for place in places], places, need)) is not None
        ]
        if ways:
            ways.sort(key=lambda way: sum(change.gain for _, change in way))
            named = [
                tuple(_try(scorecard, *pairs[place], change, known) for place, change in way)
                for way in ways
            ]
            reached = [way for way in named if _reaches(scorecard, known, way, target)]
            return reached[0] if reached else tuple(map(_unnamed, named[0]))
    return None


def _reaches(scorecard: Scorecard, facts: Facts, way: Iterable[Change], target: int) -> bool:
    """Whether all facts that the changes name, moved at once, reach `target` points."""
    return scorecard.score(apply_changes(facts, way)).points >= target


def _unnamed(change: Change) -> Change:
    return replace(change, fact=None, value=None)


def apply_changes(facts: Facts, changes: Iterable[Change]) -> dict[str, FactValue]:
    """Return the facts with the changes that name a fact."""
    moved = {item.fact: item.value for item in changes if item.fact and item.value is not None}
    return {**facts, **moved}


def _reach(
    options: list[list[Change]], places: tuple[int, ...], need: int
) -> list[tuple[int, Change]] | None:
    """Return a change of each place whose gains reach `need`, each as small as the others allow."""
    most = [max(change.gain for change in better) for better in options]
    if sum(most) < need:
        return None
    taken: list[Change] = []
    for better, own in zip(options, most, strict=True):
        others = sum(most) - own
        enough = [change for change in better if change.gain >= need - others]
        taken.append(min(enough, key=lambda change: change.gain))
        most[len(taken) - 1] = taken[-1].gain
    return list(zip(places, taken, strict=True))


def _better(item: Characteristic, part: Part) -> Iterator[Change]:
    """Yield every band or level with more points than now."""
    for level, points in item.table.items():
        if points > part.points:
            yield Change(item.id, None, None, level, points - part.points)
    for place, points in enumerate(item.points):
        if points > part.points:
            below = item.lowers[place + 1] if place + 1 < len(item.lowers) else None
            lower = item.lowers[place] if place else None
            yield Change(item.id, lower, below, None, points - part.points)


def _nearest(better: Iterable[Change]) -> Change | None:
    """Return the smallest gain: bands rise by steps, so it is the nearest one."""
    return min(better, key=lambda change: change.gain, default=None)


def _try(
    scorecard: Scorecard, item: Characteristic, part: Part, change: Change, facts: Facts
) -> Change:
    """Return the change with the fact that brings it about, where the evaluator agrees."""
    now = scorecard.score(facts).points
    for name, value in _moves(item, part, change, facts):
        moved = accept_facts(scorecard.features, {**facts, name: value})
        if moved.get(name) != value or item.measure(moved).points < part.points + change.gain:
            continue
        if scorecard.score(moved).points >= now + change.gain:
            return replace(change, fact=name, value=value)
    return change


def _moves(
    item: Characteristic, part: Part, change: Change, facts: Facts
) -> Iterator[tuple[str, FactValue]]:
    """Yield facts to try: a level as it is, or a number moved by what its input lacks."""
    names = sorted(item.input.reads)
    if change.level is not None:
        yield from ((name, _parse(change.level, facts.get(name))) for name in names)
        return
    now = part.value
    if now is None:
        bound = change.lower if change.lower is not None else (change.below or 1) - 1
        yield from ((name, bound) for name in names)
        return
    is_above = change.lower is not None and change.lower > int(now)
    want = change.lower if is_above else (change.below or 1) - 1
    lack = (want or 0) - int(now)
    for name in names:
        fact = facts.get(name)
        if name != "as_of" and isinstance(fact, int) and not isinstance(fact, bool):
            yield name, fact + lack
            yield name, fact - lack


def _parse(level: str, now: FactValue | None) -> FactValue:
    return level == "true" if isinstance(now, bool) else level
