"""What becomes of a rule source: accepted and run, or refused with a place and a sentence.

Whatever the source, it is judged within `CPU_SECONDS_MAX`; a refusal has one of the codes of the
language, a line and a column that exist in the source, and a sentence on one line. What is accepted
stays within its bounds and then decides, scores or is evaluated on made-up facts, present, missing
and out of range: it may fail by `EvalError` and in no other way.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ledger.errors import RuleSourceError
from ledger.rules.alert import AlertState, load_alert
from ledger.rules.compiler import Expression
from ledger.rules.documents import load_kind
from ledger.rules.failures import EvalError
from ledger.rules.features import AS_OF, Feature
from ledger.rules.limits import MAX_COST, MAX_DOCUMENT_COST
from ledger.rules.product import load_product
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import load_scorecard
from ledger.rules.units import Unit
from tests.rules.fuzz.sources import make_source
from tests.rules.samples import EVENTS, SCHEMA, SCORECARD
from tests.rules.test_schema import Records

CPU_SECONDS_MAX = 2.0
MESSAGE_CHARACTERS_MAX = 500
_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
_SCORECARD = load_scorecard(SCORECARD.encode(), _SCHEMA)
_TODAY = 18_000
_NUMBERS = (0, 1, -1, 30, 10_000, 18_000, 100_000_000, 2**62, 2**63 - 1, -(2**63))
_TEXTS = ("", "A", "B", "V", "企", "x" * 512, "0" * 512, "2020-01-01T00:00:00Z", "1h")


@dataclass(slots=True)
class Tally:
    """What came of sources."""

    cases: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    slowest_seed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the tally of other seeds."""
        self.cases += other.cases
        self.accepted += other.accepted
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest_seed = other.slowest_s, other.slowest_seed
        self.codes.update(other.codes)
        self.failures += other.failures


def run_seeds(seeds: range) -> Tally:
    """Return what came of the sources of `seeds`."""
    tally = Tally()
    start = time.process_time()
    for seed in seeds:
        kind, source = make_source(seed)
        problem = judge(kind, source, seed, tally)
        now = time.process_time()
        elapsed = now - start
        if elapsed > CPU_SECONDS_MAX:
            elapsed = min(elapsed, _time_again(kind, source, seed))
            now = time.process_time()
        start = now
        tally.cases += 1
        if elapsed > tally.slowest_s:
            tally.slowest_s, tally.slowest_seed = elapsed, seed
        if elapsed > CPU_SECONDS_MAX:
            problem = f"took {elapsed:.2f} s of a processor"
        if problem:
            tally.failures.append(f"seed {seed}: {problem}")
    return tally


def _time_again(kind: str, source: bytes, seed: int) -> float:
    """Return the seconds of a processor of a second try: a busy machine charges for others, too.

    A line end more, so that nothing that was kept of the first try answers.
    """
    start = time.process_time()
    judge(kind, source + b"\n", seed, Tally())
    return time.process_time() - start


def judge(kind: str, source: bytes, seed: int, tally: Tally) -> str:
    """Return what is wrong with the fate of a source, "" if nothing is."""
    try:
        run = _LOADERS[kind](source)
    except RuleSourceError as error:
        tally.codes[f"E{int(error.code)}"] += 1
        return find_fault(source, error)
    except Exception as error:  # noqa: BLE001 - whatever else is raised is what is looked for
        return f"{kind}: {error!r:.300}"
    tally.accepted += 1
    random = Random(seed)
    try:
        load_kind(source)
        for _ in range(3):
            run(random)
    except Exception as error:  # noqa: BLE001
        return f"accepted {kind} failed: {error!r:.300}"
    return ""


