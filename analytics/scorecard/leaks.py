"""What a table makes one doubt: inputs that know the outcome, facts that are none.

Inputs may tell failed companies from the others too well to have been known before.

A charge-off date, a bank's verdict, a status kept up to date: such a column knows the outcome, and
no figure of a validation shows it, for it knows it in every fold. No honest record of a company
alone parts the failed from the rest, so an input that does is named to the author. What cannot be
seen from the numbers (a column that knows a little) is still his to judge. Facts that a scorecard
reads and the table has no column for, or that lie outside what the schema allows, are missing to
the ledger: every company may be, and the scores look like scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from analytics.scorecard.figures import Floats, compute_auc
from analytics.scorecard.inputs import Input
from analytics.scorecard.selection import bands_of, compute_evidence
from analytics.scorecard.table import FactTable
from ledger.rules.features import AS_OF, Feature

_TOO_WELL = 0.97
_BANDS_MAX = 8
_COMPANIES_A_BAND = 10  # fewer, and bands part the companies by chance


def find_gaps(table: FactTable, features: Iterable[Feature]) -> Iterator[str]:
    """Yield a note on each feature that is no column, or has values which the ledger drops."""
    known = [feature for feature in features if feature.name != AS_OF]
    absent = [feature.name for feature in known if feature.name not in table.units]
    if absent:
        yield f"no column {', '.join(absent)}: missing for every company"
    for feature in known:
        values = (row.get(feature.name) for row in table.rows)
        odd = sum(value is not None and not feature.accepts(value) for value in values)
        if odd:
            yield f"{feature.name}: {odd:,} values outside its range count as missing"


def find_leaks(inputs: Sequence[Input], labels: Floats) -> Iterator[str]:
    """Yield a note on each input that has an AUC of 0.97 or more by itself."""
    count = max(2, min(_BANDS_MAX, len(labels) // _COMPANIES_A_BAND))
    for item in inputs:
        places = bands_of(item, count)
        evidence, _ = compute_evidence(places, labels)
        alone = compute_auc(np.asarray(evidence[places], dtype=float), labels)
        if alone >= _TOO_WELL:
            yield (
                f"{item.candidate.id} alone has AUC {alone:.3f}: a leak is likely; was it known "
                "before the outcome? --drop leaves a column out"
            )
