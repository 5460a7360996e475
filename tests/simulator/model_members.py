"""How the model ledger changes its members: rule 2 as a naive ledger would write it down.

A change names the epoch that it was made for and the whole new list. It is refused when that epoch
is past, when another change is pending, when fewer than four members would be left, and when a key
was used before by somebody who has it no more. Else it is active a window and one after the block
that decided it, and never at another height.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.epochs import EpochView, PreviousEpoch
from ledger.encoding import encode

MEMBERS_MIN = 4


@dataclass(frozen=True, slots=True)
class Change:
    """A change of members, decided by the block that holds it."""

    base_epoch: int
    members: tuple[bytes, ...]


@dataclass(slots=True)
class ModelMembers:
    """The members of one chain. `ends[e]` is how epoch e ended: its members and last height."""

    genesis: tuple[bytes, ...]
    window: int
    view: EpochView = field(init=False)
    ends: list[PreviousEpoch] = field(default_factory=list)
    revoked: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.view = EpochView(0, self.genesis)

    def at_genesis(self) -> ModelMembers:
        """Return the members of the same chain without a block."""
        return ModelMembers(self.genesis, self.window)

    def root(self) -> bytes:
        """Return what a block commits to."""
        return encode((self.view.epoch, self.view.members, self.view.pending))

    def decide(self, change: Change, height: int) -> bool:
        """Let block `height` decide a change; False: it is refused."""
        view, members = self.view, change.members
        is_good = (
            view.pending is None
            and change.base_epoch == view.epoch
            and len(members) >= MEMBERS_MIN
            and len(set(members)) == len(members)
            and not self.revoked.intersection(members)
        )
        if is_good:
            active = height + self.window + 1
            self.view = EpochView(view.epoch, view.members, (active, members))
        return is_good

    def finish(self, height: int) -> None:
        """Close block `height`: what is pending for the next height is in force there."""
        view = self.view
        if view.pending is not None and view.pending[0] == height + 1:
            self.ends.append(PreviousEpoch(view.members, height))
            self.revoked |= set(view.members) - set(view.pending[1])
            self.view = EpochView(view.epoch + 1, view.pending[1])
