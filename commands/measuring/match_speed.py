"""`./scripts/bench-match`: how long one company takes against every product, on one core.

The companies are those of the synthetic province, the products those in force in a network's
folder. What is counted is the processor time of this process, with the garbage collector on; of
each company the mean of a few runs. Other work of the machine does not count, but it slows a core
that shares its caches: a figure is that of a quiet machine only on a quiet machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, quantiles
from time import process_time_ns
from typing import Any, TypeVar

import click

from analytics.matching.rules import load_rules
from analytics.province.facts import Province
from genesis.network import NETWORKS
from ledger.lending.matching import ASKED_DAYS, ASKED_FEN, TOP, describe_ranking
from ledger.lending.ranking import TERM, FactsBySchema, ProductBook
from ledger.rules.matching import Matcher
from ledger.rules.product import AMOUNT
from ledger.rules.units import FactValue

DAY = 18_271
_RUNS = 7
_Given = TypeVar("_Given")
_NS_A_MS = 1_000_000


@click.command()
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    default=NETWORKS / "guangdong",
    help="Folder of rules, genesis or stopped home (default: the shipped province).",
)
@click.option("--companies", default=50, show_default=True, help="How many companies.")
@click.option("--top", default=TOP, show_default=True, help="How many changes to seek.")
@click.option("--seed", default=7, show_default=True, help="Of the synthetic province.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def main(rules: Path, companies: int, top: int, seed: int, as_json: bool) -> None:
    """Measure matching: outcomes, reasons, whole decisions, ranking, changes, and the whole answer.

    The changes are those that an answer tells, `--top` of them; the whole is what `match` tells
    from a company's facts on.

    Example: ./scripts/bench-match --companies 100
    """
    products = load_rules(rules, DAY).products
    facts = make_companies(seed, companies)
    started = process_time_ns()
    book = ProductBook(products)
    compile_ms = (process_time_ns() - started) / _NS_A_MS
    figures: dict[str, Any] = {
        "products": len(products),
        "companies": companies,
        "compile_ms": compile_ms,
        **measure_steps(book, Matcher(products), facts, top),
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2, sort_keys=True))
        return
    for name, value in figures.items():
        click.echo(f"{name:14} {_text(value)}")


def measure_steps(
    book: ProductBook, matcher: Matcher, companies: Sequence[Mapping[str, FactValue]], top: int
) -> dict[str, dict[str, float]]:
    """Return the time in ms of what `match` does for a company: each step by itself, and all."""
    refs = tuple(book.get_features())
    asked = [dict.fromkeys(refs, facts) for facts in companies]
    ranked = [book.rank(facts, DAY) for facts in asked]
    for ranking in ranked:  # what a node that has answered before has at hand
        book.explain(ranking, top)

    def answer(facts: FactsBySchema) -> object:
        return describe_ranking(book, book.rank(facts, DAY), top)

    return {
        "outcomes_ms": _measure(matcher.outcomes, companies),
        "reasons_ms": _measure(lambda facts: matcher.explain(matcher.look(facts)), companies),
        "decisions_ms": _measure(matcher.decide, companies),
        "ranking_ms": _measure(lambda facts: book.rank(facts, DAY), asked),
        "changes_ms": _measure(lambda ranking: book.explain(ranking, top), ranked),
        "whole_ms": _measure(answer, asked),
    }


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


def _measure(run: Callable[[_Given], object], given: Sequence[_Given]) -> dict[str, float]:
    """Return the figures of the mean times of a few runs each, those of collections included."""
    times = []
    for item in given:
        started = process_time_ns()
        for _ in range(_RUNS):
            run(item)
        times.append((process_time_ns() - started) / _RUNS / _NS_A_MS)
    return _summary(times)


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
