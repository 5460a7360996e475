"""The second evaluator: Python source generated from typed trees and compiled once.

It runs only when every fact that the tree reads is present and inside its declared range. Under
that condition most nodes cannot fail, and become Python's own operators; where an operation may
still fail (an overflow that `intervals` cannot exclude, a divisor that may be zero) it is called
with its check, and a `&&`, `||`, all or exists over it absorbs the error as CEL says. Source is
made of node kinds, integers, and `repr` of texts: nothing an author wrote is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.rules import intervals
from ledger.rules.failures import EvalError
from ledger.rules.intervals import FULL, Range
from ledger.rules.operations import OPERATIONS, checked
from ledger.rules.tree import (
    Apply,
    Choose,
    Constant,
    Fact,
    HasFact,
    Local,
    Logic,
    Loop,
    Tree,
)
from ledger.rules.types import Kind

Generated: TypeAlias = Callable[[Mapping[str, Any]], Any]

_INFIX = {
    "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    "in": "in", "concat": "+",
}  # fmt: skip
_ARITHMETIC = {"add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "neg": "(-{0})"}
# Only for arguments that are not negative, where truncation and flooring agree.
_UNSIGNED = {
    "div": "({0} // {1})",
    "mod": "({0} % {1})",
    "mul_bp": "({0} * {1} // 10000)",
    "ratio_bp": "({0} * 10000 // {1})",
}
_NEVER_FAIL = frozenset(
    {
        "not", "make_list", "has_key", "size", "contains", "startsWith", "endsWith", "same",
        "least", "greatest", "string(int)", "string(bool)", "string(timestamp)",
        "string(duration)", "bytes(string)", "int(timestamp)",
        *_INFIX,
    }
)  # fmt: skip
_OPERATION_NAMES = {operation: f"op{index}" for index, operation in enumerate(OPERATIONS)}


@dataclass(frozen=True, slots=True)
class Emitted:
    """The source of one node, the range of its value, and whether it may raise."""

    text: str
    range: Range
    may_fail: bool


def generate(trees: Sequence[Tree]) -> tuple[Generated, ...]:
    """Return for each tree the function from facts, all present and in range, to its value."""
    names: dict[str, Any] = dict(HELPERS)
    lines = ["def make():", "    return ("]
    for tree in trees:
        emitter = Emitter(names)
        lines.append(f"        lambda f: {emitter.emit(tree).text},")
    lines.append("    )")
    code = compile("\n".join(lines), "<smartrule/1>", "exec")
    exec(code, names)  # noqa: S102 - the source is made here, from checked trees only
    functions: tuple[Generated, ...] = names["make"]()
    return functions


class Emitter:
    """Emits one tree; operations that it calls are put into `names`."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    def emit(self, tree: Tree) -> Emitted:
        """Return the source of `tree` as one parenthesised Python expression."""
        match tree:
            case Constant():
                is_int = type(tree.value) is int
                return Emitted(
                    f"({tree.value!r})", (tree.value, tree.value) if is_int else FULL, False
                )
            case Fact():
                low = intervals.FULL[0] if tree.minimum is None else tree.minimum
                high = intervals.FULL[1] if tree.maximum is None else tree.maximum
                return Emitted(f"f[{tree.name!r}]", (low, high), False)
            case HasFact():
                return Emitted("True", FULL, False)
            case Local():
                return Emitted(f"v{tree.slot}", FULL, False)
            case Logic():
                return self._emit_logic(tree)
            case Choose():
                return self._emit_choice(tree)
            case Apply():
                return self._emit_operation(tree)
            case Loop():
                return self._emit_loop(tree)

    def _emit_logic(self, tree: Logic) -> Emitted:
        left, right = self.emit(tree.left), self.emit(tree.right)
        may_fail = left.may_fail or right.may_fail
        if not left.may_fail:
            word = "or" if tree.absorbing else "and"
            return Emitted(f"({left.text} {word} {right.text})", FULL, may_fail)
        helper = "either" if tree.absorbing else "both"
        return Emitted(f"{helper}(lambda: {left.text}, lambda: {right.text})", FULL, True)

    def _emit_choice(self, tree: Choose) -> Emitted:
        condition = self.emit(tree.condition)
        chosen, otherwise = self.emit(tree.chosen), self.emit(tree.otherwise)
        return Emitted(
            f"({chosen.text} if {condition.text} else {otherwise.text})",
            intervals.hull(chosen.range, otherwise.range),
            condition.may_fail or chosen.may_fail or otherwise.may_fail,
        )

    def _emit_operation(self, tree: Apply) -> Emitted:
        arguments = [self.emit(argument) for argument in tree.arguments]
        may_fail = any(argument.may_fail for argument in arguments)
        texts = [argument.text for argument in arguments]
        if tree.operation in _INFIX:
            return Emitted(f"({texts[0]} {_INFIX[tree.operation]} {texts[1]})", FULL, may_fail)
        if tree.operation == "not":
            return Emitted(f"(not {texts[0]})", FULL, may_fail)
        if tree.type.kind is Kind.INT:
            ranges = [argument.range for argument in arguments]
            return self._emit_integer(tree.operation, texts, ranges, may_fail)
        fails = may_fail or tree.operation not in _NEVER_FAIL
        return Emitted(self._call(tree.operation, texts), FULL, fails)

    def _emit_integer(
        self, operation: str, texts: list[str], ranges: list[Range], may_fail: bool
    ) -> Emitted:
        found, is_safe = intervals.bound(operation, ranges)
        may_fail = may_fail or not (is_safe or operation in _NEVER_FAIL)
        if operation == "same":
            return Emitted(texts[0], found, may_fail)
        if operation in _ARITHMETIC:
            text = _ARITHMETIC[operation].format(*texts)
            return Emitted(text if is_safe else f"checked{text}", found, may_fail)
        if is_safe and operation in _UNSIGNED and all(low >= 0 for low, _ in ranges):
            return Emitted(_UNSIGNED[operation].format(*texts), found, may_fail)
        return Emitted(self._call(operation, texts), found, may_fail)

    def _call(self, operation: str, texts: list[str]) -> str:
        name = _OPERATION_NAMES[operation]
        self._names[name] = OPERATIONS[operation]
        return f"{name}({', '.join(texts)})"

    def _emit_loop(self, tree: Loop) -> Emitted:
        subject = self.emit(tree.subject)
        items = subject.text
        if tree.subject.type.kind is Kind.MAP:
            items = f"sorted({items})"
        variable = f"v{tree.slot}"
        true = Emitted("True", FULL, False)
        condition = self.emit(tree.condition) if tree.condition is not None else true
        result = self.emit(tree.result) if tree.result is not None else None
        may_fail = subject.may_fail or condition.may_fail
        if tree.macro in ("all", "exists"):
            if condition.may_fail:
                text = f"{tree.macro}_of({items}, lambda {variable}: {condition.text})"
                return Emitted(text, FULL, True)
            word = "all" if tree.macro == "all" else "any"
            return Emitted(f"{word}({condition.text} for {variable} in {items})", FULL, may_fail)
        if tree.macro == "exists_one":
            counted = f"sum(1 for {variable} in {items} if {condition.text})"
            return Emitted(f"({counted} == 1)", FULL, may_fail)
        kept = variable if result is None else result.text
        may_fail = may_fail or (result is not None and result.may_fail)
        text = f"tuple([{kept} for {variable} in {items} if {condition.text}])"
        return Emitted(text, FULL, may_fail)


