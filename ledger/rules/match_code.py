"""One generated function that looks at the conditions of many products at once.

Products of one schema ask the same things: whether the tax grade is A, whether sales reach a bound.
The conditions are taken apart at `&&`, `||` and `!` into atoms; each distinct atom is computed once
a company, each distinct condition is put together from atoms once, and each product's verdict from
conditions. Facts are local variables, None when missing. Values are three-valued: True, False, and
None for an error, of which CEL's absorption asks no more.

Atoms that read the same facts stand under one test that all are there. Where one lacks, an atom in
which everything is evaluated is an error and nothing of it runs; one with a ternary or a macro in
it goes to the closures. Where all are there the source is that of `codegen`, which skips checks by
the same interval analysis. Distinct means: of the same generated source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ledger.rules.closures import build_evaluator
from ledger.rules.codegen import HELPERS, Emitted, Emitter
from ledger.rules.failures import EvalError
from ledger.rules.intervals import FULL
from ledger.rules.tree import Apply, Choose, Fact, HasFact, Logic, Loop, Tree, children_of

HOLDS, UNKNOWN, FAILS = 2, 1, 0
Values: TypeAlias = tuple[bool | None, ...]
# From facts to the values of the distinct conditions, the verdicts of the products and the values
# of the inputs.
Check: TypeAlias = Callable[[Mapping[str, Any]], tuple[Values, tuple[int, ...], tuple[Any, ...]]]


def generate_check(
    products: Sequence[Sequence[Tree]], inputs: Sequence[Tree] = ()
) -> tuple[Check, list[list[int]]]:
    """Return the function for products given by their conditions, and where each value stands.

    The second answer says for each product at which index of the values its conditions are.
    `inputs` are trees of any type that are evaluated as well, for the scores. Facts must have
    their declared types and ranges (`accept_facts`).
    """
    writer = _Writer()
    variables = [[writer.condition(tree) for tree in trees] for trees in products]
    distinct = list(dict.fromkeys(name for names in variables for name in names))
    places = {name: index for index, name in enumerate(distinct)}
    verdicts = [_verdict(list(dict.fromkeys(names))) for names in variables]
    measured = [writer.condition(tree) for tree in inputs]
    code = compile(writer.source(distinct, verdicts, measured), "<match>", "exec")
    names = writer.names
    exec(code, names)  # noqa: S102 - the source is made here, from checked trees only
    check: Check = names["check"]
    return check, [[places[name] for name in each] for each in variables]


def _verdict(names: list[str]) -> str:
    if not names:
        return str(HOLDS)
    fails = " or ".join(f"{name} is False" for name in names)
    return f"({FAILS} if {fails} else {HOLDS} if {' and '.join(names)} else {UNKNOWN})"


class _LocalEmitter(Emitter):
    """Emits facts as local variables."""

    def __init__(self, names: dict[str, Any], variables: dict[str, str]) -> None:
        super().__init__(names)
        self._variables = variables

    def variable(self, name: str) -> str:
        """Return the local variable of a fact."""
        return self._variables.setdefault(name, f"f{len(self._variables)}")

    def emit(self, tree: Tree) -> Emitted:
        """Return the source of `tree`."""
        match tree:
            case Fact():
                return Emitted(self.variable(tree.name), super().emit(tree).range, False)
            case HasFact():
                return Emitted(f"({self.variable(tree.name)} is not None)", FULL, False)
            case _:
                return super().emit(tree)


class _Writer:
    """Gathers atoms by the facts they need, and the conditions made of them."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {**HELPERS, "EvalError": EvalError}
        self._facts: dict[str, str] = {}
        self._emitter = _LocalEmitter(self.names, self._facts)
        self._atoms: dict[str, str] = {}  # source → variable
        self._groups: dict[tuple[str, ...], list[tuple[str, Emitted, str]]] = {}
        self._joined: dict[str, str] = {}  # source → variable, in order of need

    def condition(self, tree: Tree) -> str:
        """Return the variable of a tree's value, None for an error: of a condition or an input."""
        if isinstance(tree, Logic):
            return self._join(tree)
        if isinstance(tree, Apply) and tree.operation == "not":
            (inner,) = tree.arguments
            name = self.condition(inner)
            return self._define(f"None if {name} is None else not {name}")
        return self._atom(tree)

    def _join(self, tree: Logic) -> str:
        names = list(dict.fromkeys(self.condition(part) for part in _flatten(tree, tree.absorbing)))
        if len(names) == 1:
            return names[0]
        absorbed = " or ".join(f"{name} is {tree.absorbing}" for name in names)
        unknown = " or ".join(f"{name} is None" for name in names)
        return self._define(
            f"{tree.absorbing} if {absorbed} else None if {unknown} else {not tree.absorbing}"
        )

    def _define(self, source: str) -> str:
        return self._joined.setdefault(source, f"c{len(self._joined)}")

    def _atom(self, tree: Tree) -> str:
        emitted = self._emitter.emit(tree)
        name = self._atoms.get(emitted.text)
        if name is not None:
            return name
        name = self._atoms[emitted.text] = f"a{len(self._atoms)}"
        needs = tuple(sorted(self._emitter.variable(fact) for fact in _needs(tree)))
        without = "None"
        if not _is_strict(tree):
            self.names[f"s{name}"] = _build_slow(tree)
            without = f"s{name}(f)"
        self._groups.setdefault(needs, []).append((name, emitted, without))
        return name

    def source(
        self, distinct: Sequence[str], verdicts: Sequence[str], inputs: Sequence[str]
    ) -> str:
        """Return the source of the function `check`."""
        lines = ["def check(f):", " get = f.get"]
        lines += [f" {variable} = get({name!r})" for name, variable in self._facts.items()]
        for needs, atoms in sorted(self._groups.items()):
            lines += _group_lines(needs, atoms)
        lines += [f" {name} = {source}" for source, name in self._joined.items()]
        values = "".join(f"{name}," for name in distinct)
        judged = "".join(f"{item}," for item in verdicts)
        measured = "".join(f"{name}," for name in inputs)
        lines.append(f" return ({values}), ({judged}), ({measured})")
        return "\n".join(lines)


