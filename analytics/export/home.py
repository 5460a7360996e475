"""A stopped node's home, or a copy of one, opened for reading.

A database changes its files when it is opened, so what is opened is a copy in a scratch folder; the
home itself is only read, and no lock of it is taken away from anybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import Code, LocalError
from ledger.storage.home import HomeLayout, HomeLock
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import Reader


@contextmanager
def open_copy(home: Path, scratch: Path) -> Iterator[Reader]:
    """Yield the database of a home as it stands; `scratch` is an empty folder for the copy.

    Raise `LocalError` 6103 where there is none, and what a home in use raises.
    """
    layout = HomeLayout(home)
    database = layout.database if layout.database.is_dir() else home
    if not database.is_dir() or not (database / "CURRENT").exists():
        raise LocalError(Code.HOME_INCOMPLETE, f"{home} has no database to read")
    lock = HomeLock(layout) if layout.lock.exists() else None
    try:
        copy = scratch / "copy"
        shutil.copytree(database, copy, ignore=shutil.ignore_patterns("LOCK"))
    finally:
        if lock is not None:
            lock.release()
    store = LevelStore(copy, create=False)
    try:
        yield store
    finally:
        store.close()
