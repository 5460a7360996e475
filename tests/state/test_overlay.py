"""The overlay against a plain dictionary, and what it must never let through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.merkle import Frontier, leaf_hash
from ledger.encoding import decode, encode
from ledger.errors import CreditLedgerError, LocalError
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANIES, RECORDS, SETTINGS

COMPANY = "91440300192185379H"


class DictReader:
    """The smallest Reader there can be."""

    def __init__(self, content: dict[bytes, bytes]) -> None:
        self.content = content

    def get(self, key: bytes) -> bytes | None:
        return self.content.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.content, reverse=reverse):
            if start <= key < end:
                yield key, self.content[key]


def apply(reader: DictReader, overlay: Overlay) -> dict[bytes, bytes | None]:
    changes = overlay.finish()
    for key, value in changes.writes.items():
        if value is None:
            reader.content.pop(key, None)
        else:
            reader.content[key] = value
    return dict(changes.leaves)


KEYS = st.sampled_from([bytes((i,)) for i in range(6)])
STEP = st.tuples(KEYS, st.one_of(st.none(), st.integers(0, 9)))
BLOCKS = st.lists(st.lists(st.tuples(st.lists(STEP, max_size=4), st.booleans()), max_size=4))


@given(BLOCKS, st.booleans())
def test_overlay_equals_a_dictionary_over_blocks_commits_and_rollbacks(blocks, reverse):
    reader, model = DictReader({}), {}
    for block in blocks:
        overlay = Overlay(reader)
        for steps, is_kept in block:
            overlay.begin()
            trial = dict(model)
            for key, value in steps:
                overlay.put(SETTINGS, key, value)
                trial[key] = value
                if value is None:
                    del trial[key]
            seen = list(overlay.scan(SETTINGS, b"", reverse=reverse))
            assert seen == sorted(trial.items(), reverse=reverse)
            if is_kept:
                overlay.commit()
                model = trial
            else:
                overlay.rollback()
            assert {key: overlay.get(SETTINGS, key) for key, _ in steps} == {
                key: model.get(key) for key, _ in steps
            }
        apply(reader, overlay)
    stored = {k[2:]: decode(v) for k, v in reader.content.items()}
    assert stored == model


@given(st.lists(st.integers(0, 5), max_size=6), st.data())
def test_scan_keeps_to_its_bounds(numbers, data):
    reader = DictReader({RECORDS.prefix + COMPANY.encode() + bytes((9,)): encode(0)})
    overlay = Overlay(reader)
    overlay.begin()
    for number in numbers:
        overlay.put(RECORDS, COMPANY.encode() + bytes((number,)), number)
    low, high = data.draw(st.integers(0, 10)), data.draw(st.integers(0, 10))
    seen = overlay.scan(RECORDS, COMPANY.encode(), start=bytes((low,)), stop=bytes((high,)))
    expected = sorted({*numbers, 9})
    assert [key[-1] for key, _ in seen] == [n for n in expected if low <= n < high]


def test_company_entries_are_folded_into_one_leaf_that_any_change_alters():
    def leaf(value: int) -> dict[bytes, bytes | None]:
        overlay = Overlay(DictReader({}))
        overlay.begin()
        overlay.put(RECORDS, COMPANY.encode() + b"\x00", value)
        overlay.put(RECORDS, COMPANY.encode() + b"\x01", 7)
        overlay.commit()
        return dict(overlay.finish().leaves)

    assert len(leaf(1)) == 1
    assert leaf(1) == leaf(1)
    assert leaf(1) != leaf(2)


def test_company_log_grows_over_blocks_and_drops_what_was_rolled_back():
    reader = DictReader({})
    leaves = [leaf_hash(bytes((i,))) for i in range(5)]
    for chunk in (leaves[:2], leaves[2:]):
        overlay = Overlay(reader)
        overlay.begin()
        overlay.append_company_log(COMPANY, [leaf_hash(b"dropped")])
        overlay.rollback()
        overlay.begin()
        overlay.append_company_log(COMPANY, chunk)
        overlay.commit()
        apply(reader, overlay)
    size, peaks, _ = decode(reader.content[COMPANIES.prefix + COMPANY.encode()])
    assert Frontier(size, peaks) == Frontier().appended(leaves)


def test_a_value_without_encoding_fails_inside_its_own_transaction():
    overlay = Overlay(DictReader({}))
    overlay.begin()
    overlay.put(SETTINGS, b"a", 1.5)
    with pytest.raises(CreditLedgerError):
        overlay.commit()
    overlay.rollback()
    assert overlay.get(SETTINGS, b"a") is None
    assert overlay.finish().writes == {}


def test_writes_outside_a_transaction_and_scans_without_a_company_are_refused():
    overlay = Overlay(DictReader({}))
    with pytest.raises(LocalError):
        overlay.put(SETTINGS, b"a", 1)
    overlay.begin()
    with pytest.raises(LocalError):
        overlay.put(RECORDS, b"short", 1)
    with pytest.raises(LocalError):
        list(overlay.scan(RECORDS, b""))
