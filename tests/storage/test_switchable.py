"""A home's database replaced whole: the old one or the new one, whatever stops when (rule 41)."""

from __future__ import annotations

import pytest

from ledger.encoding import encode
from ledger.errors import Code, LocalError, StorageError
from ledger.storage.chain_store import HEAD_KEY
from ledger.storage.files import DiskFiles
from ledger.storage.leveldb import LevelStore
from ledger.storage.switchable import DATABASE_NAMES, SwitchableStore, read_pointer

OLD = {HEAD_KEY: encode(3), b"a": b"old"}
LAST = {HEAD_KEY: encode(90), b"b": b"last"}


class Power(Exception):
    """The machine stops here."""


class FailingFiles(DiskFiles):
    """The machine's file system, that stops before its n-th operation."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Power

    def open(self, path):
        self._count()
        file = super().open(path)
        return CountedFile(file, self._count)

    def rename(self, source, target):
        self._count()
        super().rename(source, target)

    def sync_folder(self, path):
        self._count()
        super().sync_folder(path)


class CountedFile:
    """A file whose every operation counts."""

    def __init__(self, file, count) -> None:
        self._file, self._count = file, count

    def truncate(self, size):
        self._count()
        self._file.truncate(size)

    def write_at(self, offset, data):
        self._count()
        self._file.write_at(offset, data)

    def sync(self):
        self._count()
        self._file.sync()

    def close(self):
        self._file.close()


def make(folder):
    store = LevelStore(folder / "db")
    store.write(OLD, sync=True)
    store.close()


def content(store):
    return dict(store.scan(b"", b"\xff"))


def test_switch_puts_the_staging_store_in_the_place_of_the_old_one(tmp_path):
    """Rule 41; a snapshot of the old one is read on."""
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    store.open_staging().write({b"c": b"new"}, sync=False)
    view = store.snapshot()
    store.switch(LAST)
    assert content(store) == {b"c": b"new", **LAST}
    assert content(view) == OLD
    assert not (tmp_path / "db").exists()
    store.write({b"d": b"later"}, sync=True)
    store.close()
    again = SwitchableStore(tmp_path)
    assert content(again) == {b"c": b"new", **LAST, b"d": b"later"}
    again.close()


def test_staging_store_goes_on_after_a_restart(tmp_path):
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    store.open_staging().write({b"c": b"new"}, sync=True)
    store.close()
    store = SwitchableStore(tmp_path)
    assert content(store) == OLD
    assert content(store.open_staging()) == {b"c": b"new"}
    store.drop_staging()
    assert content(store.open_staging()) == {}
    store.close()


def test_database_that_was_replaced_is_no_staging_store(tmp_path):
    """Its removal may have been cut short by a crash."""
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    store.open_staging().write({b"c": b"new"}, sync=False)
    store.switch(LAST)
    store.close()
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    assert content(store.open_staging()) == {}
    store.close()


@pytest.mark.parametrize("left", range(7))
def test_crash_at_each_file_operation_leaves_the_old_or_the_new(tmp_path, left):
    """Rule 41, F53: one rename decides."""
    make(tmp_path)
    store = SwitchableStore(tmp_path, files=FailingFiles(left))
    store.open_staging().write({b"c": b"new"}, sync=False)
    new = {b"c": b"new", **LAST}
    try:
        store.switch(LAST)
    except Power:
        store.close()
    else:
        store.close()
        assert left >= 6
    again = SwitchableStore(tmp_path)
    assert content(again) == (OLD if left < 5 else new)
    again.open_staging().write({b"c": b"new"}, sync=False)
    again.switch(LAST)
    assert content(again) == new
    again.close()


def test_damaged_pointer_is_no_other_folder(tmp_path):
    (tmp_path / "database").write_bytes(b"../elsewhere\n")
    assert read_pointer(tmp_path) == DATABASE_NAMES[0]
    with pytest.raises(StorageError):
        SwitchableStore(tmp_path)


def test_switch_without_a_staging_store_is_our_own_mistake(tmp_path):
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    with pytest.raises(LocalError) as caught:
        store.switch(LAST)
    assert caught.value.code is Code.INTERNAL
    store.close()


def test_one_process_may_switch_again_and_again(tmp_path):
    """The handle of what was replaced goes with its last reader, so its folder can be used anew."""
    make(tmp_path)
    store = SwitchableStore(tmp_path)
    for number in range(4):
        view = store.snapshot()
        scan = store.scan(b"", b"\xff")
        next(scan)
        store.open_staging().write({b"c": b"%d" % number}, sync=False)
        store.switch(LAST)
        assert view.get(HEAD_KEY) is not None
        assert store.get(b"c") == b"%d" % number
        del view, scan
    store.close()
