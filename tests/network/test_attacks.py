"""What one frame may cost in memory, measured (F65)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgpack
import pytest

from ledger.errors import Refused
from network.wire import (
    CLIENT_FRAME_BYTES_MAX,
    PEER_FRAME_BYTES_MAX,
    decode_peer_frame,
    decode_request,
)

FACTOR_MAX = 8


def pack(value: object) -> bytes:
    data: bytes = msgpack.packb(value)
    return data


def nested(depth: int, width: int) -> object:
    value: object = ()
    for _ in range(depth):
        value = (value,) * width
    return value


def array_header(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


def map_header(count: int) -> bytes:
    return b"\xdf" + count.to_bytes(4, "big")


# Each fills a frame up to its cap, or says that it will.
BOMBS: dict[str, Callable[[int], bytes]] = {
    "one long string of bytes": lambda cap: pack(bytes(cap - 5)),
    "a list of small numbers": lambda cap: array_header(cap - 5) + b"\x01" * (cap - 5),
    "a list of empty maps": lambda cap: array_header(cap - 5) + b"\x80" * (cap - 5),
    "a list of empty lists": lambda cap: array_header(cap - 5) + b"\x90" * (cap - 5),
    "lists in lists": lambda cap: b"\x91" * (cap - 1) + b"\xc0",
    "a list said to be of four thousand million": lambda _: array_header(2**32 - 1) + b"\x01" * 99,
    "a map said to be of four thousand million": lambda _: map_header(2**32 - 1) + b"\x01" * 99,
    "bytes said to be of four thousand million": lambda _: b"\xc6\xff\xff\xff\xff" + b"x" * 99,
    "a wide tree": lambda _: pack(nested(5, 10)),
    "right bodies of one byte": lambda cap: pack((2, [b"x"] * 4096, 0)),
    "as many items as are allowed": lambda cap: pack([[1] * 127] * 1000),
    "large numbers": lambda cap: pack([2**63] * min(131_000, cap // 9 - 9)),
}


def peak_of(decode: Callable[[bytes], object], data: bytes) -> int:
    """Return the most memory that decoding took beyond the frame itself, in bytes."""
    tracemalloc.start()
    try:
        decode(data)
    except Refused:
        pass  # most of them are; what counts is what it cost to find out
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("name", BOMBS)
def test_f65_a_bomb_costs_at_most_eight_times_the_frame_cap(name: str) -> None:
    for decode, cap in (
        (decode_peer_frame, PEER_FRAME_BYTES_MAX),
        (decode_request, CLIENT_FRAME_BYTES_MAX),
    ):
        data = BOMBS[name](cap)
        assert len(data) <= cap
        assert peak_of(decode, data) <= FACTOR_MAX * cap


def test_the_measurement_would_see_a_bomb() -> None:
    cap = 50_000
    data = BOMBS["a list of empty maps"](cap)
    assert peak_of(msgpack.unpackb, data) > FACTOR_MAX * cap
