"""`creditledger evidence`: what members signed that contradicts itself, and whose key it was.

Each node keeps what it has met (PBFT rule 50); `list` and `export` ask one. A file needs no node
any more: `verify` judges it from a genesis document alone, and so does `creditledger audit`.
`compare` finds what no node could meet: two certified chains, shown to two auditors (F40).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from commands.answers import show_rows
from commands.audits.forks import Fork, find_fork, open_chain
from commands.audits.trust import EPOCHS_FILE, Trust, follow_chain, load_trust, trust_option
from commands.console import say, show_facts, show_json
from commands.files import read_bytes, replace
from commands.frame import Exit, Group, fail, identity_option, json_option
from commands.session import Session, open_session, trusted_genesis
from commands.values import ID
from consensus.evidence import (
    Contradiction,
    decode_evidence,
    encode_evidence,
    evidence_hash,
    verify_evidence,
)
from ledger.chain.epochs import EpochFollower, Validators, encode_changes
from ledger.errors import Code, Refused

SUFFIX = ".evidence"
_COLUMNS = ("member", "kind", "view", "height", "bytes", "id")
_via_option = click.option("--via", metavar="MEMBER", help="Ask this member's node.")


@dataclass(frozen=True, slots=True)
class Proven:
    """A piece of evidence that holds: its hash, the chain, the member, and what it signed."""

    id: bytes
    chain_id: bytes
    member: str
    name: str
    contradiction: Contradiction

    def to_value(self) -> dict[str, Any]:
        """Return it for JSON."""
        proven = self.contradiction
        return {
            "verdict": "PROVEN",
            "id": self.id,
            "chain_id": self.chain_id,
            "member": self.member,
            "name": self.name,
            "vote_key": proven.key,
            **proven.subject._asdict(),
            "statement": proven.statement,
        }


def judge(
    data: bytes,
    chain_id: bytes,
    validators_of: Callable[[int], Validators],
    name: Callable[[str], str],
) -> Proven:
    """Return what evidence proves to whoever trusts these members of its epoch.

    `validators_of` gives the members of an epoch or raises `Refused`, `name` a member's name by its
    id. Raises `Refused` (10xx, 4005), also where the epoch's members are not known.
    """
    record = decode_evidence(data)
    try:
        validators = validators_of(record.epoch)
    except Refused as error:
        raise Refused(
            Code.EVIDENCE_INVALID,
            f"evidence is of epoch {record.epoch}: {error.message}; give the changes of members "
            "with --trust, a later receipt or the file of `member epochs`",
        ) from None
    proven = verify_evidence(record, chain_id, [key for _, key in validators])
    member = validators[proven.signer][0]
    return Proven(evidence_hash(data), chain_id, member, name(member), proven)


def judge_file(context: click.Context, file: Path, trust: Trust) -> Proven:
    """Judge the evidence in a file; changes that lie beside it as epochs.bin are followed."""
    follower = trust.follower(context)
    beside = file.parent / EPOCHS_FILE
    if beside.exists() and not trust.changes:
        follower.follow(load_trust([beside]).changes)
    name = partial(trust.name, context)
    return judge(read_bytes(file), follower.chain_id, follower.validators, name)


def show_proven(proven: Proven, as_json: bool) -> None:
    """Print who is proven to have contradicted itself, and in what."""
    if as_json:
        show_json(proven.to_value())
        return
    show_facts(
        "PROVEN",
        {
            "member": f"{proven.member} ({proven.name})",
            "vote key": proven.contradiction.key.hex(),
            "what": proven.contradiction.statement,
            "chain": proven.chain_id.hex(),
            "evidence": proven.id.hex(),
        },
    )


@click.group("evidence", cls=Group)
def command() -> None:
    """Evidence of members that contradicted themselves: list, export, verify, compare."""


@command.command("list", example="creditledger evidence list --as D18 --via D02")
@_via_option
@identity_option
@json_option
@click.pass_context
def show_list(context: click.Context, via: str | None, identity: str, as_json: bool) -> None:
    """List the evidence that a node keeps; for regulators and members with a validator."""
    with open_session(context, identity, via) as session:
        pieces = session.query("evidence.list")["evidence"]
    if as_json:
        show_json(pieces)
    elif pieces:
        show_rows("", pieces, _COLUMNS)
    else:
        say("no evidence: this node knows of no member that contradicted itself")


@command.command("export", example="creditledger evidence export --out evidence --as D18")
@click.argument("pieces", metavar="[ID]...", nargs=-1, type=ID)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to write to (default: the current one).",
)
@_via_option
@identity_option
@json_option
@click.pass_context
def export(
    context: click.Context,
    pieces: Sequence[bytes],
    out: Path,
    via: str | None,
    identity: str,
    as_json: bool,
) -> None:
    """Write pieces of evidence, all of the node's or those with an ID, to files of their own.

    Each is verified against the profile's genesis document before it is written. Where members
    have changed since, the proof of that is written beside it, as epochs.bin.
    """
    with open_session(context, identity, via) as session:
        wanted = pieces or [item["id"] for item in session.query("evidence.list")["evidence"]]
        follower, changes = follow_chain(session)
        paths = [_export(session, piece_id, out, follower) for piece_id in wanted]
    if paths and changes:
        replace(out / EPOCHS_FILE, encode_changes(follower.chain_id, changes))
    if as_json:
        show_json([str(path) for path in paths])
        return
    for path in paths:
        say(str(path))
    if not paths:
        say("no evidence: nothing was written")


def _export(session: Session, piece_id: bytes, out: Path, follower: EpochFollower) -> Path:
    answer: Mapping[str, Any] = session.query("evidence.show", id=piece_id)
    data: bytes = answer["data"]
    genesis = session.client.profile.genesis
    members = {member.id: member.name for member in genesis.members}
    chain_id, validators_of = follower.chain_id, follower.validators
    found = judge(data, chain_id, validators_of, lambda member: members.get(member, ""))
    if found.id != piece_id:
        raise Refused(
            Code.EVIDENCE_INVALID, f"node gave evidence {found.id.hex()}, want {piece_id.hex()}"
        )
    path = out / f"{piece_id.hex()}{SUFFIX}"
    replace(path, data)
    return path


@command.command(
    "verify", example="creditledger evidence verify 41d0….evidence --trust genesis.bin"
)
@click.argument("file", type=click.Path(path_type=Path))
@trust_option
@json_option
@click.pass_context
def verify(context: click.Context, file: Path, trust: tuple[Path, ...], as_json: bool) -> None:
    """Judge FILE with no network: who signed two things that contradict each other.

    Exit code 0: proven, the member is named. Exit code 1: it proves nothing, and the reason.
    """
    show_proven(judge_file(context, file, load_trust(trust)), as_json)


@command.command(
    "compare", example="creditledger evidence compare backup-D01 backup-D02 --trust genesis.bin"
)
@click.argument("first", type=click.Path(path_type=Path, file_okay=False))
@click.argument("second", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="The genesis document to trust (default: the network folder's).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the evidence to this folder, one file for each member that signed both.",
)
@json_option
@click.pass_context
def compare(
    context: click.Context,
    first: Path,
    second: Path,
    trust: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Hold two homes, or copies of two, against each other: do they tell one story?

    Exit code 0: one chain is the beginning of the other. Exit code 1: they part, and whoever signed
    both of two certified blocks is named. Stop the nodes first, or compare backups.
    """
    genesis = trusted_genesis(context, trust)
    trusted = EpochFollower(genesis.chain_id, genesis.validator_keys())
    with open_chain(first, genesis) as own, open_chain(second, genesis) as other:
        fork = find_fork(own, other, trusted)
        last = min(own.height() or 0, other.height() or 0)
    pieces = [encode_evidence(record) for record in fork.records] if fork is not None else []
    names = {member.id: member.name for member in genesis.members}
    proven = [
        judge(data, trusted.chain_id, trusted.validators, lambda name: names.get(name, ""))
        for data in pieces
    ]
    if out is not None:
        for data, item in zip(pieces, proven, strict=True):
            replace(out / f"{item.id.hex()}{SUFFIX}", data)
    _show_fork(fork, last, proven, as_json)
    if fork is not None:
        fail(Exit.REFUSED)


def _show_fork(fork: Fork | None, last: int, proven: Sequence[Proven], as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "verdict": "SAME" if fork is None else "FORKED",
                "last": last,
                "parted": None if fork is None else fork.parted,
                "proven": [item.to_value() for item in proven],
            }
        )
        return
    if fork is None:
        say(f"SAME: blocks 1 to {last} are equal")
        return
    say(f"FORKED at block {fork.parted}")
    for item in proven:
        show_proven(item, as_json)
    if not proven:
        say("no height is certified in both from there on: nobody is proven to have lied")