def _both(left: Callable[[], bool], right: Callable[[], bool]) -> bool:
    """Return left && right, where left may fail."""
    try:
        if not left():
            return False
    except EvalError as error:
        return _absorb(error, right, False)
    return right()


def _either(left: Callable[[], bool], right: Callable[[], bool]) -> bool:
    """Return left || right, where left may fail."""
    try:
        if left():
            return True
    except EvalError as error:
        return _absorb(error, right, True)
    return right()


def _absorb(error: EvalError, right: Callable[[], bool], absorbing: bool) -> bool:
    try:
        if right() is absorbing:
            return absorbing
    except EvalError:
        raise error from None
    raise error


def _all_of(items: Iterable[Any], condition: Callable[[Any], bool]) -> bool:
    return not _find(items, condition, False)


def _exists_of(items: Iterable[Any], condition: Callable[[Any], bool]) -> bool:
    return _find(items, condition, True)


def _find(items: Iterable[Any], condition: Callable[[Any], bool], sought: bool) -> bool:
    """Return whether the condition is `sought` of any item; an error counts if none is."""
    first: EvalError | None = None
    for item in items:
        try:
            if condition(item) is sought:
                return True
        except EvalError as error:
            first = first or error
    if first is not None:
        raise first
    return False


HELPERS: dict[str, Any] = {
    "checked": checked,
    "both": _both,
    "either": _either,
    "all_of": _all_of,
    "exists_of": _exists_of,
}
