"""From log-odds to whole points: the card that is written, and that is validated.

Every characteristic gives at least 0 points; what all companies have in common is `initial`. Bands
with equal points are one band. The points of a band are what the ledger adds up, so the figures of
a validation are those of the integers and not of the floats behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.scorecard.figures import Floats
from analytics.scorecard.inputs import Input
from analytics.scorecard.settings import Scale
from analytics.scorecard.steps import Model, Weights


@dataclass(frozen=True, slots=True)
class Characteristic:
    """Whole points of one input: `points` has one more than `cuts`, or one a level."""

    input: Input
    cuts: tuple[int, ...]
    points: tuple[int, ...]
    missing: int

    @property
    def best(self) -> int:
        """The most points it can give."""
        return max(self.points)

    def of(self, values: Floats) -> Floats:
        """Return the points of measured values."""
        weights = Weights(self.input, self.cuts, tuple(map(float, self.points)), self.missing)
        return weights.of(values)


@dataclass(frozen=True, slots=True)
class Card:
    """What will be written: points at the start and those of each characteristic."""

    initial: int
    characteristics: tuple[Characteristic, ...]

    def score(self, inputs: Sequence[Input]) -> Floats:
        """Return the scores of companies; `inputs` may be more than the card has."""
        named = {item.candidate.id: item.values for item in inputs}
        count = len(inputs[0].values) if inputs else 0
        scores = np.full(count, float(self.initial))
        for item in self.characteristics:
            scores += item.of(named[item.input.candidate.id])
        return scores


def make_card(model: Model, scale: Scale) -> Card:
    """Return the card of a model."""
    initial = scale.offset + scale.factor * model.intercept
    found: list[Characteristic] = []
    for part in model.parts:
        lowest = min(*part.weights, part.missing)
        initial += scale.factor * lowest
        points = [round(scale.factor * (weight - lowest)) for weight in part.weights]
        missing = round(scale.factor * (part.missing - lowest))
        if len({*points}) > 1:
            found.append(_merge(part, points, missing))
        else:
            initial += points[0]  # it says nothing: no characteristic, no reason
    return Card(round(initial), tuple(found))


def _merge(part: Weights, points: Sequence[int], missing: int) -> Characteristic:
    """Join neighbouring bands of equal points."""
    if part.input.levels:
        return Characteristic(part.input, (), tuple(points), missing)
    cuts: list[int] = []
    kept = [points[0]]
    for cut, value in zip(part.cuts, points[1:], strict=True):
        if value != kept[-1]:
            cuts.append(cut)
            kept.append(value)
    return Characteristic(part.input, tuple(cuts), tuple(kept), missing)
