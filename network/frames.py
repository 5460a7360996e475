"""Frames on a stream: a length of four bytes, big-endian, then that many bytes (F63, F64).

A length of 0 or above the link's cap is refused before anything is kept for it; memory grows only
as bytes arrive. Three deadlines hold off half-open and slow ends: the handshake's, `idle_s` for
silence between frames, and `frame_s` for a frame once it has begun, in which only the time spent
waiting for the other end counts, not our own. Frames are received and sent in bunches: one read
gives all that are complete, one write carries all that are queued, because a system call and a TLS
record cost more than a small frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import trio

from ledger.errors import Code, LocalError, RemoteError
from network.tls import link_error
from network.wire import CLIENT_FRAME_BYTES_MAX, PEER_FRAME_BYTES_MAX

LENGTH_BYTES = 4
WRITE_BYTES = 256 * 1024  # of one write: what a vote may have to wait behind
_LINGER_S = 1.0
_LINGER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """The cap on one frame in bytes, and the deadlines of a link in seconds."""

    max_frame_bytes: int
    handshake_s: float
    frame_s: float
    idle_s: float

    def __post_init__(self) -> None:
        if not 0 < self.max_frame_bytes < 2**31:
            raise LocalError(Code.CONFIG_INVALID, f"frame cap of {self.max_frame_bytes} bytes")
        if min(self.handshake_s, self.frame_s, self.idle_s) <= 0:
            raise LocalError(Code.CONFIG_INVALID, "deadline of a link is not positive")


PEER_LINK = LinkLimits(PEER_FRAME_BYTES_MAX, handshake_s=5.0, frame_s=20.0, idle_s=15.0)
CLIENT_LINK = LinkLimits(CLIENT_FRAME_BYTES_MAX, handshake_s=5.0, frame_s=10.0, idle_s=120.0)


class FrameLink:
    """Frames over one stream; one task receives, one sends. `peer` names the other end in errors.

    Every failure is a `RemoteError`: 5001, 5002, 5006, 5008 or 5010. After one, close.
    """

    def __init__(self, stream: trio.abc.Stream, limits: LinkLimits, peer: str) -> None:
        self.peer = peer
        self._stream = stream
        self._limits = limits
        self._buffer = bytearray()
        self._frame_left_s = limits.frame_s
        self.bytes_received = 0
        self.bytes_sent = 0

    async def receive(self) -> list[bytes]:
        """Return all frames that are complete, at least one; an empty list is the clean end."""
        while True:
            frames = self._take()
            if frames:
                return frames
            data = await self._read()
            if not data:
                if self._buffer:
                    raise self._error(
                        Code.CONNECTION_LOST,
                        f"connection closed {len(self._buffer)} bytes into a frame",
                    )
                return []
            self.bytes_received += len(data)
            self._buffer += data

    def _take(self) -> list[bytes]:
        buffer, position = self._buffer, 0
        frames: list[bytes] = []
        while len(buffer) - position >= LENGTH_BYTES:
            start = position + LENGTH_BYTES
            length = int.from_bytes(buffer[position:start], "big")
            if not 0 < length <= self._limits.max_frame_bytes:
                raise self._length_error(length)
            if len(buffer) - start < length:
                break
            position = start + length
            frames.append(bytes(buffer[start:position]))
        if frames:
            del buffer[:position]
            self._frame_left_s = self._limits.frame_s
        return frames

    def _length_error(self, length: int) -> RemoteError:
        if length == 0:
            return self._error(Code.FRAME_MALFORMED, "frame of 0 bytes")
        most = self._limits.max_frame_bytes
        return self._error(Code.FRAME_TOO_LARGE, f"frame of {length} bytes, want at most {most}")

    async def _read(self) -> bytes | bytearray:
        has_begun = bool(self._buffer)
        start = trio.current_time()
        allowed = self._frame_left_s if has_begun else self._limits.idle_s
        data: bytes | bytearray | None = None
        with trio.move_on_at(start + allowed):
            try:
                data = await self._stream.receive_some()
            except trio.BrokenResourceError as error:
                raise link_error(self.peer, error) from None
            except trio.ClosedResourceError:
                raise self._error(Code.CONNECTION_LOST, "connection was closed here") from None
        if data is None:
            what = "frame was not completed" if has_begun else "nothing was received"
            raise self._error(Code.TIMED_OUT, f"{what} within {math.ceil(allowed)} s")
        if has_begun:
            self._frame_left_s -= trio.current_time() - start
        return data

    async def send(self, frames: Iterable[bytes]) -> None:
        """Send the frames in order, as few writes; each write must get through in `frame_s`."""
        chunk: list[bytes] = []
        size = 0
        for frame in frames:
            chunk.append(len(frame).to_bytes(LENGTH_BYTES, "big"))
            chunk.append(frame)
            size += LENGTH_BYTES + len(frame)
            if size >= WRITE_BYTES:
                await self._write(chunk)
                chunk, size = [], 0
        if chunk:
            await self._write(chunk)

    async def _write(self, chunk: Sequence[bytes]) -> None:
        data = b"".join(chunk)
        with trio.move_on_after(self._limits.frame_s) as scope:
            try:
                await self._stream.send_all(data)
            except trio.BrokenResourceError as error:
                raise link_error(self.peer, error) from None
            except trio.ClosedResourceError:
                raise self._error(Code.CONNECTION_LOST, "connection was closed here") from None
        if scope.cancelled_caught:
            raise self._error(Code.TIMED_OUT, f"{len(data)} bytes were not taken in time")
        self.bytes_sent += len(data)

    async def send_last(self, frame: bytes) -> None:
        """Send a last frame and let the other end read it: closing over unread input resets."""
        with trio.move_on_after(_LINGER_S):
            try:
                await self.send([frame])
                left = _LINGER_BYTES
                while left > 0:
                    data = await self._stream.receive_some()
                    if not data:
                        return
                    left -= len(data)
            except (RemoteError, trio.BrokenResourceError, trio.ClosedResourceError):
                return  # it has gone, which is what was to be done

    async def aclose(self) -> None:
        """Close the stream at once."""
        await trio.aclose_forcefully(self._stream)

    def _error(self, code: Code, text: str) -> RemoteError:
        return RemoteError(self.peer, code, text)
