"""`creditledger exposure`: what is owed, to whom, by which group, and how far limits are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from commands.answers import show_answer, show_rows
from commands.console import say, show_json, show_table
from commands.frame import Group, identity_option, json_option
from commands.session import ask, report, transact
from commands.values import COMPANY, amount, day, rate


@click.group("exposure", cls=Group)
def command() -> None:
    """Exposure on ledgered loans: sums, prudential limits, groups, guarantee circles."""


@command.command("show", example="creditledger exposure show 91441300MA4DEMO01X --as D18")
@click.argument("subject")
@identity_option
@json_option
@click.pass_context
def show(context: click.Context, subject: str, identity: str, as_json: bool) -> None:
    """Show the exposure of SUBJECT, a company's code or a lender's id, as far as one may see it."""
    noun = "company" if len(subject) == 18 else "lender"
    answer = ask(context, identity, "exposure.show", **{noun: subject})
    if as_json:
        show_json(answer)
    else:
        show_answer(f"exposure of {subject}", answer)


@command.command("limits", example="creditledger exposure limits mumian-mlc --as D18")
@click.argument("institution")
@identity_option
@json_option
@click.pass_context
def limits(context: click.Context, institution: str, identity: str, as_json: bool) -> None:
    """Show how far INSTITUTION uses each of its prudential limits, and who is over one."""
    answer = ask(context, identity, "exposure.limits", institution=institution)
    if as_json:
        show_json(answer)
        return
    when = "nothing reported" if answer["reported_day"] is None else day(answer["reported_day"])
    say(f"{institution}, {answer['kind'] or 'no supervisory class'}; last report: {when}")
    rows = [_limit_row(item) for item in answer["limits"]]
    if not rows:
        say("no limits for this class")
        return
    show_table("", ["limit", "what", "allowed", "used", "of it", "by", "status", "source"], rows)


def _limit_row(item: Mapping[str, Any]) -> list[str]:
    """Return a line: what is allowed in the law's unit, what is used, and the share of it."""
    unit, most = item["unit"], item["most"]
    value = item["value"]
    allowed = {
        "bp": f"{rate(most)} of {str(item['base']).replace('_', ' ')}",
        "fen": amount(most),
    }.get(unit, f"{most} {unit}")
    is_money = unit in ("bp", "fen")
    used = "-" if value is None else amount(value) if is_money else f"{value} {unit}"
    over = len(item["breaches"])
    status = item["status"] if over < 2 else f"{item['status']} by {over}"
    return [
        item["id"],
        item["text"],
        ("at least " if item["is_minimum"] else "") + allowed,
        used,
        "-" if item["used_bp"] is None else rate(item["used_bp"]),
        item["subject"] or "-",
        f"{status}, refuses" if item["is_hard"] else status,
        item["source"] if item["is_verified"] else f"{item['source']} (not verified)",
    ]


@command.command("group", example="creditledger exposure group 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@identity_option
@json_option
@click.pass_context
def group(context: click.Context, company: str, identity: str, as_json: bool) -> None:
    """Show the companies related to COMPANY, whose debts are added up, and why."""
    answer = ask(context, identity, "exposure.group", company=company)
    if as_json:
        show_json(answer)
        return
    say(f"{len(answer['companies'])} companies: {', '.join(answer['companies'])}")
    if not answer["is_complete"]:
        say("the group is larger than is followed")
    if answer["links"]:
        show_rows("", answer["links"], ("company", "why", "other"))


@command.command("circles", example="creditledger exposure circles --as D18")
@click.option("--company", type=COMPANY, help="The circle of this company, with its records.")
@identity_option
@json_option
@click.pass_context
def circles(context: click.Context, company: str | None, identity: str, as_json: bool) -> None:
    """Show companies that guarantee each other, in a circle or densely; for regulators.

    With --company each guarantee with the records it rests on; --json adds its proof.
    """
    if company is not None:
        _show_circle(ask(context, identity, "circles.show", company=company), as_json)
        return
    answer = ask(context, identity, "circles.list")
    if as_json:
        show_json(answer)
        return
    columns = ("count", "links", "amount_fen", "cycle", "companies")
    show_rows("circles", answer["circles"], columns)
    show_rows("dense groups", answer["dense"], columns)
    if not answer["is_complete"]:
        say(f"only the first {answer['links']:,} guarantees were looked at")


def _show_circle(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(answer)
        return
    if answer["circle"] is None:
        say(f"{answer['company']} is in no circle of guarantees")
        return
    show_answer("circle", answer["circle"])
    rows = [
        {
            **{name: link[name] for name in ("guarantor", "debtor", "amount_fen")},
            "is_self_declared": link["is_self_declared"],
            "records": ", ".join(
                f"{category} of {day(when)} {digest.hex()[:12]} in block {height}"
                for category, when, digest, height, *_ in link["records"]
            ),
        }
        for link in answer["links"]
    ]
    show_rows("guarantees", rows)


@command.command(
    "declare-group",
    example="creditledger exposure declare-group lin-family 91441300MA4DEMO01X --as D18",
)
@click.argument("name")
@click.argument("companies", nargs=-1, required=True, type=COMPANY)
@identity_option
@json_option
@click.pass_context
def declare_group(
    context: click.Context, name: str, companies: tuple[str, ...], identity: str, as_json: bool
) -> None:
    """Declare as a regulator that COMPANIES belong to the group NAME ("-": to none)."""
    body = {"companies": companies} | ({} if name == "-" else {"group": name})
    done = transact(context, identity, "group.declare", body)
    where = "no declared group" if name == "-" else f"group {name}"
    report(done, as_json, f"{len(companies)} companies belong to {where}")
