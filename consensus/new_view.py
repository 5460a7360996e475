"""What a new view must begin with: a pure function of the VIEW-CHANGEs it is built from (rule 30).

The primary computes it, and every backup computes it again from the same V (rule 32). Between the
highest proven checkpoint and the highest prepared height, each height takes the digest of its
prepared certificate of the highest view, else the null batch. The *highest* view decides, because
a batch that is committed in a view is prepared at W honest members from that view on, and every
later certificate for its height is made from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.messages import PreparedProof, ViewChange
from ledger.chain.batch import null_batch
from ledger.chain.certificate import Certificate


@dataclass(frozen=True, slots=True)
class Opening:
    """The content of O: consecutive heights above the checkpoint of `certificate`, and digests."""

    stable_height: int
    certificate: Certificate | None
    digests: tuple[tuple[int, bytes], ...]


class ProofConflictError(Exception):
    """Two prepared certificates of one (view, height): more than f members lie (rule 31)."""

    def __init__(self, first: PreparedProof, second: PreparedProof) -> None:
        super().__init__(f"two digests are prepared at height {first.height}, view {first.view}")
        self.first = first
        self.second = second


def compute_opening(changes: Iterable[ViewChange], chain_id: bytes) -> Opening:
    """Return what Q valid VIEW-CHANGEs make of a new view; raise `ProofConflictError` (rule 31)."""
    ordered = list(changes)
    top = max(ordered, key=lambda change: change.stable_height)
    best: dict[int, PreparedProof] = {}
    for change in ordered:
        for proof in change.prepared:
            best[proof.height] = _higher(best.get(proof.height), proof)
    min_s = top.stable_height
    max_s = max((height for height in best if height > min_s), default=min_s)
    digests = tuple(
        (
            height,
            best[height].digest if height in best else null_batch(height).digest(chain_id),
        )
        for height in range(min_s + 1, max_s + 1)
    )
    return Opening(min_s, top.certificate, digests)


def _higher(known: PreparedProof | None, other: PreparedProof) -> PreparedProof:
    if known is None or known.view < other.view:
        return other
    if known.view == other.view and known.digest != other.digest:
        raise ProofConflictError(known, other)
    return known
