"""Features of a company over the whole period of the published invoices, every row counted.

These are the columns of cumcm2020c_features.csv, computed again: the definitions were found by
matching all 425 companies. Floats are allowed here; nothing of this enters a block. For each side
(`input` are purchases, `output` are sales):

    n               rows, duplicates and void ones included
    void_rate       void rows / rows
    neg_rate        valid rows with a negative net amount / valid rows
    net_yuan        net of the valid rows, red-letter ones subtracted; tax_yuan the same
    counterparties  different ones in valid rows
    hhi, top1_share Herfindahl index and largest share of counterparties in the net of valid rows
                    with a positive amount: red-letter rows are left out, not subtracted
    months          calendar months with a valid row
    cv              standard deviation (sample) of the months' net / their mean; needs two months
    2018, 2019      net of the valid rows of the year in yuan; growth = 2019 / 2018 − 1
    first_date, last_date   of the valid rows

and of both: gross_margin = (sales − purchases) / sales, days_since_last_sale at `as_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from statistics import fmean, stdev
from typing import TypeAlias

from analytics.invoices import Invoice

Feature: TypeAlias = int | float | str | None
AS_OF = date(2020, 2, 21)
TOLERANCE = 1e-6


def compute_features(
    sales: Sequence[Invoice], purchases: Sequence[Invoice], as_of: date = AS_OF
) -> dict[str, Feature]:
    """Return the features of one company by the published names; None where one has no value."""
    features: dict[str, Feature] = {}
    for side, invoices in (("input", purchases), ("output", sales)):
        for name, value in compute_side(invoices).items():
            features[f"{side}_{name}"] = value
    sold, bought = features["output_net_yuan"], features["input_net_yuan"]
    if isinstance(sold, float) and isinstance(bought, float):
        features["gross_margin"] = (sold - bought) / sold if sold else None
    last = features["output_last_date"]
    features["days_since_last_sale"] = (
        (as_of - date.fromisoformat(last)).days if isinstance(last, str) else None
    )
    return features


def compute_side(invoices: Sequence[Invoice]) -> dict[str, Feature]:
    """Return the features of one side: all sales or all purchases of a company."""
    valid = [invoice for invoice in invoices if invoice.is_valid]
    years = _sum_by(valid, 4)
    shares = _compute_shares(valid)
    days = [invoice.issued_on for invoice in valid]
    negative = sum(1 for invoice in valid if invoice.net_fen < 0)
    return {
        "n": len(invoices),
        "void_rate": _ratio(len(invoices) - len(valid), len(invoices)),
        "neg_rate": _ratio(negative, len(valid)),
        "net_yuan": sum(invoice.net_fen for invoice in valid) / 100,
        "tax_yuan": sum(invoice.tax_fen for invoice in valid) / 100,
        "counterparties": len({invoice.counterparty for invoice in valid}),
        "hhi": sum(share * share for share in shares) if shares else None,
        "top1_share": max(shares) if shares else None,
        "months": len(_sum_by(valid, 7)),
        "cv": _compute_variation(list(_sum_by(valid, 7).values())),
        "2018": years["2018"] / 100,
        "2019": years["2019"] / 100,
        "growth": years["2019"] / years["2018"] - 1 if years["2018"] else None,
        "first_date": min(days) if days else None,
        "last_date": max(days) if days else None,
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _sum_by(invoices: Iterable[Invoice], characters: int) -> Counter[str]:
    """Return net fen by year (4 characters of the date) or month (7)."""
    sums: Counter[str] = Counter()
    for invoice in invoices:
        sums[invoice.issued_on[:characters]] += invoice.net_fen
    return sums


def _compute_shares(valid: Iterable[Invoice]) -> list[float]:
    totals: Counter[str] = Counter()
    for invoice in valid:
        if invoice.net_fen > 0:
            totals[invoice.counterparty] += invoice.net_fen
    whole = sum(totals.values())
    return [total / whole for total in totals.values()]


def _compute_variation(amounts: Sequence[int]) -> float | None:
    if len(amounts) < 2:
        return None
    mean = fmean(amounts)
    return stdev(amounts) / mean if mean else None


def find_differences(computed: Mapping[str, Feature], published: Mapping[str, str]) -> list[str]:
    """Return a sentence for each feature that is not as published (six decimals), none if equal."""
    differences: list[str] = []
    for name, value in computed.items():
        text = published[name]
        if value is None or text == "":
            is_equal = value is None and text == ""
        elif isinstance(value, str):
            is_equal = value == text
        else:
            is_equal = abs(value - float(text)) <= TOLERANCE * max(1.0, abs(value))
        if not is_equal:
            differences.append(f"{name}: got {value}, want {text or 'nothing'}")
    return differences
