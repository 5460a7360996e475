"""What an author should know of a scorecard before it is voted on, from its source alone.

It type-checks already when this is asked. The review measures what each characteristic can move,
and finds what the compiler has no reason to refuse: points that reward withholding a record, a
value that no band takes, one reason for two things, a case of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.rules.scorecard import Characteristic, Score, Scorecard
from ledger.rules.units import Unit


@dataclass(frozen=True, slots=True)
class Range:
    """What one characteristic gives: `swing` is its share of all that can be gained, in percent."""

    id: str
    lowest: int
    highest: int
    missing: int
    swing: int
    is_monotone: bool


@dataclass(frozen=True, slots=True)
class Review:
    """The whole card: `unknown` is the score of a company of which nothing is known."""

    lowest: int
    highest: int
    unknown: Score
    ranges: tuple[Range, ...]
    warnings: tuple[str, ...]


def review(scorecard: Scorecard) -> Review:
    """Return what the card can give and what its author should look at again."""
    items = scorecard.characteristics
    highest = [_highest(item) for item in items]
    lowest = [item.lowest for item in items]
    whole = sum(highest) - sum(lowest) or 1
    ranges = tuple(
        Range(item.id, low, high, item.missing, 100 * (high - low) // whole, _is_monotone(item))
        for item, low, high in zip(items, lowest, highest, strict=True)
    )
    unknown = scorecard.score({})
    warnings = [*_find_card_warnings(scorecard, unknown)]
    for item in items:
        warnings += [f"{item.id}: {text}" for text in _find_warnings(scorecard, item)]
    return Review(
        scorecard.lowest, scorecard.initial + sum(highest), unknown, ranges, tuple(warnings)
    )


def _all_points(item: Characteristic) -> tuple[int, ...]:
    return (*item.points, *item.table.values())


def _highest(item: Characteristic) -> int:
    return max(item.missing, *_all_points(item))


def _is_monotone(item: Characteristic) -> bool:
    rises = list(item.points) == sorted(item.points)
    return bool(item.table) or rises or list(item.points) == sorted(item.points, reverse=True)


def _find_card_warnings(scorecard: Scorecard, unknown: Score) -> Iterator[str]:
    if scorecard.max_missing is None:
        yield (
            f"no max_missing: a company of which nothing is known scores {unknown.points} "
            "and is not referred"
        )
    if scorecard.max_reasons == 0:
        yield "max_reasons is 0: a declined company is told no reason"
    codes = [(item.reason, item.id) for item in scorecard.characteristics]
    for place, (code, name) in enumerate(codes):
        for other, known in codes[:place]:
            if code == other:
                yield f"{known} and {name} give the same reason {code}"


def _find_warnings(scorecard: Scorecard, item: Characteristic) -> Iterator[str]:
    points = _all_points(item)
    if item.missing >= max(points):
        yield f"missing gives {item.missing} points, no known value more: withholding pays"
    elif item.missing > (max(points) + min(points)) / 2:
        yield f"missing gives {item.missing} of at most {max(points)} points: withholding may pay"
    if item.baseline <= min(points):
        yield f"baseline {item.baseline}: no points lie below it, its reason is never given"
    if item.baseline > max(points):
        yield f"baseline {item.baseline} lies above its best points {max(points)}"
    if len(set(points)) == 1:
        yield "every value gives the same points"
    if not item.text:
        yield "no text: the company is told a code alone"
    if not _is_monotone(item):
        yield "points rise and fall again as the input grows"
    if item.lowers:
        yield from _find_range_warnings(scorecard, item)


def _find_range_warnings(scorecard: Scorecard, item: Characteristic) -> Iterator[str]:
    """Yield bands that a plain feature cannot reach, and values that no band takes."""
    plain = [feature for feature in scorecard.features if feature.name == item.input.source.strip()]
    for feature in plain:
        if feature.unit in (Unit.TEXT, Unit.FLAG):
            continue
        if feature.minimum is None or feature.minimum < item.lowers[0]:
            least = "any value" if feature.minimum is None else f"{feature.minimum}"
            yield (
                f"{feature.name} may be as low as {least}, the first band begins at "
                f"{item.lowers[0]}: what is below counts as missing"
            )
        if feature.maximum is not None and feature.maximum < item.lowers[-1]:
            yield f"{feature.name} is at most {feature.maximum}: the last band is never reached"
