"""Merkle trees beside the recursion of RFC 9162, and every proof beside its altered forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.merkle import (
    EMPTY_ROOT,
    Frontier,
    compute_root,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from ledger.chain.subtree import (
    check_subtree,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from ledger.errors import Code, Refused
from tests.twins import (
    naive_consistency,
    naive_inclusion,
    naive_root,
    naive_subtree_consistency,
)

SIZES = range(1, 34)


def _data(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


def _leaves(size: int) -> list[bytes]:
    return [leaf_hash(item) for item in _data(size)]


def test_prefixes_keep_leaves_and_nodes_apart() -> None:
    assert leaf_hash(bytes(64)) != node_hash(bytes(32), bytes(32))
    assert compute_root([]) == EMPTY_ROOT == naive_root([])


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_inclusion_equal_the_recursion(size: int) -> None:
    data, leaves = _data(size), _leaves(size)
    root = compute_root(leaves)
    assert root == naive_root(data)
    for index in range(size):
        path = inclusion_path(leaves, index)
        assert path == naive_inclusion(data, index)
        verify_inclusion(root, size, index, leaves[index], path)


@pytest.mark.parametrize("size", SIZES)
def test_consistency_equals_the_recursion(size: int) -> None:
    data, leaves = _data(size), _leaves(size)
    for old in range(1, size + 1):
        path = consistency_path(leaves, old)
        assert path == naive_consistency(data, old)
        verify_consistency(naive_root(data[:old]), old, naive_root(data), size, path)


def _refused(action: object, *arguments: object) -> None:
    assert callable(action)
    with pytest.raises(Refused) as caught:
        action(*arguments)
    assert caught.value.code is Code.PROOF_INVALID


@given(st.integers(2, 40), st.data())
def test_altered_inclusion_proofs_are_refused(size: int, draw: st.DataObject) -> None:
    leaves = _leaves(size)
    root, index = compute_root(leaves), draw.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    place = draw.draw(st.integers(0, len(path) - 1))
    other = [*path[:place], bytes(32), *path[place + 1 :]]
    other_index = draw.draw(st.integers(0, size - 1).filter(lambda item: item != index))
    _refused(verify_inclusion, root, size, index, leaves[index], other)
    _refused(verify_inclusion, root, size, index, leaves[index], path[:-1])
    _refused(verify_inclusion, root, size, index, leaves[index], [*path, bytes(32)])
    _refused(verify_inclusion, root, size, other_index, leaves[index], path)
    _refused(verify_inclusion, bytes(32), size, index, leaves[index], path)
    _refused(verify_inclusion, root, size, size, leaves[index], path)
    _refused(verify_inclusion, root, size, index, leaves[index][:31], path)


@given(st.integers(2, 40), st.data())
def test_altered_consistency_proofs_are_refused(size: int, draw: st.DataObject) -> None:
    leaves = _leaves(size)
    old = draw.draw(st.integers(1, size - 1))
    old_root, root = compute_root(leaves[:old]), compute_root(leaves)
    path = consistency_path(leaves, old)
    place = draw.draw(st.integers(0, len(path) - 1))
    other = [*path[:place], bytes(32), *path[place + 1 :]]
    _refused(verify_consistency, old_root, old, root, size, other)
    _refused(verify_consistency, old_root, old, root, size, path[:-1])
    _refused(verify_consistency, old_root, old, root, size, [*path, bytes(32)])
    _refused(verify_consistency, bytes(32), old, root, size, path)
    _refused(verify_consistency, old_root, old, bytes(32), size, path)
    _refused(verify_consistency, root, size, root, size, [bytes(32)])
    _refused(verify_consistency, EMPTY_ROOT, 0, root, size, [])
    _refused(verify_consistency, root, size, old_root, old, [])


def test_no_path_to_what_is_not_there() -> None:
    for action, argument in ((inclusion_path, 3), (inclusion_path, -1), (consistency_path, 0),
                             (consistency_path, 4)):  # fmt: skip
        _refused(action, _leaves(3), argument)


@given(st.lists(st.integers(0, 9), max_size=8))
def test_frontier_equals_the_tree_at_every_size(steps: list[int]) -> None:
    frontier, leaves = Frontier(), list[bytes]()
    for count in steps:
        new = [leaf_hash(b"%d %d" % (len(leaves), i)) for i in range(count)]
        frontier, leaves = frontier.appended(new), leaves + new
        assert frontier.size == len(leaves)
        assert frontier.root() == compute_root(leaves)


def _subtrees(size: int) -> list[tuple[int, int]]:
    found = []
    for start in range(size):
        for end in range(start + 1, size + 1):
            width = 1 << (end - start - 1).bit_length()
            if start % width == 0:
                found.append((start, end))
    return found


@pytest.mark.parametrize("size", range(1, 20))
def test_subtrees_are_proven_to_be_part_of_the_tree(size: int) -> None:
    data, leaves = _data(size), _leaves(size)
    for start, end in _subtrees(size):
        part = compute_root(leaves[start:end])
        path = naive_subtree_consistency(data, start, end)
        verify_subtree_consistency(part, start, end, compute_root(leaves), size, path)
        if path:
            other = [*path[:-1], bytes(32)]
            _refused(
                verify_subtree_consistency, part, start, end, compute_root(leaves), size, other
            )
        for index in range(start, end):
            inside = inclusion_path(leaves[start:end], index - start)
            verify_subtree_inclusion(part, start, end, index, leaves[index], inside)
            _refused(verify_subtree_inclusion, part, start, end, end, leaves[index], inside)


def test_what_is_no_subtree_is_refused() -> None:
    for start, end in ((1, 3), (2, 5), (3, 3), (-2, 0), (4, 2)):
        _refused(check_subtree, start, end)
    root = compute_root(_leaves(3))
    _refused(verify_subtree_consistency, root, 0, 4, root, 3, [])
    verify_subtree_consistency(EMPTY_ROOT, 2, 2, root, 3, [])
    _refused(verify_subtree_consistency, root, 2, 2, root, 3, [])
