"""`creditledger member`: who takes part in the network."""

from __future__ import annotations

import click

from commands.answers import show_rows
from commands.console import show_json
from commands.frame import Group, json_option, reader_option
from commands.member_join import join, rejoin
from commands.session import ask


@click.group("member", cls=Group)
def command() -> None:
    """Members: departments, institutions, regulators, observers."""


command.add_command(join)
command.add_command(rejoin)


@command.command("list", example="creditledger member list --json")
@reader_option
@json_option
@click.pass_context
def show_list(context: click.Context, identity: str | None, as_json: bool) -> None:
    """List the members with their roles, capabilities and nodes."""
    answer = ask(context, identity, "members.list")
    if as_json:
        show_json(answer)
    else:
        show_rows("", answer, ("id", "role", "node", "validator", "capabilities", "name"))
