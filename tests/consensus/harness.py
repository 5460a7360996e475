"""One replica among made-up peers (`Bench`), and a few replicas on a network without faults.

`Bench` holds the replica under test; `make_*` sign what another member would say. Its shell
performs effects at once: records are kept, blocks are made as soon as a batch is committed. Time
moves only by `wait`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from consensus import effects as fx
from consensus.config import NS_PER_MS, ReplicaConfig, minimal
from consensus.effects import Effect
from consensus.epochs import EpochView
from consensus.events import (
    BatchExecuted,
    ChainHead,
    Clock,
    Event,
    ExecutedBlock,
    MessageReceived,
    Request,
    RequestReceived,
    Timer,
    TimerExpired,
)
from consensus.log import VoteRecord
from consensus.messages import (
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    Proposal,
    ViewChange,
    new_view_input,
    view_change_hash,
    view_change_input,
    vote_input,
)
from consensus.new_view import compute_opening
from consensus.replica import Replica
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate, checkpoint_signing_input
from ledger.chain.hashes import ZERO_HASH
from tests.simulator.keys import FastKeyring

CHAIN_ID = b"\x11" * 32
WALL_MS = 1_600_000_000_000
EXPIRES_MS = WALL_MS + 300_000
UNSIGNED = bytes(64)


def tx(number: int) -> bytes:
    """Return the hash of a made-up transaction."""
    return sha256(b"tx%d" % number).digest()


def block_hash_of(height: int, digest: bytes) -> bytes:
    """Return the hash that the harness gives to the block of a batch."""
    return sha256(b"block" + height.to_bytes(8, "big") + digest).digest()


def make_config(size: int, index: int) -> ReplicaConfig:
    """Return the minimal preset for one of `size` members with fast keys."""
    return minimal(CHAIN_ID, 0, FastKeyring(size).public_keys, index)


class Maker:
    """Signs as any member of a group of `size`, in `epoch`."""

    def __init__(self, size: int, epoch: int = 0) -> None:
        self.size = size
        self.epoch = epoch
        self.config = make_config(size, 0)
        keys = FastKeyring(size)
        self._sign = [keys.signer(index) for index in range(size)]

    def digest(self, batch: Batch) -> bytes:
        """Return the digest of a batch on the chain of the tests."""
        return batch.digest(CHAIN_ID)

    def batch(self, height: int, *numbers: int, time_ms: int = WALL_MS) -> Batch:
        """Return a batch of made-up transactions."""
        return Batch(height, time_ms, tuple(tx(number) for number in numbers))

    def vote_signature(self, kind: str, view: int, height: int, digest: bytes, by: int) -> bytes:
        """Return the signature of member `by` under a vote."""
        return self._sign[by](vote_input(CHAIN_ID, kind, self.epoch, view, height, digest, by))

    def pre_prepare(self, view: int, batch: Batch, by: int | None = None) -> PrePrepare:
        """Return a PRE-PREPARE of the primary of `view`."""
        signer = view % self.size if by is None else by
        digest = self.digest(batch)
        signature = self.vote_signature(PRE_PREPARE_KIND, view, batch.height, digest, signer)
        return PrePrepare(self.epoch, view, digest, signer, signature, batch)

    def prepare(self, view: int, batch: Batch, by: int) -> Prepare:
        """Return a PREPARE."""
        digest = self.digest(batch)
        signature = self.vote_signature(PREPARE_KIND, view, batch.height, digest, by)
        return Prepare(self.epoch, view, batch.height, digest, by, signature)

    def commit(self, view: int, batch: Batch, by: int) -> Commit:
        """Return a COMMIT."""
        digest = self.digest(batch)
        signature = self.vote_signature(COMMIT_KIND, view, batch.height, digest, by)
        return Commit(self.epoch, view, batch.height, digest, by, signature)

    def checkpoint(self, height: int, block_hash: bytes, by: int) -> Checkpoint:
        """Return a CHECKPOINT."""
        signed = checkpoint_signing_input(CHAIN_ID, self.epoch, height, block_hash, by)
        return Checkpoint(self.epoch, height, block_hash, by, self._sign[by](signed))

    def certificate(self, height: int, block_hash: bytes, signers: Sequence[int]) -> Certificate:
        """Return a certificate of the given signers."""
        votes = tuple((by, self.checkpoint(height, block_hash, by).signature) for by in signers)
        return Certificate(self.epoch, height, block_hash, votes)

    def proof(self, view: int, batch: Batch) -> PreparedProof:
        """Return a prepared certificate with the lowest backups."""
        primary, digest = view % self.size, self.digest(batch)
        backups = [member for member in range(self.size) if member != primary]
        signature = self.pre_prepare(view, batch).signature
        prepares = tuple(
            (by, self.prepare(view, batch, by).signature)
            for by in backups[: self.config.quorum - 1]
        )
        return PreparedProof(view, batch.height, digest, signature, prepares)

    def view_change(
        self,
        view: int,
        by: int,
        proofs: Sequence[PreparedProof] = (),
        certificate: Certificate | None = None,
    ) -> ViewChange:
        """Return a VIEW-CHANGE."""
        height = certificate.height if certificate else 0
        unsigned = ViewChange(self.epoch, view, height, certificate, tuple(proofs), by, UNSIGNED)
        return replace(unsigned, signature=self._sign[by](view_change_input(CHAIN_ID, unsigned)))

    def new_view(
        self,
        view: int,
        changes: Sequence[ViewChange],
        digests: Sequence[tuple[int, bytes]] | None = None,
    ) -> NewView:
        """Return the NEW-VIEW that `changes` make, or one with other `digests`."""
        by = view % self.size
        chosen = compute_opening(changes, CHAIN_ID).digests if digests is None else digests
        proposals = tuple(
            Proposal(
                height, digest, self.vote_signature(PRE_PREPARE_KIND, view, height, digest, by)
            )
            for height, digest in chosen
        )
        names = tuple(sorted((item.signer, view_change_hash(item)) for item in changes))
        unsigned = NewView(self.epoch, view, names, proposals, by, UNSIGNED)
        return replace(unsigned, signature=self._sign[by](new_view_input(CHAIN_ID, unsigned)))


class Bench:
    """The replica of member `index` among `size`, with a shell that does all at once."""

    def __init__(
        self,
        size: int = 4,
        index: int = 1,
        records: Sequence[VoteRecord] = (),
        head: ChainHead | None = None,
        config: ReplicaConfig | None = None,
    ) -> None:
        self.config = config or make_config(size, index)
        self.make = Maker(size, self.config.epoch)
        self.views: dict[int, EpochView] = {}  # of blocks whose members_root is not as ever
        self.index = index
        self.clock = Clock(0, WALL_MS)
        self.is_executing_by_itself = True
        self.effects: list[Effect] = []
        self.records: list[VoteRecord] = list(records)
        self.blocks: list[ExecutedBlock] = []
        start = head or ChainHead(
            0, ZERO_HASH, WALL_MS, None, (), EpochView(0, self.config.members)
        )
        self.replica, effects = Replica.restore(
            self.config, FastKeyring(size).signer(index), records, start, self.clock
        )
        self._perform(effects)

    def wait(self, milliseconds: int) -> None:
        """Let both clocks run on; no timer fires by itself."""
        now_ns, wall_ms = self.clock
        self.clock = Clock(now_ns + milliseconds * NS_PER_MS, wall_ms + milliseconds)

    def handle(self, event: Event) -> list[Effect]:
        """Deliver an event; return its effects, and those of what the shell does at once."""
        first = len(self.effects)
        self._perform(self.replica.handle(event, self.clock))
        return self.effects[first:]

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, fx.Persist):
                self.records.append(effect.record)
            elif isinstance(effect, fx.Execute) and self.is_executing_by_itself:
                self.execute(effect)

    def execute(self, effect: fx.Execute) -> None:
        """Make the block of a batch durable, and say so."""
        height = effect.batch.height
        block_hash = block_hash_of(height, effect.digest)
        self.blocks.append(ExecutedBlock(height, block_hash, effect.digest))
        epochs = self.views.get(height, self.config_view())
        self.handle(BatchExecuted(height, block_hash, WALL_MS, effect.batch.transactions, epochs))

    def config_view(self) -> EpochView:
        """Return what blocks say of members while nothing changes."""
        return EpochView(self.config.epoch, self.config.members)

    def receive(self, *messages: Message, sender: int | None = None) -> list[Effect]:
        """Deliver messages, each from its signer or from `sender`."""
        first = len(self.effects)
        for message in messages:
            by = getattr(message, "signer", 0) if sender is None else sender
            self.handle(MessageReceived(by, message))
        return self.effects[first:]

    def add_bodies(self, *numbers: int, origin: int = 2) -> list[Effect]:
        """Let the bodies of made-up transactions arrive."""
        first = len(self.effects)
        for number in numbers:
            request = Request(tx(number), 100, EXPIRES_MS, origin)
            self.handle(RequestReceived(request, origin == self.index))
        return self.effects[first:]

    def fire(self, timer: Timer) -> list[Effect]:
        """Let a timer run out."""
        return self.handle(TimerExpired(timer))

    def commit_height(self, batch: Batch, view: int = 0) -> None:
        """Let the others agree on a batch, so that it is committed here."""
        others = [member for member in range(self.make.size) if member != self.index]
        primary = view % self.make.size
        if primary != self.index:
            self.receive(self.make.pre_prepare(view, batch))
        self.receive(*(self.make.prepare(view, batch, by) for by in others if by != primary))
        self.receive(*(self.make.commit(view, batch, by) for by in others))

    def certify_height(self, height: int) -> None:
        """Let the others' CHECKPOINTs for an executed block arrive."""
        block_hash = self.blocks[height - 1].block_hash
        others = [member for member in range(self.make.size) if member != self.index]
        self.receive(*(self.make.checkpoint(height, block_hash, by) for by in others))


def of_kind(effects: Sequence[Effect], kind: type) -> list:
    """Return the effects of one type."""
    return [effect for effect in effects if isinstance(effect, kind)]


def said(effects: Sequence[Effect], kind: type) -> list:
    """Return the messages of one type that were sent to one or to all."""
    messages = [item.message for item in effects if isinstance(item, fx.Send | fx.Broadcast)]
    return [message for message in messages if isinstance(message, kind)]


def reasons(effects: Sequence[Effect]) -> list[str]:
    """Return why messages were dropped."""
    return [effect.reason for effect in of_kind(effects, fx.ReportDrop)]