def find_fault(source: bytes, error: RuleSourceError) -> str:
    """Return what is wrong with a refusal, "" if nothing is."""
    lines = source.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    message = error.message
    if not 3001 <= int(error.code) <= 3008:
        return f"code {int(error.code)}"
    if not 1 <= error.line <= len(lines) or not 1 <= error.column <= len(lines[error.line - 1]) + 1:
        return f"no such place, line {error.line}, column {error.column}: {message}"
    if not 10 <= len(message) <= MESSAGE_CHARACTERS_MAX:
        return f"a message of {len(message)} characters: {message[:100]!r}"
    if not message.isprintable():
        return f"a message that does not print on one line: {message!r}"
    return ""


def _draw_facts(random: Random, features: Iterable[Feature]) -> dict[str, Any]:
    """Return facts of which some are missing, and some of no declared range or type."""
    facts: dict[str, Any] = {}
    for feature in features:
        if random.random() < 0.15:
            continue
        if feature.unit is Unit.FLAG:
            facts[feature.name] = random.random() < 0.7
        elif feature.unit is Unit.TEXT:
            facts[feature.name] = random.choice((*_TEXTS, *sorted(feature.values or ())))
        else:
            bounds = [item for item in (feature.minimum, feature.maximum) if item is not None]
            facts[feature.name] = random.choice((*_NUMBERS, *bounds))
    return facts


def _evaluate(expression: Expression, facts: Mapping[str, Any]) -> None:
    if expression.cost > MAX_COST:
        raise AssertionError(f"a cost of {expression.cost}")
    try:
        expression.evaluate(facts)
    except EvalError:
        return


def _load_product(source: bytes) -> Callable[[Random], None]:
    product = load_product(source, _SCHEMA, _SCORECARD)
    if product.cost > MAX_DOCUMENT_COST:
        raise AssertionError(f"a cost of {product.cost}")

    def run(random: Random) -> None:
        product.decide(_draw_facts(random, product.features))

    return run


def _load_scorecard(source: bytes) -> Callable[[Random], None]:
    scorecard = load_scorecard(source, _SCHEMA)

    def run(random: Random) -> None:
        score = scorecard.score(_draw_facts(random, scorecard.features))
        if score.points < scorecard.lowest:
            raise AssertionError(f"a score of {score.points} below {scorecard.lowest}")

    return run


def _draw_records(random: Random, names: Iterable[str]) -> Records:
    """Return a few records of these record schemas about `_TODAY`, some with fields left out."""
    records = []
    for name in sorted(set(names)):
        for _ in range(random.randrange(4)):
            event = {
                field: random.choice(_TEXTS if item.unit is Unit.TEXT else _NUMBERS)
                for field, item in EVENTS[name].items()
                if random.random() < 0.9
            }
            records.append((name, _TODAY - random.choice((0, 1, 44, 89, 100, 364, 365)), event))
    return Records(*records, attested=random.choice((None, _TODAY - 50, _TODAY)))


def _load_schema(source: bytes) -> Callable[[Random], None]:
    schema = load_schema(source, EVENTS)

    def run(random: Random) -> None:
        names = [stream.record_name for stream in schema.streams]
        facts = schema.compute(_TODAY, _draw_records(random, names))
        for name, value in facts.items():
            if name != AS_OF and not schema.features[name].accepts(value):
                raise AssertionError(f"{name} is {value!r}")

    return run


def _load_alert(source: bytes) -> Callable[[Random], None]:
    alert = load_alert(source, EVENTS, _SCHEMA)

    def run(random: Random) -> None:
        read = [alert.features[name] for name in sorted(alert.inputs)]
        facts = _draw_facts(random, read)
        known = {item.name: facts[item.name] for item in read if item.name in facts}
        _evaluate(
            alert.when,
            {name: value for name, value in known.items() if alert.features[name].accepts(value)},
        )
        outcome = alert.evaluate(_TODAY, _draw_records(random, alert.categories), facts)
        alert.advance(AlertState(), outcome, _TODAY)

    return run


_LOADERS: Mapping[str, Callable[[bytes], Callable[[Random], None]]] = {
    "product": _load_product,
    "scorecard": _load_scorecard,
    "schema": _load_schema,
    "alert": _load_alert,
}
