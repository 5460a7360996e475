"""`creditledger member protocol`: which rules of execution are in force, and the vote on the next.

A release that changes what a transaction does brings a number (docs/adr/0018). When all nodes run
it, each validator's member approves the number; the chain itself then says from which block it
holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from commands.console import show_facts, show_json
from commands.frame import Group, identity_option, json_option, reader_option
from commands.session import any_identity, net_of, open_session, report
from ledger.errors import Code, LocalError


@click.group("protocol", cls=Group)
def command() -> None:
    """The rules of execution by their number: what is in force, and the vote on the next."""


@command.command("show", example="creditledger member protocol show")
@reader_option
@json_option
@click.pass_context
def show(context: click.Context, identity: str | None, as_json: bool) -> None:
    """Show the number in force, what the answering node's release knows, and who approved more."""
    with open_session(context, identity or any_identity(net_of(context))) as session:
        answer = session.query("protocol.show")
    if as_json:
        show_json(answer)
    else:
        show_facts("", _facts(answer))


def _facts(answer: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "in force": f"protocol {answer['number']}",
        "release": f"knows up to protocol {answer['known']}",
    }
    if answer["active_from"] is not None:
        facts["decided"] = f"protocol {answer['next']}, from block {answer['active_from']}"
        return facts
    facts["next"] = f"protocol {answer['next']}, {answer['needed']} approvals decide"
    facts["approved by"] = ", ".join(answer["approved"]) or "nobody yet"
    facts["not by"] = ", ".join(answer["missing"]) or "-"
    return facts


@command.command("approve", example="creditledger member protocol approve 2 --as D02")
@click.argument("number", type=click.IntRange(min=2))
@identity_option
@json_option
@click.pass_context
def approve(context: click.Context, number: int, identity: str, as_json: bool) -> None:
    """Say that your node runs a release that knows protocol NUMBER, the next one.

    The approval that makes a quorum sets the block from which it holds. A node whose release does
    not know the number stops before that block, so install the release everywhere first. Refused
    here when the node that answers, the own one first, does not know it.
    """
    with open_session(context, identity) as session:
        known = session.query("protocol.show")["known"]
        if number > known:
            raise LocalError(
                Code.PROTOCOL_UNKNOWN,
                f"the node knows protocols up to {known}, not {number}: install the release first",
            )
        outcome = session.send("protocol.approve", {"number": number})
    report(outcome, as_json, _decision(outcome.data) if outcome.code == Code.OK else "")


def _decision(data: Mapping[str, Any]) -> str:
    if data["active_from"] is not None:
        return f"protocol {data['number']} is decided: in force from block {data['active_from']}"
    return f"protocol {data['number']}: {data['approvals']} of {data['needed']} approvals"
