"""Deleting the bytes of erased records from a home, so that an audit still proves all the rest.

The chain orders an erasure (`records.erase`, ADR 0020); each disk deletes by itself, offline, with
`plan_erasure` and one synced batch of its writes. A home without a body cannot execute that body's
block again. So the same batch says from which certified block on the home stands by itself, as one
that began at a snapshot does (`ledger.audit.begun`): up to that block its state, headers, batches,
results, signatures and changes of members are proved by certificates, not executed. It also says
from where on bodies were deleted: `check_erasure` lets only bodies of erased records be gone there.
A body in a block after the last certificate waits for the next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.audit.report import fault
from ledger.chain.epochs import EpochChange
from ledger.credit.records import RecordStatus, entry_from_value
from ledger.encoding import decode_own
from ledger.errors import Code, StorageError
from ledger.membership.epoch_state import get_epoch_set, get_epoch_start
from ledger.membership.settings import get_snapshot_blocks
from ledger.state.overlay import Overlay
from ledger.state.tables import RECORDS
from ledger.storage.chain_store import (
    ChainStore,
    base_writes,
    body_key,
    epoch_change_writes,
    erasure_writes,
)
from ledger.storage.store import Reader

_LAST = b"\xff" * 64


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be deleted: `bodies` now, `waiting` after the next certificate; and how."""

    base: int
    bodies: int
    waiting: int
    deleted_before: int
    writes: dict[bytes, bytes | None]


def plan_erasure(reader: Reader) -> Erasure:
    """Return what deletes the bodies of erased records that are still in a store.

    Raise `StorageError` (6103) where no block is certified, a change of members is not shown or the
    chain's state cannot be proved piece by piece: the home is left as it is then.
    """
    if not get_snapshot_blocks(Overlay(reader)):
        raise StorageError(
            Code.HOME_INCOMPLETE,
            "the chain has no snapshots: a home without these bodies could not be proved",
        )
    chain = ChainStore(reader)
    last = chain.last_certificate()
    head = chain.height() or 0
    if last is None or head == 0:
        raise StorageError(Code.HOME_INCOMPLETE, "no block is certified: start the node first")
    base = min(last.height, head)
    if chain.certificate(base) is None:
        raise StorageError(Code.HOME_INCOMPLETE, f"block {base} has no certificate: start the node")
    there = [key for key in _erased_bodies(reader) if reader.get(key) is not None]
    keys = [key for key in there if key < body_key(base + 1, 0, 0)]
    before, executed = _standing(chain)
    writes: dict[bytes, bytes | None] = dict.fromkeys(keys)
    if keys:
        writes |= _proof_writes(chain, base)
        writes |= erasure_writes(before + len(keys), executed)
    return Erasure(base, len(keys), len(there) - len(keys), before, writes)


def check_erasure(reader: Reader) -> int:
    """Return how many bodies this home says it deleted; raise `FoundError` where another is gone.

    To be called when the state is proved: it says which records were erased.
    """
    chain = ChainStore(reader)
    erasure, base = chain.erasure(), chain.base()
    if erasure is None or base is None:
        return 0
    count, executed = erasure
    erased = frozenset(_erased_bodies(reader))
    for height in range(executed + 1, base[0] + 1):
        block = chain.block(height)
        for position, item in enumerate(block.transactions if block is not None else ()):
            for index in range(item.attachment_count):
                key = body_key(height, position, index)
                if key not in erased and reader.get(key) is None:
                    reason = f"{index} is gone, and its record was not erased"
                    raise fault("body", reason, height, position, item.id)
    return count


def _erased_bodies(reader: Reader) -> Iterator[bytes]:
    """Yield the keys of the bodies of all records that the chain has ordered erased."""
    for _, value in reader.scan(RECORDS.prefix, RECORDS.prefix + _LAST):
        for item in decode_own(value):
            entry = entry_from_value(item)
            if entry.status is RecordStatus.ERASED:
                yield body_key(entry.height, entry.position, entry.index)


def _standing(chain: ChainStore) -> tuple[int, int]:
    """Return how many bodies were deleted before, and up to where the home never had them."""
    erasure, base = chain.erasure(), chain.base()
    return erasure or (0, 0 if base is None else base[0])


def _proof_writes(chain: ChainStore, base: int) -> dict[bytes, bytes | None]:
    """Return what lets the home be proved from block `base` on: the base and the changes before."""
    held = chain.base()
    writes = base_writes(base, 1 if held is None else held[1])
    state = Overlay(chain.reader)
    header = chain.header(base)
    epoch = get_epoch_set(state).epoch if header is None else header.epoch
    for number in range(1, epoch + 1):
        if chain.epoch_change(number) is None:
            writes |= epoch_change_writes(_change(chain, state, number))
    return writes


def _change(chain: ChainStore, state: Overlay, epoch: int) -> EpochChange:
    start = get_epoch_start(state, epoch)
    last = 0 if start is None else start.first_height - 1
    header, certificate = chain.header(last), chain.certificate(last)
    if start is None or header is None or certificate is None:
        raise StorageError(
            Code.HOME_INCOMPLETE, f"the change to epoch {epoch} has no certified block {last}"
        )
    return EpochChange(header, certificate, start.validators)
