"""The CEL conformance suite, where the shared folder with it is present (RULES.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger.errors import RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import compile_expression
from ledger.rules.conformance import run_cel_case
from ledger.rules.source import Source

_CASES = Path(__file__).parents[3] / "shared" / "vectors" / "cel" / "core.json"


def test_every_case_of_the_conformance_suite_passes_with_both_evaluators() -> None:
    if not _CASES.exists():
        pytest.skip("the shared folder with the conformance cases is absent")
    cases = json.loads(_CASES.read_text())
    failures = [f"{case['name']}: {why}" for case in cases if (why := run_cel_case(case))]
    assert len(cases) > 300
    assert failures == []


@pytest.mark.parametrize(
    "text",
    [
        "1.5 + 1.0 == 2.5", ".5 < 1.0", "1e3 > 1.0", "1u + 2u == 3u", "0x1fu == 31u",
        "double(1) == 1.0", "uint(1) == 1u", "1 == 1.0", "dyn(1) == 1", "type(1) == int",
        "int == int", "null == null", "[null] == []", "'abc'.matches('a.*')", "matches('a', 'b')",
        "google.protobuf.Int64Value{value: 1} == 1", "TestAllTypes{single_int64: 1} == 1",
        "timestamp(0).getHours('America/New_York') == 19", "[1, 'a'] == []", "{1: 1, 'a': 2} == {}",
        "{1.0: 1} == {}", "true ? 1 : 'a'", "1 == 'a'", "[1] == ['a']", "optional.none() == 1",
        "cel.bind(x, 1, x) == 1", "{'a': 1}.?a == 1", "[?1] == []", "{`a`: 1} == {}", "x == 1",
        "has([1][0])", "[1].all(x, y, true)", "'a' * 2", "[1] - [1]", "!1", "-'a'", "1 && true",
        "duration('1s') * 2", "timestamp(0) + timestamp(0)", "bytes(1)", "'a'[0]", "f(1)",
    ],
)  # fmt: skip
def test_what_of_cel_is_outside_the_subset_is_refused_at_registration(text: str) -> None:
    with pytest.raises(RuleSourceError) as caught:
        compile_expression(Source.of_text(text), Environment({}))
    assert caught.value.line == 1
    assert 1 <= caught.value.column <= len(text) + 1


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"expr": "1 + 1", "expect": {"value": {"type": "int", "value": 3}}}, "got 2"),
        ({"expr": "1 / 0", "expect": {"value": {"type": "int", "value": 3}}}, "DIV_ZERO"),
        ({"expr": "1", "expect": {"eval_error": ["x"]}}, "want an error"),
        ({"expr": "true", "expect": {"value": {"type": "int", "value": 1}}}, "got a bool"),
        ({"expr": "1.5", "expect": {"value": {"type": "int", "value": 1}}}, "refused"),
        ({"expr": "1", "expect": {"deduced_type": "bool"}}, "deduced type"),
    ],
)
def test_the_runner_tells_a_failure(case: dict[str, object], why: str) -> None:
    assert why in (run_cel_case(case) or "")


_THIRTY = [{"type": "int", "value": 20}, {"type": "int", "value": 30}]


@pytest.mark.parametrize(
    ("expr", "kind", "value"),
    [
        ("[1, 2, 3].map(x, x > 1, x * 10)", "list", _THIRTY),
        ("timestamp('2009-02-13T23:31:30Z').getFullYear()", "int", 2009),
        ("duration('1h1m1s1ms1us1ns') > duration('-1.5s')", "bool", True),
        ("string(timestamp('2009-02-13T23:31:30.120Z'))", "string", "2009-02-13T23:31:30.120Z"),
        ("string(duration('-90.5s'))", "string", "-90.500s"),
        ("int('-42') % 5", "int", -2),
        ("'\\u4f01'.size()", "int", 1),
        ("{'b': 1, 'a': 2}.map(k, k)[0]", "string", "a"),
    ],
)
def test_what_the_suite_leaves_out(expr: str, kind: str, value: object) -> None:
    case = {"expr": expr, "expect": {"value": {"type": kind, "value": value}}}
    assert run_cel_case(case) is None


def test_a_container_is_searched_before_the_root() -> None:
    case = {
        "expr": "y + .y",
        "container": "x",
        "type_env": [{"name": "x.y", "type": "int"}, {"name": "y", "type": "int"}],
        "bindings": {"x.y": {"type": "int", "value": 40}, "y": {"type": "int", "value": 2}},
        "expect": {"value": {"type": "int", "value": 42}},
    }
    assert run_cel_case(case) is None
