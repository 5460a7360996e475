"""`creditledger product`: credit rules of lenders, checked before they are sent."""

from __future__ import annotations

from pathlib import Path

import click

from commands.answers import show_answer
from commands.console import say, show_json
from commands.files import read_bytes
from commands.frame import Group, identity_option, json_option, reader_option
from commands.session import ask, report, transact


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
        show_answer("products", answer)


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
    answer = ask(context, identity, "product.show", product=product)
    source = answer.get("source", b"")
    if is_source:
        say(source.decode() if isinstance(source, bytes) else str(source))
    elif as_json:
        show_json(answer)
    else:
        show_answer(f"product {product}", {k: v for k, v in answer.items() if k != "source"})
