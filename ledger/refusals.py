"""What each kind of transaction can be refused for, read out of the handlers themselves.

Starting at a kind's handler, the functions that it calls are followed through their source: every
`Code.X` on the way is a refusal that the kind may give, and the sentence beside it says what is
wrong. Calls are followed by name: functions, tables of functions, and methods of the classes that
handlers work with (`_CLASSES`). This errs on the side of too much: a code stands in the table if
some path leads to it. It is for documents (`ledger.error_texts`) and tests; no block depends on it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from ledger.credit.rulebook import RecordPlan, Rules
from ledger.errors import Code
from ledger.execution import HANDLERS
from ledger.transactions.fields import Fields

# Whatever the kind: said before its handler is asked, or when the ledger itself fails.
GENERAL = (
    Code.DUPLICATE,
    Code.EXPIRED,
    Code.SENDER_UNKNOWN,
    Code.KEY_NOT_SENDERS,
    Code.KEY_REVOKED,
    Code.KIND_UNKNOWN,
    Code.INTERNAL,
)
_CLASSES = (Fields, Rules, RecordPlan)
_FORM = "a field is missing, unknown, of another type or size; the message names it"
# What these do is no refusal of a transaction: they compute, or fail as INTERNAL.
_NOT_FOLLOWED = (
    "ledger.state",
    "ledger.storage",
    "ledger.encoding",
    "ledger.chain",
    "ledger.rules",
)
_NUMBERS = (range(1100, 1300), range(2000, 3000))

Found = dict[Code, dict[str, None]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that can be wrong: its number, and the sentences in which it is told."""

    code: Code
    sentences: tuple[str, ...]


def get_kinds() -> tuple[str, ...]:
    """Return every kind of transaction, in order."""
    return tuple(sorted(HANDLERS))


@cache
def find_refusals(kind: str) -> tuple[Refusal, ...]:
    """Return what a kind can be refused for, by number; `KeyError` for a kind that is not known."""
    found: Found = {}
    reached = _reach(HANDLERS[kind])
    for function in reached:
        for code, sentence in _read(function, "Rejected"):
            found.setdefault(code, {}).setdefault(sentence)
    # Some take what another part of the ledger refuses, and reject with its code.
    for function in {inner for outer in reached if _converts(outer) for inner in _reach(outer)}:
        for code, sentence in _read(function, "Refused"):
            found.setdefault(code, {}).setdefault(sentence)
    for code in GENERAL:
        found.pop(code, None)
    return tuple(
        Refusal(code, tuple(sorted(sentence for sentence in found[code] if sentence)))
        for code in sorted(found)
    )


def _reach(handler: Callable[..., Any]) -> list[FunctionType]:
    """Return every function that a handler may call, itself first."""
    reached: dict[FunctionType, None] = {}
    waiting = list(_functions(handler))
    while waiting:
        function = waiting.pop()
        if function not in reached:
            reached[function] = None
            waiting += _called(function)
    return list(reached)


def _functions(value: Any) -> Iterator[FunctionType]:
    """Yield the functions of the ledger that a value is or holds."""
    inner = inspect.unwrap(value) if hasattr(value, "__wrapped__") else value
    if isinstance(inner, FunctionType):
        # What a dataclass makes of itself has no source to be read.
        is_ours = inner.__module__.startswith("ledger.") and inner.__code__.co_filename[0] != "<"
        if is_ours and not inner.__module__.startswith(_NOT_FOLLOWED):
            yield inner
    elif isinstance(value, type):
        own = vars(value).get("__post_init__")
        yield from _functions(own)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _functions(item)
    elif is_dataclass(value):
        for item in fields(value):
            yield from _functions(getattr(value, item.name))


@cache
def _tree(function: FunctionType) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


@cache
def _called(function: FunctionType) -> tuple[FunctionType, ...]:
    """Return what a function names or calls: functions, tables of them, methods."""
    known = function.__globals__
    found: dict[FunctionType, None] = {}
    called = {node.func for node in ast.walk(_tree(function)) if isinstance(node, ast.Call)}
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Name) and node.id in known:
            found |= dict.fromkeys(_functions(known[node.id]))
            found |= dict.fromkeys(_methods(known[node.id], function.__module__))
        elif isinstance(node, ast.Attribute) and (_name(node.value) == "self" or node in called):
            for owner in _owners(node.value, function):
                value = getattr(owner, node.attr, None)
                found |= dict.fromkeys(_functions(getattr(value, "__func__", value)))
    found.pop(function, None)
    return tuple(found)


