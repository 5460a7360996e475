"""Whole-period features over all published rows equal the published ones: 425 × 36 values."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from analytics.invoices import Invoice, read_invoices
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE
from analytics.whole_period import compute_features, compute_side, find_differences
from ledger.errors import LocalError

SHARED = Path(__file__).parents[2] / "../shared/data"


def test_features_equal_the_published_ones() -> None:
    path = SHARED / "cumcm2020c_features.csv"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    sides: list[dict[str, list[Invoice]]] = []
    for name in (SALES_FILE, PURCHASES_FILE):
        side: dict[str, list[Invoice]] = defaultdict(list)
        for invoice in read_invoices(SHARED / name):
            side[invoice.company].append(invoice)
        sides.append(side)
    with path.open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    assert len(published) == 425
    for row in published:
        company = row["company_id"]
        features = compute_features(sides[0][company], sides[1][company])
        assert set(features) == set(row) - {
            "company_id",
            "has_credit_record",
            "rating",
            "defaulted",
        }
        assert find_differences(features, row) == [], company


def test_nothing_gives_no_value_rather_than_zero() -> None:
    side = compute_side([])
    assert side["n"] == 0
    assert side["void_rate"] is side["hhi"] is side["cv"] is side["growth"] is None
    features = compute_features([], [])
    assert features["gross_margin"] is features["days_since_last_sale"] is None


def test_a_difference_is_told() -> None:
    invoice = Invoice("E1", "1", "2019-05-01", "B1", 10_000, 1_300, 11_300, "V")
    features = compute_features([invoice], [invoice])
    published = {name: "" if value is None else str(value) for name, value in features.items()}
    assert find_differences(features, published) == []
    published["output_2019"] = "100.5"
    published["output_last_date"] = ""
    assert find_differences(features, published) == [
        "output_2019: got 100.0, want 100.5",
        "output_last_date: got 2019-05-01, want nothing",
    ]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"a,b\n")
    with pytest.raises(LocalError, match="cannot read"):
        list(read_invoices(tmp_path / "a.csv.gz"))
