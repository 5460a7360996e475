"""`creditledger match`: which products would lend to a company, and what keeps the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commands.console import show_json
from commands.frame import Command, json_option
from commands.matching.whole_province import all_options, match_all
from commands.session import open_session
from commands.values import AMOUNT, COMPANY
from ledger.errors import Code, LocalError

_ANSWER_S = 120.0  # a node's first match compiles all products: seconds, on a busy machine many


@click.command(
    "match",
    cls=Command,
    example="creditledger match 91441300MA4DEMO01X --ask 500,000.00\n"
    "creditledger match --all --facts province --rules genesis.bin --out answers",
)
@click.argument("company", type=COMPANY, required=False)
@click.option(
    "--ask", "asked", type=AMOUNT, default="500,000.00", show_default=True, help="Amount wanted."
)
@click.option(
    "--term",
    type=click.IntRange(1, 3650),
    default=180,
    show_default=True,
    help="Days it is wanted for.",
)
@click.option("--product", "products", multiple=True, help="Only this product; repeatable.")
@click.option(
    "--top",
    type=click.IntRange(1, 50),
    default=20,
    show_default=True,
    help="Show so many that would lend, and so many of the others.",
)
@click.option(
    "--facts",
    type=click.Path(path_type=Path),
    help="Ask no node: a JSON file of facts, or a Parquet snapshot in which COMPANY is a row.",
)
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    help="With --facts: the products in force of a genesis, a stopped home or a folder of rules.",
)
@click.option(
    "--as",
    "identity",
    metavar="ID",
    envvar="CREDITLEDGER_AS",
    help="Whose profile asks: the company's (default) or a counter's.",
)
@all_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    company: str | None,
    asked: int,
    term: int,
    products: tuple[str, ...],
    top: int,
    facts: Path | None,
    rules: Path | None,
    identity: str | None,
    as_json: bool,
    is_all: bool,
    **bulk: Any,
) -> None:
    """Show what every product in force would decide for COMPANY, the cheapest first.

    A preview for the company: no lender sees it, and nothing of it is kept. What would not be lent
    comes with the smallest change that would pass, computed from the rule and tried on it. An asset
    product is tried with the company's best asset of its kind. With --facts and --rules everything
    is computed here: for an author or an adviser.
    """
    answer: Any
    if asked < 1:
        raise LocalError(Code.INPUT_USAGE, "--ask is nothing: name an amount, such as 500,000.00")
    _check_options(company, facts, rules, is_all, bulk)
    if is_all:
        match_all(
            facts, rules, {"ap.amount": asked, "ap.term": term}, products, top, as_json, **bulk
        )
        return
    if facts is not None:
        from commands.matching.offline import match_file

        wish = {"ap.amount": asked, "ap.term": term}
        answer = match_file(facts, _wanted(rules), company, wish, products, top)
    else:
        params: dict[str, Any] = {"amount_fen": asked, "term_days": term, "top": top}
        if products:
            params["products"] = products
        if company is None:
            raise LocalError(Code.INPUT_USAGE, "name a COMPANY, or its facts with --facts FILE")
        with open_session(context, identity or company, answer_s=_ANSWER_S) as session:
            answer = session.query("company.match", company=company, **params)
    if as_json:
        show_json(answer)
        return
    from commands.matching.show import show_match

    show_match(answer, is_detailed=bool(products))


def _check_options(
    company: str | None, facts: Path | None, rules: Path | None, is_all: bool, bulk: dict[str, Any]
) -> None:
    """Refuse options that would be passed over: whoever gives one means something by it."""
    if is_all and company is not None:
        raise LocalError(Code.INPUT_USAGE, f"--all is of every company: leave {company} or it out")
    stray = [f"--{name}" for name in ("out", "sample", "spill", "spark") if bulk[name]]
    if stray and not is_all:
        raise LocalError(Code.INPUT_USAGE, f"only with --all: {', '.join(stray)}")
    if rules is not None and facts is None:
        raise LocalError(Code.INPUT_USAGE, "--rules is for --facts FILE: a node has its own rules")


def _wanted(rules: Path | None) -> Path:
    if rules is None:
        raise LocalError(
            Code.INPUT_USAGE, "with --facts name the products: --rules GENESIS, HOME or FOLDER"
        )
    return rules
