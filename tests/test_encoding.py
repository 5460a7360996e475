"""Strict canonical msgpack: one value, one encoding; what `encode` would not write is refused."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import (
    INT_MAX,
    INT_MIN,
    MAX_DEPTH,
    decode,
    encode,
    encode_own,
    own_encoder,
)
from ledger.errors import Code, Refused
from tests.twins import naive_encode

_SCALARS = (
    st.none() | st.booleans() | st.integers(INT_MIN, INT_MAX) | st.text(max_size=40)
    | st.binary(max_size=40)
)  # fmt: skip
VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=20).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=20)
    ),
    max_leaves=30,
)


@given(VALUES)
def test_encoding_is_the_twins_and_decodes_to_the_value(value: Any) -> None:
    data = encode(value)
    assert data == naive_encode(value)
    assert decode(data) == value
    assert encode(decode(data)) == data


@given(st.lists(VALUES, max_size=5))
def test_own_encoders_give_the_bytes_of_canonical_values_one_after_the_other(
    values: list[Any],
) -> None:
    canonical = [decode(encode(value)) for value in values]  # with maps in order, as all of ours
    pack = own_encoder()
    for value in canonical:
        assert pack(value) == encode_own(value) == encode(value)


@given(st.binary(max_size=60))
def test_whatever_decodes_is_canonical(data: bytes) -> None:
    try:
        value = decode(data)
    except Refused:
        return
    assert encode(value) == data


@given(VALUES, st.data())
def test_f76_a_changed_byte_is_another_value_or_refused(value: Any, draw: st.DataObject) -> None:
    data = bytearray(encode(value))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] ^= draw.draw(st.integers(1, 255))
    try:
        other = decode(bytes(data))
    except Refused:
        return
    assert encode(other) == bytes(data) != encode(value)


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_lengths_at_every_width(length: int) -> None:
    for value in ("x" * length, bytes(length), (None,) * length):
        assert encode(value) == naive_encode(value)
        assert decode(encode(value)) == value


@pytest.mark.parametrize("bits", [5, 7, 8, 15, 16, 31, 32, 63, 64])
def test_f79_integers_at_every_width(bits: int) -> None:
    for value in (2**bits - 1, 2**bits, 2**bits + 1, -(2**bits), -(2**bits) - 1, -(2**bits) + 1):
        if INT_MIN <= value <= INT_MAX:
            assert encode(value) == naive_encode(value)
            assert decode(encode(value)) == value
        else:
            with pytest.raises(Refused) as caught:
                encode(value)
            assert caught.value.code is Code.ENCODING_RANGE


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1.0, Code.ENCODING_TYPE),
        (float("nan"), Code.ENCODING_TYPE),
        ({1: 2}, Code.ENCODING_TYPE),
        ({b"a": 2}, Code.ENCODING_TYPE),
        ({"\ud800": 1}, Code.ENCODING_RANGE),
        ("\ud800", Code.ENCODING_RANGE),
        (object(), Code.ENCODING_TYPE),
        (bytearray(b"a"), Code.ENCODING_TYPE),
    ],
)
def test_values_without_an_encoding(value: Any, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        encode(value)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.ENCODING_MALFORMED),
        ("0101", Code.ENCODING_MALFORMED),
        ("cc01", Code.ENCODING_NOT_CANONICAL),
        ("d001", Code.ENCODING_NOT_CANONICAL),
        ("d90161", Code.ENCODING_NOT_CANONICAL),
        ("82a16201a16102", Code.ENCODING_NOT_CANONICAL),
        ("82a16101a16102", Code.ENCODING_NOT_CANONICAL),
        ("8101c0", Code.ENCODING_MALFORMED),
        ("ca3f800000", Code.ENCODING_TYPE),
        ("cb8000000000000000", Code.ENCODING_TYPE),
        ("d6ff00000000", Code.ENCODING_TYPE),
        ("a1ff", Code.ENCODING_MALFORMED),
        ("c1", Code.ENCODING_MALFORMED),
        ("93", Code.ENCODING_MALFORMED),
    ],
)
def test_f76_bytes_that_encode_would_not_write(text: str, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        decode(bytes.fromhex(text))
    assert caught.value.code is code


def test_depth_is_bounded_both_ways() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = (value,)
    assert decode(encode(value)) == value
    with pytest.raises(Refused) as caught:
        encode((value,))
    assert caught.value.code is Code.ENCODING_DEPTH
    for data in (b"\x91" * (MAX_DEPTH + 1) + b"\x01", b"\x91" * 100_000 + b"\x01"):
        with pytest.raises(Refused) as caught:
            decode(data)
        assert caught.value.code is Code.ENCODING_DEPTH


@pytest.mark.parametrize("unit", [b"\x80", b"\x90"])
def test_f65_bombs_are_refused_before_they_are_decoded(
    unit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        pytest.fail("the library saw the bomb")

    monkeypatch.setattr(msgpack, "unpackb", explode)
    data = b"\xdd" + (1_000_000).to_bytes(4, "big") + unit * 1_000_000
    with pytest.raises(Refused) as caught:
        decode(data)
    assert caught.value.code is Code.ENCODING_SIZE


def test_size_is_bounded() -> None:
    with pytest.raises(Refused, match="6 bytes, want at most 5") as caught:
        decode(encode("12345"), max_bytes=5)
    assert caught.value.code is Code.ENCODING_SIZE
    large = encode(("x" * 5000, b"y" * 70_000, {"k": tuple(range(5000))}))
    assert encode(decode(large)) == large
