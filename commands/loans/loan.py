"""`creditledger loan`: from an application, decided by rule, to the last repayment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from commands.answers import show_answer, show_rows
from commands.console import say, show_facts, show_json
from commands.frame import Group, identity_option, json_option
from commands.loans.decisions import fact_text, get_units, show_decision
from commands.session import (
    Session,
    ask,
    check_outcome,
    open_session,
    place_of,
    report,
    transact,
)
from commands.values import AMOUNT, COMPANY, amount, day
from ledger.errors import Code, Rejected, RemoteError


@click.group("loan", cls=Group)
def command() -> None:
    """Loans from application to settlement; every decision comes from a registered product."""


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
    with open_session(context, identity) as session:
        _check_authorised(context, session, company, product, identity)
        outcome = session.send("loan.apply", body)
        if as_json:
            show_json(outcome.to_value())
        check_outcome(outcome)
        if not as_json:
            show_decision(session, outcome.data, amount_fen)
            say(place_of(outcome))


def _check_authorised(
    context: click.Context, session: Session, company: str, product: str, identity: str
) -> None:
    """Raise `Rejected` (2211, 2218, 2223) before sending what the authorisations do not cover.

    A node may be a block behind the one that certified them: each is asked before it is refused.
    """
    needed = session.query("consent.needed", company=company, product=product)
    if needed["code"] == Code.OK or identity == needed["lender"]:
        return
    for node in session.client.profile.nodes:
        try:
            with open_session(context, identity, via=node.member) as other:
                again = other.query("consent.needed", company=company, product=product)
        except RemoteError:
            continue  # it does not run
        if again["code"] == Code.OK:
            return
    raise Rejected(Code(needed["code"]), needed["text"])


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


@command.command("show", example="creditledger loan show 77c0… --application --as icbc-gd")
@click.argument("loan")
@click.option("--application", "is_application", is_flag=True, help="Show the application instead.")
@identity_option
@json_option
@click.pass_context
def show(
    context: click.Context, loan: str, is_application: bool, identity: str, as_json: bool
) -> None:
    """Show LOAN with its account; or the application of that id with its decision and facts."""
    noun = "application" if is_application else "loan"
    with open_session(context, identity) as session:
        answer = session.query(f"{noun}.show", **{noun: loan})
        if as_json:
            show_json(answer)
        elif is_application:
            _show_application(session, answer)
        else:
            plan, account = answer.pop("plan"), answer.pop("account")
            answer["late_day"] = answer["late_day"] or None  # 0: no payment came late
            show_answer(f"loan {loan}", answer)
            show_rows("still to be paid", plan, ("due_day", "principal_fen", "interest_fen"))
            show_rows("account", account, ("day", "what", "interest_fen", "principal_fen"))


def _show_application(session: Session, answer: Mapping[str, Any]) -> None:
    show_decision(session, answer, answer["asked_fen"])
    units = get_units(session, answer["schema"])
    facts = {name: fact_text(units.get(name, ""), v) for name, v in answer["facts"].items()}
    show_facts(f"facts of {day(answer['day'])}, in block {answer['height']}", facts)


@command.command("list", example="creditledger loan list 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@identity_option
@json_option
@click.pass_context
def show_list(context: click.Context, company: str, identity: str, as_json: bool) -> None:
    """List the loans of COMPANY that the caller may see."""
    answer = ask(context, identity, "loan.list", company=company)
    if as_json:
        show_json(answer)
    else:
        columns = ("loan", "lender", "product", "state", "principal_fen", "owed_fen", "rate_bp")
        show_rows(f"loans of {company}", answer["loans"], columns)
