"""Offline replay: the whole chain again, from the genesis document alone (DESIGN 7, F87–F89).

`audit` first checks the files; if they are whole it works on a copy, because an opened LevelDB
changes its folder. From genesis on, each block is read, its certificate verified against the
members, its header against the block before it, its batch against the header, every signature and
every body against what was signed; then it is executed in a scratch store, and header and results
must come out byte for byte. In the end the whole stored state, tree and indexes must equal the
scratch store's. So whatever is altered, by a disk or by somebody who keeps all checksums in order,
is named: block, transaction, part, reason. The verdict rests on its anchor, the genesis hash.

The members that certify are followed from epoch to epoch by execution (`ledger.audit.epochs`). A
later anchor may be given beside genesis, the receipt of a block that is trusted: the chain must
have that very block, and what past members' keys could certify does not pass for it (F89).

Signatures of the next blocks are handed out ahead through `Verifier`, which may use other threads.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ledger.audit import diagnosis
from ledger.audit.begun import judge_begun
from ledger.audit.comparison import compare_stores
from ledger.audit.epochs import ReplayedEpochs
from ledger.audit.files import check_files, check_genesis_file
from ledger.audit.headers import Anchors, HeaderReader
from ledger.audit.report import AuditReport, Finding, FoundError, Verdict, fault
from ledger.chain.batch import Batch
from ledger.chain.block import (
    StoredBlock,
    decode_transactions,
    encode_results,
)
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.chain.header import Header
from ledger.chain.receipt import Receipt
from ledger.errors import Code, LocalError, Refused, StorageError
from ledger.execution import ExecutedBlock, ExecutionCaches, execute_block, execute_genesis
from ledger.keys import verify_many
from ledger.membership.epoch_state import get_change_window
from ledger.membership.genesis import Genesis, parse_genesis
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import (
    CERTIFICATES,
    HEADERS,
    RESULTS,
    TRANSACTIONS,
    ChainStore,
    height_key,
)
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import Reader, Store
from ledger.transactions.envelope import MAX_TTL_MS, Transaction, transaction_from_parts
from ledger.transactions.records import check_attachments

SignatureItem: TypeAlias = tuple[bytes, bytes, bytes]
Verifier: TypeAlias = Callable[[Sequence[SignatureItem]], Callable[[], list[bool]]]
# (height that was replayed, last height, transactions so far)
Progress: TypeAlias = Callable[[int, int, int], None]

_AHEAD_TRANSACTIONS = 4096
_AHEAD_BLOCKS = 64
_LAST = b"\xff" * 64
_NOT_OF_GENESIS = {TRANSACTIONS: "transactions", RESULTS: "results", CERTIFICATES: "certificates"}


def verify_at_once(items: Sequence[SignatureItem]) -> Callable[[], list[bool]]:
    """Verify in the caller's thread (`Verifier`)."""
    verdicts = verify_many(items)
    return lambda: verdicts


def _no_progress(_height: int, _last: int, _transactions: int) -> None:
    """Show nothing."""


def audit(
    source: Path,
    scratch: Path,
    genesis: bytes | None = None,
    *,
    trusted: Receipt | None = None,
    progress: Progress = _no_progress,
    verifier: Verifier = verify_at_once,
) -> AuditReport:
    """Judge the home, or the copy of one, at `source`; it is only read.

    `scratch` is an empty folder for a copy of the database and for the replay, the caller's to
    remove. `genesis` is the document that is trusted; without it the home's own is taken, and the
    verdict is worth what its hash is worth when compared with another member's. `trusted` is the
    receipt of a block that is trusted; it names the chain too. Raise `LocalError` or `Refused`
    (13xx, 70xx) when there is nothing to judge or an anchor does not parse or hold together.
    """
    report = AuditReport(is_anchor_given=genesis is not None or trusted is not None)
    layout = HomeLayout(source)
    database = layout.database if layout.database.is_dir() else source
    if not database.is_dir() or not any(database.iterdir()):
        raise LocalError(Code.HOME_INCOMPLETE, f"{source} has no database to audit")
    report.files = check_files(source)
    if genesis is not None:
        report.chain_id = tagged_hash(GENESIS_TAG, genesis)
        check_genesis_file(source, report.chain_id, report.files)
    if report.files.is_damaged:
        report.verdict = Verdict.DAMAGED
        return report
    document = (
        layout.genesis.read_bytes() if genesis is None and layout.genesis.exists() else genesis
    )
    if document is None:
        raise LocalError(Code.INPUT_USAGE, f"{source} has no genesis.bin: name one to trust")
    anchors = Anchors(parse_genesis(document), trusted)
    shutil.copytree(database, scratch / "copy", ignore=shutil.ignore_patterns("LOCK"))
    stored = LevelStore(scratch / "copy", create=False)
    replayed = LevelStore(scratch / "replay")
    try:
        _judge(stored, replayed, anchors, report, progress, verifier)
    finally:
        stored.close()
        replayed.close()
    return report


