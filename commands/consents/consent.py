"""`creditledger consent`: a company authorises a bank to see its records, and takes it back.

Granting makes a body of the chain's time and the options; what a product reads, `--product` asks
of the ledger (`consent.needed`), so that nobody has to count days. The rest are single acts and
questions: what a consent lets its recipient do, whom a look is passed on to, what was deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from commands.answers import show_rows
from commands.consents.drafts import agreements_of, body_of, read_draft, write_draft
from commands.console import say, show_facts, show_json, show_table
from commands.frame import F, Group, identity_option, json_option
from commands.session import (
    Session,
    ask,
    check_outcome,
    describe_terms,
    open_session,
    place_of,
    report,
    transact,
    trusted_genesis,
)
from commands.values import COMPANY, DAY, day, moment
from ledger.credit.consent import CAPS, DECIDING
from ledger.errors import Code, LocalError, Rejected

_MS_A_DAY = 86_400_000


@click.group("consent", cls=Group)
def command() -> None:
    """Authorisations: granted by the company's own key, or by a counter for it."""


def _terms(function: F) -> F:
    """Add what an authorisation says."""
    options = (
        click.option("--categories", help="Categories, separated by commas."),
        click.option(
            "--product",
            help="Name the categories and days that an application for PRODUCT is decided on.",
        ),
        click.option(
            "--purpose",
            default="lending",
            show_default=True,
            type=click.Choice(list(CAPS)),
            help="What the records may be used for; it caps range, duration and looks.",
        ),
        click.option(
            "--from", "from_day", type=DAY, help="First day of the data (default: the earliest)."
        ),
        click.option(
            "--to",
            "to_day",
            type=DAY,
            help="Last day of the data (default: the last on which it is valid).",
        ),
        click.option(
            "--decisions-from",
            "decision_from_day",
            type=DAY,
            help="First day that a decision by rule may read (default: as --from).",
        ),
        click.option("--start", type=DAY, help="Day from which it is valid (default: now)."),
        click.option("--days", default=30, show_default=True, help="Days for which it is valid."),
        click.option(
            "--fetch", default="once", show_default=True, type=click.Choice(["once", "periodic"])
        ),
        click.option("--looks", type=click.IntRange(1, 31), help="Looks a month (default: 1)."),
        click.option("--store-days", default=0, help="Days it may keep the data (0: view)."),
        click.option(
            "--person",
            "persons",
            multiple=True,
            help="The id of who is named in the records and has to sign; repeatable.",
        ),
        click.option("--onward", is_flag=True, help="The data may be passed on."),
        click.option("--cross-border", is_flag=True, help="The data may leave the country."),
        identity_option,
        json_option,
        click.pass_context,
    )
    for option in reversed(options):
        function = option(function)
    return function


def _body(
    now_ms: int,
    *,
    company: str,
    recipient: str,
    categories: tuple[str, ...],
    purpose: str,
    from_day: int | None,
    to_day: int | None,
    decision_from_day: int | None,
    start: int | None,
    days: int,
    fetch: str,
    looks: int | None,
    store_days: int,
    persons: tuple[str, ...],
    onward: bool,
    cross_border: bool,
) -> dict[str, Any]:
    """Return the body of an authorisation, as of a moment of the chain's time."""
    starts_ms = now_ms if start is None else max(now_ms, start * _MS_A_DAY)
    expires_ms = starts_ms + days * _MS_A_DAY
    last = to_day if to_day is not None else expires_ms // _MS_A_DAY
    first = last - CAPS[purpose].range_days_max + 1 if from_day is None else from_day
    body: dict[str, Any] = {
        "company": company,
        "recipient": recipient,
        "categories": categories,
        "purpose": purpose,
        "mode": "store" if store_days else "view",
        "from_day": first,
        "to_day": last,
        "starts_ms": starts_ms,
        "expires_ms": expires_ms,
        "fetch": fetch,
    }
    given = {
        "data_life_days": store_days,
        "looks_a_month": looks,
        "persons": sorted(set(persons)),
        "is_onward_allowed": onward,
        "is_cross_border": cross_border,
    }
    if decision_from_day is not None:
        body["decision_from_day"] = min(first, decision_from_day)
    return body | {name: value for name, value in given.items() if value}


def _find_terms(session: Session, company: str, terms: dict[str, Any]) -> dict[str, Any]:
    """Return the terms with what `--product` says of categories and days."""
    ref, named = terms.pop("product"), terms.pop("categories")
    categories = set(_split(named or ""))
    if ref is not None:
        needed = session.query("consent.needed", company=company, product=ref)["categories"]
        first_days = [item["first_day"] for item in needed if item["first_day"] is not None]
        categories |= {item["category"] for item in needed}
        if terms["decision_from_day"] is None and terms["purpose"] == DECIDING:
            terms["decision_from_day"] = min(first_days, default=None)
        if not categories:
            raise LocalError(Code.INPUT_USAGE, f"{ref} reads nothing that takes an authorisation")
    if not categories:
        raise LocalError(Code.INPUT_USAGE, "name what may be seen: --categories or --product")
    return terms | {"company": company, "categories": tuple(sorted(categories))}


