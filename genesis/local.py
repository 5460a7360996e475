"""Keys and a genesis for a network on one machine, for `devnet up` and the demonstration.

`plan` takes a consortium file without certificates (genesis/demo/consortium.toml), makes a key and
a certificate for every member and a vote key for each that runs a node, writes a complete
consortium file, and builds the genesis from it. Members come to a node in the order of the file's
`[local]` table: with four nodes of seven members the other three are members all the same, and
submit through these nodes as clients.

    DIR/consortium.toml          as it would be written by hand
    DIR/genesis.bin              the genesis document
    DIR/members/ID/member.key    signs the member's transactions and its certificates
    DIR/members/ID/member.crt    the certificate of that key, which stands in genesis
    DIR/members/ID/node.key      signs votes; only where a node is run
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from genesis.builder import build, read_consortium
from ledger.errors import Code, Refused
from ledger.keys import SigningKey
from network.certificates import make_member_certificate, new_seed, save_certificate, save_key

MIN_NODES = 4
HOST = "127.0.0.1"
_TOP_ORDER = (
    "format",
    "name",
    "network",
    "as_of",
    "time",
    "clock_offset_ms",
    "categories",
    "province",
)


@dataclass(frozen=True, slots=True)
class LocalMember:
    """One member of a local network; `folder` holds its keys, `address` is its node's."""

    id: str
    role: str
    folder: Path
    address: str | None

    @property
    def key_file(self) -> Path:
        """The key that signs the member's transactions and issues its TLS certificates."""
        return self.folder / "member.key"

    @property
    def certificate_file(self) -> Path:
        """The certificate of that key."""
        return self.folder / "member.crt"

    @property
    def node_key_file(self) -> Path | None:
        """The key that signs votes, where the member runs a node."""
        return self.folder / "node.key" if self.address is not None else None


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """A planned network: nothing runs yet."""

    folder: Path
    genesis_file: Path
    chain_id: bytes
    members: tuple[LocalMember, ...]

    @property
    def nodes(self) -> tuple[LocalMember, ...]:
        """The members that run a node, in the order of the validators."""
        return tuple(member for member in self.members if member.address is not None)


def plan(
    consortium: Path,
    folder: Path,
    *,
    nodes: int,
    base_port: int,
    now_ms: int,
    as_of: date | None = None,
    make_seed: Callable[[], bytes] = new_seed,
) -> LocalNetwork:
    """Make keys, certificates, consortium file and genesis in the new folder `folder`.

    Nodes get the ports `base_port`, `base_port + 1`, …; `now_ms` is real time in ms since 1970 UTC;
    `as_of`, if given, is the day the network lives in, instead of the file's own time.
    Raises `Refused` 7003 for the consortium file and for a number of nodes it does not allow, and
    `LocalError` 1105 where a key cannot be written.
    """
    document = read_consortium(consortium)
    if as_of is not None:
        for key in ("time", "clock_offset_ms"):
            document.pop(key, None)
        document["as_of"] = as_of
    entries = document.get("member", [])
    order = _node_order(consortium.name, document, nodes)
    valid_from = datetime.fromtimestamp(now_ms / 1000, UTC)
    members: list[LocalMember] = []
    ports = {member_id: base_port + index for index, member_id in enumerate(order)}
    for entry in entries:
        address = f"{HOST}:{ports[entry['id']]}" if entry["id"] in ports else None
        member = LocalMember(entry["id"], entry["role"], folder / "members" / entry["id"], address)
        entry |= _make_keys(member, folder, valid_from, make_seed)
        members.append(member)
    document["validators"] = order
    document.setdefault("settings", {}).setdefault("asset_salt", make_seed().hex())
    if "rules" in document:
        document["rules"] = [
            str((consortium.parent / name).resolve()) for name in document["rules"]
        ]
    file = folder / "consortium.toml"
    file.write_text(_render(document), encoding="utf-8")
    built = build(file, now_ms)
    genesis_file = folder / "genesis.bin"
    genesis_file.write_bytes(built.data)
    ranked = sorted(members, key=lambda member: ports.get(member.id, base_port + len(entries)))
    return LocalNetwork(folder, genesis_file, built.chain_id, tuple(ranked))


def _node_order(place: str, document: Mapping[str, Any], nodes: int) -> list[str]:
    """Return the ids of the members that run a node, in order."""
    ids = [entry.get("id") for entry in document.get("member", [])]
    order = document.get("local", {}).get("order", ids)
    if sorted(order) != sorted(ids):
        raise Refused(Code.CONFIG_INVALID, f"{place}: local.order: want every member id once")
    if not MIN_NODES <= nodes <= len(order):
        text = f"{nodes} nodes, want {MIN_NODES} to {len(order)} for the members of {place}"
        raise Refused(Code.CONFIG_INVALID, text)
    return list(order[:nodes])


def _make_keys(
    member: LocalMember, folder: Path, valid_from: datetime, make_seed: Callable[[], bytes]
) -> dict[str, str]:
    """Write the member's files; return what its entry in the consortium file says of them."""
    seed = make_seed()
    save_key(member.key_file, seed)
    save_certificate(member.certificate_file, make_member_certificate(seed, member.id, valid_from))
    facts = {"certificate": str(member.certificate_file.relative_to(folder))}
    if member.address is not None and member.node_key_file is not None:
        vote_seed = make_seed()
        save_key(member.node_key_file, vote_seed)
        facts |= {"node_key": SigningKey(vote_seed).public_key.hex(), "address": member.address}
    return facts


def _render(document: Mapping[str, Any]) -> str:
    """Return the consortium file as TOML; its values are texts, lists, numbers, dates and flags."""
    lines = [f"{key} = {_value(document[key])}" for key in _TOP_ORDER if key in document]
    lines.extend(
        f"{key} = {_value(document[key])}" for key in ("rules", "validators") if key in document
    )
    for name in ("settings", "local"):
        if name in document:
            lines += ["", f"[{name}]"]
            lines.extend(f"{key} = {_value(value)}" for key, value in document[name].items())
    for entry in document["member"]:
        lines += ["", "[[member]]"]
        lines.extend(f"{key} = {_value(value)}" for key, value in entry.items())
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a TOML basic string is a JSON string
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
