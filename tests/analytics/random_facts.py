"""Facts of made-up companies for the tests of bulk matching: by chance, absences, edges, and worse.

Values near the numbers that rules compare with come often, for that is where mistakes are; some
lie outside the declared range, which counts as missing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from ledger.rules.features import AS_OF, Feature
from ledger.rules.product import Product
from ledger.rules.tree import Apply, Constant, Fact, Tree, children_of
from ledger.rules.trial import compute_samples
from ledger.rules.units import Unit

_ALIKE = (AS_OF, "ap.amount", "ap.term")
_EXTREMES = (0, 1, -1, 2**62, 2**63 - 1, -(2**63), 10**14, -(10**14))
_TEXTS = ("", "é企", "active", "\U0001f600" * 512, "\U0001f600" * 513, "it's {0}")


def find_edges(products: Iterable[Product]) -> dict[str, set[Any]]:
    """Return for each fact the constants that some rule compares it with."""
    found: dict[str, set[Any]] = {}
    for product in products:
        trees = [item.when.tree for item in product.conditions]
        trees += [item.input.tree for item in product.scorecard.characteristics]
        for tree in trees:
            _note_edges(tree, found)
        for item in product.scorecard.characteristics:
            for name in item.input.reads:
                found.setdefault(name, set()).update(item.lowers)
    return found


def _note_edges(tree: Tree, found: dict[str, set[Any]]) -> None:
    inside = list(children_of(tree))
    if isinstance(tree, Apply):
        names = [item.name for item in _all(tree) if isinstance(item, Fact)]
        values = [item.value for item in inside if isinstance(item, Constant)]
        for name in names:
            found.setdefault(name, set()).update(
                item for value in values for item in (value if type(value) is tuple else (value,))
            )
    for item in inside:
        _note_edges(item, found)


def _all(tree: Tree) -> list[Tree]:
    return [tree, *(item for child in children_of(tree) for item in _all(child))]


def make_facts(
    features: Sequence[Feature],
    edges: dict[str, set[Any]],
    seed: int,
    count: int,
    absent: float = 0.15,
    odd: float = 0.03,
) -> list[dict[str, Any]]:
    """Return the facts of `count` companies; `as_of` and `ap.*` are left to the caller."""
    source = random.Random(seed)
    chosen = [item for item in features if item.name != AS_OF and not item.name.startswith("ap.")]
    rows = []
    for _ in range(count):
        lack = absent * source.choice((0, 0, 0.2, 1, 3))
        rows.append(
            {
                item.name: _draw(source, item, edges.get(item.name, set()), odd)
                for item in chosen
                if source.random() >= lack
            }
        )
    return rows


def make_near(
    products: Sequence[Product],
    features: Sequence[Feature],
    edges: dict[str, set[Any]],
    seed: int,
    count: int,
) -> list[dict[str, Any]]:
    """Return the facts of companies that some product likes, most of them a little spoilt."""
    source = random.Random(seed)
    liked = [compute_samples(product)[0].facts for product in products]
    known = {item.name: item for item in features}
    rows = make_facts(features, edges, seed, count, absent=0.3)
    for row in rows:
        best = source.choice(liked)
        row.update((name, value) for name, value in best.items() if name not in _ALIKE)
        for name in source.sample(sorted(row), min(len(row), source.choice((0, 0, 1, 1, 2, 4)))):
            if source.random() < 0.4:
                del row[name]
            else:
                row[name] = _draw(source, known[name], edges.get(name, set()), 0.1)
    return rows


def _draw(source: random.Random, feature: Feature, edges: set[Any], odd: float) -> Any:
    if feature.unit is Unit.FLAG:
        return source.random() < 0.8
    if feature.unit is Unit.TEXT:
        if source.random() < odd:
            return source.choice(_TEXTS)
        known = sorted(feature.values or {item for item in edges if isinstance(item, str)})
        return source.choice(known or list(_TEXTS))
    if source.random() < odd:
        return source.choice(_EXTREMES)
    low = feature.minimum if feature.minimum is not None else -(2**40)
    high = feature.maximum if feature.maximum is not None else 2**40
    numbers = sorted(item for item in edges if type(item) is int)
    if numbers and source.random() < 0.5:
        return source.choice(numbers) + source.choice((-1, 0, 0, 1))
    if feature.unit is Unit.DATE:
        return source.randint(max(low, 10_000), min(high, 20_000))
    if source.random() < 0.6:
        low, high = max(low, -3), min(high, 10 ** source.randint(1, 14))
    return source.randint(low, max(low, high))
