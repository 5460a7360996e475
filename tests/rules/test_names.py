"""Suggestions against the plain definition of the edit distance."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.names import _distance, suggest


@cache
def _naive(left: str, right: str) -> int:
    if not left or not right:
        return len(left) + len(right)
    if left[0] == right[0]:
        return _naive(left[1:], right[1:])
    return 1 + min(_naive(left[1:], right), _naive(left, right[1:]), _naive(left[1:], right[1:]))


_WORDS = st.text(alphabet="ab", max_size=7)


@given(_WORDS, _WORDS, st.integers(0, 3))
def test_the_distance_is_exact_up_to_its_limit(left: str, right: str, limit: int) -> None:
    assert _distance(left, right, limit) == min(_naive(left, right), limit + 1)


@pytest.mark.parametrize(
    ("name", "known", "want"),
    [
        ("co.sale_12m", ["co.sales_12m", "co.debt"], ": did you mean co.sales_12m?"),
        ("yaun", ["yuan", "days"], ": did you mean yuan?"),
        ("E", ["A", "B"], ""),
        ("turnover", ["sales"], ""),
        ("ab", ["ac", "aa"], ": did you mean aa?"),
        ("x" * 65, ["x" * 65], ""),
        ("x", [], ""),
    ],
)
def test_suggests_the_nearest_name_and_the_first_of_equals(
    name: str, known: list[str], want: str
) -> None:
    assert suggest(name, known) == want
