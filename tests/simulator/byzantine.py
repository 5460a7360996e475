"""Members that lie: a real replica whose outgoing messages are altered, doubled or dropped.

A liar has its own key and no other. Each behaviour is one small function from a message (and whom
it goes to) to what is sent instead; a liar mixes those that its seed gave it. Colluding liars
share what they told whom through `Conspiracy`, so that an equivocation is backed by votes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from consensus.config import ReplicaConfig
from consensus.messages import (
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    new_view_input,
    view_change_input,
    vote_input,
)
from ledger.chain.batch import Batch, null_batch
from ledger.chain.certificate import checkpoint_signing_input
from tests.simulator.forgeries import FORGERIES
from tests.simulator.model_ledger import Body
from tests.simulator.schedule import LiarLine, ScheduleError

FAR_VIEW = 1_000_000
HEARD_MAX = 40


@dataclass(slots=True)
class Conspiracy:
    """What the liars of a run have agreed on: the other digest of a (view, height)."""

    other: dict[tuple[int, int], bytes] = field(default_factory=dict)
    registry: Mapping[bytes, Body] = field(default_factory=dict)
    signers: dict[int, Callable[[bytes], bytes]] = field(default_factory=dict)
    lies: dict[str, int] = field(default_factory=dict)


class Liar:
    """The behaviour of one Byzantine member."""

    def __init__(
        self,
        config: ReplicaConfig,
        sign: Callable[[bytes], bytes],
        line: LiarLine,
        rng: Random,
        conspiracy: Conspiracy,
    ) -> None:
        self.config = config
        self.sign = sign
        self.rng = rng
        self.answers: list[tuple[int, Any]] = []
        self._conspiracy = conspiracy
        half, victim = rng.sample(range(config.size), config.size // 2), rng.randrange(config.size)
        self.half = frozenset(line.half or half)
        self._victim = victim if line.victim is None else line.victim
        conspiracy.signers[config.index] = sign
        self._past: list[Any] = []
        self._heard: dict[type, deque[Any]] = {}
        self._bodies: deque[bytes] = deque(maxlen=HEARD_MAX)
        self.usurped_view = 0
        self._patience = rng.randint(20, 600)
        self.flooded = 0
        self.opened: NewView | None = None
        self.held_back: set[tuple[int, int, int]] = set()
        self.last_time_ms = 0
        self.refused: set[bytes] = set()
        unknown = [name for name in line.behaviours if name not in BEHAVIOURS]
        if unknown:
            raise ScheduleError(f"no lie {unknown[0]!r}, want one of {', '.join(BEHAVIOURS)}")
        self.behaviours = line.behaviours

    def enter(self, config: ReplicaConfig, sign: Callable[[bytes], bytes]) -> None:
        """Go on lying in another epoch, from another place and perhaps under another key."""
        signers = self._conspiracy.signers
        if signers.get(self.config.index) is self.sign:
            del signers[self.config.index]
        self.config, self.sign = config, sign
        signers[config.index] = sign
        self.half = frozenset(self.rng.sample(range(config.size), config.size // 2))
        self._victim %= config.size
        self._heard = {}
        self.usurped_view = 0

    def transform(self, to: int, payload: Any) -> list[Any]:
        """Return what is sent to `to` in place of `payload`."""
        sent, lies = [payload], self._conspiracy.lies
        if type(payload) is ViewChange and payload.signer == self.config.index:
            self._remember(payload)
        for name in self.behaviours:
            before, sent = sent, []
            for item in before:
                sent += BEHAVIOURS[name](self, to, item)
            if list(map(id, sent)) != list(map(id, before)):
                lies[name] = lies.get(name, 0) + 1
        return sent

    def hear(self, sender: int, payload: Any) -> Any:
        """Remember what has come in, and return what the own replica is to get of it."""
        if type(payload) is tuple:
            if payload[0] == "want bodies":
                refused = [item for item in payload[1] if item in self.refused]
                if refused:
                    self.answers.append((sender, ("refused bodies", refused)))
            if payload[0] != "bodies":
                return payload
            self._bodies.extend(payload[1])
            if "censor" in self.behaviours:
                self._conspiracy.lies["censor"] = self._conspiracy.lies.get("censor", 0) + 1
                return ("bodies", [item for item in payload[1] if item[0] % 2])
            return payload
        if type(payload) is PrePrepare:
            self.last_time_ms = payload.batch.time_ms or 0
        self._remember(payload)
        return payload

    def _remember(self, payload: Any) -> None:
        self._heard.setdefault(type(payload), deque(maxlen=HEARD_MAX)).append(payload)

    def known_bodies(self) -> list[Body]:
        """Return the last transactions whose bodies came in."""
        registry = self._conspiracy.registry
        return [registry[item] for item in dict.fromkeys(self._bodies) if item in registry]

    @property
    def fellows(self) -> set[int]:
        """Return who lies too."""
        return set(self._conspiracy.signers) - {self.config.index}

    def heard_of(self, kind: type) -> list[Any]:
        """Return the last messages of one type that came in."""
        return list(self._heard.get(kind, ()))

    def proposal_signature(self, view: int, height: int, digest: bytes) -> bytes | None:
        """Return the true signature under a proposal of another liar, if one leads that view."""
        signer = self._conspiracy.signers.get(self.config.primary(view))
        if signer is None:
            return None
        config = self.config
        place = (config.epoch, view, height, digest, config.primary(view))
        return signer(vote_input(config.chain_id, PRE_PREPARE_KIND, *place))

    def checkpoint_signature(self, height: int, block_hash: bytes) -> bytes:
        """Return the own signature under a CHECKPOINT."""
        config = self.config
        return self.sign(
            checkpoint_signing_input(
                config.chain_id, config.epoch, height, block_hash, config.index
            )
        )

    def censor(self, to: int, payload: Any) -> list[Any]:
        """Order nothing of half of the transactions: `hear` keeps them from the replica (F29)."""
        return [payload]

    def vote_signature(self, kind: str, view: int, height: int, digest: bytes) -> bytes:
        config = self.config
        return self.sign(
            vote_input(config.chain_id, kind, config.epoch, view, height, digest, config.index)
        )

    def silent(self, to: int, payload: Any) -> list[Any]:
        """Say nothing at all (F1 for ever)."""
        return []

    def fall_silent(self, to: int, payload: Any) -> list[Any]:
        """Take part for a while, and then say nothing any more (F1)."""
        self._patience -= 1
        return [payload] if self._patience > 0 else []

    def silent_to_victim(self, to: int, payload: Any) -> list[Any]:
        """Say nothing to one member (F6)."""
        return [] if to == self._victim else [payload]

    def equivocate(self, to: int, payload: Any) -> list[Any]:
        """Propose another batch to half of the members (F4)."""
        if type(payload) is not PrePrepare or to not in self.half or payload.batch.is_null:
            return [payload]
        return [self.alter(payload, payload.batch.transactions[::-1], 1)]

    def alter(self, message: PrePrepare, hashes: tuple[bytes, ...], later_ms: int) -> PrePrepare:
        batch = Batch(message.height, (message.batch.time_ms or 0) + later_ms, hashes)
        return self._propose(message, batch)

    def _propose(self, message: PrePrepare, batch: Batch) -> PrePrepare:
        digest = batch.digest(self.config.chain_id)
        self._conspiracy.other[message.view, message.height] = digest
        signature = self.vote_signature(PRE_PREPARE_KIND, message.view, message.height, digest)
        return replace(message, batch=batch, digest=digest, signature=signature)

    def propose_invalid(self, to: int, payload: Any) -> list[Any]:
        """Propose what no backup may accept: unknown bodies, a far time, a null batch (F7, F12)."""
        if type(payload) is not PrePrepare or self.rng.random() < 0.5:
            return [payload]
        choice = self.rng.randrange(4)
        if choice == 0:
            return [self.alter(payload, (*payload.batch.transactions, b"?" * 32), 0)]
        if choice == 1:
            return [self.alter(payload, payload.batch.transactions, 86_400_000)]
        if choice == 2:
            return [self._propose(payload, null_batch(payload.height))]
        later_ms = (payload.batch.time_ms or 0) + 1
        return [replace(payload, batch=replace(payload.batch, time_ms=later_ms))]

    def vote_twice(self, to: int, payload: Any) -> list[Any]:
        """Vote for both batches of an equivocation, or for nothing known (F5)."""
        if type(payload) is Prepare:
            return [payload, self._other_vote(payload, PREPARE_KIND)]
        if type(payload) is Commit:
            return [self._other_vote(payload, COMMIT_KIND), payload]
        return [payload]

    def _other_vote(self, vote: Any, kind: str) -> Any:
        digest = self._conspiracy.other.get((vote.view, vote.height), b"\x07" * 32)
        signature = self.vote_signature(kind, vote.view, vote.height, digest)
        return replace(vote, digest=digest, signature=signature)

    def support_equivocation(self, to: int, payload: Any) -> list[Any]:
        """Back each half in what it was told, as primary and as voter."""
        sent = [payload]
        if type(payload) is PrePrepare and payload.signer == self.config.index:
            key = (payload.view, payload.height)
            digest = self._conspiracy.other.get(key, payload.digest)
            for told in {payload.digest, digest}:
                signature = self.vote_signature(COMMIT_KIND, *key, told)
                sent.append(Commit(payload.epoch, *key, told, self.config.index, signature))
        return sent

    def hide_prepared(self, to: int, payload: Any) -> list[Any]:
        """Show an empty VIEW-CHANGE with a stale checkpoint (F16, F17)."""
        if type(payload) is not ViewChange or payload.signer != self.config.index:
            return [payload]
        bare = replace(payload, stable_height=0, certificate=None, prepared=())
        return [self._resign_view_change(bare)]

    def _resign_view_change(self, message: ViewChange) -> ViewChange:
        signature = self.sign(view_change_input(self.config.chain_id, message))
        return replace(message, signature=signature)

    def far_view(self, to: int, payload: Any) -> list[Any]:
        """Ask for a view far away (F21)."""
        if type(payload) is not Commit:
            return [payload]
        config = self.config
        change = ViewChange(config.epoch, FAR_VIEW, 0, None, (), config.index, bytes(64))
        return [payload, self._resign_view_change(change)]

    def wrong_new_view(self, to: int, payload: Any) -> list[Any]:
        """Open a view with another O than V makes it, or to half of the members (F18, F20)."""
        if type(payload) is not NewView or payload.signer != self.config.index:
            return [payload]
        if to in self.half:
            return []
        if not payload.proposals:
            return [payload]
        shorter = replace(payload, proposals=payload.proposals[:-1])
        signature = self.sign(new_view_input(self.config.chain_id, shorter))
        return [replace(shorter, signature=signature)]

    def wrong_checkpoint(self, to: int, payload: Any) -> list[Any]:
        """Vote for a block that nobody has (F27)."""
        if type(payload) is not Checkpoint:
            return [payload]
        config, wrong = self.config, b"\x09" * 32
        signed = checkpoint_signing_input(
            config.chain_id, payload.epoch, payload.height, wrong, config.index
        )
        other = replace(payload, block_hash=wrong, signature=self.sign(signed))
        return [payload, other] if to in self.half else [other]

    def lie_about_status(self, to: int, payload: Any) -> list[Any]:
        """Claim to hold nothing, so that all is sent again."""
        if type(payload) is not Status:
            return [payload]
        return [replace(payload, slots=(), checkpoints=(), stable_height=0, view_changes=b"")]

    def withhold_bodies(self, to: int, payload: Any) -> list[Any]:
        """Spread no bodies and answer no request for them (F12, F30)."""
        is_bodies = type(payload) is tuple and payload[0] in ("bodies", "blocks", "state")
        return [] if is_bodies and to in self.half else [payload]

    def replay(self, to: int, payload: Any) -> list[Any]:
        """Send old messages again (F14)."""
        self._past.append(payload)
        if self.rng.random() < 0.3:
            return [payload, self.rng.choice(self._past)]
        return [payload]


BEHAVIOURS: dict[str, Callable[[Liar, int, Any], list[Any]]] = {
    **FORGERIES,
    "censor": Liar.censor,
    "fall silent": Liar.fall_silent,
    "equivocate": Liar.equivocate,
    "far view": Liar.far_view,
    "hide prepared": Liar.hide_prepared,
    "lie about status": Liar.lie_about_status,
    "propose invalid": Liar.propose_invalid,
    "replay": Liar.replay,
    "silent": Liar.silent,
    "silent to one": Liar.silent_to_victim,
    "support equivocation": Liar.support_equivocation,
    "vote twice": Liar.vote_twice,
    "withhold bodies": Liar.withhold_bodies,
    "wrong checkpoint": Liar.wrong_checkpoint,
    "wrong new view": Liar.wrong_new_view,
}
