"""What the benchmark submits: signed invoice lines of made-up companies, made beforehand.

A transaction carries either one record or a thousand of twenty companies; each record is an invoice
line (C044/line: authorised, so salted and digested field by field; it feeds windows and alerts).
Signing costs the generator what a department's own machine would pay, so it is done beforehand and
kept out of the measured time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.credit.uscc import make_uscc
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction
from ledger.transactions.records import Record, encode_record, record_digest, records_root

CATEGORY, SCHEMA, VERSION = "C044", "line", 1
BATCH_RECORDS = 1000
BATCH_COMPANIES = 20
_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_TTL_MS = 20 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs the load: the department that owns the category."""

    chain_id: bytes
    sender: str
    key: SigningKey
    clock_ms: int


class Workload:
    """Makes signed transactions; the same seed, the same transactions."""

    def __init__(self, signer: Signer, seed: int, companies: int = 2000) -> None:
        self._signer = signer
        self._random = random.Random(seed)  # noqa: S311 (a repeatable load, no secret)
        self._companies = [self._company() for _ in range(companies)]
        self._number = 0

    def singles(self, count: int) -> Iterator[Transaction]:
        """Yield transactions of one record each."""
        for _ in range(count):
            yield self._transaction([self._record(self._random.choice(self._companies))])

    def batches(self, count: int) -> Iterator[Transaction]:
        """Yield transactions of a thousand records of twenty companies each."""
        for _ in range(count):
            chosen = self._random.sample(self._companies, BATCH_COMPANIES)
            yield self._transaction(
                [self._record(chosen[index % BATCH_COMPANIES]) for index in range(BATCH_RECORDS)]
            )

    def _company(self) -> str:
        body = "91440300" + "".join(self._random.choice(_DIGITS) for _ in range(8))
        return make_uscc(body)

    def _record(self, company: str) -> bytes:
        self._number += 1
        net = self._random.randint(10_000, 90_000_000)
        tax = net * 13 // 100
        day = self._signer.clock_ms // 86_400_000 - self._random.randint(0, 700)
        fields = {
            "invoice_no": f"{self._number:08d}",
            "issued_on": day,
            "counterparty": f"B{self._random.randint(0, 400):05d}",
            "net": net,
            "tax": tax,
            "gross": net + tax,
            "status": "X" if self._random.random() < 0.05 else "V",
        }
        salt = self._random.randbytes(16)
        return encode_record(Record(company, day, fields, salt=salt))

    def _transaction(self, attachments: list[bytes]) -> Transaction:
        signer = self._signer
        body = {
            "category": CATEGORY,
            "schema": SCHEMA,
            "version": VERSION,
            "count": len(attachments),
            "root": records_root([record_digest(item) for item in attachments]),
        }
        return sign_transaction(
            signer.key,
            chain_id=signer.chain_id,
            sender=signer.sender,
            nonce=self._random.randbytes(16),
            expires_at_ms=signer.clock_ms + _TTL_MS,
            kind="records.submit",
            body=body,
            attachments=tuple(attachments),
        )
