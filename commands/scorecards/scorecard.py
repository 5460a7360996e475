"""`creditledger scorecard`: the scorecards that products decide with."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import click

from commands.answers import show_rows
from commands.console import say, show_facts, show_json, show_table
from commands.frame import Group, json_option, reader_option
from commands.scorecards.check import check, explain
from commands.scorecards.fit import fit
from commands.scorecards.score import score
from commands.scorecards.trials import trials
from commands.session import ask


@click.group("scorecard", cls=Group)
def command() -> None:
    """Scorecards: those in force, and how one is fitted, checked and explained offline."""


for _command in (fit, check, score, explain, trials):
    command.add_command(_command)


@command.command("show", example="creditledger scorecard show SME-RISK/1")
@click.argument("scorecard", required=False)
@click.option("--source", "is_source", is_flag=True, help="Print the source alone.")
@reader_option
@json_option
@click.pass_context
def show(
    context: click.Context,
    scorecard: str | None,
    is_source: bool,
    identity: str | None,
    as_json: bool,
) -> None:
    """Show SCORECARD (ID/VERSION) with its characteristics and points, or name those in force."""
    if scorecard is None:
        answer = ask(context, identity, "rules.list", kind="scorecard")
        if as_json:
            show_json(answer)
        else:
            show_rows("", answer, ("ref", "owner", "height"))
        return
    source = ask(context, identity, "rules.show", kind="scorecard", ref=scorecard)[
        "source"
    ].decode()
    if is_source:
        say(source)
    elif as_json:
        show_json(tomllib.loads(source))
    else:
        _show(tomllib.loads(source))


def _show(card: Mapping[str, Any]) -> None:
    plain = {name: value for name, value in card.items() if not isinstance(value, list | dict)}
    show_facts("", {name: str(value) for name, value in plain.items()})
    rows = []
    for part in card.get("characteristic", ()):
        points = part.get("bands") or part.get("table") or ()
        pairs = points.items() if isinstance(points, Mapping) else points
        shown = ", ".join(f"{bound}: {value}" for bound, value in pairs)
        rows.append(
            [part["id"], part["input"], shown, f"{part.get('missing', '')}", part["reason"]]
        )
    show_table("", ["characteristic", "input", "from: points", "missing", "reason"], rows)
