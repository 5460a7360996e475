"""`creditledger scorecard fit`: a scorecard from data, with the figures of its validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from commands.console import progress, say, show_facts, show_json, show_table
from commands.files import replace
from commands.frame import Command, json_option
from commands.scorecards.files import find_schema, need_analytics, read_data
from ledger.errors import Code, LocalError

_PATH = click.Path(path_type=Path)
_DAY = click.DateTime(["%Y-%m-%d"])


def data_options(function: Any) -> Any:
    """Add what says how DATA is to be read."""
    options = (
        click.option("--schema", type=_PATH, help="Schema of DATA's columns (TOML)."),
        click.option("--target", default="", help="Column that says who failed (of a file)."),
        click.option("--bad", default="1", show_default=True, help="Its value for a failed one."),
        click.option("--id-column", default="", help="Column with the companies' names."),
        click.option("--drop", default="", help="Columns to leave out, with commas between."),
        click.option("--keep", default="", help="Columns to use although named as a grade."),
        click.option("--as-of", type=_DAY, help="Day of the invoices' windows (of a folder)."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def table_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `read_table` from those of a command."""
    dropped, kept = (
        tuple(name.strip() for name in values[which].split(",") if name.strip())
        for which in ("drop", "keep")
    )
    return {
        "target": values["target"],
        "bad": values["bad"],
        "id_column": values["id_column"],
        "drop": dropped,
        "keep": kept,
    }


def day_of(values: Mapping[str, Any]) -> date | None:
    """Return the day of --as-of."""
    return None if values["as_of"] is None else values["as_of"].date()


@click.command(
    "fit",
    cls=Command,
    example="creditledger scorecard fit ratios.csv --target bankrupt --out ratios-1.toml",
)
@click.argument("data", type=_PATH)
@data_options
@click.option("--design", type=_PATH, help="Inputs and their trends (TOML); default: every column.")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2, 20), help="Folds.")
@click.option(
    "--repeats",
    type=click.IntRange(1, 200),
    help="Of the folds; default: 20 for up to 1,000 companies, 1 for 20,000 and more.",
)
@click.option(
    "--forward", default=0, type=click.IntRange(0, 16), help="Choose so many inputs by themselves."
)
@click.option("--bands", default=16, show_default=True, help="Bands of an input before merging.")
@click.option("--ridge", default=2.0, show_default=True, help="How strongly steps are held back.")
@click.option("--inputs-max", default=16, show_default=True, help="Characteristics at most.")
@click.option(
    "--permuted", default=0, type=click.IntRange(0, 200), help="Runs with labels at random, too."
)
@click.option("--out", type=_PATH, help="File to write; its report is written beside it.")
@json_option
def fit(data: Path, as_json: bool, out: Path | None, **values: Any) -> None:
    """Fit a scorecard to DATA: a CSV or Parquet file, or the folder of the published invoices.

    Bands are cut at quantiles, points rise or fall one way, missing data have points of their own;
    what is written is a smartrule/1 document of whole numbers. AUC and KS come from repeated
    cross-validation in which everything that was learnt is learnt again in each fold. Columns that
    were left out, companies named twice and inputs that know the outcome are told. Register the
    file by vote: rule propose-scorecard. Needs the extra: pip install 'creditledger[analytics]'.
    """
    need_analytics()
    from analytics.scorecard.fitting import Plan, fit_scorecard
    from analytics.scorecard.settings import Settings

    settings = Settings(
        bands=values["bands"], ridge=values["ridge"], inputs_max=values["inputs_max"]
    )
    table, design, schema, source = _prepare(data, values)
    written = None if out is None or source is None else _schema_file(out, schema.ref, source)
    plan = Plan(settings, values["folds"], values["repeats"], values["forward"], values["permuted"])
    with progress("fits", plan.fits(len(table.ids)), "fits") as bar:
        fitted = fit_scorecard(table, schema, design, plan, bar.advance)
    if out is not None:
        replace(out, fitted.source.encode())
        report = json.dumps(fitted.report, indent=1, sort_keys=True) + "\n"
        replace(out.with_suffix(".report.json"), report.encode())
        if written is not None and source is not None:
            replace(written, source.encode())
    if as_json:
        show_json(fitted.report | {"source": fitted.source})
    else:
        _show(fitted, out)


def _schema_file(out: Path, ref: str, source: str) -> Path:
    """Return where the schema goes; refuse a place where another one stands."""
    path = out.parent / f"{ref.replace('/', '-')}.toml"
    if path.exists() and path.read_bytes() != source.encode():
        message = f"{path} is the schema of other columns, which scorecards beside it need"
        raise LocalError(Code.INPUT_FILE, f"{message}: choose another folder for --out")
    return path


def _prepare(data: Path, values: Mapping[str, Any]) -> tuple[Any, Any, Any, str | None]:
    """Return the labelled table, the design, the schema and its source where it was made here."""
    from analytics.scorecard.design import INVOICES, design_table, read_design
    from analytics.scorecard.table import make_schema
    from ledger.rules.schema import load_schema

    is_folder = data.is_dir()
    if not is_folder and not values["target"]:
        raise LocalError(Code.INPUT_USAGE, "name the column that says who failed: --target COLUMN")
    path = values["design"] or (INVOICES if is_folder else None)
    if path is None:
        table = read_data(data, None, None, table_options(values)).labelled()
        source = make_schema(table)
        return table, design_table(table), load_schema(source.encode(), {}), source
    design = read_design(path)
    schema = find_schema(design.schema, values["schema"], path)
    table = read_data(data, schema, day_of(values), table_options(values)).labelled()
    return table, design, schema, None


def _show(fitted: Any, out: Path | None) -> None:
    found = fitted.validation
    facts = {
        "scorecard": fitted.scorecard.ref,
        "companies": f"{found.good + found.bad:,}, of which {found.bad:,} failed",
        "AUC": str(found.auc),
        "KS": str(found.ks),
        "AUC of single folds": f"{found.fold_auc:.3f}",
        "validated by": f"{found.repeats} x {found.folds}-fold, stratified",
        "on all of them": f"AUC {fitted.own_auc:.3f}, KS {fitted.own_ks:.3f} (not out of fold)",
    }
    if fitted.permuted is not None:
        facts["labels at random"] = f"AUC {fitted.permuted:.3f} (0.5 where nothing leaks)"
    show_facts("", facts)
    rows = [
        [
            item["id"],
            f"{item['information_value']:.3f}",
            str(len(item["bands"]) - 1),
            f"{max(band['points'] for band in item['bands'])}",
            str(item["bands"][-1]["points"]),
        ]
        for item in fitted.report["characteristics"]
    ]
    say("")
    headers = ["characteristic", "information", "bands", "points at most", "missing"]
    show_table("", headers, rows)
    for note in fitted.notes:
        say(f"look again: {note}")
    if out is None:
        say("")
        say("nothing was written; name a file with --out")
    else:
        say(f"written to {out}, its report beside it")
