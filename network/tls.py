"""TLS 1.3 both ways, every end pinned to a member's key (DESIGN 6, F67).

The trust anchors are the members' own CA certificates from genesis, nothing of the operating
system. OpenSSL checks chain, dates and the handshake; then `verify_identity` checks that the leaf
was issued by the very member it names, and the caller compares that member with whom it meant to
reach. The application protocol (ALPN, RFC 7301) tells links between nodes from clients, so both
share one port: a peer link takes node certificates alone, a client link client certificates alone.

Host names are not checked: a member may move, its key may not. There are no session tickets, so
nothing outlives a change of anchors; `reload` takes renewed files or other anchors for the links
made from then on. A stream is closed without waiting for the other end's close_notify: frames
carry their length, so a cut is seen where it matters. Server-side TLS 1.3 learns of a refused
client certificate in its own handshake, the client only with its first read (see `frames`).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import trio

from ledger.errors import Code, LocalError, Refused, RemoteError
from network.certificates import (
    ClientIdentity,
    Identity,
    NodeIdentity,
    public_key_of,
    verify_identity,
)

log = logging.getLogger(__name__)

PEER_PROTOCOL = "creditledger-peer/1"
CLIENT_PROTOCOL = "creditledger-client/1"

Anchors: TypeAlias = Mapping[str, Sequence[bytes]]
TlsStream: TypeAlias = "trio.SSLStream[trio.abc.Stream]"


@dataclass(frozen=True, slots=True)
class SecureStream:
    """A stream after its handshake: whom it leads to, and the protocol both agreed on."""

    stream: TlsStream
    identity: Identity
    protocol: str
    address: str


class TlsEndpoint:
    """One party's certificate and key, and the members it trusts; makes and takes secure streams.

    `anchors` maps member id to its CA certificates (DER); `certificate` and `key` are PEM files.
    Raises `LocalError` (1105) when a file cannot be used.
    """

    def __init__(
        self, anchors: Anchors, certificate: Path, key: Path, password: bytes | None = None
    ) -> None:
        self._anchors = dict(anchors)
        self._files = (certificate, key, password)
        self._server, self._clients = self._contexts()

    @property
    def members(self) -> frozenset[str]:
        """The ids of the members whose certificates are trusted."""
        return frozenset(self._anchors)

    def reload(
        self, anchors: Anchors | None = None, files: tuple[Path, Path] | None = None
    ) -> None:
        """Take other anchors, or another certificate with its key, for new handshakes.

        Without `files` the old ones are read again. Links that exist are left alone. When a file
        cannot be used, `LocalError` (1105), everything stays as it was.
        """
        before = self._anchors, self._files
        if anchors is not None:
            self._anchors = dict(anchors)
        if files is not None:
            self._files = (*files, self._files[2])
        try:
            self._server, self._clients = self._contexts()
        except LocalError:
            self._anchors, self._files = before
            raise

    def _contexts(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        server = self._context(ssl.PROTOCOL_TLS_SERVER, [PEER_PROTOCOL, CLIENT_PROTOCOL])
        server.num_tickets = 0
        clients = {
            protocol: self._context(ssl.PROTOCOL_TLS_CLIENT, [protocol])
            for protocol in (PEER_PROTOCOL, CLIENT_PROTOCOL)
        }
        return server, clients

    def _context(self, side: int, protocols: list[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(protocols)
        certificate, key, password = self._files
        try:
            # A password of "" keeps OpenSSL from asking on the terminal.
            context.load_cert_chain(certificate, key, password or b"")
            anchors = b"".join(der for held in self._anchors.values() for der in held)
            context.load_verify_locations(cadata=anchors)
        except (OSError, ValueError) as error:
            raise LocalError(
                Code.KEY_FILE, f"cannot use {certificate} with {key}: {_reason(error)}"
            ) from None
        return context

    async def accept(self, stream: trio.abc.Stream, address: str) -> SecureStream:
        """Do the server's half of the handshake; raise `RemoteError` (5006, 5010)."""
        secured = trio.SSLStream(stream, self._server, server_side=True, https_compatible=True)
        return await self._finish(secured, address)

    async def connect(
        self, stream: trio.abc.Stream, protocol: str, member: str, address: str
    ) -> SecureStream:
        """Do the client's half, and make sure that the other end is the node of `member`."""
        secured = trio.SSLStream(stream, self._clients[protocol], https_compatible=True)
        result = await self._finish(secured, address)
        if result.identity.member != member:
            raise RemoteError(
                address,
                Code.TLS_REFUSED,
                f"certificate of {result.identity.member}, want that of {member}",
            )
        return result

    async def _finish(self, secured: TlsStream, address: str) -> SecureStream:
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            raise link_error(address, error) from None
        protocol = secured.selected_alpn_protocol()
        leaf = secured.getpeercert(binary_form=True)
        if protocol is None or leaf is None:
            raise RemoteError(address, Code.TLS_REFUSED, "no common application protocol")
        try:
            identity = verify_identity(leaf, self._anchors)
        except Refused as error:
            raise RemoteError(address, error.code, error.message) from None
        is_server = bool(secured.server_side)
        want = ClientIdentity if protocol == CLIENT_PROTOCOL and is_server else NodeIdentity
        if not isinstance(identity, want):
            raise RemoteError(address, Code.TLS_REFUSED, f"{identity} may not use {protocol}")
        return SecureStream(secured, identity, protocol, address)


def link_error(peer: str, error: BaseException) -> RemoteError:
    """Return what a broken TLS stream means: refused by TLS (5006), or lost (5010)."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLSyscallError):
        return RemoteError(peer, Code.CONNECTION_LOST, "connection closed by the other end")
    if isinstance(cause, ssl.SSLError):
        return RemoteError(peer, Code.TLS_REFUSED, f"tls refused: {_reason(cause)}")
    return RemoteError(peer, Code.CONNECTION_LOST, "connection lost")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "wrong password or damaged file"


def usable_anchors(certificates: Mapping[str, bytes]) -> dict[str, tuple[bytes, ...]]:
    """Return the certificates by member that this TLS library takes as anchors.

    Certificates come from the chain, where only their key has been looked at: one that does not
    parse leaves its own member without links and everybody else alone.
    """
    usable: dict[str, tuple[bytes, ...]] = {}
    for member, der in certificates.items():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
            public_key_of(der)
        except (ValueError, OSError, Refused):
            log.warning("the certificate of %s in the chain is unusable", member)
        else:
            usable[member] = (der,)
    return usable
