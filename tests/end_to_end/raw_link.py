"""A link to a node with a right certificate and no manners: raw frames, one after another.

`RawLink` does the TLS handshake as any client or member does and then sends what it is given.
Blocking and bounded: every wait ends after `TIMEOUT_S`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.encoding import decode, encode
from ledger.membership.genesis import Genesis
from network.profile import anchors_of
from network.tls import CLIENT_PROTOCOL

TIMEOUT_S = 300.0


class RawLink:
    """One TLS 1.3 connection with the certificate in `folder`, for `protocol`."""

    def __init__(
        self, address: str, folder: Path, genesis: Genesis, protocol: str = CLIENT_PROTOCOL
    ) -> None:
        host, _, port = address.rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([protocol])
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        anchors = anchors_of(genesis).values()
        context.load_verify_locations(cadata=b"".join(der for held in anchors for der in held))
        plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self._socket = context.wrap_socket(plain)
        self._number = 0

    def __enter__(self) -> RawLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the link without a word."""
        self._socket.close()

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, framed or not."""
        self._socket.sendall(data)

    def send_frame(self, payload: bytes) -> None:
        """Send one frame of any payload."""
        self.send_bytes(len(payload).to_bytes(4, "big") + payload)

    def send_frames(self, payloads: Sequence[bytes]) -> None:
        """Send many frames in one write."""
        self.send_bytes(b"".join(len(p).to_bytes(4, "big") + p for p in payloads))

    def send_until_blocked(self, payload: bytes, count: int) -> int:
        """Send a frame up to `count` times without reading; return how many were taken."""
        self._socket.settimeout(2.0)
        for sent in range(count):
            try:
                self.send_frame(payload)
            except TimeoutError:
                return sent
        return count

    def receive_frame(self) -> bytes | None:
        """Return the next frame's payload, None when the other end has closed."""
        header = self._receive(4)
        return None if header is None else self._receive(int.from_bytes(header, "big"))

    def _receive(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            try:
                part = self._socket.recv(count - len(data))
            except (ConnectionError, ssl.SSLError):
                return None
            if not part:
                return None
            data += part
        return bytes(data)

    def receive_answer(self) -> Any:
        """Return the next response as a value, None when the other end has closed."""
        data = self.receive_frame()
        return None if data is None else decode(data)

    def call(self, method: str, params: Mapping[str, Any]) -> tuple[int, Any]:
        """Return (0, value) or (code, text) of one well-formed request."""
        self._number += 1
        self.send_frame(encode((self._number, method, params)))
        answer = self.receive_answer()
        if answer is None:
            raise ConnectionError("the node closed the link instead of answering")
        if answer[0] != self._number:
            raise ConnectionError(f"answer to {answer[0]}, want {self._number}: {answer}")
        return (0, answer[2]) if answer[1] else (answer[2], answer[3])
