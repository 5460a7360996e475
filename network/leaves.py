"""The certificates of a node's TLS keys: several may lie in its home, the right one is in use.

A leaf is `tls.crt` or `tls-NAME.crt` in the folder of keys, beside its key of the same name, which
is written before it. So renewing is adding two files: nothing is overwritten, and certificate and
key fit at every moment. In use is the one that the member's certificate in force issued and that is
valid longest. A leaf by the member's next key may lie there ahead of a change of that key: it comes
into use when the change is in the chain, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ledger.errors import Code, LocalError
from network.certificates import (
    LEAF_DAYS,
    Identity,
    expires_at,
    is_issued_by,
    issue_to_files,
    load_certificate,
)

_PATTERN = "tls*.crt"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf certificate with its key, as files, and the end of its validity (UTC)."""

    certificate: Path
    key: Path
    expires: datetime
    is_issued: bool

    @property
    def files(self) -> tuple[Path, Path]:
        """Certificate and key, as `TlsEndpoint` takes them."""
        return self.certificate, self.key

    @property
    def expires_ms(self) -> int:
        """The end of its validity in ms since 1970."""
        return int(self.expires.timestamp()) * 1000


def choose_leaf(folder: Path, issuers: Sequence[bytes]) -> Leaf:
    """Return the leaf in `folder` to use while `issuers` (DER) are its member's certificates.

    Where none of them issued any, the one that is valid longest: peers will say what they miss.
    Raises `LocalError` (1105) when there is no leaf with a key.
    """
    leaves = []
    for path in sorted(folder.glob(_PATTERN)):
        key = path.with_suffix(".key")
        if key.exists():
            certificate = load_certificate(path)
            is_issued = any(is_issued_by(certificate, issuer) for issuer in issuers)
            leaves.append(Leaf(path, key, expires_at(certificate), is_issued))
    if not leaves:
        raise LocalError(
            Code.KEY_FILE, f"{folder} holds no tls.crt with its tls.key: issue one for this node"
        )
    return max(leaves, key=lambda leaf: (leaf.is_issued, leaf.expires, leaf.certificate.name))


def add_leaf(
    folder: Path,
    *,
    member_certificate: bytes,
    member_seed: bytes,
    identity: Identity,
    now: datetime,
    days: int = LEAF_DAYS,
    password: bytes | None = None,
) -> Path:
    """Issue another leaf into `folder` and return its certificate's path (`LocalError` 1105)."""
    stem = f"tls-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    taken = len(list(folder.glob(f"{stem}*.key")))
    path = folder / f"{stem}-{taken}.crt"
    issue_to_files(
        path,
        path.with_suffix(".key"),
        member_certificate=member_certificate,
        member_seed=member_seed,
        identity=identity,
        valid_from=now,
        days=days,
        password=password,
    )
    return path
