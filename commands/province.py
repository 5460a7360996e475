"""`creditledger province`: a synthetic province, and how far it is off the real data."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from commands.console import progress, say, show_facts, show_json, show_table
from commands.frame import Group, json_option
from ledger.errors import Code, LocalError

_EPOCH = date(1970, 1, 1)
_MOST = 60_000_000
_MEGABYTE = 1_000_000
_RATIOS = ("precision", "recall", "lift")
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group("province", cls=Group)
def command() -> None:
    """A synthetic province: companies and their facts, made up after real data."""


@command.command(
    "make",
    example="creditledger province make --companies 1000000 --seed 1 --out province",
)
@click.option(
    "--companies", type=click.IntRange(1, _MOST), default=10_000, help="How many (default: 10,000)."
)
@click.option("--seed", type=int, default=1, help="Everything follows from it (default: 1).")
@click.option(
    "--as-of", type=_DAY, default="2020-01-10", help="Day of the facts (default: 2020-01-10)."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write, made if need be.",
)
@json_option
def make(companies: int, seed: int, as_of: datetime, out: Path, as_json: bool) -> None:
    """Write the facts of synthetic companies as Parquet, with a column for each fact.

    OUT gets facts-000.parquet and on, of about a million companies each, and labels-000.parquet and
    on: whether each fails within a year. The same seed gives the same companies, however many.
    Needs the extra: pip install 'creditledger[analytics]'.
    """
    need_analytics()
    from analytics.province.facts import Province
    from analytics.province.parquet import write_province

    province = Province(seed, as_of=(as_of.date() - _EPOCH).days)
    with progress("making", companies, "companies") as bar:
        files = write_province(province, companies, out, lambda done: bar.advance(done - bar.done))
        seconds = bar.seconds
    size = sum(path.stat().st_size for path in out.glob("*.parquet"))
    answer = {
        "companies": companies,
        "columns": len(province.features),
        "schema": province.schema.ref,
        "seed": seed,
        "files": [str(path) for path in files],
        "bytes": size,
        "seconds": round(seconds, 1),
    }
    if as_json:
        show_json(answer)
        return
    say(
        f"{companies:,} companies x {len(province.features)} facts of {province.schema.ref} in "
        f"{seconds:.1f} s: {len(files)} file(s), {size / _MEGABYTE:,.1f} MB in {out}"
    )


@command.command(
    "check", example="creditledger province check --companies 20000 --data ../shared/data"
)
@click.option(
    "--companies", type=click.IntRange(1000, 200_000), default=20_000, help="How many to look at."
)
@click.option("--seed", type=int, default=1, help="Of which province (default: 1).")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the published invoices: measure them anew rather than trust the constants.",
)
@json_option
def check(companies: int, seed: int, data: Path | None, as_json: bool) -> None:
    """Set a province beside the data it was made after, and look for who fails.

    Quantiles and rank correlations beside those of the published invoices; how the shipped
    scorecards and early warnings tell the companies that fail from the others. Needs the extra: pip
    install 'creditledger[analytics]'.
    """
    need_analytics()
    from analytics.province.facts import Province
    from analytics.province.report import make_report

    report = make_report(Province(seed), companies, data)
    if as_json:
        show_json(report)
    else:
        _show(report)


def need_analytics() -> None:
    """Raise `LocalError` 8004 where the extra of analysis is not installed."""
    for name in ("numpy", "pyarrow"):
        if importlib.util.find_spec(name) is None:
            message = f"{name} is not installed: pip install 'creditledger[analytics]'"
            raise LocalError(Code.INPUT_USAGE, message)


def _show(report: Mapping[str, Any]) -> None:
    shown = [f"{100 * share:.0f} %" for share in report["shown"]]
    rows = []
    for name, found in report["measures"].items():
        rows.append([name, "data", *map(_short, found["data"]), ""])
        rows.append(["", "province", *map(_short, found["province"]), f"{found['distance']:.3f}"])
    show_table("quantiles", ["measure", "of", *shown, "distance"], rows)
    if report["constants_off"] is not None:
        say(f"the constants are at most {report['constants_off']:.1%} off the data as it is there")
    say()
    pairs = [[pair, f"{real:.2f}", f"{ours:.2f}"] for pair, (real, ours) in report["ranks"].items()]
    show_table("rank correlations", ["of", "data", "province"], pairs)
    say()
    medians = [[name, *map(_short, values)] for name, values in report["medians"].items()]
    headers = ["measure", "paid", "defaulted", "sound here", "failing here"]
    show_table("medians", headers, medians)
    say()
    show_facts("", {"failing within a year": f"{report['failing']:.2%} of {report['companies']:,}"})
    say()
    scores = [[ref, f"{auc:.3f}", f"{ks:.3f}"] for ref, (auc, ks) in report["scores"].items()]
    show_table("scorecards", ["scorecard", "AUC", "KS"], scores)
    say()
    alerts = [
        [
            name,
            str(found["warned"]),
            *(_ratio(found[key]) for key in ("precision", "recall", "lift")),
        ]
        for name, found in report["alerts"].items()
    ]
    show_table("early warnings", ["rule", "warned", "precision", "recall", "lift"], alerts)
    if report["not_measured"]:
        say(
            f"not measured, for the province has no such facts: {', '.join(report['not_measured'])}"
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