@command.command(
    "grant",
    example="creditledger consent grant 91441300MA4DEMO01X icbc-gd "
    "--categories C035,C044 --purpose lending --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.argument("recipient")
@_terms
@click.option(
    "--draft",
    type=click.Path(path_type=Path),
    help="Write the terms to this file, to be signed and sent later.",
)
def grant(
    context: click.Context,
    company: str,
    identity: str,
    as_json: bool,
    draft: Path | None,
    **terms: Any,
) -> None:
    """Let RECIPIENT see categories of COMPANY's records for a purpose and a time.

    With --product it opens what an application for that product is decided on: its categories, and
    to decisions as many days as it reads; looks stay within what the purpose allows. Categories
    that name natural persons want their agreement: --person for each, --draft for the file that
    they sign (`person agree`), then `consent send`.
    """
    with open_session(context, identity) as session:
        terms = _find_terms(session, company, terms)
        body = _body(session.time_ms(), **terms)
        if draft is not None:
            chain = trusted_genesis(context, None).chain_id.hex()
            write_draft(draft, {"chain": chain, "body": body, "agreements": {}})
            say(f"{draft}: not sent; to be signed by {', '.join(terms['persons']) or 'nobody'}")
            return
        outcome = session.send("consent.grant", body)
    made = outcome.data.get("consent", "") if isinstance(outcome.data, dict) else ""
    seen = ", ".join(body["categories"])
    report(outcome, as_json, f"consent {made}: {body['recipient']} may see {seen}")


@command.command(
    "request",
    example="creditledger consent request 91441300MA4DEMO01X --categories C035,C044 --as icbc-gd",
)
@click.argument("company", type=COMPANY)
@_terms
def request(
    context: click.Context, company: str, identity: str, as_json: bool, **terms: Any
) -> None:
    """Ask COMPANY, as a bank, to see categories of its records; it accepts or rejects."""
    with open_session(context, identity) as session:
        terms = _find_terms(session, company, terms)
        body = _body(session.time_ms(), recipient=identity, **terms)
        outcome = session.send("consent.request", body)
    made = outcome.data.get("consent", "") if isinstance(outcome.data, dict) else ""
    answer = f"creditledger consent accept {made} --as {body['company']}"
    report(outcome, as_json, f"consent {made} is asked for; the company answers: {answer}")


@command.command("send", example="creditledger consent send terms.json --as 91441300MA4DEMO01X")
@click.argument("file", type=click.Path(path_type=Path))
@identity_option
@json_option
@click.pass_context
def send(context: click.Context, file: Path, identity: str, as_json: bool) -> None:
    """Grant, or accept, what the natural persons named in FILE have signed."""
    draft = read_draft(file)
    agreements = agreements_of(draft)
    if "consent" in draft:
        kind, body = "consent.accept", {"consent": draft["consent"]}
    else:
        kind, body = "consent.grant", body_of(draft)
    if agreements:
        body["agreements"] = agreements
    outcome = transact(context, identity, kind, body)
    made = outcome.data.get("consent", "") if isinstance(outcome.data, dict) else ""
    report(outcome, as_json, f"consent {made}, with {len(agreements)} agreements of persons")


def _split(text: str) -> list[str]:
    return sorted({part.strip() for part in text.split(",") if part.strip()})


def _step(name: str, sentence: str) -> Callable[..., None]:
    @command.command(
        name,
        help=sentence,
        example=f"creditledger consent {name} 5d0c9a3e11f04b7790aa52c3d4e5f607 --as D01",
    )
    @click.argument("consent")
    @identity_option
    @json_option
    @click.pass_context
    def step(context: click.Context, consent: str, identity: str, as_json: bool) -> None:
        outcome = transact(context, identity, f"consent.{name}", {"consent": consent})
        state = outcome.data.get("state", "") if isinstance(outcome.data, dict) else ""
        report(outcome, as_json, f"consent {consent} is {state}")

    return step


accept = _step("accept", "Accept a CONSENT that a bank asked for.")
reject = _step("reject", "Reject a CONSENT that a bank asked for.")
pause = _step("pause", "Pause a CONSENT: it is no basis until it is resumed.")
resume = _step("resume", "Resume a paused CONSENT.")
revoke = _step("revoke", "Revoke a CONSENT for good.")


@command.command("list", example="creditledger consent list 91441300MA4DEMO01X --as D01")
@click.argument("company", type=COMPANY)
@identity_option
@json_option
@click.pass_context
def show_list(context: click.Context, company: str, identity: str, as_json: bool) -> None:
    """List the authorisations of COMPANY that the caller may see."""
    with open_session(context, identity) as session:
        answer = session.query("consent.list", company=company)
    if as_json:
        show_json(answer)
        return
    rows = [
        [
            item["consent"],
            item["recipient"],
            item["state"],
            _describe_left(item),
            item["purpose"],
            ", ".join(item["categories"]),
            f"{day(item['from_day'])} to {day(item['to_day'])}",
            moment(item["expires_ms"]),
        ]
        for item in answer["consents"]
    ]
    headers = ["consent", "recipient", "state", "looks", "purpose", "categories", "data", "expires"]
    show_table(f"authorisations of {company}", headers, rows)


def _describe_left(item: dict[str, Any]) -> str:
    """Return how many looks are left, and when the next one is allowed if not now."""
    left = f"{item['looks_taken']} taken, {item['looks_left']} left"
    next_ms = item["next_look_ms"]
    if item["looks_left"] or next_ms is None:
        return left
    return f"{left} until {day(next_ms // _MS_A_DAY)}"


@command.command(
    "show", example="creditledger consent show 5d0c9a3e11f04b7790aa52c3d4e5f607 --as D01"
)
@click.argument("consent")
@identity_option
@json_option
@click.pass_context
def show(context: click.Context, consent: str, identity: str, as_json: bool) -> None:
    """Show CONSENT: its terms, what is left of it, what is enforced and what is a promise."""
    answer = ask(context, identity, "consent.show", consent=consent)
    if as_json:
        show_json(answer)
        return
    facts = {
        "company": answer["company"],
        "recipient": answer["recipient"],
        "state": answer["state"],
        "purpose": answer["purpose"],
        "categories": ", ".join(answer["categories"]),
        "looks": _describe_left(answer),
        "of records from": f"{day(answer['from_day'])} to {day(answer['to_day'])}",
        "decisions read from": day(answer["decision_from_day"]),
        "decides today": "yes" if answer["may_decide"] else "no",
        "valid": f"{moment(answer['starts_ms'])} to {moment(answer['expires_ms'])}",
        "persons": ", ".join(answer["persons"]) or "none",
    }
    show_facts(f"consent {consent}", facts)
    for title, name in (
        ("the ledger sees to it:", "enforced"),
        ("it rests on a promise:", "promised"),
    ):
        say(title)
        for sentence in answer[name]:
            say(f"  - {sentence}")


@command.command(
    "needed", example="creditledger consent needed 91441300MA4DEMO01X GD-SCF-0042 --as D01"
)
@click.argument("company", type=COMPANY)
@click.argument("product")
@identity_option
@json_option
@click.pass_context
def needed(
    context: click.Context, company: str, product: str, identity: str, as_json: bool
) -> None:
    """Show which days of which categories COMPANY's consents must open to apply for PRODUCT."""
    answer = ask(context, identity, "consent.needed", company=company, product=product)
    if as_json:
        show_json(answer)
        return
    columns = ("category", "first_day", "last_day")
    show_rows(f"{answer['product']} of {answer['lender']} reads", answer["categories"], columns)
    if answer["code"]:
        say(f"not authorised: {answer['text']}")
    else:
        say(f"authorised: {', '.join(answer['consents']) or 'it takes none'}")


@command.command("deleted", example="creditledger consent deleted 5d0c… --as icbc-gd")
@click.argument("access")
@identity_option
@json_option
@click.pass_context
def deleted(context: click.Context, access: str, identity: str, as_json: bool) -> None:
    """Tell, as the reader, that what was kept of the look ACCESS is deleted."""
    outcome = transact(context, identity, "access.deleted", {"access": access})
    late = outcome.data.get("days_late", 0) if isinstance(outcome.data, dict) else 0
    report(outcome, as_json, f"deletion told{f', {late} days late' if late else ''}")


@command.command("share", example="creditledger consent share 5d0c… yue-guarantee --as icbc-gd")
@click.argument("access")
@click.argument("recipient")
@identity_option
@json_option
@click.pass_context
def share(
    context: click.Context, access: str, recipient: str, identity: str, as_json: bool
) -> None:
    """Let RECIPIENT, another institution, see what the look ACCESS shows, where that is allowed."""
    outcome = transact(
        context, identity, "access.share", {"access": access, "recipient": recipient}
    )
    if as_json:
        show_json(outcome.to_value())
    check_outcome(outcome)
    if outcome.data["code"] != Code.OK:
        raise Rejected(Code(outcome.data["code"]), outcome.data["text"])
    if not as_json:
        say(f"{recipient} may see it for a quarter of an hour by access {outcome.data['access']}")
        for terms in outcome.data["terms"]:
            say(f"  {describe_terms(terms)}")
        say(place_of(outcome))


@command.command("overdue", example="creditledger consent overdue --as D18")
@click.option("--company", type=COMPANY, help="Of this company's data alone.")
@identity_option
@json_option
@click.pass_context
def overdue(context: click.Context, company: str | None, identity: str, as_json: bool) -> None:
    """List who kept data longer than it may: all for regulators, else what concerns the caller."""
    named = {} if company is None else {"company": company}
    answer = ask(context, identity, "access.overdue", **named)
    if as_json:
        show_json(answer)
        return
    columns = ("reader", "company", "due_day", "categories", "access")
    show_rows("deletions that are late", answer["overdue"], columns)
