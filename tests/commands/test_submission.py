"""Every batch is executed exactly once, wherever a submission is cut off and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.intake.batches import Batch
from commands.intake.progress import Progress
from commands.submission import MAX_LEFT_OUT, TTL_MS, Submission
from ledger.errors import Code, RemoteError
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import Record, encode_record
from network.client import SyncClient
from network.methods import Fate, FateStatus
from tests.ledger_harness import company_code

KEY = SigningKey(bytes(32))
CHAIN = bytes(32)
BATCHES = tuple(
    Batch("records.submit", {"n": number}, (b"x" * 700_000,), bytes([number]) * 16, (number,))
    for number in range(9)
)


class CutOffError(Exception):
    """The program ends here: a crash, a power cut."""


@dataclass
class FakeLedger:
    """Executes a transaction once by its id, and cuts the caller off before its n-th answer."""

    clock_ms: int = 1_000_000
    executed: dict[bytes, Transaction] = field(default_factory=dict)
    answers_left: int = 10**9
    loses_next_receipt: bool = False

    @property
    def profile(self) -> Any:
        return SimpleNamespace(chain_id=CHAIN, sender="D02", signing_key=KEY)

    def head(self) -> Any:
        return SimpleNamespace(clock_ms=self.clock_ms)

    def fate(self, ids: Sequence[bytes]) -> list[Fate]:
        known = (FateStatus.COMMITTED, FateStatus.UNKNOWN)
        return [Fate(item, known[item not in self.executed]) for item in ids]

    def submit(self, transaction: Transaction) -> bytes:
        if transaction.expires_at_ms <= self.clock_ms:
            raise RemoteError("node", Code.TX_EXPIRED_AT_DOOR, "transaction has expired")
        self.executed.setdefault(transaction.id, transaction)
        self._answer()
        return transaction.id

    def receipt(self, transaction_id: bytes, _wait_ms: int) -> Any:
        self._answer()
        if self.loses_next_receipt:
            self.loses_next_receipt = False
            raise RemoteError("node", Code.TIMED_OUT, "not certified yet")
        transaction = self.executed[transaction_id]
        result: tuple[int, Mapping[str, Any]] = (0, {"accepted": len(transaction.attachments)})
        header = SimpleNamespace(height=1)
        return SimpleNamespace(result=result, header=header, transaction_id=transaction_id)

    def submit_until_certified(self, transaction: Transaction, wait_ms: int) -> Any:
        self.submit(transaction)
        return self.receipt(transaction.id, wait_ms)

    def _answer(self) -> None:
        self.answers_left -= 1
        if self.answers_left < 0:
            raise CutOffError


def _submit(ledger: FakeLedger, path: Path) -> Submission:
    progress = Progress.open(
        path, file_digest=bytes(32), mapping_digest=bytes(32), chain_id=CHAIN, sender="D02"
    )
    submission = Submission(cast(SyncClient, ledger), KEY, progress, lambda *_: None)
    submission.run(BATCHES)
    return submission


def _check_executed_once(ledger: FakeLedger) -> None:
    counts = Counter(transaction.nonce for transaction in ledger.executed.values())
    assert counts == {batch.nonce: 1 for batch in BATCHES}


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(0, 14), max_size=4), waits=st.lists(st.booleans(), max_size=4))
def test_submission_cut_off_anywhere_goes_on_without_a_second_copy(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], waits: list[bool]
) -> None:
    path = tmp_path_factory.mktemp("cut") / "progress"
    ledger = FakeLedger()
    for number, cut in enumerate(cuts):
        ledger.answers_left = cut
        try:
            _submit(ledger, path)
        except CutOffError:
            # Sometimes so long a pause that what was signed has expired meanwhile.
            ledger.clock_ms += 2 * TTL_MS if waits[number : number + 1] == [True] else 1
    ledger.answers_left = 10**9
    _submit(ledger, path)
    _check_executed_once(ledger)


def test_lost_receipt_is_asked_for_again_with_the_same_bytes(tmp_path: Path) -> None:
    ledger = FakeLedger(loses_next_receipt=True)
    totals = _submit(ledger, tmp_path / "progress").totals
    _check_executed_once(ledger)
    assert totals.accepted == len(BATCHES)
    again = _submit(ledger, tmp_path / "progress").totals
    assert (again.transactions, again.resumed) == (0, len(BATCHES))


def test_what_is_on_the_way_is_bounded_by_its_bytes(tmp_path: Path) -> None:
    ledger = FakeLedger(answers_left=9)
    with pytest.raises(CutOffError):
        _submit(ledger, tmp_path / "progress")
    # Five of 700 kB fit below 4 MiB: the sixth waits for a receipt.
    assert len(ledger.executed) < len(BATCHES)


SECRET = bytes(16)
ODD = encode_record(Record(company_code(1), 9, {"n": 1}))


class StrictLedger(FakeLedger):
    """Rejects a batch for the first record that is `ODD`, as execution does."""

    def receipt(self, transaction_id: bytes, _wait_ms: int) -> Any:
        receipt = super().receipt(transaction_id, _wait_ms)
        attachments = self.executed[transaction_id].attachments
        if ODD in attachments:
            text = f"record {attachments.index(ODD)}, day 9 is before 1900"
            receipt.result = (int(Code.RECORD_DATE), {"error": text})
        return receipt


def _batch_of(bad: set[int], size: int) -> Batch:
    good = [encode_record(Record(company_code(1), 100 + n, {"n": 1})) for n in range(size)]
    items = tuple(ODD if n in bad else good[n] for n in range(size))
    lines = tuple(range(100, 100 + size))
    return Batch("records.submit", {"category": "C044"}, items, bytes(16), lines)


def _submit_one(batch: Batch, path: Path, secret: bytes | None) -> Submission:
    progress = Progress.open(
        path, file_digest=bytes(32), mapping_digest=bytes(32), chain_id=CHAIN, sender="D02"
    )
    ledger = cast(SyncClient, StrictLedger())
    submission = Submission(ledger, KEY, progress, lambda *_: None, secret)
    submission.run((batch,))
    return submission


@pytest.mark.parametrize("bad", [set(), {0}, {9}, {3, 4, 7}, set(range(10))])
def test_a_refused_record_is_left_out_and_the_others_go_in(tmp_path: Path, bad: set[int]) -> None:
    totals = _submit_one(_batch_of(bad, 10), tmp_path / "progress", SECRET).totals
    assert totals.accepted == 10 - len(bad)
    assert [item[0] for item in totals.rejections] == [100 + n for n in sorted(bad)]
    assert totals.rejected_records == len(bad)


def test_a_refused_record_rejects_its_batch_unless_it_may_be_left_out(tmp_path: Path) -> None:
    totals = _submit_one(_batch_of({3}, 10), tmp_path / "progress", None).totals
    assert (totals.accepted, totals.rejected_records) == (0, 10)
    assert totals.rejections == [(100, 109, 2110, "line 103: day 9 is before 1900")]


def test_a_batch_of_bad_records_is_given_up_after_some(tmp_path: Path) -> None:
    bad = set(range(60))
    totals = _submit_one(_batch_of(bad, 70), tmp_path / "progress", SECRET).totals
    assert totals.transactions == MAX_LEFT_OUT + 1
    assert (totals.accepted, totals.rejected_records) == (0, 70)
