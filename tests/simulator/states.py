"""How a simulated member takes a whole state from others, and gives its own (rule 41).

The model's state is the chain that leads to it, so a snapshot is the blocks up to a multiple of S
and the certificate of the last; who has installed one serves no blocks from before it. The newest
that a source offers is taken if it proves itself, else the next source is asked (F25, F26).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consensus import effects as fx
from consensus.events import FetchFailed
from ledger.chain.certificate import Certificate
from tests.simulator.model_ledger import ModelBlock
from tests.simulator.scheduler import NS_PER_MS

if TYPE_CHECKING:
    from tests.simulator.node import SimNode

SNAPSHOT_BLOCKS = 4
SNAPSHOTS_KEPT = 2
FAR_BLOCKS = 2 * SNAPSHOT_BLOCKS
STATE_TIMEOUT_NS = 400 * NS_PER_MS


class States:
    """The one transfer that a member has under way; a later fetch replaces it."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._count = 0
        self._wanted: fx.FetchState | None = None

    def forget(self) -> None:
        """Wait no more for what was asked for: that was in an earlier life."""
        self._count += 1
        self._wanted = None

    def start(self, effect: fx.FetchState) -> None:
        """Begin with the first source."""
        self._node.world.count("state transfers: begun")
        self._count += 1
        self._try_source(self._count, effect, 0)

    def _try_source(self, fetch: int, effect: fx.FetchState, number: int) -> None:
        node, world = self._node, self._node.world
        if fetch != self._count or not node.is_up:
            return
        if number >= len(effect.sources):
            self._wanted = None
            node.handle(FetchFailed(effect.target.height))
            return
        self._wanted = effect
        source = node.roster.node_of(effect.sources[number])
        world.transmit(node.index, source, ("want state", effect.above_height, fetch))
        world.scheduler.after(STATE_TIMEOUT_NS, self._try_source, fetch, effect, number + 1)

    def serve(self, sender: int, above: int, fetch: int) -> None:
        """Send the newest certified snapshot above a height, one of the last two, if there is."""
        node, ledger = self._node, self._node.ledger
        newest = ledger.height // SNAPSHOT_BLOCKS * SNAPSHOT_BLOCKS
        for height in range(newest, 0, -SNAPSHOT_BLOCKS)[:SNAPSHOTS_KEPT]:
            certificate = ledger.certificates.get(height)
            if height > above and certificate is not None:
                payload = ("state", ledger.blocks[:height], certificate, fetch)
                node.world.transmit(node.index, sender, payload)
                return

    def receive(self, blocks: list[ModelBlock], certificate: Certificate, fetch: int) -> None:
        """Install a state that proves itself: its blocks lead from the own ones to Q signatures."""
        node = self._node
        if fetch != self._count or self._wanted is None or len(blocks) <= node.ledger.height:
            return
        if not self._is_proven(blocks, certificate):
            node.world.count("state transfers: lies seen")
            return
        self._count += 1
        self._wanted = None
        node.world.count("state transfers: installed")
        node.install_state(blocks, certificate)

    def _is_proven(self, blocks: list[Any], certificate: Certificate) -> bool:
        last, height = blocks[-1], self._node.ledger.height
        if (certificate.height, certificate.block_hash) != (last.height, last.block_hash):
            return False
        if not self._node.world.is_certified(certificate):
            return False
        parent, _ = self._node.ledger.head()
        for block in blocks[height:]:
            if block.parent_hash != parent:
                return False
            parent = block.block_hash
        return last.height % SNAPSHOT_BLOCKS == 0 and len(blocks) == last.height
