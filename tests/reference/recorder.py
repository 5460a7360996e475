"""Listens to a simulation: stands before its invariants and hands every call on to them.

Only honest members of an epoch are recorded: an observer says nothing that counts, and a member
that is found to be faulty in the run, because its disk has lied, is followed no further.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from consensus.effects import Effect, Execute, Persist, ReportEvidence
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Event,
    MessageReceived,
    StateInstalled,
)
from consensus.evidence import compute_content
from consensus.messages import Checkpoint, Commit, NewView, Prepare, ViewChange
from tests.reference.model import BreachError, Reference
from tests.reference.neutral import Translator, certificate_tuple
from tests.simulator.simulation import Simulation

COMPARED = (Prepare, Commit, Checkpoint, ViewChange, NewView)
LAST_COMPARED = 3


class EvidenceCheck:
    """Rule 50 at one node: who contradicts what it said a moment ago is reported, once."""

    def __init__(self) -> None:
        self._said: dict[int, deque[tuple[tuple[Any, ...], bytes]]] = {}
        self._reported: set[tuple[Any, ...]] = set()

    def look_at(self, member: Any, message: Any, effects: list[Effect]) -> None:
        """Compare a message with the last ones of its signer."""
        if type(message) not in COMPARED or message.epoch != member.config.epoch:
            return
        found = [item.evidence for item in effects if isinstance(item, ReportEvidence)]
        self._reported.update(self._subject(item.first) for item in found)
        subject = self._subject(message)
        content = compute_content(message, member.config.chain_id)
        said = self._said.setdefault(message.signer, deque(maxlen=LAST_COMPARED))
        differs = any(known == subject and other != content for known, other in said)
        if differs and subject not in self._reported and not member.replica.is_halted:
            raise BreachError(f"node {member.index} keeps no evidence of {subject} (rule 50)")
        said.append((subject, content))

    @staticmethod
    def _subject(message: Any) -> tuple[Any, ...]:
        kind = type(message).__name__
        view, height = getattr(message, "view", None), getattr(message, "height", None)
        return kind, message.epoch, message.signer, view, height


class Recorder:
    """The invariants of a simulation, and the reference model beside them."""

    def __init__(self, simulation: Simulation) -> None:
        self.reference = Reference()
        self._inner = simulation.invariants
        self._digests: dict[tuple[int, int], bytes] = {}
        self._evidence: dict[int, EvidenceCheck] = defaultdict(EvidenceCheck)
        config = simulation.nodes[0].config
        self._translator = Translator(config.chain_id)
        simulation.invariants = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _feed(self, member: Any, *line: Any) -> None:
        if member.is_honest and member.is_voter:
            self.reference.feed((member.index, *line))

    def on_start(self, member: Any, head: ChainHead) -> None:
        """A member starts."""
        self._evidence.pop(member.index, None)
        self._inner.on_start(member, head)
        config, certificate = member.config, None
        if head.certificate is not None:
            certificate = certificate_tuple(head.certificate)
        blocks = tuple(
            (item.height, self._translator.digest(item.height, item.batch_digest), item.block_hash)
            for item in head.recent
        )
        place = (config.epoch, config.index, config.size, config.limits.window)
        self._feed(member, "start", *place, head.height, certificate, blocks)

    def on_event(self, member: Any, wall_ms: int, event: Event, effects: list[Effect]) -> None:
        """A replica has answered an event."""
        if isinstance(event, MessageReceived):
            for message in self._translator.messages(event.message):
                self._feed(member, "received", message)
        elif isinstance(event, BatchExecuted):
            digest = self._digests[member.index, event.height]
            self._feed_block(member, "executed", event, digest)
        elif isinstance(event, BlockInstalled):
            self._feed_block(member, "installed", event, event.batch_digest)
        elif isinstance(event, StateInstalled):
            pending = event.epochs.pending[0] if event.epochs.pending else None
            self._feed(member, "state", certificate_tuple(event.certificate), pending)
        self._inner.on_event(member, wall_ms, event, effects)
        if isinstance(event, MessageReceived) and member.is_voter:
            self._evidence[member.index].look_at(member, event.message, effects)

    def _feed_block(self, member: Any, verb: str, event: Any, digest: bytes) -> None:
        pending = event.epochs.pending[0] if event.epochs.pending else None
        plain = self._translator.digest(event.height, digest)
        self._feed(member, verb, event.height, plain, event.block_hash, pending)

    def on_durable(self, member: Any, wall_ms: int, effect: Persist) -> None:
        """A record is on the disk."""
        self._feed(member, "persisted", self._translator.record(effect.record))
        self._inner.on_durable(member, wall_ms, effect)

    def on_send(self, member: Any, message: Any) -> None:
        """An honest member sends."""
        for plain in self._translator.messages(message):
            self._feed(member, "sent", plain)
        self._inner.on_send(member, message)

    def on_execute(self, member: Any, effect: Execute) -> None:
        """A batch is handed to the ledger."""
        self._digests[member.index, effect.batch.height] = effect.digest
        self._inner.on_execute(member, effect)
