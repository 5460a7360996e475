"""From a syntax tree to a typed tree: names, types, units and enumerations (RULES.md).

The checker resolves every name, gives every node a type with a unit, and refuses what does not go
together, with the place and with what to write instead. What it returns needs no check at run
time but for the errors of `failures`: a rule that was accepted cannot fail in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ledger.errors import Code
from ledger.rules import functions, slips, unit_rules
from ledger.rules.agreement import Blame, dotted, words
from ledger.rules.failures import EvalError
from ledger.rules.names import quoted, shown, suggest
from ledger.rules.operations import OPERATIONS
from ledger.rules.source import Source
from ledger.rules.syntax import (
    Binary,
    Call,
    Conditional,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Name,
    Select,
    Syntax,
    Unary,
)
from ledger.rules.times import check_zone
from ledger.rules.tree import Apply, Choose, Constant, Fact, HasFact, Local, Logic, Loop, Tree
from ledger.rules.types import (
    ANY,
    BOOL,
    BYTES,
    NUMBER,
    STRING,
    Kind,
    Type,
    Variable,
    describe,
    list_of,
    map_of,
)
from ledger.rules.unit_rules import Mismatch
from ledger.rules.units import Unit

_FOLDED = frozenset({"yuan", "same", "neg", "make_list"})
_MIN_WORD = 4  # letters of a word that is looked for in other names
_KEY_KINDS = frozenset({Kind.BOOL, Kind.INT, Kind.STRING, Kind.ANY})


@dataclass(frozen=True, slots=True)
class Environment:
    """The names that an expression may use, by their dotted spelling.

    `container` is CEL's namespace: a name is looked up inside it first. `note` tells the author
    of an unknown feature why there is none of that name.
    """

    variables: Mapping[str, Variable]
    container: str = ""
    note: str = ""

    def find(self, name: str) -> str | None:
        """Return the declared spelling of `name`, None if there is none."""
        prefix = self.container
        while prefix:
            if f"{prefix}.{name}" in self.variables:
                return f"{prefix}.{name}"
            prefix = prefix.rpartition(".")[0]
        return name if name in self.variables else None


def check(source: Source, tree: Syntax, environment: Environment) -> Tree:
    """Return the typed tree of `tree`; raise `RuleSourceError` 3002, 3003, 3004 or 3007."""
    return _Checker(source, environment).check(tree)


def _root(tree: Syntax) -> Name | None:
    while isinstance(tree, Select):
        tree = tree.operand
    return tree if isinstance(tree, Name) else None


def _suggest_function(name: str) -> str:
    """Return ": did you mean …?" for the nearest function, with its namespace if it has one."""
    full = {item.rpartition(".")[2]: item for item in functions.known_names()}
    near = suggest(name, list(full)).removeprefix(": did you mean ").removesuffix("?")
    return f": did you mean {full[near]}?" if near else ""


def _list_family(prefix: str, known: Iterable[str]) -> str:
    """Return ": there is p.a, p.b" for the declared names of a prefix."""
    family = sorted(item for item in known if item.startswith(f"{prefix}."))
    if not family and prefix == "p":
        return ": declare it under [params]"
    return f": there is {', '.join(family[:8])}" if family else ""


def _list_similar(name: str, known: Iterable[str]) -> str:
    """Return ": there is co.tax_grade" for features that have the words of `name` in theirs."""
    tail = name.rpartition(".")[2]
    word = tail.partition("_")[0]
    for part in (tail, word):
        found = sorted(item for item in known if len(part) >= _MIN_WORD and part in item)
        if found:
            return f": there is {', '.join(found[:3])}"
    return ""


class _Checker:
    """One walk over one syntax tree; `_scope` maps the macros' variables to their slots."""

    def __init__(self, source: Source, environment: Environment) -> None:
        self._blame = Blame(source)
        self._environment = environment
        self._scope: dict[str, Local] = {}
        self._slots = 0

    def check(self, tree: Syntax) -> Tree:
        """Return the typed tree of one node."""
        match tree:
            case Literal():
                return self._check_literal(tree)
            case Name() | Select():
                return self._check_name(tree)
            case Unary():
                return self._check_unary(tree)
            case Binary():
                return self._check_binary(tree)
            case Conditional():
                return self._check_conditional(tree)
            case ListOf():
                items = [self.check(item) for item in tree.items]
                kind = list_of(self._blame.join(tree.items, items))
                return self._apply("make_list", kind, *items)
            case MapOf():
                return self._check_map(tree)
            case Call():
                return self._check_call(tree)
            case Macro():
                return self._check_macro(tree)

    def _apply(self, operation: str, kind: Type, *arguments: Tree) -> Tree:
        """Return the application, or its value where that is plain now."""
        if operation in _FOLDED and all(isinstance(item, Constant) for item in arguments):
            values = [item.value for item in arguments if isinstance(item, Constant)]
            try:
                return Constant(kind, OPERATIONS[operation](*values))
            except EvalError:
                return Apply(kind, operation, arguments)
        return Apply(kind, operation, arguments)

    def _check_literal(self, tree: Literal) -> Tree:
        value = tree.value
        if isinstance(value, bool):
            return Constant(BOOL, value)
        if isinstance(value, int):
            return Constant(NUMBER, value)
        return Constant(STRING if isinstance(value, str) else BYTES, value)

    # Names

    def _check_name(self, tree: Name | Select) -> Tree:
        root = _root(tree)
        name = dotted(tree)
        if root is not None and name is not None and not self._is_local(root):
            declared = name if root.is_root else self._environment.find(name)
            if declared is not None and declared in self._environment.variables:
                is_test = isinstance(tree, Select) and tree.is_test
                return self._make_fact(declared, is_test)
            if not self._has_declared_prefix(tree):
                self._refuse_name(name, root)
        if isinstance(tree, Name):
            return self._scope[tree.name]
        return self._check_field(tree)

    def _is_local(self, root: Name) -> bool:
        return not root.is_root and root.name in self._scope

    def _make_fact(self, name: str, is_test: bool) -> Tree:
        variable = self._environment.variables[name]
        if variable.constant is not None:
            return Constant(BOOL, True) if is_test else Constant(variable.type, variable.constant)
        key = variable.fact or name
        if is_test:
            return HasFact(BOOL, key)
        return Fact(variable.type, key, variable.minimum, variable.maximum, variable.values)

    def _has_declared_prefix(self, tree: Name | Select) -> bool:
        part: Syntax = tree
        while isinstance(part, Select):
            part = part.operand
            name = dotted(part)
            if name is not None and self._environment.find(name) is not None:
                return True
        return False

    def _refuse_name(self, name: str, root: Name) -> NoReturn:
        what = {"p": "parameter", "e": "field", "w": "window"}.get(root.name, "feature")
        if what == "feature" and "." not in name:
            what = "name"
        known = [*self._environment.variables, *self._scope]
        hint = suggest(name, known)
        if what == "name" and not hint:
            ends = sorted(item for item in known if item.rpartition(".")[2] == name)
            hint = f": did you mean {ends[0]}?" if ends else slips.hint_for_name(shown(name))
        elif what != "feature" and not hint:
            hint = _list_family(root.name, known)
        elif not hint:
            hint = self._environment.note or _list_similar(name, known)
        self._blame.refuse(Code.RULE_NAME, f"unknown {what} {shown(name)}{hint}", root)

    def _check_field(self, tree: Select) -> Tree:
        operand = self.check(tree.operand)
        kind = map_of(ANY, ANY) if operand.type.kind is Kind.ANY else operand.type
        if kind.kind is not Kind.MAP or kind.inner[0] not in (STRING, ANY):
            message = f"{words(tree.operand, operand)}, which has no part {shown(tree.field)}"
            self._blame.refuse(Code.RULE_TYPE, message, tree)
        key = Constant(STRING, tree.field)
        if tree.is_test:
            return Apply(BOOL, "has_key", (operand, key))
        return Apply(kind.inner[1], "value", (operand, key))

    # Operators

    def _check_unary(self, tree: Unary) -> Tree:
        operand = self.check(tree.operand)
        if tree.operator == "!":
            self._blame.want(BOOL, tree.operand, operand, "'!' wants")
            return self._apply("not", BOOL, operand)
        if operand.type.kind not in (Kind.INT, Kind.ANY) or operand.type.unit is Unit.DATE:
            message = f"'-' wants a number, {words(tree.operand, operand)}"
            self._blame.refuse(Code.RULE_TYPE, message, tree)
        kind = NUMBER if operand.type.kind is Kind.ANY else operand.type
        return self._apply("neg", kind, operand)

    def _check_binary(self, tree: Binary) -> Tree:
        left = self.check(tree.left)
        right = self.check(tree.right)
        operator = tree.operator
        if operator in ("&&", "||"):
            self._blame.want(BOOL, tree.left, left, f"'{operator}' wants")
            self._blame.want(BOOL, tree.right, right, f"'{operator}' wants")
            return Logic(BOOL, operator == "||", left, right)
        if operator == "[]":
            return self._check_index(tree, left, right)
        try:
            if operator == "in":
                return self._check_in(tree, left, right)
            if operator in "+-*/%":
                operation, kind = unit_rules.type_of_arithmetic(operator, left.type, right.type)
            else:
                operation, kind = unit_rules.type_of_comparison(operator, left.type, right.type)
                self._check_enumeration(tree.left, left, ((tree.right, right),))
                self._check_enumeration(tree.right, right, ((tree.left, left),))
        except Mismatch as mismatch:
            self._blame.refuse_pair(tree, (tree.left, left), (tree.right, right), mismatch)
        return Apply(kind, operation, (left, right))

    def _check_in(self, tree: Binary, left: Tree, right: Tree) -> Tree:
        if right.type.kind not in (Kind.LIST, Kind.MAP):
            message = f"'in' wants a list on its right, {words(tree.right, right)}"
            if isinstance(right, Constant) and isinstance(right.value, str):
                message += (
                    f": write ['{shown(right.value)}'], or x.contains('{shown(right.value)}')"
                )
            self._blame.refuse(Code.RULE_TYPE, message, tree)
        unit_rules.join(left.type, right.type.inner[0])
        if right.type.kind is Kind.MAP:
            self._check_key(left.type, tree)
        if isinstance(tree.right, ListOf) and isinstance(right, Constant):
            items = (Constant(STRING, value) for value in right.value)
            pairs = tuple(zip(tree.right.items, items, strict=True))
            self._check_enumeration(tree.left, left, pairs)
        return Apply(BOOL, "in", (left, right))

    def _check_index(self, tree: Binary, left: Tree, right: Tree) -> Tree:
        if left.type.kind is Kind.LIST:
            self._blame.want(NUMBER, tree.right, right, "an index wants")
            return Apply(left.type.inner[0], "item", (left, right))
        if left.type.kind is Kind.MAP:
            self._blame.want(left.type.inner[0], tree.right, right, "this map's key wants")
            self._check_key(right.type, tree)
            return Apply(left.type.inner[1], "value", (left, right))
        return self._blame.refuse(
            Code.RULE_TYPE,
            f"'[' wants a list or a map on its left, {words(tree.left, left)}",
            tree,
        )

    def _check_enumeration(
        self, named: Syntax, fact: Tree, against: tuple[tuple[Syntax, Tree], ...]
    ) -> None:
        """Refuse comparing a fact with a text that it can never be."""
        if not isinstance(fact, Fact) or fact.values is None:
            return
        for syntax, tree in against:
            if isinstance(tree, Constant) and tree.value not in fact.values:
                listed = ", ".join(sorted(fact.values)[:12])
                near = suggest(str(tree.value), sorted(fact.values))
                message = f"{dotted(named)} is never {quoted(str(tree.value))}{near}"
                self._blame.refuse(Code.RULE_TYPE, f"{message} (it is one of {listed})", syntax)

    def _check_conditional(self, tree: Conditional) -> Tree:
        condition = self.check(tree.condition)
        self._blame.want(BOOL, tree.condition, condition, "'?' wants")
        chosen = self.check(tree.chosen)
        otherwise = self.check(tree.otherwise)
        kind = self._blame.join((tree.chosen, tree.otherwise), [chosen, otherwise])
        return Choose(kind, condition, chosen, otherwise)

    # Lists, maps, calls and macros

    def _check_map(self, tree: MapOf) -> Tree:
        keys = [self.check(key) for key, _ in tree.entries]
        values = [self.check(value) for _, value in tree.entries]
        key_type = self._blame.join([key for key, _ in tree.entries], keys)
        value_type = self._blame.join([value for _, value in tree.entries], values)
        self._check_key(key_type, tree)
        items = [item for pair in zip(keys, values, strict=True) for item in pair]
        return Apply(map_of(key_type, value_type), "make_map", tuple(items))

    def _check_key(self, key: Type, tree: Syntax) -> None:
        if key.kind not in _KEY_KINDS:
            self._blame.refuse(Code.RULE_TYPE, f"a map's key cannot be {describe(key)}", tree)

    def _check_call(self, tree: Call) -> Tree:
        syntaxes = list(tree.arguments)
        name = tree.function
        if isinstance(tree.target, Name) and not self._is_local(tree.target):
            qualified = f"{tree.target.name}.{name}"
            if qualified in functions.NAMESPACED:
                return self._apply_function(tree, qualified, syntaxes)
        if tree.target is not None:
            syntaxes.insert(0, tree.target)
            name = f".{name}"
        return self._apply_function(tree, name, syntaxes)

    def _apply_function(self, tree: Call, name: str, syntaxes: list[Syntax]) -> Tree:
        if not functions.is_known(name):
            self._refuse_function(tree, name)
        arguments = [self.check(syntax) for syntax in syntaxes]
        try:
            resolved = functions.resolve(name, [item.type for item in arguments])
        except functions.Unresolved as problem:
            index = problem.argument
            at = syntaxes[index] if 0 <= index < len(syntaxes) else tree
            given = f": {words(at, arguments[index])}" if at is not tree else ""
            self._blame.refuse(problem.code, f"{problem.message}{given}", at)
        if resolved.operation.startswith("timestamp.") and len(arguments) == 2:
            self._check_zone(syntaxes[1], arguments[1])
        return self._apply(resolved.operation, resolved.type, *arguments)

    def _check_zone(self, syntax: Syntax, zone: Tree) -> None:
        """Refuse a named time zone, whose rules no replica can pin, and one not written out."""
        try:
            check_zone(zone.value if isinstance(zone, Constant) else "")
        except EvalError:
            message = "a time zone is written out as an offset, such as '+08:00', or 'UTC'"
            self._blame.refuse(Code.RULE_FORBIDDEN, message, syntax)

    def _refuse_function(self, tree: Call, name: str) -> NoReturn:
        plain = name.lstrip(".")
        if plain in functions.FORBIDDEN:
            message = f"{plain}() is not in smartrule/1: {functions.FORBIDDEN[plain]}"
            self._blame.refuse(Code.RULE_FORBIDDEN, message, tree)
        hint = slips.FUNCTIONS.get(plain.lower())
        near = f": {hint}" if hint else _suggest_function(plain)
        self._blame.refuse(Code.RULE_NAME, f"unknown function {shown(plain)}(){near}", tree)

    def _check_macro(self, tree: Macro) -> Tree:
        subject = self.check(tree.subject)
        if subject.type.kind not in (Kind.LIST, Kind.MAP):
            message = f"{tree.macro} wants a list or a map, {words(tree.subject, subject)}"
            self._blame.refuse(Code.RULE_TYPE, message, tree)
        slot, outer = self._slots, self._scope
        self._scope = {**outer, tree.variable: Local(subject.type.inner[0], slot)}
        self._slots += 1
        bodies = [self.check(body) for body in tree.bodies]
        self._scope, self._slots = outer, slot
        return self._make_loop(tree, subject, slot, bodies)

    def _make_loop(self, tree: Macro, subject: Tree, slot: int, bodies: list[Tree]) -> Tree:
        is_map = tree.macro == "map"
        result = bodies.pop() if is_map else None
        condition = bodies[0] if bodies else None
        if condition is not None:
            self._blame.want(BOOL, tree.bodies[0], condition, f"{tree.macro} wants")
        if result is not None:
            kind = list_of(result.type)
        else:
            kind = list_of(subject.type.inner[0]) if tree.macro == "filter" else BOOL
        return Loop(kind, tree.macro, subject, slot, condition, result)
