"""Facts that no record gives: a company's asset of each kind, and its loans on this ledger.

A company has at most one asset of a kind here, so "the best one" is that one. A patent, trade mark
or software copyright is the company's latest record of the category that the schema names, and what
the schema looks up there is looked up in that record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analytics.province.aggregates import fit
from analytics.province.draws import Bools, as_ints, derive, exp, normal, uniform
from analytics.province.events import Chunk, Column, EventTable
from analytics.province.latent import Latent
from ledger.errors import Code, LocalError
from ledger.rules.features import Feature
from ledger.rules.units import Unit

_BORROWERS = 0.28
# Kind: share of companies that have one (of exporters for the two marked), part of yearly sales.
_KINDS: Mapping[str, tuple[float, float]] = {
    "receivable": (0.35, 0.08),
    "invoice": (0.30, 0.04),
    "export_declaration": (0.55, 0.06),
    "bill_of_lading": (0.30, 0.05),
    "warehouse_receipt": (0.06, 0.08),
    "equipment": (0.15, 0.12),
    "patent": (0.60, 0.05),
    "trade_mark": (0.45, 0.03),
    "copyright": (0.50, 0.04),
}
_OF_EXPORTERS = frozenset({"export_declaration", "bill_of_lading"})
_DEFAULT_KIND = (0.05, 0.05)
# Most are of the last three months; days that the oldest go back, and how rare the old are.
_OLD: Mapping[str, tuple[int, int]] = {"equipment": (3600, 8)}
_DEFAULT_OLD = (600, 32)


class Asset:
    """The asset of one kind that each company of a chunk has or has not."""

    def __init__(self, chunk: Chunk, kind: str, table: EventTable | None) -> None:
        self._latent = latent = chunk.latent
        self._kind, self._table = kind, table
        share, part = _KINDS.get(kind, _DEFAULT_KIND)
        has = latent.draw(f"asset {kind}") < share
        if kind in _OF_EXPORTERS:
            has &= latent.export_share > 0
        self._record = np.full(latent.count, -1)
        if table is not None:
            self._record[table.rows] = np.arange(len(table.rows))
            has &= self._record >= 0
        self.has = has
        spread = exp(0.7 * normal(derive(latent.words, f"asset amount {kind}")))
        amount = np.maximum(latent.sales, 10_000_000.0) * part * spread / FEN_STEP
        self._amount = np.maximum(as_ints(amount), 1) * FEN_STEP
        self._foreign = latent.draw(f"asset currency {kind}") < 0.02
        self._pledged = latent.draw(f"asset pledged {kind}")
        chance = latent.draw(f"asset day {kind}")
        most, power = _OLD.get(kind, _DEFAULT_OLD)
        self._day = latent.as_of - 5 - as_ints(90 * chance + most * chance**power)

    def fact(self, feature: Feature) -> Column:
        """Return what the schema asks of the asset; `LocalError` 8003 for what is not known."""
        if feature.category:
            return self._looked_up(feature)
        name = feature.name.rpartition(".")[2]
        make = _FACTS.get((name, feature.unit))
        if make is None:
            message = f"{feature.name}: the synthetic province has no {name} of an asset"
            raise LocalError(Code.INPUT_MAPPING, message)
        values, present = make(self)
        return fit(feature, Column(values, self.has & present))

    def _looked_up(self, feature: Feature) -> Column:
        table = self._table
        if table is None:
            raise LocalError(Code.INPUT_MAPPING, f"{feature.name}: no records for this kind")
        column = table.column(feature.field)
        if len(table.rows) == 0:
            nothing = np.zeros(self._latent.count, dtype=np.int64)
            return Column(nothing, self.has, column.vocabulary)
        record = np.maximum(self._record, 0)
        present = self.has if column.present is None else self.has & column.present[record]
        if feature.fresh_days is not None:
            present = present & (table.days[record] >= self._latent.as_of - feature.fresh_days)
        return fit(feature, Column(column.values[record], present, column.vocabulary))

    def amount(self) -> tuple[Any, Any]:
        """In fen; of an asset in foreign money there is none."""
        return self._amount, ~self._foreign

    def pledged(self) -> tuple[Any, Any]:
        """What of it is pledged, in fen: for one in seven, some part."""
        part = np.where(self._pledged < 0.15, 0.4 + 4 * self._pledged, 0.0)
        return as_ints(self._amount * part), True

    def dated(self) -> tuple[Any, Any]:
        """The day of the document."""
        return self._day, True

    def due(self) -> tuple[Any, Any]:
        """When it is to be paid."""
        term = 30 + as_ints(170 * self._latent.draw(f"asset due {self._kind}"))
        return self._day + term, True

    def confirmed(self) -> tuple[Any, Any]:
        """Whether the debtor confirmed it."""
        return self._latent.draw(f"asset confirmed {self._kind}") < 0.6, True

    def invoice_verified(self) -> tuple[Any, Any]:
        """Whether the tax records hold its invoice."""
        return self._latent.draw(f"asset verified {self._kind}") < 0.85, True

    def kind(self) -> tuple[Any, Any]:
        """Whether it is pledged at all."""
        return self._pledged < 0.15, True


FEN_STEP = 100_000  # amounts in whole thousands of yuan
_FACTS: Mapping[tuple[str, Unit], Callable[[Asset], tuple[Any, Any]]] = {
    ("amount", Unit.FEN): Asset.amount,
    ("pledged", Unit.FEN): Asset.pledged,
    ("pledged", Unit.FLAG): Asset.kind,
    ("dated", Unit.DATE): Asset.dated,
    ("due", Unit.DATE): Asset.due,
    ("confirmed", Unit.FLAG): Asset.confirmed,
    ("invoice_verified", Unit.FLAG): Asset.invoice_verified,
}


def make_loan_facts(latent: Latent) -> dict[str, Any]:
    """Return the loan book's facts by name: zero for a company that never borrowed here."""
    borrowed = latent.draw("borrowed") < _BORROWERS
    is_open: Bools = borrowed & (latent.draw("open") < 0.75)
    # One to three, seldom as many as eleven, of up to nine lenders.
    many, others = latent.draw("loans"), latent.draw("lenders")
    loans = np.where(is_open, 1 + as_ints(3 * many**2 + 8 * many**40), 0)
    lenders = 1 + (others < 0.3) + as_ints(7 * (1 - others) ** 24)
    spread = exp(0.8 * normal(derive(latent.words, "debt")))
    debt = np.maximum(latent.sales, 2_000_000.0) * 0.08 * spread
    # Late with instalments: likelier for the ill, most by days, some by months.
    chance = uniform(derive(latent.words, "late")) * exp(0.9 * latent.health)
    late = np.where(chance < 0.12, 1 + as_ints(400 * latent.draw("late days") ** 3), 0)
    now = np.where(is_open & (chance < 0.06), late, 0)
    return {
        "debt_outstanding": np.where(is_open, as_ints(debt / FEN_STEP) * FEN_STEP, 0),
        "overdue_days_max_24m": np.where(borrowed, late, 0),
        "overdue_days": now,
        "loans_open": loans,
        "lenders": np.minimum(loans, lenders),
    }
