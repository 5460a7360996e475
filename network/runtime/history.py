"""The epochs of a chain so far: who voted in each, and the proof of it for those who come after.

What the own chain holds comes from the state and the blocks. An observer that is far behind is
shown changes that lead to an epoch which its chain has not reached; those that were proven are kept
until the chain has them (rule 2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.epochs import PreviousEpoch
from consensus.messages import EPOCH_CHANGES_MAX
from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange, Validators
from ledger.membership.epoch_state import get_epoch_start
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Store


@dataclass(frozen=True, slots=True)
class _Start:
    first_height: int
    validators: Validators


class EpochHistory:
    """Reads epochs by number; `genesis` are the validators of epoch 0."""

    def __init__(self, store: Store, genesis: Validators) -> None:
        self._store = store
        self._chain = ChainStore(store)
        self._genesis = genesis
        self._learned: dict[int, _Start] = {}

    def learn(self, changes: Iterable[EpochChange]) -> None:
        """Remember changes that are proven."""
        for change in changes:
            self._learned[change.epoch] = _Start(change.first_height, change.validators)

    def _start(self, epoch: int) -> _Start | None:
        if epoch == 0:
            return _Start(0, self._genesis)
        stored = get_epoch_start(Overlay(self._store), epoch)
        if stored is None:
            return self._learned.get(epoch)
        self._learned.pop(epoch, None)
        return _Start(stored.first_height, stored.validators)

    def validators(self, epoch: int) -> Validators:
        """Return who votes in an epoch, in order; nobody for one that is not known."""
        start = self._start(epoch)
        return () if start is None else start.validators

    def previous(self, epoch: int) -> PreviousEpoch | None:
        """Return the epoch before, as consensus is told of it; None for epoch 0."""
        if epoch == 0:
            return None
        start, before = self._start(epoch), self._start(epoch - 1)
        if start is None or before is None:
            return None
        return PreviousEpoch(tuple(key for _, key in before.validators), start.first_height - 1)

    def last_certificate(self, epoch: int) -> Certificate | None:
        """Return the certificate of the last block of an epoch, if it is over and here."""
        after = self._start(epoch + 1)
        if after is None:
            return None
        kept = self._chain.epoch_change(epoch + 1)
        return self._chain.certificate(after.first_height - 1) if kept is None else kept.certificate

    def changes_until(self, epoch: int) -> tuple[EpochChange, ...]:
        """Return every change from genesis to `epoch`, as a receipt carries them."""
        found: list[EpochChange] = []
        while len(found) < epoch and (more := self.changes(len(found))):
            found.extend(more)
        return tuple(found[:epoch])

    def changes(self, after: int) -> tuple[EpochChange, ...]:
        """Return how the members changed after epoch `after`, as many as one message takes."""
        found: list[EpochChange] = []
        while len(found) < EPOCH_CHANGES_MAX:
            start = self._start(after + len(found) + 1)
            if start is None:
                break
            change = self._change(after + len(found) + 1, start)
            if change is None:
                break
            found.append(change)
        return tuple(found)

    def _change(self, epoch: int, start: _Start) -> EpochChange | None:
        """Return the change that began an epoch, of the blocks or as a snapshot brought it."""
        kept = self._chain.epoch_change(epoch)
        if kept is not None:
            return kept
        header = self._chain.header(start.first_height - 1)
        certificate = self._chain.certificate(start.first_height - 1)
        if header is None or certificate is None:
            return None
        return EpochChange(header, certificate, start.validators)
