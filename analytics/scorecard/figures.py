"""AUC and KS, and how sure one may be of them.

A score is higher for a safer company. AUC is the chance that of a good and a bad company the good
one scores higher, ties counting half; KS the largest distance between the two cumulative
distributions. The interval is a bootstrap over companies: with 18 failed companies the doubt lies
in which companies there are, not in how they were cut into folds, and the spread over repeats would
hide it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure: its mean and spread over repeats, and 95 % of the bootstrap over companies."""

    mean: float
    spread: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.spread:.3f} (95 %: {self.low:.3f} to {self.high:.3f})"


def compute_auc(scores: Floats, labels: Floats) -> float:
    """Return the area under the ROC curve; labels are 1 for bad."""
    good, bad = scores[labels == 0], np.sort(scores[labels == 1])
    below = np.searchsorted(bad, good, side="left")
    ties = np.searchsorted(bad, good, side="right") - below
    return float((below.sum() + ties.sum() / 2) / (len(good) * len(bad)))


def compute_ks(scores: Floats, labels: Floats, weights: Floats | None = None) -> float:
    """Return the Kolmogorov-Smirnov distance between good and bad."""
    counted = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    ordered, bad = scores[order], labels[order] * counted[order]
    good = counted[order] - bad
    distance = np.abs(np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum())
    is_last = np.append(ordered[1:] != ordered[:-1], True)  # ties are passed together
    return float(distance[is_last].max())


def summarise(repeats: Sequence[Floats], labels: Floats, seed: int) -> tuple[Figure, Figure]:
    """Return AUC and KS of scores given out of fold, one array a repeat."""
    aucs = np.array([compute_auc(scores, labels) for scores in repeats])
    kss = np.array([compute_ks(scores, labels) for scores in repeats])
    auc_draws, ks_draws = _resample(repeats, labels, seed)
    return _figure(aucs, auc_draws), _figure(kss, ks_draws)


def _figure(values: Floats, draws: Floats) -> Figure:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Figure(float(values.mean()), float(values.std()), float(low), float(high))


def _resample(repeats: Sequence[Floats], labels: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return AUC and KS of companies drawn with replacement, good and bad apart.

    Each draw takes its scores from the next repeat, so that both sorts of chance are in it. Scores
    are few whole numbers, so a draw is counted by score: half a million companies are not sorted a
    thousand times.
    """
    generator = np.random.default_rng(seed)
    places = [np.flatnonzero(labels == label) for label in (0, 1)]
    ranked = [np.unique(scores, return_inverse=True) for scores in repeats]
    aucs, kss = [], []
    for draw in range(_RESAMPLES):
        levels, ranks = ranked[draw % len(ranked)]
        good, bad = (
            np.bincount(ranks[generator.choice(side, len(side))], minlength=len(levels))
            for side in places
        )
        aucs.append(_auc_of_counts(good, bad))
        kss.append(_ks_of_counts(good, bad))
    return np.array(aucs), np.array(kss)


def _auc_of_counts(good: Counts, bad: Counts) -> float:
    """Return what `compute_auc` does, of how many have each score, from the lowest."""
    below = np.cumsum(bad) - bad
    return float(((good * below).sum() + (good * bad).sum() / 2) / (good.sum() * bad.sum()))


def _ks_of_counts(good: Counts, bad: Counts) -> float:
    """Return what `compute_ks` does, of how many have each score, from the lowest."""
    return float(np.abs(np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum()).max())


def split_folds(labels: Floats, folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each company, good and bad ones spread evenly."""
    fold = np.empty(len(labels), dtype=np.int64)
    for label in (0, 1):
        places = generator.permutation(np.flatnonzero(labels == label))
        fold[places] = np.arange(len(places)) % folds
    return fold
