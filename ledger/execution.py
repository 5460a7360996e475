"""Execution: a parent header, a batch and its transactions in; results, a header, writes out.

`execute_block` is pure: it reads the state of the parent, runs each transaction's handler in an
overlay, looks at alerts of the companies that are due, folds the changes into the tree, and
returns everything the shell has to write as one synced batch. A transaction that breaks a rule
stays in the block with its code and leaves nothing else (rules 14, 17). An exception inside one is
INTERNAL and is noted for a report, so that a poison transaction cannot stop the chain; only what
says that this machine cannot be trusted now, out of memory, the operating system, the disk, goes
up to the caller, before anything is signed (rule 54).

Transactions must have passed `check_attachments` and the signature check: what depends on their
bytes alone is a batch's validity and is not asked here again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ledger.chain.batch import Batch
from ledger.chain.block import Result, result_leaf
from ledger.chain.epochs import EpochSet
from ledger.chain.hashes import ZERO_HASH
from ledger.chain.header import HEADER_VERSION, Header
from ledger.chain.merkle import EMPTY_ROOT, compute_root
from ledger.credit import attestations, company, declarations, erasure, records
from ledger.credit.backfill import process_backfill
from ledger.credit.catalogue_state import CatalogueState
from ledger.credit.double_registrations import ASSETS_TOUCHED, process_contests
from ledger.credit.keeping import process_due_deletions
from ledger.credit.rulebook import RuleCache
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Refused, Rejected, RuleSourceError, StorageError
from ledger.lending import HANDLERS as LENDING_HANDLERS
from ledger.lending.alerts.calendar import TIME_TOUCHED
from ledger.lending.alerts.queue import (
    compute_alert_limit,
    compute_queue_limit,
    process_alert_queue,
)
from ledger.lending.alerts.raising import Watch, process_company_alerts, process_timed_looks
from ledger.lending.limits.calendar import process_due_limits
from ledger.lending.limits.limits import put_limits, read_genesis_limits
from ledger.lending.limits.watch import Site
from ledger.lending.products import put_genesis_product
from ledger.lending.reviews import process_corrections
from ledger.membership.context import MS_A_DAY, BlockNotes, Context, Failure, Handler
from ledger.membership.epoch_state import EpochCache, compute_header_epoch, process_epoch_end
from ledger.membership.genesis import Genesis
from ledger.membership.governance import HANDLERS as MEMBERSHIP_HANDLERS
from ledger.membership.governance import READY_KIND
from ledger.membership.members import (
    VALIDATORS_KEY,
    Senders,
    compute_members_root,
)
from ledger.membership.protocol import HANDLERS as PROTOCOL_HANDLERS
from ledger.membership.protocol import check_protocol
from ledger.membership.settings import SNAPSHOT_BLOCKS, get_snapshot_blocks, put_settings
from ledger.rules.documents import load_kind
from ledger.state.leaf_keys import leaf_key_writes
from ledger.state.overlay import Overlay
from ledger.state.tables import MEMBERS, SETTINGS
from ledger.state.tree import NodeCache, StateTree
from ledger.storage.chain_store import ChainStore, block_writes, genesis_writes
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Reader, WriteBatch
from ledger.transactions.envelope import Transaction

T = TypeVar("T")

MAX_ERROR_TEXT = 1_000
_INTERNAL_TEXT = "the ledger failed on this transaction; it had no effect"
_GENESIS_OWNER = "genesis"


def merge_handlers(*groups: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return all handlers by kind; raise `LocalError` when two claim one kind."""
    merged: dict[str, Handler] = {}
    for group in groups:
        for kind, handler in group.items():
            if kind in merged:
                raise LocalError(Code.INTERNAL, f"kind {kind} has two handlers")
            merged[kind] = handler
    return merged


HANDLERS: Mapping[str, Handler] = merge_handlers(
    records.HANDLERS,
    attestations.HANDLERS,
    erasure.HANDLERS,
    declarations.HANDLERS,
    company.HANDLERS,
    LENDING_HANDLERS,
    MEMBERSHIP_HANDLERS,
    PROTOCOL_HANDLERS,
)


