"""The early warnings EW05 to EW13 a second time, from the rows, and how well each one warns.

`find_warnings` restates the rules of genesis/networks/guangdong/rules in plain Python over the
features of `analytics.twelve_months`, so that what a network raises can be compared with what the
invoices say. `measure` holds a rule against companies of which it is known whether they defaulted:
precision is the share of the warned that defaulted, recall the share of the defaulted that were
warned, lift the precision over the share of defaulted among all. There is no date of default in the
data, so this tells how well a warning separates, not how early it comes.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genesis.companies import made_up_code
from ledger.errors import Code, LocalError

RULES_FILE = "alert_rules.csv"
COMPANIES_FILE = "cumcm2020c_companies.csv"
RULES = ("EW05", "EW06", "EW07", "EW08", "EW09", "EW10", "EW11", "EW12", "EW13")
_CNY = 100  # fen


def find_warnings(features: Mapping[str, int]) -> frozenset[str]:
    """Return the ids of the rules that hold; features as `twelve_months.compute_features` gives."""
    sales, prior = features["co.sales_12m"], features["co.sales_prior_12m"]
    count, voided = features["co.invoice_count_12m"], features["co.void_count_12m"]
    idle_days = features.get("co.days_since_last_sale")  # absent: no sale in three years
    top_sales = features.get("co.top_buyer_sales_12m")
    had_sales = prior >= 50_000 * _CNY
    holds = {
        "EW05": had_sales and sales * 2 <= prior,
        "EW06": had_sales and sales * 10 <= prior * 7,
        "EW07": idle_days is not None and idle_days >= 90,
        "EW08": idle_days is not None and idle_days >= 180,
        "EW09": count >= 10 and voided * 5 >= count,
        "EW10": count >= 10 and voided * 20 >= count * 3,
        "EW11": features["co.purchases_12m"] > sales,
        "EW12": sales > 0 and top_sales is not None and top_sales * 5 >= sales * 3,
        "EW13": sales < 500_000 * _CNY,
    }
    return frozenset(name for name, is_held in holds.items() if is_held)


class Measure(NamedTuple):
    """How a rule does on labelled companies; counts, and ratios where they have a value."""

    companies: int
    defaulted: int
    warned: int
    hits: int

    @property
    def precision(self) -> float | None:
        """The share of the warned companies that defaulted."""
        return self.hits / self.warned if self.warned else None

    @property
    def recall(self) -> float | None:
        """The share of the defaulted companies that were warned of."""
        return self.hits / self.defaulted if self.defaulted else None

    @property
    def lift(self) -> float | None:
        """Precision over the share of defaulted companies among all."""
        if self.precision is None or not self.defaulted:
            return None
        return self.precision * self.companies / self.defaulted


def measure(warned: Collection[str], labels: Mapping[str, bool]) -> Measure:
    """Return how the set of warned companies meets the labels (company → defaulted)."""
    defaulted = {company for company, has_defaulted in labels.items() if has_defaulted}
    counted = labels.keys() & set(warned)
    return Measure(len(labels), len(defaulted), len(counted), len(counted & defaulted))


def read_labels(folder: Path) -> dict[str, bool]:
    """Return by code which of the labelled companies defaulted; `LocalError` 8001 without file."""
    rows = _read(folder / COMPANIES_FILE)
    return {
        made_up_code(row["company_id"]): row["defaulted"] == "1"
        for row in rows
        if row["defaulted"] != ""
    }


@dataclass(frozen=True, slots=True)
class Published:
    """A rule of alert_rules.csv, its indicator with its threshold, and its figures as written."""

    id: str
    text: str
    figures: str


def read_published(folder: Path) -> dict[str, Published]:
    """Return the published rules by id; `LocalError` 8001 without the file."""
    return {
        row["rule_id"]: Published(
            row["rule_id"],
            f"{row['indicator']} {row['threshold']}",
            row["cumcm_backtest"] or "",
        )
        for row in _read(folder / RULES_FILE)
    }


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
