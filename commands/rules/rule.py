"""`creditledger rule`: the rules of credit that the members change by vote.

Scorecards, feature schemas, alerts, categories, exchange rates and settings. A proposal is signed
and its certified result shown; nothing changes before a quorum of the validators' members approved,
and what changes counts from the day that it names.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from commands.console import say, show_facts, show_json, show_table
from commands.files import read_bytes
from commands.frame import Group, identity_option, json_option, reader_option
from commands.proposing import (
    describe_change,
    find_proposal,
    proposal_options,
    send_proposal,
    withdraw_proposal,
)
from commands.rules.what_if import what_if_command
from commands.session import Session, any_identity, ask, net_of, open_session, report
from commands.values import DAY, day, moment
from ledger.credit.currencies import get_minor_digits
from ledger.errors import Code, LocalError
from ledger.membership.limits import MS_A_DAY

_PATH = click.Path(path_type=Path)
_KINDS = ("schema", "scorecard", "alert", "product")
# What `exposure limits --json` shows beside a limit itself.
_USE = frozenset({"status", "subject", "value", "base_fen", "used_bp", "breaches"})


@click.group("rule", cls=Group)
def command() -> None:
    """Rules of credit by the members' vote: schemas, scorecards, alerts, categories, rates."""


_FROM = click.option(
    "--from", "first", type=DAY, help="First day on which it counts (default: tomorrow)."
)


def _first_day(session: Session, first: int | None) -> int:
    """Return a day as given, else the one after the chain's today."""
    if first is not None:
        return first
    return int(session.client.head().clock_ms) // MS_A_DAY + 1


@command.command(
    "propose", example="creditledger rule propose sales.toml --from 2020-03-01 --as D18"
)
@click.argument("file", type=_PATH)
@_FROM
@proposal_options
def propose(context: click.Context, file: Path, first: int | None, **common: Any) -> None:
    """Propose the schema, scorecard or alert of FILE; the versions of a rule only go up.

    A product is its lender's own: `product register`. Try it first: `rule what-if`.
    """
    source = read_bytes(file)

    def make(session: Session) -> Mapping[str, Any]:
        return {"kind": "rule", "source": source, "effective_from": _first_day(session, first)}

    send_proposal(context, "rule", make, **common)


@command.command("end", example="creditledger rule end EW05/1 --until 2020-06-30 --as D18")
@click.argument("alert")
@click.option("--until", required=True, type=DAY, help="The last day on which it counts.")
@proposal_options
def end(context: click.Context, alert: str, until: int, **common: Any) -> None:
    """Propose that ALERT (ID/VERSION) is looked at until a day and no longer."""
    change = {"kind": "end_alert", "ref": alert, "last_day": until}
    send_proposal(context, "rule", lambda _session: change, **common)


@command.command(
    "category", example="creditledger rule category C048.toml --until 2020-12-31 --as D02"
)
@click.argument("file", type=_PATH)
@_FROM
@click.option(
    "--until", type=DAY, help="Last day on which the versions before are accepted (or ever)."
)
@proposal_options
def category(
    context: click.Context, file: Path, first: int | None, until: int | None, **common: Any
) -> None:
    """Propose the category of FILE, a new one or one with new versions of its record schemas.

    FILE is TOML or JSON with the keys of the genesis document, the schemas that exist unchanged
    among them; `rule show category C048 --json` prints one to begin with.
    """
    value = read_category(file)

    def make(session: Session) -> Mapping[str, Any]:
        change: dict[str, Any] = {"kind": "category", "category": value}
        change["effective_from"] = _first_day(session, first)
        if until is not None:
            change["accepted_until"] = until
        return change

    send_proposal(context, "rule", make, **common)


_FIELD: Mapping[str, Any] = {
    "unit": "",
    "is_optional": False,
    "values": (),
    "scale": 0,
    "minimum": None,
}
_SCHEMA: Mapping[str, Any] = {"name": "", "version": 1, "date_field": "", "identity": ()}
_CATEGORY: Mapping[str, Any] = {
    "name_zh": "",
    "is_negative": False,
    "has_natural_person": False,
    "cadence": "",
    "dimension": "",
}


def read_category(path: Path) -> dict[str, Any]:
    """Return a category as a genesis document has it; what is left out is as usual."""
    value = _read_table(path)
    schemas = [_filled(_SCHEMA, item) for item in value.get("schemas", ())]
    for schema in schemas:
        schema["fields"] = tuple(_filled(_FIELD, item) for item in schema.get("fields", ()))
    return _filled(_CATEGORY, value) | {"schemas": tuple(schemas)}


