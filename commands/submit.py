"""`creditledger submit`: a department's file of records, signed, sent and certified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from commands.catalogue import Catalogue
from commands.console import progress, show_facts, show_json, warn
from commands.files import read_bytes
from commands.frame import Command, Exit, fail, identity_option, json_option
from commands.intake.batches import (
    MAX_BATCH_RECORDS,
    Batch,
    derive_secret,
    make_attestations,
    make_batches,
)
from commands.intake.mapping import (
    FORMAT,
    AnyMapping,
    FileMapping,
    load_mapping,
    make_mapping,
)
from commands.intake.progress import SUFFIX, Progress
from commands.intake.reader import Attestation, Intake, OnError, read_all
from commands.intake.rows import compute_file_digest
from commands.session import Session, open_session
from commands.submission import Submission, Totals, intake_secret, keep_receipt, require_key
from commands.values import now_ms, parse_day
from ledger.chain.receipt import Receipt
from ledger.errors import Code, LocalError
from ledger.transactions.records import Record

_PATH = click.Path(path_type=Path)
_SHOWN = 20


class _Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """FROM..TO, two dates → (first day, last day)."""

    name = "from..to"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return both days."""
        if isinstance(value, tuple):
            return value[0], value[1]
        first, dots, last = str(value).partition("..")
        try:
            span = parse_day(first), parse_day(last)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not dots or span[0] > span[1]:
            self.fail(f"span {value!r}, want for example 2018-01-01..2020-01-10", param, ctx)
        return span


@click.command(
    "submit",
    cls=Command,
    example="creditledger submit invoices.csv --map invoices.map.toml --as D02 "
    "--complete 2018-01-01..2020-01-10",
)
@click.argument("file", type=_PATH)
@click.option("--map", "map_file", type=_PATH, help="What the columns mean (a TOML file).")
@click.option("--category", help="Without --map: the category; columns are named as its fields.")
@click.option("--schema", default="", help="With --category: its record schema, for example line.")
@click.option(
    "--on-error",
    default=OnError.ABORT.value,
    show_default=True,
    type=click.Choice([item.value for item in OnError]),
    help="What a bad line means: nothing goes in, or the good lines do.",
)
@click.option(
    "--complete",
    type=_Span(),
    help="Attest FROM..TO: nothing about the file's companies is missing for these days.",
)
@click.option("--batch", default=MAX_BATCH_RECORDS, help="Records in a transaction, at most 1000.")
@click.option("--receipts", type=_PATH, help="Folder for the receipt of every transaction.")
@click.option(
    "--ids", type=_PATH, help="Append each acknowledged id, with the time (ms), to this file."
)
@click.option("--progress-file", type=_PATH, help="Where to resume from (default: FILE.progress).")
@identity_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    file: Path,
    map_file: Path | None,
    category: str | None,
    schema: str,
    on_error: str,
    complete: tuple[int, int] | None,
    batch: int,
    receipts: Path | None,
    ids: Path | None,
    progress_file: Path | None,
    identity: str,
    as_json: bool,
) -> None:
    """Submit the records of FILE (CSV, JSON Lines, Parquet) in signed batches.

    Lines are checked before anything is sent. Stopped half-way, the same command goes on where it
    was; nothing goes in twice. Duplicates and conflicts are reported with their lines. Exit code 1
    means that lines were bad or a batch was rejected.
    """
    if not 1 <= batch <= MAX_BATCH_RECORDS:
        raise LocalError(Code.INPUT_USAGE, f"--batch {batch}, want 1 to {MAX_BATCH_RECORDS}")
    with open_session(context, identity) as session:
        mapping, mapping_bytes = _find_mapping(session, file, map_file, category, schema)
        intake = read_all(file, mapping, OnError(on_error))
        steps = Progress.open(
            progress_file or file.with_name(file.name + SUFFIX),
            file_digest=compute_file_digest(file),
            mapping_digest=compute_digest(mapping_bytes),
            chain_id=session.client.profile.chain_id,
            sender=session.client.profile.sender,
        )
        secret = derive_secret(intake_secret(require_key(session.client)))
        batches = _batches(intake, mapping, secret, batch, complete)
        is_skipping = OnError(on_error) is OnError.SKIP
        left_out = secret if is_skipping else None
        totals, seconds = _send(session, intake, steps, batches, left_out, receipts, ids)
    _report(totals, intake, seconds, as_json)
    if totals.rejections or intake.errors:
        fail(Exit.REFUSED)


