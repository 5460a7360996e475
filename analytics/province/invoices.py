"""Sales and purchase invoices of a chunk of companies, held by groups and not one by one.

A company may have thousands of invoices a year, so nothing here has one entry an invoice. Time is
cut into cells that end on the day of evaluation (`CELL_ENDS`, days back): the windows of a schema
must end and begin between cells. In each cell a company has at most four groups of invoices, each
on one day: those to its largest partner, those to the rest, void ones, and red-letter ones. A group
is a number of lines and their total; `lines_of` writes the very lines out, and every aggregate that
the ledger computes from these lines follows from the groups:

- sums, counts, first and last day: as they stand;
- distinct partners: partner 0 is the largest, and the lines to the rest go to partners 1, 2, … and
  round again, so that a window has as many as it has lines, up to how many there are;
- the largest partner's total: partner 0 outweighs any other in the last twelve months, because its
  total is raised, where needed, above the greatest that one of the rest can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analytics.province.draws import (
    Floats,
    Ints,
    Words,
    as_ints,
    derive,
    exp,
    normal,
    uniform,
)
from analytics.province.latent import FEN, Latent, attested_span
from analytics.province.sectors import SEASONS, SECTORS

# Days back at which cells begin and end: twelve a year for two years, then two of half a year.
CELL_ENDS = (
    0, 30, 60, 90, 120, 150, 180, 211, 242, 273, 304, 335,
    365, 395, 425, 455, 485, 515, 545, 576, 607, 638, 669, 700,
    730, 912, 1095,
)  # fmt: skip
CELLS = len(CELL_ENDS) - 1
YEARS = ((0, 12), (12, 24), (24, 26))
KINDS = ("largest", "rest", "void", "red")
VALID, VOID = "V", "X"
MAX_LINES = 4000  # a year
_MUCH, _MOST = 2e8, 2e11  # fen: CNY 2 million and 2 thousand million
_SEASON_DAYS = 30.4375
_TWELVE_BITS = 12
_TWELVE = 2**_TWELVE_BITS
_STARTS, _ENDS = np.array(CELL_ENDS[:-1]), np.array(CELL_ENDS[1:])


@dataclass(frozen=True, slots=True)
class Side:
    """What sets sales apart from purchases."""

    record: str
    lines: str
    partners: str
    largest: str
    spread: float  # of the cells' level, as the standard deviation of its logarithm


SALES = Side("C044/line", "lines", "buyers", "top", 0.55)
PURCHASES = Side("C045/line", "purchase lines", "suppliers", "top_supplier", 0.6)


@dataclass(frozen=True, slots=True)
class Invoices:
    """Groups of invoices: arrays of cells x companies by kind; nets in fen, days since 1970."""

    record: str
    as_of: int
    lines: dict[str, Ints]
    nets: dict[str, Ints]
    days: dict[str, Ints]
    others: Ints  # how many partners there are beside the largest, by company

    @property
    def valid_net(self) -> Ints:
        """Net of valid invoices by cell and company."""
        return self.nets["largest"] + self.nets["rest"] + self.nets["red"]


class Line(NamedTuple):
    """One invoice; `partner` 0 is the company's largest."""

    number: str
    day: int
    partner: int
    net: int
    status: str


class _Targets(NamedTuple):
    """What the invoices of a side should come to, by company; amounts in fen."""

    nets: tuple[Floats, Floats, Floats]  # by year, the last first
    lines: tuple[Floats, Floats, Floats]
    void: Floats
    red: Floats
    largest: Floats
    partners: Ints
    idle: Ints


def make_sales(latent: Latent) -> Invoices:
    """Return the sales invoices."""
    m = latent.measures
    last = latent.sales
    prior = np.minimum(last / np.maximum(m["growth"], 0.02), np.maximum(last, _MOST))
    count = np.minimum(m["lines"], MAX_LINES)
    earlier = np.minimum(count * np.clip(1 / np.maximum(m["growth"], 0.1), 0.4, 2.5), MAX_LINES)
    targets = _Targets(
        (last, prior, prior * 0.9),
        (count, earlier, np.minimum(earlier, 24.0)),
        m["void"],
        m["red"],
        m["top"],
        np.maximum(as_ints(m["buyers"]), 1),
        as_ints(m["idle"]),
    )
    return _make(latent, SALES, targets)


def make_purchases(latent: Latent) -> Invoices:
    """Return the purchase invoices."""
    m = latent.measures
    ratio = m["purchases"]  # the very great ones are of companies that hardly sell
    large = np.minimum(latent.sales, _MUCH)
    last = latent.sales * np.minimum(ratio, 3.0) + large * np.maximum(ratio - 3.0, 0.0)
    prior = last / np.clip(m["growth"], 0.3, 3.0)
    suppliers = np.maximum(as_ints(m["suppliers"]), 1)
    count = np.minimum(
        suppliers * (1.5 + 2.5 * latent.draw("lines a supplier")) + 1, MAX_LINES * 1.0
    )
    idle = as_ints(20 * latent.draw("last purchase") + 0.6 * m["idle"])
    targets = _Targets(
        (last, prior, prior * 0.9),
        (count, count, np.minimum(count, 24.0)),
        0.05 * latent.draw("void purchases"),
        0.02 * latent.draw("red purchases"),
        m["top_supplier"],
        suppliers,
        idle,
    )
    return _make(latent, PURCHASES, targets)


