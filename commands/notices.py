"""`creditledger notices`: what a member is told: objections, corrections, complaints."""

from __future__ import annotations

from typing import Any

import click

from commands.answers import show_rows
from commands.console import show_json
from commands.frame import Command, identity_option, json_option
from commands.session import open_session


@click.command("notices", cls=Command, example="creditledger notices --from-height 100 --as D02")
@click.option("--from-height", default=0, show_default=True, help="Begin at this block.")
@identity_option
@json_option
@click.pass_context
def command(context: click.Context, from_height: int, identity: str, as_json: bool) -> None:
    """Show what the caller was told, oldest first.

    A department hears of objections, a reader of corrections to what it saw, a lender of decisions
    that rest on them, a guarantee company of offers that it is asked to stand for, a regulator of
    complaints; all whom it concerns of data that was kept too long.
    """
    found: list[Any] = []
    height: int | None = from_height
    with open_session(context, identity) as session:
        while height is not None:
            answer = session.query("notices.list", from_height=height)
            found += answer["notices"]
            height = answer["next_height"]
    if as_json:
        show_json({"notices": found})
        return
    columns = ["height", "kind", "company", "schema", "objection", "application", "state"]
    # What only few notices are about has a column where there is one.
    columns += [
        name
        for name in ("consent", "access", "reader", "due_day")
        if any(name in item for item in found)
    ]
    show_rows("notices", found, columns)