def _group_lines(needs: Sequence[str], atoms: Sequence[tuple[str, Emitted, str]]) -> list[str]:
    present = " and ".join(f"{variable} is not None" for variable in needs) or "True"
    lines = [f" if {present}:"]
    for name, emitted, _ in atoms:
        if emitted.may_fail:
            lines += ["  try:", f"   {name} = {emitted.text}"]
            lines += ["  except EvalError:", f"   {name} = None"]
        else:
            lines.append(f"  {name} = {emitted.text}")
    lines.append(" else:")
    lines += [f"  {name} = {without}" for name, _, without in atoms]
    return lines


def _flatten(tree: Tree, absorbing: bool) -> list[Tree]:
    if isinstance(tree, Logic) and tree.absorbing is absorbing:
        return [*_flatten(tree.left, absorbing), *_flatten(tree.right, absorbing)]
    return [tree]


def _is_strict(tree: Tree) -> bool:
    """Tell whether a missing fact of the tree is always an error of the tree."""
    if isinstance(tree, Logic | Choose | Loop | HasFact):
        return False
    return all(_is_strict(child) for child in children_of(tree))


def _needs(tree: Tree) -> frozenset[str]:
    """Return the facts without which the generated source must not run.

    Of `has(x) ? x : …` the fact x is none of them.
    """
    if isinstance(tree, Fact):
        return frozenset({tree.name})
    if isinstance(tree, Choose) and isinstance(tree.condition, HasFact):
        return (_needs(tree.chosen) - {tree.condition.name}) | _needs(tree.otherwise)
    return frozenset().union(*(_needs(child) for child in children_of(tree)))


def _build_slow(tree: Tree) -> Callable[[Mapping[str, Any]], Any]:
    evaluate = build_evaluator(tree)

    def find(facts: Mapping[str, Any]) -> Any:
        try:
            return evaluate(facts)
        except EvalError:
            return None

    return find
