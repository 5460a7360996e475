"""What the published invoices say of companies, as numbers: the marginals of the province.

They were got from the invoices of 425 companies (data/README.md; never committed) as
`analytics.twelve_months` computes the twelve-month features as of 2019-12-31: a day before the
standstill of January 2020, so that recency is that of a normal year. `QUANTILES` has the quantiles
of each measure at `PROBABILITIES` over all companies that have it; growth and purchases are ratios
and their last values are cut (the data has 251 and 228). `MONTHS` are the mean sales of January to
December over those of the year, of the companies that sold in 20 months of 2018 and 2019. The
loadings of `analytics.province.latent` are chosen so that rank correlations and the shift between
defaulted and other companies come near `CORRELATIONS` and `DEFAULTED`; `analytics.province.report`
prints how far off each is.
"""

from __future__ import annotations

from collections.abc import Mapping

PROBABILITIES = (
    0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1,
)  # fmt: skip
QUANTILES: Mapping[str, tuple[float, ...]] = {
    "sales": (  # CNY in twelve months
        0, 5034, 14050, 43290, 154e3, 552.8e3, 1.217e6, 3.651e6, 6.56e6, 12.13e6, 21.69e6, 30.72e6,
        51.32e6, 73.23e6, 124.1e6, 181.7e6, 900e6,
    ),
    "growth": (  # sales of twelve months over those of the twelve before
        0.002, 0.01896, 0.04335, 0.1601, 0.4157, 0.6628, 0.828, 0.9512, 1.085, 1.294, 1.543, 1.93,
        3.282, 5.061, 11.17, 20.39, 40,
    ),
    "void": (  # share of void rows
        0, 0, 0, 0, 0.01245, 0.0317, 0.04762, 0.06198, 0.07463, 0.09545, 0.1176, 0.1536, 0.25, 0.4,
        0.6667, 0.8202, 0.9,
    ),
    "red": (  # share of red-letter rows
        0, 0, 0, 0, 0, 0, 0, 0, 0.003165, 0.009615, 0.01619, 0.02762, 0.04734, 0.08027, 0.1505,
        0.1963, 0.3,
    ),
    "lines": (  # sales invoices in twelve months, void ones too
        1, 2, 3, 6, 15, 35.8, 69.2, 108.6, 166, 223.4, 306.6, 512, 824, 1368, 2851, 3800, 8105,
    ),
    "top": (  # the largest buyer's share of sales
        0.0028, 0.03128, 0.0502, 0.0916, 0.117, 0.1859, 0.2391, 0.2999, 0.3758, 0.4721, 0.5681,
        0.7066, 0.8729, 0.9928, 1, 1, 1,
    ),
    "buyers": (
        1, 1, 1, 2, 2, 4, 7, 11, 16, 23.4, 40, 71, 118.6, 313.6, 737.2, 1006, 2101,
    ),
    "idle": (  # days since the last sale
        0, 0, 0, 0, 0, 2.8, 5, 8, 13, 20, 28.8, 47, 76, 163.4, 252.3, 300, 394,
    ),
    "purchases": (  # over sales
        0, 3.4e-5, 3.7e-4, 9.4e-4, 0.008979, 0.06408, 0.1863, 0.3066, 0.4689, 0.6071, 0.7859, 0.926,
        1.098, 2.633, 12.73, 31.32, 60,
    ),
    "suppliers": (
        0, 0.24, 1, 1, 3, 8, 22, 35, 52, 79.4, 128, 217.2, 358.2, 498.6, 731.7, 839.5, 1996,
    ),
    "top_supplier": (
        0.03377, 0.06535, 0.08744, 0.1092, 0.1471, 0.1963, 0.2597, 0.3181, 0.3703, 0.4503, 0.5569,
        0.7096, 0.9222, 0.9995, 1, 1, 1,
    ),
}  # fmt: skip
# Spearman's rank correlations of the same companies.
CORRELATIONS: Mapping[tuple[str, str], float] = {
    ("sales", "growth"): 0.23,
    ("sales", "void"): -0.12,
    ("sales", "lines"): 0.77,
    ("sales", "top"): -0.29,
    ("sales", "buyers"): 0.43,
    ("sales", "idle"): -0.14,
    ("sales", "suppliers"): 0.69,
    ("lines", "top"): -0.47,
    ("lines", "buyers"): 0.69,
    ("lines", "idle"): -0.27,
    ("top", "buyers"): -0.79,
    ("top", "idle"): 0.25,
    ("buyers", "idle"): -0.40,
    ("suppliers", "top_supplier"): -0.63,
}
# Medians of the 64 companies that paid and the 18 that defaulted.
DEFAULTED: Mapping[str, tuple[float, float]] = {
    "sales": (9.44e6, 61.8e3),
    "growth": (1.18, 0.784),
    "void": (0.0796, 0.142),
    "lines": (168, 22.5),
    "top": (0.298, 0.494),
    "idle": (5, 31),
}
