"""Sample companies for a product: what its author tries the rule on before anybody is bound by it.

Nobody's data is needed. Each input takes values that its rule makes interesting: the ends of its
declared range, the numbers and texts that stand in the rule with their neighbours, and a spread in
its unit. From a middling company a search moves one input at a time to what the rule likes better,
until it likes nothing better: the best company found. From there, one or two inputs are changed so
that a single condition fails, a rate changes, or nothing is known. The samples are the same each
time, and each is decided by the product itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice
from itertools import product as pairs_of

from ledger.rules.compiler import Expression
from ledger.rules.decision import FAIL, Decision, Outcome
from ledger.rules.failures import EvalError
from ledger.rules.features import AS_OF, Feature
from ledger.rules.product import Condition, Product
from ledger.rules.units import FactValue, Unit

_NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*)(?![\w.])")
_PARAMETER = re.compile(r"\bp\.[a-z][a-z0-9_]*")
_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SPREAD: Mapping[Unit, tuple[int, ...]] = {
    Unit.FEN: (0, *(digit * 10**power for power in range(6, 12) for digit in (1, 3))),
    Unit.BP: (0, 100, 500, 1_000, 3_000, 5_000, 8_000, 10_000, 20_000),
    Unit.DAYS: (0, 1, 30, 90, 180, 365, 1_000),
    # Minor units of foreign money are counts, too.
    Unit.COUNT: (0, 1, 3, 10, 30, 100, *(10**power for power in range(3, 12))),
    Unit.SCORE: (0, 300, 500, 700, 900),
    Unit.NUMBER: (0, 1, 10, 100, 1_000),
}
_DATE_OFFSETS = (-1_000, -365, -90, -30, -1, 0, 1, 30, 90, 180, 365, 1_000)
_MAX_OFFSET = 20_000
_FIRST_DAY = 3_653  # 1980-01-02: lesser parameters beside a date are lengths of time
_ROUNDS = 4
_MAX_CANDIDATES = 256
_MAX_TRIED = 20_000
_MAX_REPAIRS = 25
_MAX_FAILING = 3_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One made-up company: what it shows, its facts, and the product's decision."""

    title: str
    facts: Mapping[str, FactValue]
    decision: Decision


def compute_samples(product: Product) -> tuple[Sample, ...]:
    """Return the samples of a product: the best company first, then what fails one by one."""
    trial = _Trial(product)
    best = trial.find_best()
    found = [trial.sample("the best company found", best)]
    found += trial.vary_rates(best)
    found += trial.fail_each(best)
    unknown = {name: value for name, value in best.items() if name.startswith("ap.")}
    unknown[AS_OF] = product.effective_from
    found.append(trial.sample("nothing is known but what it asks", unknown))
    return tuple(found)


