"""An observer: it follows an epoch by its certificates, and neither signs nor votes (rules 2, 46).

A node that is no validator, one that was removed, one that is not active yet, and a validator whose
home may not vote run as observers. An observer asks a few members at a time, in turn, with STATUS;
they answer with certificates, and show it new ones as heights become stable. It fetches the blocks
up to the highest, as a replica that is behind does, and goes on to the next epoch when the last
block of this one is installed. One that is far behind is shown `EpochChanges`: it goes straight to
the last of those epochs, because its members are proven, and fetches towards their certificates.
"""

from __future__ import annotations

from consensus.config import ReplicaConfig
from consensus.effects import Effect
from consensus.events import ChainHead, Clock, Event


class Observer:
    """A node that follows; deterministic, with the same `handle` as `Replica`.

    `config.index` is `OBSERVER`, or the own place among the members for a validator of this epoch
    that goes on as a replica as soon as its chain has reached the epoch.
    """

    @classmethod
    def start(
        cls, config: ReplicaConfig, head: ChainHead, now: Clock
    ) -> tuple[Observer, list[Effect]]:
        """Return an observer whose chain ends at `head`, and its first effects."""
        raise NotImplementedError

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Process one event to completion and return what is to be done, in order."""
        raise NotImplementedError
