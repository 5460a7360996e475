"""`creditledger member`: who takes part in the network, and how that is changed.

`list` shows everything at once: the members, which epoch it is, the change that is decided and not
yet active, and the proposals with who has approved them. `propose` (commands/members/propose.py)
has a form for each change; `approve`, `withdraw` and `ready` do the rest. `protocol`
(commands/members/protocol.py) is about the rules of execution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.answers import show_rows
from commands.audits.trust import follow_chain
from commands.console import say, show_facts, show_json, show_table
from commands.files import replace
from commands.frame import Group, identity_option, json_option, reader_option
from commands.members import propose as member_propose
from commands.members import protocol as member_protocol
from commands.members.join import join, rejoin
from commands.proposing import describe_change, find_proposal, read_key, withdraw_proposal
from commands.session import (
    Session,
    any_identity,
    net_of,
    open_session,
    profile_folder,
    report,
    trusted_genesis,
)
from commands.values import moment, now_ms
from ledger.chain.epochs import encode_changes
from ledger.errors import Code, LocalError
from ledger.membership.members import Member
from ledger.membership.possession import KeyRole, prove_possession
from ledger.membership.queries import PROVEN_MAX
from network.profile import ANCHORS_FILE, save_anchors

if TYPE_CHECKING:
    from network.methods import Head

_PATH = click.Path(path_type=Path)
_COLUMNS = ("id", "role", "standing", "validator", "node", "ready_ms", "capabilities", "name")


@click.group("member", cls=Group)
def command() -> None:
    """Members: who takes part, who votes, and the changes that members propose and approve."""


command.add_command(join)
command.add_command(rejoin)
command.add_command(member_propose.command)
command.add_command(member_protocol.command)


@command.command("list", example="creditledger member list --json")
@click.option("--all", "is_all", is_flag=True, help="Also proposals that are over.")
@reader_option
@json_option
@click.pass_context
def show_list(context: click.Context, is_all: bool, identity: str | None, as_json: bool) -> None:
    """List the members, the epoch, the pending change and the open proposals.

    Standing: a validator votes, an observer's node follows, a member has no node.
    """
    with open_session(context, identity or any_identity(net_of(context))) as session:
        members = session.query("members.list")
        current = session.query("epochs.current")
        proposals = session.query("proposals.list", is_open=not is_all)["proposals"]
    if as_json:
        show_json({"epoch": current, "members": members, "proposals": proposals})
        return
    show_rows("", members, _COLUMNS)
    show_facts("", _epoch_facts(current))
    if proposals:
        _show_proposals(proposals)
    else:
        say("no open proposals")


def _epoch_facts(current: Mapping[str, Any]) -> dict[str, str]:
    size = len(current["validators"])
    facts = {
        "epoch": f"{current['epoch']}, since block {current['first_height']}",
        "validators": f"{size}, {current['quorum']} approvals decide",
    }
    pending = current["pending"]
    if pending is not None:
        left = pending["active_from"] - current["height"]
        facts["pending"] = (
            f"proposal {pending['number']}: {pending['kind']} {pending['member']} is active from "
            f"block {pending['active_from']}, in {left} blocks; then "
            f"{len(pending['validators'])} validators"
        )
    return facts


def _show_proposals(proposals: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            str(item["number"]),
            describe_change(item["change"]),
            item["state"],
            f"{len(item['approved'])}/{item['needed']}",
            ", ".join(item["approved"]) or "-",
            ", ".join(item["missing"]) or "-",
            item["proposer"],
            moment(item["expires_ms"]),
        ]
        for item in proposals
    ]
    headers = ["no.", "change", "state", "votes", "approved by", "not by", "proposer", "until"]
    show_table("proposals", headers, rows)


@command.command("show", example="creditledger member show 3")
@click.argument("proposal")
@reader_option
@json_option
@click.pass_context
def show(context: click.Context, proposal: str, identity: str | None, as_json: bool) -> None:
    """Show PROPOSAL, by its number or id: what it changes, who has approved, who has not."""
    with open_session(context, identity or any_identity(net_of(context))) as session:
        found = session.query("proposals.show", proposal=find_proposal(session, proposal))
    if as_json:
        show_json(found)
        return
    show_facts(f"proposal {found['number']}: {describe_change(found['change'])}", _facts(found))


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "state": str(found["state"]),
        "approved by": ", ".join(found["approved"]) or "nobody yet",
        "not by": ", ".join(found["missing"]) or "-",
        "needed": f"{found['needed']} of {len(found['approved']) + len(found['missing'])}",
        "proposed by": f"{found['proposer']} in block {found['height']}",
        "until": moment(found["expires_ms"]),
        "id": found["id"].hex(),
    }
    if found["active_from"] is not None:
        facts["active from"] = f"block {found['active_from']}"
    if found["note"]:
        facts["note"] = found["note"]
    for name in ("public_key", "address"):
        if name in found["change"]:
            value = found["change"][name]
            facts[name.replace("_", " ")] = value.hex() if isinstance(value, bytes) else value
    return facts


@command.command("approve", example="creditledger member approve 3 --as D01")
@click.argument("proposal")
@identity_option
@json_option
@click.pass_context
def approve(context: click.Context, proposal: str, identity: str, as_json: bool) -> None:
    """Vote for PROPOSAL, by its number or id; the vote that makes a quorum decides it.

    Look at it first: `member show`. A vote counts once, and only while its member is a validator.
    """
    with open_session(context, identity) as session:
        body = {"proposal": find_proposal(session, proposal)}
        outcome = session.send("member.approve", body)
    report(outcome, as_json, _decision(outcome.data) if outcome.code == Code.OK else "")


def _decision(data: Mapping[str, Any]) -> str:
    if data["state"] == "pending":
        return f"proposal {data['number']} is decided: active from block {data['active_from']}"
    if data["state"] == "active":
        return f"proposal {data['number']} is decided, and active"
    return f"proposal {data['number']}: {data['approvals']} of {data['needed']} approvals"


@command.command("withdraw", example="creditledger member withdraw 3 --as D02")
@click.argument("proposal")
@identity_option
@json_option
@click.pass_context
def withdraw(context: click.Context, proposal: str, identity: str, as_json: bool) -> None:
    """Take back your own PROPOSAL, by its number or id, while it is open."""
    withdraw_proposal(context, "member", proposal, identity=identity, as_json=as_json)


@command.command("ready", example="creditledger member ready --as ICBC")
@click.option(
    "--node", "address", help="host:port of your node (default: as the members have it on record)."
)
@identity_option
@json_option
@click.pass_context
def ready(context: click.Context, address: str | None, identity: str, as_json: bool) -> None:
    """Say that your node follows the chain: it names its last block, signed by your key.

    An observer is promoted only within 24 hours of this.
    """
    with open_session(context, identity) as session:
        member = session.client.profile.member
        head = ask_head(session, member, address or _address_of(session, member))
        body = {"height": head.height, "block_hash": head.block_hash}
        outcome = session.send("member.ready", body)
    report(outcome, as_json, f"the node of {member} has block {head.height}")


def _address_of(session: Session, member: str) -> str:
    """Return where a member's node is; raise `LocalError` (2609) if it has none."""
    for item in session.query("members.list"):
        if item["id"] == member and item["node"] is not None:
            return str(item["node"])
    raise LocalError(Code.MEMBER_STATE, f"{member} has no node: propose add-observer first")


