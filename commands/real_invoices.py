"""`python -m commands.real_invoices`: the published invoices through a network of real nodes.

Brings up four nodes that live on 2020-02-21, submits the sales and purchase invoices of the first
companies as the tax department's records with the command that a department would use, and then
compares what the ledger answers with what the rows say: how many were duplicates and conflicts,
every twelve-month feature of schema company/1 (asked of a node, against
`analytics.twelve_months`), and the whole-period features of the same rows against the published
file (`analytics.whole_period`). Leaves with exit code 1 on any difference.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import click

from analytics import twelve_months, whole_period
from analytics.invoices import Invoice, read_invoices
from commands.console import show_facts, show_table
from commands.demo.stage import Stage, StepFailed
from commands.network_file import FILE_NAME, load_network
from commands.processes import stop
from genesis.companies import made_up_code
from ledger.errors import CreditLedgerError

ROOT = Path(__file__).parents[1]
MAPPINGS = ROOT / "genesis" / "demo" / "invoices"
FEATURES_FILE = "cumcm2020c_features.csv"
OWNER = "D02"
SCHEMA = "company/1"
AS_OF = whole_period.AS_OF
COMPLETE = f"2016-10-01..{AS_OF.isoformat()}"
COMPANIES_MAX = 20
SUBMIT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Side:
    """Sales or purchases: the published file, the mapping, and the rows by company."""

    name: str
    file: Path
    mapping: str
    rows: Mapping[str, list[Invoice]]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What one `submit` reported."""

    records: int
    accepted: int
    duplicates: int
    conflicts: int
    seconds: float


@click.command("real-invoices")
@click.option(
    "--companies",
    default=COMPANIES_MAX,
    show_default=True,
    type=click.IntRange(1, COMPANIES_MAX),
    help="How many of the published companies, from E1 on.",
)
@click.option(
    "--data",
    default=ROOT.parent / "shared" / "data",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the published files.",
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path(".real-invoices"))
@click.option("--base-port", default=17_400, show_default=True, help="Look for ports from here.")
@click.option("--keep", is_flag=True, help="Leave the network running at the end.")
def main(companies: int, data: Path, folder: Path, base_port: int, keep: bool) -> None:
    """Submit real invoices to a real network and compare its answers with the rows."""
    stage = Stage(folder.absolute(), timeout_seconds=SUBMIT_SECONDS)
    is_equal = False
    try:
        _clear(stage.net)
        is_equal = _play(
            stage, data, [f"E{number}" for number in range(1, companies + 1)], base_port
        )
    except (StepFailed, CreditLedgerError) as error:
        stage.say(f"error: {error}")
    finally:
        if not keep:
            _stop(stage.net)
    if keep:
        stage.say(f"the network runs on: export CREDITLEDGER_NET={stage.net}")
    sys.exit(0 if is_equal else 1)


def _clear(net: Path) -> None:
    """Remove an earlier run's folder; another one is not touched."""
    if not net.exists() or not any(net.iterdir()):
        return
    if not (net / FILE_NAME).exists():
        raise StepFailed(f"{net} is not empty and no earlier run: name another with --dir")
    _stop(net)
    shutil.rmtree(net)


def _stop(net: Path) -> None:
    if (net / FILE_NAME).exists():
        stop([entry.process for entry in load_network(net).nodes if entry.is_running])


def _play(stage: Stage, data: Path, companies: list[str], base_port: int) -> bool:
    """Run every step; return whether everything was equal."""
    with stage.part(1, f"four nodes that live on {AS_OF.isoformat()}"):
        stage.run(
            *("devnet", "up", "--dir", stage.net, "--nodes", "4"),
            *("--as-of", AS_OF.isoformat(), "--base-port", str(base_port)),
        )
        empty_bytes = _database_bytes(stage.net)
    sides = [
        _read_side("sales", data / twelve_months.SALES_FILE, "sales.toml", companies),
        _read_side("purchases", data / twelve_months.PURCHASES_FILE, "purchases.toml", companies),
    ]
    with stage.part(2, f"invoices of {len(companies)} companies as records of the tax department"):
        submitted = {side.name: _submit(stage, side, companies) for side in sides}
    full_bytes = _database_bytes(stage.net)
    with stage.part(3, "what the ledger says against what the rows say"):
        differences = [
            *_compare_counts(sides, submitted),
            *_compare_companies(stage, sides, companies, data / FEATURES_FILE),
        ]
    _show_figures(stage, submitted, full_bytes - empty_bytes)
    for sentence in differences:
        stage.say(f"DIFFERENCE {sentence}")
    stage.say("everything is equal" if not differences else f"{len(differences)} differences")
    return not differences


