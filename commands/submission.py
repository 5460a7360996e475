"""Sending a file's batches: each exactly once, several on the way, again after a crash.

Every batch is noted in the progress file before it is sent and after its receipt is verified. Its
transaction is a function of the content and the expiry, so a batch that was sent and not answered
goes out as the same bytes, and the ledger executes it once. Several are on the way at a time, as
many as `WINDOW_TRANSACTIONS` and `WINDOW_BYTES` allow; the oldest is waited for. A batch counts as
acknowledged when its certified receipt verifies.

One record that the ledger refuses rejects its whole batch. With a `secret` the batch is sent again
without that record, and so on, at most `MAX_LEFT_OUT` times: the good records go in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

from commands.files import replace
from commands.intake.batches import ATTEST_KIND, Batch, leave_out
from commands.intake.progress import Progress, Step
from ledger.chain.receipt import Receipt
from ledger.errors import Code, LocalError, RemoteError
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction
from network.client import SyncClient
from network.methods import FateStatus

WINDOW_TRANSACTIONS = 64
WINDOW_BYTES = 4 * 1024 * 1024
TTL_MS = 3_600_000
WAIT_MS = 120_000
MAX_NOTED = 1000
MAX_LEFT_OUT = 50  # records of one batch; a file with more is to be looked at first
_RECORD = re.compile(r"record (\d{1,4})(?:,|:) (.*)", re.DOTALL)
_SECRET_MESSAGE = b"creditledger/intake-secret/1"


@dataclass(slots=True)
class Totals:
    """What became of the batches; line numbers are those of the file."""

    transactions: int = 0
    records: int = 0
    accepted: int = 0
    attested: int = 0
    resumed: int = 0
    duplicates: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    rejections: list[tuple[int, int, int, str]] = field(default_factory=list)
    rejected_records: int = 0

    def count(self, batch: Batch, code: int, data: Any) -> None:
        """Add the result of one batch."""
        self.transactions += 1
        self.records += len(batch.lines)
        if code:
            _, text = find_bad_record(batch, data)
            self.rejections.append((batch.lines[0], batch.lines[-1], code, text))
            self.rejected_records += len(batch.lines)
        elif batch.kind == ATTEST_KIND:
            self.attested += len(batch.lines)
        elif isinstance(data, Mapping):
            self.accepted += int(data.get("accepted", 0))
            self.duplicates.extend(_lines(batch, data.get("duplicates")))
            self.conflicts.extend(_lines(batch, data.get("conflicts")))


def find_bad_record(batch: Batch, data: Any) -> tuple[int | None, str]:
    """Return (place in the batch, sentence) of a rejection; the sentence names the file's line."""
    text = str(data.get("error", "")) if isinstance(data, Mapping) else ""
    match = _RECORD.fullmatch(text)
    index = None if match is None else int(match[1])
    if match is None or index is None or index >= len(batch.lines):
        return None, text
    return index, f"line {batch.lines[index]}: {match[2]}"


def _lines(batch: Batch, indexes: Any) -> list[int]:
    found = indexes if isinstance(indexes, tuple | list) else ()
    return [batch.lines[index] for index in found if 0 <= index < len(batch.lines)]


def intake_secret(key: SigningKey) -> bytes:
    """Return a secret that only the holder of the key can have, the same every time (RFC 8032)."""
    return key.sign(_SECRET_MESSAGE)