def ask_head(session: Session, member: str, address: str) -> Head:
    """Return where the node at one address stands, whatever the profile's nodes are."""
    from network.client import SyncClient
    from network.profile import NodeAddress, parse_address

    node = NodeAddress(member, *parse_address(address))
    profile = dataclasses.replace(session.client.profile, nodes=(node,))
    with SyncClient(profile) as client:
        return client.head()


@command.command("prove", example="creditledger member prove ICBC --role node --key keys/node.key")
@click.argument("member")
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in KeyRole]),
    help="What the key is for: the member's transactions, or its node's votes.",
)
@click.option("--key", "key_file", required=True, type=_PATH, help="File of the new private key.")
@click.option("--password-file", type=_PATH, help="File with the key file's password.")
@click.option(
    "--genesis", type=_PATH, help="The network's genesis document (default: the network folder's)."
)
@json_option
@click.pass_context
def prove(
    context: click.Context,
    member: str,
    role: str,
    key_file: Path,
    password_file: Path | None,
    genesis: Path | None,
    as_json: bool,
) -> None:
    """Prove, with no network, that you hold a new key for MEMBER; whoever proposes it needs this.

    The proof is good for this network, this member and this role alone, and gives no key away.
    """
    chain_id = trusted_genesis(context, genesis).chain_id
    key = read_key(key_file, password_file)
    proof = prove_possession(key, chain_id, member, KeyRole(role))
    if as_json:
        show_json({"public_key": key.public_key, "proof": proof})
    else:
        say(f"--public-key {key.public_key.hex()} --proof {proof.hex()}")


