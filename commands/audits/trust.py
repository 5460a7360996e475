"""What a command that works offline is told to trust: files, told apart by what is in them.

`--trust FILE`, as often as wanted, takes a genesis document, a receipt, or a file of changes
(`member epochs`). The genesis document gives the chain and the members of its first epoch. A
receipt is a later anchor: its block is trusted, what follows it is followed, and members of earlier
epochs prove nothing any more, whatever became of their keys (F89). A file of changes is nothing to
be trusted: it leads from the anchor to later epochs and is verified on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from commands.files import read_bytes
from commands.session import Session, trusted_genesis
from ledger.chain.epochs import (
    CHANGES_FORMAT,
    EpochChange,
    EpochFollower,
    decode_change,
    decode_changes,
)
from ledger.chain.receipt import FORMAT as RECEIPT_FORMAT
from ledger.chain.receipt import MAX_RECEIPT_BYTES, Receipt, anchor_of, decode_receipt
from ledger.encoding import decode
from ledger.errors import Code, CreditLedgerError, LocalError, Refused
from ledger.membership.genesis import Genesis, parse_genesis

EPOCHS_FILE = "epochs.bin"

trust_option = click.option(
    "--trust",
    "trust",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What to trust: a genesis document (default: the network folder's), or a later receipt; "
    "also a file of `member epochs`, to follow. May be given several times.",
)


@dataclass(frozen=True, slots=True)
class Trust:
    """The files that were named: at most one genesis document and one receipt."""

    document: bytes | None
    receipt: Receipt | None
    changes: tuple[EpochChange, ...]

    def genesis(self, context: click.Context) -> Genesis:
        """Return the genesis document, the network folder's if none was named."""
        if self.document is None:
            return trusted_genesis(context, None)
        return parse_genesis(self.document)

    def follower(self, context: click.Context) -> EpochFollower:
        """Return the anchor: the receipt's block if there is one, else genesis.

        Raises `Refused` (1305, 1306) for a receipt of another chain than the genesis document's, or
        for files that do not hold together.
        """
        if self.receipt is None:
            genesis = self.genesis(context)
            follower = EpochFollower(genesis.chain_id, genesis.validator_keys())
        else:
            follower = anchor_of(self.receipt)
            self._check_one_chain(follower)
        follower.follow(self.changes)
        return follower

    def _check_one_chain(self, follower: EpochFollower) -> None:
        if self.document is None:
            return
        chain_id = parse_genesis(self.document).chain_id
        if chain_id != follower.chain_id:
            raise Refused(
                Code.RECEIPT_INVALID,
                f"the trusted receipt is of chain {follower.chain_id.hex()}, genesis is "
                f"{chain_id.hex()}",
            )

    def name(self, context: click.Context, member_id: str) -> str:
        """Return a member's name as genesis has it; empty where no document is at hand."""
        try:
            member = self.genesis(context).member(member_id)
        except CreditLedgerError:
            return ""
        return "" if member is None else member.name


def load_trust(paths: Sequence[Path]) -> Trust:
    """Return what the files say; raise `LocalError` (8001, 8004), `Refused` (10xx, 13xx)."""
    document: bytes | None = None
    receipt: Receipt | None = None
    changes: tuple[EpochChange, ...] = ()
    for path in paths:
        data = read_bytes(path)
        kind = _format_of(data)
        if kind == CHANGES_FORMAT:
            changes = decode_changes(data)[1]
        elif kind == RECEIPT_FORMAT and receipt is None:
            receipt = decode_receipt(data)
        elif kind != RECEIPT_FORMAT and document is None:
            document = data
        else:
            raise LocalError(Code.INPUT_USAGE, f"--trust {path}: one of its kind was given already")
    return Trust(document, receipt, changes)


def _format_of(data: bytes) -> str:
    """Return what a file says that it is; what does not decode is judged as genesis."""
    try:
        value = decode(data, max_bytes=max(MAX_RECEIPT_BYTES, len(data)))
    except Refused:
        return ""
    found = value.get("format") if type(value) is dict else None
    return found if type(found) is str else ""


def follow_chain(session: Session) -> tuple[EpochFollower, tuple[EpochChange, ...]]:
    """Return the epochs of a running network, verified from the profile's genesis on."""
    profile = session.client.profile
    follower = EpochFollower(profile.chain_id, profile.validators)
    changes: list[EpochChange] = []
    while True:
        answer = session.query("epochs.changes", after_epoch=len(changes))
        more = [decode_change(data) for data in answer["changes"]]
        follower.follow(more)
        changes += more
        if not more or len(changes) >= answer["epoch"]:
            return follower, tuple(changes)
