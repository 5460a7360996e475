"""`creditledger person`: natural persons, their keys, and their agreements to authorisations.

A person signs offline: the terms lie in a file (`commands.consents.drafts`) that `consent grant
--draft` or, for what a bank asked for, `person terms` wrote; `person agree` shows them and adds the
signature; the company sends the file with `consent send`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from commands.consents.drafts import body_of, from_hex, read_draft, write_draft
from commands.console import say, show_facts
from commands.frame import Group, identity_option, json_option
from commands.passwords import old_password
from commands.session import open_session, report, transact, trusted_genesis
from commands.values import day, moment
from ledger.errors import Code, LocalError

_PATH = click.Path(path_type=Path)


@click.group("person", cls=Group)
def command() -> None:
    """Natural persons: keys bound at a counter, agreements to authorisations, withdrawal."""


@command.command(
    "bind",
    example="creditledger person bind 5d0c9a3e11f04b7790aa52c3d4e5f607 24bd241e… --as D01",
)
@click.argument("person")
@click.argument("public_key")
@identity_option
@json_option
@click.pass_context
def bind(
    context: click.Context, person: str, public_key: str, identity: str, as_json: bool
) -> None:
    """Bind PUBLIC_KEY to PERSON, as the counter where the person stood with proof of identity.

    A new key takes the place of an old one. No name stands on the chain: keep who it is yourself.
    """
    body = {"person": person, "public_key": from_hex(public_key)}
    outcome = transact(context, identity, "person.bind", body)
    report(outcome, as_json, f"key {public_key[:16]}… bound to person {person}")


@command.command(
    "terms",
    example="creditledger person terms 5d0c9a3e11f04b7790aa52c3d4e5f607 --out terms.json "
    "--as 91441300MA4DEMO01X",
)
@click.argument("consent")
@click.option("--out", type=_PATH, required=True, help="The file that the persons sign.")
@identity_option
@click.pass_context
def terms(context: click.Context, consent: str, out: Path, identity: str) -> None:
    """Write the terms of CONSENT, which a bank asked for, to a file for its persons to sign."""
    from network.sdk.consents import RequestConsent

    with open_session(context, identity) as session:
        shown = session.query("consent.show", consent=consent)
    names = set(RequestConsent.__dataclass_fields__)
    body = {name: value for name, value in shown.items() if name in names}
    chain = trusted_genesis(context, None).chain_id.hex()
    write_draft(out, {"chain": chain, "consent": consent, "body": body, "agreements": {}})
    say(f"{out}: to be signed by {', '.join(shown['persons']) or 'nobody'}")


@command.command("agree", example="creditledger person agree terms.json --key li.key")
@click.argument("file", type=_PATH)
@click.option("--key", "key_file", type=_PATH, required=True, help="The person's key file.")
@click.option("--person", help="The person's id, where this is not the first key.")
@click.option("--password-file", type=_PATH, help="File with the key's password.")
@click.option("--yes", is_flag=True, help="Do not ask whether the terms are right.")
def agree(
    file: Path, key_file: Path, person: str | None, password_file: Path | None, yes: bool
) -> None:
    """Sign the terms in FILE as a natural person who is named in them; offline."""
    from ledger.credit.persons import name_person, sign_agreement
    from ledger.keys import SigningKey
    from network import certificates
    from network.sdk.consents import read_terms_of

    draft = read_draft(file)
    key = SigningKey(certificates.load_key(key_file, old_password(password_file)))
    person = person or name_person(key.public_key)
    body = body_of(draft)
    terms = read_terms_of(body)
    if person not in body.get("persons", ()):
        raise LocalError(Code.INPUT_USAGE, f"person {person} is not named in {file}")
    _show_terms(body)
    if not yes:
        click.confirm("Do you agree to these terms?", abort=True, err=True)
    signature = sign_agreement(key, from_hex(draft["chain"]), person, terms)
    draft["agreements"][person] = signature.hex()
    write_draft(file, draft)
    say(f"{file}: {len(draft['agreements'])} of {len(body['persons'])} persons have agreed")


def _show_terms(body: Mapping[str, Any]) -> None:
    first = body.get("decision_from_day")
    facts = {
        "company": body["company"],
        "recipient": body["recipient"],
        "categories": ", ".join(body["categories"]),
        "purpose": body["purpose"],
        "of records from": f"{day(body['from_day'])} to {day(body['to_day'])}",
        "decisions read from": day(body["from_day"] if first is None else first),
        "valid": f"{moment(body['starts_ms'])} to {moment(body['expires_ms'])}",
        "may be kept": f"{body.get('data_life_days') or 0} days",
        "may be passed on": "yes" if body.get("is_onward_allowed") else "no",
        "may leave the country": "yes" if body.get("is_cross_border") else "no",
    }
    show_facts("what you agree to", facts)


@command.command(
    "withdraw",
    example="creditledger person withdraw 5d0c9a3e11f04b7790aa52c3d4e5f607 --key li.key --as D01",
)
@click.argument("consent")
@click.option("--key", "key_file", type=_PATH, required=True, help="The person's key file.")
@click.option("--person", help="The person's id, where this is not the first key.")
@click.option("--password-file", type=_PATH, help="File with the key's password.")
@identity_option
@json_option
@click.pass_context
def withdraw(
    context: click.Context,
    consent: str,
    key_file: Path,
    person: str | None,
    password_file: Path | None,
    identity: str,
    as_json: bool,
) -> None:
    """End CONSENT as a natural person who agreed to it; whoever --as is hands it in."""
    from ledger.credit.persons import name_person, sign_withdrawal
    from ledger.keys import SigningKey
    from network import certificates

    key = SigningKey(certificates.load_key(key_file, old_password(password_file)))
    person = person or name_person(key.public_key)
    chain_id = trusted_genesis(context, None).chain_id
    signature = sign_withdrawal(key, chain_id, person, from_hex(consent))
    body = {"consent": consent, "person": person, "signature": signature}
    outcome = transact(context, identity, "person.withdraw", body)
    report(outcome, as_json, f"person {person} has withdrawn from consent {consent}")
