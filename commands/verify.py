"""`creditledger verify`: judge a receipt with no network, from a genesis document alone."""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import show_facts, show_json
from commands.files import read_bytes
from commands.frame import Command, json_option
from commands.session import trusted_genesis
from commands.values import moment
from ledger.chain.receipt import Receipt, decode_receipt, verify_receipt
from ledger.errors import Code
from ledger.transactions.envelope import transaction_from_parts


@click.command(
    "verify",
    cls=Command,
    example="creditledger verify loan.receipt --trust genesis.bin",
)
@click.argument("receipt", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="The genesis document to trust (default: the network folder's).",
)
@json_option
@click.pass_context
def command(context: click.Context, receipt: Path, trust: Path | None, as_json: bool) -> None:
    """Verify that RECEIPT shows a transaction and its result in a certified block."""
    genesis = trusted_genesis(context, trust)
    found = decode_receipt(read_bytes(receipt))
    verify_receipt(found, genesis.chain_id, 0, genesis.validator_keys())
    if as_json:
        show_json(found.to_json_value())
        return
    show_facts("VALID", _facts(found))


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
        "block hash": header.hash().hex(),
        "certified by": f"{len(receipt.certificate.votes)} of {len(receipt.validators)}: {signers}",
    }
