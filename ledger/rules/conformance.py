"""Runs cases of the CEL conformance suite against both evaluators.

A case is a mapping as in the suite's JSON: `expr`, perhaps `type_env`, `bindings` and `container`,
and `expect` with a `value`, an `eval_error` or a `deduced_type`. Bytes are hexadecimal, times and
durations text as CEL writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.errors import RuleSourceError
from ledger.rules import times
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.failures import EvalError
from ledger.rules.source import Source
from ledger.rules.types import (
    BOOL,
    BYTES,
    DURATION,
    NUMBER,
    STRING,
    TIMESTAMP,
    Type,
    Variable,
    list_of,
    map_of,
)

_TYPES = {
    "bool": BOOL, "int": NUMBER, "string": STRING, "bytes": BYTES,
    "timestamp": TIMESTAMP, "duration": DURATION,
}  # fmt: skip
_LITERALS = frozenset({"true", "false", "null"})


def run_cel_case(case: Mapping[str, Any]) -> str | None:
    """Return None if both evaluators do what the case expects, else why not."""
    try:
        expression = _compile(case)
    except RuleSourceError as error:
        return f"refused: {error}"
    except _UnknownType as error:
        return f"type outside the subset: {error}"
    facts = {name: _read_value(value) for name, value in case.get("bindings", {}).items()}
    for name, evaluate in (("closures", expression.interpret), ("generated", expression.run)):
        problem = _compare(case["expect"], expression, lambda run=evaluate: run(facts))
        if problem is not None:
            return f"{name}: {problem}"
    return None


class _UnknownType(Exception):
    """A type that the subset does not have."""


def _compile(case: Mapping[str, Any]) -> Expression:
    variables = {
        item["name"]: Variable(_read_type(item["type"]))
        for item in case.get("type_env", [])
        if item["name"] not in _LITERALS
    }
    environment = Environment(variables, case.get("container", ""))
    return compile_expression(Source.of_text(case["expr"]), environment)


def _read_type(text: str) -> Type:
    text = _normalise(text)
    if text in _TYPES:
        return _TYPES[text]
    if text.startswith("list(") and text.endswith(")"):
        return list_of(_read_type(text[5:-1]))
    if text.startswith("map(") and text.endswith(")"):
        key, _, value = text[4:-1].partition(",")
        return map_of(_read_type(key), _read_type(value))
    raise _UnknownType(text)


def _read_value(tagged: Mapping[str, Any]) -> Any:
    """Return the run-time value of {"type": …, "value": …}."""
    kind, value = _normalise(tagged["type"]), tagged["value"]
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "list":
        return tuple(_read_value(item) for item in value)
    if kind == "map":
        return {_read_value(key): _read_value(item) for key, item in value}
    if kind == "timestamp" and isinstance(value, str):
        return times.parse_timestamp(value)
    if kind == "duration" and isinstance(value, str):
        return times.parse_duration(value)
    return value


def _compare(expect: Mapping[str, Any], expression: Expression, run: Any) -> str | None:
    deduced = expect.get("deduced_type")
    if deduced is not None and _normalise(deduced) != _normalise(str(expression.type)):
        return f"deduced type {expression.type}, want {deduced}"
    try:
        value = run()
    except EvalError as error:
        return None if "eval_error" in expect else f"error {error.kind}, want a value"
    if "eval_error" in expect:
        return f"got {value!r}, want an error: {expect['eval_error']}"
    if "value" not in expect:
        return None
    tagged = expect["value"]
    want = _read_value(tagged)
    if _normalise(tagged["type"]) != expression.type.kind:
        return f"got a {expression.type}, want a {tagged['type']}"
    return None if _is_same(value, want) else f"got {value!r}, want {want!r}"


def _normalise(name: str) -> str:
    """Return the name of a type as this package writes it."""
    for outer, inner in (("google.protobuf.", ""), ("dyn", "any"), (" ", "")):
        name = name.replace(outer, inner)
    return name.lower()


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two values are equal, where true is not 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(_is_same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    return bool(left == right)
