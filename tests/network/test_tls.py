"""TLS 1.3 with certificates both ways, each end pinned to its member (F67)."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from ledger.errors import Code, LocalError, RemoteError
from network.certificates import ClientIdentity, NodeIdentity
from network.frames import PEER_LINK, FrameLink
from network.tls import CLIENT_PROTOCOL, PEER_PROTOCOL, SecureStream, TlsEndpoint
from tests.network.support import LONG_AGO, Consortium, run


def shake(
    server: TlsEndpoint, client: TlsEndpoint, protocol: str, member: str
) -> tuple[SecureStream | RemoteError, SecureStream | RemoteError]:
    """Return what each end made of a handshake, the client's after its first read."""
    results: dict[str, SecureStream | RemoteError] = {}

    async def accept(stream: trio.abc.Stream) -> None:
        try:
            results["server"] = await server.accept(stream, "here")
        except RemoteError as error:
            results["server"] = error
            await trio.aclose_forcefully(stream)

    async def connect(stream: trio.abc.Stream) -> None:
        try:
            results["client"] = await client.connect(stream, protocol, member, "there")
        except RemoteError as error:
            results["client"] = error
            await trio.aclose_forcefully(stream)

    async def both() -> None:
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, far)
            nursery.start_soon(connect, near)
        secured = results["client"]
        if isinstance(results["server"], RemoteError) and isinstance(secured, SecureStream):
            # The refusal reaches a TLS 1.3 client as the end of the stream.
            assert await FrameLink(secured.stream, PEER_LINK, "there").receive() == []
            results["client"] = RemoteError("there", Code.CONNECTION_LOST, "closed")

    run(both)
    return results["server"], results["client"]


def test_both_ends_know_each_other(consortium: Consortium) -> None:
    server, client = shake(
        consortium.node("tax"), consortium.node("transport"), PEER_PROTOCOL, "tax"
    )
    assert isinstance(server, SecureStream)
    assert isinstance(client, SecureStream)
    assert (server.identity, client.identity) == (NodeIdentity("transport"), NodeIdentity("tax"))
    assert server.protocol == client.protocol == PEER_PROTOCOL
    assert server.stream.version() == "TLSv1.3"
    assert not client.stream.session_reused


def test_client_certificate_is_served_as_client(consortium: Consortium) -> None:
    server, _ = shake(
        consortium.node("tax"), consortium.client("transport"), CLIENT_PROTOCOL, "tax"
    )
    assert isinstance(server, SecureStream)
    assert server.identity == ClientIdentity("transport", "cli")


def test_f67_wrong_member_behind_the_address_is_refused(consortium: Consortium) -> None:
    _, client = shake(
        consortium.node("treasury"), consortium.node("transport"), PEER_PROTOCOL, "tax"
    )
    assert isinstance(client, RemoteError)
    assert client.code == Code.TLS_REFUSED
    assert client.message == "certificate of treasury, want that of tax"


def test_client_may_not_use_the_peer_protocol(consortium: Consortium) -> None:
    server, _ = shake(consortium.node("tax"), consortium.client("transport"), PEER_PROTOCOL, "tax")
    assert isinstance(server, RemoteError)
    assert server.message == "creditledger:client:transport:cli may not use creditledger-peer/1"


def test_node_may_not_pose_as_client(consortium: Consortium) -> None:
    server, _ = shake(consortium.node("tax"), consortium.node("transport"), CLIENT_PROTOCOL, "tax")
    assert isinstance(server, RemoteError)
    assert "may not use" in server.message


def test_client_program_cannot_serve_as_the_node(consortium: Consortium) -> None:
    _, client = shake(consortium.client("tax"), consortium.node("transport"), PEER_PROTOCOL, "tax")
    assert isinstance(client, RemoteError)
    assert client.code == Code.TLS_REFUSED


def test_f67_expired_certificate_is_refused_at_both_ends(consortium: Consortium) -> None:
    old = TlsEndpoint(
        consortium.anchors, *consortium.files(NodeIdentity("tax"), valid_from=LONG_AGO)
    )
    server, client = shake(consortium.node("transport"), old, PEER_PROTOCOL, "transport")
    assert isinstance(server, RemoteError)
    assert (server.code, server.message) == (
        Code.TLS_REFUSED,
        "tls refused: certificate has expired",
    )
    assert isinstance(client, RemoteError)
    assert client.code == Code.CONNECTION_LOST
    _, client = shake(old, consortium.node("transport"), PEER_PROTOCOL, "tax")
    assert isinstance(client, RemoteError)
    assert client.message == "tls refused: certificate has expired"


