"""Keys and certificates of a node's home while it lives: joining, renewing, rotating, re-entering.

A node key is made together with its vote log, in the home, and never copied there: a key without
its votes does not vote (rule 46). A home may be in use meanwhile; its node takes up a certificate
within seconds, and a key when the chain has it in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from commands.files import read_bytes
from commands.homes.making import KEY_FILES, config_text
from commands.profiles import issue_tls
from ledger.errors import Code, LocalError
from ledger.execution import execute_genesis
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from ledger.membership.possession import KeyRole, prove_possession
from ledger.storage.files import DiskFiles
from ledger.storage.home import (
    HomeLayout,
    add_vote_log,
    create_database,
    create_home,
    write_checksums,
)
from network import certificates
from network.certificates import NodeIdentity
from network.leaves import add_leaf


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made for a member, and the proof that its holder has it."""

    member: str
    public_key: bytes
    proof: bytes

    def to_value(self) -> dict[str, str | bytes]:
        """Return the fields of a change that brings it."""
        return {"member": self.member, "public_key": self.public_key, "proof": self.proof}


def join_home(
    folder: Path,
    *,
    member: str,
    genesis_file: Path,
    member_folder: Path,
    listen: str,
    metrics: str | None,
    peers: Mapping[str, str],
    password: bytes | None,
) -> NewKey:
    """Make the home of a node that is not in the genesis document, with a new node key.

    Raises `LocalError` (1105, 6103, 8001), `Refused` (7001, 7002), `StorageError` (6002, 6003).
    """
    genesis = parse_genesis(read_bytes(genesis_file))
    seed = certificates.new_seed()
    key = SigningKey(seed)
    with TemporaryDirectory(dir=folder.resolve().parent, prefix=".join-") as name:
        made = Path(name)
        certificates.save_key(made / "node.key", seed, password)
        issue_tls(made, member_folder, NodeIdentity(member), password)
        create_home(
            folder,
            config=config_text(member, listen, metrics, "json", peers),
            genesis=genesis.data,
            keys={file: read_bytes(made / file) for file in KEY_FILES},
            node_public_key=key.public_key,
            database=execute_genesis(genesis).writes,
        )
    return NewKey(
        member, key.public_key, prove_possession(key, genesis.chain_id, member, KeyRole.NODE)
    )


def add_node_key(home: Path, member: str, chain_id: bytes, password: bytes | None) -> NewKey:
    """Add another node key to a home, with an empty vote log of its own (rule 47)."""
    layout, seed = _layout(home), certificates.new_seed()
    key = SigningKey(seed)
    add_vote_log(layout, key.public_key)
    name = f"node-{key.public_key.hex()[:16]}.key"
    certificates.save_key(layout.keys / name, seed, password)
    write_checksums(layout, DiskFiles())
    return NewKey(member, key.public_key, prove_possession(key, chain_id, member, KeyRole.NODE))


def add_certificate(
    home: Path, member: str, member_folder: Path, days: int, password: bytes | None
) -> tuple[Path, datetime]:
    """Add another TLS certificate to a home; return its file and the end of its validity."""
    layout, now = _layout(home), datetime.now(UTC)
    path = add_leaf(
        layout.keys,
        member_certificate=certificates.load_certificate(member_folder / "member.crt"),
        member_seed=certificates.load_key(member_folder / "member.key", password),
        identity=NodeIdentity(member),
        now=now,
        days=days,
        password=password,
    )
    write_checksums(layout, DiskFiles())
    return path, now + timedelta(days=days)


def add_database(home: Path) -> bool:
    """Give a home without any database that of genesis; tell whether it had none.

    One that is there stays as it is, damaged or not.
    """
    layout = _layout(home)
    if layout.database.exists() and any(layout.database.iterdir()):
        return False
    create_database(layout, execute_genesis(parse_genesis(read_bytes(layout.genesis))).writes)
    return True


def has_certificate(home: Path) -> bool:
    """Tell whether a home holds a TLS certificate."""
    return any(HomeLayout(home).keys.glob("tls*.crt"))


def make_member_key(
    out: Path, member: str, chain_id: bytes, password: bytes | None
) -> tuple[NewKey, bytes]:
    """Make the next key of a member in `out`; return it with its certificate (DER)."""
    seed = certificates.new_seed()
    key = SigningKey(seed)
    certificate = certificates.make_member_certificate(seed, member, datetime.now(UTC))
    certificates.save_key(out / "member.key", seed, password)
    certificates.save_certificate(out / "member.crt", certificate)
    proof = prove_possession(key, chain_id, member, KeyRole.MEMBER)
    return NewKey(member, key.public_key, proof), certificate


def _layout(home: Path) -> HomeLayout:
    layout = HomeLayout(home)
    if not layout.config.exists():
        raise LocalError(Code.HOME_INCOMPLETE, f"{home} is no home: make one first")
    return layout