class _Trial:
    """The search over one product's inputs."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._features = sorted(product.features, key=lambda item: item.name)
        self._candidates = {
            feature.name: _find_candidates(
                feature,
                product.effective_from,
                _find_numbers(product, feature.name),
                _find_days(product, feature.name),
                _find_texts(product, feature.name),
            )
            for feature in self._features
            if feature.name in product.inputs
        }

    def sample(self, title: str, facts: Mapping[str, FactValue]) -> Sample:
        """Return a sample with its decision."""
        return Sample(title, dict(sorted(facts.items())), self._product.decide(facts))

    def find_best(self) -> dict[str, FactValue]:
        """Return the facts that the product likes best, as far as moves and repairs lead."""
        facts = {name: values[len(values) // 2] for name, values in self._candidates.items()}
        facts[AS_OF] = self._product.effective_from
        for _ in range(_ROUNDS):
            before = dict(facts)
            for name in self._candidates:
                facts = self._better(
                    facts, ({name: value} for _, value in self._moves(facts, [name]))
                )
            facts = self._better(facts, self._repairs(facts))
            if facts == before:
                break
        return facts

    def _better(
        self, facts: dict[str, FactValue], changes: Iterable[dict[str, FactValue]]
    ) -> dict[str, FactValue]:
        """Return the facts after the best of the changes, unchanged when none is better."""
        best, least = facts, self._dislike(facts)
        for change in changes:
            tried = {**facts, **change}
            dislike = self._dislike(tried)
            if dislike < least:
                best, least = tried, dislike
        return best

    def _repairs(self, facts: Mapping[str, FactValue]) -> Iterator[dict[str, FactValue]]:
        """Yield changes after which a condition holds that does not; of the fewest inputs first.

        What holds one condition may break another: each change comes alone, and with those that
        repair the first condition that it breaks.
        """
        before = self._failing(facts)
        for condition in before:
            for change in self._repair(condition, facts):
                yield change
                changed = {**facts, **change}
                broken = [item for item in self._failing(changed) if item not in before]
                for second in self._repair(broken[0], changed) if broken else ():
                    yield {**change, **second}

    def _failing(self, facts: Mapping[str, FactValue]) -> list[Condition]:
        return [item for item in self._product.conditions if not _holds(item.when, facts)]

    def _repair(
        self, condition: Condition, facts: Mapping[str, FactValue]
    ) -> Iterator[dict[str, FactValue]]:
        reads = [name for name in sorted(condition.when.reads) if name in self._candidates]
        tried = islice(self._changes(reads), _MAX_TRIED)
        held = (item for item in tried if _holds(condition.when, {**facts, **item}))
        return islice(held, _MAX_REPAIRS)

    def _dislike(self, facts: Mapping[str, FactValue]) -> tuple[int, int, int, int, int]:
        """Return how little the product likes the facts; less is better."""
        decision = self._product.decide(facts)
        own = {condition.id for condition in self._product.conditions}
        failing = sum(reason.condition in own for reason in decision.reasons)
        return (
            int(decision.outcome is not Outcome.GRANT),
            failing,
            len(decision.reasons) - failing,  # score and limit are looked at after the conditions
            -(decision.score or 0),
            -(decision.amount_fen or 0),
        )

    def vary_rates(self, best: Mapping[str, FactValue]) -> Iterator[Sample]:
        """Yield a sample for each other rate that one changed input leads to."""
        seen = {self._product.decide(best).rate_bp}
        for name, value in self._moves(best, self._candidates):
            facts = {**best, name: value}
            decision = self._product.decide(facts)
            if decision.outcome is Outcome.GRANT and decision.rate_bp not in seen:
                seen.add(decision.rate_bp)
                yield self.sample(f"another rate: {name}", facts)

    def fail_each(self, best: Mapping[str, FactValue]) -> Iterator[Sample]:
        """Yield, for each condition, the sample nearest to the best one where it alone fails."""
        for condition in self._product.conditions:
            reads = [name for name in sorted(condition.when.reads) if name in self._candidates]
            found = self._fail_alone(best, condition.id, reads)
            if found is not None:
                yield self.sample(f"fails {condition.id}", found)

    def _fail_alone(
        self, best: Mapping[str, FactValue], condition: str, reads: list[str]
    ) -> dict[str, FactValue] | None:
        """Return the facts with one or two changes that fail it, with the fewest other reasons."""
        nearest: tuple[int, dict[str, FactValue]] | None = None
        for changes in islice(self._changes(reads), _MAX_FAILING):
            facts = {**best, **changes}
            reasons = self._product.decide(facts).reasons
            if not any(item.condition == condition and item.result == FAIL for item in reasons):
                continue
            if nearest is None or len(reasons) < nearest[0]:
                nearest = len(reasons), facts
            if nearest[0] == 1:
                break
        return None if nearest is None else nearest[1]

    def _changes(self, names: list[str]) -> Iterator[dict[str, FactValue]]:
        """Yield changes of one of the inputs, then of two, and so on."""
        for count in range(1, len(names) + 1):
            for chosen in combinations(names, count):
                for values in pairs_of(*(self._candidates[name] for name in chosen)):
                    yield dict(zip(chosen, values, strict=True))

    def _moves(
        self, best: Mapping[str, FactValue], names: Iterable[str]
    ) -> Iterator[tuple[str, FactValue]]:
        for name in names:
            for value in self._candidates[name]:
                if name != AS_OF and value != best[name]:
                    yield name, value


def _holds(condition: Expression, facts: Mapping[str, FactValue]) -> bool:
    try:
        return bool(condition.evaluate(facts))
    except EvalError:
        return False


def _expressions(product: Product) -> Iterator[tuple[Expression, tuple[int, ...], Iterable[str]]]:
    """Yield every expression, with the bounds and texts that its value is held against."""
    for condition in product.conditions:
        yield condition.when, (), ()
    yield product.limit.amount, (), ()
    for item in product.scorecard.characteristics:
        yield item.input, item.lowers, item.table


def _find_numbers(product: Product, name: str) -> frozenset[int]:
    """Return the numbers beside an input in the rule: as written, and as fen where it is yuan."""
    found: set[int] = set()
    for expression, bounds, _ in _expressions(product):
        if name not in expression.reads:
            continue
        found.update(bounds)
        for match in _NUMBER.finditer(expression.source):
            number = int(match.group(1).replace("_", ""))
            found |= {number, number * 100}
    return frozenset(found)


def _find_days(product: Product, name: str) -> frozenset[int]:
    """Return the days that stand beside an input in the rule, as parameters."""
    return frozenset(
        product.params[parameter]
        for expression, _, _ in _expressions(product)
        if name in expression.reads
        for parameter in _PARAMETER.findall(expression.source)
        if product.params.get(parameter, 0) >= _FIRST_DAY
    )


def _find_texts(product: Product, name: str) -> frozenset[str]:
    found: set[str] = set()
    for expression, _, table in _expressions(product):
        if name in expression.reads:
            found.update(table)
            found.update(first or second for first, second in _TEXT.findall(expression.source))
    return frozenset(found - {""})


def _find_candidates(
    feature: Feature,
    as_of: int,
    numbers: Iterable[int],
    days: Iterable[int],
    texts: Iterable[str],
) -> tuple[FactValue, ...]:
    """Return the values that an input is tried with, in order."""
    if feature.name == AS_OF:
        return (as_of,)
    if feature.unit is Unit.FLAG:
        return (False, True)
    if feature.unit is Unit.TEXT:
        known = feature.values if feature.values is not None else (*texts, "other")
        return tuple(sorted(text for text in known if feature.accepts(text))) or ("other",)
    if feature.unit is Unit.DATE:
        offsets = {sign * (n + 1) for n in numbers if n < _MAX_OFFSET for sign in (-1, 1)}
        found = {as_of + offset for offset in (*_DATE_OFFSETS, *offsets)}
        found |= {day + step for day in days for step in (-1, 0, 1)}
    else:
        near = {number + step for number in numbers for step in (-1, 0, 1)}
        bounds = {item for item in (feature.minimum, feature.maximum) if item is not None}
        found = {*_SPREAD.get(feature.unit, _SPREAD[Unit.NUMBER]), *near, *bounds}
    fitting = sorted(value for value in found if feature.accepts(value) and value >= 0)
    if not fitting:
        return (feature.minimum or 0,)
    return tuple(fitting[:_MAX_CANDIDATES])
