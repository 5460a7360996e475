"""Every limit of state transfer, in one place (rule 41). S itself is a setting of the chain."""

from __future__ import annotations

from ledger.errors import Code, LocalError
from ledger.state.tree import WIDTH
from ledger.transactions.envelope import MAX_TRANSACTION_BYTES, MAX_TTL_MS

SNAPSHOTS_KEPT = 2
# A node further behind than so many times S takes a snapshot; one that is nearer takes blocks.
FAR_SNAPSHOTS = 10

# A piece ends with the item that brings it to so many bytes, so only the last one may be smaller.
PIECE_BYTES = 512 * 1024
# The largest item: an entry of 64 records, each with its body.
PIECE_BYTES_MAX = 6 * 1024 * 1024
OFFER_BYTES_MAX = 2 * 1024 * 1024
BUCKETS_A_QUERY = 256
COMPANIES_A_QUERY = 256

# A subtree is what one source is asked for at a time: a node of level 2 and all below it.
SUBTREE_LEVEL = 2
SUBTREES = WIDTH**SUBTREE_LEVEL

# What comes along of the blocks before a snapshot: ids that may still be repeated (rule 14), and
# headers that a transaction may name.
HISTORY_MS = MAX_TTL_MS
HISTORY_BLOCKS = 1_000

if not PIECE_BYTES < MAX_TRANSACTION_BYTES < PIECE_BYTES_MAX:
    raise LocalError(Code.CONFIG_INVALID, "a piece has no room for its largest item")
