"""Ed25519: strict verification, held against its twin; one signature serves in one place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, LocalError, Refused
from ledger.keys import (
    SESSION_DOMAIN,
    TX_DOMAIN,
    VOTE_DOMAIN,
    SigningKey,
    check_public_key,
    is_valid,
    signing_input,
    verify,
    verify_many,
)
from tests.twins import FIELD_PRIME, GROUP_ORDER, naive_verify

KEY = SigningKey(bytes(range(32)))


def test_rfc_8032_test_1() -> None:
    key = SigningKey(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert key.public_key.hex().startswith("d75a980182b10ab7d54bfed3c964073a")
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a")
    verify(key.public_key, key.sign(b""), b"")


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511))
def test_verdicts_equal_the_twins(seed: bytes, message: bytes, bit: int) -> None:
    key = SigningKey(seed)
    signature = key.sign(message)
    assert is_valid(key.public_key, signature, message)
    assert naive_verify(key.public_key, signature, message)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not is_valid(key.public_key, bytes(changed), message)
    assert not naive_verify(key.public_key, bytes(changed), message)
    assert not is_valid(key.public_key, signature, message + b"x")


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 2**256 - 1) | st.integers(FIELD_PRIME - 3, FIELD_PRIME + 20),
    st.integers(0, 2**256 - 1) | st.integers(FIELD_PRIME - 3, FIELD_PRIME + 20),
    st.integers(0, 2**256 - 1) | st.sampled_from((0, 1, GROUP_ORDER, GROUP_ORDER - 1)),
)
def test_f77_odd_points_get_the_twins_verdict(a: int, r: int, s: int) -> None:
    public_key = a.to_bytes(32, "little")
    signature = r.to_bytes(32, "little") + s.to_bytes(32, "little")
    assert is_valid(public_key, signature, b"m") == naive_verify(public_key, signature, b"m")


def test_f77_malleable_signature_is_refused() -> None:
    signature = KEY.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    twin = signature[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(Refused) as caught:
        verify(KEY.public_key, twin, b"message")
    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("key", "signature", "code"),
    [
        (b"", bytes(64), Code.KEY_MALFORMED),
        (bytes(33), bytes(64), Code.KEY_MALFORMED),
        (KEY.public_key, bytes(63), Code.SIGNATURE_MALFORMED),
        (KEY.public_key, b"", Code.SIGNATURE_MALFORMED),
        (KEY.public_key, bytes(64), Code.SIGNATURE_INVALID),
    ],
)
def test_wrong_lengths_have_their_codes(key: bytes, signature: bytes, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        verify(key, signature, b"")
    assert caught.value.code is code


def test_f85_keys_that_may_not_be_registered() -> None:
    check_public_key(KEY.public_key)
    mixed_order = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
    for weak in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32, bytes.fromhex(mixed_order)):
        with pytest.raises(Refused) as caught:
            check_public_key(weak)
        assert caught.value.code is Code.KEY_WEAK
    with pytest.raises(Refused) as caught:
        check_public_key(b"short")
    assert caught.value.code is Code.KEY_MALFORMED


def test_f81_no_two_roles_share_a_signing_input() -> None:
    inputs = {
        signing_input(domain, chain, kind, payload)
        for domain in (TX_DOMAIN, VOTE_DOMAIN, SESSION_DOMAIN)
        for chain in (bytes(32), b"\x01" * 32)
        for kind in ("prepare", "commit", "preparec")
        for payload in (b"", b"ommit", b"c")
    }
    assert len(inputs) == 3 * 2 * 3 * 3


def test_verify_many_gives_one_verdict_each() -> None:
    good = (KEY.public_key, KEY.sign(b"m"), b"m")
    assert verify_many([good, (KEY.public_key, good[1], b"n"), (b"", b"", b"")]) == [
        True,
        False,
        False,
    ]


def test_a_seed_has_32_bytes_and_is_not_shown() -> None:
    with pytest.raises(LocalError, match="seed of 31 bytes, want 32"):
        SigningKey(bytes(31))
    assert bytes(range(32)).hex() not in repr(KEY)
