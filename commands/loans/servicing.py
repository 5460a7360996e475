"""`creditledger loan …`: what becomes of a loan that is not simply paid.

The commands join the group of `commands.loans.loan`, so that importing this module gives all of
them; each sends one transaction of the lender, the company or the guarantor, and says what the
ledger answered.
"""

from __future__ import annotations

from typing import Any

import click

from commands.frame import identity_option, json_option
from commands.loans.loan import command
from commands.session import report, transact
from commands.values import AMOUNT, RATE, amount, day

_SCHEDULES = click.Choice(("bullet", "interest_first", "equal_instalments"))


def _send(
    context: click.Context, identity: str, kind: str, body: dict[str, Any], as_json: bool, text: str
) -> None:
    """Send a transaction and report `text`, in which {name} stands for a value of the answer."""
    outcome = transact(context, identity, kind, body)
    data = outcome.data if isinstance(outcome.data, dict) else {}
    shown = {name: _shown(name, value) for name, value in data.items()}
    report(outcome, as_json, text.format_map(_Answer(shown)))


class _Answer(dict[str, str]):
    """The values of an answer by name; what a refused transaction does not give stays empty."""

    def __missing__(self, key: str) -> str:
        del key
        return ""


def _shown(name: str, value: Any) -> str:
    if name.endswith("_fen"):
        return amount(value)
    return day(value) if name.endswith("_day") else str(value)


@command.command(
    "ask-guarantee",
    example="creditledger loan ask-guarantee 77c0… --of mumian-fgc --as 91440300MA5EXAMPLE",
)
@click.argument("application")
@click.option("--of", "guarantor", required=True, metavar="ID", help="The guarantee company.")
@identity_option
@json_option
@click.pass_context
def ask_guarantee(
    context: click.Context, application: str, guarantor: str, identity: str, as_json: bool
) -> None:
    """Ask a guarantee company to stand for the open offer on APPLICATION.

    For the company or the lender; who is asked finds it in its notices.
    """
    body = {"application": application, "guarantor": guarantor}
    text = "{guarantor} is asked to stand for application {application}"
    _send(context, identity, "loan.ask_guarantee", body, as_json, text)


@command.command(
    "guarantee", example="creditledger loan guarantee 77c0… --amount 500,000.00 --as mumian-fgc"
)
@click.argument("application")
@click.option("--amount", "amount_fen", type=AMOUNT, required=True, help="How much, CNY.")
@identity_option
@json_option
@click.pass_context
def guarantee(
    context: click.Context, application: str, amount_fen: int, identity: str, as_json: bool
) -> None:
    """Stand for the open offer on APPLICATION, as the guarantee company that was asked to."""
    body = {"application": application, "amount_fen": amount_fen}
    text = "{guaranteed_fen} guaranteed for application {application}"
    _send(context, identity, "loan.guarantee", body, as_json, text)


@command.command(
    "restructure",
    example="creditledger loan restructure 3c55… --rate 4.00% --days 360 "
    "--schedule equal_instalments --as icbc-gd",
)
@click.argument("loan")
@click.option("--rate", "rate_bp", type=RATE, required=True, help="New rate a year.")
@click.option("--days", "term_days", type=int, required=True, help="New term from acceptance.")
@click.option("--schedule", type=_SCHEDULES, help="How it is repaid (default: as before).")
@click.option("--period-months", type=int, help="Months between instalments (default: as before).")
@identity_option
@json_option
@click.pass_context
def restructure(
    context: click.Context,
    loan: str,
    rate_bp: int,
    term_days: int,
    schedule: str | None,
    period_months: int | None,
    identity: str,
    as_json: bool,
) -> None:
    """Offer new terms for LOAN as its lender; they count once the company accepts."""
    body: dict[str, Any] = {"loan": loan, "rate_bp": rate_bp, "term_days": term_days}
    body |= {"schedule": schedule} if schedule else {}
    body |= {"period_months": period_months} if period_months else {}
    text = "new terms offered for loan {loan}, to be accepted by {expires_day}"
    _send(context, identity, "loan.restructure", body, as_json, text)


