"""Bodies that the last blocks hold, found by the hash of their signed bytes.

A proposal may hold what is executed already: between two views the same request may stand at two
heights, and a faulty primary may order it again. It has no effect then (rule 14), but its body is
part of the batch all the same: it must be shown to members that lack it, and be there when the
block is executed (rules 17 and 20). The mempool forgets a body when its block is stable, so this
part remembers where in the chain the bodies of the last blocks stand. After a restart it reads
them from the chain.

A member that is slow asks for hundreds of bodies of a block at once. So each block is read once for
all that is asked of it, nothing is parsed to be sent on, and who sends does it in a worker thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

from ledger.chain.block import StoredTransaction
from ledger.encoding import encode
from ledger.storage.chain_store import ChainStore
from ledger.transactions.envelope import transaction_from_parts
from network.runtime.mempool import Held

# Several windows: what is older than this no honest member has prepared, or ever will.
BLOCKS_MAX = 128
# The member to whom a body is ascribed that came out of the own chain.
OWN_CHAIN = -1

Place = tuple[int, int]  # height and position


class ExecutedBodies:
    """Where the bodies of the last `BLOCKS_MAX` blocks stand."""

    def __init__(self, chain: ChainStore) -> None:
        self._chain = chain
        self._places: dict[bytes, Place] = {}
        self._blocks: deque[tuple[int, Sequence[bytes]]] = deque()
        self._read_height = 0
        self._read: tuple[StoredTransaction, ...] | None = None
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
        """Return a body out of the chain, or None when none of the last blocks holds it whole.

        The digests of its records are left to execution, which needs none for a repeat.
        """
        place = self._places.get(signed_hash)
        if place is None:
            return None
        height, position = place
        if self._read is None or self._read_height != height:
            self._read_height, self._read = height, self._chain.signed_transactions(height)
        bodies = None if self._read is None else self._bodies(self._read, height, position)
        if self._read is None or bodies is None:
            return None
        item = self._read[position]
        transaction = transaction_from_parts(item.unsigned, item.signature, bodies)
        return Held(transaction, transaction.encoded(), OWN_CHAIN, None)

    def find(self, hashes: Iterable[bytes]) -> list[Place]:
        """Return where those of `hashes` stand that the last blocks hold, in order of the chain."""
        return sorted(self._places[item] for item in hashes if item in self._places)

    def read(self, places: Sequence[Place], most_bytes: int) -> list[bytes]:
        """Return the wire bytes at `places`, in order, those that fit; for a worker thread."""
        wires: list[bytes] = []
        for height, of_block in groupby(places, key=lambda place: place[0]):
            stored = self._chain.signed_transactions(height)
            if stored is None:
                continue
            for _, position in of_block:
                bodies = self._bodies(stored, height, position)
                if bodies is None:
                    continue
                item = stored[position]
                wire = encode((item.unsigned, item.signature, bodies))
                if len(wire) > most_bytes:
                    return wires
                most_bytes -= len(wire)
                wires.append(wire)
        return wires

    def _bodies(
        self, stored: Sequence[StoredTransaction], height: int, position: int
    ) -> tuple[bytes, ...] | None:
        """Return the bodies of a transaction, or None where one was erased."""
        count = stored[position].attachment_count
        found = [self._chain.body(height, position, index) for index in range(count)]
        whole = tuple(item for item in found if item is not None)
        return whole if len(whole) == count else None
