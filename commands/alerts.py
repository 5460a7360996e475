"""`creditledger alerts`: early warnings, as the ledger raised them while it executed blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import click

from commands.answers import text_of
from commands.console import say, show_json, show_table
from commands.decisions import fact_text, get_alert_units
from commands.frame import Group, identity_option, json_option
from commands.session import Session, open_session, report, transact
from commands.values import COMPANY, json_ready

_COLUMNS = ("severity", "rule", "company", "state", "text", "inputs", "day", "height", "alert")


@click.group("alerts", cls=Group)
def command() -> None:
    """Early warnings: raised by rule, the same on every node; acknowledged by a regulator."""


@command.command("list", example="creditledger alerts list --state OPEN --as D18")
@click.option("--company", help="Only those of this company.")
@click.option("--state", help="Only those in this state: OPEN, ACKNOWLEDGED, RESOLVED, …")
@click.option("--from", "from_height", default=0, help="Only those raised from this block on.")
@identity_option
@json_option
@click.pass_context
def show_list(
    context: click.Context,
    company: str | None,
    state: str | None,
    from_height: int,
    identity: str,
    as_json: bool,
) -> None:
    """List the alerts that the caller may see."""
    params: dict[str, Any] = {"from_height": from_height} if from_height else {}
    if company:
        params["company"] = company
    with open_session(context, identity) as session:
        answer = session.query("alerts.list", **params)
        alerts = [item for item in answer["alerts"] if state is None or item["state"] == state]
        if as_json:
            show_json(alerts)
        else:
            _show_alerts(session, alerts)


def _show_alerts(session: Session, alerts: Iterable[Mapping[str, Any]]) -> None:
    """Print alerts as a table, the gravest first, their inputs in their units."""
    order = {"red": 0, "orange": 1, "yellow": 2, "blue": 3}
    ranked = sorted(alerts, key=lambda item: order.get(str(item.get("severity")), 9))
    units = {ref: get_alert_units(session, ref) for ref in {item["rule"] for item in ranked}}
    rows = [[_cell(name, item, units[item["rule"]]) for name in _COLUMNS] for item in ranked]
    if rows:
        show_table("", _COLUMNS, rows)
    else:
        say("no alerts")


def _cell(name: str, item: Mapping[str, Any], units: Mapping[str, str]) -> str:
    if name == "inputs":
        pairs = ((key, fact_text(units.get(key, ""), value)) for key, value in item["inputs"])
        return ", ".join(f"{key} = {text}" for key, text in pairs)
    return text_of(name, item.get(name))


@command.command("watch", example="creditledger alerts watch --as D18")
@click.option("--from", "from_height", default=0, help="Start with those of this block.")
@click.option("--count", type=int, help="Stop after so many alerts (default: never).")
@identity_option
@json_option
@click.pass_context
def watch(
    context: click.Context, from_height: int, count: int | None, identity: str, as_json: bool
) -> None:
    """Print alerts as blocks raise them, one a line, until stopped."""
    with open_session(context, identity) as session:
        for item in islice(session.watch_alerts(from_height), count):
            if as_json:
                say(json.dumps(json_ready(item), ensure_ascii=False))
            else:
                names = ("severity", "company", "rule", "text")
                say("  ".join(text_of(name, item.get(name)) for name in names))


@command.command("ack", example="creditledger alerts ack 41d0… --note 'visited the plant' --as D18")
@click.argument("alert")
@click.option(
    "--outcome",
    default="acknowledge",
    show_default=True,
    type=click.Choice(["acknowledge", "escalate", "dismiss", "resolve"]),
)
@click.option("--note", default="", help="What was found, in a few words.")
@identity_option
@json_option
@click.pass_context
def ack(
    context: click.Context, alert: str, outcome: str, note: str, identity: str, as_json: bool
) -> None:
    """Take up ALERT as a regulator: acknowledge, escalate, dismiss as false, or resolve it."""
    body = {"alert": alert, "outcome": outcome} | ({"note": note} if note else {})
    done = transact(context, identity, "alert.ack", body)
    state = done.data.get("state", "") if isinstance(done.data, dict) else ""
    report(done, as_json, f"alert {alert} is {state}")


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
