"""The snapshots that this node gives to others: two, mostly at multiples of S (rule 41).

A snapshot is a view of the database at the moment when the block of its height was written, before
the next one was. LevelDB keeps what a view can see and what was overwritten since, so keeping one
costs a block nothing and the disk only what has changed; it lasts as long as the process, and after
a restart the next multiple of S brings the next one, but for homes that cannot give all blocks:
these keep the state that they start with. Pieces are read one at a time in a worker
thread, so askers take turns, and execution goes on beside them.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from ledger.chain.epochs import EpochChange
from ledger.chain.header import Header
from ledger.errors import CreditLedgerError, Refused
from ledger.snapshots.limits import SNAPSHOTS_KEPT
from ledger.snapshots.offers import Offer, encode_offers
from ledger.snapshots.queries import OfferQuery, decode_query
from ledger.snapshots.serving import Snapshot
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Store
from network.peers import PeerNetwork
from network.wire import GetState, StatePiece

log = structlog.get_logger()


class SnapshotShelf:
    """Keeps the last snapshots and answers questions about them."""

    def __init__(
        self,
        store: Store,
        interval: int,
        peers: PeerNetwork,
        changes: Callable[[int], tuple[EpochChange, ...]],
    ) -> None:
        """`interval` is S, 0 for none; `changes` returns those from genesis to an epoch."""
        self._store = store
        self._interval = interval
        self._peers = peers
        self._changes = changes
        self._kept: tuple[Snapshot, ...] = ()
        self._turn = trio.Lock()
        self.served_bytes = 0

    @property
    def heights(self) -> tuple[int, ...]:
        """The heights of the snapshots that are kept, ascending."""
        return tuple(item.header.height for item in self._kept)

    def begin(self, header: Header) -> None:
        """Keep the state that the node starts with, where its blocks are not all to be had of it.

        A home that began at a snapshot or deleted erased bodies cannot give others every block; if
        all homes are so, who is behind could wait for the next multiple of S in vain.
        """
        if self._interval and header.height and ChainStore(self._store).base() is not None:
            self._kept = (Snapshot(header, self._store.snapshot()),)
        else:
            self.keep(header)

    def keep(self, header: Header) -> None:
        """Keep the state after `header`'s block if it is its turn.

        Called in the thread that has written the block, before it writes the next one.
        """
        if self._interval and header.height and header.height % self._interval == 0:
            snapshot = Snapshot(header, self._store.snapshot())
            self._kept = (*self._kept, snapshot)[-SNAPSHOTS_KEPT:]

    def clear(self) -> None:
        """Forget the snapshots of a chain that was replaced by an installed state."""
        self._kept = ()

    async def serve(self, number: int, frame: GetState) -> None:
        """Send the piece that a member asks for, or say that it is not held."""
        async with self._turn:
            try:
                data = await trio.to_thread.run_sync(self._answer, frame)
            except Refused as error:
                log.info("piece of a state not served", peer=number, text=error.message)
                data = b""
        self.served_bytes += len(data)
        self._peers.send(number, StatePiece(frame.number, data))

    def _answer(self, frame: GetState) -> bytes:
        query = decode_query(frame.query)
        kept = self._kept
        if isinstance(query, OfferQuery):
            return encode_offers([offer for offer in map(self._offer, kept) if offer is not None])
        for snapshot in kept:
            if snapshot.header.height == frame.height:
                return snapshot.answer(query)
        return b""

    def _offer(self, snapshot: Snapshot) -> Offer | None:
        """Return the offer of a snapshot, None while its block or its epoch is not certified."""
        header = snapshot.header
        certificate = ChainStore(self._store).certificate(header.height)
        try:
            changes = self._changes(header.epoch)
        except CreditLedgerError:
            return None
        if certificate is None or len(changes) != header.epoch:
            return None
        return Offer(header, certificate, changes)
