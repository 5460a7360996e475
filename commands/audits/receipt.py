"""`creditledger receipt`: fetch the proof that a transaction stands in a certified block."""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import say, show_json
from commands.files import replace
from commands.frame import Command, json_option, reader_option
from commands.session import any_identity, net_of, open_session
from commands.values import ID


@click.command(
    "receipt",
    cls=Command,
    example="creditledger receipt 5d0c9a3e… --out loan.receipt && creditledger verify loan.receipt",
)
@click.argument("transaction", type=ID)
@click.option("--out", type=click.Path(path_type=Path), help="File to write (default: ID.receipt).")
@click.option("--wait", "wait_seconds", default=10, show_default=True, help="Seconds to wait.")
@reader_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    transaction: bytes,
    out: Path | None,
    wait_seconds: int,
    identity: str | None,
    as_json: bool,
) -> None:
    """Fetch the receipt of TRANSACTION, verify it, and write it to one file.

    The file shows, with no network, the transaction, its result and the block, certified by a
    quorum of the members. With --json it is printed for a program instead of written.
    """
    with open_session(context, identity or any_identity(net_of(context))) as session:
        receipt = session.client.receipt(transaction, wait_ms=wait_seconds * 1000)
    if as_json:
        show_json(receipt.to_json_value())
        return
    path = out or Path(f"{transaction.hex()[:16]}.receipt")
    replace(path, receipt.encoded())
    say(str(path))
