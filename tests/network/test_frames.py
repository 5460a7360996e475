"""Frames: whole ones come out whatever the cuts; what is oversized, cut or slow is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, lockstep_stream_one_way_pair, memory_stream_pair

from ledger.errors import Code, LocalError, RemoteError
from network.frames import FrameLink, LinkLimits
from tests.network.support import run

LIMITS = LinkLimits(max_frame_bytes=1000, handshake_s=5, frame_s=20, idle_s=60)


def framed(frames: Sequence[bytes]) -> bytes:
    """Return frames as one stream of bytes: the dumb twin of the sender."""
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


@given(
    frames=st.lists(st.binary(min_size=1, max_size=60), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
)
def test_frames_come_out_whole_whatever_the_cuts(frames: list[bytes], cuts: list[int]) -> None:
    async def exchange() -> list[bytes]:
        near, far = memory_stream_pair()
        link = FrameLink(far, LIMITS, "peer")
        data = framed(frames)
        got: list[bytes] = []

        async def send() -> None:
            position = turn = 0
            while position < len(data):
                step = cuts[turn % len(cuts)]
                await near.send_all(data[position : position + step])
                await trio.testing.wait_all_tasks_blocked()
                position, turn = position + step, turn + 1
            await near.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while bunch := await link.receive():
                got += bunch
        return got

    assert run(exchange) == frames


def test_sender_writes_what_the_twin_writes() -> None:
    frames = [b"x" * size for size in (1, 300_000, 2, 3)]

    async def exchange() -> bytes:
        near, far = memory_stream_pair()
        link = FrameLink(near, LIMITS, "peer")
        await link.send(frames)
        await near.send_eof()
        got = bytearray()
        while data := await far.receive_some():
            got += data
        assert link.bytes_sent == len(got)
        return bytes(got)

    assert run(exchange) == framed(frames)


def refusal_of(data: bytes) -> RemoteError:
    """Return how a link ends that is given these bytes and no more."""

    async def attempt() -> RemoteError:
        near, far = memory_stream_pair()
        await near.send_all(data)
        await near.send_eof()
        link = FrameLink(far, LIMITS, "peer")
        with pytest.raises(RemoteError) as refusal:
            await link.receive()
        return refusal.value

    return run(attempt)


@pytest.mark.parametrize("length", [1001, 2**31, 2**32 - 1])
def test_f64_oversized_frame_is_refused_by_its_length_alone(length: int) -> None:
    error = refusal_of(length.to_bytes(4, "big"))
    assert error.code == Code.FRAME_TOO_LARGE
    assert error.message == f"frame of {length} bytes, want at most 1000"
    assert error.peer == "peer"


def test_empty_frame_is_refused() -> None:
    assert refusal_of(bytes(4)).code == Code.FRAME_MALFORMED


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05abcd"])
def test_f64_truncated_frame_is_told_from_a_clean_end(data: bytes) -> None:
    error = refusal_of(data)
    assert error.code == Code.CONNECTION_LOST
    assert error.message == f"connection closed {len(data)} bytes into a frame"


def test_good_frames_before_a_bad_one_are_not_lost() -> None:
    async def attempt() -> list[bytes]:
        near, far = memory_stream_pair()
        await near.send_all(framed([b"good"]))
        link = FrameLink(far, LIMITS, "peer")
        got = await link.receive()
        await near.send_all(bytes(4))
        with pytest.raises(RemoteError, match="frame of 0 bytes"):
            await link.receive()
        return got

    assert run(attempt) == [b"good"]


def test_slow_sender_is_cut_off_though_it_keeps_sending() -> None:
    """F63: a byte every ten seconds is never idle, and never finishes its frame."""
    clock = MockClock()

    async def attempt() -> None:
        near, far = memory_stream_pair()
        link = FrameLink(far, LIMITS, "peer")
        ended: list[tuple[float, Code]] = []

        async def receive() -> None:
            with pytest.raises(RemoteError) as refusal:
                await link.receive()
            ended.append((trio.current_time(), refusal.value.code))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            start = trio.current_time()
            for byte in framed([b"slow and steady"]):
                await trio.testing.wait_all_tasks_blocked()
                if ended:
                    break
                await near.send_all(bytes((byte,)))
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(10)
        assert ended == [(start + 20, Code.TIMED_OUT)] or ended == [(start + 30, Code.TIMED_OUT)]

    run(attempt, clock)


def test_silent_end_is_cut_off() -> None:
    async def attempt() -> None:
        _near, far = memory_stream_pair()
        with pytest.raises(RemoteError, match="nothing was received within 60 s") as refusal:
            await FrameLink(far, LIMITS, "peer").receive()
        assert refusal.value.code == Code.TIMED_OUT

    run(attempt, MockClock(autojump_threshold=0))


def test_own_slowness_is_not_charged_to_the_peer() -> None:
    clock = MockClock()

    async def attempt() -> None:
        near, far = memory_stream_pair()
        link = FrameLink(far, LIMITS, "peer")
        data = framed([b"first", b"second"])
        await near.send_all(data[:12])
        assert await link.receive() == [b"first"]
        clock.jump(1000)  # we were busy: the second frame has begun, and waits for us
        await near.send_all(data[12:])
        assert await link.receive() == [b"second"]

    run(attempt, clock)


def test_end_that_does_not_read_is_cut_off() -> None:
    async def attempt() -> None:
        send, _receive = lockstep_stream_one_way_pair()
        stream = trio.StapledStream(send, lockstep_stream_one_way_pair()[1])
        with pytest.raises(RemoteError, match="were not taken in time"):
            await FrameLink(stream, LIMITS, "peer").send([b"x" * 900])

    run(attempt, MockClock(autojump_threshold=0))


def test_last_frame_is_delivered_over_unread_input() -> None:
    async def attempt() -> bytes:
        near, far = memory_stream_pair()
        await near.send_all(b"y" * 5000)
        await near.send_eof()
        link = FrameLink(far, LIMITS, "peer")
        await link.send_last(b"bye")
        await link.aclose()
        return bytes(await near.receive_some())

    assert run(attempt) == framed([b"bye"])


@pytest.mark.parametrize("change", [{"max_frame_bytes": 0}, {"idle_s": 0}, {"frame_s": -1}])
def test_limits_are_checked(change: dict[str, int]) -> None:
    values = {"max_frame_bytes": 10, "handshake_s": 1, "frame_s": 1, "idle_s": 1, **change}
    with pytest.raises(LocalError) as failure:
        LinkLimits(**values)
    assert failure.value.code == Code.CONFIG_INVALID
