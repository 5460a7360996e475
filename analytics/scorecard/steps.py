"""The fit: an additive score whose every step between two bands is one coefficient.

An input is cut at quantiles, rounded to a few digits, into many narrow bands. Each cut has a column
that is 1 from the cut on; its coefficient is the step in log-odds there, of one sign where the
trend is known, so that points never go up and down again. A logistic regression with a ridge on
the steps finds all of them at once: the ridge spreads a rise over neighbouring cuts, which gives a
smooth curve from few companies, and bands that say nothing get no step. The weight of evidence of a
band is what the same count says of the band alone; here each band's weight is adjusted for the
other inputs and held back where the count is small.

While fitting, a company without a value stands at the mean of those that have one. Where values are
missing often enough that has an effect of its own, and never a good one; where they hardly are,
"missing" is given what a failed company has on the average: withholding a record must not pay.

The objective is strictly convex but for the intercept, so the same data give the same steps. One
thread adds up: sums of floats then come out the same, and small matrices are done sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from analytics.scorecard.design import Trend
from analytics.scorecard.figures import Floats, compute_auc
from analytics.scorecard.inputs import Input
from analytics.scorecard.settings import Settings
from ledger.rules.units import Unit

_DIGITS_OF_MONEY = 2
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """The log-odds of being good that one input gives: by band (one more than cuts) or level."""

    input: Input  # of the companies it was fitted on
    cuts: tuple[int, ...]
    weights: tuple[float, ...]
    missing: float

    def of(self, values: Floats) -> Floats:
        """Return the weights of measured values."""
        known = np.array(self.weights)
        if self.input.levels:
            places = np.where(np.isnan(values), 0, values).astype(np.int64)
        else:
            places = np.searchsorted(np.array(self.cuts, dtype=float), values, side="right")
            places = np.where(np.isnan(values), 0, places)
        return np.where(np.isnan(values), self.missing, known[places])


@dataclass(frozen=True, slots=True)
class Model:
    """Weights to be added up; `names` of its inputs are those of its parts."""

    intercept: float
    parts: tuple[Weights, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """The columns of one input, its bounds on coefficients, and what stands for a missing value:
    the mean of all while fitting, that of the failed ones afterwards."""

    input: Input
    cuts: tuple[int, ...]
    columns: Floats
    bound: tuple[float | None, float | None]
    neutral: Floats
    cautious: Floats
    has_missing: bool


def fit(inputs: Sequence[Input], labels: Floats, settings: Settings) -> Model:
    """Return the model of these companies; labels are 1 for bad."""
    blocks = [_make_block(item, labels, settings) for item in inputs]
    blocks = [block for block in blocks if block.columns.shape[1]]
    intercept, coefficients = _solve(blocks, labels, settings.ridge)
    parts: list[Weights] = []
    place = 0
    for block in blocks:
        own = coefficients[place : place + block.columns.shape[1]]
        parts.append(_read_weights(block, own))
        place += len(own)
    return Model(intercept, tuple(parts))


def find_cuts(values: Floats, unit: Unit, bands: int) -> tuple[int, ...]:
    """Return rounded quantiles that leave no band empty."""
    known = values[~np.isnan(values)]
    if not len(known):
        return ()
    digits = _DIGITS_OF_MONEY if unit is Unit.FEN else _DIGITS
    quantiles = np.quantile(known, np.arange(1, bands) / bands, method="higher")
    cuts = sorted({_round(int(value), digits) for value in quantiles})
    found: list[int] = []
    lowest = -np.inf
    for cut in cuts:
        if ((known >= lowest) & (known < cut)).any() and (known >= cut).any():
            found.append(cut)
            lowest = cut
    return tuple(found)


def _round(value: int, digits: int) -> int:
    """Return `value` rounded to its first digits, upward in magnitude from the half."""
    step = 10 ** max(0, len(str(abs(value))) - digits)
    rounded: int = (abs(value) + step // 2) // step * step
    return rounded if value >= 0 else -rounded


def find_trend(item: Input, labels: Floats) -> Trend:
    """Return the trend of an input: as designed, or as its companies say."""
    if item.trend is not Trend.AUTO:
        return item.trend
    is_known = ~np.isnan(item.values)
    values, known = item.values[is_known], labels[is_known]
    if len(set(known)) < 2:
        return Trend.UP
    return Trend.UP if compute_auc(values, known) >= 0.5 else Trend.DOWN


def _make_block(item: Input, labels: Floats, settings: Settings) -> _Block:
    is_missing = np.isnan(item.values)
    cuts: tuple[int, ...] = ()
    bound: tuple[float | None, float | None] = (None, None)
    if item.levels:
        columns = _level_columns(item, settings.level_min)
    else:
        cuts = find_cuts(item.values, item.unit, settings.bands)
        columns = (item.values[:, None] >= np.array(cuts, dtype=float)[None, :]).astype(float)
        trend = find_trend(item, labels)
        bound = {Trend.UP: (0.0, None), Trend.DOWN: (None, 0.0)}.get(trend, bound)
    neutral = _mean(columns, ~is_missing)
    cautious = _mean(columns, ~is_missing & (labels == 1))
    columns[is_missing] = neutral
    has_missing = bool(is_missing.sum() >= settings.missing_min)
    if has_missing:
        columns = np.column_stack([columns, is_missing.astype(float)])
    return _Block(item, cuts, columns, bound, neutral, cautious, has_missing)


def _mean(columns: Floats, places: NDArray[np.bool_]) -> Floats:
    found: Floats = columns[places].mean(axis=0) if places.any() else np.zeros(columns.shape[1])
    return found


def _level_columns(item: Input, level_min: int) -> Floats:
    """Return a column a level; a rare one has no effect of its own."""
    columns: Floats = (item.values[:, None] == np.arange(len(item.levels))).astype(float)
    columns[:, columns.sum(axis=0) < level_min] = 0.0
    return columns


def _solve(blocks: Sequence[_Block], labels: Floats, ridge: float) -> tuple[float, Floats]:
    """Return intercept and steps that minimise logistic loss + ridge / 2 · |steps|²."""
    columns = np.hstack([block.columns for block in blocks]) if blocks else labels[:, None][:, :0]
    signs = 1 - 2 * labels  # good is +1

    def lose(point: Floats) -> tuple[float, Floats]:
        margin = signs * (point[0] + columns @ point[1:])
        loss = np.logaddexp(0, -margin).sum() + ridge / 2 * point[1:] @ point[1:]
        pull = -signs / (1 + np.exp(np.clip(margin, -500, 500)))
        return float(loss), np.concatenate([[pull.sum()], columns.T @ pull + ridge * point[1:]])

    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    for block in blocks:
        bounds += [block.bound] * (block.columns.shape[1] - block.has_missing)
        bounds += [(None, 0.0)] * block.has_missing
    with _find_libraries().limit(limits=1):
        found = minimize(
            lose,
            np.zeros(len(bounds)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-6},
        )
    return float(found.x[0]), found.x[1:]


@cache
def _find_libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _read_weights(block: _Block, own: Floats) -> Weights:
    steps = own[:-1] if block.has_missing else own
    missing = float(block.cautious @ steps)
    if block.has_missing:
        missing = float(block.neutral @ steps) + float(own[-1])
    weights = steps if block.input.levels else np.concatenate([[0.0], np.cumsum(steps)])
    return Weights(block.input, block.cuts, tuple(float(weight) for weight in weights), missing)
