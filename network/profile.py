"""A client's profile: a folder that says who asks, which nodes, and what to trust.

`client.toml` names the member whose key issued the TLS certificate, who signs transactions (the
member itself, or a company under its own code), the files, and the nodes in the order in which
they are asked: the own department's first. Paths are relative to the folder.

    member = "tax"
    sender = "tax"                     # optional, the member if absent
    chain_id = "5f3c…"                 # optional, compared with the genesis document's
    genesis = "../../genesis.bin"
    tls_certificate = "tls.crt"
    tls_key = "tls.key"
    signing_key = "signing.key"        # optional: without it, questions only
    [[node]]
    member = "tax"
    address = "127.0.0.1:7101"

Validators and the chain id come from the genesis document alone, whose hash is the chain. Anchors
of TLS come from there too, and from `anchors.bin` where members have come or rotated their keys
since: `member trust` writes it from what the network proves (`network.members`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.chain.certificate import weak_quorum
from ledger.chain.receipt import Validators
from ledger.encoding import decode, encode
from ledger.errors import Code, LocalError, Refused
from ledger.keys import SigningKey
from ledger.membership.genesis import Genesis, parse_genesis
from network.certificates import load_key, public_key_of
from network.tls import Anchors, TlsEndpoint

CONFIG_FILE = "client.toml"
ANCHORS_FILE = "anchors.bin"
ANCHORS_FORMAT = "creditledger/anchors/1"
_KEYS = {
    "member",
    "sender",
    "chain_id",
    "genesis",
    "tls_certificate",
    "tls_key",
    "signing_key",
    "node",
}


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A member's node, and where it listens."""

    member: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything a client needs; `signing_key` None can ask but not submit."""

    member: str
    sender: str
    genesis: Genesis
    nodes: tuple[NodeAddress, ...]
    tls: TlsEndpoint
    signing_key: SigningKey | None

    @property
    def chain_id(self) -> bytes:
        """The 32-byte id of the chain: the hash of its genesis document."""
        return self.genesis.chain_id

    @property
    def validators(self) -> Validators:
        """The members whose nodes certify at genesis, with their keys, in order.

        Who certifies later follows from them by the changes that receipts carry.
        """
        return self.genesis.validator_keys()

    @property
    def weak_quorum(self) -> int:
        """W = f+1: among so many nodes at least one is honest."""
        return weak_quorum(len(self.genesis.validators))

    @classmethod
    def load(cls, folder: Path, password: bytes | None = None) -> Profile:
        """Read a profile's folder; raise `LocalError` 7003 or 1105, `Refused` 7001 or 7002."""
        path = folder / CONFIG_FILE
        config = _read_toml(path)
        unknown = sorted(set(config) - _KEYS)
        if unknown:
            raise LocalError(Code.CONFIG_INVALID, f"{path}: unknown key {unknown[0]}")
        member = _text(path, config, "member")
        genesis = _genesis(path, config)
        key_file = config.get("signing_key")
        signing = None
        if key_file is not None:
            name = _text(path, config, "signing_key")
            signing = SigningKey(load_key(folder / name, password))
        tls = TlsEndpoint(
            {**anchors_of(genesis), **load_anchors(folder, genesis.chain_id)},
            folder / _text(path, config, "tls_certificate"),
            folder / _text(path, config, "tls_key"),
            password,
        )
        sender = _text(path, config, "sender") if "sender" in config else member
        return cls(member, sender, genesis, _nodes(path, config), tls, signing)


def anchors_of(genesis: Genesis) -> Anchors:
    """Return the TLS trust anchors of a genesis document: member id to its certificates (DER).

    Raises `Refused` (7002) for a certificate that is not of its member's key.
    """
    for member in genesis.members:
        if public_key_of(member.certificate) != member.public_key:
            raise Refused(
                Code.GENESIS_INVALID, f"certificate of {member.id} is not of its public key"
            )
    return {member.id: (member.certificate,) for member in genesis.members}