def _make(latent: Latent, side: Side, targets: _Targets) -> Invoices:
    words = derive(latent.words, side.record)
    cells = derive(words[None, :], [f"cell {cell}" for cell in range(CELLS)])
    age = latent.as_of - latent.established
    start, end = attested_span(latent, side.record)
    silent = np.where(end >= start, latent.as_of - end, 0)  # nothing came since then
    idle = np.minimum(np.maximum(targets.idle, silent), np.maximum(age - 1, 0))
    last_cell = np.searchsorted(_STARTS, idle, side="right") - 1  # that of the last invoice
    level = _levels(latent, side, cells, age, last_cell)
    total = _spread_lines(level, targets, uniform(derive(words, "phase")))
    void = _portion(total, targets.void, uniform(derive(words, "void")))
    columns = np.arange(latent.count)
    valid = total - void
    valid[last_cell, columns] = np.maximum(valid[last_cell, columns], 1)
    share = np.clip(0.85 * targets.largest, 0.02, 1.0)
    largest = _portion(valid, share, np.full(latent.count, 0.5))
    largest[last_cell, columns] = np.maximum(largest[last_cell, columns], 1)
    others = targets.partners - 1
    alone = np.flatnonzero(others == 0)
    largest[:, alone] = valid[:, alone]
    rest = valid - largest
    # Red letters go to the rest alone, and are a share of all lines.
    counted = np.maximum(rest.sum(axis=0), 1)
    reds = np.minimum(targets.red * total.sum(axis=0) / counted, 0.5)
    red = _portion(rest, reds, uniform(derive(words, "red")))
    lines = {"largest": largest, "rest": rest, "void": void, "red": red}
    nets = _price(cells, lines, targets)
    _raise_largest(lines, nets, others, last_cell)
    days = _make_days(cells, latent.as_of, idle, last_cell, age)
    return Invoices(side.record, latent.as_of, lines, nets, days, others)


def _bits(cells: Words, shift: int) -> Ints:
    """Return twelve bits of the cells' words, by their place."""
    bits = cells >> np.uint64(shift)
    bits &= np.uint64(_TWELVE - 1)
    return bits.astype(np.int64)


def _levels(latent: Latent, side: Side, cells: Words, age: Ints, last_cell: Ints) -> Floats:
    """Return how much of the year falls into each cell: season, decline, chance; 0 where closed."""
    middle = latent.as_of - (_STARTS + _ENDS) // 2
    months = ((middle % 365.2425) / _SEASON_DAYS).astype(np.int64) % 12
    season = np.array([item.season for item in SECTORS])[latent.sector]
    back = np.minimum((_STARTS / _SEASON_DAYS).astype(np.int64), len(latent.path) - 1)
    level: Floats = SEASONS.T[months][:, season]
    level *= latent.path[back]
    level *= exp(side.spread * normal(cells))
    level[YEARS[2][0] :] *= 6.0  # cells of half a year
    level[np.arange(CELLS)[:, None] < last_cell] = 0.0
    level[_ENDS[:, None] > age] = 0.0
    return level


def _running(numbers: Ints | Floats) -> Floats:
    """Return the running sums of the cells, a row at a time: numpy's own goes by columns."""
    total = np.empty(numbers.shape, dtype=np.float64)
    total[0] = numbers[0]
    for cell in range(1, len(numbers)):
        np.add(total[cell - 1], numbers[cell], out=total[cell])
    return total


def _spread_lines(level: Floats, targets: _Targets, phase: Floats) -> Ints:
    """Return the lines of each cell: a year's lines shared out by the cells' levels."""
    total = np.empty(level.shape, dtype=np.int64)
    for (low, high), count in zip(YEARS, targets.lines, strict=True):
        part = level[low:high]
        filled = _running(part)
        whole = filled[-1]
        filled *= np.where(whole > 0, count / np.where(whole > 0, whole, 1.0), 0.0)
        filled += phase
        whole_lines = filled.astype(np.int64)
        total[low] = whole_lines[0]
        np.subtract(whole_lines[1:], whole_lines[:-1], out=total[low + 1 : high])
        total[low:high] *= part > 0
    return total


def _portion(lines: Ints, share: Floats, phase: Floats) -> Ints:
    """Return a share of the lines of each cell, whole lines, right in the long run."""
    filled = _running(lines)
    filled *= share
    filled += phase
    whole = filled.astype(np.int64)
    part = np.empty_like(whole)
    part[0] = whole[0]
    np.subtract(whole[1:], whole[:-1], out=part[1:])
    return np.minimum(part, lines, out=part)


