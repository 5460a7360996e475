"""Profiles in a network's folder: who may act from here, through which node.

NET/clients/ID/ holds `client.toml` with a TLS key and certificate of its own. A member's profile
signs with the member's key; a company's has a key of its own (`signing.key`), which the registrar
binds to its code, and a TLS certificate by the member at whose counter it was made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from commands.files import read_bytes
from commands.session import CLIENTS, GENESIS, profile_folder
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from network import certificates
from network.certificates import ClientIdentity, Identity
from network.profile import write_profile

SIGNING_KEY = "signing.key"

# (member id, "host:port") of the nodes to ask, in order.
Nodes = Sequence[tuple[str, str]]


def nodes_of(genesis_file: Path, member: str) -> Nodes:
    """Return the nodes of a genesis document, the member's own first."""
    members = parse_genesis(read_bytes(genesis_file)).members
    nodes = [(item.id, item.node.address) for item in members if item.node is not None]
    return sorted(nodes, key=lambda node: node[0] != member)


def make_profile(
    folder: Path,
    member: str,
    name: str,
    member_folder: Path,
    genesis_file: Path,
    nodes: Nodes,
    password: bytes | None = None,
) -> None:
    """Make the profile of a member's client `name`; it signs with the key in `member_folder`."""
    issue_tls(folder, member_folder, ClientIdentity(member, name), password)
    write_profile(
        folder,
        member=member,
        genesis=_relative(genesis_file, folder),
        nodes=nodes,
        signing_key=_relative(member_folder / "member.key", folder),
    )


def make_company_profile(
    net: Path, company: str, member: str, member_folder: Path, nodes: Nodes, password: bytes | None
) -> bytes:
    """Make a key and a profile for a company, its TLS certificate by `member`; return the key.

    The returned 32 bytes are the public key, which the registrar binds to the company's code.
    """
    folder = net / CLIENTS / company
    seed = certificates.new_seed()
    certificates.save_key(folder / SIGNING_KEY, seed, password)
    issue_tls(folder, member_folder, ClientIdentity(member, company), password)
    write_profile(
        folder,
        member=member,
        sender=company,
        genesis=_relative(net / GENESIS, folder),
        nodes=nodes,
        signing_key=SIGNING_KEY,
    )
    return SigningKey(seed).public_key


def public_key_of(net: Path, company: str, password: bytes | None = None) -> bytes:
    """Return the public key of a company's profile here; raise `LocalError` (8004, 1105)."""
    seed = certificates.load_key(profile_folder(net, company) / SIGNING_KEY, password)
    return SigningKey(seed).public_key


def issue_tls(
    folder: Path, member_folder: Path, identity: Identity, password: bytes | None
) -> None:
    """Make tls.key and tls.crt for `identity` in `folder`, issued by the member's key."""
    certificates.issue_to_files(
        folder / "tls.crt",
        folder / "tls.key",
        member_certificate=certificates.load_certificate(member_folder / "member.crt"),
        member_seed=certificates.load_key(member_folder / "member.key", password),
        identity=identity,
        valid_from=datetime.now(UTC),
        password=password,
    )


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)
