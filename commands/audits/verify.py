"""`creditledger verify`: judge a receipt with no network, from a genesis document alone.

A receipt of a later epoch carries the changes of members that lead there; they are verified too.
"""

from __future__ import annotations

from pathlib import Path

import click

from commands.audits.trust import Trust, load_trust, trust_option
from commands.console import show_facts, show_json
from commands.files import read_bytes
from commands.frame import Command, json_option
from commands.values import moment
from ledger.chain.receipt import Receipt, decode_receipt, verify_receipt_by
from ledger.errors import Code
from ledger.transactions.envelope import transaction_from_parts


@click.command(
    "verify",
    cls=Command,
    example="creditledger verify loan.receipt --trust genesis.bin",
)
@click.argument("receipt", type=click.Path(path_type=Path))
@trust_option
@json_option
@click.pass_context
def command(context: click.Context, receipt: Path, trust: tuple[Path, ...], as_json: bool) -> None:
    """Verify that RECEIPT shows a transaction and its result in a certified block.

    The verdict is worth what its anchor is worth: genesis, or a later receipt that you trust.
    """
    trusted = load_trust(trust)
    follower = trusted.follower(context)
    found = decode_receipt(read_bytes(receipt))
    verify_receipt_by(found, follower)
    if as_json:
        show_json(found.to_json_value())
        return
    show_facts("VALID", _facts(found) | {"anchor": _anchor(found, trusted)})


def _anchor(receipt: Receipt, trusted: Trust) -> str:
    if trusted.receipt is not None:
        header = trusted.receipt.header
        return f"block {header.height} of epoch {header.epoch}, as trusted"
    count = len(receipt.changes)
    followed = f", and {count} changes of members since" if count else ""
    return f"genesis{followed}"


def _facts(receipt: Receipt) -> dict[str, str]:
    header = receipt.header
    transaction = transaction_from_parts(receipt.unsigned, receipt.signature, ())
    code = receipt.result[0]
    signers = ", ".join(receipt.validators[index][0] for index, _ in receipt.certificate.votes)
    return {
        "transaction": transaction.id.hex(),
        "kind": transaction.kind,
        "sender": transaction.sender,
        "result": f"E{code} {Code(code).name}" if code else "ok",
        "block": f"{header.height} of {moment(header.time_ms)}",
        "epoch": str(header.epoch),
        "block hash": header.hash().hex(),
        "certified by": f"{len(receipt.certificate.votes)} of {len(receipt.validators)}: {signers}",
    }
