"""`creditledger company`: what the ledger knows of a company, as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from commands.answers import show_answer, show_rows
from commands.catalogue import Catalogue
from commands.console import say, show_facts, show_json
from commands.frame import Group, identity_option, json_option
from commands.loans.decisions import fact_text, get_units
from commands.record_texts import describe_record, find_fields
from commands.session import Session, net_of, open_session, report, transact
from commands.values import COMPANY, ValueType, day, parse_day
from ledger.errors import Code, LocalError, RemoteError

PAGE_MAX = 500  # records in one answer of a node

_PURPOSE = click.option(
    "--purpose",
    type=click.Choice(("lending", "monitoring", "guarantee")),
    default="lending",
    show_default=True,
    help="What the look is for, where the company's authorisation is needed.",
)
_LOOK = click.option(
    "--look", "categories", multiple=True, help="Log a look at this category first; repeatable."
)


def _parse_record(text: str) -> tuple[int, bytes]:
    day_text, _, digest_text = text.partition(":")
    digest = bytes.fromhex(digest_text)
    if len(digest) != 32:
        raise ValueError(f"{text!r} is no DAY:DIGEST, with a digest of 64 hexadecimal digits")
    # JSON shows a day as the number it is on the chain, a table shows its date: both are meant.
    return int(day_text) if day_text.isdecimal() else parse_day(day_text), digest


_RECORD = ValueType("record", _parse_record)


@click.group("company", cls=Group)
def command() -> None:
    """Companies: their records under authorisation, their features, their keys."""


@command.command("show", example="creditledger company show 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@_LOOK
@_PURPOSE
@identity_option
@json_option
@click.pass_context
def show(
    context: click.Context,
    company: str,
    categories: tuple[str, ...],
    purpose: str,
    identity: str,
    as_json: bool,
) -> None:
    """Show how much is recorded about COMPANY, by category, and until when.

    What needs its authorisation is shown for the categories that --look names.
    """
    with open_session(context, identity) as session:
        params = _looked(session, company, categories, purpose)
        answer = session.query("company.show", company=company, **params)
    if as_json:
        show_json(answer)
    else:
        show_answer(f"company {company}", answer)


@command.command("profile", example="creditledger company profile 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@click.option("--all", "is_all", is_flag=True, help="Also categories of which nothing is known.")
@_LOOK
@_PURPOSE
@identity_option
@json_option
@click.pass_context
def profile(
    context: click.Context,
    company: str,
    is_all: bool,
    categories: tuple[str, ...],
    purpose: str,
    identity: str,
    as_json: bool,
) -> None:
    """Show everything known of COMPANY that the caller may see, by dimension.

    Freshness is told by each category's cadence; complete is the share of the last year for which
    the source attests that nothing is missing.
    """
    with open_session(context, identity) as session:
        params = _looked(session, company, categories, purpose)
        answer = session.query("company.profile", company=company, **params)
    if as_json:
        show_json(answer)
        return
    told = ("record_count", "last_day", "freshness", "complete_bp")
    columns = ("schema", "name", "is_self_declared", *told)
    for dimension, lines in answer["dimensions"].items():
        shown = [line for line in lines if is_all or line["freshness"] != "none"]
        if shown:
            show_rows(dimension, shown, columns)
    say(f"log of {answer['log_size']} records, root {answer['log_root'].hex()[:16]}…")
    if answer["withheld"]:
        say(f"withheld without an authorisation: {', '.join(answer['withheld'])}")


def _looked(
    session: Session, company: str, categories: tuple[str, ...], purpose: str
) -> dict[str, str]:
    """Return what a query says of a look at `categories`, logged now; nothing without any."""
    return {"access": session.look(company, categories, purpose)} if categories else {}


@command.command("records", example="creditledger company records 91441300MA4DEMO01X C047 --as D02")
@click.argument("company", type=COMPANY)
@click.argument("category")
@click.option("--schema", default="", help="Record schema of the category, for example line.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Records to show at most.",
)
@_PURPOSE
@identity_option
@json_option
@click.pass_context
def records(
    context: click.Context,
    company: str,
    category: str,
    schema: str,
    limit: int,
    purpose: str,
    identity: str,
    as_json: bool,
) -> None:
    """Show COMPANY's records of CATEGORY; what needs its authorisation is refused without it.

    A look under an authorisation is logged on the chain before anything is shown, and so is one
    that is refused.
    """
    params: dict[str, Any] = {"company": company, "category": category}
    if schema:
        params["schema"] = schema
    with open_session(context, identity) as session:
        try:
            answer = _read_pages(session, params, limit)
        except RemoteError as refusal:
            if refusal.code not in (Code.ACCESS_NOT_LOGGED, Code.CONSENT_MISSING):
                raise
            params["access"] = session.look(company, (category,), purpose)
            answer = _read_pages(session, params, limit)
        if as_json:
            show_json(answer)
            return
        specs = find_fields(Catalogue(session, is_all=True), category, schema)
    rows = [
        {"number": item["number"], "day": item["day"], "standing": _standing(item)}
        | describe_record(item["fields"] or {}, specs)
        for item in answer["records"]
    ]
    declared = ", self-declared" if answer["is_self_declared"] else ""
    show_rows(f"{category} of {company} ({answer['basis']}{declared})", rows)
    if answer["cursor"] is not None:
        say(f"the first {len(rows)} are shown: --limit shows more")


def _read_pages(session: Session, params: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Return the answer with the first `limit` records, all pages of it by one look."""
    found: list[Any] = []
    cursor: dict[str, int] = {}
    while True:
        count = min(limit - len(found), PAGE_MAX)
        page = session.query("company.records", **params, **cursor, limit=count)
        found += page["records"]
        if page["cursor"] is None or len(found) >= limit:
            return {**page, "records": found}
        cursor = {"cursor": page["cursor"]}


