"""The score of the fit is the score of the ledger, on companies that no fit has seen.

Facts at both ends of 64 bits, at the bounds of bands and one beside, absent, below the declared
minimum, quotients of numbers near zero: the integers that were validated are those of the nodes.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from analytics.scorecard.design import Trend
from analytics.scorecard.inputs import measure_inputs
from analytics.scorecard.selection import fit_card
from analytics.scorecard.settings import Settings
from analytics.scorecard.writing import write_card
from ledger.rules.scorecard import load_scorecard
from tests.analytics.scorecards import make_candidate, make_design, make_table, schema_of

_COMPANIES = 2_000
_ENDS = (2**63 - 1, -(2**63), 10**15, -(10**15), 0, 1, -1)


def test_offline_scores_are_the_ledgers() -> None:
    design = make_design(
        make_candidate("SALES", "data.sales", Trend.UP),
        make_candidate("SHARE", "ratio_bp(data.void, data.sales - data.noise)", Trend.DOWN),
        make_candidate("NOISE", "data.noise * data.void", Trend.AUTO),
        make_candidate("GRADE", "data.grade", Trend.FREE),
    )
    table = make_table(400, missing=0.1)
    schema = schema_of(table)
    labels = np.array(table.labels, dtype=float)
    card = fit_card(measure_inputs(table, schema, design.candidates), labels, Settings(ridge=0.1))
    assert len(card.characteristics) == 4
    ledger = load_scorecard(write_card(card, design, schema.ref).encode(), schema)
    chance = random.Random(11)
    edges = [cut for item in card.characteristics for cut in item.cuts]

    def draw() -> int:
        kind = chance.randrange(3)
        if kind == 0:
            return chance.choice(_ENDS)
        if kind == 1:
            return chance.choice(edges) + chance.choice((-1, 0, 1))
        return int(chance.gauss(0, 1) * 10 ** chance.randint(1, 17))

    names = ("data.sales", "data.void", "data.noise")
    rows = tuple(
        {name: draw() for name in names if chance.random() > 0.15}
        | {"data.grade": chance.choice(("A", "B", "C", "Z", ""))}
        for _ in range(_COMPANIES)
    )
    ids = tuple(map(str, range(_COMPANIES)))
    unseen = replace(table, ids=ids, rows=rows, labels=(None,) * _COMPANIES)
    known = ("A", "B", "C")  # a text that no company of the fit had is missing to the ledger
    plain = replace(
        unseen,
        rows=tuple(
            {k: v for k, v in row.items() if k != "data.grade" or v in known} for row in rows
        ),
    )
    ours = card.score(measure_inputs(plain, schema, design.candidates))
    theirs = [ledger.score(row) for row in rows]
    assert ours.tolist() == [score.points for score in theirs]
    for score in theirs:
        assert score.points == ledger.initial + sum(part.points for part in score.parts)
    assert len({score.points for score in theirs}) > 50
