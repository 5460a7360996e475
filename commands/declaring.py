"""`creditledger company declare`: a company says what it has, owes and trades.

The command joins the group of `commands.company`, so that importing this module gives all of them.
A record is written as FIELD=VALUE, as the catalogue writes its fields (amounts in CNY, dates as
2020-01-10); what is wrong is named before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_bytes
from typing import Any

import click

from commands.catalogue import Catalogue
from commands.company import command
from commands.frame import identity_option, json_option
from commands.intake.values import CellError, Form, make_converter
from commands.session import open_session, report
from commands.values import COMPANY, DAY
from ledger.credit.categories import compute_field_checks
from ledger.errors import Code, LocalError, Rejected
from ledger.membership.catalogue import Category, RecordSchema
from ledger.transactions.records import (
    DECLARE_KIND,
    SALT_BYTES,
    Record,
    encode_record,
    record_digest,
    records_root,
)


@command.command(
    "declare",
    example="creditledger company declare 91441300MA4DEMO01X S002 as_of=2020-01-31 "
    "liability_type=payable creditor='Lin Steel' outstanding=350,000.00 --as 91441300MA4DEMO01X",
)
@click.argument("company", type=COMPANY)
@click.argument("category")
@click.argument("values", nargs=-1, required=True, metavar="FIELD=VALUE...")
@click.option("--corrects", "digest", help="Digest of the record that this one corrects.")
@click.option("--corrects-day", "day_", type=DAY, help="The day of that record.")
@identity_option
@json_option
@click.pass_context
def declare(
    context: click.Context,
    company: str,
    category: str,
    values: tuple[str, ...],
    digest: str | None,
    day_: int | None,
    identity: str,
    as_json: bool,
) -> None:
    """Declare a record of COMPANY in a self-declared CATEGORY (S001 …), as itself or a counter."""
    with open_session(context, identity) as session:
        found = Catalogue(session, is_all=False).get(category)
        schema = None if found is None else found.latest().get("")
        if found is None or schema is None:
            raise LocalError(Code.INPUT_USAGE, f"{category} is no category to declare records of")
        fields = read_values(schema, values)
        day = fields.get(schema.date_field, session.time_ms() // 86_400_000)
        salt = token_bytes(SALT_BYTES) if found.access.is_salted else None
        record = Record(company, day, fields, None, _reference(digest, day_, day), salt)
        body, attachment = make_declaration(found, schema, record)
        done = session.send(DECLARE_KIND, body, (attachment,))
    report(done, as_json, f"{found.name}: 1 record of {company}, self-declared")


def read_values(schema: RecordSchema, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of "name=value" texts as they are stored; raise `LocalError` (8004)."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        spec = schema.fields.get(name)
        if not equals or spec is None:
            known = ", ".join(schema.fields)
            raise LocalError(Code.INPUT_USAGE, f"{pair}: want FIELD=VALUE, FIELD one of {known}")
        cell = text.replace(",", "") if spec.is_money else text
        try:
            fields[name] = make_converter(spec, Form.CATALOGUE, "|")(cell)
        except (CellError, Rejected) as error:
            raise LocalError(Code.INPUT_USAGE, f"{name}: {error}") from None
    try:
        compute_field_checks(schema).check(fields)
    except Rejected as error:
        raise LocalError(Code.INPUT_USAGE, error.message) from None
    return fields


def make_declaration(
    category: Category, schema: RecordSchema, record: Record
) -> tuple[Mapping[str, Any], bytes]:
    """Return the body of a `records.declare` of one record, and the record as it travels."""
    data = encode_record(record)
    body = {
        "category": category.id,
        "schema": schema.name,
        "version": schema.version,
        "count": 1,
        "root": records_root([record_digest(data)]),
    }
    return body, data


def _reference(digest: str | None, day: int | None, own_day: int) -> tuple[int, bytes] | None:
    if digest is None:
        return None
    try:
        return own_day if day is None else day, bytes.fromhex(digest)
    except ValueError:
        raise LocalError(Code.INPUT_USAGE, f"--corrects {digest}: not a digest") from None
