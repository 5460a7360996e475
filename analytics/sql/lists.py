"""Lists and macros as SQL: unrolled, for every list of the language is written out in the rule.

An element that a filter left out is not `present`; what is computed of it counts for nothing. The
order of errors is that of `ledger.rules.closures`: the list first, then element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analytics.sql import dialect
from analytics.sql.nodes import Node
from analytics.sql.values import NEVER, Element, Fault, Items, Maker, Operand, Unsupported, Value
from ledger.rules.tree import Loop, Tree

CompileWith = Callable[[int, Value, Tree], Value]
_SIZES = (0, 2**32)


class Lists:
    """The operations on lists; `compile_with` compiles the body of a macro for one element."""

    def __init__(self, make: Maker, compile_with: CompileWith) -> None:
        self._make = make
        self._graph = make.graph
        self._compile_with = compile_with

    def apply(self, operation: str, operands: Sequence[Operand]) -> Operand | None:
        """Return the result of a strict operation that makes or takes lists; None for others."""
        if operation == "make_list":
            return self._make_list(operands)
        first = operands[0]
        if operation == "in" and isinstance(operands[1], Items) and isinstance(first, Value):
            return self._contains(first, operands[1])
        if operation == "size" and isinstance(first, Items):
            return self._make.strict(self._guard(first, self._count(first)), (first,), found=_SIZES)
        if operation == "item" and isinstance(first, Items) and isinstance(operands[1], Value):
            return self._item(first, operands[1])
        if operation == "concat" and isinstance(first, Items) and isinstance(operands[1], Items):
            return self._concat(first, operands[1])
        return None

    def _make_list(self, operands: Sequence[Operand]) -> Items:
        elements = []
        for operand in operands:
            if isinstance(operand, Items):
                raise Unsupported("a list in a list")
            # Inside a sound list no element is in error.
            elements.append(Element(None, Value(operand.sql, range=operand.range)))
        kinds = NEVER.union(*(operand.kinds for operand in operands))
        return Items(tuple(elements), kinds, self._make.first_fault(operands))

    def _concat(self, left: Items, right: Items) -> Items:
        broken = self._make.first_fault((left, right))
        return Items((*left.elements, *right.elements), left.kinds | right.kinds, broken)

    def _contains(self, item: Value, items: Items) -> Value:
        if not items.elements:
            sql = self._graph.make("CASE WHEN {0} IS NOT NULL THEN FALSE END", item.sql)
        elif all(element.present is None for element in items.elements):
            nodes = [element.value.sql for element in items.elements]
            holes = ", ".join(f"{{{index + 1}}}" for index in range(len(nodes)))
            sql = self._graph.make(f"({{0}} IN ({holes}))", item.sql, *nodes)
        else:
            tests = [
                self._present_and(element, self._graph.make("({0} = {1})", item.sql, node))
                for element in items.elements
                for node in (element.value.sql,)
            ]
            sql = self._graph.make(
                "CASE WHEN {0} IS NOT NULL THEN {1} END", item.sql, self._graph.join("OR", tests)
            )
        return self._make.strict(self._guard(items, sql), (item, items))

    def _item(self, items: Items, index: Value) -> Value:
        if any(element.present is not None for element in items.elements):
            raise Unsupported("an index into a filtered list")
        if not items.elements:
            raise Unsupported("an index into an empty list")
        nodes = [element.value.sql for element in items.elements]
        branches = " ".join(f"WHEN {{0}} = {at} THEN {{{at + 1}}}" for at in range(len(nodes)))
        sql = self._graph.make(f"CASE {branches} END", index.sql, *nodes)
        lows, highs = zip(*(element.value.range for element in items.elements), strict=True)
        own = frozenset({Fault.RANGE})
        if index.range[0] >= 0 and index.range[1] < len(nodes):
            own = NEVER
        return self._make.strict(
            self._guard(items, sql), (items, index), own, None, (min(lows), max(highs))
        )

    def choose(self, condition: Value, chosen: Operand, otherwise: Operand) -> Items:
        """Return the list that a conditional chooses."""
        if isinstance(chosen, Value) or isinstance(otherwise, Value):
            raise Unsupported("a choice of lists")
        is_else = self._graph.make("(NOT {0})", condition.sql)
        elements = [self._only_if(condition.sql, element) for element in chosen.elements]
        elements += [self._only_if(is_else, element) for element in otherwise.elements]
        kinds = condition.kinds | chosen.kinds | otherwise.kinds
        broken = self.chosen_fault(condition, chosen, otherwise) if kinds else None
        return Items(tuple(elements), kinds, broken)

    def chosen_fault(self, condition: Value, chosen: Operand, otherwise: Operand) -> Node:
        """Return the code of the error of a conditional: of its condition, else of its choice."""
        own = self._make.fault_of(condition)
        null = self._graph.leaf("NULL")
        template = "CASE WHEN {0} THEN {1} WHEN NOT {0} THEN {2} ELSE {3} END"
        return self._graph.make(
            template,
            condition.sql,
            self._make.fault_of(chosen) or null,
            self._make.fault_of(otherwise) or null,
            own or null,
        )

    def loop(self, tree: Loop, subject: Items) -> Operand:
        """Return the value of a macro over `subject`."""
        if tree.macro in ("all", "exists"):
            return self._quantify(tree, subject)
        found = self._select(tree, subject)
        if tree.macro == "exists_one":
            sql = self._graph.make("({0} = 1)", self._count(found))
            return self._make.strict(self._guard(found, sql), (found,))
        return found

    def _bodies(self, tree: Loop, subject: Items, body: Tree) -> list[Value]:
        return [self._compile_with(tree.slot, element.value, body) for element in subject.elements]

    def _quantify(self, tree: Loop, subject: Items) -> Value:
        """Compile all or exists: an element that decides absorbs the errors of the others."""
        if tree.condition is None or not subject.elements:
            truth = self._graph.leaf("TRUE" if tree.macro == "all" else "FALSE")
            return self._make.strict(self._guard(subject, truth), (subject,))
        values = self._bodies(tree, subject, tree.condition)
        pairs = list(zip(subject.elements, values, strict=True))
        if tree.macro == "exists":
            tests = [self._present_and(element, value.sql) for element, value in pairs]
            sql = self._graph.join("OR", tests)
        else:
            tests = [self._absent_or(element, value.sql) for element, value in pairs]
            sql = self._graph.join("AND", tests)
        faults = [self._fault_in(element, value) for element, value in pairs]
        return self._after(subject, sql, values, faults)

    def _after(
        self, subject: Items, sql: Node, values: Sequence[Value], faults: Sequence[Node | None]
    ) -> Value:
        """Return `sql` with the errors of the list, then those of its elements in order."""
        kinds = subject.kinds.union(*(value.kinds for value in values))
        found = [subject.broken, *faults] if subject.kinds else list(faults)
        kind = None
        if len(kinds) > 1:
            kind = self._make.coalesce([fault for fault in found if fault is not None])
        return Value(self._guard(subject, sql), kinds, kind)

    def _select(self, tree: Loop, subject: Items) -> Items:
        """Compile filter and map: the first error of any element is that of the whole."""
        elements = []
        kinds = subject.kinds
        faults = [subject.broken] if subject.kinds else []
        for element in subject.elements:
            kept = element
            if tree.condition is not None:
                condition = self._compile_with(tree.slot, element.value, tree.condition)
                faults.append(self._fault_in(element, condition))
                kinds |= condition.kinds
                kept = self._only_if(condition.sql, element)
            if tree.result is not None:
                result = self._compile_with(tree.slot, element.value, tree.result)
                faults.append(self._fault_in(kept, result))
                kinds |= result.kinds
                kept = Element(kept.present, Value(result.sql, range=result.range))
            elements.append(kept)
        broken = self._make.coalesce([fault for fault in faults if fault is not None])
        return Items(tuple(elements), kinds, broken)

    def _fault_in(self, element: Element, value: Value) -> Node | None:
        """Return the code of the error of what was computed of an element, if that is there."""
        fault = self._make.fault_of(value)
        if fault is None or element.present is None:
            return fault
        return self._graph.make("CASE WHEN {0} THEN {1} END", element.present, fault)

    def _only_if(self, condition: Node, element: Element) -> Element:
        return Element(self._present_and(element, condition), element.value)

    def _present_and(self, element: Element, test: Node) -> Node:
        if element.present is None:
            return test
        return self._graph.make("({0} AND {1})", element.present, test)

    def _absent_or(self, element: Element, test: Node) -> Node:
        if element.present is None:
            return test
        return self._graph.make("(NOT {0} OR {1})", element.present, test)

    def _count(self, items: Items) -> Node:
        ones = [
            self._graph.make("CASE WHEN {0} THEN 1 ELSE 0 END", element.present)
            for element in items.elements
            if element.present is not None
        ]
        fixed = len(items.elements) - len(ones)
        parts = [*ones, self._graph.leaf(dialect.literal(fixed))]
        return self._graph.join("+", parts)

    def _guard(self, items: Items, sql: Node) -> Node:
        """Return `sql`, NULL where the list is in error."""
        if items.broken is None:
            return sql
        return self._graph.make("CASE WHEN {0} IS NULL THEN {1} END", items.broken, sql)
