"""Proposals on the command line: their options, keys and proofs, sending one, finding it again.

A change that brings a key must prove that its holder means it: the key signs what it is for. Who
holds the key makes the proof with `member prove`, or lets `member propose` read the key's file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from commands.files import read_bytes
from commands.frame import F, identity_option, json_option
from commands.passwords import old_password
from commands.session import Session, open_session, report
from commands.values import day, parse_id
from ledger.errors import Code, LocalError
from ledger.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey
from ledger.membership.limits import MAX_PROPOSAL_MS, MS_A_DAY
from ledger.membership.possession import KeyRole, prove_possession

_PATH = click.Path(path_type=Path)
_DAYS_MAX = MAX_PROPOSAL_MS // MS_A_DAY
# The chain's clock may be a little ahead of what was asked.
_MARGIN_MS = 60_000

# The session → the change.
MakeChange = Callable[[Session], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key as it was given: its file, or the public key and the proof made elsewhere."""

    file: Path | None
    public_key: str | None
    proof: str | None
    password_file: Path | None

    def fields(self, chain_id: bytes, member: str, role: KeyRole) -> dict[str, Any]:
        """Return `public_key` and `proof` of a change; raise `LocalError` (8004, 1105)."""
        is_proven = self.public_key is not None and self.proof is not None
        is_part = self.public_key is not None or self.proof is not None
        if is_part != is_proven or (self.file is None) != is_proven:
            raise LocalError(
                Code.INPUT_USAGE, "want --key FILE, or --public-key and --proof from `member prove`"
            )
        if self.file is not None:
            key = read_key(self.file, self.password_file)
            proof = prove_possession(key, chain_id, member, role)
            return {"public_key": key.public_key, "proof": proof}
        return {
            "public_key": _hex("--public-key", self.public_key or "", PUBLIC_KEY_BYTES),
            "proof": _hex("--proof", self.proof or "", SIGNATURE_BYTES),
        }


def proposal_options(function: F) -> F:
    """Add what every proposal takes."""
    options = (
        click.option("--note", help="A sentence for those who approve."),
        click.option(
            "--days",
            default=7,
            show_default=True,
            type=click.IntRange(1, _DAYS_MAX),
            help="Days for which it can be approved.",
        ),
        identity_option,
        json_option,
        click.pass_context,
    )
    for option in reversed(options):
        function = option(function)
    return function


def send_proposal(
    context: click.Context,
    group: str,
    make: MakeChange,
    *,
    note: str | None,
    days: int,
    identity: str,
    as_json: bool,
) -> None:
    """Send a proposal to the members (`group` is `member` or `rule`) and report it."""
    with open_session(context, identity) as session:
        change = make(session)
        expires_ms = session.client.head().clock_ms + days * MS_A_DAY - _MARGIN_MS
        body: dict[str, Any] = {"change": change, "expires_ms": expires_ms}
        if note:
            body["note"] = note
        outcome = session.send(f"{group}.propose", body)
    data = outcome.data if outcome.code == Code.OK else {}
    report(
        outcome,
        as_json,
        f"proposal {data.get('number')}: {describe_change(change)}; "
        f"{data.get('approvals')} of {data.get('needed')} approvals\n"
        f"  others approve it: creditledger {group} approve {data.get('number')} --as MEMBER",
    )


def withdraw_proposal(
    context: click.Context, group: str, proposal: str, *, identity: str, as_json: bool
) -> None:
    """Take back a proposal that is named by number or id, and report it."""
    with open_session(context, identity) as session:
        outcome = session.send(f"{group}.withdraw", {"proposal": find_proposal(session, proposal)})
    report(outcome, as_json, f"proposal {proposal} is withdrawn")


def key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the ways to give a new key, passed as one `NewKey` in `key`."""

    @wraps(function)
    def wrapped(
        *args: Any,
        key_file: Path | None,
        public_key: str | None,
        proof: str | None,
        password_file: Path | None,
        **named: Any,
    ) -> Any:
        return function(*args, key=NewKey(key_file, public_key, proof, password_file), **named)

    options = (
        click.option("--key", "key_file", type=_PATH, help="File of the new private key."),
        click.option(
            "--public-key", help="Instead of --key: the new public key, from `member prove`."
        ),
        click.option("--proof", help="With --public-key: the proof that `member prove` printed."),
        click.option("--password-file", type=_PATH, help="File with the key file's password."),
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def read_key(path: Path, password_file: Path | None) -> SigningKey:
    """Return the private key of a file; raise `LocalError` (1105)."""
    from network.certificates import load_key

    return SigningKey(load_key(path, old_password(password_file)))


def read_certificate(path: Path) -> bytes:
    """Return the DER of a certificate file, PEM or DER; raise `LocalError` (8001, 1105)."""
    from network.certificates import load_certificate

    data = read_bytes(path)
    return load_certificate(path) if b"-----BEGIN" in data else data


def _hex(name: str, text: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != size:
        raise LocalError(Code.INPUT_USAGE, f"{name}: want {2 * size} hexadecimal digits")
    return data


def find_proposal(session: Session, text: str) -> bytes:
    """Return the id of a proposal that is named by number or id; raise `LocalError` (8004)."""
    if not text.isdigit() or len(text) > 18:
        try:
            return parse_id(text)
        except ValueError:
            raise LocalError(
                Code.INPUT_USAGE, f"proposal {text!r}, want its number or its id"
            ) from None
    number = int(text)
    answer = session.query("proposals.list", cursor=number + 1, limit=1)
    found: Mapping[str, Any] = next(iter(answer["proposals"]), {})
    if found.get("number") != number:
        raise LocalError(Code.PROPOSAL_UNKNOWN, f"no proposal {number}")
    proposal_id: bytes = found["id"]
    return proposal_id


def describe_change(change: Mapping[str, Any]) -> str:
    """Return a change in a few words: "promote ICBC", "set_address D02 to d02.example:7001"."""
    words: Mapping[str, Callable[[], str]] = {
        "set_address": lambda: f"to {change['address']}",
        "add_observer": lambda: f"at {change['address']}",
        "add_member": lambda: f"({change['name']}, {change['role']})",
    }
    if "member" not in change:
        return _describe_rule(change)
    rest = words.get(change["kind"], lambda: "")()
    return f"{change['kind']} {change['member']} {rest}".strip()


def _describe_rule(change: Mapping[str, Any]) -> str:
    """Return a change of the rules of credit in a few words."""
    words: Mapping[str, Callable[[], str]] = {
        "rule": lambda: _describe_source(change["source"]),
        "end_alert": lambda: f"{change['ref']} until {day(change['last_day'])}",
        "category": lambda: str(change["category"].get("id", "")),
        "rates": lambda: ", ".join(f"{item[0]} {day(item[1])}" for item in change["rates"][:3]),
        "setting": lambda: f"{change['name']} = {change['value']}",
        "limit": lambda: f"{change['limit'].get('kind')} {change['limit'].get('id')}",
        "end_limit": lambda: f"{change['class']} {change['id']}",
    }
    described = words.get(change["kind"], lambda: "")()
    since = f" from {day(change['effective_from'])}" if "effective_from" in change else ""
    return f"{change['kind']} {described}{since}"


def _describe_source(source: bytes) -> str:
    """Return kind and reference of a rule: "alert EW05/2"."""
    values = tomllib.loads(source.decode())
    return f"{values.get('kind')} {values.get('id')}/{values.get('version')}"
