"""The whole way from a table to a document: measured, fitted, validated, written, compiled.

What is written is loaded again with the ledger's own compiler, and the ledger's evaluator must give
every company the score that the fit gave it; otherwise nothing is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytics.scorecard.design import Design
from analytics.scorecard.figures import Floats, compute_auc, compute_ks
from analytics.scorecard.inputs import Input, measure_inputs
from analytics.scorecard.leaks import find_gaps, find_leaks
from analytics.scorecard.points import Card
from analytics.scorecard.report import make_report
from analytics.scorecard.settings import Settings
from analytics.scorecard.table import FactTable
from analytics.scorecard.validation import Procedure, Validation, validate, validate_permuted
from analytics.scorecard.writing import write_card
from ledger.errors import Code, LocalError
from ledger.rules.schema import Schema
from ledger.rules.scorecard import Score, Scorecard, load_scorecard

_REPEATS_MAX = 20
_JUDGED = 20_000  # times that a company is judged, after which one more tells little


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fit and how to validate; `permuted` runs with labels given out at random."""

    settings: Settings
    folds: int = 5
    repeats: int | None = None  # None: as many as the number of companies makes worth it
    forward: int = 0
    permuted: int = 0

    def repeats_of(self, companies: int) -> int:
        """Return how often folds are cut anew: 20 times where chance decides much, else less."""
        if self.repeats is not None:
            return self.repeats
        return min(_REPEATS_MAX, max(1, _JUDGED // companies))

    def fits(self, companies: int) -> int:
        """Return how many fits the validation takes."""
        return self.folds * self.repeats_of(companies)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A scorecard and what is known of it; `own_auc` is on the very companies it was fitted on,
    `notes` what its author should look at again."""

    source: str
    scorecard: Scorecard
    validation: Validation
    permuted: float | None
    own_auc: float
    own_ks: float
    report: dict[str, Any]
    notes: tuple[str, ...]


def fit_scorecard(
    table: FactTable,
    schema: Schema,
    design: Design,
    plan: Plan,
    advance: Callable[[int], None] = lambda _: None,
) -> Fitted:
    """Return the scorecard of labelled companies; `advance` is told of each fit.

    Raises `RuleSourceError` for an input that is no rule, `LocalError` (8001) for companies that no
    scorecard can be made of.
    """
    inputs = measure_inputs(table, schema, design.candidates)
    labels = np.array(table.labels, dtype=float)
    if min(labels.sum(), len(labels) - labels.sum()) < plan.folds:
        message = f"{table.source}: want at least {plan.folds} companies of each sort, one a fold"
        raise LocalError(Code.INPUT_FILE, message)
    settings = replace(plan.settings, scale=design.scale)
    procedure = Procedure(settings, design.used, plan.forward)
    repeats = plan.repeats_of(len(labels))
    validation = validate(procedure, inputs, labels, plan.folds, repeats, advance)
    permuted = None
    if plan.permuted:
        permuted = validate_permuted(procedure, inputs, labels, plan.folds, plan.permuted)
    card = procedure.fit(inputs, labels)
    if not card.characteristics:
        told = "; ".join(("no input tells good from bad", *table.notes))
        raise LocalError(Code.INPUT_FILE, f"{table.source}: {told}")
    source = write_card(card, design, schema.ref, _notes(validation))
    scorecard = load_scorecard(source.encode(), schema)
    scores = [scorecard.score(row) for row in table.rows]
    points = _check_equal(scores, card, inputs, table)
    used = [inputs[place] for place in design.used]
    notes = (*table.notes, *find_gaps(table, scorecard.features), *find_leaks(used, labels))
    report = make_report(scorecard, card, table, validation, scores, notes)
    own = compute_auc(points, labels), compute_ks(points, labels)
    return Fitted(source, scorecard, validation, permuted, *own, report, notes)


def _check_equal(
    scores: Sequence[Score], card: Card, inputs: Sequence[Input], table: FactTable
) -> Floats:
    """Return the ledger's scores; raise `LocalError` (8001) where they are not those of the fit."""
    ours = card.score(inputs)
    theirs = np.array([float(score.points) for score in scores])
    different = np.flatnonzero(ours != theirs)
    if len(different):
        place = int(different[0])
        message = (
            f"company {table.ids[place]} scores {theirs[place]:.0f} on the ledger, "
            f"{ours[place]:.0f} in the fit: is a value below the first band?"
        )
        raise LocalError(Code.INPUT_FILE, message)
    return theirs


def _notes(found: Validation) -> list[str]:
    """Return the comments above the document."""
    return [
        f"Fitted by `creditledger scorecard fit` on {found.good + found.bad:,} companies, of which",
        f"{found.bad:,} failed. Out of fold ({found.repeats} x {found.folds}, stratified):",
        f"AUC {found.auc},",
        f"KS {found.ks}.",
    ]
