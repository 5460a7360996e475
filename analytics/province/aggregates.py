"""Features from columns of records: the windows of `ledger.rules.features`, a chunk at a time.

Each function gives what the ledger gives from its daily buckets: an empty window is zero where the
source attests all its days and absent elsewhere; a source silent for longer than `fresh_days` makes
the feature absent; what lies outside the declared range is absent. `tests/analytics` compares both
on the very records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from analytics.province.conditions import find_holding
from analytics.province.draws import Bools, Ints
from analytics.province.events import Column, EventTable, Window
from analytics.province.invoices import KINDS, YEARS, Invoices, find_cells
from ledger.credit.categories import compute_event_types
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import Category
from ledger.rules.checker import Environment
from ledger.rules.compiler import check_expression
from ledger.rules.features import Feature
from ledger.rules.source import Source
from ledger.rules.tree import Tree
from ledger.rules.types import Variable, type_of_unit
from ledger.rules.units import Unit
from ledger.rules.windows import FIRST_DAY, Stream

_ZERO_WHEN_EMPTY = frozenset({"sum", "count", "distinct", "top"})
_NO_DAY = -(2**40)


def check_conditions(
    features: Mapping[str, Feature], categories: list[Category]
) -> dict[str, Tree]:
    """Return the tree of each feature's condition, by the feature's name."""
    events = compute_event_types(categories)
    trees = {}
    for name, feature in features.items():
        stream = feature.stream
        if stream is not None and stream.where_source:
            fields = events[stream.record_name]
            variables = {
                f"e.{key}": Variable(type_of_unit(item.unit), values=item.values, fact=key)
                for key, item in fields.items()
            }
            source = Source.of_text(stream.where_source)
            trees[name] = check_expression(source, Environment(variables), Unit.FLAG).tree
    return trees


@dataclass(frozen=True, slots=True)
class Attested:
    """What a source attests of each company's records of one schema."""

    start: Ints
    end: Ints
    latest: Ints  # the last day that a record or an attestation covers

    def is_fresh(self, as_of: int, fresh_days: int | None) -> Bools:
        """Return where the source was not silent for longer than `fresh_days`."""
        if fresh_days is None:
            return np.ones(len(self.latest), dtype=np.bool_)
        fresh: Bools = self.latest >= as_of - fresh_days
        return fresh

    def covers(self, first_day: int, last_day: int) -> Bools:
        """Return where all these days are attested."""
        covered: Bools = (self.start <= first_day) & (last_day <= self.end)
        return covered


def attest(start: Ints, end: Ints, last_record: Ints) -> Attested:
    """Return an attestation beside the days of the last records (`last_days`)."""
    return Attested(start, end, np.maximum(np.where(end >= start, end, _NO_DAY), last_record))


def last_days(table: EventTable) -> Ints:
    """Return the day of each company's last record."""
    latest = np.full(table.latent.count, _NO_DAY)
    latest[table.rows] = table.days  # of a company's, the last assignment stands
    return latest


def window_of(feature: Feature, as_of: int) -> tuple[int, int]:
    """Return the first and the last day of a feature's window."""
    last_day = as_of - feature.offset_days
    return (last_day - feature.days + 1 if feature.days else FIRST_DAY), last_day


def finish(
    feature: Feature, as_of: int, attested: Attested, values: Column, has_events: Bools
) -> Column:
    """Return a feature from its aggregate: zero where attested, absent where stale."""
    first_day, last_day = window_of(feature, as_of)
    present = has_events
    if feature.agg in _ZERO_WHEN_EMPTY:
        present = present | attested.covers(first_day, last_day)
    if feature.fresh_days is not None:
        present = present & attested.is_fresh(as_of, feature.fresh_days)
    return fit(feature, Column(values.values, present, values.vocabulary))


def fit(feature: Feature, column: Column) -> Column:
    """Return the column without what the feature's range or values do not allow."""
    present = column.present
    if present is None:
        present = np.ones(len(column.values), dtype=np.bool_)
    if column.vocabulary is not None:
        if feature.values is not None and not feature.values.issuperset(column.vocabulary):
            allowed = np.array([text in feature.values for text in column.vocabulary])
            present = present & allowed[column.values]
        return Column(column.values, present, column.vocabulary)
    if feature.minimum is not None:
        present = present & (column.values >= feature.minimum)
    if feature.maximum is not None:
        present = present & (column.values <= feature.maximum)
    return Column(column.values, present)


def aggregate_events(
    table: EventTable, feature: Feature, stream: Stream, tree: Tree | None, attested: Attested
) -> Column:
    """Return a feature of a chunk from the records of its schema."""
    as_of = table.latent.as_of
    window = _look(table, window_of(feature, as_of), stream.where_source, tree)
    column = table.column(stream.field) if stream.field else None
    if column is not None and column.present is not None:
        mask = window.mask & column.present
        window = _counted(table, mask)
    values = _fold(feature, window, column)
    has_events = window.counts > 0
    if feature.max_events:
        has_events &= window.counts <= feature.max_events
    return finish(feature, as_of, attested, values, has_events)


def _look(table: EventTable, days: tuple[int, int], where: str, tree: Tree | None) -> Window:
    """Return the records of a window that meet a condition; features share what was found."""
    found = table.windows.get((*days, where))
    if found is None:
        mask = (table.days >= days[0]) & (table.days <= days[1])
        if tree is not None:
            mask &= find_holding(tree, table)
        found = table.windows[*days, where] = _counted(table, mask)
    return found