def audit_store(
    stored: Reader,
    replayed: Store,
    genesis: Genesis,
    *,
    trusted: Receipt | None = None,
    progress: Progress = _no_progress,
    verifier: Verifier = verify_at_once,
) -> AuditReport:
    """Judge a chain in an open store, replaying it into the empty store `replayed`."""
    report = AuditReport(is_anchor_given=True)
    _judge(stored, replayed, Anchors(genesis, trusted), report, progress, verifier)
    return report


def _judge(
    stored: Reader,
    replayed: Store,
    anchors: Anchors,
    report: AuditReport,
    progress: Progress,
    verifier: Verifier,
) -> None:
    report.chain_id = anchors.genesis.chain_id
    report.trusted = None if anchors.trusted is None else anchors.trusted.header.height
    replay = _Replay(stored, replayed, anchors, report, verifier)
    try:
        base = ChainStore(stored).base()
        if base is not None:
            judge_begun(stored, replayed, anchors, report, base)
            return
        replay.run(progress)
    except FoundError as error:
        report.verdict = Verdict.INVALID
        epoch = replay.epochs.at(error.finding.height or 0).epoch
        report.finding = replace(error.finding, epoch=epoch or None)
    except StorageError as error:
        report.verdict = Verdict.DAMAGED
        report.files.add("db", 0, error.message, "what follows in the chain was not looked at")
    report.epochs = replay.epochs.until(report.head)
    if report.verdict is Verdict.VALID and report.trusted is not None:
        _check_reached(report, report.trusted)