def _owners(node: ast.AST, function: FunctionType) -> tuple[Any, ...]:
    """Return whose attribute it may be: the class or module of that name, or a class at hand."""
    known = function.__globals__
    name = _name(node)
    if name == "self":
        return (known.get(function.__qualname__.partition(".")[0]),)
    if name in known and isinstance(known[name], type | ModuleType):
        return (known[name],)
    return (*_CLASSES, *(item for item in known.values() if _is_ours(item)))


def _is_ours(value: Any) -> bool:
    return isinstance(value, type) and value.__module__.startswith("ledger.")


def _methods(value: Any, module: str) -> Iterator[FunctionType]:
    """Yield the methods of a class of this very module: who names it works with one."""
    if isinstance(value, type) and value.__module__ == module:
        for item in vars(value).values():
            yield from _functions(item)


@cache
def _converts(function: FunctionType) -> bool:
    """Tell whether a function rejects with the code of an error that it caught."""
    return any(
        isinstance(node, ast.Call)
        and _name(node.func) == "Rejected"
        and node.args
        and isinstance(node.args[0], ast.Attribute)
        and node.args[0].attr == "code"
        for node in ast.walk(_tree(function))
    )


@cache
def _read(function: FunctionType, error: str) -> tuple[tuple[Code, str], ...]:
    """Return each (code, sentence) in a function's own source that is raised as `error`.

    A code that is handed on to another function counts as one that is rejected with.
    """
    found: list[tuple[Code, str]] = []
    others = {"Rejected", "Refused", "LocalError", "StorageError", "RemoteError"} - {error}
    is_form = function.__module__ == Fields.__module__
    skipped: set[int] = set()
    for node in ast.walk(_tree(function)):  # breadth first: who is inside is told before
        if isinstance(node, ast.Compare):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Call):
            if _name(node.func) in others:
                skipped |= {id(part) for part in node.args}
            found += _keyed(node, function)
        if isinstance(node, ast.Assign) and error == "Rejected":
            said = _said_with(_name(node.targets[0]), function)
            found += [(code, said) for _, _, code in _coded((node.value,)) if _may_refuse(code)]
        parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", ())
        for place, part, code in _coded(parts):
            if id(part) in skipped or not _may_refuse(code):
                continue
            if isinstance(node, ast.Call) and error == "Refused" and _name(node.func) != error:
                continue
            following = parts[place + 1] if place + 1 < len(parts) else None
            passed = _passed_on(node, function) if isinstance(node, ast.Call) else ""
            said = passed or (_sentence(following) if following is not None else "")
            is_of_form = is_form and (code is Code.BODY_MALFORMED or not said)
            found.append((code, _FORM if is_of_form else said))
    return tuple(found)


def _coded(parts: Iterable[ast.AST]) -> Iterator[tuple[int, ast.AST, Code]]:
    """Yield (place, part, code) of each part that is a code, or one of two by a condition."""
    for place, part in enumerate(parts):
        for leaf in (part.body, part.orelse) if isinstance(part, ast.IfExp) else (part,):
            code = _code(leaf)
            if code is not None:
                yield place, part, code


def _may_refuse(code: Code) -> bool:
    """Tell whether a code is one of keys, envelopes or rules; not one of nodes, links or files."""
    return code is not Code.INTERNAL and any(code in numbers for numbers in _NUMBERS)


def _keyed(node: ast.Call, function: FunctionType) -> list[tuple[Code, str]]:
    """Return the code that a table of this module has for a call's first argument, if any."""
    key = node.args[0] if node.args else None
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        return []
    tables = (item for item in function.__globals__.values() if isinstance(item, Mapping))
    codes = (table.get(key.value) for table in tables if table)
    return [(code, f"{key.value} … is not registered") for code in codes if isinstance(code, Code)]


def _code(node: ast.AST) -> Code | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return Code.__members__.get(node.attr) if node.value.id == "Code" else None
    return None


def _passed_on(node: ast.Call, function: FunctionType) -> str:
    """Return what a function that is given a code says with it."""
    called = function.__globals__.get(_name(node.func))
    return _said_with("", called) if isinstance(called, FunctionType) else ""


def _said_with(name: str, function: FunctionType) -> str:
    """Return the sentence that a function rejects with when its code is the variable `name`."""
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Call) and _name(node.func) == "Rejected" and len(node.args) == 2:
            given = _name(node.args[0])
            if given and name in ("", given):
                return _sentence(node.args[1])
    return ""


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _sentence(node: ast.AST) -> str:
    """Return a message as it is written, with … for what it is filled with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_sentence(part) or "…" for part in node.values)
    if isinstance(node, ast.IfExp):
        return f"{_sentence(node.body)} / {_sentence(node.orelse)}"
    return ""