def _counted(table: EventTable, mask: Bools) -> Window:
    rows = table.rows[mask]
    return Window(mask, rows, np.bincount(rows, minlength=table.latent.count))


def _fold(feature: Feature, window: Window, column: Column | None) -> Column:
    """Return the aggregate of a window's records by company, whatever where there are none."""
    rows, count = window.rows, window.counts
    if feature.agg == "count" or column is None:
        return Column(count)
    values = column.values[window.mask]
    result = np.zeros(len(count), dtype=np.int64)
    if feature.agg == "sum":
        ends = np.cumsum(count)
        total = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(values)))
        result = total[ends] - total[ends - count]
    elif feature.agg == "last":
        result[rows] = values  # of a company's, the last assignment stands
        return Column(result, None, column.vocabulary)
    elif feature.agg == "max":
        result[:] = np.iinfo(np.int64).min
        np.maximum.at(result, rows, values)
    elif feature.agg == "min":
        result[:] = np.iinfo(np.int64).max
        np.minimum.at(result, rows, values)
    elif feature.agg == "distinct":
        low = values.min(initial=0)
        span = int(values.max(initial=0)) - int(low) + 1
        pairs = np.unique(rows * span + (values - low))
        result = np.bincount(pairs // span, minlength=len(result))
    else:
        raise _unsupported(feature)
    return Column(result)


def _unsupported(feature: Feature) -> LocalError:
    message = f"{feature.name}: the synthetic province cannot compute this {feature.agg}"
    return LocalError(Code.INPUT_MAPPING, message)


# Invoices ----------------------------------------------------------------------------------------


class _GroupColumns:
    """The groups of invoices of one kind as columns; amounts are those of one line."""

    def __init__(self, invoices: Invoices, kind: str, cells: tuple[int, int]) -> None:
        self._invoices, self._kind, self._cells = invoices, kind, slice(*cells)

    def column(self, name: str) -> Column:
        invoices, kind, cells = self._invoices, self._kind, self._cells
        if name == "status":
            return Column(np.array(1 if kind == "void" else 0), None, ("V", "X"))
        if name == "net":
            lines = np.maximum(invoices.lines[kind][cells], 1)
            return Column(invoices.nets[kind][cells] // lines)
        if name == "issued_on":
            return Column(invoices.days[kind][cells])
        raise LocalError(Code.INPUT_MAPPING, f"a condition over invoices cannot use {name}")


def last_invoices(invoices: Invoices) -> Ints:
    """Return the day of each company's last invoice, void ones too."""
    latest = np.full(len(invoices.others), _NO_DAY)
    for kind in KINDS:
        days = np.where(invoices.lines[kind] > 0, invoices.days[kind], _NO_DAY)
        np.maximum(latest, days.max(axis=0), out=latest)
    return latest


def aggregate_invoices(
    invoices: Invoices, feature: Feature, stream: Stream, tree: Tree | None, attested: Attested
) -> Column:
    """Return a feature of a chunk from its groups of invoices."""
    cells = find_cells(invoices.as_of, *window_of(feature, invoices.as_of))
    if cells is None:
        raise _unsupported(feature)
    low, high = cells
    chosen: dict[str, Bools] = {}
    for kind in KINDS:
        holds = np.asarray(True)
        if tree is not None:
            holds = find_holding(tree, _GroupColumns(invoices, kind, cells))
        if holds.ndim or holds:
            chosen[kind] = (invoices.lines[kind][low:high] > 0) & holds
    count = np.zeros(len(invoices.others), dtype=np.int64)
    for kind, held in chosen.items():
        count += (invoices.lines[kind][low:high] * held).sum(axis=0)
    values = count
    if feature.agg != "count":
        values = _fold_invoices(invoices, feature, stream, chosen, cells)
    return finish(feature, invoices.as_of, attested, Column(values), count > 0)


def _fold_invoices(
    invoices: Invoices,
    feature: Feature,
    stream: Stream,
    chosen: dict[str, Bools],
    cells: tuple[int, int],
) -> Ints:
    """Return the aggregate of the chosen groups by company, whatever where there are none."""
    part = slice(*cells)
    if feature.agg == "sum" and stream.field == "net":
        nets = ((invoices.nets[kind][part] * held).sum(axis=0) for kind, held in chosen.items())
        return np.asarray(sum(nets))
    if feature.agg in ("last", "max", "min") and stream.field == "issued_on":
        fold = np.minimum if feature.agg == "min" else np.maximum
        none = 2**40 if feature.agg == "min" else _NO_DAY
        days = (
            fold.reduce(np.where(held, invoices.days[kind][part], none))
            for kind, held in chosen.items()
        )
        return np.asarray(reduce(fold, days))
    if stream.where_source == "e.status == 'V'" and cells == YEARS[0]:
        if feature.agg == "distinct" and stream.field == "counterparty":
            rest = np.minimum(invoices.lines["rest"][part].sum(axis=0), invoices.others)
            return np.asarray(rest + chosen["largest"].any(axis=0))
        if feature.agg == "top" and stream.by == "counterparty" and stream.field == "net":
            return np.asarray(invoices.nets["largest"][part].sum(axis=0))
    raise _unsupported(feature)