def _standing(item: Mapping[str, Any]) -> str:
    """Return how a record stands, what the company objects, and why fields are not there."""
    absent = {Code.NOT_HELD: ", not held here", Code.RECORD_OVER: ", no longer shown"}
    standing = str(item["status"]) + absent.get(Code(item["code"]), "")
    if item["objection"] is None:
        return standing
    _, state, text = item["objection"]
    if state in ("OPEN", "COMPLAINED"):
        standing += ", disputed by the company"
    return standing + (f", the company says: {text}" if text else "")


@command.command("features", example="creditledger company features 91441300MA4DEMO01X --as D18")
@click.argument("company", type=COMPANY)
@click.option("--schema", default="company/1", show_default=True, help="The feature schema.")
@_LOOK
@_PURPOSE
@identity_option
@json_option
@click.pass_context
def features(
    context: click.Context,
    company: str,
    schema: str,
    categories: tuple[str, ...],
    purpose: str,
    identity: str,
    as_json: bool,
) -> None:
    """Show what rules know of COMPANY: every feature that its records give today."""
    with open_session(context, identity) as session:
        params = _looked(session, company, categories, purpose)
        answer = session.query("company.features", company=company, schema=schema, **params)
        if as_json:
            show_json(answer)
            return
        units = get_units(session, schema)
    facts = {name: fact_text(units.get(name, ""), v) for name, v in answer["facts"].items()}
    show_facts(f"features of {company} on {day(answer['as_of'])}", facts)
    for name in ("missing", "withheld", "self_declared"):
        if answer[name]:
            say(f"{name.replace('_', '-')}: {', '.join(answer[name])}")


