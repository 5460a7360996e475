"""Hypothesis strategies of well-typed expressions, for the tests that compare evaluators.

A failing one is shrunk; `tests.rules.fuzz.expressions` writes more kinds of them, and faster.
"""

from __future__ import annotations

from hypothesis import strategies as st

INTS = ("a", "b", "c")
FLAGS = ("f", "g")
TEXTS = ("s", "t")
_EDGES = [0, 1, -1, 2, 3, 7, 10, 10_000, 2**31, 2**62, 2**63 - 1, -(2**63), -(2**63) + 1]

integers = st.one_of(st.sampled_from(_EDGES), st.integers(-(2**63), 2**63 - 1))
texts = st.text(alphabet="aé企\U0001f600", max_size=4)


def _literal(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"


def _quoted(text: str) -> str:
    return "'" + text + "'"


_int_leaf = st.one_of(st.sampled_from(INTS), integers.map(_literal), st.just("size(s)"))
_text_leaf = st.one_of(st.sampled_from(TEXTS), texts.map(_quoted))
_flag_leaf = st.one_of(st.sampled_from(FLAGS), st.sampled_from(["true", "false"]))


@st.composite
def ints(draw: st.DrawFn, depth: int) -> str:
    """An expression of type int, at most `depth` operators deep."""
    if depth == 0:
        return draw(_int_leaf)
    choice = draw(st.integers(0, 6))
    if choice == 0:
        return draw(_int_leaf)
    if choice == 1:
        return f"(-{draw(ints(depth - 1))})"
    if choice == 2:
        condition = draw(flags(depth - 1))
        return f"({condition} ? {draw(ints(depth - 1))} : {draw(ints(depth - 1))})"
    if choice == 3:
        items = ", ".join(draw(ints(0)) for _ in range(draw(st.integers(1, 3))))
        return f"[{items}][{draw(st.sampled_from(['0', '1', 'a']))}]"
    operator = draw(st.sampled_from("+-*/%"))
    return f"({draw(ints(depth - 1))} {operator} {draw(ints(depth - 1))})"


@st.composite
def strings(draw: st.DrawFn, depth: int) -> str:
    """An expression of type string."""
    if depth == 0 or draw(st.booleans()):
        return draw(_text_leaf)
    return f"({draw(strings(depth - 1))} + {draw(strings(depth - 1))})"


@st.composite
def flags(draw: st.DrawFn, depth: int) -> str:
    """An expression of type bool."""
    if depth == 0:
        return draw(_flag_leaf)
    choice = draw(st.integers(0, 7))
    if choice == 0:
        return f"!{draw(flags(depth - 1))}"
    if choice in (1, 2):
        operator = draw(st.sampled_from(["&&", "||"]))
        return f"({draw(flags(depth - 1))} {operator} {draw(flags(depth - 1))})"
    if choice == 3:
        operator = draw(st.sampled_from(["==", "!=", "<", ">="]))
        return f"({draw(strings(depth - 1))} {operator} {draw(strings(depth - 1))})"
    if choice == 4:
        test = draw(st.sampled_from(["contains", "startsWith", "endsWith"]))
        return f"{draw(strings(depth - 1))}.{test}({draw(strings(0))})"
    if choice == 5:
        return _macro(draw, depth)
    operator = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    return f"({draw(ints(depth - 1))} {operator} {draw(ints(depth - 1))})"


def _macro(draw: st.DrawFn, depth: int) -> str:
    items = ", ".join(draw(ints(0)) for _ in range(draw(st.integers(0, 3))))
    macro = draw(st.sampled_from(["all", "exists", "exists_one"]))
    body = draw(st.sampled_from(["x > a", "x / b == c", "x % 2 == 0 || f", "x + a > x", "g"]))
    if draw(st.booleans()):
        return f"[{items}].filter(x, x >= b).{macro}(x, {body})"
    return f"[{items}].map(x, x - 1).{macro}(x, {body})"


def facts() -> st.SearchStrategy[dict[str, object]]:
    """All facts that the expressions may read."""
    values: dict[str, st.SearchStrategy[object]] = {}
    values.update(dict.fromkeys(INTS, integers))
    values.update(dict.fromkeys(FLAGS, st.booleans()))
    values.update(dict.fromkeys(TEXTS, texts))
    return st.fixed_dictionaries(values)
