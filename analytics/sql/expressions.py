"""From a checked tree to SQL, node by node, with the meaning of `ledger.rules.closures`.

Integers carry the range that follows from the declared ranges of facts; only where 64 bits may not
do is an operation computed wide. Parts without facts are evaluated now, by the ledger's own
evaluator. What has no SQL here (maps, bytes, times, texts read as numbers) raises `Unsupported`:
such a rule is evaluated by a node's evaluator, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.sql import dialect
from analytics.sql.lists import Lists
from analytics.sql.nodes import Graph, Node
from analytics.sql.values import (
    MISSING,
    NEVER,
    Element,
    Fault,
    Items,
    Maker,
    Operand,
    Unsupported,
    Value,
)
from ledger.rules import intervals
from ledger.rules.closures import build_evaluator
from ledger.rules.failures import EvalError
from ledger.rules.intervals import FULL, Range
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
    children_of,
)
from ledger.rules.types import Kind
from ledger.rules.units import FactValue

_COMPARISONS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SCALARS = frozenset({Kind.BOOL, Kind.INT, Kind.STRING})
_DIVISIONS = frozenset({"div", "mod", "ratio_bp"})
# The product that must fit in 64 bits before it is divided.
_PRODUCTS = frozenset({"mul_bp", "mul_bp_up", "ratio_bp"})
_BP: Range = (10_000, 10_000)


class ExpressionCompiler:
    """Compiles trees over one table: `columns` gives the node of each fact, NULL where absent.

    `constants` are facts that every row has alike; they need no column.
    """

    def __init__(
        self,
        graph: Graph,
        columns: Mapping[str, Node],
        constants: Mapping[str, FactValue],
    ) -> None:
        self._graph = graph
        self._make = Maker(graph)
        self._columns = columns
        self._constants = constants
        self._locals: dict[int, Value] = {}
        self._lists = Lists(self._make, self._compile_with)

    def compile(self, tree: Tree) -> Value:
        """Return the value of a tree that is a bool, an integer or a text.

        Raises `Unsupported`.
        """
        return self._scalar(self._compile(tree))

    def fault(self, value: Value) -> Node | None:
        """Return the code of the error of `value`, NULL where none, or None if it never has one."""
        return self._make.fault_of(value)

    def _compile_with(self, slot: int, value: Value, tree: Tree) -> Value:
        """Compile the body of a macro with its variable bound."""
        outer = self._locals.get(slot)
        self._locals[slot] = value
        found = self.compile(tree)
        if outer is not None:
            self._locals[slot] = outer
        return found

    def _scalar(self, operand: Operand) -> Value:
        if isinstance(operand, Items):
            raise Unsupported("a list as a value")
        return operand

    def _compile(self, tree: Tree) -> Operand:
        match tree:
            case Constant():
                return self._constant(tree.value)
            case Fact() | HasFact() if tree.name in self._constants:
                is_test = isinstance(tree, HasFact)
                return self._make.constant(is_test or self._constants[tree.name])
            case Fact():
                return self._compile_fact(tree)
            case HasFact():
                return Value(self._graph.make("({0} IS NOT NULL)", self._columns[tree.name]))
            case Local():
                return self._locals[tree.slot]
        if _is_closed(tree, frozenset()):
            return self._fold(tree)
        match tree:
            case Logic():
                return self._compile_logic(tree)
            case Choose():
                return self._compile_choice(tree)
            case Apply():
                return self._compile_operation(tree)
            case Loop():
                subject = self._compile(tree.subject)
                if not isinstance(subject, Items):
                    raise Unsupported("a macro over a map")
                return self._lists.loop(tree, subject)

    def _constant(self, value: Any) -> Operand:
        if isinstance(value, tuple):
            elements = [self._scalar(self._constant(item)) for item in value]
            return Items(tuple(Element(None, item) for item in elements))
        if isinstance(value, bool | int | str):
            return self._make.constant(value)
        raise Unsupported(f"a {type(value).__name__}")

    def _fold(self, tree: Tree) -> Operand:
        """Evaluate what reads no fact, as a node would."""
        if tree.type.kind in (Kind.TIMESTAMP, Kind.DURATION):
            raise Unsupported(f"a {tree.type.kind}")
        try:
            return self._constant(build_evaluator(tree)({}))
        except EvalError as error:
            return self._make.never(Fault[error.kind.name], tree.type.kind)

    def _compile_fact(self, tree: Fact) -> Value:
        if tree.type.kind not in _SCALARS:
            raise Unsupported(f"a fact that is a {tree.type.kind}")
        low = FULL[0] if tree.minimum is None else tree.minimum
        high = FULL[1] if tree.maximum is None else tree.maximum
        return Value(self._columns[tree.name], MISSING, None, (low, high))

    def _compile_logic(self, tree: Logic) -> Value:
        left, right = self.compile(tree.left), self.compile(tree.right)
        word = "OR" if tree.absorbing else "AND"
        sql = self._graph.make(f"({{0}} {word} {{1}})", left.sql, right.sql)
        # Where the whole is NULL, no side was the absorbing value: the first error is the one.
        return self._make.strict(sql, (left, right))

    def _compile_choice(self, tree: Choose) -> Operand:
        condition = self.compile(tree.condition)
        chosen, otherwise = self._compile(tree.chosen), self._compile(tree.otherwise)
        if isinstance(chosen, Items) or isinstance(otherwise, Items):
            return self._lists.choose(condition, chosen, otherwise)
        graph = self._graph
        template = "CASE WHEN {0} THEN {1} WHEN NOT {0} THEN {2} END"
        if not condition.kinds:
            template = "CASE WHEN {0} THEN {1} ELSE {2} END"
        sql = graph.make(template, condition.sql, chosen.sql, otherwise.sql)
        kinds = condition.kinds | chosen.kinds | otherwise.kinds
        kind = self._lists.chosen_fault(condition, chosen, otherwise) if len(kinds) > 1 else None
        return Value(sql, kinds, kind, intervals.hull(chosen.range, otherwise.range))

    def _compile_operation(self, tree: Apply) -> Operand:
        operands = [self._compile(argument) for argument in tree.arguments]
        if tree.operation == "same":
            return operands[0]
        found = self._lists.apply(tree.operation, operands)
        if found is not None:
            return found
        values = [self._scalar(operand) for operand in operands]
        if any(argument.type.kind not in _SCALARS for argument in tree.arguments):
            raise Unsupported(tree.operation)
        if tree.type.kind is Kind.INT:
            return self._compile_integer(tree.operation, values)
        return self._compile_other(tree.operation, values)

    def _compile_other(self, operation: str, values: list[Value]) -> Value:
        nodes = [value.sql for value in values]
        if operation in _COMPARISONS:
            sql = self._graph.make(f"({{0}} {_COMPARISONS[operation]} {{1}})", *nodes)
        elif operation in dialect.TEXTS:
            sql = self._graph.make(dialect.TEXTS[operation], *nodes)
        elif operation == "not":
            sql = self._graph.make("(NOT {0})", *nodes)
        else:
            raise Unsupported(operation)
        return self._make.strict(sql, values)

    def _compile_integer(self, operation: str, values: list[Value]) -> Value:
        if operation in ("least", "greatest"):
            return self._compile_extreme(operation, values)
        if operation == "size":
            sql = self._graph.make(dialect.TEXTS["size"], values[0].sql)
            return self._make.strict(sql, values, found=(0, 2**32))
        if operation not in dialect.PLAIN:
            raise Unsupported(operation)
        ranges = [value.range for value in values]
        found, may_overflow = _bound(operation, ranges)
        may_be_zero = operation in _DIVISIONS and ranges[1][0] <= 0 <= ranges[1][1]
        is_plain = not may_overflow and (
            operation not in _PRODUCTS or _fits_product(operation, ranges)
        )
        spelling = dialect.PLAIN if is_plain else dialect.CHECKED
        nodes = [value.sql for value in values]
        sql = self._graph.make(spelling[operation], *nodes)
        own = {Fault.OVERFLOW} if may_overflow else set()
        kind = None
        if may_be_zero:
            own.add(Fault.DIV_ZERO)
            if may_overflow:
                kind = self._graph.make(
                    f"CASE WHEN {{0}} = 0 THEN {Fault.DIV_ZERO} ELSE {Fault.OVERFLOW} END", nodes[1]
                )
        return self._make.strict(sql, values, frozenset(own), kind, found)

    def _compile_extreme(self, operation: str, values: list[Value]) -> Value:
        """Compile least or greatest, whose SQL functions would pass over a NULL."""
        nodes = [value.sql for value in values]
        holes = ", ".join(f"{{{index}}}" for index in range(len(nodes)))
        text = f"{operation.upper()}({holes})" if len(nodes) > 1 else "{0}"
        nullable = [index for index, value in enumerate(values) if value.kinds]
        if nullable and len(nodes) > 1:
            known = " AND ".join(f"{{{index}}} IS NOT NULL" for index in nullable)
            text = f"CASE WHEN {known} THEN {text} END"
        found = intervals.bound(operation, [value.range for value in values])[0]
        return self._make.strict(self._graph.make(text, *nodes), values, NEVER, None, found)


def _bound(operation: str, ranges: list[Range]) -> tuple[Range, bool]:
    """Return the range of the result and whether it may leave 64 bits, division by zero apart."""
    if operation not in _DIVISIONS or not ranges[1][0] <= 0 <= ranges[1][1]:
        found, is_safe = intervals.bound(operation, ranges)
        return found, not is_safe
    # Divisors of both signs, zero left out; the bounds of either hold for what is divided.
    parts = []
    if ranges[1][0] < 0:
        parts.append(intervals.bound(operation, [ranges[0], (ranges[1][0], -1)]))
    if ranges[1][1] > 0:
        parts.append(intervals.bound(operation, [ranges[0], (1, ranges[1][1])]))
    if not parts:
        return (0, 0), False
    found = parts[0][0]
    for other, _ in parts[1:]:
        found = intervals.hull(found, other)
    return found, not all(is_safe for _, is_safe in parts)


def _fits_product(operation: str, ranges: list[Range]) -> bool:
    factors = [ranges[0], _BP if operation == "ratio_bp" else ranges[1]]
    return intervals.bound("mul", factors)[1]


def _is_closed(tree: Tree, bound: frozenset[int]) -> bool:
    """Return whether the tree reads no fact and no variable of a macro around it."""
    if isinstance(tree, Fact | HasFact):
        return False
    if isinstance(tree, Local):
        return tree.slot in bound
    if isinstance(tree, Loop):
        inner = bound | {tree.slot}
        bodies = [body for body in (tree.condition, tree.result) if body is not None]
        return _is_closed(tree.subject, bound) and all(_is_closed(item, inner) for item in bodies)
    return all(_is_closed(child, bound) for child in children_of(tree))
