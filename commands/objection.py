"""`creditledger objection`: what a company says is wrong with a record, and the answers."""

from __future__ import annotations

from typing import Any

import click

from commands.answers import show_rows
from commands.console import show_json
from commands.frame import Group, identity_option, json_option
from commands.session import Session, ask, open_session, report, transact
from commands.values import COMPANY, day
from ledger.errors import Code, LocalError

_TEXT = click.option("--text", default="", help="Why, in a sentence.")


@click.group("objection", cls=Group)
def command() -> None:
    """Objections of companies to records about them, their clocks and outcomes."""


@command.command(
    "open",
    example="creditledger objection open 91441300MA4DEMO01X C048 3 "
    '--text "paid in March" --as 91441300MA4DEMO01X',
)
@click.argument("company", type=COMPANY)
@click.argument("category")
@click.argument("number", type=int)
@click.option("--schema", default="", help="Record schema of the category, for example line.")
@click.option("--text", required=True, help="What is wrong, in a sentence.")
@identity_option
@json_option
@click.pass_context
def open_(
    context: click.Context,
    company: str,
    category: str,
    number: int,
    schema: str,
    text: str,
    identity: str,
    as_json: bool,
) -> None:
    """Object to record NUMBER of CATEGORY; `company records` shows the numbers.

    The record is marked as disputed for every later reader at once; its department has 20 days.
    """
    with open_session(context, identity) as session:
        record = _find(session, company, category, schema, number)
        body: dict[str, Any] = {
            "company": company,
            "category": category,
            "day": record["day"],
            "digest": record["digest"],
            "text": text,
        }
        outcome = session.send("objection.open", body | ({"schema": schema} if schema else {}))
    due = outcome.data.get("due_day") if isinstance(outcome.data, dict) else None
    report(outcome, as_json, f"objection {outcome.id.hex()} open, to be decided by {day(due)}")


def _find(
    session: Session, company: str, category: str, schema: str, number: int
) -> dict[str, Any]:
    params: dict[str, Any] = {"company": company, "category": category}
    params |= {"schema": schema} if schema else {}
    cursor: int | None = 0
    while cursor is not None:
        answer = session.query("company.records", **params, cursor=cursor)
        for record in answer["records"]:
            if record["number"] == number:
                found: dict[str, Any] = record
                return found
        cursor = answer["cursor"]
    raise LocalError(Code.INPUT_USAGE, f"{company} has no record {number} of {category} {schema}")


@command.command("decide", example="creditledger objection decide 5d1e… corrected --as D02")
@click.argument("objection")
@click.argument("outcome", type=click.Choice(("corrected", "rejected", "annotated")))
@_TEXT
@identity_option
@json_option
@click.pass_context
def decide(
    context: click.Context, objection: str, outcome: str, text: str, identity: str, as_json: bool
) -> None:
    """Decide OBJECTION as the department that supplied the record.

    "corrected" wants the correction on the chain first (`submit` with the column supersedes).
    """
    _decide(context, "objection.decide", objection, outcome, text, identity, as_json)


@command.command("rule", example="creditledger objection rule 5d1e… upheld --as D18")
@click.argument("objection")
@click.argument("outcome", type=click.Choice(("upheld", "dismissed")))
@_TEXT
@identity_option
@json_option
@click.pass_context
def rule(
    context: click.Context, objection: str, outcome: str, text: str, identity: str, as_json: bool
) -> None:
    """Rule on the complaint about OBJECTION as a regulator; upheld opens it again."""
    _decide(context, "objection.rule", objection, outcome, text, identity, as_json)


def _decide(
    context: click.Context,
    kind: str,
    objection: str,
    outcome: str,
    text: str,
    identity: str,
    as_json: bool,
) -> None:
    body = {"objection": objection, "outcome": outcome} | ({"text": text} if text else {})
    sent = transact(context, identity, kind, body)
    report(sent, as_json, f"objection {objection}: {outcome}")


@command.command(
    "withdraw", example="creditledger objection withdraw 5d1e… --as 91441300MA4DEMO01X"
)
@click.argument("objection")
@identity_option
@json_option
@click.pass_context
def withdraw(context: click.Context, objection: str, identity: str, as_json: bool) -> None:
    """Take OBJECTION back."""
    outcome = transact(context, identity, "objection.withdraw", {"objection": objection})
    report(outcome, as_json, f"objection {objection} withdrawn")


@command.command(
    "complain",
    example='creditledger objection complain 5d1e… --text "no answer" --as 91441300MA4DEMO01X',
)
@click.argument("objection")
@click.option("--text", required=True, help="What the regulator should know.")
@identity_option
@json_option
@click.pass_context
def complain(
    context: click.Context, objection: str, text: str, identity: str, as_json: bool
) -> None:
    """Complain to the regulator about the outcome of OBJECTION, or that none came in time."""
    body = {"objection": objection, "text": text}
    outcome = transact(context, identity, "objection.complain", body)
    report(outcome, as_json, f"complaint about objection {objection} is with the regulator")


@command.command("list", example="creditledger objection list 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@identity_option
@json_option
@click.pass_context
def show_list(context: click.Context, company: str, identity: str, as_json: bool) -> None:
    """List the objections of COMPANY that the caller may see."""
    answer = ask(context, identity, "objection.list", company=company)
    if as_json:
        show_json(answer)
        return
    columns = ("objection", "category", "day", "state", "due_day", "is_overdue", "text", "answer")
    show_rows(f"objections of {company}", answer["objections"], columns)
