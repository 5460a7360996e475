"""`creditledger scorecard trials`: the same fit on three public data sets, to see that it holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import click

from commands.console import progress, say, show_json, show_table
from commands.frame import Command, json_option
from commands.scorecards.files import find_schema, need_analytics
from ledger.errors import Code, LocalError

Tried: TypeAlias = tuple[str, Any]  # the data and the analytics.scorecard.validation.Validation
_PATH = click.Path(path_type=Path)
_INVOICE_REPEATS = 20  # 82 companies are few: more repeats, and they cost little


@click.command("trials", cls=Command, example="creditledger scorecard trials ../shared/data")
@click.argument("folder", type=_PATH)
@click.option(
    "--repeats", default=1, show_default=True, type=click.IntRange(1, 20), help="Of 5 folds."
)
@json_option
def trials(folder: Path, repeats: int, as_json: bool) -> None:
    """Fit the public data sets of FOLDER and print AUC and KS out of fold.

    The invoices of small Chinese companies (20 repeats), Polish bankruptcies and US small-business
    loans, these with and without the agreed term; the settings are the same for all. Takes a minute
    or two. Needs the extra: pip install 'creditledger[analytics]'.
    """
    need_analytics()
    if not folder.is_dir():
        raise LocalError(Code.INPUT_FILE, f"no folder {folder}")
    answers = [_try_invoices(folder), *_try_cases(folder, repeats)]
    if as_json:
        show_json([{"name": name, **asdict(found)} for name, found in answers])
        return
    rows = [
        [
            name,
            f"{found.good + found.bad:,}",
            f"{found.bad:,}",
            str(found.auc),
            str(found.ks),
            f"{found.repeats} x {found.folds}",
        ]
        for name, found in answers
    ]
    headers = ["data", "companies", "failed", "AUC out of fold", "KS out of fold", "folds"]
    show_table("", headers, rows)
    say("the interval is a bootstrap over companies; ± is the spread over repeats")


def _try_invoices(folder: Path) -> Tried:
    from analytics.scorecard.design import INVOICES, read_design
    from analytics.scorecard.invoice_facts import read_invoice_facts

    design = read_design(INVOICES)
    schema = find_schema(design.schema, None)
    table = read_invoice_facts(folder, schema).labelled()
    return _validate("invoices", table, schema, design, _INVOICE_REPEATS)


def _try_cases(folder: Path, repeats: int) -> list[Tried]:
    from analytics.scorecard.design import design_table
    from analytics.scorecard.public_cases import read_cases
    from analytics.scorecard.table import make_schema
    from ledger.rules.schema import load_schema

    return [
        _validate(
            case.name,
            case.table,
            load_schema(make_schema(case.table).encode(), {}),
            design_table(case.table),
            repeats,
        )
        for case in read_cases(folder)
    ]


def _validate(name: str, table: Any, schema: Any, design: Any, repeats: int) -> Tried:
    from analytics.scorecard.fitting import Plan, fit_scorecard
    from analytics.scorecard.settings import Settings

    plan = Plan(Settings(), repeats=repeats)
    with progress(name, plan.fits(len(table.ids)), "fits") as bar:
        return name, fit_scorecard(table, schema, design, plan, bar.advance).validation
