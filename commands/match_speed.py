"""`./scripts/bench-match`: how long one company takes against every product, on one core.

The companies are those of the synthetic province, the products those in force in a network's
folder. What is counted is the processor time of this thread, so that other work of the machine does
not count; of each company the best of a few runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, quantiles
from time import thread_time_ns
from typing import Any

import click

from analytics.matching.rules import load_rules
from analytics.province.facts import Province
from genesis.network import NETWORKS
from ledger.lending.matching import ASKED_DAYS, ASKED_FEN, TERM, ProductBook
from ledger.rules.decision import Outcome
from ledger.rules.matching import Matcher
from ledger.rules.product import AMOUNT
from ledger.rules.units import FactValue

DAY = 18_271
_RUNS = 15
_NS_A_MS = 1_000_000


@click.command()
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    default=NETWORKS / "guangdong",
    help="Folder of rules, genesis or stopped home (default: the shipped province).",
)
@click.option("--companies", default=50, show_default=True, help="How many companies.")
@click.option("--changes", default=5, show_default=True, help="Of how many to seek all changes.")
@click.option("--seed", default=7, show_default=True, help="Of the synthetic province.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def main(rules: Path, companies: int, changes: int, seed: int, as_json: bool) -> None:
    """Measure matching: outcomes with terms, whole decisions, and changes that would pass.

    Example: ./scripts/bench-match --companies 100
    """
    products = load_rules(rules, DAY).products
    facts = make_companies(seed, companies)
    started = thread_time_ns()
    matcher = Matcher(products)
    figures: dict[str, Any] = {
        "products": len(products),
        "companies": companies,
        "compile_ms": (thread_time_ns() - started) / _NS_A_MS,
        "outcomes_ms": _measure(matcher.outcomes, facts),
        "decisions_ms": _measure(matcher.decide, facts),
        "change_ms": _measure_changes(ProductBook(products), facts[:changes]),
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2, sort_keys=True))
        return
    for name, value in figures.items():
        click.echo(f"{name:14} {_text(value)}")


def make_companies(seed: int, count: int) -> list[dict[str, FactValue]]:
    """Return the facts of the first companies of a synthetic province, and what they ask for."""
    province = Province(seed, as_of=DAY)
    found: list[dict[str, FactValue]] = [
        {"as_of": DAY, AMOUNT: ASKED_FEN, TERM: ASKED_DAYS} for _ in range(count)
    ]
    for name, column in province.facts(province.chunk(0, count)).items():
        for row, value in enumerate(column.values.tolist()):
            if column.present is None or column.present[row]:
                words = column.vocabulary
                found[row][name] = value if words is None else words[value]
    return found


def _measure(
    run: Callable[[Mapping[str, FactValue]], object], companies: Sequence[Mapping[str, FactValue]]
) -> dict[str, float]:
    best = []
    for facts in companies:
        times = []
        for _ in range(_RUNS):
            started = thread_time_ns()
            run(facts)
            times.append(thread_time_ns() - started)
        best.append(min(times) / _NS_A_MS)
    return _summary(best)


def _measure_changes(
    book: ProductBook, companies: Sequence[Mapping[str, FactValue]]
) -> dict[str, float]:
    """Return the time of one search, over every product that would not grant."""
    times, found = [], 0
    for facts in companies:
        known = dict.fromkeys(book.get_features(), facts)
        for match in book.decide(known, DAY):
            if match.decision.outcome is not Outcome.GRANT:
                started = thread_time_ns()
                found += book.find_change(match.product, known)[0] is not None
                times.append((thread_time_ns() - started) / _NS_A_MS)
    return {**_summary(times), "searched": len(times), "found": found}


def _summary(times: Sequence[float]) -> dict[str, float]:
    if len(times) < 2:
        return {}
    return {"mean": mean(times), "p95": quantiles(times, n=20)[-1], "max": max(times)}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
