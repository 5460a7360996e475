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

from commands.session import CLIENTS, GENESIS, profile_folder
from ledger.keys import SigningKey
from network import certificates
from network.certificates import ClientIdentity
from network.profile import write_profile

SIGNING_KEY = "signing.key"

# (member id, "host:port") of the nodes to ask, in order.
Nodes = Sequence[tuple[str, str]]


def make_member_profile(net: Path, member: str, member_folder: Path, nodes: Nodes) -> None:
    """Make the profile of a member whose key lies in `member_folder`."""
    folder = net / CLIENTS / member
    _issue(folder, member_folder, ClientIdentity(member, "cli"), None)
    write_profile(
        folder,
        member=member,
        genesis=_relative(net / GENESIS, folder),
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
    _issue(folder, member_folder, ClientIdentity(member, company), password)
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


def _issue(
    folder: Path, member_folder: Path, identity: ClientIdentity, password: bytes | None
) -> None:
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
