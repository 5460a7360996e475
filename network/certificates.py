"""Certificates and key files: who may speak for a member, and how its keys lie on disk (DESIGN 6).

A member's Ed25519 key signs a certificate of its own (a CA of path length 0) that stands in
genesis. With the same key the member issues leaf certificates over fresh Ed25519 TLS keys, one for
its node and one for each client program. The name is in a single subject alternative name, a URI:
`creditledger:node:<member>` or `creditledger:client:<member>:<name>`. `verify_identity` accepts a
leaf only if the very member that it names issued it directly; so no member can make a certificate
for another, whatever the TLS library accepts. TLS keeps real time (DESIGN 11): validity is UTC.

Keys are PKCS #8 PEM, encrypted when a password is given, in files of mode 0600 that are never
overwritten. Every failure about a file is `LocalError` 1105 and says which file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger.errors import Code, CreditLedgerError, LocalError, Refused
from ledger.keys import SEED_BYTES
from ledger.transactions.envelope import check_name

MEMBER_DAYS = 3653
LEAF_DAYS = 397
_BACKDATE = timedelta(minutes=5)  # a peer's clock may be a little behind
_SCHEME = "creditledger"
_MAX_CERTIFICATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The node of a member, as its certificate names it."""

    member: str

    def __str__(self) -> str:
        return f"{_SCHEME}:node:{self.member}"


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client program of a member, as its certificate names it."""

    member: str
    name: str

    def __str__(self) -> str:
        return f"{_SCHEME}:client:{self.member}:{self.name}"


Identity: TypeAlias = NodeIdentity | ClientIdentity


def new_seed() -> bytes:
    """Return 32 fresh random bytes: the seed of a new Ed25519 key (RFC 8032)."""
    return os.urandom(SEED_BYTES)


def make_member_certificate(
    seed: bytes, member: str, valid_from: datetime, days: int = MEMBER_DAYS
) -> bytes:
    """Return the member's self-signed CA certificate (DER); the same arguments, the same bytes."""
    check_name("member", member)
    key = _private_key(seed)
    name = _name(member)
    public = key.public_key()
    builder = _builder(name, name, public, valid_from, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(is_ca=True), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(public), critical=False
    )
    return _sign(builder, key)


def issue_certificate(
    member_certificate: bytes,
    member_seed: bytes,
    identity: Identity,
    public_key: bytes,
    valid_from: datetime,
    days: int = LEAF_DAYS,
) -> bytes:
    """Return a leaf certificate (DER) for `identity` over the 32-byte TLS `public_key`.

    Raises `LocalError` (1105) when the member's certificate is not of its key or names another.
    """
    issuer = _parse(member_certificate)
    key = _private_key(member_seed)
    if _raw(issuer.public_key()) != _raw(key.public_key()) or issuer.subject != _name(
        identity.member
    ):
        raise LocalError(Code.KEY_FILE, f"certificate and key are not those of {identity.member}")
    leaf_key = Ed25519PublicKey.from_public_bytes(public_key)
    builder = _builder(_name(str(identity)), issuer.subject, leaf_key, valid_from, days)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    builder = builder.add_extension(_key_usage(is_ca=False), critical=True)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if isinstance(identity, NodeIdentity):
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=False
    )
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(leaf_key), critical=False
    )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    return _sign(builder, key)


def public_key_of(certificate: bytes) -> bytes:
    """Return the raw 32-byte Ed25519 key of a DER certificate; raise `Refused` (5006) otherwise."""
    key = _parse(certificate).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(Code.TLS_REFUSED, "certificate key is not Ed25519")
    return _raw(key)


def expires_at(certificate: bytes) -> datetime:
    """Return the end (UTC) of a DER certificate's validity."""
    return _parse(certificate).not_valid_after_utc


def is_issued_by(leaf: bytes, issuer: bytes) -> bool:
    """Tell whether the key of one DER certificate signed the other, dates aside."""
    try:
        _parse(leaf).verify_directly_issued_by(_parse(issuer))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def verify_identity(leaf: bytes, anchors: Mapping[str, Sequence[bytes]]) -> Identity:
    """Return whom a DER leaf names, if a certificate of that very member issued it directly.

    `anchors` maps member id to its DER certificates (several while a key rotates). Dates are the
    TLS library's business. Raises `Refused` (5006).
    """
    certificate = _parse(leaf)
    identity = _identity(certificate)
    if identity.member not in anchors:
        raise Refused(Code.TLS_REFUSED, f"certificate of {identity.member}, who is no member")
    for anchor in anchors[identity.member]:
        if is_issued_by(leaf, anchor):
            return identity
    raise Refused(Code.TLS_REFUSED, f"certificate names {identity.member}, who did not issue it")


