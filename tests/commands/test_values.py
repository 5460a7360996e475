"""Amounts, rates and dates as people write them: exact, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.values import (
    amount,
    day,
    json_ready,
    moment,
    parse_amount,
    parse_day,
    parse_rate,
    rate,
)


@given(st.integers(0, 2**62))
def test_amount_is_read_back_as_it_was_shown(fen: int) -> None:
    assert parse_amount(amount(fen)) == fen


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("1,120,000.00", 112_000_000),
        ("500000", 50_000_000),
        ("CNY 200000.5", 20_000_050),
        ("0.01", 1),
    ],
)
def test_amounts_in_every_form(text: str, fen: int) -> None:
    assert parse_amount(text) == fen


@pytest.mark.parametrize("text", ["", "-5", "1,12,000", "1.234", "1e6", "１２", "CNY", "1,000,00"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want for example"):
        parse_amount(text)


@given(st.integers(-25_567, 84_006))
def test_day_is_read_back_as_it_was_shown(days: int) -> None:
    assert parse_day(day(days)) == days


@given(st.integers(0, 99_999))
def test_rate_is_read_back_as_it_was_shown(basis_points: int) -> None:
    assert parse_rate(rate(basis_points)) == basis_points


@pytest.mark.parametrize("text", ["", "-1%", "7.205%", "seven", "1e2"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"want for example 7\.20%"):
        parse_rate(text)


def test_what_is_missing_is_a_dash() -> None:
    assert [amount(None), rate(None), day(None), moment(None)] == ["-"] * 4


def test_negative_amounts_keep_their_fen() -> None:
    assert amount(-1) == "-0.01"
    assert amount(-123_456) == "-1,234.56"
    assert rate(-550) == "-5.50%"


def test_moment_is_exact_to_the_millisecond() -> None:
    assert moment(1_578_646_800_123) == "2020-01-10 09:00:00.123"


def test_json_shows_bytes_as_hexadecimal() -> None:
    assert json_ready({"a": (b"\x01", [None, 2])}) == {"a": ["01", [None, 2]]}
