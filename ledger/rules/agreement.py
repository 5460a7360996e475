"""Whether typed trees agree, and what to tell the author when they do not.

A refusal names the parts as they were written, says what each of them is, and gives a hint of what
to write instead: "rv.amount is money (fen) and 1000 is a bare number: write yuan(1000)".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from ledger.errors import Code
from ledger.rules import slips, unit_rules
from ledger.rules.names import quoted, shown
from ledger.rules.source import Source
from ledger.rules.syntax import Binary, Call, Literal, Name, Select, Syntax
from ledger.rules.tree import Constant, Tree
from ledger.rules.types import ANY, Kind, Type, describe
from ledger.rules.unit_rules import Mismatch
from ledger.rules.units import Unit

_ORDERS = frozenset({"<", "<=", ">", ">="})
_FORMS = {Unit.FEN: '"CNY {}.00"', Unit.BP: '"{}.00%"', Unit.DAYS: '"{} days"'}


class Blame:
    """Refusals of one source, each at the place of a syntax node."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def refuse(self, code: Code, message: str, tree: Syntax) -> NoReturn:
        """Refuse the expression at `tree`."""
        raise self._source.refusal(code, message, tree.offset)

    def join(self, syntaxes: Sequence[Syntax], trees: Sequence[Tree]) -> Type:
        """Return the one type of several values; refuse the first that differs."""
        joined = ANY
        for syntax, tree in zip(syntaxes, trees, strict=True):
            try:
                joined = unit_rules.join(joined, tree.type)
            except Mismatch as mismatch:
                self.refuse_pair(syntax, (syntaxes[0], trees[0]), (syntax, tree), mismatch)
        return joined

    def want(self, want: Type, syntax: Syntax, tree: Tree, what: str) -> None:
        """Refuse a value of another type than `want`; `what` says who wants it."""
        if unit_rules.unify(want, tree.type) is None:
            message = f"{what} {describe(want)}, {words(syntax, tree)}"
            self.refuse(unit_rules.compute_mismatch(want, tree.type).code, message, syntax)

    def refuse_pair(
        self,
        at: Syntax,
        left: tuple[Syntax, Tree],
        right: tuple[Syntax, Tree],
        mismatch: Mismatch,
    ) -> NoReturn:
        """Refuse two values that do not go together."""
        hint = _hint_for_days(at, left[1], right[1]) or mismatch.hint
        hint = hint or _first(_hints(left, right))
        message = f"{words(*left)} and {words(*right)}"
        self.refuse(mismatch.code, f"{message}: {hint}" if hint else message, at)


def dotted(tree: Syntax) -> str | None:
    """Return the spelling of a dotted name, None for anything else."""
    parts: list[str] = []
    while isinstance(tree, Select):
        parts.append(tree.field)
        tree = tree.operand
    if not isinstance(tree, Name):
        return None
    return ".".join([tree.name, *reversed(parts)])


def _hints(*pair: tuple[Syntax, Tree]) -> Iterator[str]:
    """Yield what to write instead of one of two values that do not go together."""
    for (syntax, tree), (_, other) in (pair, pair[::-1]):
        if isinstance(syntax, Binary) and syntax.operator in _ORDERS and other.type.unit:
            yield "a range is written a <= x && x <= b"
        value = tree.value if isinstance(tree, Constant) else None
        if other.type.kind is Kind.BOOL and value is not None:
            yield "a flag stands alone, as in x or !x"
        if tree.type.unit is Unit.NUMBER:
            name = dotted(syntax) or ""
            if name.startswith("p.") and other.type.unit in _FORMS:
                form = _FORMS[other.type.unit].format(value)
                yield f"write {name[2:]} = {form} under [params]"
            yield unit_rules.hint_for_number(other.type.unit, value)
        elif isinstance(value, str):
            yield slips.hint_for_text(value, other.type.unit)


def _hint_for_days(at: Syntax, left: Tree, right: Tree) -> str:
    """Return "write days(30)" where a bare number is added to a date or taken from it."""
    is_sum = isinstance(at, Binary) and at.operator in "+-"
    if is_sum and left.type.unit is Unit.DATE and right.type.unit is Unit.NUMBER:
        return f"write days({right.value if isinstance(right, Constant) else 'n'})"
    return ""


def _first(hints: Iterator[str]) -> str:
    return next((hint for hint in hints if hint), "")


def words(syntax: Syntax, tree: Tree) -> str:
    """Return "rv.amount is money (fen)"."""
    name = dotted(syntax)
    name = shown(name) if name is not None else None
    if isinstance(syntax, Literal):
        name = _literal(syntax.value)
    if isinstance(syntax, Call):
        return f"{shown(syntax.function)}(…) is {describe(tree.type)}"
    return f"{name or 'the value here'} is {describe(tree.type)}"


def _literal(value: bool | int | str | bytes) -> str | None:
    if isinstance(value, bool):
        return None
    return quoted(value) if isinstance(value, str) else shown(repr(value))
