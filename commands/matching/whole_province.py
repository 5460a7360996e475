"""`creditledger match --all`: every company of a snapshot against every product in force.

The options and what is printed; the work is in `analytics.matching`, which is imported only when it
is asked for, because it needs the libraries of the extra `analytics`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from commands.console import progress, say, show_json, show_table
from commands.frame import Exit, fail
from commands.values import amount
from ledger.errors import Code, LocalError

F = TypeVar("F", bound=Callable[..., Any])
_EPOCH = date(1970, 1, 1)
_MEGABYTE = 2**20


def all_options(function: F) -> F:
    """Add `--all` and what belongs to it, passed on as keywords to `match_all`."""
    options = (
        click.option(
            "--all",
            "is_all",
            is_flag=True,
            help="Match every company of the snapshot --facts (a Parquet file, or a folder of "
            "facts*.parquet) and write the answers to --out.",
        ),
        click.option("--out", type=click.Path(path_type=Path), help="With --all: a new folder."),
        click.option(
            "--sample",
            type=click.IntRange(0),
            default=0,
            help="With --all: decide so many companies again as a node does, and compare.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(1, 64),
            default=os.cpu_count() or 1,
            help="With --all: cores to use (default: all).",
        ),
        click.option(
            "--memory",
            "memory_mb",
            type=click.IntRange(512),
            default=2048,
            help="With --all: megabytes a thread may use before it spills.",
        ),
        click.option(
            "--spill", type=click.Path(path_type=Path), help="With --all: where it may spill."
        ),
        click.option("--spark", is_flag=True, help="With --all: run on Spark (extra `spark`)."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def match_all(
    facts: Path | None,
    rules: Path | None,
    wish: Mapping[str, int],
    products: Sequence[str],
    top: int,
    as_json: bool,
    out: Path | None,
    sample: int,
    threads: int,
    memory_mb: int,
    spill: Path | None,
    spark: bool,
) -> None:
    """Match a snapshot, or go on with it where it was interrupted, and print what it comes to."""
    if facts is None or rules is None or out is None:
        raise LocalError(
            Code.INPUT_USAGE, "--all needs --facts SNAPSHOT, --rules DIR_OR_HOME and --out DIR"
        )
    try:
        from analytics.matching import sample as sampling
        from analytics.matching.bulk import prepare
        from analytics.matching.run import Options, write_text
        from analytics.matching.run import match_all as answer
        from analytics.matching.summary import summarise

        if spark:
            answer = import_module("analytics.matching.spark").match_all_on_spark
    except ImportError as error:
        raise LocalError(Code.INPUT_USAGE, _extra_for(error)) from None
    prepared = prepare(facts, rules, wish, products)
    plan = prepared.plan
    options = Options(prepared.files, out, threads, memory_mb, spill)
    if not as_json:
        _show_question(prepared.as_of, plan, prepared.absent)
    with progress("matching", prepared.rows, "companies") as bar:
        counts = answer(plan, options, bar.advance)
        seconds = bar.seconds
    summary = summarise(plan, counts)
    if sample:
        with progress("deciding again", min(sample, prepared.rows), "companies") as bar:
            check = sampling.check_sample(plan, options, sample, bar.advance)
        summary["sample"] = {
            "companies": check.companies,
            "answers": check.answers,
            "difference": check.difference,
        }
    write_text(out / "summary.json", json.dumps(summary, indent=1))
    written = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    figures = {"seconds": round(seconds, 1), "megabytes": round(written / _MEGABYTE, 1)}
    if as_json:
        show_json(summary | figures)
    else:
        _show(summary, figures, top)
    if summary.get("sample", {}).get("difference"):
        fail(Exit.REFUSED)


def _extra_for(error: ImportError) -> str:
    extra = "spark" if (error.name or "").startswith(("pyspark", "py4j")) else "analytics"
    return f"{error.name} is not installed: pip install 'creditledger[{extra}]'"


def _show_question(as_of: int, plan: Any, absent: Sequence[str]) -> None:
    day = _EPOCH + timedelta(days=as_of)
    say(f"{len(plan.offers)} products, {len(plan.conditions)} conditions, facts of {day}")
    asked = dict(plan.constants)
    if "ap.amount" in asked:
        say(f"asked for: CNY {amount(asked['ap.amount'])} for {asked.get('ap.term')} days")
    if absent:
        say(f"missing for every company, for the snapshot has no column: {', '.join(absent)}")
    if plan.opaque:
        say(f"{len(plan.opaque)} rules have no SQL: a node's evaluator computes them")


def _show(summary: Mapping[str, Any], figures: Mapping[str, float], top: int) -> None:
    companies = summary["companies"]
    say(
        f"{companies:,} companies in {figures['seconds']:,} s: {summary['grants']:,} grants; "
        f"{summary['companies_granted']:,} companies have one, the median company "
        f"{summary['median_grants']}"
    )
    say("")
    rows = [_row(item, companies) for item in summary["products"][:top]]
    headers = ["product", "lender", "granted", "declined", "referred", "most often", "missing"]
    show_table("", headers, rows)
    left = len(summary["products"]) - len(rows)
    say(f"and {left} more in summary.json" if left > 0 else "")
    say(f"answers: {figures['megabytes']:,} MB of Parquet; plan.json says what the columns mean")
    check = summary.get("sample")
    if check and not check["difference"]:
        say(f"equal: {check['companies']:,} companies decided again, {check['answers']:,} answers")
    elif check:
        say(f"DIFFERENT from a node's evaluator: {check['difference']}")


def _row(item: Mapping[str, Any], companies: int) -> list[str]:
    reason = item["reasons"][0] if item["reasons"] else None
    why = f"{reason['reason']} {reason['condition']}" if reason else "-"
    shares = [_share(item[key], companies) for key in ("granted", "declined", "referred")]
    return [item["product"], item["lender"], *shares, why, next(iter(item["missing"]), "-")]


def _share(count: int, companies: int) -> str:
    """Return a share such as "12.34%", by whole numbers."""
    hundredths = count * 10_000 // companies if companies else 0
    return f"{hundredths // 100}.{hundredths % 100:02}%"
