"""`creditledger institution`: what institutions report, beside what the ledger holds of them."""

from __future__ import annotations

from typing import Any

import click

from commands.answers import show_answer, show_rows
from commands.console import say, show_facts, show_json
from commands.frame import Group, identity_option, json_option
from commands.session import ask, open_session, report
from commands.values import AMOUNT, DAY, ValueType, amount, day, parse_amount
from ledger.errors import Code, LocalError
from ledger.lending.limits.positions import Balance


def _parse_signed(text: str) -> int:
    """Return fen of an amount that may be below zero; raise `ValueError`."""
    bare = text.strip()
    return -parse_amount(bare[1:]) if bare.startswith("-") else parse_amount(bare)


_SIGNED = ValueType("amount", _parse_signed)


@click.group("institution", cls=Group)
def command() -> None:
    """Institutions: net assets, funds and balances as they report them, reconciled."""


def _read_balances(pairs: tuple[str, ...]) -> dict[str, int]:
    """Return fen by kind of "loans=1,000,000.00"; raise `LocalError` (8004)."""
    found: dict[str, int] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in set(Balance):
            raise LocalError(
                Code.INPUT_USAGE, f"--balance {pair}: want KIND=AMOUNT, KIND {', '.join(Balance)}"
            )
        try:
            found[name] = parse_amount(text)
        except ValueError as error:
            raise LocalError(Code.INPUT_USAGE, f"--balance {pair}: {error}") from None
    return found


@command.command(
    "report",
    example="creditledger institution report --net-assets 80,000,000.00 "
    "--total-assets 210,000,000.00 --capital 50,000,000.00 --funds 12,000,000.00 "
    "--balance loans=190,000,000.00 --as mumian-mlc",
)
@click.option("--day", "day_", type=DAY, help="As of which day (default: the chain's).")
@click.option("--net-assets", type=_SIGNED, required=True, help="Net assets, CNY.")
@click.option("--total-assets", type=AMOUNT, required=True, help="Total assets, CNY.")
@click.option("--capital", type=AMOUNT, required=True, help="Registered capital, CNY.")
@click.option("--funds", type=AMOUNT, required=True, help="Funds at hand, CNY.")
@click.option(
    "--balance", "balances", multiple=True, help="KIND=AMOUNT, of an asset or a debt; repeatable."
)
@identity_option
@json_option
@click.pass_context
def report_(
    context: click.Context,
    day_: int | None,
    net_assets: int,
    total_assets: int,
    capital: int,
    funds: int,
    balances: tuple[str, ...],
    identity: str,
    as_json: bool,
) -> None:
    """Report the sender's own figures as of a day; reporting the day again corrects it."""
    body: dict[str, Any] = {
        "net_assets_fen": net_assets,
        "total_assets_fen": total_assets,
        "registered_capital_fen": capital,
        "funds_fen": funds,
        "balances": _read_balances(balances),
    }
    with open_session(context, identity) as session:
        body["day"] = session.time_ms() // 86_400_000 if day_ is None else day_
        done = session.send("institution.report", body)
    version = done.data.get("version", "") if isinstance(done.data, dict) else ""
    report(done, as_json, f"figures of {day(body['day'])} reported, version {version}")
    if not as_json:
        _show_reconciled(done.data["reconciled"])


def _show_reconciled(reconciled: Any) -> None:
    facts = {
        name: f"{amount(item['reported_fen'])} reported, {amount(item['ledgered_fen'])} on the"
        f" ledger, difference {amount(item['difference_fen'])}"
        for name, item in reconciled.items()
        if item["reported_fen"] is not None
    }
    if facts:
        show_facts("reconciled with the ledger of the day", facts)


@command.command("show", example="creditledger institution show mumian-mlc --as D18")
@click.argument("institution")
@click.option("--limit", type=int, default=5, show_default=True, help="How many reports to show.")
@identity_option
@json_option
@click.pass_context
def show(
    context: click.Context, institution: str, limit: int, identity: str, as_json: bool
) -> None:
    """Show the figures of INSTITUTION with what the ledger holds, and its last reports."""
    answer = ask(context, identity, "institution.show", institution=institution, limit=limit)
    if as_json:
        show_json(answer)
        return
    latest = answer["latest"]
    facts = {"institution": institution, "kind": answer["kind"]}
    facts["loans on the ledger"] = amount(answer["ledgered_fen"])
    facts["guarantees on the ledger"] = amount(answer["ledgered_guarantees_fen"])
    show_facts("", facts)
    if latest is None:
        say("nothing reported yet")
        return
    show_answer("last report", {name: latest[name] for name in latest if name != "balances"})
    show_answer("balances", {f"{name}_fen": value for name, value in latest["balances"].items()})
    _show_reconciled(answer["reconciled"])
    columns = ("day", "version", "net_assets_fen", "total_assets_fen", "funds_fen", "height")
    show_rows("reports", answer["reports"], columns)
