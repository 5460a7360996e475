"""Two evaluators and the oracle on the same expressions and facts, and what was reached by them.

A seed gives one expression and a few sets of facts. Where all facts are there the generated code
and the closures run, else the closures alone; the oracle always. They agree on the value and its
type, or on the kind of error. A rule that is refused must be refused for its cost, its size, or
for an element of an empty list, of which nothing but equality can be asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ledger.errors import Code, RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import Checked, check_expression, compile_together
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.source import Source
from ledger.rules.tree import Apply, Choose, HasFact, Logic, Loop, children_of
from ledger.rules.types import Kind, Type, Variable
from tests.rules.fuzz.expressions import EDGES, KINDS, NAMES, NUMBERS, ROOTS, TEXTS, Writer
from tests.rules.fuzz.oracle import Oracle

FACT_SETS = 5
_BOUNDS = (-(2**63), -(10**15), -10_000, -1, 0, 1, 100, 10_000, 10**9, 10**15, 2**63 - 1)
# The oracle goes on after an item's error and tells the last one; with us the leftmost wins.
_GOES_ON = ("filter", "map", "exists_one")
_OCTETS = (b"", b"a", b"\xff", "企".encode())


@dataclass(slots=True)
class Tally:
    """What came of expressions; `reached` counts operations, macros, outcomes and errors."""

    cases: int = 0
    refused: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the tally of other seeds."""
        self.cases += other.cases
        self.refused += other.refused
        self.reached.update(other.reached)
        self.failures += other.failures


def run_seeds(seeds: range, oracle: Oracle) -> Tally:
    """Return what came of the expressions of `seeds`."""
    tally = Tally()
    for seed in seeds:
        _run_seed(seed, oracle, tally)
    return tally


def _run_seed(seed: int, oracle: Oracle, tally: Tally) -> None:
    random = Random(seed)
    variables = draw_variables(random)
    pair = Writer(random).write(random.choice(ROOTS), random.choice((2, 3, 3, 4)))
    try:
        checked = check_expression(Source.of_text(pair.mine), Environment(variables))
    except RuleSourceError as error:
        tally.refused += 1
        is_large = error.code in (Code.RULE_COST, Code.RULE_LIMIT)
        is_of_nothing = error.code in (Code.RULE_TYPE, Code.RULE_UNIT) and "[]" in pair.mine
        if not is_large and not is_of_nothing:
            tally.failures.append(f"seed {seed}: {pair.mine}: refused: {error}")
        return
    _note_reached(checked, tally.reached)
    (expression,) = compile_together([checked])
    theirs = oracle.compile(pair.theirs)
    is_exact = not any(f".{macro}(" in pair.mine for macro in _GOES_ON)
    for index in range(FACT_SETS):
        facts = draw_facts(random, variables, sorted(expression.reads), is_whole=index < 2)
        answers = {"closures": _outcome(expression.interpret, facts)}
        if expression.reads <= facts.keys():
            answers["generated"] = _outcome(expression.run, facts)
        want = oracle.ask(theirs, facts)
        if want is None:
            tally.reached["no answer"] += 1
            continue
        for name, found in answers.items():
            tally.cases += name == "closures"
            if not _agrees(found, want, is_exact):
                shown = f"{pair.mine} on {facts}: {name} say {found!r}, the oracle {want!r}"
                tally.failures.append(f"seed {seed}: {shown}")
        found = answers["closures"]
        tally.reached[found if isinstance(found, ErrorKind) else type(found).__name__] += 1


def _outcome(run: Any, facts: Mapping[str, Any]) -> Any:
    try:
        return run(facts)
    except EvalError as error:
        return error.kind


def _agrees(found: Any, want: Any, is_exact: bool) -> bool:
    if isinstance(found, ErrorKind):
        return isinstance(want, frozenset) and (found in want or not is_exact)
    return type(found) is type(want) and found == want


def draw_variables(random: Random) -> dict[str, Variable]:
    """Return the facts of all kinds; half of the time those of numbers have narrow ranges."""
    is_narrow = random.random() < 0.5
    found = {}
    for prefix, kind in KINDS.items():
        for name in NAMES:
            low, high = sorted(random.choices(_BOUNDS, k=2)) if is_narrow else (None, None)
            is_number = prefix in NUMBERS
            found[f"{prefix}.{name}"] = Variable(
                kind, low if is_number else None, high if is_number else None
            )
    return found


def draw_facts(
    random: Random, variables: Mapping[str, Variable], names: list[str], is_whole: bool
) -> dict[str, Any]:
    """Return facts `names` inside their ranges; some are absent unless they are to be whole."""
    facts = {}
    for name in names:
        if is_whole or random.random() < 0.7:
            variable = variables[name]
            facts[name] = _draw_value(random, variable.type, variable)
    return facts


def _draw_value(random: Random, kind: Type, variable: Variable) -> Any:
    match kind.kind:
        case Kind.BOOL:
            return random.random() < 0.5
        case Kind.STRING:
            return random.choice(TEXTS)
        case Kind.BYTES:
            return random.choice(_OCTETS)
        case Kind.LIST:
            count = random.randrange(4)
            return tuple(_draw_value(random, kind.inner[0], variable) for _ in range(count))
        case Kind.MAP:
            keys = random.sample(("a", "b", "企"), random.randrange(4))
            return {key: _draw_value(random, kind.inner[1], variable) for key in keys}
        case Kind.TIMESTAMP | Kind.DURATION:
            limit = 2 * 10**15 if kind.kind is Kind.TIMESTAMP else 10**14
            return random.choice((0, 1_000_000, random.randint(-limit, limit))) * 1000
        case _:
            return _draw_number(random, variable)


def _draw_number(random: Random, variable: Variable) -> int:
    low = EDGES[-2] if variable.minimum is None else variable.minimum
    high = -(low + 1) if variable.maximum is None else variable.maximum
    value = random.choice((low, high, *EDGES, *EDGES[:8], random.randint(low, high)))
    return min(max(value, low), high)


def _note_reached(checked: Checked, reached: Counter[str]) -> None:
    """Count the operations and the other nodes of an expression."""
    pending = [checked.tree]
    while pending:
        node = pending.pop()
        children = children_of(node)
        pending.extend(children)
        match node:
            case Apply():
                reached[node.operation] += 1
            case Loop():
                reached[f"{node.macro} of {len(children) - 1}"] += 1
                reached["nested macro"] += any(isinstance(item, Loop) for item in children[1:])
            case Choose():
                reached["nested ternary"] += any(isinstance(item, Choose) for item in children)
            case Logic():
                reached["||" if node.absorbing else "&&"] += 1
            case HasFact():
                reached["has"] += 1
            case _:
                reached[type(node).__name__] += 1
