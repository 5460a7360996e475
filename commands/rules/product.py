"""`creditledger product`: credit rules of lenders, checked before they are sent."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from commands.answers import show_answer, show_rows
from commands.console import say, show_json, show_table
from commands.files import read_bytes
from commands.frame import Group, identity_option, json_option, reader_option
from commands.rules.spread import command as spread_command
from commands.rules.what_if import what_if_command
from commands.session import (
    GENESIS,
    any_identity,
    ask,
    net_of,
    open_session,
    report,
    transact,
)
from commands.values import AMOUNT, COMPANY
from ledger.errors import Code, Rejected


@click.group("product", cls=Group)
def command() -> None:
    """Products of lenders: conditions, limit and rate in `smartrule/1`."""


@command.command("register", example="creditledger product register scf.toml --as icbc-gd")
@click.argument("file", type=click.Path(path_type=Path))
@identity_option
@json_option
@click.pass_context
def register(context: click.Context, file: Path, identity: str, as_json: bool) -> None:
    """Register the product of FILE as the lender it names.

    It is compiled by every node; a mistake is refused with its line and column. Check the file
    first with `product check`.
    """
    outcome = transact(context, identity, "product.register", {"source": read_bytes(file)})
    made = outcome.data.get("product", file.name) if isinstance(outcome.data, dict) else file.name
    report(outcome, as_json, f"product {made} registered by {identity}")


@command.command("check", example="creditledger product check scf.toml --trust genesis.bin")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="Genesis with the schemas and scorecards (default: the network's).",
)
@click.option(
    "--facts",
    type=click.Path(path_type=Path),
    help="Decide on the companies of this TOML file: [[company]] tables of facts.",
)
@click.option(
    "--company", multiple=True, type=COMPANY, help="Decide on what you may read of this company."
)
@click.option("--ask", "asked", type=AMOUNT, default="1,000,000.00", help="Amount for --company.")
@click.option("--term", default=180, help="Days for --company.")
@reader_option
@json_option
@click.pass_context
def check(
    context: click.Context,
    file: Path,
    trust: Path | None,
    facts: Path | None,
    company: tuple[str, ...],
    asked: int,
    term: int,
    identity: str | None,
    as_json: bool,
) -> None:
    """Check the product of FILE as every node would, and show what it decides on samples.

    Nothing is sent. A mistake is told with its line and column: syntax, types and units, unknown
    features, cost, authorisations that the product forgot to ask for. The samples are made from the
    rule itself: the best company it can find, and from there each condition failing alone; or name
    your own with --facts, or companies of the network with --company. With --as the network is
    asked for the schema and scorecard that FILE names, which the members may have adopted later.
    A note is what may not be meant: a parameter that is not used, a condition that nobody fails.
    """
    from commands.rules import trial
    from commands.rules.rule_offline import check_product, compile_product
    from ledger.rules.trial import compute_samples

    source, genesis = read_bytes(file), read_bytes(trust or net_of(context) / GENESIS)
    adopted = () if identity is None else _ask_adopted(context, identity, source)
    answer = check_product(source, genesis, adopted)
    if not answer["is_valid"]:
        raise Rejected(Code(answer["code"]), f"{file}: {answer['error']}")
    product = compile_product(source, genesis, adopted)
    if company:
        wish = {"ap.amount": asked, "ap.term": term}
        with open_session(context, identity or any_identity(net_of(context))) as session:
            samples = tuple(trial.ask_company(session, product, item, wish) for item in company)
    elif facts is not None:
        samples = trial.read_samples(facts, product)
    else:
        samples = compute_samples(product)
    notes = trial.find_notes(product, source.decode())
    if not (company or facts):
        notes += trial.find_gaps(product, samples)
    if as_json:
        shown = [trial.sample_value(item) for item in samples]
        show_json(answer | {"samples": shown, "notes": notes})
        return
    show_answer(f"{file} would be registered as {answer['product']}", answer)
    for note in notes:
        say(f"note: {note}")
    say("")
    trial.show_samples(product, samples)


def _ask_adopted(context: click.Context, identity: str, source: bytes) -> tuple[bytes, ...]:
    """Return the sources of the schema and scorecard that a product names, as the network has."""
    from commands.rules.rule_offline import find_named

    with open_session(context, identity) as session:
        return tuple(
            session.query("rules.show", kind=kind, ref=ref)["source"]
            for kind, ref in find_named(source)
        )


@command.command("list", example="creditledger product list")
@reader_option
@json_option
@click.pass_context
def show_list(context: click.Context, identity: str | None, as_json: bool) -> None:
    """List the registered products."""
    answer = ask(context, identity, "product.list")
    if as_json:
        show_json(answer)
    else:
        columns = ("product", "lender", "line", "asset", "is_in_force", "effective_from", "name")
        show_rows("", answer["products"], columns)


@command.command("show", example="creditledger product show GD-SCF-0042/3")
@click.argument("product")
@click.option("--source", "is_source", is_flag=True, help="Print the rule's source alone.")
@reader_option
@json_option
@click.pass_context
def show(
    context: click.Context, product: str, is_source: bool, identity: str | None, as_json: bool
) -> None:
    """Show PRODUCT (ID/VERSION): its terms, conditions and what it reads of a company."""
    with open_session(context, identity or any_identity(net_of(context))) as session:
        answer = session.query("product.show", product=product)
        if as_json:
            show_json(answer)
            return
        rule = session.query("rules.show", kind="product", ref=answer["product"])
    source = rule["source"].decode()
    if is_source:
        say(source)
        return
    show_answer(f"product {product}", answer)
    rows = [[c["id"], c["reason"], c["when"], c.get("text", "")] for c in _conditions(source)]
    show_table("", ["condition", "reason", "holds when", "else"], rows)


def _conditions(source: str) -> list[dict[str, str]]:
    conditions: list[dict[str, str]] = tomllib.loads(source).get("condition", [])
    return conditions


command.add_command(
    what_if_command("product", "creditledger product what-if scf.toml --home keep/icbc-gd")
)
command.add_command(spread_command)