def compute_digest(data: bytes) -> bytes:
    """Return the SHA-256 of a mapping's bytes."""
    from hashlib import sha256

    return sha256(data).digest()


def _find_mapping(
    session: Session, file: Path, map_file: Path | None, category: str | None, schema: str
) -> tuple[AnyMapping, bytes]:
    """Return the mapping and the bytes that tell it from another."""
    categories = Catalogue(session, is_all=False)
    if map_file is not None:
        return load_mapping(map_file, categories), read_bytes(map_file)
    if category is None:
        raise LocalError(
            Code.INPUT_USAGE, f"what do the columns of {file} mean? give --map or --category"
        )
    document = {"format": FORMAT, "category": category, "company": "company"}
    if schema:
        document["schema"] = schema
    return make_mapping(document, categories), f"{category}/{schema}".encode()


def _batches(
    intake: Intake,
    mapping: AnyMapping,
    secret: bytes,
    size: int,
    complete: tuple[int, int] | None,
) -> Iterator[Batch]:
    """Yield the batches of records, then those of attestations."""
    records = [(n, item) for n, item in intake.lines if isinstance(item, Record)]
    attested = [(n, item) for n, item in intake.lines if isinstance(item, Attestation)]
    if isinstance(mapping, FileMapping):
        yield from make_batches(records, mapping, secret, size)
        if complete is not None:
            attested = [
                (n, Attestation(mapping.category.id, mapping.schema.name, item.company, *complete))
                for n, item in records
            ]
    yield from make_attestations(attested, secret)


def _send(
    session: Session,
    intake: Intake,
    steps: Progress,
    batches: Iterator[Batch],
    secret: bytes | None,
    receipts: Path | None,
    ids: Path | None,
) -> tuple[Totals, float]:
    with progress("submitting", len(intake.lines), "lines") as bar:

        def on_done(batch: Batch, receipt: Receipt) -> None:
            bar.advance(len(batch.lines))
            if receipts is not None:
                keep_receipt(receipts, receipt)
            if ids is not None:
                with ids.open("a") as file:
                    file.write(f"{receipt.transaction_id.hex()} {now_ms()}\n")

        submission = Submission(session.client, require_key(session.client), steps, on_done, secret)
        return submission.run(batches), bar.seconds


def _report(totals: Totals, intake: Intake, seconds: float, as_json: bool) -> None:
    for error in intake.errors:
        warn(f"error E{int(Code.INPUT_LINE)}: {error}")
    for first, last, code, text in totals.rejections:
        where = f"lines {first} to {last} rejected: " if first != last else ""
        warn(f"error E{code}: {where}{text}")
    if as_json:
        show_json(_summary(totals, intake, seconds))
        return
    shown = {
        "transactions": str(totals.transactions),
        "records": f"{totals.accepted:,} accepted, {totals.attested:,} attestations",
        "rate": f"{totals.records / seconds:,.0f} records/s certified, in {seconds:.1f} s",
    }
    if totals.resumed:
        shown["before"] = f"{totals.resumed:,} lines were in already"
    if totals.rejected_records or intake.errors:
        shown["refused"] = f"{totals.rejected_records} records, {len(intake.errors)} bad lines"
    for name, lines in (("duplicates", totals.duplicates), ("conflicts", totals.conflicts)):
        if lines:
            more = ", …" if len(lines) > _SHOWN else ""
            numbers = ", ".join(str(number) for number in lines[:_SHOWN])
            shown[name] = f"{len(lines):,}: lines {numbers}{more}"
    show_facts("", shown)


def _summary(totals: Totals, intake: Intake, seconds: float) -> Mapping[str, Any]:
    return {
        "transactions": totals.transactions,
        "records": totals.records,
        "accepted": totals.accepted,
        "attested": totals.attested,
        "resumed": totals.resumed,
        "duplicates": totals.duplicates,
        "conflicts": totals.conflicts,
        "rejected_records": totals.rejected_records,
        "bad_lines": [error.number for error in intake.errors],
        "seconds_ms": int(seconds * 1000),
        "records_per_s": int(totals.records / seconds),
    }
