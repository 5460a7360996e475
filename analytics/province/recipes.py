"""How the records of a category come about: who has them, how many, when, and what they say.

A `Recipe` is a row of the tables in `analytics.province.catalogue`. `who` is the share of companies
that have any, by the beginning of the sector's code ("" for all others); it changes with health and
size by a factor e^(coefficient x number). The functions below make the columns of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from analytics.province.draws import Bools, Floats, Ints, as_ints, derive, exp, pick
from analytics.province.events import (
    Chunk,
    Column,
    EventTable,
    Make,
    first_of_period,
    grid_events,
    keep_real,
    month_starts,
    place_events,
    share_of_sales,
    years_of,
)
from analytics.province.latent import Latent, attested_span
from analytics.province.sectors import SECTORS
from ledger.membership.catalogue import FieldSpec, FieldType, RecordSchema

Shape = Literal["once", "events", "months", "quarters", "years"]
MONTHS, QUARTERS, YEARS = 27, 9, 3
_FILED_FROM, _FILED_DAYS = 60, 110  # a year's report is filed in March to June of the next
_PERIODS = (FieldType.MONTH, FieldType.QUARTER)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The records of one schema: see the module's paragraph."""

    shape: Shape = "events"
    who: Mapping[str, float] = field(default_factory=lambda: {"": 0.03})
    health: float = 0.0
    size: float = 0.0
    exporters: float | None = None  # the share among exporters; others have none
    most: int = 1  # events a company has at most
    back: tuple[int, int] = (1, 1000)  # days ago, the last and the first
    fields: Mapping[str, Make] = field(default_factory=dict)


PLAIN = Recipe()  # for a category that no table names


def make_table(chunk: Chunk, schema: RecordSchema, recipe: Recipe) -> EventTable:
    """Return the records of one schema for a chunk of companies."""
    latent, name = chunk.latent, schema.full_name
    span = attested_span(latent, name)
    has = latent.draw(f"has {name}") < _share(latent, recipe)
    if recipe.shape in _GRIDS:
        rows, ordinals, days = grid_events(latent, span, has, _GRIDS[recipe.shape](latent, recipe))
    else:
        placed = _EVENTS[recipe.shape](latent, recipe, has, name)
        rows, ordinals, days = keep_real(latent, span, placed)
    date_type = schema.fields[schema.date_field].type if schema.date_field else None
    if date_type in _PERIODS and recipe.shape == "events":
        days = first_of_period(days, FieldType(date_type))
        fresh = np.ones(len(rows), dtype=np.bool_)
        fresh[1:] = (rows[1:] != rows[:-1]) | (days[1:] != days[:-1])
        rows, ordinals, days = rows[fresh], ordinals[fresh], days[fresh]
    return EventTable(schema, chunk, rows, ordinals, days, *span, recipe.fields)


def _share(latent: Latent, recipe: Recipe) -> Floats:
    if recipe.exporters is not None:
        return np.where(latent.export_share > 0, recipe.exporters, 0.0)
    share: Floats = _by_sector(tuple(recipe.who.items()))[latent.sector]
    if recipe.health or recipe.size:
        share = share * exp(recipe.health * latent.health + recipe.size * latent.size)
    return share


@lru_cache(maxsize=1024)
def _by_sector(who: tuple[tuple[str, float], ...]) -> Floats:
    """Return the share of each sector: that of the longest beginning of its code."""
    ordered = sorted(who, key=lambda item: len(item[0]), reverse=True)
    return np.array(
        [
            next((share for prefix, share in ordered if item.code.startswith(prefix)), 0.0)
            for item in SECTORS
        ]
    )


_Events = tuple[Ints, Ints, Ints]


def _once(latent: Latent, recipe: Recipe, has: Bools, name: str) -> _Events:
    """One record on the day the company began."""
    del recipe, name
    rows = np.flatnonzero(has)
    return rows, np.zeros(len(rows), dtype=np.int64), latent.established[rows]


