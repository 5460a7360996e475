"""What the benchmark submits: signed records of made-up companies, made beforehand.

A transaction carries one tax payment as the treasury receives it (C040), or a thousand payments or
invoice lines (C044/line) of twenty companies. Both categories are authorised, so each record is
salted and digested field by field, and both feed windows of the demonstration's schema; an invoice
line feeds seven windows and nine alerts, the most that any category does. Signing costs the
generator what a department's own machine would pay, so it is done beforehand and kept out of the
measured time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ledger.credit.uscc import make_uscc
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction
from ledger.transactions.records import Record, encode_record, record_digest, records_root

PAYMENTS, INVOICES = ("C040", ""), ("C044", "line")
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
            payment = self._payment(self._random.choice(self._companies))
            yield self._transaction(PAYMENTS, [payment])

    def payment_batches(self, count: int) -> Iterator[Transaction]:
        """Yield transactions of a thousand tax payments of twenty companies each."""
        return self._batches(count, PAYMENTS, self._payment)

    def invoice_batches(self, count: int) -> Iterator[Transaction]:
        """Yield transactions of a thousand invoice lines of twenty companies each."""
        return self._batches(count, INVOICES, self._invoice)

    def _batches(
        self, count: int, schema: tuple[str, str], make: Callable[[str], bytes]
    ) -> Iterator[Transaction]:
        for _ in range(count):
            chosen = self._random.sample(self._companies, BATCH_COMPANIES)
            records = [make(chosen[index % BATCH_COMPANIES]) for index in range(BATCH_RECORDS)]
            yield self._transaction(schema, records)

    def _company(self) -> str:
        body = "91440300" + "".join(self._random.choice(_DIGITS) for _ in range(8))
        return make_uscc(body)

    def _payment(self, company: str) -> bytes:
        day = self._signer.clock_ms // 86_400_000 - self._random.randint(0, 700)
        from_day = day - self._random.randint(30, 90)
        fields = {
            "tax_type": f"T{self._random.randint(1, 20):02d}",
            "period_from": from_day,
            "period_to": from_day + 30,
            "paid_amount": self._random.randint(10_000, 90_000_000),
            "late_fee": 0,
            "treasury_date": day,
        }
        return encode_record(Record(company, day, fields, salt=self._random.randbytes(16)))

    def _invoice(self, company: str) -> bytes:
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
        return encode_record(Record(company, day, fields, salt=self._random.randbytes(16)))

    def _transaction(self, schema: tuple[str, str], attachments: list[bytes]) -> Transaction:
        signer = self._signer
        body = {
            "category": schema[0],
            "schema": schema[1],
            "version": 1,
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
