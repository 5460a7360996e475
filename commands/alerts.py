"""`creditledger alerts`: early warnings, as the ledger raised them while it executed blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from commands.answers import text_of
from commands.console import say, show_json, show_table
from commands.frame import Group, identity_option, json_option
from commands.session import ask, open_session, report, transact

_COLUMNS = ("severity", "rule", "company", "state", "height", "text", "value", "alert")


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
    answer = ask(context, identity, "alerts.list", **params)
    alerts = [item for item in answer["alerts"] if state is None or item["state"] == state]
    if as_json:
        show_json(alerts)
    else:
        show_alerts(alerts)


def show_alerts(alerts: Iterable[Mapping[str, Any]]) -> None:
    """Print alerts as a table, the gravest first."""
    order = {"red": 0, "orange": 1, "yellow": 2, "blue": 3}
    ranked = sorted(alerts, key=lambda item: order.get(str(item.get("severity")), 9))
    columns = [name for name in _COLUMNS if any(name in item for item in ranked)]
    rows = [[text_of(name, item.get(name)) for name in columns] for item in ranked]
    if rows:
        show_table("", columns, rows)
    else:
        say("no alerts")


@command.command("watch", example="creditledger alerts watch --as D18")
@click.option("--from", "cursor", default=0, help="Start after this cursor (0: from the start).")
@click.option("--count", type=int, help="Stop after so many alerts (default: never).")
@identity_option
@json_option
@click.pass_context
def watch(
    context: click.Context, cursor: int, count: int | None, identity: str, as_json: bool
) -> None:
    """Print alerts as blocks raise them, one a line, until stopped."""
    with open_session(context, identity) as session:
        for item in session.watch_alerts(cursor, count):
            if as_json:
                show_json(item)
            else:
                names = ("severity", "company", "rule", "text")
                say("  ".join(text_of(name, item.get(name)) for name in names))


@command.command("ack", example="creditledger alerts ack 41d0… --outcome 'visited' --as D18")
@click.argument("alert")
@click.option("--outcome", default="", help="What was found, in a few words.")
@identity_option
@json_option
@click.pass_context
def ack(context: click.Context, alert: str, outcome: str, identity: str, as_json: bool) -> None:
    """Acknowledge ALERT as a regulator."""
    body = {"alert": alert} | ({"outcome": outcome} if outcome else {})
    done = transact(context, identity, "alert.ack", body)
    report(done, as_json, f"alert {alert} acknowledged by {identity}")
