"""`creditledger consent`: a company authorises a bank to see its records, and takes it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from commands.console import show_json, show_table
from commands.frame import F, Group, identity_option, json_option
from commands.session import open_session, report, transact
from commands.values import COMPANY, DAY, day, moment
from ledger.credit.consent import CAPS

_MS_A_DAY = 86_400_000


@click.group("consent", cls=Group)
def command() -> None:
    """Authorisations: granted by the company's own key, or by a counter for it."""


def _terms(function: F) -> F:
    """Add what an authorisation says."""
    options = (
        click.option("--categories", required=True, help="Categories, separated by commas."),
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
        click.option("--to", "to_day", type=DAY, help="Last day of the data (default: today)."),
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
            help="Who is named in the records and agrees; repeatable.",
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
    categories: str,
    purpose: str,
    from_day: int | None,
    to_day: int | None,
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
    last = to_day if to_day is not None else now_ms // _MS_A_DAY
    first = last - CAPS[purpose].range_days_max + 1
    starts_ms = now_ms if start is None else max(now_ms, start * _MS_A_DAY)
    body: dict[str, Any] = {
        "company": company,
        "recipient": recipient,
        "categories": _split(categories),
        "purpose": purpose,
        "mode": "store" if store_days else "view",
        "from_day": first if from_day is None else from_day,
        "to_day": last,
        "starts_ms": starts_ms,
        "expires_ms": starts_ms + days * _MS_A_DAY,
        "fetch": fetch,
    }
    given = {
        "data_life_days": store_days,
        "looks_a_month": looks,
        "persons": sorted(set(persons)),
        "is_onward_allowed": onward,
        "is_cross_border": cross_border,
    }
    return body | {name: value for name, value in given.items() if value}


@command.command(
    "grant",
    example="creditledger consent grant 91441300MA4DEMO01X icbc-gd "
    "--categories C035,C044 --purpose lending --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.argument("recipient")
@_terms
def grant(context: click.Context, identity: str, as_json: bool, **terms: Any) -> None:
    """Let RECIPIENT see categories of COMPANY's records for a purpose and a time.

    Categories that name natural persons want their consent too: --person for each who gave it.
    """
    with open_session(context, identity) as session:
        body = _body(session.time_ms(), **terms)
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
def request(context: click.Context, identity: str, as_json: bool, **terms: Any) -> None:
    """Ask COMPANY, as a bank, to see categories of its records; it accepts or rejects."""
    with open_session(context, identity) as session:
        body = _body(session.time_ms(), recipient=identity, **terms)
        outcome = session.send("consent.request", body)
    made = outcome.data.get("consent", "") if isinstance(outcome.data, dict) else ""
    answer = f"creditledger consent accept {made} --as {body['company']}"
    report(outcome, as_json, f"consent {made} is asked for; the company answers: {answer}")


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
            item["purpose"],
            ", ".join(item["categories"]),
            f"{day(item['from_day'])} to {day(item['to_day'])}",
            moment(item["expires_ms"]),
        ]
        for item in answer["consents"]
    ]
    headers = ["consent", "recipient", "state", "purpose", "categories", "data", "expires"]
    show_table(f"authorisations of {company}", headers, rows)