def _identity(certificate: x509.Certificate) -> Identity:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        raise Refused(Code.TLS_REFUSED, "certificate has no readable subject name") from None
    if len(uris) != 1 or len(extension.value) != 1:
        raise Refused(Code.TLS_REFUSED, f"certificate with {len(uris)} subject URIs, want 1")
    parts = uris[0].split(":")
    try:
        for part in parts[2:]:
            check_name("certificate name", part)
    except CreditLedgerError as error:
        raise Refused(Code.TLS_REFUSED, error.message) from None
    if parts[:2] == [_SCHEME, "node"] and len(parts) == 3:
        return NodeIdentity(parts[2])
    if parts[:2] == [_SCHEME, "client"] and len(parts) == 4:
        return ClientIdentity(parts[2], parts[3])
    raise Refused(Code.TLS_REFUSED, "certificate names neither a node nor a client of this ledger")


def _name(text: str) -> x509.Name:
    # A common name holds at most 64 characters; the identity that counts is in the URI.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[-64:])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: Ed25519PublicKey,
    valid_from: datetime,
    days: int,
) -> x509.CertificateBuilder:
    start = valid_from.astimezone(UTC).replace(microsecond=0)
    seed = _raw(public_key) + issuer.public_bytes() + str(start).encode() + str(days).encode()
    # 159 bits of a hash: unique, positive, and the same for the same genesis (RFC 5280, 4.1.2.2).
    serial = int.from_bytes(sha256(seed).digest()[:20], "big") >> 1 | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(start - _BACKDATE)
        .not_valid_after(start + timedelta(days=days))
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: Ed25519PrivateKey) -> bytes:
    return builder.sign(key, None).public_bytes(serialization.Encoding.DER)


def _private_key(seed: bytes) -> Ed25519PrivateKey:
    if len(seed) != SEED_BYTES:
        raise LocalError(Code.KEY_MALFORMED, f"seed of {len(seed)} bytes, want {SEED_BYTES}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _raw(key: object) -> bytes:
    if not isinstance(key, Ed25519PublicKey):
        return b""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _parse(der: bytes) -> x509.Certificate:
    if len(der) > _MAX_CERTIFICATE_BYTES:
        raise Refused(Code.TLS_REFUSED, f"certificate of {len(der)} bytes, want at most 65536")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(Code.TLS_REFUSED, "certificate does not parse") from None


# Files ------------------------------------------------------------------------------------------


def save_key(path: Path, seed: bytes, password: bytes | None = None) -> None:
    """Write a key to a new file of mode 0600, encrypted if a password is given."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    pem = _private_key(seed).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    _write_new(path, pem, 0o600)


def load_key(path: Path, password: bytes | None = None) -> bytes:
    """Return the seed in a key file; raise `LocalError` (1105): absent, open to others, locked."""
    pem = _read(path)
    is_encrypted = b"ENCRYPTED" in pem
    if not is_encrypted and path.stat().st_mode & 0o077:
        raise LocalError(Code.KEY_FILE, f"key file {path} can be read by others: chmod 600 {path}")
    if is_encrypted and not password:
        raise LocalError(Code.KEY_FILE, f"key file {path} is encrypted: give its password")
    try:
        key = serialization.load_pem_private_key(pem, password if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        text = "wrong password or damaged file" if is_encrypted else "not a PKCS #8 PEM key"
        raise LocalError(Code.KEY_FILE, f"key file {path}: {text}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise LocalError(Code.KEY_FILE, f"key file {path} holds no Ed25519 key")
    return key.private_bytes_raw()


def save_certificate(path: Path, certificate: bytes) -> None:
    """Write a DER certificate as a new PEM file."""
    _write_new(path, _parse(certificate).public_bytes(serialization.Encoding.PEM), 0o644)


def load_certificate(path: Path) -> bytes:
    """Return the DER certificate in a PEM file; raise `LocalError` (1105)."""
    try:
        certificate = x509.load_pem_x509_certificate(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise LocalError(Code.KEY_FILE, f"certificate file {path} does not parse") from None
    return certificate.public_bytes(serialization.Encoding.DER)


def issue_to_files(
    certificate_path: Path,
    key_path: Path,
    *,
    member_certificate: bytes,
    member_seed: bytes,
    identity: Identity,
    valid_from: datetime,
    days: int = LEAF_DAYS,
    password: bytes | None = None,
) -> None:
    """Make a fresh TLS key and its leaf certificate for `identity`, as two new files."""
    seed = new_seed()
    public_key = _raw(_private_key(seed).public_key())
    leaf = issue_certificate(
        member_certificate, member_seed, identity, public_key, valid_from, days
    )
    save_key(key_path, seed, password)
    save_certificate(certificate_path, leaf)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise LocalError(
            Code.KEY_FILE, f"{path} exists; keys and certificates are never overwritten"
        ) from None
    except OSError as error:
        raise LocalError(Code.KEY_FILE, f"cannot write {path}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CERTIFICATE_BYTES)
    except OSError as error:
        raise LocalError(Code.KEY_FILE, f"cannot read {path}: {error.strerror}") from None
