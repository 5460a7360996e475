"""How a simulated member that is behind fetches blocks, and how it serves others.

One source is asked after the other, each for a while. Blocks prove themselves: they are a chain on
the own head that ends in the certificate, else they are thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus import effects as fx
from consensus.events import FetchFailed
from tests.simulator.model_ledger import ModelBlock
from tests.simulator.scheduler import NS_PER_MS

if TYPE_CHECKING:
    from tests.simulator.node import SimNode

FETCH_TIMEOUT_NS = 400 * NS_PER_MS


class Fetching:
    """The one fetch that a member has under way; a later one replaces it."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._count = 0
        self._wanted: fx.FetchBlocks | None = None

    def forget(self) -> None:
        """Wait no more for what was asked for: that was in an earlier life."""
        self._count += 1
        self._wanted = None

    def start(self, effect: fx.FetchBlocks) -> None:
        """Begin with the first source."""
        self._node.world.count("catch-ups")
        self._count += 1
        self._try_source(self._count, effect, 0)

    def _try_source(self, fetch: int, effect: fx.FetchBlocks, number: int) -> None:
        node, world = self._node, self._node.world
        if fetch != self._count or not node.is_up:
            return
        if number >= len(effect.sources):
            node.handle(FetchFailed(effect.certificate.height))
            return
        self._wanted = effect
        wanted = ("want blocks", effect.from_height, effect.certificate.height, fetch)
        world.transmit(node.index, node.roster.node_of(effect.sources[number]), wanted)
        world.scheduler.after(world.fetch_timeout_ns, self._try_source, fetch, effect, number + 1)

    def serve(self, sender: int, first: int, last: int, fetch: int) -> None:
        """Send what is held of the heights `first` to `last`."""
        blocks = self._node.ledger.blocks[first - 1 : last] if first > self._node.base else []
        self._node.world.transmit(self._node.index, sender, ("blocks", blocks, fetch))

    def receive(self, blocks: list[ModelBlock], fetch: int) -> None:
        """Install what proves itself: a chain on the own head that ends in the certificate."""
        if fetch != self._count or self._wanted is None:
            return
        certificate = self._wanted.certificate
        ledger = self._node.ledger
        parent_hash, _ = ledger.head()
        blocks = [block for block in blocks if block.height > ledger.height]
        for block in blocks:
            if block.parent_hash != parent_hash:
                return
            parent_hash = block.block_hash
        if not blocks or blocks[-1].block_hash != certificate.block_hash:
            return
        self._count += 1
        for block in blocks:
            self._node.install(block, certificate if block is blocks[-1] else None)
