"""The language: what is refused, where, and in which words; what is accepted, and what it gives."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import compile_expression
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.source import Source
from ledger.rules.types import NUMBER, STRING, Variable, type_of_unit
from ledger.rules.units import Unit

_UNITS = {
    "as_of": Unit.DATE, "co.sales_12m": Unit.FEN, "co.debt": Unit.FEN, "co.rate": Unit.BP,
    "co.overdue": Unit.DAYS, "co.since": Unit.DATE, "co.staff": Unit.COUNT, "co.score": Unit.SCORE,
    "co.listed": Unit.FLAG, "co.note": Unit.TEXT,
}  # fmt: skip
_VARIABLES = {name: Variable(type_of_unit(unit)) for name, unit in _UNITS.items()}
_VARIABLES["co.grade"] = Variable(STRING, values=frozenset({"A", "B", "M"}))
_VARIABLES["p.floor"] = Variable(type_of_unit(Unit.FEN), constant=100_000)
_VARIABLES["p.share"] = Variable(type_of_unit(Unit.BP), constant=8_000)
_VARIABLES["n"] = Variable(NUMBER)
_ENVIRONMENT = Environment(_VARIABLES)


def _run(text: str, **facts: Any) -> Any:
    expression = compile_expression(Source.of_text(text), _ENVIRONMENT)
    return expression.evaluate({name.replace("__", "."): value for name, value in facts.items()})


def _refusal(text: str) -> RuleSourceError:
    with pytest.raises(RuleSourceError) as caught:
        compile_expression(Source.of_text(text), _ENVIRONMENT)
    return caught.value


_REFUSED = [
    ("co.sales_12m > 1000", Code.RULE_UNIT, 14,
     "co.sales_12m is money (fen) and 1000 is a bare number: write yuan(1000)"),
    ("co.overdue <= 30", Code.RULE_UNIT, 12,
     "co.overdue is a number of days and 30 is a bare number: write days(30)"),
    ("co.rate > 500", Code.RULE_UNIT, 9,
     "co.rate is a rate (basis points) and 500 is a bare number: give the rate as a parameter, "
     'such as rate = "5.00%", and write p.rate'),
    ("co.sales_12m * p.share > p.floor", Code.RULE_UNIT, 14,
     "co.sales_12m is money (fen) and p.share is a rate (basis points): "
     "use mul_bp(amount, rate) to take a share of an amount"),
    ("co.debt / co.sales_12m > 2", Code.RULE_UNIT, 9,
     "co.debt is money (fen) and co.sales_12m is money (fen): "
     "use ratio_bp(a, b) for a share in basis points"),
    ("as_of + as_of > as_of", Code.RULE_UNIT, 7,
     "as_of is a date and as_of is a date: a date goes with days(n), or minus another date"),
    ("co.since == co.overdue", Code.RULE_UNIT, 10, "co.since is a date and co.overdue is a number"),
    ("co.staff == co.score", Code.RULE_UNIT, 10, "co.staff is a count and co.score is a score"),
    ("co.listed > 1", Code.RULE_TYPE, 11, "co.listed is a flag (true or false) and 1 is a bare"),
    ("co.listed && co.staff", Code.RULE_TYPE, 14, "'&&' wants a flag (true or false), co.staff is"),
    ("co.sale_12m > yuan(1)", Code.RULE_NAME, 1,
     "unknown feature co.sale_12m: did you mean co.sales_12m?"),
    ("co.nosuchthing > 1", Code.RULE_NAME, 1, "unknown feature co.nosuchthing"),
    ("yaun(1) > p.floor", Code.RULE_NAME, 1, "unknown function yaun(): did you mean yuan?"),
    ("p.flor > yuan(1)", Code.RULE_NAME, 1, "unknown parameter p.flor: did you mean p.floor?"),
    ("co.grade == 'E'", Code.RULE_TYPE, 13, "co.grade is never 'E'"),
    ("co.grade in ['A', 'AA']", Code.RULE_TYPE, 19, "co.grade is never 'AA': did you mean A?"),
    ("'Q' != co.grade", Code.RULE_TYPE, 1, "co.grade is never 'Q'"),
    ("co.staff == 0.5", Code.RULE_FORBIDDEN, 13, "0.5 is a fraction"),
    ("co.staff == 5u", Code.RULE_FORBIDDEN, 13, "5u is an unsigned number: write 5"),
    ("co.note == null", Code.RULE_FORBIDDEN, 12, "there is no null"),
    ("co.note.matches('a*')", Code.RULE_FORBIDDEN, 9, "matches() is not in smartrule/1"),
    ("dyn(1) == 1", Code.RULE_FORBIDDEN, 1, "dyn() is not in smartrule/1"),
    ("[1, 'a'] == [1]", Code.RULE_TYPE, 5, "1 is a bare number and 'a' is text"),
    ("co.listed and co.listed", Code.RULE_SYNTAX, 11, "'and' is no operator: write &&"),
    ("not co.listed", Code.RULE_SYNTAX, 1, "'not' is no operator: write !"),
    ("(co.listed or co.listed)", Code.RULE_SYNTAX, 12, "'or' is no operator: write ||"),
    ("co.staff = 1", Code.RULE_SYNTAX, 10, "'=' is no operator: write '=='"),
    ("co.staff == “a”", Code.RULE_SYNTAX, 13, "“ is no quotation mark here"),
    ("co.note == 'a", Code.RULE_SYNTAX, 12, "a ' is missing"),
    ("co.staff >", Code.RULE_SYNTAX, 11, "unexpected end of the expression, want a value"),
    ("(co.staff > 1", Code.RULE_SYNTAX, 14, "want ')' to close the bracket"),
    ("co.staff > 1 2", Code.RULE_SYNTAX, 14, "unexpected integer 2, want nothing after"),
    ("co.listed ? 1", Code.RULE_SYNTAX, 14, "want ':' between"),
    ("", Code.RULE_SYNTAX, 1, "the expression is empty"),
    ("9223372036854775808 > 1", Code.RULE_LIMIT, 1, "does not fit in 64 bits"),
    ("mul_bp(p.share, co.debt) > p.floor", Code.RULE_UNIT, 8,
     "mul_bp() wants first money (fen), then a rate (basis points): p.share is a rate"),
    ("math.least(co.debt, co.overdue) > p.floor", Code.RULE_UNIT, 21, "quantities of one unit"),
    ("yuan(co.debt) > p.floor", Code.RULE_UNIT, 6, "yuan() wants a mere number: co.debt is money"),
    ("yuan(1, 2) > p.floor", Code.RULE_TYPE, 1, "yuan() wants 1 argument"),
    ("co.staff.x > 1", Code.RULE_TYPE, 1, "co.staff is a count, which has no part x"),
    ("co.staff > \n  co.bad", Code.RULE_NAME, 3, "unknown feature co.bad"),
    ("co.note == '\\q'", Code.RULE_SYNTAX, 13, "unknown escape"),
    ("[1].all(co.x, true)", Code.RULE_SYNTAX, 9, "names its variable"),
    ("has(co)", Code.RULE_SYNTAX, 1, "has() wants one dotted name"),
    ("timestamp(n).getHours('Asia/Shanghai') > 9", Code.RULE_FORBIDDEN, 23, "as an offset"),
    ("timestamp(n).getHours(co.note) > 9", Code.RULE_FORBIDDEN, 23, "such as '+08:00'"),
    ("-as_of == as_of", Code.RULE_TYPE, 1, "'-' wants a number, as_of is a date"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "column", "words"), _REFUSED)
def test_refuses_with_place_and_sentence(text: str, code: Code, column: int, words: str) -> None:
    error = _refusal(text)
    assert words in error.message
    assert (error.code, error.column) == (code, column)
    assert error.line == (2 if "\n" in text else 1)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "1" + ")" * 100_000,
        "(" * 2000 + "1" + ")" * 2000,
        "!" * 100_000 + "true",
        "!" * 33 + "true",
        "-" * 100_000 + "1",
        "-" * 3000 + "n",
        "[" * 2000,
        "{" * 2000,
        "1" + "+1" * 33,
        "true" + "||true" * 33,
        "n" + ".a" * 2000,
        "n" + "[0]" * 1000,
        "true?1:" * 500 + "1",
        "f(" * 1300,
        "[" + "1," * 501 + "1] == []",
        "'" + "a" * 5000 + "'",
        "math.least(" + "1," * 16 + "1)",
    ],
    ids=lambda text: text[:12],
)
def test_refuses_what_is_too_large(text: str) -> None:
    assert _refusal(text).code in (Code.RULE_LIMIT, Code.RULE_SYNTAX)


@pytest.mark.parametrize(
    "text", ["!" * 32 + "true", "1" + "+1" * 31 + " == 32", "(" * 40 + "true" + ")" * 40]
)
def test_accepts_what_is_just_within_the_limits(text: str) -> None:
    assert _run(text) is True


def test_f90_refuses_a_cost_that_grows_in_nested_macros() -> None:
    numbers = "[" + ",".join("1" for _ in range(40)) + "]"
    text = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a == c)))"
    assert _refusal(text).code is Code.RULE_COST
    doubling = "['aaaaaaaaaaaaaaaa']" + ".map(x, x + x)" * 20 + " == []"
    assert _refusal(doubling).code is Code.RULE_COST


_VALUES = [
    ("yuan(5) + p.floor", {}, 100_500),
    ("as_of - co.since", {"as_of": 18_000, "co__since": 17_000}, 1_000),
    ("co.since + days(10)", {"co__since": 5}, 15),
    ("(as_of - co.since) / 365", {"as_of": 18_000, "co__since": 17_000}, 2),
    ("mul_bp(co.debt, p.share)", {"co__debt": 12_345}, 9_876),
    ("mul_bp(co.debt, p.share)", {"co__debt": -1}, 0),
    ("mul_bp_up(co.debt, p.share)", {"co__debt": 12_346}, 9_877),
    ("ratio_bp(co.debt, co.sales_12m)", {"co__debt": 1, "co__sales_12m": 3}, 3_333),
    ("ratio_bp(co.debt, co.sales_12m)", {"co__debt": -1, "co__sales_12m": 3}, -3_333),
    ("math.least(co.debt, p.floor, yuan(3))", {"co__debt": 500}, 300),
    ("math.greatest(n, 7)", {"n": 3}, 7),
    ("co.grade in ['A', 'B']", {"co__grade": "B"}, True),
    ("has(co.note) ? size(co.note) : -1", {}, -1),
    ("has(co.note) ? size(co.note) : -1", {"co__note": "企业"}, 2),
    ("has(co.debt) ? co.debt : yuan(0)", {}, 0),
    ("co.listed || co.staff > 3", {"co__staff": 4}, True),
    ("co.staff > 3 || co.listed", {"co__staff": 4}, True),
    ("co.listed && co.staff > 3", {"co__staff": 3}, False),
    ("co.staff > 3 && co.listed", {"co__staff": 3}, False),
    ("n / 2 * 2 + n % 2 == n", {"n": -7}, True),
    ("[3, 1].exists(x, 6 / (x - 1) == 3)", {}, True),
    ("{'b': 1, 'a': 2}.filter(k, true)", {}, ("a", "b")),
    ("duration(co.note) == duration('1s')", {"co__note": "0" * 5000 + "1s"}, True),
    ("timestamp(n).getHours('+08:00')", {"n": 0}, 8),
    ("co.note.startsWith('广') && co.note.contains('东')", {"co__note": "广东"}, True),
]


@pytest.mark.parametrize(("text", "facts", "value"), _VALUES)
def test_gives_the_value(text: str, facts: dict[str, Any], value: object) -> None:
    found = _run(text, **facts)
    assert found == value
    assert type(found) is type(value)


_ERRORS = [
    ("co.debt > p.floor", {}, ErrorKind.MISSING),
    ("co.listed && co.staff > 3", {"co__staff": 4}, ErrorKind.MISSING),
    ("n / 0 > 1 && co.listed", {"n": 1}, ErrorKind.DIV_ZERO),
    ("co.listed && n / 0 > 1", {"n": 1}, ErrorKind.MISSING),
    ("n + 1", {"n": 2**63 - 1}, ErrorKind.OVERFLOW),
    ("n * n", {"n": 2**32}, ErrorKind.OVERFLOW),
    ("-n", {"n": -(2**63)}, ErrorKind.OVERFLOW),
    ("n / -1", {"n": -(2**63)}, ErrorKind.OVERFLOW),
    ("n % -1", {"n": -(2**63)}, ErrorKind.OVERFLOW),
    ("yuan(n)", {"n": 2**62}, ErrorKind.OVERFLOW),
    ("mul_bp(co.debt, co.rate)", {"co__debt": 2**62, "co__rate": 40_000}, ErrorKind.OVERFLOW),
    ("ratio_bp(co.debt, co.sales_12m)", {"co__debt": 1, "co__sales_12m": 0}, ErrorKind.DIV_ZERO),
    ("[1, 2][n]", {"n": 2}, ErrorKind.RANGE),
    ("[1, 2][n]", {"n": -1}, ErrorKind.RANGE),
    ("{'a': 1}[co.note]", {"co__note": "b"}, ErrorKind.NO_KEY),
    ("{n: 1, 1: 2}[1]", {"n": 1}, ErrorKind.REPEATED_KEY),
    ("int(co.note)", {"co__note": "12x"}, ErrorKind.BAD_VALUE),
    ("duration(co.note)", {"co__note": "9" * 21 + "s"}, ErrorKind.OVERFLOW),
    ("[1, 0].all(x, 1 / x == 1)", {}, ErrorKind.DIV_ZERO),
]


@pytest.mark.parametrize(("text", "facts", "kind"), _ERRORS)
def test_fails_only_by_its_code_and_the_leftmost_wins(
    text: str, facts: dict[str, Any], kind: ErrorKind
) -> None:
    with pytest.raises(EvalError) as caught:
        _run(text, **facts)
    assert caught.value.kind is kind


def test_an_expression_knows_what_it_reads_and_what_it_costs() -> None:
    text = "has(co.note) && co.debt > p.floor && [1, 2, 3].all(x, x < n)"
    expression = compile_expression(Source.of_text(text), _ENVIRONMENT, Unit.FLAG)
    assert expression.reads == {"co.note", "co.debt", "n"}
    assert expression.cost == 20


def test_refuses_a_value_of_another_unit_than_the_place_wants() -> None:
    source = Source.of_text("co.overdue")
    with pytest.raises(RuleSourceError, match="number of days, want money"):
        compile_expression(source, _ENVIRONMENT, Unit.FEN)


@pytest.mark.parametrize(
    "text",
    ["{} in {}", "[1] in {}", "{}[[1]] == 1", "{[1]: 2} == {}", "co.debt in [1]", "1 in 'a'"],
)
def test_refuses_keys_and_members_of_a_wrong_type(text: str) -> None:
    assert _refusal(text).code in (Code.RULE_TYPE, Code.RULE_UNIT)


@pytest.mark.parametrize(
    "text",
    [
        "[1].all(x, " * 30 + "1 / x == 1" + ")" * 30,
        "[1].exists(x, " * 31 + "x == 1" + ")" * 31,
        "true ? 1 : " * 32 + "1",
        "(" * 30 + "1 / n == 1" + ") ? true : false" * 30,
        "[" * 32 + "n" + "]" * 32,
        "{1: " * 32 + "n" + "}" * 32,
        "math.least(n, " * 32 + "1" + ")" * 32,
        "(1 / n == 1 || " * 30 + "false" + ")" * 30,
    ],
    ids=lambda text: text[:12],
)
def test_the_highest_trees_run_in_both_evaluators(text: str) -> None:
    expression = compile_expression(Source.of_text(text), _ENVIRONMENT)
    assert expression.run({"n": 1}) == expression.interpret({"n": 1})


_TOKENS = st.sampled_from(
    [
        "n", "co.debt", "co.note", "co.grade", "co.listed", "p.share", "as_of", "x", "(", ")", "[",
        "]", "{", "}", ",", ":", "?", "+", "-", "*", "/", "%", "!", "&&", "||", "==", "<", "in",
        ".", ".all(x,", ".map(x,", "has(", "size(", "yuan(", "days(", "mul_bp(", "ratio_bp(",
        "math.least(", "int(", "string(", "timestamp(", "'A'", "b'x'", "0", "1", "7", "true", " ",
        "9223372036854775807", "1.5", "null", "\n", "//", "\\", '"', "é",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(_TOKENS, max_size=14).map("".join), st.integers(-(2**63), 2**63 - 1))
def test_any_source_is_refused_with_a_place_or_runs_with_coded_errors(text: str, n: int) -> None:
    try:
        expression = compile_expression(Source.of_text(text), _ENVIRONMENT)
    except RuleSourceError as error:
        refusal = error
    else:
        for facts in ({"n": n, "co.note": "企", "co.listed": True, "co.debt": n}, {}):
            with contextlib.suppress(EvalError):
                expression.evaluate(facts)
        return
    assert refusal.message
    assert 1 <= refusal.line <= text.count("\n") + 1
    assert refusal.column >= 1
