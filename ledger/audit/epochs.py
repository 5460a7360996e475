"""Who certifies which height of a chain that is replayed, as the replay itself finds out (rule 2).

A change of members is decided by a block at least a window before its height, and the replay
executes blocks before it looks at any that lies a window further. So the members of every height
come from genesis and from execution alone, never from what the judged store says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain.epochs import EpochSet, Validators


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """An epoch that the replay knows of: its number, its first height, who votes in it."""

    epoch: int
    first_height: int
    validators: Validators

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The node keys of the members, in order."""
        return tuple(key for _, key in self.validators)


class ReplayedEpochs:
    """The epochs from genesis to the last change that was executed, pending or not."""

    def __init__(self, validators: Validators) -> None:
        """Begin with the validators of the genesis document."""
        self._spans = [EpochSpan(0, 0, validators)]

    def note(self, epochs: EpochSet) -> None:
        """Take in what an executed block commits to."""
        if epochs.pending is not None and self._spans[-1].epoch == epochs.epoch:
            self._spans.append(EpochSpan(epochs.epoch + 1, *epochs.pending))

    def at(self, height: int) -> EpochSpan:
        """Return the epoch of a height, which must be at most a window beyond what was executed."""
        return next(span for span in reversed(self._spans) if span.first_height <= height)

    def until(self, height: int) -> tuple[EpochSpan, ...]:
        """Return the epochs that have begun by this height."""
        return tuple(span for span in self._spans if span.first_height <= height)
