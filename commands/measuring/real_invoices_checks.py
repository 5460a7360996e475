"""What a network answers about the published invoices, held against the rows themselves.

Each check returns sentences, one for each thing that the ledger tells otherwise than the rows: the
counts of `submit`, every twelve-month feature, the whole-period features of the same rows against
the published file, and the early warnings that hold at the end.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analytics import early_warnings, twelve_months, whole_period
from analytics.invoices import Invoice
from commands.console import show_table
from commands.session import CLIENTS
from genesis.companies import made_up_code
from ledger.errors import Code, Rejected
from network.client import Profile, SyncClient

FEATURES_FILE = "cumcm2020c_features.csv"
OWNER = "D02"
REGULATOR = "D18"
SCHEMA = "company/1"
AS_OF = whole_period.AS_OF
REVIEWED_AT_ONCE = 200
_SHOWN_MAX = 25


@dataclass(frozen=True, slots=True)
class Side:
    """Sales or purchases: the published file, the mapping, and the rows by company."""

    name: str
    file: Path
    mapping: str
    rows: Mapping[str, list[Invoice]]


@dataclass(slots=True)
class Submitted:
    """What the runs of `submit` over one side reported, together."""

    records: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    seconds: float = 0.0

    def add(self, answer: Mapping[str, Any]) -> None:
        """Count one answer of `submit --json`."""
        self.records += answer["records"] - answer["attested"]
        self.accepted += answer["accepted"]
        self.duplicates += len(answer["duplicates"])
        self.conflicts += len(answer["conflicts"])
        self.rejected += answer["rejected_records"]
        self.seconds += answer["seconds_ms"] / 1000


@dataclass(slots=True)
class Compared:
    """What the rows say of the companies, and where the ledger says otherwise."""

    features: dict[str, dict[str, int]] = field(default_factory=dict)  # by code
    differences: list[str] = field(default_factory=list)


def open_as(net: Path, identity: str) -> SyncClient:
    """Return a client of the network in a folder, to be entered."""
    return SyncClient(Profile.load(net / CLIENTS / identity))


def compare_counts(sides: Iterable[Side], submitted: Mapping[str, Submitted]) -> list[str]:
    """Return a sentence for each count of `submit` that the rows do not give."""
    differences = []
    for side in sides:
        counted = [twelve_months.count_once(rows) for rows in side.rows.values()]
        done = submitted[side.name]
        conflicts = sum(item.conflicts for item in counted)
        wanted = {
            "records": sum(map(len, side.rows.values())),
            "accepted": sum(len(item.invoices) for item in counted) + conflicts,
            "duplicates": sum(item.duplicates for item in counted),
            "conflicts": conflicts,
            "rejected": 0,
        }
        differences += [
            f"{side.name}: the ledger counts {getattr(done, name):,} {name}, the rows {want:,}"
            for name, want in wanted.items()
            if getattr(done, name) != want
        ]
    return differences


def compare_companies(
    net: Path, sides: Sequence[Side], companies: Sequence[str], features_file: Path
) -> Compared:
    """Ask a node for every company's features, and show the first companies in a table."""
    with features_file.open(encoding="utf-8", newline="") as file:
        published = {row["company_id"]: row for row in csv.DictReader(file)}
    compared = Compared()
    table: list[list[str]] = []
    with open_as(net, OWNER) as client:
        for company in companies:
            sales, purchases = (side.rows[company] for side in sides)
            row = _compare_company(client, company, sales, purchases, published, compared)
            table.append(row)
    headers = ["company", "code", "sales", "purchases", "duplicates", "conflicts"]
    show_table("", [*headers, "12 months equal", "whole period equal"], table[:_SHOWN_MAX])
    return compared