@dataclass(slots=True)
class ExecutionCaches:
    """What execution may remember between blocks: pure things, keyed by hashes (rule 53)."""

    rules: RuleCache = field(default_factory=RuleCache)
    nodes: NodeCache = field(default_factory=NodeCache)
    epochs: EpochCache = field(default_factory=EpochCache)


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block as executed; `writes` must be durable before its CHECKPOINT is sent (rule 43).

    `epochs` is what its header commits to: who votes from the next height on, and what is pending.
    """

    header: Header
    batch: Batch
    transactions: tuple[Transaction, ...]
    results: tuple[Result, ...]
    writes: WriteBatch
    notes: BlockNotes
    epochs: EpochSet


@dataclass(frozen=True, slots=True)
class GenesisResult:
    """The header of height 0 and everything an empty store must hold before the first block."""

    header: Header
    writes: WriteBatch


class _BlockBodies:
    """Bodies of the chain and of the block that is being executed."""

    __slots__ = ("_chain", "_height", "_transactions")

    def __init__(self, chain: ChainStore, height: int, transactions: Sequence[Transaction]) -> None:
        self._chain = chain
        self._height = height
        self._transactions = transactions

    def body(self, height: int, position: int, index: int) -> bytes | None:
        """Return attachment `index` of transaction `position` of block `height`, or None."""
        if height != self._height:
            return self._chain.body(height, position, index)
        attachments = self._transactions[position].attachments
        return attachments[index] if index < len(attachments) else None


class _Block:
    """One block while it is executed."""

    def __init__(
        self,
        reader: Reader,
        height: int,
        time_ms: int,
        transactions: Sequence[Transaction],
        rules: RuleCache,
        *,
        has_snapshots: bool,
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self.state = Overlay(reader, is_summed=has_snapshots)
        self._has_snapshots = has_snapshots
        self.late_repeats: set[int] = set()
        self.notes = BlockNotes()
        self._height = height
        self._time_ms = time_ms
        self._chain = ChainStore(reader)
        self._transactions = transactions
        self._bodies = _BlockBodies(self._chain, height, transactions)
        self._rules = rules.over(self.state)
        self._handlers = HANDLERS if handlers is None else handlers
        self._senders = Senders(self.state)
        self._seen: dict[bytes, int] = {}

    def run(
        self, position: int, transaction: Transaction, digests: tuple[bytes, ...] | None
    ) -> tuple[Result, bytes]:
        """Execute one transaction; return its result and the result's leaf hash."""
        tx_id = transaction.id
        late = self._check_once(tx_id, position, transaction.expires_at_ms)
        if late is not None:
            return late, result_leaf(late)
        self.state.begin()
        try:
            result: Result = (int(Code.OK), self._handle(position, transaction, digests))
            leaf = result_leaf(result)
            self.state.commit()
        except Rejected as error:
            self._drop()
            result = _rejection(error.code, error.message)
            return result, result_leaf(result)
        except (MemoryError, OSError, StorageError):
            raise
        except Exception:  # noqa: BLE001 (rule 54: whatever it is, the chain goes on)
            self._drop()
            self.notes.failures.append(Failure(position, tx_id, traceback.format_exc()))
            result = _rejection(Code.INTERNAL, _INTERNAL_TEXT)
            return result, result_leaf(result)
        self.notes.commit()
        return result, leaf

    def close(self) -> None:
        """Do what a block does after its transactions."""
        self.follow_corrections()
        self.count_the_past()
        self.watch_deletions()
        self.watch_limits()
        self.watch()
        self.close_epoch()

    def follow_corrections(self) -> None:
        """Tell those who saw records that this block corrected, and mark decisions on them."""
        if self.notes.corrected:
            corrected = self.notes.corrected
            self._apart(
                partial(process_corrections, self.state, self._rules, corrected, self._height)
            )

    def count_the_past(self) -> None:
        """Go on with the windows of the past that rules adopted later need; a bounded part."""
        day = self._time_ms // MS_A_DAY
        self._apart(partial(process_backfill, self.state, self._rules, self._bodies, day))

    def watch_deletions(self) -> None:
        """Tell whom it concerns that data was kept too long; a bounded number a block."""
        day = self._time_ms // MS_A_DAY
        self._apart(partial(process_due_deletions, self.state, self._height, day))

    def watch_limits(self) -> None:
        """Look at the next institution whose limits have changed by vote, if there is one."""
        site = Site(self.state, self._height, self._time_ms // MS_A_DAY)
        self._apart(partial(process_due_limits, site))

    def watch(self) -> None:
        """Look at alerts of the companies that are due; of no more, however many were touched."""
        limit = compute_alert_limit(len(self._transactions))
        day = self._time_ms // MS_A_DAY
        contests = self.notes.contests
        contested = self._apart(partial(process_contests, self.state, contests, day))
        touched = self.notes.touched
        for name in contested or ():
            touched.setdefault(name, set()).add(ASSETS_TOUCHED)
        watch = Watch(self.state, self._rules, self._bodies, self._height, day)
        before = self._chain.header(self._height - 1)
        times_ms = (self._time_ms if before is None else before.time_ms, self._time_ms)
        looks = partial(process_timed_looks, watch, times_ms, limit, len(touched))
        timed = {
            name: touched.pop(name, set()) | {TIME_TOUCHED} for name in self._apart(looks) or ()
        }
        left = compute_queue_limit(limit, len(timed))
        due = self._apart(partial(process_alert_queue, self.state, touched, left)) or ()
        for name, names in (*due, *timed.items()):
            self._apart(partial(process_company_alerts, watch, name, names))

    def close_epoch(self) -> None:
        """Carry out the change of members that is active from the next height on (rule 2)."""
        self.state.begin()
        process_epoch_end(self.state, self._height, self._time_ms)
        self.state.commit()

    def _apart(self, step: Callable[[], T]) -> T | None:
        """Run one step of the alerts; a failure drops what it wrote and no more (rule 54)."""
        self.state.begin()
        try:
            result = step()
            self.state.commit()
        except (MemoryError, OSError, StorageError):
            raise
        except Exception:  # noqa: BLE001 (rule 54: whatever it is, the chain goes on)
            self.state.rollback()
            self.notes.failures.append(Failure(-1, b"", traceback.format_exc()))
            return None
        return result

    def _drop(self) -> None:
        self.state.rollback()
        self.notes.rollback()

    def _check_once(self, tx_id: bytes, position: int, expires_at_ms: int) -> Result | None:
        """Return the result of a repeated or late transaction (rule 14).

        A node that began at a snapshot knows the ids of the last MAX_TTL before it alone, so on a
        chain with snapshots a late repeat is late and not a repeat; its first fate stays.
        """
        first = self._seen.get(tx_id)
        if first is not None:
            return _rejection(Code.DUPLICATE, _repeat_text(self._height, first))
        fate = self._chain.fate(tx_id)
        is_late = self._time_ms >= expires_at_ms
        if fate is not None and not (is_late and self._has_snapshots):
            return _rejection(Code.DUPLICATE, _repeat_text(fate[0], fate[1]))
        self._seen[tx_id] = position
        if fate is not None:
            self.late_repeats.add(position)
        if is_late:
            return _rejection(
                Code.EXPIRED,
                f"transaction expired at {expires_at_ms}, the block's time is {self._time_ms}",
            )
        return None

    def _handle(
        self, position: int, transaction: Transaction, digests: tuple[bytes, ...] | None
    ) -> Value:
        is_of_node = transaction.kind == READY_KIND
        resolve = self._senders.resolve_node if is_of_node else self._senders.resolve
        sender = resolve(transaction.sender, transaction.public_key)
        handler = self._handlers.get(transaction.kind)
        if handler is None:
            raise Rejected(Code.KIND_UNKNOWN, f"kind {transaction.kind} is not known")
        return handler(
            Context(
                self.state,
                transaction,
                sender,
                self._height,
                position,
                self._time_ms,
                self._bodies,
                self._rules,
                self.notes,
                digests,
            )
        )


def _repeat_text(height: int, position: int) -> str:
    return f"transaction was executed in block {height} at position {position}"


def _rejection(code: Code, text: str) -> Result:
    return int(code), {"error": text[:MAX_ERROR_TEXT]}


def execute_block(
    reader: Reader,
    parent: Header,
    batch: Batch,
    transactions: Sequence[Transaction],
    *,
    digests: Mapping[bytes, tuple[bytes, ...]] | None = None,
    caches: ExecutionCaches | None = None,
) -> ExecutedBlock:
    """Execute the block after `parent`, whose state `reader` holds; return results and writes.

    `transactions` are those of the batch, in order. `digests` may give, by signed hash, what
    `check_attachments` returned for a transaction at the door; the others are computed here.
    """
    if batch.height != parent.height + 1:
        raise LocalError(Code.INTERNAL, f"batch {batch.height} after block {parent.height}")
    if tuple(item.signed_hash for item in transactions) != batch.transactions:
        raise LocalError(Code.INTERNAL, f"transactions are not those of batch {batch.height}")
    check_protocol(Overlay(reader), batch.height)
    caches = ExecutionCaches() if caches is None else caches
    known = {} if digests is None else digests
    time_ms = parent.time_ms if batch.time_ms is None else max(parent.time_ms, batch.time_ms)
    has_snapshots = get_snapshot_blocks(Overlay(reader)) > 0
    block = _Block(
        reader, batch.height, time_ms, transactions, caches.rules, has_snapshots=has_snapshots
    )
    results: list[Result] = []
    leaves: list[bytes] = []
    for position, transaction in enumerate(transactions):
        of_this = known.get(batch.transactions[position])
        result, leaf = block.run(position, transaction, of_this)
        results.append(result)
        leaves.append(leaf)
    block.close()
    epoch, members_root = compute_header_epoch(block.state, parent)
    epochs = caches.epochs.get(block.state, members_root)
    changes = block.state.finish()
    tree = StateTree(reader, parent.state_root, caches.nodes).update(changes.leaves)
    roots = (compute_root(leaves), tree.root, members_root)
    header = _next_header(parent, batch, time_ms, epoch, roots)
    writes = block_writes(header, batch, transactions, results, block.late_repeats)
    writes.update(changes.writes)
    writes.update(tree.writes)
    if has_snapshots:
        writes.update(leaf_key_writes(tree, changes.keys))
    return ExecutedBlock(
        header, batch, tuple(transactions), tuple(results), writes, block.notes, epochs
    )


def _next_header(
    parent: Header, batch: Batch, time_ms: int, epoch: int, roots: tuple[bytes, bytes, bytes]
) -> Header:
    """Return the header; `roots` are those of results, state and members."""
    return Header(
        HEADER_VERSION,
        parent.chain_id,
        batch.height,
        parent.hash(),
        time_ms,
        batch.digest(parent.chain_id),
        *roots,
        epoch,
        len(batch.transactions),
    )


def rerun_block(
    reader: Reader,
    header: Header,
    batch: Batch,
    transactions: Sequence[Transaction],
    *,
    rules: RuleCache,
    handlers: Mapping[str, Handler],
) -> tuple[tuple[Result, ...], WriteBatch]:
    """Execute a block that is known again, with a rule book or handlers that see or know more.

    For asking what another rule would have done (`ledger.audit.what_if`): the writes bring the
    state and the chain forward and leave the authenticated tree out, so nothing is proven by them.
    """
    has_snapshots = get_snapshot_blocks(Overlay(reader)) > 0
    block = _Block(
        reader,
        header.height,
        header.time_ms,
        transactions,
        rules,
        has_snapshots=has_snapshots,
        handlers=handlers,
    )
    results = [block.run(place, item, None)[0] for place, item in enumerate(transactions)]
    block.close()
    writes = block_writes(header, batch, transactions, results, block.late_repeats)
    writes.update(block.state.finish().writes)
    return tuple(results), writes


def execute_genesis(genesis: Genesis) -> GenesisResult:
    """Return the header of height 0 and the first writes; raise `Refused` 7002 for a bad rule."""
    reader = MemoryStore()
    has_snapshots = SNAPSHOT_BLOCKS in genesis.settings
    state = Overlay(reader, is_summed=has_snapshots)
    state.begin()
    for member in genesis.members:
        state.put(MEMBERS, member.id.encode(), member.to_value())
    state.put(SETTINGS, VALIDATORS_KEY, genesis.validators)
    put_settings(state, genesis.chain_id, genesis.settings)
    put_limits(state, read_genesis_limits(genesis.settings), genesis.time_ms // MS_A_DAY)
    cache = RuleCache()
    CatalogueState(state, cache).put(genesis.category_values)
    rules = cache.over(state)
    for index, source in enumerate(genesis.rules):
        try:
            kind = load_kind(source)
            if kind == "product":
                put_genesis_product(state, rules, source, _GENESIS_OWNER)
            else:
                rules.register(kind, source, _GENESIS_OWNER, 0)
        except RuleSourceError as error:
            raise Refused(Code.GENESIS_INVALID, f"rules[{index}]: {error}") from None
        except Rejected as error:
            raise Refused(Code.GENESIS_INVALID, f"rules[{index}]: {error.message}") from None
    state.commit()
    changes = state.finish()
    tree = StateTree(reader, cache=NodeCache()).update(changes.leaves)
    header = Header(
        HEADER_VERSION,
        genesis.chain_id,
        0,
        ZERO_HASH,
        genesis.time_ms,
        ZERO_HASH,
        EMPTY_ROOT,
        tree.root,
        compute_members_root(0, genesis.validator_keys()),
        0,
        0,
    )
    writes = genesis_writes(genesis.data, header)
    writes.update(changes.writes)
    writes.update(tree.writes)
    if has_snapshots:
        writes.update(leaf_key_writes(tree, changes.keys))
    return GenesisResult(header, writes)
