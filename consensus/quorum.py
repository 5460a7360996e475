"""Counting votes and cutting certificates out of them.

One vote per signer (rule 3): the tables are keyed by signer, so repeats count once. A certificate
holds exactly as many votes as it must, those of the lowest signers, in order: any other number
makes it invalid (rule 18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from consensus.log import Slot
from consensus.messages import Checkpoint, Commit, Prepare, PreparedProof
from ledger.chain.certificate import Certificate


def matching_signers(votes: Mapping[int, Prepare | Commit], digest: bytes | None) -> list[int]:
    """Return the signers, in order, of the votes for `digest`."""
    return sorted(signer for signer, vote in votes.items() if vote.digest == digest)


def prepared_proof(slot: Slot, view: int, primary: int, quorum: int) -> PreparedProof | None:
    """Return the prepared certificate of `slot`, or None while PREPAREs are missing.

    Rule 9: the PRE-PREPARE and Q−1 matching PREPAREs from distinct backups. The primary's own
    PREPARE would make a certificate of Q−1 members (rule 7).
    """
    if slot.digest is None:
        return None
    signers = [item for item in matching_signers(slot.prepares, slot.digest) if item != primary]
    if len(signers) < quorum - 1:
        return None
    prepares = tuple((item, slot.prepares[item].signature) for item in signers[: quorum - 1])
    return PreparedProof(view, slot.height, slot.digest, slot.pre_prepare_signature, prepares)


def leading_hash(votes: Mapping[int, Checkpoint]) -> tuple[bytes, int]:
    """Return the block hash with most CHECKPOINTs and their number; votes are not empty."""
    return Counter(vote.block_hash for vote in votes.values()).most_common(1)[0]


def certificate_of(votes: Mapping[int, Checkpoint], quorum: int) -> Certificate | None:
    """Return the certificate that `votes` on one height make, or None while there is none."""
    block_hash, count = leading_hash(votes)
    if count < quorum:
        return None
    signers = sorted(item for item, vote in votes.items() if vote.block_hash == block_hash)
    chosen = [votes[item] for item in signers[:quorum]]
    pairs = tuple((vote.signer, vote.signature) for vote in chosen)
    return Certificate(chosen[0].epoch, chosen[0].height, block_hash, pairs)


def bitmap(signers: Iterable[int], size: int) -> bytes:
    """Return a bitmap of members: bit i of byte ⌊i/8⌋, lowest first, is member i."""
    bits = 0
    for signer in signers:
        bits |= 1 << signer
    return bits.to_bytes((size + 7) // 8, "little")


def is_in_bitmap(bits: bytes, member: int) -> bool:
    """Tell whether `member` is in a bitmap; beyond its end nobody is."""
    return member // 8 < len(bits) and bool(bits[member // 8] >> (member % 8) & 1)
