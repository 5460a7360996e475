"""The restated early warnings, and the measures of a rule against who defaulted."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from analytics.early_warnings import RULES, Measure, find_warnings, measure, read_labels
from analytics.early_warnings import read_published as read_rules

SHARED = Path(__file__).parents[2] / "../shared/data"
FEATURES = {
    "co.sales_12m": 60_000_000,
    "co.sales_prior_12m": 60_000_000,
    "co.invoice_count_12m": 100,
    "co.void_count_12m": 0,
    "co.purchases_12m": 60_000_000,
    "co.days_since_last_sale": 1,
    "co.top_buyer_sales_12m": 1,
}


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, set()),
        ({"co.sales_prior_12m": 120_000_000}, {"EW05", "EW06"}),
        ({"co.sales_prior_12m": 119_999_999}, {"EW06"}),
        ({"co.days_since_last_sale": 90}, {"EW07"}),
        ({"co.days_since_last_sale": 180}, {"EW07", "EW08"}),
        ({"co.void_count_12m": 20}, {"EW09", "EW10"}),
        ({"co.void_count_12m": 15}, {"EW10"}),
        ({"co.void_count_12m": 9, "co.invoice_count_12m": 9}, set()),
        ({"co.purchases_12m": 60_000_001}, {"EW11"}),
        ({"co.top_buyer_sales_12m": 36_000_000}, {"EW12"}),
        ({"co.top_buyer_sales_12m": 35_999_999}, set()),
        ({"co.sales_12m": 49_999_999}, {"EW11", "EW13"}),
    ],
)
def test_a_rule_holds_from_its_threshold_on(changes: dict[str, int], want: set[str]) -> None:
    assert find_warnings(FEATURES | changes) == want


def test_a_company_without_any_sale_is_not_idle_but_without_figures() -> None:
    features = {name: 0 for name in FEATURES if name != "co.top_buyer_sales_12m"}
    del features["co.days_since_last_sale"]
    assert find_warnings(features) == {"EW13"}


def test_the_measures_of_a_rule() -> None:
    labels = {"a": True, "b": True, "c": False, "d": False, "e": False}
    measured = measure({"a", "c", "unlabelled"}, labels)
    assert measured == Measure(companies=5, defaulted=2, warned=2, hits=1)
    assert (measured.precision, measured.recall, measured.lift) == (0.5, 0.5, 1.25)
    silent = measure((), labels)
    assert (silent.precision, silent.recall, silent.lift) == (None, 0.0, None)


def test_labels_and_rules_are_read_as_published() -> None:
    if not SHARED.exists():
        pytest.skip("the real data is not here")
    labels = read_labels(SHARED)
    with (SHARED / "cumcm2020c_companies.csv").open(encoding="utf-8", newline="") as file:
        given = sum(1 for row in csv.DictReader(file) if row["defaulted"])
    assert len(labels) == given == 82
    rules = read_rules(SHARED)
    assert len(rules) == 30
    pattern = re.compile(r"precision 0\.\d\d recall 0\.\d\d lift \d\.\d\d")
    assert [name for name in rules if pattern.fullmatch(rules[name].figures)] == list(RULES)
