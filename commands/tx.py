"""`creditledger tx`: what became of transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from commands.console import say, show_json, show_table
from commands.files import read_bytes
from commands.frame import Exit, Group, fail, json_option, reader_option
from commands.session import Session, any_identity, net_of, open_session
from commands.values import ID
from ledger.errors import Code, LocalError

_SHOWN = 20


@click.group("tx", cls=Group)
def command() -> None:
    """The fate of transactions: unknown, pending, committed with its result, or expired."""


@command.command("status", example="creditledger tx status --file accepted-ids.txt")
@click.argument("ids", nargs=-1, type=ID)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="A file of ids, one a line; counts are shown, and the ids that are not committed.",
)
@reader_option
@click.option("--via", metavar="MEMBER", help="Ask this member's node and no other.")
@json_option
@click.pass_context
def status(
    context: click.Context,
    ids: tuple[bytes, ...],
    path: Path | None,
    identity: str | None,
    via: str | None,
    as_json: bool,
) -> None:
    """Show the fate of each of IDS, in the word of one node.

    Exit code 0 means all are committed with result 0; 1, that one was rejected or has expired; 3,
    that one is unknown or still pending.
    """
    wanted = [*ids, *(_read_ids(path) if path else ())]
    if not wanted:
        raise LocalError(Code.INPUT_USAGE, "no transaction id given, want IDS or --file")
    with open_session(context, identity or any_identity(net_of(context)), via=via) as session:
        fates = ask_fates(session, wanted)
    if as_json:
        show_json(fates)
    elif path is None:
        _show(fates)
    else:
        _show_counts(fates)
    _leave(fates)


def ask_fates(session: Session, ids: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return id, status, code, height and position of each id."""
    from network.methods import FATES_MAX

    fates = []
    rest = iter(ids)
    while chunk := list(islice(rest, FATES_MAX)):
        for fate in session.client.fate(chunk):
            fates.append(
                {
                    "id": fate.id.hex(),
                    "status": str(fate.status),
                    "code": fate.code,
                    "height": fate.height,
                    "position": fate.position,
                }
            )
    return fates


def _read_ids(path: Path) -> list[bytes]:
    ids = []
    for number, line in enumerate(read_bytes(path).decode(errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            found = bytes.fromhex(text.split()[0])
        except ValueError:
            found = b""
        if len(found) != 32:
            raise LocalError(
                Code.INPUT_LINE, f"{path} line {number}: got {text[:70]!r}, want 64 hex digits"
            )
        ids.append(found)
    return ids


def _result(code: int | None) -> str:
    if code is None:
        return "-"
    return f"E{code} {Code(code).name}" if code else "ok"


def _show(fates: Sequence[dict[str, Any]]) -> None:
    rows = [
        [
            fate["id"],
            fate["status"],
            _result(fate["code"]),
            "-" if fate["height"] is None else str(fate["height"]),
            "-" if fate["position"] is None else str(fate["position"]),
        ]
        for fate in fates
    ]
    show_table("", ["transaction", "fate", "result", "block", "position"], rows)


def _show_counts(fates: Sequence[dict[str, Any]]) -> None:
    counts = Counter((fate["status"], _result(fate["code"])) for fate in fates)
    rows = [[status, result, str(count)] for (status, result), count in sorted(counts.items())]
    show_table(f"{len(fates)} transactions", ["fate", "result", "transactions"], rows)
    odd = [fate["id"] for fate in fates if fate["status"] != "committed"]
    for item in odd[:_SHOWN]:
        say(f"not committed: {item}")


def _leave(fates: Sequence[dict[str, Any]]) -> None:
    """Leave with the exit code that the fates deserve; return where all is well."""
    if any(fate["status"] == "expired" or fate["code"] for fate in fates):
        fail(Exit.REFUSED)
    if any(fate["status"] != "committed" for fate in fates):
        fail(Exit.NOT_FOUND)


@command.command("expired", example="creditledger tx expired 9b1f… --at 1578646800123")
@click.argument("transaction", type=ID)
@click.option("--at", "expires_at_ms", type=int, required=True, help="Its expires_at, in ms.")
@reader_option
@json_option
@click.pass_context
def expired(
    context: click.Context,
    transaction: bytes,
    expires_at_ms: int,
    identity: str | None,
    as_json: bool,
) -> None:
    """Have it stated by enough members that TRANSACTION has expired and was never executed.

    Enough are f+1, each about a certified block past the expiry: then it is final, and the same may
    be asked for in a new transaction.
    """
    from network.finality import confirm_expired

    with open_session(context, identity or any_identity(net_of(context))) as session:
        found = session.client.run(
            lambda client: confirm_expired(client, transaction, expires_at_ms)
        )
    rows = [{"member": item.signer, "height": item.header.height} for item in found]
    if as_json:
        show_json({"id": transaction, "expired": True, "statements": rows})
        return
    say(f"expired for good: {len(found)} members state it (block {found[0].header.height})")
