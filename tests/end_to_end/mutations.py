"""Hostile values for Hypothesis: odd ones from nothing, and good ones with one place changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

ODD_INTEGERS = st.sampled_from(
    [-(2**63), -1, 0, 1, 255, 4096, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
)
ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "x",
        "D02",
        "C044",
        "line",
        "company/1",
        "a\x00b",
        "\u202e",
        "文",
        "\U0001f4a3",
        "x" * 300,
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    ODD_INTEGERS,
    ODD_TEXTS,
    st.sampled_from([b"", b"\x00", bytes(32), b"\xff" * 32, bytes(33), bytes(64)]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every part of a value, its own first."""
    found = [path]
    if isinstance(value, Mapping):
        for key in value:
            found += _places(value[key], (*path, key))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            found += _places(item, (*path, index))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {**value, step: _replaced(value[step], rest, new)}
    return (*value[:step], _replaced(value[step], rest, new), *value[step + 1 :])


def _grown(draw: st.DrawFn, part: Any) -> Any:
    """Return a part with something cut off, put in, or doubled."""
    if isinstance(part, tuple):
        at = draw(st.integers(0, len(part)))
        return draw(
            st.sampled_from([part[:at], part + part[:at], (*part[:at], None, *part[at:]), part * 3])
        )
    if isinstance(part, Mapping):
        return {**part, draw(ODD_TEXTS): draw(SCALARS)}
    if type(part) is int:
        return draw(st.sampled_from([part + 1, part - 1, -part]))
    if isinstance(part, bytes):
        return draw(st.sampled_from([part[:-1], part + part[:1], part * 2]))
    if isinstance(part, str):
        return draw(st.sampled_from([part[:-1], part + part[:1], part * 2]))
    return draw(SCALARS)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Return `value` with one part replaced by something odd, or grown or cut."""
    path = draw(st.sampled_from(_places(value)))
    part = _at(value, path)
    is_replaced = draw(st.booleans())
    return _replaced(value, path, draw(VALUES) if is_replaced else _grown(draw, part))
