"""What nobody sees of a company: its health, its size, and what follows from them.

Three independent normal numbers drive everything: health (high is good), size, and focus (how few
partners it has). Each measure of `calibration.QUANTILES` gets a normal number that loads on them
and has some noise of its own; its rank picks the quantile (a Gaussian copula). The loadings were
chosen by hand so that rank correlations come near those of the real data. A company fails within a
year with a probability that falls steeply with health, and with size; one that will has been
declining for some months, which bends every monthly series (`path`). Its records show it: lost
suits, arrears, listings, each of them likelier with ill health.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from analytics.province.calibration import PROBABILITIES, QUANTILES
from analytics.province.draws import (
    Bools,
    Floats,
    Ints,
    Quantiles,
    Words,
    as_ints,
    company_words,
    derive,
    exp,
    normal,
    pick,
    rank,
    uniform,
)
from analytics.province.sectors import REGIONS, SECTORS

Loads: TypeAlias = tuple[float, float, float]  # on health, size, focus

MONTHS_BACK = 28  # how far the monthly series go
ATTESTED_DAYS = 4000  # how far back a source that attests anything goes
_SILENT, _NEVER = 0.015, 0.01  # sources that fell silent, and that attest nothing
FEN = 100
# Soundness is health and some size. From where the probability of failing is one half, and how
# steeply it falls.
_SIZE_COUNTS = 0.35
_FAIL_AT, _FAIL_SLOPE = -2.08, 4.0
_LOADS: dict[str, Loads] = {
    "sales": (0.52, 0.80, 0.0),
    "growth": (0.34, 0.10, 0.0),
    "void": (-0.40, 0.0, 0.0),
    "red": (0.05, 0.2, -0.2),
    "lines": (0.45, 0.62, -0.42),
    "top": (-0.24, -0.20, 0.78),
    "idle": (-0.46, 0.0, 0.32),
    "purchases": (0.0, 0.10, 0.0),
    "suppliers": (0.25, 0.72, 0.0),
    "staff": (0.10, 0.80, 0.0),
    "age": (0.30, 0.35, 0.0),
}
_DISTRIBUTIONS = {name: Quantiles(PROBABILITIES, QUANTILES[name]) for name in QUANTILES}
_AGES = Quantiles(
    (0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 1), (120, 365, 720, 1460, 2600, 4300, 6200, 9000)
)


@dataclass(frozen=True, slots=True)
class Latent:
    """A chunk of companies; every array has one entry a company, money in fen, days since 1970."""

    as_of: int
    first: int
    words: Words
    sector: Ints  # index into SECTORS
    region: Ints  # index into REGIONS
    health: Floats
    size: Floats
    measures: dict[str, Floats]  # by the names of QUANTILES
    established: Ints
    staff: Ints
    export_share: Floats  # of its sales; 0 for a company that does not export
    inventive: Floats  # above 0 for one that has patents
    power: Floats  # of its trade
    fails: Bools
    path: Floats  # MONTHS_BACK x companies, newest first: 1 in good times

    @property
    def count(self) -> int:
        """How many companies these are."""
        return len(self.words)

    @property
    def sales(self) -> Floats:
        """Sales of the last twelve months that the calibration wants, in fen."""
        return self.measures["sales"] * FEN

    def draw(self, name: str) -> Floats:
        """Return a uniform number for each company."""
        return uniform(derive(self.words, name))

    def activity(self) -> Floats:
        """Return how busy each company was in each month against the last twelve, newest first."""
        before = np.clip(1.0 / np.maximum(self.measures["growth"], 0.2), 0.3, 2.5)
        level = self.path.copy()
        level[12:] *= 0.5 + 0.5 * before
        return level


def make_latent(seed: int, first: int, count: int, as_of: int) -> Latent:
    """Return companies `first` to `first + count - 1` of a seed as they stand on a day."""
    words = company_words(seed, first, count)
    health, size, focus = (normal(derive(words, name)) for name in ("health", "size", "focus"))
    measures = {
        name: _DISTRIBUTIONS[name].at(rank(_load(words, name, loads, health, size, focus)))
        for name, loads in _LOADS.items()
        if name in _DISTRIBUTIONS
    }
    measures["buyers"] = _count_buyers(words, health, size, focus)
    measures["top_supplier"] = _supplier_share(words, health, size, focus)
    sector = pick(derive(words, "sector"), [item.weight for item in SECTORS])
    staff_rank = _load(words, "staff", _LOADS["staff"], health, size, focus)
    staff = as_ints(1 + 6 * exp(0.95 * staff_rank))
    age = as_ints(_AGES.at(rank(_load(words, "age", _LOADS["age"], health, size, focus))))
    exporting = uniform(derive(words, "exports")) < _of_sector("exports", sector) * (
        0.6 + 0.4 * exp(0.4 * size)
    )
    share = 0.05 + 0.9 * uniform(derive(words, "export share"))
    soundness = _FAIL_SLOPE * (health + _SIZE_COUNTS * size - _FAIL_AT)
    fails = uniform(derive(words, "fails")) * (1 + exp(soundness)) < 1
    patents = _of_sector("patents", sector) * exp(0.3 * health + 0.4 * size)
    return Latent(
        as_of,
        first,
        words,
        sector,
        pick(derive(words, "region"), [weight for _, weight in REGIONS]),
        health,
        size,
        measures,
        as_of - age,
        staff,
        np.where(exporting, share, 0.0),
        np.maximum(patents - uniform(derive(words, "patents")), 0.0),
        _of_sector("power", sector),
        fails,
        _make_path(words, fails, health),
    )


def _load(
    words: Words, name: str, loads: Loads, health: Floats, size: Floats, focus: Floats
) -> Floats:
    noise = (1.0 - sum(part * part for part in loads)) ** 0.5
    number: Floats = (
        loads[0] * health
        + loads[1] * size
        + loads[2] * focus
        + noise * normal(derive(words, f"measure {name}"))
    )
    return number


def _of_sector(name: str, sector: Ints) -> Floats:
    values: Floats = np.array([float(getattr(item, name)) for item in SECTORS])
    found: Floats = values[sector]
    return found


def _count_buyers(words: Words, health: Floats, size: Floats, focus: Floats) -> Floats:
    """Buyers are many where invoices are many and no buyer is large: the strongest correlations."""
    top = _load(words, "top", _LOADS["top"], health, size, focus)
    lines = _load(words, "lines", _LOADS["lines"], health, size, focus)
    mixed = -0.62 * top + 0.42 * lines + 0.45 * normal(derive(words, "buyers"))
    return _DISTRIBUTIONS["buyers"].at(rank(mixed))


def _supplier_share(words: Words, health: Floats, size: Floats, focus: Floats) -> Floats:
    suppliers = _load(words, "suppliers", _LOADS["suppliers"], health, size, focus)
    mixed = -0.65 * suppliers + 0.76 * normal(derive(words, "top supplier"))
    return _DISTRIBUTIONS["top_supplier"].at(rank(mixed))


def _make_path(words: Words, fails: Bools, health: Floats) -> Floats:
    """Return the months' level: one that will fail has been falling for 3 to 16 months."""
    months = np.arange(MONTHS_BACK, dtype=np.float64)
    begun = 3 + 14 * uniform(derive(words, "decline"))
    depth = np.where(fails, 0.5 + 0.45 * uniform(derive(words, "depth")), 0.0)
    ill = (health < -1.2) & (uniform(derive(words, "ill")) < 0.35)  # falls, and recovers
    depth = np.where(ill & ~fails, 0.4, depth)
    fallen = np.maximum(1.0 - months[:, None] / begun, 0.0)
    path: Floats = 1.0 - depth * fallen
    return path


def attested_span(latent: Latent, name: str) -> tuple[Ints, Ints]:
    """Return from and to which day a source attests completeness of each company's records."""
    chance = latent.draw(f"attested {name}")
    start = np.full(latent.count, latent.as_of - ATTESTED_DAYS)
    end = np.full(latent.count, latent.as_of)
    silent = chance < _SILENT
    end[silent] = latent.as_of - 60 - as_ints(chance[silent] / _SILENT * 400)
    never = chance > 1 - _NEVER
    start[never], end[never] = 1, 0
    return start, end
