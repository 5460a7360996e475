"""The log of votes: in memory for the heights in work, and the records that outlive a crash.

`MessageLog` holds a `Slot` for each height of the current view (the proposal and the votes on it),
and across views what must never be forgotten before its height is stable and executed: the
highest-view prepared certificate of each height (rule 24), the batches behind the digests that
were voted for (rule 20), and what is committed-local but not yet executed.

A `VoteRecord` is what is made durable before the vote that follows from it is sent (rule 43):

    record            before this is sent
    AcceptedRecord    PRE-PREPARE (primary) or PREPARE (backup), signed again byte for byte
    PreparedRecord    COMMIT
    ViewChangeRecord  VIEW-CHANGE
    NewViewRecord     NEW-VIEW (primary), or any vote in the view entered; with the whole of V

A CHECKPOINT has no record: it follows from the durable block. Ed25519 signs the same bytes alike,
so a vote made again after a restart is the same vote (rule 44).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from consensus.messages import (
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
    malformed,
    proof_value,
)
from consensus.wire import message_from_value, message_value, proof_from_value
from ledger.chain.batch import Batch
from ledger.encoding import decode, encode


@dataclass(frozen=True, slots=True)
class AcceptedRecord:
    """This replica proposed (as primary) or accepted (as backup) a proposal, bodies at hand."""

    pre_prepare: PrePrepare


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """This replica holds a prepared certificate."""

    epoch: int
    proof: PreparedProof


@dataclass(frozen=True, slots=True)
class ViewChangeRecord:
    """This replica left for a view; it never votes in a lower one again."""

    view_change: ViewChange


@dataclass(frozen=True, slots=True)
class NewViewRecord:
    """This replica entered a view, by this NEW-VIEW and the VIEW-CHANGEs that it names."""

    new_view: NewView
    view_changes: tuple[ViewChange, ...]


VoteRecord: TypeAlias = AcceptedRecord | PreparedRecord | ViewChangeRecord | NewViewRecord

_ACCEPTED, _PREPARED, _VIEW_CHANGE, _NEW_VIEW = 1, 2, 3, 4
RECORD_BYTES_MAX = 64 * 1024 * 1024


def encode_record(record: VoteRecord) -> bytes:
    """Return the canonical bytes of a record."""
    if isinstance(record, AcceptedRecord):
        return encode((_ACCEPTED, message_value(record.pre_prepare)))
    if isinstance(record, PreparedRecord):
        return encode((_PREPARED, record.epoch, proof_value(record.proof)))
    if isinstance(record, ViewChangeRecord):
        return encode((_VIEW_CHANGE, message_value(record.view_change)))
    changes = tuple(message_value(item) for item in record.view_changes)
    return encode((_NEW_VIEW, message_value(record.new_view), changes))


def decode_record(data: bytes) -> VoteRecord:
    """Return the record of canonical bytes; raise `Refused` (10xx, 4001)."""
    value = decode(data, RECORD_BYTES_MAX)
    if type(value) is not tuple or len(value) < 2:
        raise malformed("vote record is not a list")
    if value[0] == _PREPARED and len(value) == 3 and type(value[1]) is int:
        return PreparedRecord(value[1], proof_from_value(value[2]))
    message = message_from_value(value[1])
    if value[0] == _ACCEPTED and len(value) == 2 and isinstance(message, PrePrepare):
        return AcceptedRecord(message)
    if value[0] == _VIEW_CHANGE and len(value) == 2 and isinstance(message, ViewChange):
        return ViewChangeRecord(message)
    if value[0] == _NEW_VIEW and len(value) == 3 and isinstance(message, NewView):
        return NewViewRecord(message, _view_changes(value[2]))
    raise malformed("vote record of an unknown kind")


def _view_changes(value: object) -> tuple[ViewChange, ...]:
    if type(value) is not tuple:
        raise malformed("view changes of a vote record are not a list")
    changes = []
    for item in value:
        change = message_from_value(item)
        if not isinstance(change, ViewChange):
            raise malformed("view change of a vote record is of another kind")
        changes.append(change)
    return tuple(changes)


def retained(records: Iterable[VoteRecord], stable_height: int) -> list[VoteRecord]:
    """Return the records that must be kept once `stable_height` is stable and executed.

    Those about higher heights, and the last VIEW-CHANGE and NEW-VIEW, in their order (rule 44).
    """
    kept: list[VoteRecord] = []
    last_change = last_new = -1
    for record in records:
        if isinstance(record, AcceptedRecord):
            if record.pre_prepare.height <= stable_height:
                continue
        elif isinstance(record, PreparedRecord):
            if record.proof.height <= stable_height:
                continue
        elif isinstance(record, ViewChangeRecord):
            last_change = len(kept)
        else:
            last_new = len(kept)
        kept.append(record)
    return [
        record
        for place, record in enumerate(kept)
        if isinstance(record, AcceptedRecord | PreparedRecord) or place in (last_change, last_new)
    ]


@dataclass(slots=True)
class Slot:
    """One height in the current view.

    `digest` is set once a proposal of the view's primary is logged, `pre_prepare` once its batch
    is known too, `is_accepted` once the bodies are here, the batch is valid and it is persisted.
    """

    height: int
    digest: bytes | None = None
    pre_prepare_signature: bytes = b""
    pre_prepare: PrePrepare | None = None
    is_accepted: bool = False
    is_prepared: bool = False
    is_committed: bool = False
    missing: set[bytes] = field(default_factory=set)
    prepares: dict[int, Prepare] = field(default_factory=dict)
    commits: dict[int, Commit] = field(default_factory=dict)


@dataclass(slots=True)
class MessageLog:
    """What is known of the heights above the last that is stable and executed."""

    slots: dict[int, Slot] = field(default_factory=dict)
    proofs: dict[int, PreparedProof] = field(default_factory=dict)
    batches: dict[int, dict[bytes, Batch]] = field(default_factory=dict)
    committed: dict[int, bytes] = field(default_factory=dict)
    executed_digests: dict[int, bytes] = field(default_factory=dict)

    def slot(self, height: int) -> Slot:
        """Return the slot of `height` in the current view, made when first asked for."""
        slot = self.slots.get(height)
        if slot is None:
            slot = self.slots[height] = Slot(height)
        return slot

    def get_batch(self, height: int, digest: bytes) -> Batch | None:
        """Return the batch behind `digest`, if it is known."""
        return self.batches.get(height, {}).get(digest)

    def add_batch(self, batch: Batch, digest: bytes) -> None:
        """Keep a batch until its height is stable and executed."""
        self.batches.setdefault(batch.height, {})[digest] = batch

    def get_voted_transactions(self) -> set[bytes]:
        """Return the hashes in all batches kept: their bodies are kept with them (rule 20)."""
        known = (batch for table in self.batches.values() for batch in table.values())
        return {digest for batch in known for digest in batch.transactions}

    def add_proof(self, proof: PreparedProof) -> None:
        """Keep a prepared certificate if it is of the highest view for its height (rule 24)."""
        known = self.proofs.get(proof.height)
        if known is None or known.view < proof.view:
            self.proofs[proof.height] = proof

    def start_view(self) -> None:
        """Forget the proposals and votes of the view that is left, and only those.

        Nothing that comes later, a body or a vote, may then act on them any more (rule 23).
        """
        self.slots = {}

    def forget_above(self, height: int) -> None:
        """Forget the proposals above the last height of the epoch: nothing comes of them."""
        for known in [number for number in self.slots if number > height]:
            del self.slots[known]

    def discard(self, height: int) -> None:
        """Forget all up to `height`, which is stable and executed here (rule 20)."""
        for table in (
            self.slots,
            self.proofs,
            self.batches,
            self.committed,
            self.executed_digests,
        ):
            for known in [number for number in table if number <= height]:
                del table[known]
