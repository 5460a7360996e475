"""Every Store obeys one contract: the same tests for the one in memory and the one on disk."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import plyvel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Code, StorageError
from ledger.storage.leveldb import LevelStore, storage_error
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Store


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else LevelStore(tmp_path / "db")
    yield opened
    opened.close()


def test_get_returns_what_was_written(store: Store) -> None:
    assert store.get(b"a") is None
    store.write({b"a": b"1", b"b": b""}, sync=True)
    assert store.get(b"a") == b"1"
    assert store.get(b"b") == b""


def test_none_deletes(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2"}, sync=False)
    store.write({b"a": None, b"missing": None, b"c": b"3"}, sync=False)
    assert list(store.scan(b"", b"\xff")) == [(b"b", b"2"), (b"c", b"3")]


def test_scan_is_half_open_and_reversible(store: Store) -> None:
    store.write({bytes((i,)): bytes((i, i)) for i in (5, 1, 3, 2, 4)}, sync=False)
    forward = list(store.scan(b"\x02", b"\x05"))
    assert [key for key, _ in forward] == [b"\x02", b"\x03", b"\x04"]
    assert list(store.scan(b"\x02", b"\x05", reverse=True)) == forward[::-1]
    assert list(store.scan(b"\x05", b"\x05")) == []
    assert list(store.scan(b"\x05", b"\x02")) == []


def test_snapshot_does_not_move(store: Store) -> None:
    store.write({b"a": b"1"}, sync=False)
    before = store.snapshot()
    store.write({b"a": b"2", b"b": b"2"}, sync=False)
    assert before.get(b"a") == b"1"
    assert list(before.scan(b"", b"\xff")) == [(b"a", b"1")]
    assert store.get(b"a") == b"2"


_KEYS = st.binary(min_size=1, max_size=2)
_BATCHES = st.lists(st.dictionaries(_KEYS, st.none() | st.binary(max_size=2), max_size=6))


@given(_BATCHES, _KEYS, _KEYS)
def test_memory_equals_a_sorted_dictionary(
    batches: list[dict[bytes, bytes | None]], start: bytes, end: bytes
) -> None:
    store, twin = MemoryStore(), dict[bytes, bytes]()
    for batch in batches:
        store.write(batch, sync=False)
        for key, value in batch.items():
            twin.pop(key, None)
            if value is not None:
                twin[key] = value
        want = [(key, twin[key]) for key in sorted(twin) if start <= key < end]
        assert list(store.scan(start, end)) == want


def test_leveldb_keeps_what_was_synced(tmp_path: Path) -> None:
    first = LevelStore(tmp_path / "db")
    first.write({b"a": b"1"}, sync=True)
    first.close()
    second = LevelStore(tmp_path / "db", create=False)
    assert second.get(b"a") == b"1"
    second.compact()
    assert second.get(b"a") == b"1"
    second.close()


def test_leveldb_compaction_takes_deleted_values_from_the_disk(tmp_path: Path) -> None:
    secret = os.urandom(64)  # random bytes are not compressed
    for batch in ({b"a": secret, b"b": b"stays"}, {b"a": None}):
        store = LevelStore(tmp_path / "db")
        store.write(batch, sync=True)
        store.close()
    assert any(secret in path.read_bytes() for path in (tmp_path / "db").iterdir())
    store = LevelStore(tmp_path / "db")
    store.compact()
    assert list(store.scan(b"", b"\xff")) == [(b"b", b"stays")]
    store.close()
    assert not any(secret in path.read_bytes() for path in (tmp_path / "db").iterdir())


def test_leveldb_refuses_a_second_opener(tmp_path: Path) -> None:
    first = LevelStore(tmp_path / "db")
    with pytest.raises(StorageError, match="already held") as caught:
        LevelStore(tmp_path / "db")
    assert caught.value.code is Code.STORE_IO
    first.close()


def test_leveldb_missing_folder_is_an_error_when_not_created(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        LevelStore(tmp_path / "nothing", create=False)
    assert caught.value.code is Code.STORE_IO


def _fill(path: Path) -> None:
    store = LevelStore(path)
    store.write({b"k%05d" % i: bytes(50) + b"%d" % i for i in range(3000)}, sync=True)
    store.compact()
    store.close()


def test_leveldb_flipped_byte_in_a_table_is_corruption_at_the_read(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        _fill(Path(name))
        table = max(Path(name).glob("*.ldb"), key=lambda file: file.stat().st_size)
        data = bytearray(table.read_bytes())
        data[100] ^= 1
        table.write_bytes(data)
        store = LevelStore(Path(name))
        with pytest.raises(StorageError) as caught:
            list(store.scan(b"", b"\xff"))
        assert caught.value.code is Code.STORE_CORRUPT
        store.close()


def test_leveldb_flipped_byte_in_the_manifest_is_corruption_at_open(tmp_path: Path) -> None:
    _fill(tmp_path)
    manifest = next(tmp_path.glob("MANIFEST-*"))
    data = bytearray(manifest.read_bytes())
    data[20] ^= 1
    manifest.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        LevelStore(tmp_path)
    assert caught.value.code is Code.STORE_CORRUPT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (plyvel.CorruptionError(b"Corruption: block checksum mismatch"), Code.STORE_CORRUPT),
        (plyvel.IOError(b"IO error: 000005.log: No space left on device"), Code.DISK_FULL),
        (OSError(errno.ENOSPC, "No space left on device"), Code.DISK_FULL),
        (plyvel.IOError(b"IO error: 000005.log: Input/output error"), Code.STORE_IO),
    ],
)
def test_database_errors_have_numbers(error: Exception, code: Code) -> None:
    assert storage_error(error, Path("db")).code is code


class _FailingBatch:
    def __enter__(self) -> _FailingBatch:
        return self

    def __exit__(self, *_: object) -> None:
        raise plyvel.IOError(b"IO error: fsync: Input/output error")


class _FailingHandle:
    def __init__(self) -> None:
        self.attempts = 0

    def write_batch(self, **_: object) -> _FailingBatch:
        self.attempts += 1
        return _FailingBatch()

    def get(self, key: bytes, **_: object) -> bytes:
        return key


def test_f54_after_a_failed_sync_no_write_is_tried_again(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    store.close()
    handle = _FailingHandle()
    store._handle = handle
    for _ in range(2):
        with pytest.raises(StorageError, match="Input/output error"):
            store.write({}, sync=True)
    assert handle.attempts == 1
    assert store.get(b"still readable") == b"still readable"