def _compare_company(
    client: SyncClient,
    company: str,
    sales: Sequence[Invoice],
    purchases: Sequence[Invoice],
    published: Mapping[str, Mapping[str, str]],
    compared: Compared,
) -> list[str]:
    """Add what is to be said of one company, and return its line of the table."""
    code = made_up_code(company)
    sold, bought = twelve_months.count_once(sales), twelve_months.count_once(purchases)
    direct = twelve_months.compute_features(sold.invoices, bought.invoices, AS_OF)
    answer = client.query("company.features", {"company": code, "schema": SCHEMA})
    year = twelve_months.find_differences(direct, answer["facts"])
    whole = whole_period.compute_features(sales, purchases)
    period = whole_period.find_differences(whole, published[company])
    compared.features[code] = direct
    compared.differences += [f"{company} {sentence}" for sentence in (*year, *period)]
    return [
        company,
        code,
        f"{len(sales):,}",
        f"{len(purchases):,}",
        f"{sold.duplicates + bought.duplicates:,}",
        f"{sold.conflicts + bought.conflicts:,}",
        f"{len(direct) - len(year)}/{len(direct)}",
        f"{len(whole) - len(period)}/{len(whole)}",
    ]


def compare_warnings(net: Path, features: Mapping[str, Mapping[str, int]], data: Path) -> list[str]:
    """Review every company, and compare the warnings that hold with what the rows give.

    Shows, rule by rule, precision and recall on the labelled companies beside the published ones.
    """
    with open_as(net, REGULATOR) as client:
        _review(client, sorted(features))
        held = {code: _held(client, code) for code in sorted(features)}
        raised = _count_raised(client)
    differences = []
    for code, figures in features.items():
        want = early_warnings.find_warnings(figures)
        if held[code] != want:
            differences.append(
                f"{code}: warnings {sorted(held[code])} hold, the rows say {sorted(want)}"
            )
    _show_warnings(held, raised, data)
    return differences


def _review(client: SyncClient, codes: Sequence[str]) -> None:
    """Have all rules looked at as of today: some become true by the passing of time alone."""
    for start in range(0, len(codes), REVIEWED_AT_ONCE):
        body = {"companies": tuple(codes[start : start + REVIEWED_AT_ONCE])}
        code, result = client.submit_kind("alert.review", body).result
        if code != Code.OK:
            raise Rejected(Code(code), str(result))


def _held(client: SyncClient, code: str) -> frozenset[str]:
    answer = client.query("alerts.watch", {"company": code})
    names = (str(ref).partition("/")[0] for ref in answer["rules"])
    return frozenset(name for name in names if name in early_warnings.RULES)


def _count_raised(client: SyncClient) -> Counter[str]:
    """Return how often each rule was raised or repeated while the records came in."""
    raised: Counter[str] = Counter()
    cursor = 0
    while True:
        answer = client.query("alerts.list", {"cursor": cursor})
        raised.update(str(item["rule"]).partition("/")[0] for item in answer["alerts"])
        if answer["cursor"] == cursor:
            return raised
        cursor = answer["cursor"]


def _show_warnings(
    held: Mapping[str, frozenset[str]], raised: Mapping[str, int], data: Path
) -> None:
    labels = {
        code: label for code, label in early_warnings.read_labels(data).items() if code in held
    }
    published = early_warnings.read_published(data)
    table = []
    for name in early_warnings.RULES:
        warned = {code for code, rules in held.items() if name in rules}
        measured = early_warnings.measure(warned, labels)
        table.append(
            [
                name,
                published[name].text,
                f"{raised.get(name, 0):,}",
                f"{len(warned)}/{len(held)}",
                f"{measured.warned}/{measured.companies}",
                str(measured.hits),
                _ratio(measured.precision),
                _ratio(measured.recall),
                _ratio(measured.lift),
                published[name].figures,
            ]
        )
    headers = ["rule", "holds when", "raised", "hold", "of labelled", "defaulted"]
    title = f"early warnings: {len(labels)} labelled, {sum(labels.values())} of them defaulted"
    show_table(title, [*headers, "precision", "recall", "lift", "published, over 123"], table)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
