"""`creditledger member propose`: one form for each change of the membership.

Every form signs a proposal and waits for its certified result, which says the proposal's number and
how many approvals it has and needs. Nothing changes before a quorum of the validators' members has
approved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from commands.frame import Group
from commands.proposing import (
    NewKey,
    key_options,
    proposal_options,
    read_certificate,
    send_proposal,
)
from commands.session import Session
from ledger.errors import Code, LocalError
from ledger.membership.possession import KeyRole

_PATH = click.Path(path_type=Path)

# Chain id → the change's fields beside kind and member.
Fields = Callable[[bytes], Mapping[str, Any]]


@click.group("propose", cls=Group)
def command() -> None:
    """Propose a change of the membership; the validators' members approve it."""


def _propose(
    context: click.Context, kind: str, member: str, fields: Fields, **options: Any
) -> None:
    """Send a proposal and report it; `options` are those of `proposal_options`."""

    def make(session: Session) -> Mapping[str, Any]:
        return {"kind": kind, "member": member, **fields(session.client.profile.chain_id)}

    send_proposal(context, "member", make, **options)


def _nothing(_chain_id: bytes) -> Mapping[str, Any]:
    return {}


@command.command(
    "add-member",
    example="creditledger member propose add-member D30 --name 'Water Bureau' --role department "
    "--certificate keys/member.crt --key keys/member.key --as D02",
)
@click.argument("member")
@click.option("--name", required=True, help="Its name.")
@click.option("--name-zh", default="", help="Its Chinese name.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["department", "institution", "regulator", "observer"]),
    help="What it is.",
)
@click.option("--class", "supervisory_class", help="An institution's supervisory class.")
@click.option("--may", multiple=True, help="A capability: registrar, counter or abroad.")
@click.option(
    "--certificate", required=True, type=_PATH, help="Its certificate, of `keys new member`."
)
@key_options
@proposal_options
def add_member(
    context: click.Context,
    member: str,
    name: str,
    name_zh: str,
    role: str,
    supervisory_class: str | None,
    may: tuple[str, ...],
    certificate: Path,
    key: NewKey,
    **common: Any,
) -> None:
    """Propose a new MEMBER without a node, or one that was removed again, with a new key."""

    def fields(chain_id: bytes) -> Mapping[str, Any]:
        described: dict[str, Any] = {
            "name": name,
            "name_zh": name_zh,
            "role": role,
            "capabilities": tuple(may),
            "certificate": read_certificate(certificate),
        }
        if supervisory_class:
            described["supervisory_class"] = supervisory_class
        return described | key.fields(chain_id, member, KeyRole.MEMBER)

    _propose(context, "add_member", member, fields, **common)


@command.command(
    "add-observer",
    example="creditledger member propose add-observer ICBC --address icbc.example:7001 "
    "--key keys/node.key --as ICBC",
)
@click.argument("member")
@click.option("--address", required=True, help="host:port of its node.")
@key_options
@proposal_options
def add_observer(
    context: click.Context,
    member: str,
    address: str,
    key: NewKey,
    **common: Any,
) -> None:
    """Propose a node for MEMBER: it follows the chain, and does not vote until promoted."""

    def fields(chain_id: bytes) -> Mapping[str, Any]:
        return {"address": address} | key.fields(chain_id, member, KeyRole.NODE)

    _propose(context, "add_observer", member, fields, **common)


@command.command("promote", example="creditledger member propose promote ICBC --as D02")
@click.argument("member")
@proposal_options
def promote(context: click.Context, member: str, **common: Any) -> None:
    """Propose that MEMBER's node votes, as the last of the validators.

    Its node must have said `member ready` within 24 hours before the deciding approval.
    """
    _propose(context, "promote", member, _nothing, **common)


@command.command("demote", example="creditledger member propose demote D20 --as D02")
@click.argument("member")
@proposal_options
def demote(context: click.Context, member: str, **common: Any) -> None:
    """Propose that MEMBER's node follows and votes no more; four validators must stay."""
    _propose(context, "demote", member, _nothing, **common)


@command.command(
    "remove", example="creditledger member propose remove D20 --note 'key was stolen' --as D02"
)
@click.argument("member")
@proposal_options
def remove(context: click.Context, member: str, **common: Any) -> None:
    """Propose that MEMBER takes no part any more; all its keys are revoked for ever."""
    _propose(context, "remove", member, _nothing, **common)


@command.command(
    "rotate-node-key",
    example="creditledger member propose rotate-node-key D02 --key next/node.key --as D02",
)
@click.argument("member")
@key_options
@proposal_options
def rotate_node_key(
    context: click.Context,
    member: str,
    key: NewKey,
    **common: Any,
) -> None:
    """Propose a new key for the votes of MEMBER's node; a validator's counts from its height."""

    def fields(chain_id: bytes) -> Mapping[str, Any]:
        return key.fields(chain_id, member, KeyRole.NODE)

    _propose(context, "rotate_node_key", member, fields, **common)


@command.command(
    "rotate-key",
    example="creditledger member propose rotate-key D02 --certificate next/member.crt "
    "--key next/member.key --as D02",
)
@click.argument("member")
@click.option("--certificate", required=True, type=_PATH, help="The new key's certificate.")
@key_options
@proposal_options
def rotate_key(
    context: click.Context,
    member: str,
    certificate: Path,
    key: NewKey,
    **common: Any,
) -> None:
    """Propose a new key for MEMBER itself: it signs its transactions and its certificates."""

    def fields(chain_id: bytes) -> Mapping[str, Any]:
        given = key.fields(chain_id, member, KeyRole.MEMBER)
        return {"certificate": read_certificate(certificate)} | given

    _propose(context, "rotate_key", member, fields, **common)


@command.command(
    "set-address",
    example="creditledger member propose set-address D02 --address d02.example:7001 --as D02",
)
@click.argument("member")
@click.option("--address", required=True, help="host:port of its node.")
@proposal_options
def set_address(context: click.Context, member: str, address: str, **common: Any) -> None:
    """Propose another address for MEMBER's node."""
    if ":" not in address:
        raise LocalError(Code.INPUT_USAGE, f"address {address!r}, want host:port")

    def fields(_chain_id: bytes) -> Mapping[str, Any]:
        return {"address": address}

    _propose(context, "set_address", member, fields, **common)
