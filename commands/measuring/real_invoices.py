"""`scripts/real-invoices`: the published invoices through a network of real nodes.

Brings up four nodes that live on 2020-02-21, submits the sales and purchase invoices of the first
companies, or with --all of all 425, as the tax department's records with the command that a
department would use, and then compares what the ledger answers with what the rows say
(`commands.measuring.real_invoices_checks`): duplicates and conflicts, every twelve-month feature of
schema company/1, whole-period features, and the early warnings, whose precision and recall on the
labelled companies are shown beside the published ones. Leaves with exit code 1 on any difference.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic

import click

from analytics import twelve_months
from analytics.invoices import Invoice, read_invoices
from commands.console import show_facts
from commands.demo.stage import Stage, StepFailed
from commands.local.network_file import FILE_NAME, load_network
from commands.local.processes import stop
from commands.measuring.real_invoices_checks import (
    AS_OF,
    FEATURES_FILE,
    OWNER,
    Side,
    Submitted,
    compare_companies,
    compare_counts,
    compare_warnings,
)
from ledger.errors import CreditLedgerError
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore

ROOT = Path(__file__).parents[2]
MAPPINGS = ROOT / "genesis" / "demo" / "invoices"
COMPLETE = f"2016-10-01..{AS_OF.isoformat()}"
COMPANIES = 20
COMPANIES_MAX = 425
AT_ONCE = 50  # companies of one `submit`, which holds all its lines in memory
SUBMIT_SECONDS = 3600
DIFFERENCES_SHOWN = 50
# What a key of a node's database begins with (`ledger.storage.chain_store`, `ledger.state`).
_PARTS = {b"b": "chain", b"x": "bodies of records", b"s": "state", b"t": "its tree"}


@click.command("real-invoices")
@click.option(
    "--companies",
    default=COMPANIES,
    show_default=True,
    type=click.IntRange(1, COMPANIES_MAX),
    help="How many of the published companies, from E1 on.",
)
@click.option("--all", "is_all", is_flag=True, help=f"All {COMPANIES_MAX} companies.")
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
def main(
    companies: int, is_all: bool, data: Path, folder: Path, base_port: int, keep: bool
) -> None:
    """Submit real invoices to a real network and compare its answers with the rows."""
    stage = Stage(folder.absolute(), timeout_seconds=SUBMIT_SECONDS)
    count = COMPANIES_MAX if is_all else companies
    is_equal = False
    try:
        _clear(stage.net)
        is_equal = _play(stage, data, [f"E{number}" for number in range(1, count + 1)], base_port)
        if not keep:
            _stop(stage.net)
            _show_parts(stage)
    except (StepFailed, CreditLedgerError) as error:
        is_equal = False
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


def _play(stage: Stage, data: Path, companies: Sequence[str], base_port: int) -> bool:
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
        compared = compare_companies(stage.net, sides, companies, data / FEATURES_FILE)
        differences = [*compare_counts(sides, submitted), *compared.differences]
    with stage.part(4, "early warnings against the rows, and against who defaulted"):
        differences += compare_warnings(stage.net, compared.features, data)
    _show_figures(stage, submitted, full_bytes - empty_bytes)
    for sentence in differences[:DIFFERENCES_SHOWN]:
        stage.say(f"DIFFERENCE {sentence}")
    stage.say("everything is equal" if not differences else f"{len(differences)} differences")
    return not differences


def _read_side(name: str, file: Path, mapping: str, companies: Sequence[str]) -> Side:
    rows: dict[str, list[Invoice]] = {company: [] for company in companies}
    for invoice in read_invoices(file, rows.__contains__):
        rows[invoice.company].append(invoice)
    return Side(name, file, mapping, rows)


def _spans(companies: Sequence[str]) -> Iterator[str]:
    """Yield "E1..E50" and so on, as the mapping wants to be told which companies it takes."""
    for start in range(0, len(companies), AT_ONCE):
        chosen = companies[start : start + AT_ONCE]
        yield f"{chosen[0]}..{chosen[-1]}"


def _submit(stage: Stage, side: Side, companies: Sequence[str]) -> Submitted:
    """Submit one side, so many companies at a time; a company's rows stay together."""
    source = (MAPPINGS / side.mapping).read_text(encoding="utf-8")
    total = Submitted()
    began = monotonic()
    for span in _spans(companies):
        mapping = stage.net / f"{span}-{side.mapping}"
        mapping.write_text(source.replace("E1..E20", span), encoding="utf-8")
        arguments = ("submit", side.file, "--map", mapping, "--as", OWNER, "--complete", COMPLETE)
        progress = ("--progress-file", stage.net / f"{span}-{side.name}.progress")
        stage.say(f"$ creditledger {' '.join(str(item) for item in (*arguments, *progress))}")
        answer = stage.ask(*arguments, *progress)
        total.add(answer)
        stage.say(
            f"  {total.records:,} records so far, the last at "
            f"{answer['records_per_s']:,} records/s; {monotonic() - began:.0f} s"
        )
    stage.say(
        f"  {side.name}: {total.records:,} records: {total.accepted:,} accepted, "
        f"{total.duplicates:,} duplicates, {total.conflicts:,} conflicts; certified in "
        f"{total.seconds:.1f} s, {monotonic() - began:.1f} s with reading and checking"
    )
    return total


def _show_figures(stage: Stage, submitted: Mapping[str, Submitted], grown_bytes: int) -> None:
    records = sum(item.records for item in submitted.values())
    accepted = sum(item.accepted for item in submitted.values())
    seconds = sum(item.seconds for item in submitted.values())
    nodes = len(load_network(stage.net).nodes)
    show_facts(
        "figures",
        {
            "records": f"{records:,}, of them {accepted:,} stored",
            "duplicates": f"{sum(item.duplicates for item in submitted.values()):,}",
            "conflicts": f"{sum(item.conflicts for item in submitted.values()):,}",
            "rate": f"{records / seconds:,.0f} records/s certified, in {seconds:.1f} s",
            "disk": f"{grown_bytes / nodes / 2**20:,.0f} MiB a node, "
            f"{grown_bytes / nodes / max(1, accepted):,.0f} bytes a stored record",
            "memory": ", ".join(f"{peak:,.0f} MiB" for peak in _peaks_mib(stage.net))
            + " at most, node by node",
        },
    )


def _peaks_mib(net: Path) -> Iterator[float]:
    """Yield the most memory that each running node has had resident."""
    for entry in load_network(net).nodes:
        if entry.is_running:
            for line in Path(f"/proc/{entry.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    yield int(line.split()[1]) / 1024


def _show_parts(stage: Stage) -> None:
    """Show what one node's database holds, key and value bytes before compression."""
    entry = load_network(stage.net).nodes[0]
    store = LevelStore(HomeLayout(Path(entry.home)).database, create=False)
    shown = {}
    try:
        for prefix, name in _PARTS.items():
            sizes = [len(key) + len(value) for key, value in store.scan(prefix, _after(prefix))]
            shown[name] = f"{len(sizes):,} entries, {sum(sizes) / 2**20:,.1f} MiB"
    finally:
        store.close()
    show_facts(f"database of {entry.member}, before compression", shown)


def _after(prefix: bytes) -> bytes:
    """Return the first key after all that begin with a one-byte prefix."""
    return bytes([prefix[0] + 1])


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
