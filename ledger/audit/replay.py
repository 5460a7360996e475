"""Offline replay: the whole chain again, from the genesis document alone (DESIGN 7, F87–F89).

`audit` first checks the files; if they are whole it works on a copy, because an opened LevelDB
changes its folder. From genesis on, each block is read, its certificate verified against the
members, its header against the block before it, its batch against the header, every signature and
every body against what was signed; then it is executed in a scratch store, and header and results
must come out byte for byte. In the end the whole stored state, tree and indexes must equal the
scratch store's. So whatever is altered, by a disk or by somebody who keeps all checksums in order,
is named: block, transaction, part, reason. The verdict rests on its anchor, the genesis hash.

Signatures of the next blocks are handed out ahead through `Verifier`, which may use other threads.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ledger.audit import diagnosis
from ledger.audit.files import check_files, check_genesis_file
from ledger.audit.report import AuditReport, Finding, FoundError, Verdict
from ledger.chain.batch import Batch
from ledger.chain.block import (
    BlockError,
    StoredBlock,
    decode_transactions,
    encode_results,
    verify_header_follows,
)
from ledger.chain.certificate import decode_certificate
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode
from ledger.errors import Code, CreditLedgerError, LocalError, Refused, StorageError
from ledger.execution import ExecutedBlock, ExecutionCaches, execute_block, execute_genesis
from ledger.keys import verify_many
from ledger.membership.genesis import Genesis, parse_genesis
from ledger.state.tables import ALL_TABLES, COMPANY_KEY_BYTES, Scope
from ledger.storage.chain_store import (
    BODIES,
    CERTIFICATES,
    FATES,
    HEADERS,
    META,
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
    progress: Progress = _no_progress,
    verifier: Verifier = verify_at_once,
) -> AuditReport:
    """Judge the home, or the copy of one, at `source`; it is only read.

    `scratch` is an empty folder for a copy of the database and for the replay, the caller's to
    remove. `genesis` is the document that is trusted; without it the home's own is taken, and the
    verdict is worth what its hash is worth when compared with another member's. Raise `LocalError`
    or `Refused` (70xx) when there is nothing to judge or the anchor does not parse.
    """
    report = AuditReport(is_anchor_given=genesis is not None)
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
    shutil.copytree(database, scratch / "copy", ignore=shutil.ignore_patterns("LOCK"))
    stored = LevelStore(scratch / "copy", create=False)
    replayed = LevelStore(scratch / "replay")
    try:
        _judge(stored, replayed, parse_genesis(document), report, progress, verifier)
    finally:
        stored.close()
        replayed.close()
    return report


def audit_store(
    stored: Reader,
    replayed: Store,
    genesis: Genesis,
    *,
    progress: Progress = _no_progress,
    verifier: Verifier = verify_at_once,
) -> AuditReport:
    """Judge a chain in an open store, replaying it into the empty store `replayed`."""
    report = AuditReport(is_anchor_given=True)
    _judge(stored, replayed, genesis, report, progress, verifier)
    return report


def _judge(
    stored: Reader,
    replayed: Store,
    genesis: Genesis,
    report: AuditReport,
    progress: Progress,
    verifier: Verifier,
) -> None:
    report.chain_id = genesis.chain_id
    try:
        _Replay(stored, replayed, genesis, report, verifier).run(progress)
    except FoundError as error:
        report.verdict = Verdict.INVALID
        report.finding = error.finding
    except StorageError as error:
        report.verdict = Verdict.DAMAGED
        report.files.add("db", 0, error.message, "what follows in the chain was not looked at")


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
        genesis: Genesis,
        report: AuditReport,
        verifier: Verifier,
    ) -> None:
        self._stored = stored
        self._chain = ChainStore(stored)
        self._replayed = replayed
        self._genesis = genesis
        self._keys = [key for _, key in genesis.validator_keys()]
        self._report = report
        self._verifier = verifier
        self._caches = ExecutionCaches()

    def run(self, progress: Progress) -> None:
        """Replay from genesis to the head; raise `FoundError` at the first thing that is wrong."""
        parent = self._start()
        self._report.head = self._find_head()
        self._report.certified = self._find_certified()
        for prepared in self._prepared(parent):
            executed = self._execute(prepared, parent)
            self._compare(prepared, executed)
            self._replayed.write(executed.writes, sync=False)
            parent = executed.header
            counts = self._report.counts
            counts.blocks += 1
            counts.transactions += len(prepared.transactions)
            progress(parent.height, self._report.head, counts.transactions)
        self._compare_stores()

    def _start(self) -> Header:
        """Execute genesis and compare it with what is stored of it."""
        result = execute_genesis(self._genesis)
        document, header = self._chain.genesis(), self._stored.get(height_key(HEADERS, 0))
        if document != self._genesis.data:
            raise _found("genesis", "is not the document that is trusted", 0)
        if header != result.header.encoded():
            raise _found("header", "is not what the genesis document gives", 0)
        for prefix, part in _NOT_OF_GENESIS.items():
            if self._stored.get(height_key(prefix, 0)) is not None:
                raise _found(part, "are stored for genesis, which has none", 0)
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
            raise _found("head", error.message, last) from None
        if head != last:
            raise _found("head", f"says block {head}, the last block there is {last}", last)
        return last

    def _last_height(self, prefix: bytes) -> int:
        entries = self._stored.scan(prefix, prefix + _LAST, reverse=True)
        return next((int.from_bytes(key[len(prefix) :], "big") for key, _ in entries), 0)

    def _find_certified(self) -> int:
        last = self._last_height(CERTIFICATES)
        if last > self._report.head:
            raise _found("certificate", "is there without its block", last)
        if last == 0 and self._report.head > 0:
            raise _found("certificate", "no block has one, so nothing is proven", 1)
        return last

    def _prepared(self, parent: Header) -> Iterator[_Prepared]:
        """Yield the blocks in order, prepared ahead so that signatures are verified meanwhile.

        What is found wrong in a block ahead is raised in its turn: an earlier block may be wrong.
        """
        waiting: deque[_Prepared] = deque()
        ahead, found = 0, None
        for height in range(1, self._report.head + 1):
            try:
                prepared = self._prepare(height, parent)
            except FoundError as error:
                found = error
                break
            except Refused as error:
                found = _found("block", error.message, height)
                break
            parent = prepared.block.header
            waiting.append(prepared)
            ahead += len(prepared.transactions)
            while ahead > _AHEAD_TRANSACTIONS or len(waiting) > 64:
                ahead -= len(waiting[0].transactions)
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
        if found is not None:
            raise found

    def _prepare(self, height: int, parent: Header) -> _Prepared:
        header = self._read_header(height, parent)
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
            raise _found("results", "are missing", height)
        return _Prepared(block, tuple(transactions), digests, results, self._verifier(items))

    def _read_header(self, height: int, parent: Header) -> Header:
        """Return the header, certified by its certificate and following its parent."""
        data = self._stored.get(height_key(HEADERS, height))
        if data is None:
            raise _found("header", "is missing", height)
        proof = self._stored.get(height_key(CERTIFICATES, height))
        if proof is None and height <= self._report.certified:
            raise _found("certificate", "is missing", height)
        try:
            header = decode_header(data)
        except Refused as error:
            raise _found("header", f"does not decode: {error.message}", height) from None
        if proof is not None:
            self._check_certificate(proof, header, height)
        try:
            verify_header_follows(header, parent)
        except BlockError as error:
            raise _found(error.part, error.reason, height) from None
        return header

    def _check_certificate(self, proof: bytes, header: Header, height: int) -> None:
        try:
            certificate = decode_certificate(proof)
        except Refused as error:
            raise _found("certificate", error.message, height) from None
        finding = diagnosis.name_header_or_certificate(
            header, certificate, self._genesis.chain_id, self._keys
        )
        if finding is None and (header.height != height or certificate.epoch != header.epoch):
            finding = Finding("header", f"is of block {header.height}, epoch {header.epoch}")
        if finding is not None:
            place = (finding.position, finding.transaction_id)
            raise FoundError(Finding(finding.part, finding.reason, height, *place))
        self._report.counts.certificates += 1

    def _read_block(self, header: Header, parent: Header) -> StoredBlock:
        """Return time, hashes and transactions, as the header certifies them."""
        data = self._stored.get(height_key(TRANSACTIONS, header.height))
        if data is None:
            raise _found("transactions", "are missing", header.height)
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
            raise _found("transaction", error.message, height, position, item.id) from None
        if transaction.chain_id != self._genesis.chain_id:
            raise _found("transaction", "is of another chain", height, position, item.id)
        if transaction.expires_at_ms > (block.time_ms or 0) + MAX_TTL_MS:
            reason = f"expires more than {MAX_TTL_MS} ms after its batch's time"
            raise _found("transaction", reason, height, position, item.id)
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
                raise _found("signature", "does not verify", header.height, position, item.id)
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
            raise FoundError(
                diagnosis.name_result(
                    prepared.results, executed.results, prepared.transactions, header.height
                )
            )
        for name in header.__slots__:
            found, want = getattr(header, name), getattr(executed.header, name)
            if found != want:
                shown = [item.hex() if isinstance(item, bytes) else item for item in (found, want)]
                reason = f"{name} is {shown[0]}, execution gives {shown[1]}"
                raise _found("header", reason, header.height)

    def _compare_stores(self) -> None:
        """Compare state, tree, indexes and bodies, entry by entry, with the replayed ones."""
        for prefix in (META, FATES, b"s", b"t", BODIES):
            left = self._stored.scan(prefix, prefix + _LAST)
            right = self._replayed.scan(prefix, prefix + _LAST)
            for found, want in _side_by_side(left, right):
                if found != want:
                    raise FoundError(self._name_entry(found, want))
                self._report.counts.state_entries += 1

    def _name_entry(
        self, found: tuple[bytes, bytes] | None, want: tuple[bytes, bytes] | None
    ) -> Finding:
        """Return the finding for a stored entry that the replay does not have, or has otherwise."""
        key = min(entry[0] for entry in (found, want) if entry is not None)
        is_extra = want is None or want[0] != key
        is_missing = found is None or found[0] != key
        reason = "should not be there" if is_extra else "is altered"
        reason = "is missing" if is_missing else reason
        if key.startswith(FATES):
            place = _place_of_fate(want if is_missing or not is_extra else found)
            return Finding("index of transaction ids", reason, *place, key[len(FATES) :])
        if key.startswith(BODIES):
            height, position, index = (
                int.from_bytes(key[start:end], "big") for start, end in ((1, 9), (9, 13), (13, 17))
            )
            return Finding(f"body of record {index}", reason, height, position)
        head = self._report.head
        if key.startswith(META):
            return Finding(f"fact {key[len(META) :].decode(errors='replace')}", reason, head)
        table = next((item for item in ALL_TABLES if key.startswith(item.prefix)), None)
        part, entry = "state tree", key.hex()
        if table is not None:
            part = f"state ({table.name})"
            if table.scope is Scope.COMPANY:
                entry += f" of company {key[2 : 2 + COMPANY_KEY_BYTES].decode(errors='replace')}"
        return Finding(part, f"entry {entry} {reason} after the last block", head)


def _place_of_fate(entry: tuple[bytes, bytes] | None) -> tuple[int | None, int | None]:
    try:
        height, position, _ = decode(b"" if entry is None else entry[1])
    except (CreditLedgerError, ValueError, TypeError):
        return None, None
    return height, position


def _side_by_side(
    left: Iterator[tuple[bytes, bytes]], right: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[tuple[bytes, bytes] | None, tuple[bytes, bytes] | None]]:
    """Yield the entries of both in pairs; whoever compares stops at the first that differ."""
    while True:
        pair = next(left, None), next(right, None)
        if pair == (None, None):
            return
        yield pair


def _found(
    part: str,
    reason: str,
    height: int,
    position: int | None = None,
    transaction_id: bytes | None = None,
) -> FoundError:
    return FoundError(Finding(part, reason, height, position, transaction_id))
