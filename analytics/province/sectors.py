"""The trades of the province's companies, and the regions they are in.

A sector is a code of GB/T 4754 with its share of companies, the probability that one of it exports
or holds patents, how much power it uses for its sales, and its season. The shares follow the rough
make-up of a coastal province (trade and services before manufacturing); they are assumptions, not
measurements: the published invoices do not say what a company does. `MONTHS` are measured there
(mean of a month's sales over the year's mean, January to December, 262 companies that sold in 20
months of 2018 and 2019 or more).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analytics.province.draws import Floats

MONTHS = (1.26, 0.62, 0.86, 0.90, 0.93, 0.92, 0.96, 0.97, 1.02, 1.05, 1.14, 1.37)


class Sector(NamedTuple):
    """One trade; `season` is an index into SEASONS."""

    code: str
    weight: float
    exports: float
    patents: float
    power: float
    season: int


EVEN, MEASURED, HARVEST, FESTIVE, BUILDING = range(5)
SEASONS: Floats = np.array(
    [
        [1.0] * 12,
        MONTHS,
        [0.8, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.2, 1.4, 1.5, 1.1, 0.7],
        [1.5, 1.1, 0.8, 0.8, 0.9, 0.9, 0.9, 0.9, 1.0, 1.0, 1.1, 1.3],
        [0.9, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.2, 1.6],
    ]
)
SECTORS = (
    Sector("A0111", 4.0, 0.02, 0.01, 0.3, HARVEST),
    Sector("A0321", 2.0, 0.02, 0.02, 0.8, HARVEST),
    Sector("C1399", 1.5, 0.10, 0.05, 1.2, HARVEST),
    Sector("C1499", 1.5, 0.10, 0.06, 1.2, FESTIVE),
    Sector("C1810", 3.0, 0.35, 0.04, 0.9, FESTIVE),
    Sector("C2110", 2.0, 0.35, 0.10, 0.9, MEASURED),
    Sector("C2710", 0.8, 0.10, 0.35, 1.1, EVEN),
    Sector("C2929", 3.0, 0.25, 0.12, 1.6, MEASURED),
    Sector("C3360", 2.0, 0.10, 0.08, 2.2, MEASURED),
    Sector("C3581", 1.0, 0.20, 0.35, 0.8, EVEN),
    Sector("C3872", 2.0, 0.40, 0.15, 0.9, MEASURED),
    Sector("C3983", 4.0, 0.35, 0.22, 1.0, MEASURED),
    Sector("D4420", 0.5, 0.00, 0.03, 1.5, EVEN),
    Sector("E4790", 4.0, 0.01, 0.03, 0.3, BUILDING),
    Sector("E4920", 3.0, 0.01, 0.03, 0.3, BUILDING),
    Sector("F5137", 6.0, 0.15, 0.02, 0.1, FESTIVE),
    Sector("F5173", 8.0, 0.10, 0.01, 0.1, MEASURED),
    Sector("F5179", 7.0, 0.20, 0.03, 0.1, MEASURED),
    Sector("F5211", 8.0, 0.01, 0.00, 0.4, FESTIVE),
    Sector("F5251", 1.5, 0.00, 0.01, 0.3, EVEN),
    Sector("F5294", 4.0, 0.12, 0.02, 0.1, FESTIVE),
    Sector("G5430", 4.0, 0.02, 0.01, 0.4, MEASURED),
    Sector("G5820", 1.5, 0.05, 0.01, 0.2, MEASURED),
    Sector("H6190", 1.5, 0.00, 0.00, 0.9, FESTIVE),
    Sector("H6210", 4.0, 0.00, 0.00, 0.8, FESTIVE),
    Sector("I6510", 5.0, 0.06, 0.25, 0.2, MEASURED),
    Sector("K7010", 1.0, 0.00, 0.00, 0.1, BUILDING),
    Sector("L7259", 5.0, 0.01, 0.02, 0.1, MEASURED),
    Sector("M7320", 2.0, 0.03, 0.35, 0.4, MEASURED),
    Sector("N7729", 0.8, 0.01, 0.15, 0.7, EVEN),
    Sector("O8191", 3.0, 0.00, 0.01, 0.3, EVEN),
    Sector("Q8425", 1.5, 0.00, 0.01, 0.4, EVEN),
    Sector("R8810", 1.5, 0.02, 0.04, 0.2, FESTIVE),
)
REGIONS = (
    ("440100", 24), ("440300", 28), ("440400", 3), ("440500", 4), ("440600", 9), ("440700", 4),
    ("440800", 2), ("440900", 2), ("441200", 2), ("441300", 5), ("441800", 2), ("441900", 11),
    ("442000", 4),
)  # fmt: skip