@command.command(
    "who-looked",
    example="creditledger company who-looked 91441300MA4DEMO01X --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.option("--from-height", default=0, show_default=True, help="Begin at this block.")
@identity_option
@json_option
@click.pass_context
def who_looked(
    context: click.Context, company: str, from_height: int, identity: str, as_json: bool
) -> None:
    """Show who looked at COMPANY's authorised data, when, why, and on which authorisation.

    Refused looks and decisions by rule are listed too. A reader sees its own; the company and
    regulators see all.
    """
    with open_session(context, identity) as session:
        looks: list[Any] = []
        height: int | None = from_height
        while height is not None:
            answer = session.query("access.list", company=company, from_height=height)
            looks += answer["accesses"]
            height = answer["next_height"]
    if as_json:
        show_json({"company": company, "accesses": looks})
        return
    columns = ["time_ms", "reader", "outcome", "code", "categories", "purpose", "consents"]
    if any(look["via"] for look in looks):
        columns.insert(2, "via")
    if any(look["deletion"] for look in looks):
        columns += ["keep_until_day", "deletion", "access"]
    show_rows(f"looks at {company}", looks, columns)


@command.command(
    "erase",
    example="creditledger company erase 91441300MA4DEMO01X C044 --schema line "
    "--record 2019-12-20:9b1f… --ground order --reference 'court order 7 of 2020' --as D02",
)
@click.argument("company", type=COMPANY)
@click.argument("category")
@click.option("--schema", default="", help="Record schema of the category, for example line.")
@click.option(
    "--record",
    "named",
    multiple=True,
    required=True,
    type=_RECORD,
    help="DAY:DIGEST as `company records --json` shows them; may be given more than once.",
)
@click.option(
    "--ground",
    required=True,
    type=click.Choice(("retention", "order", "withdrawal")),
    help="Time that is over, an order, or a wish.",
)
@click.option("--reference", required=True, help="The order, rule or wish it follows.")
@identity_option
@json_option
@click.pass_context
def erase(
    context: click.Context,
    company: str,
    category: str,
    schema: str,
    named: tuple[tuple[int, bytes], ...],
    ground: str,
    reference: str,
    identity: str,
    as_json: bool,
) -> None:
    """Order that records of COMPANY are shown to nobody and count in nothing from now on.

    By the category's owner, a regulator, or the company of what it declared itself. Their digests
    stay, and everything that was proved still verifies.
    """
    body: dict[str, Any] = {
        "company": company,
        "category": category,
        "records": named,
        "ground": ground,
        "reference": reference,
    }
    if schema:
        body["schema"] = schema
    outcome = transact(context, identity, "records.erase", body)
    report(outcome, as_json, f"{len(named)} records of {category} of {company} erased")


@command.command(
    "bind", example="creditledger company bind 91441300MA4DEMO01X --name 'Demo Ltd' --as D01"
)
@click.argument("company", type=COMPANY)
@click.option("--name", required=True, help="The company's registered name.")
@click.option("--key", help="Its public key, 64 hex digits (default: of its profile here).")
@identity_option
@json_option
@click.pass_context
def bind(
    context: click.Context, company: str, name: str, key: str | None, identity: str, as_json: bool
) -> None:
    """Bind a public key to COMPANY's code, as the registrar: it signs for itself from then on."""
    from commands.profiles import public_key_of

    public_key = _parse_key(key) if key else public_key_of(net_of(context), company)
    body = {"company": company, "public_key": public_key, "name": name}
    outcome = transact(context, identity, "company.bind", body)
    report(outcome, as_json, f"key {public_key.hex()[:16]}… bound to {company}")


@command.command(
    "accept-code",
    example="creditledger company accept-code 91440300192185379X --reason 'certificate of 2015' "
    "--as D01",
)
@click.argument("company", type=COMPANY)
@click.option("--reason", required=True, help="What shows that the code is right, in a few words.")
@identity_option
@json_option
@click.pass_context
def accept_code(
    context: click.Context, company: str, reason: str, identity: str, as_json: bool
) -> None:
    """Attest, as the registrar, COMPANY's code of the first years whose check fails."""
    body = {"company": company, "reason": reason}
    outcome = transact(context, identity, "company.accept_code", body)
    report(outcome, as_json, f"code {company} is accepted as it is")


def _parse_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise LocalError(Code.INPUT_USAGE, f"key {text!r}, want 64 hexadecimal digits")
    return key