@pytest.mark.parametrize("name", ["stranger", "transport"])
def test_certificate_of_another_root_is_refused(
    consortium: Consortium, tmp_path: Path, name: str
) -> None:
    others = Consortium(tmp_path, (name,), salt="other")
    stranger = TlsEndpoint(consortium.anchors, *others.files(NodeIdentity(name)))
    server, client = shake(consortium.node("tax"), stranger, PEER_PROTOCOL, "tax")
    assert isinstance(server, RemoteError)
    assert server.code == Code.TLS_REFUSED
    assert isinstance(client, RemoteError)


def hostile(context: ssl.SSLContext, endpoint: TlsEndpoint) -> RemoteError:
    """Return what the server says to a client with a context of its own."""

    async def attempt() -> RemoteError:
        near, far = memory_stream_pair()
        caught: list[RemoteError] = []

        async def accept() -> None:
            try:
                await endpoint.accept(far, "here")
            except RemoteError as error:
                caught.append(error)
            await trio.aclose_forcefully(far)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            stream = trio.SSLStream(near, context, https_compatible=True)
            with suppress(trio.BrokenResourceError):  # or the clean end, which says the same
                await stream.do_handshake()
                assert await stream.receive_some() == b""
        return caught[0]

    return run(attempt)


def _context(consortium: Consortium) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(*consortium.files(NodeIdentity("transport")))
    context.set_alpn_protocols([PEER_PROTOCOL])
    return context


def test_f67_tls_1_2_is_refused(consortium: Consortium) -> None:
    context = _context(consortium)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    error = hostile(context, consortium.node("tax"))
    assert error.code == Code.TLS_REFUSED
    assert "unsupported protocol" in error.message


def test_no_certificate_is_refused(consortium: Consortium) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([PEER_PROTOCOL])
    error = hostile(context, consortium.node("tax"))
    assert "peer did not return a certificate" in error.message


@pytest.mark.parametrize("protocols", [[], ["h2"]])
def test_other_protocols_are_refused(consortium: Consortium, protocols: list[str]) -> None:
    context = _context(consortium)
    context.set_alpn_protocols(protocols)
    error = hostile(context, consortium.node("tax"))
    assert error.code == Code.TLS_REFUSED
    assert error.message == "no common application protocol"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\x00\x00\x00\x05hello"])
def test_f67_plaintext_is_refused(consortium: Consortium, data: bytes) -> None:
    async def attempt() -> None:
        near, far = memory_stream_pair()
        await near.send_all(data)
        with pytest.raises(RemoteError) as refusal:
            await consortium.node("tax").accept(far, "here")
        assert refusal.value.code == Code.TLS_REFUSED

    run(attempt)


def test_reload_takes_renewed_files_and_drops_a_member(consortium: Consortium) -> None:
    endpoint = TlsEndpoint(consortium.anchors, *consortium.files(NodeIdentity("tax")))
    left = {name: held for name, held in consortium.anchors.items() if name != "transport"}
    endpoint.reload(left)
    server, _ = shake(endpoint, consortium.node("transport"), PEER_PROTOCOL, "tax")
    assert isinstance(server, RemoteError)
    assert server.code == Code.TLS_REFUSED
    server, _ = shake(endpoint, consortium.node("treasury"), PEER_PROTOCOL, "tax")
    assert isinstance(server, SecureStream)


def test_files_that_cannot_be_used_are_named(consortium: Consortium, tmp_path: Path) -> None:
    certificate, _ = consortium.files(NodeIdentity("tax"))
    _, key = consortium.files(NodeIdentity("tax"))
    for pair in [(certificate, key), (tmp_path / "absent.crt", key), (key, certificate)]:
        with pytest.raises(LocalError, match=r"cannot use .*\.(crt|key) with") as failure:
            TlsEndpoint(consortium.anchors, *pair)
        assert failure.value.code == Code.KEY_FILE