def _price(cells: Words, lines: dict[str, Ints], targets: _Targets) -> dict[str, Ints]:
    """Return the net of each group, so that the years come to what they should."""
    price = 0.7 + (0.6 / _TWELVE) * _bits(cells, 40)
    parts = {kind: lines[kind] * price for kind in ("largest", "rest")}
    nets = {kind: np.empty(price.shape, dtype=np.int64) for kind in KINDS}
    for (low, high), wanted in zip(YEARS, targets.nets, strict=True):
        of_largest, of_rest = (parts[kind][low:high].sum(axis=0) for kind in ("largest", "rest"))
        share = np.where(of_rest > 0, np.where(of_largest > 0, targets.largest, 0.0), 1.0)
        for kind, whole, portion in (
            ("largest", of_largest, share),
            ("rest", of_rest, 1.0 - share),
        ):
            scale = wanted * portion / np.where(whole > 0, whole, 1.0)
            nets[kind][low:high] = parts[kind][low:high] * scale
    for kind in ("largest", "rest"):
        np.maximum(nets[kind], lines[kind] * FEN, out=nets[kind])
    unit = (0.5 * nets["rest"] / np.maximum(lines["rest"], 1)).astype(np.int64)
    nets["red"] = -lines["red"] * np.maximum(unit, 1)
    valid = np.maximum(lines["largest"] + lines["rest"], 1)
    mean = ((nets["largest"] + nets["rest"]) / valid).astype(np.int64)
    nets["void"] = lines["void"] * np.maximum(mean, FEN)
    return nets


def _raise_largest(
    lines: dict[str, Ints], nets: dict[str, Ints], others: Ints, last_cell: Ints
) -> None:
    """Make partner 0 the largest of the last twelve months, where it traded then at all."""
    low, high = YEARS[0]
    rest, net = lines["rest"][low:high], nets["rest"][low:high]
    count = rest.sum(axis=0)
    most = -(-count // np.maximum(others, 1))  # lines that one of the rest has at most
    unit = (net / np.maximum(rest, 1)).max(axis=0).astype(np.int64) + 1
    missing = most * unit + 1 - nets["largest"][low:high].sum(axis=0)
    short = np.flatnonzero((missing > 0) & (last_cell < high) & (count > 0))
    nets["largest"][last_cell[short], short] += missing[short]


def _make_days(cells: Words, as_of: int, idle: Ints, last_cell: Ints, age: Ints) -> dict[str, Ints]:
    """Return the day of each group: in its cell, none after the last sale or before the start."""
    columns = np.arange(len(idle))
    newest = np.broadcast_to(_STARTS[:, None], cells.shape).copy()
    newest[last_cell, columns] = np.minimum(idle, _ENDS[last_cell] - 1)
    width = np.maximum(np.minimum(_ENDS[:, None], np.maximum(age, 1)) - newest, 1)
    latest = as_of - newest
    days = {}
    for kind, shift in zip(KINDS, (34, 28, 16, 4), strict=True):
        offset = _bits(cells, shift)
        offset *= width
        offset >>= _TWELVE_BITS
        if kind == "largest":
            offset[last_cell, columns] = 0
        days[kind] = np.subtract(latest, offset, out=offset)
    return days


def find_cells(as_of: int, first_day: int, last_day: int) -> tuple[int, int] | None:
    """Return the cells (first, end) of the days from `first_day` to `last_day`, None if one is cut.

    A window that goes further back than the cells takes all that there are.
    """
    low, high = as_of - last_day, as_of - first_day + 1
    if low not in CELL_ENDS:
        return None
    if high >= CELL_ENDS[-1]:
        return CELL_ENDS.index(low), CELLS
    return (CELL_ENDS.index(low), CELL_ENDS.index(high)) if high in CELL_ENDS else None


def lines_of(invoices: Invoices, row: int) -> Iterator[Line]:
    """Yield the invoices of one company, one by one, oldest cells first.

    The lines of a group share its total as evenly as fen allow, the earlier ones taking the rest.
    """
    others = int(invoices.others[row])
    turn = 0
    for cell in range(CELLS):
        first_turn = turn
        for kind in KINDS:
            count = int(invoices.lines[kind][cell, row])
            total = int(invoices.nets[kind][cell, row])
            day = int(invoices.days[kind][cell, row])
            for index in range(count):
                partner = 0
                if kind == "rest":
                    partner = 1 + turn % others
                    turn += 1
                elif kind == "red":
                    partner = 1 + first_turn % others
                net = total // count + (1 if index < total % count else 0)
                status = VOID if kind == "void" else VALID
                yield Line(f"{cell:02d}{kind[0]}{kind[2]}{index:05d}", day, partner, net, status)