def save_anchors(folder: Path, chain_id: bytes, anchors: Mapping[str, bytes]) -> None:
    """Keep the certificates (DER) of members as they are now; an empty one: removed since."""
    data = encode({"format": ANCHORS_FORMAT, "chain_id": chain_id, "members": dict(anchors)})
    temporary = folder / f"{ANCHORS_FILE}.new"
    temporary.write_bytes(data)
    temporary.replace(folder / ANCHORS_FILE)


def load_anchors(folder: Path, chain_id: bytes) -> dict[str, tuple[bytes, ...]]:
    """Return the certificates that were kept, none of a removed member; empty without a file.

    Raises `LocalError` (7003) for a file that is of another chain or not of its form.
    """
    path = folder / ANCHORS_FILE
    kept: dict[str, tuple[bytes, ...]] = {}
    if not path.exists():
        return kept
    try:
        value = decode(path.read_bytes())
        members = value["members"]
        is_ours = value["format"] == ANCHORS_FORMAT and value["chain_id"] == chain_id
        kept = {str(name): (bytes(der),) if der else () for name, der in members.items()}
    except (Refused, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours:
        raise LocalError(
            Code.CONFIG_INVALID, f"{path} is not of this chain: remove it, then member trust"
        )
    return kept


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`; raise `LocalError` (7003)."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise LocalError(Code.CONFIG_INVALID, f"address {text!r}, want host:port")
    return host, int(port)


def write_profile(
    folder: Path,
    *,
    member: str,
    genesis: str,
    nodes: Sequence[tuple[str, str]],
    sender: str | None = None,
    signing_key: str | None = None,
    tls_certificate: str = "tls.crt",
    tls_key: str = "tls.key",
) -> None:
    """Write `client.toml`; `nodes` are (member, host:port), files are relative to the folder."""
    entries = {
        "member": member,
        "sender": sender or member,
        "genesis": genesis,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
    }
    if signing_key is not None:
        entries["signing_key"] = signing_key
    lines = [f"{key} = {_quoted(value)}" for key, value in entries.items()]
    for node, address in nodes:
        parse_address(address)
        lines += ["", "[[node]]", f"member = {_quoted(node)}", f"address = {_quoted(address)}"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    if any(char in "\"\\'" or ord(char) < 0x20 for char in text):
        raise LocalError(Code.CONFIG_INVALID, f"{text!r} cannot stand in {CONFIG_FILE}")
    return f'"{text}"'


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalError(Code.CONFIG_INVALID, f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LocalError(Code.CONFIG_INVALID, f"{path}: {error}") from None


def _text(path: Path, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise LocalError(Code.CONFIG_INVALID, f"{path}: {key} is missing or not a text")
    return value


def _genesis(path: Path, config: Mapping[str, Any]) -> Genesis:
    file = path.parent / _text(path, config, "genesis")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise LocalError(Code.CONFIG_INVALID, f"cannot read {file}: {error.strerror}") from None
    try:
        genesis = parse_genesis(data)
    except Refused as error:
        raise Refused(error.code, f"{file}: {error.message}") from None
    stated = config.get("chain_id", genesis.chain_id.hex())
    if stated != genesis.chain_id.hex():
        raise LocalError(
            Code.CONFIG_INVALID, f"{file} is of chain {genesis.chain_id.hex()}, want {stated}"
        )
    return genesis


def _nodes(path: Path, config: Mapping[str, Any]) -> tuple[NodeAddress, ...]:
    entries = config.get("node")
    if not isinstance(entries, list) or not entries:
        raise LocalError(Code.CONFIG_INVALID, f"{path}: no [[node]] to connect to")
    nodes = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"member", "address"}:
            raise LocalError(Code.CONFIG_INVALID, f"{path}: a [[node]] wants member and address")
        host, port = parse_address(_text(path, entry, "address"))
        nodes.append(NodeAddress(_text(path, entry, "member"), host, port))
    return tuple(nodes)