def _read_side(name: str, file: Path, mapping: str, companies: list[str]) -> Side:
    rows: dict[str, list[Invoice]] = {company: [] for company in companies}
    for invoice in read_invoices(file, rows.__contains__):
        rows[invoice.company].append(invoice)
    return Side(name, file, mapping, rows)


def _submit(stage: Stage, side: Side, companies: list[str]) -> Submitted:
    mapping = stage.net / side.mapping
    source = (MAPPINGS / side.mapping).read_text(encoding="utf-8")
    mapping.write_text(source.replace("E1..E20", f"E1..{companies[-1]}"), encoding="utf-8")
    arguments = ("submit", side.file, "--map", mapping, "--as", OWNER, "--complete", COMPLETE)
    progress = ("--progress-file", stage.net / f"{side.name}.progress")
    stage.say(f"$ creditledger {' '.join(str(item) for item in (*arguments, *progress))}")
    began = monotonic()
    answer: Mapping[str, Any] = stage.ask(*arguments, *progress)
    seconds = monotonic() - began
    done = Submitted(
        answer["records"] - answer["attested"],
        answer["accepted"],
        len(answer["duplicates"]),
        len(answer["conflicts"]),
        answer["seconds_ms"] / 1000,
    )
    stage.say(
        f"  {done.records:,} records: {done.accepted:,} accepted, {done.duplicates:,} duplicates, "
        f"{done.conflicts:,} conflicts; {answer['records_per_s']:,} records/s certified in "
        f"{done.seconds:.1f} s, {seconds:.1f} s with reading and checking"
    )
    return done


def _compare_counts(sides: list[Side], submitted: Mapping[str, Submitted]) -> list[str]:
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
        }
        differences += [
            f"{side.name}: the ledger counts {getattr(done, name):,} {name}, the rows {want:,}"
            for name, want in wanted.items()
            if getattr(done, name) != want
        ]
    return differences


def _compare_companies(
    stage: Stage, sides: list[Side], companies: list[str], features_file: Path
) -> list[str]:
    with features_file.open(encoding="utf-8", newline="") as file:
        published = {row["company_id"]: row for row in csv.DictReader(file)}
    table: list[list[str]] = []
    differences: list[str] = []
    for company in companies:
        code = made_up_code(company)
        sales, purchases = (side.rows[company] for side in sides)
        sold, bought = twelve_months.count_once(sales), twelve_months.count_once(purchases)
        direct = twelve_months.compute_features(sold.invoices, bought.invoices, AS_OF)
        answer = stage.ask("company", "features", code, "--schema", SCHEMA, "--as", OWNER)
        year = twelve_months.find_differences(direct, answer["facts"])
        whole = whole_period.compute_features(sales, purchases)
        period = whole_period.find_differences(whole, published[company])
        differences += [f"{company} {sentence}" for sentence in (*year, *period)]
        table.append(
            [
                company,
                code,
                f"{len(sales):,}",
                f"{len(purchases):,}",
                f"{sold.duplicates + bought.duplicates:,}",
                f"{sold.conflicts + bought.conflicts:,}",
                f"{len(direct) - len(year)}/{len(direct)}",
                f"{len(whole) - len(period)}/{len(whole)}",
            ]
        )
    headers = ["company", "code", "sales", "purchases", "duplicates", "conflicts"]
    show_table("", [*headers, "12 months equal", "whole period equal"], table)
    return differences


def _show_figures(stage: Stage, submitted: Mapping[str, Submitted], grown_bytes: int) -> None:
    records = sum(item.records for item in submitted.values())
    accepted = sum(item.accepted for item in submitted.values())
    seconds = sum(item.seconds for item in submitted.values())
    nodes = len(load_network(stage.net).nodes)
    show_facts(
        "figures",
        {
            "records": f"{records:,}, of them {accepted:,} stored",
            "rate": f"{records / seconds:,.0f} records/s certified, in {seconds:.1f} s",
            "disk": f"{grown_bytes / nodes / 2**20:,.0f} MiB a node, "
            f"{grown_bytes / nodes / max(1, accepted):,.0f} bytes a stored record",
        },
    )


def _database_bytes(net: Path) -> int:
    """Return the bytes of all nodes' databases; a file that goes meanwhile counts for nothing."""
    total = 0
    for entry in load_network(net).nodes:
        for path in (Path(entry.home) / "db").iterdir():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
    return total


if __name__ == "__main__":
    main()
