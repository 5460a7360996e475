"""The audit of a chain that begins at a snapshot (rule 41): what is there is proved, not replayed.

Such a home has no blocks from which its state could be computed again. What can be shown without
them: the changes of members lead from genesis to those who certified the snapshot's block; every
block that is held follows the one before it and is what its header says, with signatures and
certificates; and the state is what the last header certifies, entry by entry, which is checked as a
node checks a state that another one gives it, by giving it to an empty store. That the members
executed each block by the rules is shown by a home that holds the whole chain. A home that deleted
the bodies of erased records is judged in the same way (`ledger.audit.erasure`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from ledger.audit.epochs import EpochSpan
from ledger.audit.erasure import check_erasure
from ledger.audit.headers import Anchors
from ledger.audit.report import AuditReport, Finding, Verdict, fault
from ledger.chain.block import (
    BlockError,
    StoredBlock,
    verify_block,
    verify_results,
    verify_transaction_hashes,
)
from ledger.chain.certificate import verify_certificate
from ledger.chain.epochs import EpochChange, EpochSet, verify_change
from ledger.chain.header import Header
from ledger.errors import Code, Refused, StorageError
from ledger.keys import verify_many
from ledger.membership.epoch_state import get_epoch_start
from ledger.snapshots.fetching import fetch_subtree, fetch_top
from ledger.snapshots.history import signed_count
from ledger.snapshots.limits import SUBTREES
from ledger.snapshots.queries import Query
from ledger.snapshots.serving import Snapshot
from ledger.state.leaf_keys import LEAF_KEYS
from ledger.state.overlay import Overlay
from ledger.state.tree import EMPTY_HASH
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Reader, Store
from ledger.transactions.envelope import Transaction, transaction_from_parts
from ledger.transactions.records import check_attachments

_STATE = (b"s", b"t", LEAF_KEYS)
_LAST = b"\xff" * 64


@dataclass(slots=True)
class _Held:
    """What is held of one chain, and what was found so far."""

    stored: Reader
    chain: ChainStore
    anchors: Anchors
    report: AuditReport
    spans: list[EpochSpan]

    def epoch(self) -> EpochSet:
        """Return the last epoch whose members are proved."""
        return EpochSet(self.spans[-1].epoch, self.spans[-1].validators)

    def enter(self, change: EpochChange) -> None:
        """Take in a change of members that the epoch before has certified."""
        height = change.header.height
        try:
            after = verify_change(self.anchors.genesis.chain_id, self.epoch(), change)
        except Refused as error:
            raise fault("members", error.message, height) from None
        self.spans.append(EpochSpan(after.epoch, change.first_height, after.validators))


def judge_begun(
    stored: Reader, scratch: Store, anchors: Anchors, report: AuditReport, base: tuple[int, int]
) -> None:
    """Judge a chain whose base is (snapshot's height, lowest block held); raise `FoundError`."""
    chain = ChainStore(stored)
    spans = [EpochSpan(0, 0, anchors.genesis.validator_keys())]
    held = _Held(stored, chain, anchors, report, spans)
    height, first = base
    report.head = chain.height() or 0
    if chain.genesis() != anchors.genesis.data:
        raise fault("genesis", "is not the document that is trusted", 0)
    header = chain.header(height)
    if header is None or chain.certificate(height) is None:
        raise fault("header", "or certificate of the snapshot's block is missing", height)
    for epoch in range(1, header.epoch + 1):
        change = chain.epoch_change(epoch)
        if change is None:
            raise fault("members", f"of epoch {epoch} are not shown", height)
        held.enter(change)
    last = _check_blocks(held, first, height)
    _check_state(held, scratch, last)
    report.epochs = tuple(held.spans)
    report.files.notes.append(_compute_note(check_erasure(stored), height, first))
    if not report.is_anchor_given:
        report.verdict = Verdict.UNPROVEN
        reason = f"the chain begins at block {height}: name a genesis document or receipt to trust"
        report.finding = Finding("anchor", reason, height)


def _compute_note(erased: int, height: int, first: int) -> str:
    """Say why blocks up to `height` are not executed again."""
    how = "blocks and state are proved by certificates, not executed again"
    if erased:
        return f"{erased} bodies of erased records were deleted here: up to block {height} {how}"
    return (
        f"the chain begins at block {height}, by a snapshot, with the blocks from {first} on and "
        f"bodies from there: {how}"
    )


def _check_blocks(held: _Held, first: int, base: int) -> Header:
    """Check every block that is held, from the lowest on; return the last header."""
    parent = held.chain.header(0) if first == 1 else None
    for height in range(first, held.report.head + 1):
        block = held.chain.block(height)
        if block is None:
            raise fault("block", "is missing", height)
        try:
            if parent is None:
                _check_lowest(block)
            else:
                verify_block(block, parent)
        except BlockError as error:
            place = (height, error.position, error.transaction_id)
            raise fault(error.part, error.reason, *place) from None
        except Refused as error:
            raise fault("batch", error.message, height) from None
        _check_signatures(held, block, has_bodies=height > base)
        held.anchors.check(block.header)
        if height >= base:
            _check_certificate(held, block.header)
        parent = block.header
        held.report.counts.blocks += 1
    if parent is None:
        raise fault("block", "is missing", first)
    if held.report.certified < base:
        raise fault("certificate", "of the snapshot's block is missing", base)
    return parent


def _check_lowest(block: StoredBlock) -> None:
    """Check the lowest block that is held; the next one's parent hash proves its header."""
    header = block.header
    if block.batch().digest(header.chain_id) != header.batch_digest:
        raise fault("batch", "is not what the header certifies", header.height)
    if not len(block.hashes) == len(block.transactions) == header.transaction_count:
        raise fault("transactions", "are of another count than the header's", header.height)
    verify_transaction_hashes(block)
    verify_results(block)


def _check_certificate(held: _Held, header: Header) -> None:
    certificate = held.chain.certificate(header.height)
    if certificate is None:
        return
    while held.epoch().epoch < header.epoch:
        held.enter(_next_change(held))
    chain_id = held.anchors.genesis.chain_id
    is_of_block = (certificate.height, certificate.block_hash) == (header.height, header.hash())
    if not is_of_block or certificate.epoch != header.epoch:
        raise fault("certificate", "is for another block", header.height)
    try:
        verify_certificate(certificate, chain_id, held.epoch().keys)
    except Refused as error:
        raise fault("certificate", error.message, header.height) from None
    held.report.certified = header.height
    held.report.counts.certificates += 1


def _next_change(held: _Held) -> EpochChange:
    """Return the change after the last epoch that is proved, out of the blocks that are held."""
    epoch = held.epoch().epoch + 1
    start = get_epoch_start(Overlay(held.stored), epoch)
    last = 0 if start is None else start.first_height - 1
    header, certificate = held.chain.header(last), held.chain.certificate(last)
    if start is None or header is None or certificate is None:
        raise fault("members", f"of epoch {epoch} are not shown", last)
    return EpochChange(header, certificate, start.validators)


def _check_signatures(held: _Held, block: StoredBlock, *, has_bodies: bool) -> None:
    height = block.header.height
    items = []
    for transaction in _transactions(held, block, has_bodies=has_bodies):
        items.append(transaction.signature_item())
        held.report.counts.records += len(transaction.attachments)
    for position, is_valid in enumerate(verify_many(items)):
        if not is_valid:
            place = (height, position, block.transactions[position].id)
            raise fault("signature", "does not verify", *place)
    held.report.counts.transactions += len(items)
    held.report.counts.signatures += len(items)


def _transactions(held: _Held, block: StoredBlock, *, has_bodies: bool) -> Iterator[Transaction]:
    """Yield the transactions of a block, with their bodies where these are held, checked."""
    height = block.header.height
    for position, item in enumerate(block.transactions):
        if item.attachment_count != signed_count(item):
            raise fault("count of bodies", "is not what was signed", height, position, item.id)
        count = item.attachment_count if has_bodies else 0
        try:
            bodies = held.chain.bodies(height, position, count)
            transaction = transaction_from_parts(item.unsigned, item.signature, bodies)
            if has_bodies:
                check_attachments(transaction)
        except (Refused, StorageError) as error:
            raise fault("bodies", error.message, height, position, item.id) from None
        yield transaction


def _check_state(held: _Held, scratch: Store, last: Header) -> None:
    """Give the state to an empty store, proving each piece, and compare what comes out."""
    source = Snapshot(last, held.stored)
    try:
        wanted = _run(fetch_top(scratch, last.state_root), source) or {}
        for subtree in range(SUBTREES):
            _run(fetch_subtree(scratch, subtree, wanted.get(subtree, EMPTY_HASH)), source)
    except (Refused, StorageError) as error:
        if error.code not in (Code.STATE_PIECE_INVALID, Code.STORE_CORRUPT):
            raise
        raise fault("state", f"{error.message}, after the last block", last.height) from None
    for prefix in _STATE:
        found = held.stored.scan(prefix, prefix + _LAST)
        proved = scratch.scan(prefix, prefix + _LAST)
        for entry in found:
            if entry != next(proved, None):
                reason = f"entry {entry[0].hex()} is not proved by the last block"
                raise fault("state", reason, last.height)
            held.report.counts.state_entries += 1


def _run(fetch: Generator[Query, bytes, Any], source: Snapshot) -> dict[int, bytes] | None:
    """Let one part of a state be fetched from a snapshot of the same chain."""
    try:
        query = next(fetch)
        while True:
            query = fetch.send(source.answer(query))
    except StopIteration as stop:
        result: dict[int, bytes] | None = stop.value
        return result
