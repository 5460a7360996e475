"""One replica of a Twins run with its chain and its timers; a twin is two of these with one key.

Nothing crashes here, so records are durable at once and need no place. Blocks come from a model
ledger, bodies are known to all: the run is about votes.
"""

from __future__ import annotations

from typing import Any, Protocol

from consensus import effects as fx
from consensus.config import ReplicaConfig
from consensus.effects import Effect
from consensus.epochs import EpochView
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    FetchFailed,
    Request,
    RequestReceived,
    Timer,
    TimerExpired,
)
from consensus.replica import Replica
from consensus.state import Signer
from tests.simulator.checkers import ViolationError
from tests.simulator.model_ledger import ModelBlock, ModelLedger
from tests.simulator.scheduler import NS_PER_MS

DELAY_NS = NS_PER_MS
FETCH_NS = 100 * NS_PER_MS


class Surroundings(Protocol):
    """What an instance needs of its world."""

    def clock(self) -> Clock:
        """Return the one clock of all."""

    def send(self, sender: Instance, to: int, payload: Any) -> None:
        """Send to the instances of member `to`."""

    def deliver_later(self, number: int, event: Any, after_ns: int) -> None:
        """Give instance `number` an event of its own."""

    def is_reachable(self, sender: Instance, number: int) -> bool:
        """Tell whether instance `number` is on the sender's side in the sender's view."""

    def blocks_of(self, member: int) -> list[tuple[int, list[ModelBlock]]]:
        """Return the chains of the instances of a member, by number of the instance."""

    def on_send(self, sender: Instance, message: Any) -> None:
        """Check a message."""

    def on_block(self, sender: Instance, block: ModelBlock) -> None:
        """Check a block."""

    def on_report(self, sender: Instance, effect: Effect) -> None:
        """Count or check what a replica reports."""


class Instance:
    """Instance `number` of the run, which says that it is member `config.index`."""

    def __init__(
        self,
        world: Surroundings,
        number: int,
        config: ReplicaConfig,
        sign: Signer,
        ledger: ModelLedger,
    ) -> None:
        self.world = world
        self.number = number
        self.member = config.index
        self.ledger = ledger
        self._size = config.size
        self._timers: dict[Timer, int] = {}
        self._timer_count = 0
        self._fetch_count = 0
        block_hash, time_ms = ledger.head()
        self._epochs = EpochView(config.epoch, config.members, None)
        head = ChainHead(0, block_hash, time_ms, None, (), self._epochs)
        self.replica, effects = Replica.restore(config, sign, [], head, world.clock())
        self._perform(effects)

    def handle(self, event: Event) -> None:
        """Deliver an event, and perform what comes of it."""
        self._perform(self.replica.handle(event, self.world.clock()))

    def give(self, digest: bytes, origin: int) -> None:
        """Deliver a transaction: of a client of this instance, or relayed by member `origin`."""
        if digest not in self.ledger.seen:
            body = self.ledger.bodies[digest]
            request = Request(digest, body.size, body.expires_at_ms, origin)
            self.handle(RequestReceived(request, origin == self.member))

    def take(self, payload: tuple[str, Any]) -> None:
        """Take something of the shell's own: a timer, a relay, fetched blocks."""
        kind, content = payload
        if kind == "timer":
            timer, count = content
            if self._timers.get(timer) == count:
                del self._timers[timer]
                self.handle(TimerExpired(timer))
        elif kind == "blocks":
            self._install(*content)
        else:
            origin, hashes = content
            for digest in hashes:
                self.give(digest, origin)

    def _perform(self, effects: list[Effect]) -> None:
        world = self.world
        for effect in effects:
            kind = type(effect)
            if kind is fx.Broadcast:
                world.on_send(self, effect.message)
                for member in range(self._size):
                    if member != self.member:
                        world.send(self, member, effect.message)
            elif kind is fx.Send:
                world.on_send(self, effect.message)
                world.send(self, effect.to, effect.message)
            elif kind is fx.SetTimer:
                self._timer_count += 1
                self._timers[effect.timer] = self._timer_count
                expiry = ("timer", (effect.timer, self._timer_count))
                world.deliver_later(self.number, expiry, effect.after_ns)
            elif kind is fx.CancelTimer:
                self._timers.pop(effect.timer, None)
            elif kind in _OWN:
                _OWN[kind](self, effect)
            else:
                world.on_report(self, effect)

    def _execute(self, effect: fx.Execute) -> None:
        batch = effect.batch
        block = self._append(batch.time_ms, effect.digest, batch.transactions)
        place = (block.height, block.block_hash, block.time_ms)
        event = BatchExecuted(*place, batch.transactions, self._epochs)
        self.world.deliver_later(self.number, event, DELAY_NS)

    def _append(self, time_ms: int | None, digest: bytes, hashes: tuple[bytes, ...]) -> ModelBlock:
        block = self.ledger.execute(time_ms, digest, hashes)
        self.world.on_block(self, block)
        return block

    def _fetch_requests(self, effect: fx.FetchRequests) -> None:
        bodies = ("relay", (effect.sources[0], effect.hashes))
        self.world.deliver_later(self.number, bodies, DELAY_NS)

    def _relay(self, effect: fx.RelayRequests) -> None:
        self.world.send(self, effect.to, ("relay", (self.member, effect.hashes)))

    def _fetch_blocks(self, effect: fx.FetchBlocks) -> None:
        """Take the blocks of the first source that is on this side and has them."""
        self._fetch_count += 1
        first, certificate = effect.from_height, effect.certificate
        for member in effect.sources:
            for number, blocks in self.world.blocks_of(member):
                wanted = blocks[first - 1 : certificate.height]
                is_whole = bool(wanted) and wanted[-1].block_hash == certificate.block_hash
                if is_whole and self.world.is_reachable(self, number):
                    fetched = ("blocks", (self._fetch_count, effect, tuple(wanted)))
                    self.world.deliver_later(self.number, fetched, 2 * DELAY_NS)
                    return
        self.world.deliver_later(self.number, FetchFailed(certificate.height), FETCH_NS)

    def _install(self, fetch: int, effect: fx.FetchBlocks, blocks: tuple[ModelBlock, ...]) -> None:
        if fetch != self._fetch_count:
            return
        for block in blocks:
            if block.height <= self.ledger.height:
                continue
            made = self._append(block.time_ms, block.batch_digest, block.transactions)
            if made.block_hash != block.block_hash:
                raise ViolationError(f"instance {self.number} installs block {block.height} anew")
            own = effect.certificate if block.height == effect.certificate.height else None
            self.handle(
                BlockInstalled(
                    block.height,
                    block.block_hash,
                    block.batch_digest,
                    block.time_ms,
                    block.transactions,
                    own,
                    self._epochs,
                )
            )

    def _pass_over(self, effect: Effect) -> None:
        """Records, certificates and bodies are kept anyway: nothing crashes."""


_OWN: dict[type, Any] = {
    fx.Execute: Instance._execute,
    fx.FetchRequests: Instance._fetch_requests,
    fx.RelayRequests: Instance._relay,
    fx.FetchBlocks: Instance._fetch_blocks,
    fx.Persist: Instance._pass_over,
    fx.StoreCertificate: Instance._pass_over,
    fx.PruneVotes: Instance._pass_over,
    fx.ForgetRequests: Instance._pass_over,
}