def _some(latent: Latent, recipe: Recipe, has: Bools, name: str) -> _Events:
    counts = has.astype(np.int64)
    if recipe.most > 1:
        chance = latent.draw(f"count {name}")
        counts *= 1 + as_ints(chance * chance * recipe.most)
    return place_events(latent, name, counts, *recipe.back)


def _yearly(latent: Latent, recipe: Recipe, has: Bools, name: str) -> _Events:
    del recipe
    year = int(years_of(np.array([latent.as_of]))[0])
    firsts = np.arange(year - YEARS - 1970, year + 1 - 1970).astype("datetime64[Y]")
    filed = as_ints(latent.draw(f"filed {name}") * _FILED_DAYS) + _FILED_FROM
    who = np.flatnonzero(has)
    days = firsts.astype("datetime64[D]").astype(np.int64)[None, :] + filed[who][:, None]
    ordinals = np.tile(np.arange(len(firsts)), len(who))
    return np.repeat(who, len(firsts)), ordinals, days.ravel()


def _months(latent: Latent, recipe: Recipe) -> Ints:
    del recipe
    return month_starts(latent.as_of, MONTHS)


def _quarters(latent: Latent, recipe: Recipe) -> Ints:
    """So many records for each quarter, `back[0]` days before it begins."""
    starts = month_starts(latent.as_of + 31, 3 * QUARTERS)
    months = starts.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    days: Ints = np.repeat(starts[months % 3 == 0] - recipe.back[0], recipe.most)
    return days


_EVENTS: Mapping[Shape, Callable[[Latent, Recipe, Bools, str], _Events]] = {
    "once": _once,
    "events": _some,
    "years": _yearly,
}
_GRIDS: Mapping[Shape, Callable[[Latent, Recipe], Ints]] = {
    "months": _months,
    "quarters": _quarters,
}


# Columns -----------------------------------------------------------------------------------------


def _there(table: EventTable, spec: FieldSpec, share: float, health: float) -> Bools | None:
    if not spec.is_optional:
        return None
    chance: Floats = table.draw(f"{spec.name} there")
    if not health:
        return chance < share
    there: Bools = chance < share * exp(health * table.of(table.latent.health))
    return there


def one_of(weights: Sequence[float], *texts: str, health: float = 0.0) -> Make:
    """A text by weights, drawn anew for each record; ill health makes the later ones likelier.

    Without `texts`, the values of the enumeration.
    """

    def make(table: EventTable, spec: FieldSpec) -> Column:
        vocabulary = texts or spec.values
        chosen = pick(derive(table.words, spec.name), weights)
        if health:
            shift = table.draw(f"{spec.name} shift") < -health * table.of(table.latent.health)
            chosen = np.minimum(chosen + shift, len(weights) - 1)
        return Column(chosen, _there(table, spec, 0.9, 0.0), vocabulary)

    return make


def by_turn(*texts: str) -> Make:
    """One text after another, in the order of a company's records."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        del spec
        return Column(table.ordinals % len(texts), None, texts)

    return make


def graded(bounds: Sequence[float], *texts: str) -> Make:
    """A grade that a company keeps: texts from ill to sound, by health with some noise."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        latent = table.latent
        noise = latent.draw(f"grade {table.schema.full_name} {spec.name}") * 2 - 1
        grades = np.searchsorted(np.array(bounds), latent.health + noise, side="right")
        return Column(table.of(grades), _there(table, spec, 0.95, 0.0), texts)

    return make


def kept(weights: Sequence[float], *texts: str) -> Make:
    """A text that a company keeps, by weights; without `texts`, of the enumeration."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        words = derive(table.latent.words, f"kept {table.schema.full_name} {spec.name}")
        return Column(table.of(pick(words, weights)), None, texts or spec.values)

    return make


def money(share: float, spread: float = 0.8, there: float = 1.0, health: float = 0.0) -> Make:
    """An amount of about a share of yearly sales, in whole yuan."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        amounts = share_of_sales(table, spec.name, share, spread)
        return Column(amounts, _there(table, spec, there, health))

    return make


