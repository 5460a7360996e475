"""Proofs about a part of a Merkle tree: entries start ≤ index < end, hashed by themselves.

A subtree [start, end) is one whose start is a multiple of the smallest power of two that is not
below its length; its root is then the root of a small RFC 9162 tree over its entries, and all but
its right edge are nodes of the whole tree. So one signed root vouches for a run of records: an
inclusion proof leads from an entry to the subtree's root, a consistency proof shows that the
subtree is part of the tree. The algorithms are those of draft-ietf-plants-merkle-tree-certs,
section 4; RFC 9162's own proofs are the case start = 0. What fails raises `Refused` (1304).
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.chain.merkle import EMPTY_ROOT, node_hash, verify_inclusion
from ledger.errors import Code, Refused


def check_subtree(start: int, end: int) -> None:
    """Raise unless [start, end) is a subtree that can be proven."""
    if not 0 <= start < end:
        raise Refused(Code.PROOF_INVALID, f"subtree from {start} to {end} is empty")
    width = 1 << (end - start - 1).bit_length()
    if start % width:
        raise Refused(
            Code.PROOF_INVALID,
            f"subtree from {start} to {end} does not begin at a multiple of {width}",
        )


def verify_subtree_inclusion(
    root: bytes, start: int, end: int, index: int, leaf: bytes, path: Sequence[bytes]
) -> None:
    """Raise unless `path` proves leaf hash `leaf`, at `index` of the tree, under the subtree."""
    check_subtree(start, end)
    verify_inclusion(root, end - start, index - start, leaf, path)


def verify_subtree_consistency(
    subtree_root: bytes, start: int, end: int, root: bytes, size: int, path: Sequence[bytes]
) -> None:
    """Raise unless `path` proves that the subtree is part of the tree of `size` entries.

    The empty subtree is part of every tree, without a path.
    """
    if end > size:
        raise Refused(Code.PROOF_INVALID, f"subtree to {end} of a tree of {size}")
    if start == end and not path and subtree_root == EMPTY_ROOT:
        return
    check_subtree(start, end)
    first, node, last = start, end - 1, size - 1
    # Skip the levels at which the subtree's right edge is a node of the tree.
    while first != node and (node == last or node & 1):
        first, node, last = first >> 1, node >> 1, last >> 1
    steps = list(path)
    if first == node:
        steps.insert(0, subtree_root)
    if not steps:
        raise Refused(Code.PROOF_INVALID, "consistency proof is empty")
    part = whole = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise Refused(Code.PROOF_INVALID, "consistency proof is too long")
        if node & 1 or node == last:
            if first < node:
                part = node_hash(step, part)
            whole = node_hash(step, whole)
            while not node & 1 and node:
                first, node, last = first >> 1, node >> 1, last >> 1
        else:
            whole = node_hash(whole, step)
        first, node, last = first >> 1, node >> 1, last >> 1
    if last or part != subtree_root or whole != root:
        raise Refused(Code.PROOF_INVALID, "consistency proof leads to other roots")
