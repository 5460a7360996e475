"""What the ledger's rules see of real invoices equals a direct computation over the rows."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from analytics.invoices import Invoice
from analytics.twelve_months import (
    PURCHASES_FILE,
    SALES_FILE,
    compute_features,
    compute_from_files,
    count_once,
    find_differences,
)
from genesis.companies import made_up_code
from ledger.credit.queries import query_company_features
from tests.genesis.demo_network import DEMO, DemoNetwork

SHARED = Path(__file__).parents[2] / "../shared/data"
AS_OF = date(2020, 2, 21)
COMPANIES = ("E4", "E16", "E20")  # few rows, and void, red-letter and idle ones among them


def make_invoice(number: str = "1", issued_on: str = "2019-05-01", net: int = 100) -> Invoice:
    return Invoice("E1", number, issued_on, "B1", net, 13, net + 13, "V")


def test_duplicates_count_once_and_conflicts_not_at_all() -> None:
    rows = [
        make_invoice(),
        make_invoice(),
        make_invoice(net=200),
        make_invoice(net=200),
        make_invoice(issued_on="2019-05-02"),
    ]
    counted = count_once(rows)
    assert counted.invoices == (rows[0], rows[4])
    assert (counted.duplicates, counted.conflicts) == (2, 1)


def test_windows_end_on_the_day_and_are_open_at_their_start() -> None:
    days = ("2020-02-21", "2019-02-22", "2019-02-21", "2018-02-22", "2018-02-21")
    rows = [make_invoice(str(n), day, 10**n) for n, day in enumerate(days)]
    features = compute_features(rows, [], AS_OF)
    assert features["co.sales_12m"] == 11
    assert features["co.sales_prior_12m"] == 1100
    assert features["co.days_since_last_sale"] == 0
    assert "co.top_supplier_purchases_12m" not in features


def test_share_is_truncated_toward_zero() -> None:
    rows = [make_invoice("1", net=200), make_invoice("2", net=-50)]
    rows[1] = rows[1]._replace(counterparty="B2")
    assert compute_features(rows, [], AS_OF)["co.top_buyer_share_12m"] == 13_333


def cut(name: str, folder: Path) -> Path:
    """Write the rows of the chosen companies as a file of their own."""
    wanted = tuple(f"{company},".encode() for company in COMPANIES)
    file = folder / name
    with gzip.open(SHARED / name, "rb") as source, gzip.open(file, "wb") as target:
        target.write(source.readline())
        target.writelines(line for line in source if line.startswith(wanted))
    return file


def test_ledger_tells_the_same_of_real_invoices(tmp_path: Path) -> None:
    if not (SHARED / SALES_FILE).exists():
        pytest.skip("../shared/data is not here")
    network = DemoNetwork(tmp_path / "net", as_of=AS_OF)
    for name, mapping in ((SALES_FILE, "sales.toml"), (PURCHASES_FILE, "purchases.toml")):
        source = (DEMO / "invoices" / mapping).read_text("utf-8")
        chosen = ", ".join(f'"{company}"' for company in COMPANIES)
        file = tmp_path / mapping
        file.write_text(source.replace('"E1..E20"', f"[{chosen}]"), "utf-8")
        results = network.submit_file("D02", cut(name, tmp_path), file)
        assert {code for code, _ in results} == {0}
    codes = [made_up_code(company) for company in COMPANIES]
    for category in ("C044", "C045"):
        first = network.day - 800
        attestation = {
            "category": category,
            "schema": "line",
            "companies": tuple(sorted(codes)),
            "from_day": first,
            "to_day": network.day,
        }
        assert network.act("D02", "records.attest", attestation)[0] == 0
    direct = compute_from_files(tmp_path, COMPANIES.__contains__, AS_OF)
    assert sorted(direct) == sorted(codes)
    context = network.query_context("D02")
    for code, features in direct.items():
        answer = query_company_features(context, {"company": code, "schema": "company/1"})
        assert isinstance(answer, dict)
        assert find_differences(features, answer["facts"]) == []
        assert len(features) >= 14
