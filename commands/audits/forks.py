"""Two chains of one genesis held against each other: where they part, and who signed both (F40).

With at most f lying members a height has one certified block. Who holds two homes, or copies of
two, in which one height is certified with two blocks, holds proof that more than f lied: two
quorums share at least f+1 members, and each of those signed two CHECKPOINTs for that height. Both
chains may be VALID by themselves; only the comparison shows it. Nothing of either home is believed
but signatures: the members are those of the trusted genesis and of the epochs that follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consensus.evidence import EvidenceRecord, contradicting_checkpoints, make_evidence
from ledger.chain.certificate import verify_certificate
from ledger.chain.epochs import EpochFollower
from ledger.errors import Code, Refused
from ledger.membership.epoch_state import get_epoch_entry
from ledger.membership.genesis import Genesis
from ledger.membership.queries import get_epoch_changes
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore


@dataclass(frozen=True, slots=True)
class Fork:
    """Where two chains part, and, once both certified a block there, who signed both.

    `parted` is the first height whose blocks differ; `height` the first from there on at which both
    hold a certificate, 0 where they do not: then nobody is named.
    """

    parted: int
    height: int
    records: tuple[EvidenceRecord, ...]


@contextmanager
def open_chain(home: Path, genesis: Genesis) -> Iterator[ChainStore]:
    """Open the chain in a home or a copy of one; raise `Refused` (7002) for another chain's."""
    store = LevelStore(HomeLayout(home).database, create=False)
    try:
        chain = ChainStore(store)
        found = chain.chain_id() or b""
        if found != genesis.chain_id:
            raise Refused(
                Code.GENESIS_INVALID,
                f"{home} is of chain {found.hex()}, want {genesis.chain_id.hex()}",
            )
        yield chain
    finally:
        store.close()


def find_fork(first: ChainStore, second: ChainStore, trusted: EpochFollower) -> Fork | None:
    """Return where two chains part, None where one is the beginning of the other.

    `trusted` is taken on to the epoch of what is found. Raises `Refused` (13xx) for a certificate
    that does not verify: an audit says more.
    """
    last = min(first.height() or 0, second.height() or 0)
    differing = (h for h in range(1, last + 1) if not _is_same(first, second, h))
    parted = next(differing, None)
    if parted is None:
        return None
    for height in range(parted, last + 1):
        records = _contradictions(first, second, height, trusted)
        if records:
            return Fork(parted, height, records)
    return Fork(parted, 0, ())


def _is_same(first: ChainStore, second: ChainStore, height: int) -> bool:
    own, other = first.header(height), second.header(height)
    # A chain that begins with a snapshot has no older headers: nothing to compare there.
    return own is None or other is None or own.hash() == other.hash()


def _contradictions(
    first: ChainStore, second: ChainStore, height: int, trusted: EpochFollower
) -> tuple[EvidenceRecord, ...]:
    own, other = first.certificate(height), second.certificate(height)
    if own is None or other is None:
        return ()
    pieces = contradicting_checkpoints(own, other)
    if not pieces:
        return ()
    for chain in (first, second):
        _follow(chain, own.epoch, trusted)
    members = [key for _, key in trusted.validators(own.epoch)]
    for certificate in (own, other):
        verify_certificate(certificate, trusted.chain_id, members)
    return tuple(make_evidence(piece, trusted.chain_id, members) for piece in pieces)


def _follow(chain: ChainStore, epoch: int, trusted: EpochFollower) -> None:
    state, known = Overlay(chain.reader), trusted.last.epoch
    until = min(epoch, get_epoch_entry(state).epoch)
    trusted.follow(get_epoch_changes(state, chain, known, until))
