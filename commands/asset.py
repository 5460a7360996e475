"""`creditledger asset`: receivables, patents and the like, registered once and pledged once."""

from __future__ import annotations

from typing import Any

import click

from commands.answers import show_answer
from commands.console import show_json, show_table
from commands.frame import Group, identity_option, json_option
from commands.session import Outcome, open_session, report, transact
from commands.values import AMOUNT, COMPANY, DAY, amount, day
from ledger.credit.currencies import HOME_CURRENCY, get_minor_digits
from ledger.errors import Code, LocalError


@click.group("asset", cls=Group)
def command() -> None:
    """Financing assets: registered by a fingerprint, confirmed by the debtor, pledged once."""


@command.command(
    "register",
    example="creditledger asset register 91441300MA4DEMO01X --kind receivable --document INV-7 "
    "--day 2019-12-20 --due 2020-04-20 --counterparty 91440101MA5DEBTOR2 "
    "--amount 1,400,000.00 --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.option("--kind", required=True, help="receivable, invoice, patent, warehouse_receipt, …")
@click.option("--document", required=True, help="Number of the document: invoice, patent, …")
@click.option("--day", "on_day", type=DAY, required=True, help="Date of the document.")
@click.option("--due", "due_day", type=DAY, help="Date on which it is due.")
@click.option("--counterparty", help="The debtor's code; who keeps or made goods, equipment.")
@click.option("--amount", "amount_fen", type=AMOUNT, help="Its amount, in its currency.")
@click.option("--currency", default="CNY", show_default=True)
@identity_option
@json_option
@click.pass_context
def register(
    context: click.Context,
    company: str,
    kind: str,
    document: str,
    on_day: int,
    due_day: int | None,
    counterparty: str | None,
    amount_fen: int | None,
    currency: str,
    identity: str,
    as_json: bool,
) -> None:
    """Register an asset of COMPANY; whether the same was registered before is told at once."""
    body = _terms(company, kind, document, on_day, counterparty, amount_fen, currency)
    if due_day is not None:
        body["due_day"] = due_day
    outcome = transact(context, identity, "asset.register", body)
    match = outcome.data.get("match") if isinstance(outcome.data, dict) else None
    also = "; one like it is registered" if match == "similar" else ""
    report(outcome, as_json, f"asset {_asset(outcome)} registered: {kind} {document}{also}")


@command.command("confirm", example="creditledger asset confirm 9b1f… --as 91440101MA5DEBTOR2")
@click.argument("asset")
@identity_option
@json_option
@click.pass_context
def confirm(context: click.Context, asset: str, identity: str, as_json: bool) -> None:
    """Confirm, as its debtor, that ASSET is owed."""
    outcome = transact(context, identity, "asset.confirm", {"asset": asset})
    report(outcome, as_json, f"asset {asset} confirmed by {identity}")


@command.command("withdraw", example="creditledger asset withdraw 9b1f… --as 91441300MA4DEMO01X")
@click.argument("asset")
@identity_option
@json_option
@click.pass_context
def withdraw(context: click.Context, asset: str, identity: str, as_json: bool) -> None:
    """Withdraw ASSET as its owner, while it is not pledged: its document is free again."""
    outcome = transact(context, identity, "asset.withdraw", {"asset": asset})
    report(outcome, as_json, f"asset {asset} withdrawn")


@command.command(
    "pledge", example="creditledger asset pledge 9b1f… --application 77c0… --as icbc-gd"
)
@click.argument("asset")
@click.option("--application", help="The granted application it secures.")
@click.option("--amount", "amount_fen", type=AMOUNT, help="Part of it, CNY (default: the offer).")
@identity_option
@json_option
@click.pass_context
def pledge(
    context: click.Context,
    asset: str,
    application: str | None,
    amount_fen: int | None,
    identity: str,
    as_json: bool,
) -> None:
    """Pledge ASSET to the lender that acts, for an application it granted.

    The order of the blocks decides; whoever comes second is refused, and not told who was first.
    """
    body: dict[str, Any] = {"asset": asset}
    if application is not None:
        body["application"] = application
    if amount_fen is not None:
        body["amount_fen"] = amount_fen
    outcome = transact(context, identity, "asset.pledge", body)
    report(outcome, as_json, f"asset {asset} pledged to {identity}")


@command.command(
    "release", example="creditledger asset release 9b1f… --application 77c0… --as icbc-gd"
)
@click.argument("asset")
@click.option("--application", required=True, help="The application it secured.")
@identity_option
@json_option
@click.pass_context
def release(
    context: click.Context, asset: str, application: str, identity: str, as_json: bool
) -> None:
    """Release ASSET from what secured an application; by its lender."""
    body = {"asset": asset, "application": application}
    outcome = transact(context, identity, "asset.release", body)
    report(outcome, as_json, f"asset {asset} released")


def _asset(outcome: Outcome) -> str:
    return str(outcome.data.get("asset", "")) if isinstance(outcome.data, dict) else ""


@command.command("show", example="creditledger asset show 9b1f… --as icbc-gd")
@click.argument("asset")
@identity_option
@json_option
@click.pass_context
def show(context: click.Context, asset: str, identity: str, as_json: bool) -> None:
    """Show ASSET; another lender learns only whether it is pledged."""
    with open_session(context, identity) as session:
        answer = session.query("asset.show", asset=asset)
    if as_json:
        show_json(answer)
    else:
        if "amount_fen" in answer:
            answer["amount"] = amount_text(answer.pop("amount_fen"), answer["currency"])
        show_answer(f"asset {asset}", answer)


@command.command("list", example="creditledger asset list 91441300MA4DEMO01X --as D01")
@click.argument("company", type=COMPANY)
@identity_option
@json_option
@click.pass_context
def show_list(context: click.Context, company: str, identity: str, as_json: bool) -> None:
    """List the assets of COMPANY that the caller may see."""
    with open_session(context, identity) as session:
        answer = session.query("asset.list", company=company)
    if as_json:
        show_json(answer)
        return
    rows = [
        [
            item["asset"],
            item["kind"],
            item["document_no"],
            amount_text(item["amount_fen"], item["currency"]),
            day(item["due_day"]),
            item["state"] + (", confirmation late" if item["is_confirm_late"] else ""),
            "pledged" if item["is_pledged"] else "free",
        ]
        for item in answer["assets"]
    ]
    headers = ["asset", "kind", "document", "amount", "due", "state", "pledge"]
    show_table(f"assets of {company}", headers, rows)


@command.command(
    "check",
    example="creditledger asset check 91441300MA4DEMO01X --kind receivable --document INV-7 "
    "--day 2019-12-20 --counterparty 91440101MA5DEBTOR2 --amount 1,400,000.00 --as pab-gd",
)
@click.argument("company", type=COMPANY)
@click.option("--kind", required=True, help="receivable, invoice, patent, warehouse_receipt, …")
@click.option("--document", required=True, help="Number of the document.")
@click.option("--day", "on_day", type=DAY, required=True, help="Date of the document.")
@click.option("--counterparty", help="The debtor's code; who keeps or made goods, equipment.")
@click.option("--amount", "amount_fen", type=AMOUNT, help="Its amount, in its currency.")
@click.option("--currency", default="CNY", show_default=True)
@identity_option
@json_option
@click.pass_context
def check(
    context: click.Context,
    company: str,
    kind: str,
    document: str,
    on_day: int,
    counterparty: str | None,
    amount_fen: int | None,
    currency: str,
    identity: str,
    as_json: bool,
) -> None:
    """Ask whether a document is registered or pledged: exact, similar or none; never to whom."""
    terms = _terms(company, kind, document, on_day, counterparty, amount_fen, currency)
    with open_session(context, identity) as session:
        answer = session.query("asset.check", **terms)
    if as_json:
        show_json(answer)
    else:
        show_answer("", answer)


def _terms(
    company: str,
    kind: str,
    document: str,
    on_day: int,
    counterparty: str | None,
    amount_fen: int | None,
    currency: str,
) -> dict[str, Any]:
    """Return the fields that describe an asset; what was not given is left out."""
    terms: dict[str, Any] = {
        "company": company,
        "kind": kind,
        "document_no": document,
        "day": on_day,
        "currency": currency,
    }
    if counterparty is not None:
        terms["counterparty"] = counterparty
    if amount_fen is not None:
        terms["amount_fen"] = to_minor_units(amount_fen, currency)
    return terms


def to_minor_units(hundredths: int, currency: str) -> int:
    """Return an amount in minor units, a yen or a thousandth of a dinar; `LocalError` 8004."""
    scale: int = 10 ** get_minor_digits(currency)
    units, rest = divmod(hundredths * scale, 100)
    if rest:
        raise LocalError(
            Code.INPUT_USAGE,
            f"amount {amount(hundredths)}: {currency} has no hundredths, leave .00",
        )
    return units


def amount_text(minor_units: int, currency: str) -> str:
    """Return an amount in minor units of its currency as text: "1,000,000 JPY"."""
    if currency == HOME_CURRENCY:
        return amount(minor_units)
    digits = get_minor_digits(currency)
    whole, part = divmod(minor_units, 10**digits)
    return f"{whole:,}" + (f".{part:0{digits}}" if digits else "") + f" {currency}"
