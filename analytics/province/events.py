"""Records of one category for a chunk of companies, before anyone asks what their fields say.

`EventTable` has one entry a record: whose it is, which of the company's it is, its day. Columns are
made when they are asked for, from a recipe of the category (`Make`) or, where it has none, from the
field's type; facts ask for the few that features read, the records of a company for all. Events
stand in order of company and day. The days that a source attests complete are part of the table: a
source that fell silent attests less, and its later records are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from analytics.province.draws import (
    Bools,
    Floats,
    Ints,
    Words,
    as_ints,
    derive,
    event_words,
    exp,
    normal,
    pick,
    uniform,
)
from analytics.province.invoices import YEARS, Invoices, make_purchases, make_sales
from analytics.province.latent import Latent, make_latent
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import FieldSpec, FieldType, RecordSchema

_SCALED = frozenset({FieldType.DECIMAL, FieldType.RATIO})
_MONEY_SHARE = 0.03  # of yearly sales, where no recipe says more


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one field or feature: integers or flags; texts are indices into `vocabulary`.

    `present` None means that all are there.
    """

    values: Ints | Bools
    present: Bools | None = None
    vocabulary: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Companies with their invoices, from which the monthly series of other categories follow.

    `monthly_sales` are months x companies, the last first, in fen; `activity` is how busy they were
    against the last twelve months.
    """

    latent: Latent
    sales: Invoices
    purchases: Invoices
    monthly_sales: Ints
    activity: Floats


def make_chunk(seed: int, first: int, count: int, as_of: int) -> Chunk:
    """Return companies `first` to `first + count - 1` of a seed as they stand on a day."""
    latent = make_latent(seed, first, count, as_of)
    sales = make_sales(latent)
    monthly = sales.valid_net[: YEARS[1][1]]
    return Chunk(latent, sales, make_purchases(latent), monthly, latent.activity())


class Window(NamedTuple):
    """The records of a window that meet a condition: which, whose, and how many a company."""

    mask: Bools
    rows: Ints
    counts: Ints


@dataclass(slots=True)
class EventTable:
    """The records of one schema; arrays have one entry a record."""

    schema: RecordSchema
    chunk: Chunk
    rows: Ints  # the company's place in the chunk, ascending
    ordinals: Ints
    days: Ints
    attested_from: Ints  # by company; after `attested_to` where nothing is attested
    attested_to: Ints
    makes: Mapping[str, Make]
    _words: Words | None = None
    _columns: dict[str, Column] = field(default_factory=dict)
    windows: dict[tuple[int, int, str], Window] = field(default_factory=dict)  # looked at already

    @property
    def latent(self) -> Latent:
        """What drives the companies."""
        return self.chunk.latent

    @property
    def words(self) -> Words:
        """A word for each record."""
        if self._words is None:
            own = derive(self.latent.words, self.schema.full_name)
            self._words = event_words(own[self.rows], self.ordinals)
        return self._words

    def draw(self, name: str) -> Floats:
        """Return a uniform number for each record."""
        return uniform(derive(self.words, name))

    def normal(self, name: str) -> Floats:
        """Return a standard normal number for each record."""
        return normal(derive(self.words, name))

    def of(self, values: Floats | Ints) -> Any:
        """Return what each record's company has of a company's measure."""
        return values[self.rows]

    def of_month(self, values: Floats | Ints) -> Any:
        """Return what each record's company has of a monthly measure in the record's month."""
        months = np.clip((self.latent.as_of - self.days) // 31, 0, len(values) - 1)
        return values[months, self.rows]

    def column(self, name: str) -> Column:
        """Return the values of a field; `LocalError` 8003 for one the schema does not have."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = self._make(name)
        return found

    def _make(self, name: str) -> Column:
        spec = self.schema.fields.get(name)
        if spec is None:
            full_name = self.schema.full_name
            raise LocalError(Code.INPUT_MAPPING, f"records {full_name} have no field {name}")
        if name == self.schema.date_field:
            return Column(self.days)
        make = self.makes.get(name)
        if make is not None:
            return make(self, spec)
        return _make_plain(self, spec)


Make: TypeAlias = Callable[[EventTable, FieldSpec], Column]


