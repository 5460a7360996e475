"""Messages survive the wire, and nothing else is taken for one (F64, F72, F76)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from network import wire
from network.wire import (
    BlockParts,
    Blocks,
    Bodies,
    BodiesPurpose,
    GetBlocks,
    GetBodies,
    GetState,
    GetVotes,
    Hello,
    KnownVotes,
    Offer,
    Ping,
    Pong,
    Request,
    Response,
    StatePiece,
    Votes,
)

HASH = bytes(32)
FRAMES = [
    Hello(HASH, "tax", bytes(16), 7),
    Votes(b"vote"),
    Votes(b""),
    Bodies((b"one", b"two"), BodiesPurpose.ANSWER),
    Bodies(()),
    GetBodies((HASH,)),
    Offer((HASH,)),
    GetBlocks(5, 260),
    Blocks((BlockParts(b"h", None, (), b"c"), BlockParts(b"h", 9, (b"t",), b"c")), 12),
    Ping(1),
    Pong(2**63 - 1),
    GetVotes(HASH),
    KnownVotes(HASH, (b"vote", b"")),
    GetState(7, 3000, b"query"),
    StatePiece(7, b"piece"),
    StatePiece(0, b""),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_frame_survives_the_wire(frame: wire.PeerFrame) -> None:
    assert wire.decode_peer_frame(wire.encode_peer_frame(frame)) == frame


@pytest.mark.parametrize(
    "value",
    [
        (),
        None,
        {"tag": 1},
        ("1", b"x"),
        (99,),
        (-1, b""),
        (True, b"x"),
        (1,),
        (1, "text"),
        (1, b"x", b"y"),
        (0, HASH, "tax", bytes(16), -1),
        (0, HASH, "tax", bytes(15), 1),
        (0, HASH[:31], "tax", bytes(16), 1),
        (0, HASH, "ta\x00x", bytes(16), 1),
        (2, (b"",), 0),
        (2, (b"a",), 3),
        (2, (b"a",), True),
        (2, ("a",), 0),
        (2, b"a", 0),
        (3, (b"short",)),
        (3, (HASH,) * 4097),
        (4, 9, 8),
        (4, 0, 256),
        (4, 0, 2**64 - 1),
        (5, (("h", None, (), b"c"),), 1),
        (5, ((b"h", None, ()),), 1),
        (5, (b"hncc",), 1),
        (5, ((b"h", -1, (), b"c"),), 1),
        (5, ((b"h", None, (1,), b"c"),), 1),
        (6, 2**63),
        (6, b"1"),
        (20, HASH[:31]),
        (20, "key"),
        (21, HASH),
        (21, HASH, ("text",)),
        (21, HASH, (b"x",) * 9),
        (21, HASH[:31], ()),
    ],
)
def test_value_that_is_no_frame_is_refused(value: Any) -> None:
    with pytest.raises(Refused) as refusal:
        wire.decode_peer_frame(encode(value))
    assert refusal.value.code in (Code.FRAME_MALFORMED, Code.ENVELOPE_MALFORMED)


def test_non_canonical_bytes_are_refused() -> None:
    with pytest.raises(Refused) as refusal:
        wire.decode_peer_frame(b"\x92\x06\xcc\x01")  # 1 in two bytes
    assert refusal.value.code == Code.ENCODING_NOT_CANONICAL


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        frame = wire.decode_peer_frame(data)
    except Refused:
        return  # any other exception fails the test
    assert wire.encode_peer_frame(frame) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 2**64 - 1) | st.binary(max_size=40) | st.text(),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_value_is_a_message_or_refused(value: Any) -> None:
    """No decoder lets another exception out, whatever canonical value it is given."""
    data = encode(value)
    for read in (wire.decode_peer_frame, wire.decode_request, wire.decode_response):
        try:
            message = read(data)
        except Refused:
            continue  # any other exception fails the test
        assert type(message).__module__ == "network.wire"


def test_votes_go_before_bodies() -> None:
    assert [type(frame).__name__ for frame in FRAMES if frame.is_bulk] == [
        "Bodies",
        "Bodies",
        "Blocks",
        "StatePiece",
        "StatePiece",
    ]


def test_request_survives_the_wire() -> None:
    request = Request(3, "query", {"name": "company.show", "params": {"a": 1, "b": (b"x", None)}})
    assert wire.decode_request(request.encoded()) == request


@pytest.mark.parametrize(
    "response",
    [
        Response(1, {"id": b"x"}),
        Response(0, None),
        Response(2, None, Code.BUSY, "full", 50),
    ],
)
def test_response_survives_the_wire(response: Response) -> None:
    assert wire.decode_response(response.encoded()) == response


@pytest.mark.parametrize(
    "value",
    [(1, "m"), (1, "m", ()), (-1, "m", {}), (1, "", {}), (1, "m" * 33, {}), (1, b"m", {}), "m"],
)
def test_value_that_is_no_request_is_refused(value: Any) -> None:
    with pytest.raises(Refused) as refusal:
        wire.decode_request(encode(value))
    assert refusal.value.code in (Code.REQUEST_MALFORMED, Code.FRAME_MALFORMED)


@pytest.mark.parametrize(
    "value",
    [(1, 1, {}), (1, False, 0, "", 0), (1, False, 5, 5, 0), (1, False, 5, "", -1), (1, True)],
)
def test_value_that_is_no_response_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        wire.decode_response(encode(value))


def test_success_is_never_mistaken_for_an_error() -> None:
    assert decode(Response(1, None, Code.OK, "ignored").encoded()) == (1, True, None)
