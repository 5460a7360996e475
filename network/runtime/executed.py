"""Bodies that the last blocks hold, found by the hash of their signed bytes.

A proposal may hold what is executed already: between two views the same request may stand at two
heights, and a faulty primary may order it again. It has no effect then (rule 14), but its body is
part of the batch all the same: it must be shown to members that lack it, and be there when the
block is executed (rules 17 and 20). The mempool forgets a body when its block is stable, so this
part remembers where in the chain the bodies of the last blocks stand. After a restart it reads
them from the chain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ledger.storage.chain_store import ChainStore
from ledger.transactions.records import check_attachments
from network.runtime.mempool import Held

# Several windows: what is older than this no honest member has prepared, or ever will.
BLOCKS_MAX = 128
# The member to whom a body is ascribed that came out of the own chain.
OWN_CHAIN = -1


class ExecutedBodies:
    """Where the bodies of the last `BLOCKS_MAX` blocks stand."""

    def __init__(self, chain: ChainStore) -> None:
        self._chain = chain
        self._places: dict[bytes, tuple[int, int]] = {}
        self._blocks: deque[tuple[int, Sequence[bytes]]] = deque()
        head = chain.height() or 0
        for height in range(max(1, head - BLOCKS_MAX + 1), head + 1):
            block = chain.block(height)
            if block is not None:  # a home that began with a snapshot holds no older ones
                self.add(height, block.hashes)

    def add(self, height: int, hashes: Sequence[bytes]) -> None:
        """Note a block that is durable, and forget the oldest."""
        for position, signed_hash in enumerate(hashes):
            self._places.setdefault(signed_hash, (height, position))
        self._blocks.append((height, hashes))
        if len(self._blocks) > BLOCKS_MAX:
            oldest, gone = self._blocks.popleft()
            for signed_hash in gone:
                if self._places.get(signed_hash, (0, 0))[0] == oldest:
                    del self._places[signed_hash]

    def get(self, signed_hash: bytes) -> Held | None:
        """Return a body out of the chain, or None when none of the last blocks holds it."""
        place = self._places.get(signed_hash)
        block = None if place is None else self._chain.block(place[0])
        if place is None or block is None:
            return None
        transaction = self._chain.transactions(block)[place[1]]
        digests = check_attachments(transaction)
        return Held(transaction, transaction.encoded(), OWN_CHAIN, digests)