def _read_table(path: Path) -> dict[str, Any]:
    """Return the keys of a TOML or JSON file; raise `LocalError` (8001)."""
    text = read_bytes(path).decode(errors="replace")
    try:
        value = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise LocalError(Code.INPUT_FILE, f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise LocalError(Code.INPUT_FILE, f"{path}: want a table of keys")
    return value


def _filled(usual: Mapping[str, Any], given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise LocalError(Code.INPUT_FILE, "a schema or field is no table")
    listed = {key: tuple(item) if type(item) is list else item for key, item in given.items()}
    return {**usual, **listed}


@command.command("rate", example="creditledger rule rate USD 2020-02-21 7.0210 --as D18")
@click.argument("currency")
@click.argument("on", type=DAY)
@click.argument("yuan")
@proposal_options
def rate(context: click.Context, currency: str, on: int, yuan: str, **common: Any) -> None:
    """Propose that one unit of CURRENCY is worth YUAN on the day ON, and until the next rate."""
    change = {
        "kind": "rates",
        "rates": ((currency, on, parse_exchange_rate(currency, yuan)),),
    }
    send_proposal(context, "rule", lambda _session: change, **common)


def parse_exchange_rate(currency: str, yuan: str) -> int:
    """Return yuan for a unit ("7.0210") as millionths of a fen for a minor unit of the currency."""
    whole, _, rest = yuan.partition(".")
    if not (whole + rest).isascii() or not whole.isdigit() or (rest and not rest.isdigit()):
        raise LocalError(Code.INPUT_USAGE, f"rate {yuan!r}, want yuan for one unit such as 7.0210")
    digits = get_minor_digits(currency)
    numerator = int(whole + rest) * 100_000_000
    denominator = 10 ** (len(rest) + digits)
    if numerator % denominator:
        raise LocalError(Code.INPUT_USAGE, f"rate {yuan!r} has more digits than are kept")
    ppm: int = numerator // denominator
    return ppm


@command.command("setting", example="creditledger rule setting backfill_records 5000 --as D18")
@click.argument("name")
@click.argument("value", type=int)
@_FROM
@proposal_options
def setting(
    context: click.Context, name: str, value: int, first: int | None, **common: Any
) -> None:
    """Propose VALUE for the setting NAME; `rule settings` lists them."""

    def make(session: Session) -> Mapping[str, Any]:
        fields = {"name": name, "value": value, "effective_from": _first_day(session, first)}
        return {"kind": "setting", **fields}

    send_proposal(context, "rule", make, **common)


@command.command("limit", example="creditledger rule limit leverage.toml --as D18")
@click.argument("file", type=_PATH)
@_FROM
@proposal_options
def limit(context: click.Context, file: Path, first: int | None, **common: Any) -> None:
    """Propose the prudential limit of FILE for a supervisory class of institutions.

    FILE is TOML or JSON with the keys of one of the `limits` that `exposure limits --json` shows:
    take one, change it, and leave what says how far it is used as it is, or out.
    """
    value = {name: item for name, item in _read_table(file).items() if name not in _USE}

    def make(session: Session) -> Mapping[str, Any]:
        return {"kind": "limit", "limit": value, "effective_from": _first_day(session, first)}

    send_proposal(context, "rule", make, **common)


@command.command("end-limit", example="creditledger rule end-limit leasing L12 --as D18")
@click.argument("supervisory_class")
@click.argument("limit_id")
@_FROM
@proposal_options
def end_limit(
    context: click.Context, supervisory_class: str, limit_id: str, first: int | None, **common: Any
) -> None:
    """Propose that a limit of a supervisory class counts no more from a day on."""

    def make(session: Session) -> Mapping[str, Any]:
        named = {"class": supervisory_class, "id": limit_id}
        return {"kind": "end_limit", "effective_from": _first_day(session, first), **named}

    send_proposal(context, "rule", make, **common)


@command.command("approve", example="creditledger rule approve 3 --as D01")
@click.argument("proposal")
@identity_option
@json_option
@click.pass_context
def approve(context: click.Context, proposal: str, identity: str, as_json: bool) -> None:
    """Vote for PROPOSAL, by its number or id; the vote that makes a quorum decides it.

    Look at it first: `rule proposal`.
    """
    with open_session(context, identity) as session:
        body = {"proposal": find_proposal(session, proposal)}
        outcome = session.send("rule.approve", body)
    data = outcome.data if outcome.code == Code.OK else {}
    said = f": {data.get('approvals')} of {data.get('needed')} approvals"
    if data.get("state") == "active":
        said = " is decided: it counts from the day that it names"
    report(outcome, as_json, f"proposal {data.get('number')}{said}")


@command.command("withdraw", example="creditledger rule withdraw 3 --as D18")
@click.argument("proposal")
@identity_option
@json_option
@click.pass_context
def withdraw(context: click.Context, proposal: str, identity: str, as_json: bool) -> None:
    """Take back your own PROPOSAL, by its number or id, while it is open."""
    withdraw_proposal(context, "rule", proposal, identity=identity, as_json=as_json)


@command.command("list", example="creditledger rule list")
@reader_option
@json_option
@click.pass_context
def show_list(context: click.Context, identity: str | None, as_json: bool) -> None:
    """List schemas, scorecards and alerts: from when until when, and whether they count now.

    Below them stand the open proposals to change the rules.
    """
    with open_session(context, identity or any_identity(net_of(context))) as session:
        answer = session.query("rules.status")
        found = session.query("proposals.list", is_open=True)["proposals"]
    proposals = [item for item in found if not item["member"]]
    if as_json:
        show_json({**answer, "proposals": proposals})
        return
    rows = [
        [
            item["kind"],
            item["ref"],
            item["state"] if item["records"] is None else f"counting, {item['records']:,} records",
            "genesis" if item["effective_from"] is None else day(item["effective_from"]),
            "-" if item["last_day"] is None else day(item["last_day"]),
            item["owner"],
        ]
        for item in answer["rules"]
    ]
    show_table("", ["kind", "rule", "state", "from", "until", "proposed by"], rows)
    open_rows = [
        [
            str(item["number"]),
            describe_change(item["change"]),
            f"{len(item['approved'])}/{item['needed']}",
            ", ".join(item["missing"]) or "-",
            moment(item["expires_ms"]),
        ]
        for item in proposals
    ]
    if open_rows:
        say("")
        show_table("proposals", ["no.", "change", "votes", "not by", "until"], open_rows)


@command.command("show", example="creditledger rule show alert EW05/1")
@click.argument("kind", type=click.Choice((*_KINDS, "category")))
@click.argument("ref")
@reader_option
@json_option
@click.pass_context
def show(context: click.Context, kind: str, ref: str, identity: str | None, as_json: bool) -> None:
    """Show the source of a rule as its author wrote it, or a category as the chain has it."""
    if kind == "category":
        show_json(ask(context, identity, "categories.list", category=ref)[0])
        return
    found = ask(context, identity, "rules.show", kind=kind, ref=ref)
    if as_json:
        show_json(found)
        return
    say(found["source"].decode())


@command.command("proposal", example="creditledger rule proposal 3")
@click.argument("proposal")
@reader_option
@json_option
@click.pass_context
def show_proposal(
    context: click.Context, proposal: str, identity: str | None, as_json: bool
) -> None:
    """Show PROPOSAL, by its number or id: what it would change, and who has approved."""
    with open_session(context, identity or any_identity(net_of(context))) as session:
        found = session.query("proposals.show", proposal=find_proposal(session, proposal))
    if as_json:
        show_json(found)
        return
    facts = {
        "state": str(found["state"]),
        "approved by": ", ".join(found["approved"]) or "nobody yet",
        "not by": ", ".join(found["missing"]) or "-",
        "needed": str(found["needed"]),
        "proposed by": f"{found['proposer']} in block {found['height']}",
        "until": moment(found["expires_ms"]),
    }
    if found["note"]:
        facts["note"] = found["note"]
    show_facts(f"proposal {found['number']}: {describe_change(found['change'])}", facts)
    source = found["change"].get("source")
    if source is not None:
        say("\n" + source.decode())
    elif found["change"]["kind"] != "rule":
        show_json({key: item for key, item in found["change"].items() if key != "kind"})


@command.command("rates", example="creditledger rule rates USD")
@click.argument("currency")
@reader_option
@json_option
@click.pass_context
def rates(context: click.Context, currency: str, identity: str | None, as_json: bool) -> None:
    """List the exchange rates of CURRENCY that were set."""
    bounds = {"from_day": -25_567, "to_day": 84_000}
    answer = ask(context, identity, "rates.list", currency=currency, **bounds)
    if as_json:
        show_json(answer)
        return
    rows = [[day(of_day), str(ppm)] for of_day, ppm in answer["rates"]]
    show_table(currency, ["from", "millionths of a fen for a minor unit"], rows)


@command.command("settings", example="creditledger rule settings")
@reader_option
@json_option
@click.pass_context
def settings(context: click.Context, identity: str | None, as_json: bool) -> None:
    """List the settings that are voted on: value, bounds, and what they do."""
    answer = ask(context, identity, "settings.list")
    if as_json:
        show_json(answer)
        return
    rows = [
        [item["name"], str(item["value"]), f"{item['lowest']} to {item['highest']}", item["text"]]
        for item in answer["settings"]
    ]
    show_table("", ["setting", "value", "bounds", "what it is"], rows)


command.add_command(what_if_command("rule", "creditledger rule what-if EW05.toml --home keep/D18"))
