"""Scorecards on the real invoices of 425 companies, where they are there."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from functools import cache
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from analytics.invoices import Invoice, read_invoices
from analytics.scorecard.design import INVOICES, read_design
from analytics.scorecard.figures import compute_auc, compute_ks
from analytics.scorecard.fitting import Plan, fit_scorecard
from analytics.scorecard.invoice_facts import AS_OF, read_invoice_facts
from analytics.scorecard.settings import Settings
from analytics.scorecard.table import FactTable
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE, compute_features, count_once
from commands.scorecards.files import find_schema, load_card
from genesis.network import NETWORKS
from ledger.rules.schema import Schema
from ledger.rules.windows import Bucket, Stream, build_bucket

SHARED = Path(__file__).parents[2] / "../shared/data"
SHIPPED = NETWORKS / "guangdong/rules/province/sme-invoices-1.toml"
COMPANIES = ("E4", "E16", "E20")
AFTER = "E21"  # the files are in the order of companies: what comes later is not read
EPOCH = date(1970, 1, 1)


@cache
def load() -> tuple[FactTable, Schema]:
    if not (SHARED / SALES_FILE).is_file():
        pytest.skip("the shared data are not here")
    schema = find_schema("company/2", None)
    return read_invoice_facts(SHARED, schema), schema


class Rows:
    """The ledger's windows over the rows of one company; their source attests every day."""

    def __init__(self, sides: dict[str, tuple[Invoice, ...]]) -> None:
        self._events = {category: list(_events(rows)) for category, rows in sides.items()}

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        days: dict[int, list[tuple[int, dict[str, int | str]]]] = {}
        for order, (day, event) in enumerate(self._events.get(stream.category, ())):
            if first_day <= day <= last_day:
                days.setdefault(day, []).append((order, event))
        for day in sorted(days):
            bucket = build_bucket(stream, days[day])
            if bucket is not None:
                yield day, bucket

    def coverage(self, *_: object) -> bool:
        return True

    def last_attested(self, *_: object) -> int:
        return (AS_OF - EPOCH).days

    def rate_ppm(self, *_: object) -> None:
        return None


def _events(rows: Iterable[Invoice]) -> Iterable[tuple[int, dict[str, int | str]]]:
    for row in rows:
        day = (date.fromisoformat(row.issued_on) - EPOCH).days
        yield (
            day,
            {
                "invoice_no": row.number,
                "issued_on": day,
                "counterparty": row.counterparty,
                "net": row.net_fen,
                "tax": row.tax_fen,
                "gross": row.gross_fen,
                "status": row.status,
            },
        )


def test_facts_are_those_of_the_rows_and_of_the_ledger() -> None:
    table, schema = load()
    sides: dict[str, dict[str, list[Invoice]]] = {"C044": {}, "C045": {}}
    for category, file in (("C044", SALES_FILE), ("C045", PURCHASES_FILE)):
        rows = read_invoices(SHARED / file)
        for row in takewhile(lambda row: row.company != AFTER, rows):
            sides[category].setdefault(row.company, []).append(row)
    for name in COMPANIES:
        sales, purchases = (count_once(sides[c].get(name, ())).invoices for c in ("C044", "C045"))
        facts = dict(table.rows[table.ids.index(name)])
        direct = compute_features(sales, purchases, AS_OF)
        assert {key: facts.get(key) for key in direct} == direct, name
        reader = Rows({"C044": sales, "C045": purchases})
        ledger = schema.compute((AS_OF - EPOCH).days, reader, facts)
        assert ledger == facts, name


def test_shipped_card_is_the_one_that_is_fitted() -> None:
    """The same inputs and bounds; a point more or less is the rounding of another machine."""
    table, schema = load()
    design = read_design(INVOICES)
    fitted = fit_scorecard(table.labelled(), schema, design, Plan(Settings(), repeats=3))
    made, shipped = tomllib.loads(fitted.source), tomllib.loads(SHIPPED.read_text("utf-8"))
    for one, other in zip(made["characteristic"], shipped["characteristic"], strict=True):
        assert one["input"] == other["input"]
        assert [bound for bound, _ in one["bands"]] == [bound for bound, _ in other["bands"]]
        differences = [a - b for (_, a), (_, b) in zip(one["bands"], other["bands"], strict=True)]
        assert max(map(abs, differences)) <= 1
    validation = fitted.validation
    assert (validation.good, validation.bad) == (64, 18)
    assert 0.88 <= validation.auc.mean <= 0.93
    assert 0.65 <= validation.ks.mean <= 0.80
    assert validation.auc.low < 0.85  # eighteen failed companies do not say more


def test_every_company_has_a_score_and_no_label_is_read() -> None:
    table, schema = load()
    card, _ = load_card(SHIPPED, None)
    scores = [card.score(row) for row in table.rows]
    assert len(scores) == 425
    assert card.schema_ref == schema.ref
    assert not any("rating" in name for name in card.inputs)
    known = [place for place, label in enumerate(table.labels) if label is not None]
    points = np.array([float(scores[place].points) for place in known])
    labels = np.array([float(table.labels[place] or 0) for place in known])
    assert compute_auc(points, labels) > 0.93
    assert compute_ks(points, labels) > 0.75