@command.command("trust", example="creditledger member trust --as D02")
@identity_option
@json_option
@click.pass_context
def trust(context: click.Context, identity: str, as_json: bool) -> None:
    """Take the members' certificates as they are now into the profile, each proven.

    After members have come, or have rotated their keys, a profile that knows only genesis cannot
    talk to their nodes; every proof is verified from genesis on before anything is written.
    """
    with open_session(context, identity) as session:
        members = _proven_members(session)
        chain_id = session.client.profile.chain_id
    anchors = {item.id: b"" if item.is_removed else item.certificate for item in members}
    folder = profile_folder(net_of(context), identity)
    save_anchors(folder, chain_id, anchors)
    if as_json:
        show_json({"members": sorted(name for name, der in anchors.items() if der)})
    else:
        count = sum(1 for der in anchors.values() if der)
        say(f"{count} members proven; {folder / ANCHORS_FILE}")


def _proven_members(session: Session) -> list[Member]:
    from network.members import verify_members

    follower, _ = follow_chain(session)
    clock_ms = now_ms() + session.client.profile.genesis.clock_offset_ms
    names = [str(item["id"]) for item in session.query("members.list")]
    found: list[Member] = []
    for at in range(0, len(names), PROVEN_MAX):
        wanted = names[at : at + PROVEN_MAX]
        answer = session.query("members.proven", members=tuple(wanted))
        found += verify_members(answer, wanted, follower, clock_ms)
    return found


@command.command("epochs", example="creditledger member epochs --out epochs.bin")
@click.option("--out", type=_PATH, help="Write the changes to this file, for work offline.")
@reader_option
@json_option
@click.pass_context
def epochs(context: click.Context, out: Path | None, identity: str | None, as_json: bool) -> None:
    """Show every epoch since genesis, verified here change by change.

    The file of --out leads whoever trusts genesis to the members of any epoch: `evidence verify`
    and `audit` take it beside the genesis document.
    """
    with open_session(context, identity or any_identity(net_of(context))) as session:
        rows, data = _epochs(session)
    if out is not None:
        replace(out, data)
        say(str(out))
    elif as_json:
        show_json(rows)
    else:
        show_rows("", rows)


def _epochs(session: Session) -> tuple[list[dict[str, Any]], bytes]:
    """Return an epoch a row, and the file of all changes."""
    follower, changes = follow_chain(session)
    starts = [0, *(change.first_height for change in changes)]
    rows = [
        {
            "epoch": epoch,
            "since": start,
            "validators": [name for name, _ in follower.validators(epoch)],
        }
        for epoch, start in enumerate(starts)
    ]
    return rows, encode_changes(follower.chain_id, changes)
