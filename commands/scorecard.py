"""`creditledger scorecard`: the scorecards that products decide with."""

from __future__ import annotations

from typing import Any

import click

from commands.answers import show_answer
from commands.console import say, show_json
from commands.frame import Group, json_option, reader_option
from commands.session import ask


@click.group("scorecard", cls=Group)
def command() -> None:
    """Scorecards in force; they stand in genesis."""


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
    params: dict[str, Any] = {"kind": "scorecard"}
    if scorecard is not None:
        params["ref"] = scorecard
    answer = ask(context, identity, "rules.show" if scorecard else "rules.list", **params)
    if is_source:
        say(answer["source"].decode())
    elif as_json:
        show_json(answer)
    else:
        show_answer(f"scorecard {scorecard or ''}".strip(), answer)
