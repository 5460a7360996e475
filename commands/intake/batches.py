"""Records packed into transactions that come out the same when the same file is read again.

A batch holds up to 1,000 records and 512 KiB of one record schema, in the order of the file. A
category that needs authorisation has its records salted: the salt of a record is a MAC of its
content under a secret of the member, so nobody else can guess it, and reading the file again gives
the same bytes. The nonce of the transaction is such a MAC too: with the same expiry (which
`progress` remembers) a repeated batch is the same transaction, and the ledger answers it with its
first result.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from commands.intake.mapping import FileMapping
from commands.intake.reader import Attestation
from ledger.encoding import encode
from ledger.transactions.envelope import MAX_ATTACHMENTS, NONCE_BYTES
from ledger.transactions.records import (
    SALT_BYTES,
    SUBMIT_KIND,
    Record,
    encode_record,
    record_digest,
    records_root,
)

ATTEST_KIND = "records.attest"
MAX_BATCH_RECORDS = MAX_ATTACHMENTS
MAX_BATCH_BYTES = 512 * 1024
MAX_BATCH_COMPANIES = 1000
_SECRET_TAG = b"creditledger/intake-secret/1"
_SALT_TAG = b"creditledger/intake-salt/1"
_NONCE_TAG = b"creditledger/intake-nonce/1"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction will carry; `lines` are the numbers of the records in the file."""

    kind: str
    body: Mapping[str, Any]
    attachments: tuple[bytes, ...]
    nonce: bytes
    lines: tuple[int, ...]


def derive_secret(seed: bytes) -> bytes:
    """Return the secret of salts and nonces from the seed of the member's key."""
    return hmac.digest(seed, _SECRET_TAG, "sha256")


def salted(record: Record, secret: bytes) -> Record:
    """Return the record with the salt that this content has under this secret."""
    mac = hmac.digest(secret, _SALT_TAG + encode_record(record), "sha256")
    return replace(record, salt=mac[:SALT_BYTES])


def make_batches(
    records: Iterable[tuple[int, Record]],
    mapping: FileMapping,
    secret: bytes,
    max_records: int = MAX_BATCH_RECORDS,
) -> Iterator[Batch]:
    """Yield the batches of (line number, record) in their order."""
    is_salted = mapping.category.access.is_salted
    attachments: list[bytes] = []
    numbers: list[int] = []
    size = 0
    for number, record in records:
        data = encode_record(salted(record, secret) if is_salted else record)
        if attachments and (len(attachments) == max_records or size + len(data) > MAX_BATCH_BYTES):
            yield _batch(mapping, secret, attachments, numbers)
            attachments, numbers, size = [], [], 0
        attachments.append(data)
        numbers.append(number)
        size += len(data)
    if attachments:
        yield _batch(mapping, secret, attachments, numbers)


def _batch(
    mapping: FileMapping, secret: bytes, attachments: list[bytes], numbers: list[int]
) -> Batch:
    body = {
        "category": mapping.category.id,
        "schema": mapping.schema.name,
        "version": mapping.schema.version,
        "count": len(attachments),
        "root": records_root([record_digest(data) for data in attachments]),
    }
    nonce = _nonce(secret, SUBMIT_KIND, body, numbers)
    return Batch(SUBMIT_KIND, body, tuple(attachments), nonce, tuple(numbers))


def leave_out(batch: Batch, index: int, secret: bytes) -> Batch:
    """Return the batch of records without one of them."""
    attachments = (*batch.attachments[:index], *batch.attachments[index + 1 :])
    numbers = (*batch.lines[:index], *batch.lines[index + 1 :])
    root = records_root([record_digest(data) for data in attachments])
    body = {**batch.body, "count": len(attachments), "root": root}
    return Batch(batch.kind, body, attachments, _nonce(secret, batch.kind, body, numbers), numbers)


def _nonce(secret: bytes, kind: str, body: Mapping[str, Any], numbers: Iterable[int]) -> bytes:
    """Return the nonce: of the content, and of the lines, so that equal batches stay apart."""
    content = encode((kind, body, tuple(numbers)))
    return hmac.digest(secret, _NONCE_TAG + content, "sha256")[:NONCE_BYTES]


def make_attestations(
    attestations: Iterable[tuple[int, Attestation]], secret: bytes
) -> Iterator[Batch]:
    """Yield the transactions of attestations: one for each category and span of days."""
    groups: dict[tuple[str, str, int, int], dict[str, int]] = {}
    for number, item in attestations:
        key = (item.category, item.schema, item.from_day, item.to_day)
        groups.setdefault(key, {}).setdefault(item.company, number)
    for (category, schema, from_day, to_day), companies in groups.items():
        ordered = sorted(companies)
        for start in range(0, len(ordered), MAX_BATCH_COMPANIES):
            chosen = ordered[start : start + MAX_BATCH_COMPANIES]
            body = {
                "category": category,
                "schema": schema,
                "companies": tuple(chosen),
                "from_day": from_day,
                "to_day": to_day,
            }
            numbers = tuple(companies[company] for company in chosen)
            yield Batch(ATTEST_KIND, body, (), _nonce(secret, ATTEST_KIND, body, numbers), numbers)