class Submission:
    """Sends batches as one identity; `on_done` hears of each verified receipt."""

    def __init__(
        self,
        client: SyncClient,
        key: SigningKey,
        progress: Progress,
        on_done: Callable[[Batch, Receipt], None],
        secret: bytes | None = None,
    ) -> None:
        self._client = client
        self._key = key
        self._progress = progress
        self._on_done = on_done
        self._secret = secret
        self._left_out: dict[bytes, int] = {}  # by nonce of a batch, what was left out to make it
        self._again: deque[Batch] = deque()
        self._waiting: deque[tuple[Batch, Transaction]] = deque()
        self._waiting_bytes = 0
        self._started_ms, self._started = client.head().clock_ms, monotonic()
        self.totals = Totals()

    def run(self, batches: Iterable[Batch]) -> Totals:
        """Send every batch that has no result yet, and return what became of all."""
        for batch in chain(batches, self._rest()):
            step = self._progress.get(batch.nonce)
            if step is not None and step.code == Code.OK:
                self.totals.resumed += len(batch.lines)
                continue
            while self._is_full(batch):
                self._finish_oldest()
            self._send(batch, step)
        return self.totals

    def _rest(self) -> Iterator[Batch]:
        """Wait for what is on the way; yield what must go again, without what was refused."""
        while self._waiting or self._again:
            if self._again:
                yield self._again.popleft()
            else:
                self._finish_oldest()

    def _is_full(self, batch: Batch) -> bool:
        """Tell whether the oldest must be waited for before `batch` may go."""
        if not self._waiting:
            return False
        size = self._waiting_bytes + _size(batch)
        return len(self._waiting) >= WINDOW_TRANSACTIONS or size > WINDOW_BYTES

    def _send(self, batch: Batch, step: Step | None) -> None:
        is_in = step is not None and not step.is_done and self._is_committed(step)
        transaction = self._sign(batch, self._expiry(step, is_in))
        self._progress.note_sent(batch.nonce, transaction.id, transaction.expires_at_ms)
        # What is in a block may have expired since, and then no door would take it again.
        if not is_in:
            self._client.submit(transaction)
        self._waiting.append((batch, transaction))
        self._waiting_bytes += _size(batch)

    def _is_committed(self, step: Step) -> bool:
        return self._client.fate([step.id])[0].status is FateStatus.COMMITTED

    def _expiry(self, step: Step | None, is_committed: bool) -> int:
        """Return the expiry to sign: the same as before while that transaction may yet count."""
        now_ms = self._started_ms + int((monotonic() - self._started) * 1000)
        if step is None or step.is_done:
            return now_ms + TTL_MS
        return (
            step.expires_at_ms if is_committed or step.expires_at_ms > now_ms else now_ms + TTL_MS
        )

    def _sign(self, batch: Batch, expires_at_ms: int) -> Transaction:
        profile = self._client.profile
        return sign_transaction(
            self._key,
            chain_id=profile.chain_id,
            sender=profile.sender,
            nonce=batch.nonce,
            expires_at_ms=expires_at_ms,
            kind=batch.kind,
            body=batch.body,
            attachments=batch.attachments,
        )

    def _finish_oldest(self) -> None:
        batch, transaction = self._waiting.popleft()
        self._waiting_bytes -= _size(batch)
        receipt = self._wait(transaction)
        code, data = receipt.result
        self._progress.note_done(batch.nonce, code, receipt.header.height)
        smaller = self._leave_out(batch, code, data)
        if smaller is None:
            self.totals.count(batch, code, data)
        else:
            self._again.append(smaller)
        self._on_done(batch, receipt)

    def _leave_out(self, batch: Batch, code: int, data: Any) -> Batch | None:
        """Return a rejected batch without the record that it was rejected for, if that is known."""
        index, text = find_bad_record(batch, data)
        count = self._left_out.get(batch.nonce, 0)
        is_last = len(batch.lines) == 1 or count >= MAX_LEFT_OUT
        if not code or self._secret is None or index is None or is_last:
            return None
        smaller = leave_out(batch, index, self._secret)
        self._left_out[smaller.nonce] = count + 1
        line = batch.lines[index]
        self.totals.transactions += 1
        self.totals.records += 1
        self.totals.rejections.append((line, line, code, text))
        self.totals.rejected_records += 1
        return smaller

    def _wait(self, transaction: Transaction) -> Receipt:
        """Return the verified receipt; a node that lost the transaction is given it again."""
        try:
            return self._client.receipt(transaction.id, WAIT_MS)
        except RemoteError:
            return self._client.submit_until_certified(transaction, WAIT_MS)


def _size(batch: Batch) -> int:
    return sum(len(item) for item in batch.attachments)


def require_key(client: SyncClient) -> SigningKey:
    """Return the key that the profile signs with; raise `LocalError` (1105) if it has none."""
    key = client.profile.signing_key
    if key is None:
        raise LocalError(Code.KEY_FILE, "the profile has no signing_key: it can only ask")
    return key


def keep_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a receipt to a file of its own, named after its transaction."""
    replace(folder / f"{receipt.transaction_id.hex()}.receipt", receipt.encoded())
