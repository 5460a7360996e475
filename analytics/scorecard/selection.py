"""Which inputs a scorecard takes, decided on the companies it is fitted on and on no others.

`rank_inputs` serves wide tables: inputs by their information value, those that say almost the same
as a better one left out. `choose_forward` serves small ones: the input that helps most under
cross-validation is added as long as it helps. Both are part of what is validated: a caller runs
them inside each fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from analytics.scorecard.figures import Floats, compute_auc, split_folds
from analytics.scorecard.inputs import Input
from analytics.scorecard.points import Card, make_card
from analytics.scorecard.settings import Settings
from analytics.scorecard.steps import find_cuts, fit

_PRIOR = 0.5  # companies of each sort that every band is given, so that none has infinite weight
_INNER_FOLDS = 5
_INNER_REPEATS = 2
_WORTH = 0.005  # of AUC, that one more input must bring

Choose: TypeAlias = Callable[[Sequence[Input], Floats, int], tuple[int, ...]]


def bands_of(item: Input, bands: int) -> NDArray[np.int64]:
    """Return the band of each company; the last one is "missing"."""
    if item.levels:
        places = np.where(np.isnan(item.values), len(item.levels), item.values)
        return places.astype(np.int64)
    cuts = np.array(find_cuts(item.values, item.unit, bands), dtype=float)
    places = np.searchsorted(cuts, item.values, side="right")
    return np.where(np.isnan(item.values), len(cuts) + 1, places)


def compute_evidence(bands: NDArray[np.int64], labels: Floats) -> tuple[Floats, float]:
    """Return the weight of evidence of each band (good over bad) and the information value."""
    count = int(bands.max()) + 1
    bad = np.bincount(bands, weights=labels, minlength=count) + _PRIOR
    good = np.bincount(bands, weights=1 - labels, minlength=count) + _PRIOR
    bad, good = bad / bad.sum(), good / good.sum()
    evidence = np.log(good / bad)
    return evidence, float(((good - bad) * evidence).sum())


def rank_inputs(inputs: Sequence[Input], labels: Floats, settings: Settings) -> tuple[int, ...]:
    """Return the places of the inputs to take, at most `settings.inputs_max`, in their order."""
    values = [compute_evidence(bands_of(item, 8), labels)[1] for item in inputs]
    ranks = [_rank(item.values) for item in inputs]
    taken: list[int] = []
    for place in sorted(range(len(inputs)), key=lambda place: (-values[place], place)):
        if len(taken) == settings.inputs_max:
            break
        if all(_related(ranks[place], ranks[other]) < settings.related_max for other in taken):
            taken.append(place)
    return tuple(sorted(taken))


def _rank(values: Floats) -> Floats:
    """Return ranks around zero; a missing value stands in the middle."""
    known = np.sort(values[~np.isnan(values)])
    low = np.searchsorted(known, values, side="left")
    high = np.searchsorted(known, values, side="right")
    ranks: Floats = np.where(np.isnan(values), len(known) / 2, (low + high) / 2)
    ranks -= ranks.mean()
    return ranks


def _related(one: Floats, other: Floats) -> float:
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return abs(float(one @ other)) / norm if norm else 1.0


def choose_forward(
    inputs: Sequence[Input], labels: Floats, settings: Settings, count_max: int, seed: int
) -> tuple[int, ...]:
    """Return the places of up to `count_max` inputs, each worth 0.005 of AUC."""
    chosen: tuple[int, ...] = ()
    best = 0.5
    while len(chosen) < count_max:
        tried = {
            place: _validate([inputs[i] for i in (*chosen, place)], labels, settings, seed)
            for place in range(len(inputs))
            if place not in chosen
        }
        place = max(tried, key=lambda item: (tried[item], -item), default=-1)
        if place < 0 or tried[place] < best + _WORTH:
            break
        chosen, best = (*chosen, place), tried[place]
    return tuple(sorted(chosen))


def _validate(inputs: Sequence[Input], labels: Floats, settings: Settings, seed: int) -> float:
    generator = np.random.default_rng(seed)
    aucs = []
    for _ in range(_INNER_REPEATS):
        folds = split_folds(labels, _INNER_FOLDS, generator)
        scores = np.zeros(len(labels))
        for fold in range(_INNER_FOLDS):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            card = fit_card([item.take(train) for item in inputs], labels[train], settings)
            scores[test] = card.score([item.take(test) for item in inputs])
        aucs.append(compute_auc(scores, labels))
    return float(np.mean(aucs))


def fit_card(inputs: Sequence[Input], labels: Floats, settings: Settings) -> Card:
    """Return the fitted card in whole points."""
    return make_card(fit(inputs, labels, settings), settings.scale)
