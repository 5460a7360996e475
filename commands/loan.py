"""`creditledger loan`: from an application, decided by rule, to the last repayment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from commands.answers import show_answer, text_of
from commands.console import show_facts, show_json, show_table
from commands.frame import Group, identity_option, json_option
from commands.session import Outcome, ask, check_outcome, report, transact
from commands.values import AMOUNT, COMPANY, amount, moment


@click.group("loan", cls=Group)
def command() -> None:
    """Loans: apply, accept, disburse, repay; every decision comes from a registered product."""


@command.command(
    "apply",
    example="creditledger loan apply 91441300MA4DEMO01X GD-SCF-0042/3 --amount 2,000,000.00 "
    "--days 180 --asset 9b1f… --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.argument("product")
@click.option("--amount", "amount_fen", type=AMOUNT, required=True, help="Amount asked for, CNY.")
@click.option("--days", "term_days", type=int, required=True, help="Term in days.")
@click.option("--asset", help="The registered asset it is to be secured by.")
@identity_option
@json_option
@click.pass_context
def apply(
    context: click.Context,
    company: str,
    product: str,
    amount_fen: int,
    term_days: int,
    asset: str | None,
    identity: str,
    as_json: bool,
) -> None:
    """Apply for PRODUCT (ID/VERSION) as COMPANY, or for it; the decision comes at once.

    A decision to decline or to refer is an answer, not an error: the exit code is 0.
    """
    body: dict[str, Any] = {
        "company": company,
        "product": product,
        "amount_fen": amount_fen,
        "term_days": term_days,
    }
    if asset is not None:
        body["asset"] = asset
    outcome = transact(context, identity, "loan.apply", body)
    if as_json:
        show_json(outcome.to_value())
        check_outcome(outcome)
        return
    check_outcome(outcome)
    _show_decision(outcome, amount_fen)


def _show_decision(outcome: Outcome, asked_fen: int) -> None:
    data: Mapping[str, Any] = outcome.data
    facts = {"decision": str(data.get("outcome", ""))}
    if data.get("amount_fen") is not None:
        facts["amount"] = f"{amount(data['amount_fen'])} of {amount(asked_fen)} asked"
    for name, title in (("limit_fen", "limit"), ("rate_bp", "rate"), ("score", "score")):
        if data.get(name) is not None:
            facts[title] = text_of(name, data[name])
    if data.get("missing"):
        facts["missing"] = text_of("missing", data["missing"])
    facts["application"] = str(data.get("application", outcome.id.hex()))
    facts["block"] = f"{outcome.height} of {moment(outcome.time_ms)}"
    facts["certified after"] = f"{outcome.seconds * 1000:.0f} ms"
    show_facts("", facts)
    _show_reasons(data.get("reasons") or ())


def _show_reasons(reasons: Any) -> None:
    rows = []
    for reason in reasons:
        code, condition, result, inputs = reason
        shown = ", ".join(f"{name} = {text_of(name, value)}" for name, value in inputs)
        rows.append([str(code), str(condition), str(result), shown or "-"])
    if rows:
        show_table("reasons", ["code", "condition", "result", "inputs"], rows)


@command.command("accept", example="creditledger loan accept 77c0… --as 91441300MA4DEMO01X")
@click.argument("application")
@identity_option
@json_option
@click.pass_context
def accept(context: click.Context, application: str, identity: str, as_json: bool) -> None:
    """Accept the offer made on APPLICATION, before it expires."""
    outcome = transact(context, identity, "loan.accept", {"application": application})
    report(outcome, as_json, f"offer on application {application} accepted")


@command.command("disburse", example="creditledger loan disburse 77c0… --as icbc-gd")
@click.argument("application")
@identity_option
@json_option
@click.pass_context
def disburse(context: click.Context, application: str, identity: str, as_json: bool) -> None:
    """Pay out the accepted APPLICATION as its lender: the loan begins, its asset is pledged."""
    outcome = transact(context, identity, "loan.disburse", {"application": application})
    made = outcome.data.get("loan", "") if isinstance(outcome.data, dict) else ""
    report(outcome, as_json, f"loan {made} disbursed by {identity}")


@command.command("repay", example="creditledger loan repay 3c55… --amount 100,000.00 --as icbc-gd")
@click.argument("loan")
@click.option("--amount", "amount_fen", type=AMOUNT, required=True, help="Amount received, CNY.")
@identity_option
@json_option
@click.pass_context
def repay(context: click.Context, loan: str, amount_fen: int, identity: str, as_json: bool) -> None:
    """Book a repayment of LOAN as its lender."""
    body = {"loan": loan, "amount_fen": amount_fen}
    outcome = transact(context, identity, "loan.repay", body)
    report(outcome, as_json, f"{amount(amount_fen)} repaid on loan {loan}")


@command.command("show", example="creditledger loan show 77c0… --as icbc-gd")
@click.argument("loan_or_application")
@click.option("--application", "is_application", is_flag=True, help="The id is an application's.")
@identity_option
@json_option
@click.pass_context
def show(
    context: click.Context,
    loan_or_application: str,
    is_application: bool,
    identity: str,
    as_json: bool,
) -> None:
    """Show a loan, or with --application an application with its decision."""
    noun = "application" if is_application else "loan"
    answer = ask(context, identity, f"{noun}.show", **{noun: loan_or_application})
    if as_json:
        show_json(answer)
        return
    shown = {name: value for name, value in answer.items() if name != "reasons"}
    show_answer(f"{noun} {loan_or_application}", shown)
    _show_reasons(answer.get("reasons") or ())
