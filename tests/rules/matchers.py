"""Products made from generated expressions, for the tests of matching and of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from ledger.errors import RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.features import Feature, FeatureSource
from ledger.rules.product import Band, Condition, Limit, Product, load_product
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import Characteristic, load_scorecard
from ledger.rules.source import Source
from ledger.rules.units import Unit
from tests.rules.expressions import FLAGS, INTS, TEXTS, flags, integers, ints, texts
from tests.rules.samples import EVENTS, PRODUCT, SCHEMA, SCORECARD

UNITS = {
    **dict.fromkeys(INTS, Unit.NUMBER),
    **dict.fromkeys(FLAGS, Unit.FLAG),
    **dict.fromkeys(TEXTS, Unit.TEXT),
    "ap.amount": Unit.NUMBER,
}
# "has" takes a dotted name, which the generated expressions have none of.
HAS = ("has(x.n)", "has(x.n) ? x.n > 3 : f", "!has(x.n) || x.n < a", "(has(x.n) ? x.n : b) >= c")
SAMPLE_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
SAMPLE_SCORECARD = load_scorecard(SCORECARD.encode(), SAMPLE_SCHEMA)
SAMPLE = load_product(PRODUCT.encode(), SAMPLE_SCHEMA, SAMPLE_SCORECARD)


def feature_of(name: str, low: int | None = None, high: int | None = None) -> Feature:
    """Return a feature of one of the names above."""
    source = FeatureSource.APPLICATION if name.startswith("ap.") else FeatureSource.RECORDS
    unit = UNITS.get(name, Unit.NUMBER)
    return Feature(name, unit, source, minimum=low, maximum=high)


FEATURES = {name: feature_of(name) for name in (*UNITS, "x.n")}


def compile_over(text: str, features: Mapping[str, Feature] = FEATURES) -> Expression | None:
    """Return the expression, or None for one that is too high or too costly."""
    environment = Environment({name: item.variable for name, item in features.items()})
    try:
        return compile_expression(Source.of_text(text), environment)
    except RuleSourceError:
        return None


def product_of(
    name: str,
    conditions: Sequence[Expression],
    amount: Expression,
    inputs: Sequence[Expression],
    features: Mapping[str, Feature] = FEATURES,
) -> Product:
    """Return a product of these conditions, this limit and a scorecard of these inputs."""
    characteristics = tuple(
        Characteristic(
            f"X{index}", "", "", item, 50, f"S{index}", 10, f"M{index}",
            (-10, 0, 10), (0, 30, 60), {"true": 5, "false": 55, "a": 40},
        )
        for index, item in enumerate(inputs)
    )  # fmt: skip
    of_score = frozenset().union(*(item.reads for item in inputs))
    scorecard = replace(
        SAMPLE.scorecard,
        characteristics=characteristics,
        features=tuple(features[item] for item in sorted(of_score)),
        inputs=of_score,
        max_missing=1,
        id=name,
    )
    reads = of_score.union({"ap.amount"}, amount.reads, *(item.reads for item in conditions))
    return replace(
        SAMPLE,
        id=name,
        conditions=tuple(
            Condition(f"c{index}", item, f"R{index}", "text", "")
            for index, item in enumerate(conditions)
        ),
        schema_ref="letters/1",
        limit=Limit(amount, 10, 100, "R99", "", ""),
        bands=(Band(0, None, "R301"), Band(320, 700, ""), Band(370, 600, "")),
        scorecard=scorecard,
        scorecard_ref=scorecard.ref,
        features=tuple(features[item] for item in sorted(reads)),
        inputs=reads,
    )


conditions_text = st.one_of(flags(3), flags(2), st.sampled_from(HAS))


@st.composite
def products(draw: st.DrawFn, count: int) -> list[Product]:
    """Products that share conditions, as real ones do."""
    texts_of = draw(st.lists(conditions_text, min_size=3, max_size=8))
    pool = [item for item in map(compile_over, texts_of) if item is not None]
    numbers = [compile_over(draw(ints(2))) or compile_over("a") for _ in range(3)]
    known = [item for item in numbers if item is not None]
    found = []
    for index in range(count):
        chosen = draw(st.lists(st.sampled_from(pool), max_size=4)) if pool else []
        found.append(product_of(f"P{index}", chosen, draw(st.sampled_from(known)), known[:2]))
    return found


def some_facts() -> st.SearchStrategy[dict[str, Any]]:
    """Facts of which any may be missing, and values that no feature accepts."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name, unit in (*UNITS.items(), ("x.n", Unit.NUMBER)):
        if unit is Unit.FLAG:
            values[name] = st.booleans()
        else:
            values[name] = texts if unit is Unit.TEXT else integers | st.integers(-20, 400)
    wrong = {"a": st.just("no number") | integers}
    return st.fixed_dictionaries({}, optional=values) | st.fixed_dictionaries(
        wrong, optional={name: item for name, item in values.items() if name != "a"}
    )