def _check_reached(report: AuditReport, trusted: int) -> None:
    """Say so where the chain ends before the trusted block: nothing shows that it leads there."""
    if report.head < trusted:
        report.verdict = Verdict.UNPROVEN
        reason = f"is not reached, the last block is {report.head}: nothing shows it leads there"
        report.finding = Finding("trusted block", reason, trusted)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A block whose bytes were read and checked, and whose signatures are being verified."""

    block: StoredBlock
    transactions: tuple[Transaction, ...]
    digests: dict[bytes, tuple[bytes, ...]]
    results: bytes
    verdicts: Callable[[], list[bool]]


class _Replay:
    """One replay, block by block."""

    def __init__(
        self,
        stored: Reader,
        replayed: Store,
        anchors: Anchors,
        report: AuditReport,
        verifier: Verifier,
    ) -> None:
        self._stored = stored
        self._chain = ChainStore(stored)
        self._replayed = replayed
        self._genesis = anchors.genesis
        self.epochs = ReplayedEpochs(anchors.genesis.validator_keys())
        self._report = report
        self._verifier = verifier
        self._caches = ExecutionCaches()
        self._headers = HeaderReader(stored, anchors, self.epochs, report)

    def run(self, progress: Progress) -> None:
        """Replay from genesis to the head; raise `FoundError` at the first thing that is wrong."""
        parent = self._start()
        self._report.head = self._find_head()
        self._report.certified = self._find_certified()
        for prepared in self._prepared(parent):
            executed = self._execute(prepared, parent)
            self._compare(prepared, executed)
            self._replayed.write(executed.writes, sync=False)
            self.epochs.note(executed.epochs)
            parent = executed.header
            counts = self._report.counts
            counts.blocks += 1
            counts.transactions += len(prepared.transactions)
            progress(parent.height, self._report.head, counts.transactions)
        counts = self._report.counts
        counts.state_entries = compare_stores(self._stored, self._replayed, self._report.head)
        covered = self._report.certified - self._report.counts.certificates
        if covered:
            self._note(
                f"{covered} blocks have no certificate of their own, a later one proves them"
            )

    def _start(self) -> Header:
        """Execute genesis and compare it with what is stored of it."""
        result = execute_genesis(self._genesis)
        document, header = self._chain.genesis(), self._stored.get(height_key(HEADERS, 0))
        if document != self._genesis.data:
            raise fault("genesis", "is not the document that is trusted", 0)
        if header != result.header.encoded():
            raise fault("header", "is not what the genesis document gives", 0)
        for prefix, part in _NOT_OF_GENESIS.items():
            if self._stored.get(height_key(prefix, 0)) is not None:
                raise fault(part, "are stored for genesis, which has none", 0)
        self._replayed.write(result.writes, sync=False)
        return result.header

    def _find_head(self) -> int:
        """Return the last height that any part of a block has, and check that the head says so."""
        last = 0
        for prefix in (HEADERS, TRANSACTIONS, RESULTS):
            last = max(last, self._last_height(prefix))
        try:
            head = self._chain.height()
        except StorageError as error:
            raise fault("head", error.message, last) from None
        if head != last:
            raise fault("head", f"says block {head}, the last block there is {last}", last)
        return last

    def _last_height(self, prefix: bytes) -> int:
        entries = self._stored.scan(prefix, prefix + _LAST, reverse=True)
        return next((int.from_bytes(key[len(prefix) :], "big") for key, _ in entries), 0)

    def _find_certified(self) -> int:
        """Return the last certified height; a certificate may be stored ahead of its block."""
        last, head = self._last_height(CERTIFICATES), self._report.head
        if last > head:
            self._note(f"there is a certificate of block {last}, beyond the last block {head}")
            low, high = height_key(CERTIFICATES, 0), height_key(CERTIFICATES, head + 1)
            below = (key for key, _ in self._stored.scan(low, high, reverse=True))
            last = int.from_bytes(next(below, low)[len(CERTIFICATES) :], "big")
        if last == 0 and head > 0:
            raise fault("certificate", "no block has one, so nothing is proven", 1)
        return last

    def _note(self, text: str) -> None:
        self._report.files.notes.append(text)

    def _prepared(self, parent: Header) -> Iterator[_Prepared]:
        """Yield the blocks in order, prepared ahead so that signatures are verified meanwhile.

        What is found wrong in a block ahead is raised in its turn: an earlier block may be wrong.
        No block is prepared further ahead than a window, so that its members are known.
        """
        most = min(_AHEAD_BLOCKS, get_change_window(Overlay(self._replayed)))
        waiting: deque[_Prepared] = deque()
        ahead, found = 0, None
        for height in range(1, self._report.head + 1):
            try:
                prepared = self._prepare(height, parent)
            except FoundError as error:
                found = error
                break
            except Refused as error:
                found = fault("block", error.message, height)
                break
            parent = prepared.block.header
            waiting.append(prepared)
            ahead += len(prepared.transactions)
            while ahead > _AHEAD_TRANSACTIONS or len(waiting) > most:
                ahead -= len(waiting[0].transactions)
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
        if found is not None:
            raise found

    def _prepare(self, height: int, parent: Header) -> _Prepared:
        header = self._headers.read(height, parent)
        block = self._read_block(header, parent)
        transactions: list[Transaction] = []
        digests: dict[bytes, tuple[bytes, ...]] = {}
        for position in range(len(block.transactions)):
            item, of_item = self._read_transaction(block, position)
            transactions.append(item)
            digests[block.hashes[position]] = of_item
            self._report.counts.records += len(item.attachments)
        items = [item.signature_item() for item in transactions]
        results = self._stored.get(height_key(RESULTS, height))
        if results is None:
            raise fault("results", "are missing", height)
        return _Prepared(block, tuple(transactions), digests, results, self._verifier(items))

    def _read_block(self, header: Header, parent: Header) -> StoredBlock:
        """Return time, hashes and transactions, as the header certifies them."""
        data = self._stored.get(height_key(TRANSACTIONS, header.height))
        if data is None:
            raise fault("transactions", "are missing", header.height)
        try:
            time_ms, hashes, transactions = decode_transactions(data)
        except Refused:
            raise FoundError(diagnosis.name_in_bytes(data, header, self._stored)) from None
        block = StoredBlock(header, time_ms, hashes, transactions, ())
        finding = diagnosis.name_in_batch(block, parent, self._stored)
        if finding is not None:
            raise FoundError(finding)
        return block

    def _read_transaction(
        self, block: StoredBlock, position: int
    ) -> tuple[Transaction, tuple[bytes, ...]]:
        """Return a transaction with its bodies, valid in its batch (rule 17), and their digests."""
        height, item = block.header.height, block.transactions[position]
        try:
            bodies = self._chain.bodies(height, position, item.attachment_count)
        except StorageError:
            finding = diagnosis.name_count_of_bodies(self._stored, item, height, position)
            raise FoundError(finding) from None
        try:
            transaction = transaction_from_parts(item.unsigned, item.signature, bodies)
        except Refused as error:
            raise fault("transaction", error.message, height, position, item.id) from None
        if transaction.chain_id != self._genesis.chain_id:
            raise fault("transaction", "is of another chain", height, position, item.id)
        if transaction.expires_at_ms > (block.time_ms or 0) + MAX_TTL_MS:
            reason = f"expires more than {MAX_TTL_MS} ms after its batch's time"
            raise fault("transaction", reason, height, position, item.id)
        try:
            return transaction, check_attachments(transaction)
        except Refused as error:
            raise FoundError(
                diagnosis.name_body(self._stored, transaction, height, position, error)
            ) from None

    def _execute(self, prepared: _Prepared, parent: Header) -> ExecutedBlock:
        """Execute a block whose signatures all verify."""
        header = prepared.block.header
        for position, is_valid in enumerate(prepared.verdicts()):
            if not is_valid:
                item = prepared.transactions[position]
                raise fault("signature", "does not verify", header.height, position, item.id)
        self._report.counts.signatures += len(prepared.transactions)
        batch = Batch(header.height, prepared.block.time_ms, prepared.block.hashes)
        return execute_block(
            self._replayed,
            parent,
            batch,
            prepared.transactions,
            digests=prepared.digests,
            caches=self._caches,
        )

    def _compare(self, prepared: _Prepared, executed: ExecutedBlock) -> None:
        """Compare results, then the header, with what execution gave."""
        header = prepared.block.header
        if prepared.results != encode_results(executed.results):
            finding = diagnosis.name_result(
                prepared.results, executed.results, prepared.transactions, header.height
            )
            raise FoundError(
                self._blame(finding, diagnosis.is_certified_as(header, prepared.results))
            )
        for name in header.__slots__:
            found, want = getattr(header, name), getattr(executed.header, name)
            if found != want:
                shown = [item.hex() if isinstance(item, bytes) else item for item in (found, want)]
                reason = f"{name} is {shown[0]}, execution gives {shown[1]}"
                raise FoundError(self._blame(Finding("header", reason, header.height), True))

    def _blame(self, finding: Finding, is_as_certified: bool) -> Finding:
        """Say so where the stored part is what was certified: then not the disk was altered."""
        if not is_as_certified or (finding.height or 0) > self._report.certified:
            return finding
        reason = (
            f"{finding.part} as certified differs: {finding.reason}; the members ran another "
            "version of the ledger, or a quorum certified what the rules do not give"
        )
        return replace(finding, part="execution", reason=reason)
