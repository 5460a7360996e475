"""What a Byzantine member makes of one of its messages; it signs what it has changed.

Each mutation returns the changed message, or None where nothing sensible comes of it. `Memory` is
what the member has sent and seen: out of it come values that were right once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from consensus.config import ReplicaConfig
from consensus.messages import (
    PRE_PREPARE_KIND,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Proposal,
    ViewChange,
    vote_input,
)
from consensus.state import Signer
from consensus.verification import signed_bytes
from ledger.errors import Refused

SIGNED = (PrePrepare, Prepare, Commit, Checkpoint, ViewChange, NewView)
_VOTES = (Prepare, Commit)


@dataclass(slots=True)
class Memory:
    """What one member has sent, by kind, and the digests and block hashes that it has met."""

    sent: dict[type, list[Any]] = field(default_factory=dict)
    digests: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def note(self, message: Any) -> None:
        """Remember a message of anybody."""
        if isinstance(message, PrePrepare | Prepare | Commit):
            self.digests.append(message.digest)
        elif isinstance(message, Checkpoint):
            self.hashes.append(message.block_hash)


class Mutator:
    """Changes messages of the member of `config`, with its key and nobody else's."""

    def __init__(self, config: ReplicaConfig, sign: Signer) -> None:
        self._config = config
        self._sign = sign
        self.memory = Memory()

    def mutate(self, name: str, message: Any, random: Random) -> Any:
        """Return what is sent in place of `message`, or None for nothing."""
        try:
            changed = _MUTATIONS[name](self, message, random)
            return None if changed is None else self._resign(changed)
        except Refused:
            return None  # such a message has no form at all

    def _resign(self, message: Any) -> Any:
        if message.signer != self._config.index:
            return message  # handed on: nobody can sign for another
        if isinstance(message, NewView):
            message = replace(message, proposals=self._sign_proposals(message))
        return replace(message, signature=self._sign(signed_bytes(message, self._config.chain_id)))

    def _sign_proposals(self, message: NewView) -> tuple[Proposal, ...]:
        config = self._config
        return tuple(
            replace(
                item,
                signature=self._sign(
                    vote_input(
                        config.chain_id,
                        PRE_PREPARE_KIND,
                        message.epoch,
                        message.view,
                        item.height,
                        item.digest,
                        message.signer,
                    )
                ),
            )
            for item in message.proposals
        )

    def omit(self, message: Any, random: Random) -> Any:
        """Send nothing."""
        return None

    def move_view(self, message: Any, random: Random) -> Any:
        """Be one view too early or too late."""
        if isinstance(message, Checkpoint):
            return None
        return replace(message, view=message.view + random.choice((-1, 1)))

    def move_height(self, message: Any, random: Random) -> Any:
        """Be one height too low or too high."""
        step = random.choice((-1, 1))
        if isinstance(message, PrePrepare):
            batch = replace(message.batch, height=message.batch.height + step)
            return replace(message, batch=batch, digest=batch.digest(self._config.chain_id))
        if isinstance(message, ViewChange):
            proofs = message.prepared
            return replace(message, prepared=proofs[1:] if step > 0 else proofs[:-1])
        if isinstance(message, NewView):
            moved = tuple(replace(item, height=item.height + step) for item in message.proposals)
            return replace(message, proposals=moved)
        return replace(message, height=message.height + step)

    def use_old_value(self, message: Any, random: Random) -> Any:
        """Say a digest, or a block hash, that was right for something else."""
        memory = self.memory
        if isinstance(message, Checkpoint):
            return replace(message, block_hash=random.choice(memory.hashes or [bytes(32)]))
        old = random.choice(memory.digests or [bytes(32)])
        if isinstance(message, NewView):
            if not message.proposals:
                return None
            changed = replace(message.proposals[0], digest=old)
            return replace(message, proposals=(changed, *message.proposals[1:]))
        if isinstance(message, PrePrepare):
            batch = replace(message.batch, transactions=message.batch.transactions[::-1][1:])
            return replace(message, batch=batch, digest=batch.digest(self._config.chain_id))
        if isinstance(message, ViewChange):
            return replace(message, prepared=())
        return replace(message, digest=old)

    def send_earlier(self, message: Any, random: Random) -> Any:
        """Send an earlier message of the same kind again."""
        earlier = self.memory.sent.get(type(message), [])
        return random.choice(earlier) if earlier else None


_MUTATIONS: dict[str, Callable[[Mutator, Any, Random], Any]] = {
    "omit": Mutator.omit,
    "view": Mutator.move_view,
    "height": Mutator.move_height,
    "old value": Mutator.use_old_value,
    "earlier message": Mutator.send_earlier,
}
NAMES = tuple(_MUTATIONS)