def balance(share: float, health: float) -> Make:
    """An amount that health moves, below zero too: (share + health x its number) of sales."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        latent = table.latent
        part = share + health * latent.health
        part = table.of(part) * (0.9 + 0.2 * table.draw(spec.name))
        amounts = np.maximum(latent.sales, 5_000_000.0)[table.rows] * part
        return Column(as_ints(amounts / 100) * 100, None)

    return make


def monthly(amount: Callable[[Latent], Any], noise: float = 0.3) -> Make:
    """A monthly number: the company's, by how busy the month was, give or take `noise`."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        level = table.of_month(table.chunk.activity)
        factor = (1 - noise / 2 + noise * table.draw(spec.name)) * level
        present = _there(table, spec, 0.9, 0.0)
        return Column(as_ints(table.of(amount(table.latent)) * factor), present)

    return make


def of_sales(share: Callable[[Latent], Any] | float, noise: float = 0.0) -> Make:
    """A share of the month's sales as invoiced, whole fen, never below zero."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        part = share if isinstance(share, float) else table.of(share(table.latent))
        sales = np.maximum(table.of_month(table.chunk.monthly_sales), 0)
        factor = part if not noise else part * (1 - noise / 2 + noise * table.draw(spec.name))
        return Column(as_ints(sales * factor), _there(table, spec, 0.93, 0.0))

    return make


def quarterly_tax(share: float) -> Make:
    """A share of the sales of the three months before, by which of a company's taxes it is."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        sales, back = table.chunk.monthly_sales, (table.latent.as_of - table.days) // 31
        total = np.zeros(len(table.rows), dtype=np.int64)
        for month in range(3):
            total += sales[np.clip(back + month, 0, len(sales) - 1), table.rows]
        factor = share * (0.6 + 0.8 * table.draw(spec.name))
        return Column(as_ints(np.maximum(total, 0) * factor), _there(table, spec, 0.9, 0.0))

    return make


def between(low: float, high: float, unit: int = 1) -> Make:
    """A number between two, in its unit."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        numbers = as_ints((low + (high - low) * table.draw(spec.name)) * unit)
        return Column(numbers, _there(table, spec, 0.9, 0.0))

    return make


def staffed(factor: float, noise: float = 0.2) -> Make:
    """A number of people or an amount for each of them, at least 1, by how busy the year was."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        level = table.of_month(table.chunk.activity) * 0.5 + 0.5
        around = 1 - noise / 2 + noise * table.draw(spec.name)
        people = table.of(table.latent.staff) * factor * level * around
        return Column(np.maximum(as_ints(people), 1), _there(table, spec, 0.9, 0.0))

    return make


def later(low: int, high: int, there: float, health: float = 0.0) -> Make:
    """A date some days after the record's own; present for a share, that health changes."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        days = table.days + low + as_ints((high - low) * table.draw(spec.name))
        return Column(days, _there(table, spec, there, health))

    return make


def earlier(low: int, high: int) -> Make:
    """A date some days before the record's own."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        days = table.days - low - as_ints((high - low) * table.draw(spec.name))
        return Column(days, _there(table, spec, 0.95, 0.0))

    return make


def year_before(table: EventTable, spec: FieldSpec) -> Column:
    """The year that a report filed on the record's day is about."""
    del spec
    return Column(years_of(table.days) - 1)


def of_company(values: Callable[[Latent], Any], *vocabulary: str) -> Make:
    """What the company has of its own."""

    def make(table: EventTable, spec: FieldSpec) -> Column:
        del spec
        return Column(table.of(values(table.latent)).astype(np.int64), None, vocabulary or None)

    return make
