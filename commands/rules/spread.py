"""`product spread`: how far the products of a network's institutions differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from commands.console import progress, say, show_facts, show_json, show_table
from commands.frame import Command, json_option
from commands.province import need_analytics
from commands.values import AMOUNT, amount

if TYPE_CHECKING:
    from analytics.spread import Share, Spread
    from ledger.rules.product import Condition

_MOST = 1_000_000


@click.command("spread", cls=Command, example="creditledger product spread --companies 10000")
@click.option("--network", default="guangdong", show_default=True, help="Its products are tried.")
@click.option(
    "--companies",
    type=click.IntRange(1, _MOST),
    default=10_000,
    show_default=True,
    help="Of the synthetic province.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the synthetic province.")
@click.option("--ask", type=AMOUNT, default="500000", help="CNY asked for (default: 500,000).")
@click.option("--term", type=click.IntRange(1, 3_650), default=180, help="Days (default: 180).")
@click.option("--each", is_flag=True, help="A line for each product.")
@json_option
def command(
    network: str, companies: int, seed: int, ask: int, term: int, each: bool, as_json: bool
) -> None:
    """Ask every product of a network about the same synthetic companies.

    It says which part of them each product grants, whether two never differ, and how many sets of
    conditions there are with their figures blanked. A product whose conditions refuse the wish
    itself, such as a pawnbroker's of more than six months, is named with its reason and stands
    apart from the others. Needs the extra: pip install 'creditledger[analytics]'.
    """
    need_analytics()
    from analytics.spread import Wish, find_wish_refusals, make_companies, measure_spread
    from genesis.network import load_network
    from genesis.products import load_products

    products = load_products(load_network(network).folder)
    wish = Wish(ask, term)
    with progress("asking", companies, "companies") as bar:

        def told() -> Iterator[Any]:
            for facts in make_companies(companies, seed, wish):
                bar.advance(1)
                yield facts

        spread = measure_spread(products, told())
    refusals = find_wish_refusals(products, wish)
    if as_json:
        show_json(_to_json(spread, refusals))
        return
    title = f"{companies:,} companies of seed {seed}, CNY {amount(ask)} for {term} days"
    _show(spread, refusals, title)
    if each:
        _show_each(spread)


def _show(spread: Spread, refusals: Mapping[str, Condition], title: str) -> None:
    shares = sorted(
        spread.granted_share(share) for share in spread.shares if share.product.id not in refusals
    )
    lenders = {share.product.lender for share in spread.shares}
    granted = f"{shares[0]:.2%} to {shares[-1]:.2%} of the companies" if shares else "-"
    facts = {
        "products": f"{len(spread.shares)} of {len(lenders)} lenders",
        "sets of conditions": f"{spread.condition_sets}, figures blanked",
        "never differ": "; ".join(map(", ".join, _find_twins(spread, refusals))) or "no two",
        "granted": granted,
    }
    if refusals:
        facts["refuse the wish"] = f"{len(refusals)}, whoever asks; not counted above"
    show_facts(title, facts)
    if refusals:
        say()
        rows = [[name, item.reason, item.text] for name, item in refusals.items()]
        show_table("refuse the wish", ["product", "reason", "text"], rows)
        say()
    by_line: dict[str, list[Share]] = defaultdict(list)
    for share in spread.shares:
        by_line[share.product.line].append(share)
    rows = [[line, str(len(found)), *_range(spread, found)] for line, found in by_line.items()]
    show_table("", ["line", "products", "grants least", "median", "most", "refers"], rows)


def _find_twins(spread: Spread, refusals: Mapping[str, Condition]) -> list[tuple[str, ...]]:
    """Return the groups that never differ, of products that look at the company at all."""
    left = [tuple(name for name in group if name not in refusals) for group in spread.twins]
    return [group for group in left if len(group) > 1]


def _range(spread: Spread, shares: list[Share]) -> list[str]:
    granted = [spread.granted_share(share) for share in shares]
    referred = median(share.referred for share in shares) / spread.company_count
    return [f"{item:.2%}" for item in (min(granted), median(granted), max(granted), referred)]


def _show_each(spread: Spread) -> None:
    say()
    rows = [
        [
            share.product.ref,
            share.product.lender,
            f"{spread.granted_share(share):.2%}",
            f"{share.referred / spread.company_count:.2%}",
            share.product.name,
        ]
        for share in spread.shares
    ]
    show_table("", ["product", "lender", "granted", "referred", "name"], rows)


def _to_json(spread: Spread, refusals: Mapping[str, Condition]) -> dict[str, Any]:
    return {
        "companies": spread.company_count,
        "condition_sets": spread.condition_sets,
        "twins": _find_twins(spread, refusals),
        "refuse_the_wish": [
            {"product": name, "condition": item.id, "reason": item.reason, "text": item.text}
            for name, item in refusals.items()
        ],
        "products": [
            {
                "product": share.product.ref,
                "lender": share.product.lender,
                "line": share.product.line,
                "granted": share.granted,
                "referred": share.referred,
                "declined": share.declined,
            }
            for share in spread.shares
        ],
    }
