"""From source to something that runs: parse, check, bound, and build both evaluators.

`compile_expression` is the one way in. What it returns knows the facts it reads, its worst-case
cost and its type; `evaluate` runs the generated code when all facts are there and the closures
when one is missing. `compile_together` generates the code of many expressions at once, which is
several times cheaper than one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.errors import Code
from ledger.rules.checker import Environment, check
from ledger.rules.closures import build_evaluator
from ledger.rules.codegen import Generated, generate
from ledger.rules.cost import compute_cost
from ledger.rules.limits import MAX_COST
from ledger.rules.parser import parse
from ledger.rules.quantities import parse_quantity
from ledger.rules.source import Source
from ledger.rules.tree import Constant, Tree, facts_of
from ledger.rules.types import Type, describe, type_of_unit
from ledger.rules.unit_rules import hint_for_number, unify
from ledger.rules.units import Unit


@dataclass(frozen=True, slots=True)
class Checked:
    """An accepted expression that has no evaluators yet."""

    source: str
    tree: Tree
    cost: int
    reads: frozenset[str]

    @property
    def type(self) -> Type:
        """The static type of its value."""
        return self.tree.type


@dataclass(frozen=True, slots=True)
class Expression:
    """An accepted expression; `cost` is charged before it is evaluated."""

    source: str
    tree: Tree
    cost: int
    reads: frozenset[str]
    interpret: Generated  # for any facts
    run: Generated  # only when all of `reads` are present and in range

    @property
    def type(self) -> Type:
        """The static type of its value."""
        return self.tree.type

    def evaluate(self, facts: Mapping[str, Any]) -> Any:
        """Return the value on facts inside their declared ranges; raise `EvalError`."""
        if self.reads <= facts.keys():
            return self.run(facts)
        return self.interpret(facts)


def check_expression(source: Source, environment: Environment, want: Unit | None = None) -> Checked:
    """Return `source` checked, of unit `want` if given; raise `RuleSourceError`."""
    if parse_quantity(source.text) is not None:
        message = (
            f'a quantity is no expression: declare x = "{source.text}" under [params], and write '
            "p.x"
        )
        raise source.refusal(Code.RULE_SYNTAX, message, 0)
    tree = check(source, parse(source), environment)
    cost = compute_cost(tree)
    if cost > MAX_COST:
        message = f"may cost {cost} units in the worst case, want at most {MAX_COST}"
        raise source.refusal(Code.RULE_COST, message, 0)
    if want is not None:
        _want_unit(source, tree, want)
    return Checked(source.text, tree, cost, facts_of(tree))


def _want_unit(source: Source, tree: Tree, want: Unit) -> None:
    wanted = type_of_unit(want)
    if unify(wanted, tree.type) is None:
        code = Code.RULE_UNIT if tree.type.unit and wanted.unit else Code.RULE_TYPE
        message = f"the value here is {describe(tree.type)}, want {describe(wanted)}"
        value = tree.value if isinstance(tree, Constant) else None
        hint = hint_for_number(want, value) if tree.type.unit is Unit.NUMBER else ""
        if want is Unit.FLAG and tree.type.unit is not None:
            hint = "compare it with something, as in x >= y"
        message += f": {hint}" if hint else ""
        raise source.refusal(code, message, 0)


def compile_together(checked: Sequence[Checked]) -> tuple[Expression, ...]:
    """Return the expressions with their evaluators."""
    generated = generate([item.tree for item in checked])
    return tuple(
        Expression(item.source, item.tree, item.cost, item.reads, build_evaluator(item.tree), run)
        for item, run in zip(checked, generated, strict=True)
    )


def compile_expression(
    source: Source, environment: Environment, want: Unit | None = None
) -> Expression:
    """Return `source` compiled, of unit `want` if given; raise `RuleSourceError`."""
    return compile_together([check_expression(source, environment, want)])[0]