def _make_plain(table: EventTable, spec: FieldSpec) -> Column:
    """Return plausible enough values by the type of a field that no recipe is for."""
    present = table.draw(f"{spec.name} there") < 0.5 if spec.is_optional else None
    count = len(table.rows)
    if spec.type is FieldType.ENUM:
        chosen = pick(derive(table.words, spec.name), [1.0] * len(spec.values))
        return Column(chosen, present, spec.values)
    if spec.type is FieldType.BOOL:
        return Column(table.draw(spec.name) < 0.1, present)
    if spec.type is FieldType.YEAR:
        return Column(years_of(table.days), present)
    if spec.type is FieldType.DATE:
        return Column(table.days + 30, present)
    if spec.type in (FieldType.MONTH, FieldType.QUARTER):
        return Column(first_of_period(table.days, spec.type), present)
    if spec.is_money:
        return Column(share_of_sales(table, spec.name, _MONEY_SHARE), present)
    if spec.type in _SCALED:
        unit = 10**spec.scale
        return Column(as_ints(unit * (1 + 9 * table.draw(spec.name))), present)
    if spec.type is FieldType.INT:
        return Column(as_ints(1 + 5 * table.draw(spec.name)), present)
    if spec.name in table.schema.identity:  # its own, so that no two records are alike
        most = int(table.ordinals.max(initial=0))
        texts = tuple(f"{table.schema.category}-{number}" for number in range(most + 1))
        return Column(table.ordinals, present, texts)
    return Column(np.zeros(count, dtype=np.int64), present, ("-",))


def share_of_sales(table: EventTable, name: str, share: float, spread: float = 0.8) -> Ints:
    """Return amounts in fen: about a share of yearly sales, at least CNY 1,000, whole yuan."""
    sales = np.maximum(table.latent.sales, 2_000_000.0)[table.rows]
    amounts = as_ints(sales * share * exp(spread * table.normal(name)) / 100) * 100
    found: Ints = np.maximum(amounts, 100_000)
    return found


def years_of(days: Ints) -> Ints:
    """Return the calendar year of each day."""
    years: Ints = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return years


def first_of_period(days: Ints, period: FieldType) -> Ints:
    """Return the first day of each day's month or quarter."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    if period is FieldType.QUARTER:
        months -= months % 3
    first: Ints = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return first


def month_starts(as_of: int, months: int) -> Ints:
    """Return the first days of the months before that of `as_of`, oldest first."""
    this = np.array([as_of]).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)[0]
    wanted = np.arange(this - months, this)
    starts: Ints = wanted.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return starts


def place_events(
    latent: Latent, name: str, counts: Ints, first_back: int, last_back: int
) -> tuple[Ints, Ints, Ints]:
    """Return (rows, ordinals, days) of `counts` events a company, on different days, in order.

    They lie between `last_back` and `first_back` days ago: each has a stretch of its own.
    """
    rows = np.repeat(np.arange(latent.count), counts)
    starts = np.cumsum(counts) - counts
    ordinals = np.arange(len(rows)) - starts[rows]
    own = derive(latent.words, name)
    chance = uniform(event_words(own[rows], ordinals))
    width = (last_back - first_back) // np.maximum(counts, 1)[rows]
    back = last_back - ordinals * width - as_ints(chance * np.maximum(width - 1, 1))
    return rows, ordinals, latent.as_of - back


def grid_events(
    latent: Latent, span: tuple[Ints, Ints], mask: Bools, days: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return (rows, ordinals, days) of one event a day of `days` for each company of the mask.

    `days` ascend; those before a company's start and after its source fell silent are left out.
    """
    who = np.flatnonzero(mask)
    first = np.searchsorted(days, latent.established[who])
    end = np.searchsorted(days, _silent_from(latent, span)[who], side="right")
    counts = np.maximum(end - first, 0)
    places = np.repeat(np.arange(len(who)), counts)
    starts = np.cumsum(counts) - counts
    ordinals = np.arange(len(places)) + (first - starts)[places]
    return who[places], ordinals, days[ordinals]


def _silent_from(latent: Latent, span: tuple[Ints, Ints]) -> Ints:
    return np.where(span[1] >= span[0], span[1], latent.as_of)


def keep_real(
    latent: Latent, span: tuple[Ints, Ints], events: tuple[Ints, Ints, Ints]
) -> tuple[Ints, Ints, Ints]:
    """Drop events before a company's start, after today, and after its source fell silent."""
    rows, ordinals, days = events
    real = (days >= latent.established[rows]) & (days <= _silent_from(latent, span)[rows])
    return events if real.all() else (rows[real], ordinals[real], days[real])
