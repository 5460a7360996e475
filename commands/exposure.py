"""`creditledger exposure`: what a borrower owes, and what a lender has lent."""

from __future__ import annotations

import click

from commands.answers import show_answer
from commands.console import show_json
from commands.frame import Group, identity_option, json_option
from commands.session import ask


@click.group("exposure", cls=Group)
def command() -> None:
    """Exposure on ledgered loans."""


@command.command("show", example="creditledger exposure show 91441300MA4DEMO01X --as D18")
@click.argument("subject")
@identity_option
@json_option
@click.pass_context
def show(context: click.Context, subject: str, identity: str, as_json: bool) -> None:
    """Show the exposure of SUBJECT, a company's code or a lender's id, as far as one may see it."""
    noun = "company" if len(subject) == 18 else "lender"
    answer = ask(context, identity, "exposure.show", **{noun: subject})
    if as_json:
        show_json(answer)
    else:
        show_answer(f"exposure of {subject}", answer)