@command.command(
    "accept-terms", example="creditledger loan accept-terms 3c55… --as 91441300MA4DEMO01X"
)
@click.argument("loan")
@identity_option
@json_option
@click.pass_context
def accept_terms(context: click.Context, loan: str, identity: str, as_json: bool) -> None:
    """Accept the new terms offered for LOAN as the company."""
    text = "loan {loan} restructured: {owed_fen} owed, due by {due_day}"
    _send(context, identity, "loan.accept_terms", {"loan": loan}, as_json, text)


@command.command("default", example="creditledger loan default 3c55… --as icbc-gd")
@click.argument("loan")
@identity_option
@json_option
@click.pass_context
def default(context: click.Context, loan: str, identity: str, as_json: bool) -> None:
    """Declare the overdue LOAN in default, as its lender."""
    text = "loan {loan} in default, {days_past_due} days past due"
    _send(context, identity, "loan.default", {"loan": loan}, as_json, text)


@command.command("accelerate", example="creditledger loan accelerate 3c55… --as icbc-gd")
@click.argument("loan")
@identity_option
@json_option
@click.pass_context
def accelerate(context: click.Context, loan: str, identity: str, as_json: bool) -> None:
    """Call LOAN, which is in default: everything is due now."""
    text = "loan {loan} accelerated: {owed_fen} is due"
    _send(context, identity, "loan.accelerate", {"loan": loan}, as_json, text)


@command.command("claim", example="creditledger loan claim 3c55… --as icbc-gd")
@click.argument("loan")
@click.option("--amount", "amount_fen", type=AMOUNT, help="How much (default: all it covers).")
@identity_option
@json_option
@click.pass_context
def claim(
    context: click.Context, loan: str, amount_fen: int | None, identity: str, as_json: bool
) -> None:
    """Claim on the guarantee of LOAN, which is in default, as its lender."""
    body: dict[str, Any] = {"loan": loan}
    body |= {} if amount_fen is None else {"amount_fen": amount_fen}
    text = "{claimed_fen} claimed from {guarantor} on loan {loan}"
    _send(context, identity, "loan.claim", body, as_json, text)


@command.command(
    "pay-claim", example="creditledger loan pay-claim 3c55… --amount 500,000.00 --as mumian-fgc"
)
@click.argument("loan")
@click.option("--amount", "amount_fen", type=AMOUNT, required=True, help="Amount paid, CNY.")
@identity_option
@json_option
@click.pass_context
def pay_claim(
    context: click.Context, loan: str, amount_fen: int, identity: str, as_json: bool
) -> None:
    """Pay on the claimed guarantee of LOAN as its guarantor."""
    body = {"loan": loan, "amount_fen": amount_fen}
    text = "{guarantee_paid_fen} paid on the guarantee of loan {loan}, {owed_fen} still owed"
    _send(context, identity, "loan.pay_claim", body, as_json, text)


@command.command(
    "write-off", example='creditledger loan write-off 3c55… --reason "insolvent" --as icbc-gd'
)
@click.argument("loan")
@click.option("--reason", required=True, help="Why, in a sentence.")
@identity_option
@json_option
@click.pass_context
def write_off(context: click.Context, loan: str, reason: str, identity: str, as_json: bool) -> None:
    """Take the lost LOAN off the books as its lender; the record of it stays."""
    text = "loan {loan} written off: {written_off_fen} and interest of {written_off_interest_fen}"
    body = {"loan": loan, "reason": reason}
    _send(context, identity, "loan.write_off", body, as_json, text)


@command.command(
    "recover", example="creditledger loan recover 3c55… --amount 20,000.00 --as icbc-gd"
)
@click.argument("loan")
@click.option("--amount", "amount_fen", type=AMOUNT, required=True, help="Amount received, CNY.")
@identity_option
@json_option
@click.pass_context
def recover(
    context: click.Context, loan: str, amount_fen: int, identity: str, as_json: bool
) -> None:
    """Book what was recovered of LOAN after it was written off."""
    body = {"loan": loan, "amount_fen": amount_fen}
    text = "{recovered_fen} recovered of loan {loan} so far"
    _send(context, identity, "loan.recover", body, as_json, text)


__all__ = ["command"]
