"""What comes along of the blocks before a snapshot, and the writes that make a copy a home's chain.

Rule 14 needs the ids of the last MAX_TTL with the places of their first execution, and transactions
may name recent headers. Both are proved by the blocks themselves: headers by the parent hash of the
one above, down from the snapshot's, batch, signed transactions and results by their header. Bodies
of records do not come along here; certificates of earlier blocks neither, so a home that began at a
snapshot gives receipts from there on. Fates EXPIRED are not taken over: such a transaction may have
been executed before the history begins.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

from ledger.chain.block import (
    StoredBlock,
    StoredTransaction,
    decode_results,
    decode_transactions,
    verify_results,
    verify_transaction_hashes,
)
from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange
from ledger.chain.header import Header, decode_header
from ledger.encoding import encode
from ledger.errors import Code
from ledger.snapshots.checks import decode_items, invalid
from ledger.snapshots.limits import HISTORY_BLOCKS, HISTORY_MS, PIECE_BYTES
from ledger.snapshots.queries import HistoryQuery, Query
from ledger.storage.chain_store import (
    FATES,
    GENESIS_KEY,
    HEAD_KEY,
    HEADERS,
    RESULTS,
    TRANSACTIONS,
    base_writes,
    certificate_writes,
    epoch_change_writes,
    height_key,
)
from ledger.storage.store import Store
from ledger.transactions.envelope import transaction_from_parts
from ledger.transactions.records import RECORD_KINDS

Writes: TypeAlias = dict[bytes, "bytes | None"]


def fetch_history(store: Store, snapshot: Header, genesis: Header) -> Generator[Query, bytes, int]:
    """Fetch the blocks from the snapshot's down to the horizon; return the lowest height held."""
    want, height = snapshot.hash(), snapshot.height
    while height > 0:
        answer = yield HistoryQuery(height)
        items = decode_items(answer, "blocks", height)
        writes: Writes = {}
        for item in items:
            block = _read_block(item, want)
            if block.header.height != height or block.header.chain_id != snapshot.chain_id:
                raise invalid(f"block {block.header.height} in the place of block {height}")
            writes.update(_block_writes(block, item))
            want, height = block.header.parent_hash, height - 1
            if is_beyond_horizon(block.header, snapshot):
                store.write(writes, sync=True)
                return block.header.height
        store.write(writes, sync=True)
        if height > 0 and len(answer) < PIECE_BYTES:
            raise invalid(f"history ends at block {height + 1} in a piece that is not full")
    if want != genesis.hash():
        raise invalid("history does not begin with the genesis block")
    return 1


def is_beyond_horizon(header: Header, snapshot: Header) -> bool:
    """Tell whether nothing before this block is needed: ids may not be repeated any more."""
    is_old = header.time_ms <= snapshot.time_ms - HISTORY_MS
    return is_old and header.height <= snapshot.height - HISTORY_BLOCKS


def _read_block(item: object, want: bytes) -> StoredBlock:
    if type(item) is not tuple or [type(part) for part in item] != [bytes] * 3:
        raise invalid("block is not a header, transactions and results")
    header = decode_header(item[0])
    if header.hash() != want:
        raise invalid(f"header of block {header.height} is not what the next one says")
    time_ms, hashes, transactions = decode_transactions(item[1])
    block = StoredBlock(header, time_ms, hashes, transactions, decode_results(item[2]))
    if block.batch().digest(header.chain_id) != header.batch_digest:
        raise invalid(f"transactions of block {header.height} are not the header's")
    if not len(hashes) == len(transactions) == header.transaction_count:
        raise invalid(f"counts of block {header.height} differ")
    verify_transaction_hashes(block)
    verify_results(block)
    for stored in transactions:
        if stored.attachment_count != signed_count(stored):
            raise invalid(f"count of bodies in block {header.height} is not what was signed")
    return block


def signed_count(stored: StoredTransaction) -> int:
    """Return how many bodies the sender signed; hashes do not cover the stored count."""
    transaction = transaction_from_parts(stored.unsigned, stored.signature, ())
    count = transaction.body.get("count") if transaction.kind in RECORD_KINDS else 0
    return count if type(count) is int else -1


def _block_writes(block: StoredBlock, parts: tuple[bytes, bytes, bytes]) -> Writes:
    height = block.header.height
    writes: Writes = {
        height_key(prefix, height): part
        for prefix, part in zip((HEADERS, TRANSACTIONS, RESULTS), parts, strict=True)
    }
    for position, (stored, (code, _)) in enumerate(
        zip(block.transactions, block.results, strict=True)
    ):
        if code not in (Code.DUPLICATE, Code.EXPIRED):
            writes[FATES + stored.id] = encode((height, position, code))
    return writes


def finish_writes(
    document: bytes,
    genesis: Header,
    snapshot: Header,
    certificate: Certificate,
    changes: Sequence[EpochChange],
    first_height: int,
) -> Writes:
    """Return the last writes of a transfer, after which the store is a chain that ends there.

    `first_height` is the lowest block that is held without its bodies.
    """
    writes: Writes = {
        GENESIS_KEY: document,
        height_key(HEADERS, 0): genesis.encoded(),
        **base_writes(snapshot.height, first_height),
        HEAD_KEY: encode(snapshot.height),
    }
    for change in changes:
        writes.update(epoch_change_writes(change))
    writes.update(certificate_writes(certificate))
    return writes
