"""How well a way of fitting does on companies it has not seen.

Repeated stratified cross-validation: companies are cut into folds, good and bad ones evenly, the
whole way of fitting (choice of inputs, cuts, points) is gone through on all folds but one, and the
one is scored. Nothing is learnt from a company that is then judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from analytics.scorecard.figures import Figure, Floats, compute_auc, split_folds, summarise
from analytics.scorecard.inputs import Input
from analytics.scorecard.points import Card
from analytics.scorecard.selection import choose_forward, fit_card, rank_inputs
from analytics.scorecard.settings import Settings

SEED = 20_200_221


@dataclass(frozen=True, slots=True)
class Validation:
    """AUC and KS out of fold, `fold_auc` the mean over single folds; `chosen` how often an input
    was taken, of `fits` fits."""

    auc: Figure
    ks: Figure
    fold_auc: float
    folds: int
    repeats: int
    good: int
    bad: int
    chosen: tuple[tuple[str, int], ...]
    fits: int


@dataclass(frozen=True, slots=True)
class Procedure:
    """A way of fitting: all inputs as they are, ranked ones, or chosen forward (`forward` > 0)."""

    settings: Settings
    used: tuple[int, ...] = ()
    forward: int = 0

    def choose(self, inputs: Sequence[Input], labels: Floats, seed: int = SEED) -> tuple[int, ...]:
        """Return the places of the inputs it takes, from these companies alone."""
        if self.forward:
            return choose_forward(inputs, labels, self.settings, self.forward, seed)
        taken = [inputs[place] for place in self.used]
        if len(taken) <= self.settings.inputs_max:
            return self.used
        return tuple(self.used[i] for i in rank_inputs(taken, labels, self.settings))

    def fit(self, inputs: Sequence[Input], labels: Floats) -> Card:
        """Return the card fitted on these companies."""
        places = self.choose(inputs, labels)
        return fit_card([inputs[place] for place in places], labels, self.settings)


def validate(
    procedure: Procedure,
    inputs: Sequence[Input],
    labels: Floats,
    folds: int,
    repeats: int,
    advance: Callable[[int], None] = lambda _: None,
    seed: int = SEED,
) -> Validation:
    """Return how the procedure does; `advance` is told of each fit."""
    generator = np.random.default_rng(seed)
    found, fold_aucs = [], []
    chosen: dict[str, int] = {item.candidate.id: 0 for item in inputs}
    for _ in range(repeats):
        fold_of = split_folds(labels, folds, generator)
        scores = np.zeros(len(labels))
        for fold in range(folds):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            card = procedure.fit([item.take(train) for item in inputs], labels[train])
            scores[test] = card.score([item.take(test) for item in inputs])
            for item in card.characteristics:
                chosen[item.input.candidate.id] += 1
            if len(set(labels[test])) == 2:
                fold_aucs.append(compute_auc(scores[test], labels[test]))
            advance(1)
        found.append(scores)
    auc, ks = summarise(found, labels, seed)
    bad = int(labels.sum())
    named = tuple(sorted(((k, v) for k, v in chosen.items() if v), key=lambda item: -item[1]))
    mean = float(np.mean(fold_aucs))
    return Validation(auc, ks, mean, folds, repeats, len(labels) - bad, bad, named, folds * repeats)


def validate_permuted(
    procedure: Procedure,
    inputs: Sequence[Input],
    labels: Floats,
    folds: int,
    times: int,
    seed: int = SEED,
) -> float:
    """Return the mean AUC over folds of labels given out at random: 0.5 unless data leak."""
    generator = np.random.default_rng(seed)
    run = partial(validate, procedure, inputs, folds=folds, repeats=1)
    aucs = [run(generator.permutation(labels), seed=seed + turn).fold_auc for turn in range(times)]
    return float(np.mean(aucs))
