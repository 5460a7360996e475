"""`creditledger alerts`: early warnings, as the ledger raised them while it executed blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from time import sleep
from typing import Any

import click

from commands.alerts.stream import cursor_text, follow, parse_cursor, read_pages
from commands.answers import show_rows, text_of
from commands.console import say, show_json, show_table, warn
from commands.frame import Group, identity_option, json_option
from commands.loans.decisions import fact_text, get_alert_units
from commands.session import Session, ask, open_session, report, transact
from commands.values import COMPANY, DAY, ValueType, day, json_ready

_CURSOR = ValueType("cursor", parse_cursor)
_COLUMNS = ("severity", "rule", "subject", "state", "text", "inputs", "day", "height", "alert")


@click.group("alerts", cls=Group)
def command() -> None:
    """Early warnings: raised by rule, the same on every node; acknowledged by a regulator."""


@command.command("list", example="creditledger alerts list --state OPEN --as D18")
@click.option("--company", help="Only those of this company.")
@click.option("--state", help="Only those in this state: OPEN, ACKNOWLEDGED, RESOLVED, …")
@click.option("--from", "from_", type=_CURSOR, help="Only those from this block or cursor on.")
@click.option("--late", is_flag=True, help="Only those escalated whose day is over.")
@identity_option
@json_option
@click.pass_context
def show_list(
    context: click.Context,
    company: str | None,
    state: str | None,
    from_: int | None,
    late: bool,
    identity: str,
    as_json: bool,
) -> None:
    """List the alerts that the caller may see, and how many companies wait to be looked at."""
    params: dict[str, Any] = {} if from_ is None else {"cursor": max(0, from_)}
    if company:
        params["company"] = company
    waiting = 0
    with open_session(context, identity) as session:
        alerts: list[Mapping[str, Any]] = []
        for page in read_pages(session, params):
            alerts += page["alerts"]
            waiting = page["waiting"]
        alerts = [item for item in alerts if state is None or item["state"] == state]
        alerts = [item for item in alerts if item["is_late"] or not late]
        if as_json:
            show_json(alerts)
            return
        _show_alerts(session, alerts)
    if waiting:
        say(f"{waiting} companies wait to be looked at: the list is not all of it yet")


def _show_alerts(session: Session, alerts: Iterable[Mapping[str, Any]]) -> None:
    """Print alerts as a table, the gravest first, their inputs in their units."""
    order = {"red": 0, "orange": 1, "yellow": 2, "blue": 3}
    ranked = sorted(alerts, key=lambda item: order.get(str(item.get("severity")), 9))
    rules = {item["rule"] for item in ranked if not item["institution"]}
    units = {ref: get_alert_units(session, ref) for ref in rules}
    rows = [[_cell(name, item, units.get(item["rule"])) for name in _COLUMNS] for item in ranked]
    if rows:
        show_table("", _COLUMNS, rows)
    else:
        say("no alerts")


def _cell(name: str, item: Mapping[str, Any], units: Mapping[str, str] | None) -> str:
    """Return a cell; without `units` the inputs are those of a limit, in fen or its own unit."""
    if name == "subject":
        return " of ".join(filter(None, (item["company"], item["institution"])))
    if name == "state" and item["is_late"]:
        return f"{item['state']}, late"
    if name != "inputs":
        return text_of(name, item.get(name))
    if units is None:
        unit = "" if str(item["when"]).endswith((" days", " months")) else "fen"
        units = {key: unit for key, _ in item["inputs"]}
    pairs = ((key, fact_text(units.get(key, ""), value)) for key, value in item["inputs"])
    return ", ".join(f"{key} = {text}" for key, text in pairs)


@command.command("watch", example="creditledger alerts watch --from 8843.2 --as D18")
@click.option(
    "--from",
    "from_",
    type=_CURSOR,
    default="0",
    help="A block, or the cursor of the last one seen.",
)
@click.option("--count", type=int, help="Stop after so many alerts (default: never).")
@identity_option
@json_option
@click.pass_context
def watch(
    context: click.Context, from_: int, count: int | None, identity: str, as_json: bool
) -> None:
    """Print alerts as blocks raise them, one a line with its cursor, until stopped.

    Lost connections are made anew. Begin again with the last cursor, at any node.
    """
    stream = follow(partial(open_session, context, identity), from_, sleep, warn)
    for item in islice(stream, count):
        cursor = cursor_text(item["cursor"])
        if as_json:
            say(json.dumps(json_ready({**item, "cursor": cursor}), ensure_ascii=False))
        else:
            subject = item["company"] or item["institution"]
            say("  ".join((cursor, item["severity"], subject, item["rule"], item["text"])))


@command.command("ack", example="creditledger alerts ack 41d0… --note 'visited the plant' --as D18")
@click.argument("alert")
@click.option(
    "--outcome",
    default="acknowledge",
    show_default=True,
    type=click.Choice(["acknowledge", "dismiss", "resolve"]),
)
@click.option("--note", default="", help="What was found, in a few words.")
@identity_option
@json_option
@click.pass_context
def ack(
    context: click.Context, alert: str, outcome: str, note: str, identity: str, as_json: bool
) -> None:
    """Take up ALERT as a regulator: acknowledge it, dismiss it as false, or resolve it."""
    body = {"alert": alert, "outcome": outcome} | ({"note": note} if note else {})
    done = transact(context, identity, "alert.ack", body)
    state = done.data.get("state", "") if isinstance(done.data, dict) else ""
    report(done, as_json, f"alert {alert} is {state}")


@command.command(
    "escalate", example="creditledger alerts escalate 41d0… --to cbirc-gd --by 2020-03-20 --as D18"
)
@click.argument("alert")
@click.option("--to", required=True, help="The regulator who takes it over.")
@click.option("--by", "due_day", type=DAY, required=True, help="The day by which it must end.")
@click.option("--note", default="", help="Why, in a few words.")
@identity_option
@json_option
@click.pass_context
def escalate(
    context: click.Context,
    alert: str,
    to: str,
    due_day: int,
    note: str,
    identity: str,
    as_json: bool,
) -> None:
    """Hand ALERT to another regulator, to be ended by a day; he finds it in his notices."""
    body: dict[str, Any] = {"alert": alert, "outcome": "escalate", "to": to, "due_day": due_day}
    body |= {"note": note} if note else {}
    done = transact(context, identity, "alert.ack", body)
    report(done, as_json, f"alert {alert} escalated to {to}, to be ended by {day(due_day)}")


@command.command("feedback", example="creditledger alerts feedback 41d0… right --as D18")
@click.argument("alert")
@click.argument("verdict", type=click.Choice(["right", "wrong"]))
@click.option("--note", default="", help="What was found, in a few words.")
@identity_option
@json_option
@click.pass_context
def feedback(
    context: click.Context, alert: str, verdict: str, note: str, identity: str, as_json: bool
) -> None:
    """Say as a regulator whether ALERT turned out right; the rule is measured by it."""
    body = {"alert": alert, "verdict": verdict} | ({"note": note} if note else {})
    done = transact(context, identity, "alert.feedback", body)
    report(done, as_json, f"alert {alert} was {verdict}")


@command.command(
    "outcome",
    example="creditledger alerts outcome 91441300MA4DEMO01X troubled --day 2020-02-01 --as D18",
)
@click.argument("company", type=COMPANY)
@click.argument("what", type=click.Choice(["troubled", "sound"]))
@click.option("--day", "day_", type=DAY, help="Since when, if that is known.")
@click.option("--note", default="", help="What happened, in a few words.")
@identity_option
@json_option
@click.pass_context
def outcome(
    context: click.Context,
    company: str,
    what: str,
    day_: int | None,
    note: str,
    identity: str,
    as_json: bool,
) -> None:
    """Say as a regulator what became of COMPANY; loans that fail say it themselves."""
    body: dict[str, Any] = {"company": company, "is_troubled": what == "troubled"}
    body |= {} if day_ is None else {"day": day_}
    body |= {"note": note} if note else {}
    done = transact(context, identity, "company.outcome", body)
    report(done, as_json, f"company {company} is {what}")


@command.command("quality", example="creditledger alerts quality --as D18")
@identity_option
@json_option
@click.pass_context
def quality(context: click.Context, identity: str, as_json: bool) -> None:
    """Show how good each rule's warnings were: precision, and recall of those that failed."""
    answer = ask(context, identity, "alerts.quality")
    if as_json:
        show_json(answer)
        return
    columns = ("rule", "alerts", "companies", "right", "wrong", "precision_bp", "caught")
    show_rows("", answer["rules"], (*columns, "troubled", "recall_bp"))
    say(f"the outcome of {answer['outcomes']} companies is known")
    if not answer["is_complete"]:
        say("there is more than one measurement looks at: the latest are left out")


@command.command("review", example="creditledger alerts review 91441300MA4DEMO01X --as D18")
@click.argument("companies", nargs=-1, required=True, type=COMPANY)
@identity_option
@json_option
@click.pass_context
def review(
    context: click.Context, companies: tuple[str, ...], identity: str, as_json: bool
) -> None:
    """Look at COMPANIES again as of today: for what only the passing of time makes true."""
    done = transact(context, identity, "alert.review", {"companies": companies})
    report(done, as_json, f"{len(companies)} companies reviewed")
