"""`./scripts/bench`: start four nodes, measure them, print a table and write JSON."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from commands.local import local_network
from commands.local.network_file import LocalNetwork
from commands.local.processes import stop
from commands.measuring.benchmark_faults import measure_faults, show_faults
from commands.measuring.benchmark_steps import Steps, measure_steps
from commands.session import CLIENTS
from network.benchmark.phases import Figures, Latency, Throughput, run_benchmark
from network.profile import Profile

SENDER = "D02"
DEFAULT_PORT = 7601


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="How long each load lasts.")
@click.option("--nodes", default=4, show_default=True, help="How many node processes (4 to 7).")
@click.option("--seed", default=1, show_default=True, help="Of the made-up load.")
@click.option("--steps", is_flag=True, help="Only: what one transaction costs, step by step.")
@click.option("--faults", is_flag=True, help="Only: with f members down, then lying, and a flood.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Where JSON goes.")
def main(
    seconds: float, nodes: int, seed: int, steps: bool, faults: bool, json_file: Path | None
) -> None:
    """Measure a network of real processes on this machine, every vote and block synced.

    Example: ./scripts/bench --seconds 30 --json bench.json
    """
    console = Console()
    if steps:
        _print_steps(console, measure_steps(seed))
        return
    if faults:
        measured = measure_faults(
            nodes, seconds, seed, lambda text: console.print(text, style="dim")
        )
        show_faults(measured)
        _write(console, json_file, measured)
        return
    with tempfile.TemporaryDirectory(prefix="creditledger-bench-") as folder:
        network = local_network.make(
            Path(folder) / "net",
            consortium=local_network.DEMO_CONSORTIUM,
            nodes=nodes,
            seed=seed,
            as_of=None,
            base_port=DEFAULT_PORT,
        )
        network = local_network.start(network, [entry.member for entry in network.nodes])
        try:
            figures = run_benchmark(
                Profile.load(network.folder / CLIENTS / SENDER),
                {entry.member: entry.pid for entry in network.nodes},
                seconds,
                seed,
                lambda text: console.print(f"[dim]{text} …[/dim]"),
            )
            disk = home_bytes(network)
        finally:
            stop([entry.process for entry in network.nodes])
    rows = _rows(figures, disk)
    _print(console, rows)
    _write(console, json_file, _value(figures, disk))


def _write(console: Console, json_file: Path | None, value: dict[str, Any]) -> None:
    target = json_file or Path(f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json")
    target.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    console.print(f"written to {target}")


def home_bytes(network: LocalNetwork) -> int:
    """Return the bytes on disk of the first node's home."""
    home = Path(network.nodes[0].home)
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def _rows(figures: Figures, disk: int) -> list[tuple[str, str]]:
    checks, nodes = figures.verifications, figures.nodes
    rows = [
        ("machine", f"{os.cpu_count()} cores, Python {platform.python_version()}, {nodes} nodes"),
        ("Ed25519 verifications/s, one core", _libraries(checks.libsodium, checks.openssl)),
    ]
    rows += _latency_rows("light load", figures.light)
    if figures.singles is not None:
        rows += _throughput_rows("one tax payment each", figures.singles, is_batch=False)
        rate = figures.singles.transactions_per_s
        sodium = checks.ceiling(nodes, library="libsodium")
        openssl = checks.ceiling(nodes, library="openssl")
        rows.append(
            (
                "share of the ceiling (cores × verifications ÷ nodes)",
                f"{rate / sodium:.0%} of libsodium's {sodium:,.0f}/s, "
                f"{rate / openssl:.0%} of OpenSSL's {openssl:,.0f}/s",
            )
        )
    rows += _latency_rows(f"70 % load, {figures.loaded_rate:,.0f}/s", figures.loaded)
    if figures.payments is not None:
        rows += _throughput_rows("tax payments, 1,000 of 20 companies each", figures.payments, True)
    if figures.invoices is not None:
        rows += _throughput_rows(
            "invoice lines, 1,000 of 20 companies each", figures.invoices, True
        )
    peaks = ", ".join(f"{name} {peak:.0f}" for name, (_, peak) in figures.memory.items())
    rows.append(("peak memory of a node, MiB", peaks))
    rows.append(("disk of a home, MiB", f"{disk / 2**20:,.0f}"))
    rows.append(("view changes", str(figures.view_changes)))
    return rows


def _libraries(sodium: float, openssl: float) -> str:
    return f"libsodium {sodium:,.0f}, OpenSSL {openssl:,.0f}"


def _latency_rows(what: str, latency: Latency | None) -> list[tuple[str, str]]:
    if latency is None:
        return []
    text = f"p50 {latency.p50_ms:.1f} ms, p95 {latency.p95_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms"
    return [(f"submit to verified receipt, {what}", f"{text} ({latency.count} samples)")]


def _throughput_rows(what: str, rates: Throughput, is_batch: bool) -> list[tuple[str, str]]:
    unit = "records/s" if is_batch else "transactions/s"
    rate = rates.records_per_s if is_batch else rates.transactions_per_s
    return [
        (
            f"{unit}, {what}",
            f"{rate:,.0f} sustained {rates.seconds:.0f} s "
            f"(generator {rates.generator_cpu_s:.1f} s of processor, "
            f"{rates.busy_answers} answers BUSY)",
        ),
        (
            "processor time of a node for each transaction",
            f"{rates.node_us_per_transaction:,.0f} µs",
        ),
    ]


def _print(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    table = Table(title=f"creditledger benchmark, load signed by {SENDER}", title_justify="left")
    table.add_column("what")
    table.add_column("figure")
    for what, figure in rows:
        table.add_row(what, figure)
    console.print(table)


def _print_steps(console: Console, measured: Mapping[str, Steps]) -> None:
    table = Table(title="one core, microseconds of processor time a transaction, median of blocks")
    table.add_column("step")
    for name in measured:
        table.add_column(name, justify="right")
    for step in ("decode_us", "signature_us", "attachments_us", "execute_us", "write_us"):
        values = [f"{getattr(item, step):,.1f}" for item in measured.values()]
        table.add_row(step.removesuffix("_us"), *values)
    console.print(table)


def _value(figures: Figures, disk: int) -> dict[str, Any]:
    value = asdict(figures)
    nodes = figures.nodes
    value["ceiling_libsodium_per_s"] = figures.verifications.ceiling(nodes, library="libsodium")
    value["ceiling_openssl_per_s"] = figures.verifications.ceiling(nodes, library="openssl")
    value["disk_bytes"] = disk
    value["cores"] = os.cpu_count()
    value["python"] = platform.python_version()
    return value


if __name__ == "__main__":
    main()
