"""`creditledger backup`: a copy of a node's chain, taken while the node runs.

What is copied is what can be given back: settings, genesis document, database. Keys are not (they
belong in a place of their own), and neither is the vote log: a node that is started on an old vote
log could contradict what it has said since (rule 46), so a node that lost its home comes back
under a new node key.

LevelDB's files are immutable but for its manifest and its log. So the tables are linked first, that
no compaction can take them away; manifest and log are copied next, again if the manifest changed
meanwhile; then the tables that came in between. A log copied in the middle of a write ends in a
torn record, which is what a crash leaves too: that block is then not in the copy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from commands.console import say
from commands.frame import Command
from ledger.errors import Code, LocalError, StorageError
from ledger.storage.home import HomeLayout

_TRIES = 20


@click.command(
    "backup",
    cls=Command,
    example="creditledger backup --home /var/lib/creditledger --out /backup/2020-01-10",
)
@click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="The node's home; it may run."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def command(home: Path, out: Path) -> None:
    """Copy a node's chain, while it runs or not: for audits, and to start from again.

    Keys and the vote log are not copied: keep keys elsewhere; a restored node needs a new one.
    """
    source, target = HomeLayout(home), HomeLayout(out)
    if out.exists() and any(out.iterdir()):
        raise LocalError(Code.INPUT_FILE, f"{out} is not empty; name another folder")
    if not (source.database / "CURRENT").exists():
        raise StorageError(Code.HOME_INCOMPLETE, f"{home} has no database to copy")
    try:
        target.database.mkdir(parents=True)
        for part in (source.genesis, source.config):
            shutil.copy2(part, out / part.name)
        copy_database(source.database, target.database)
    except OSError as error:
        raise LocalError(
            Code.INPUT_FILE, f"cannot copy {error.filename}: {error.strerror}"
        ) from None
    say(str(out))


def copy_database(source: Path, target: Path) -> None:
    """Copy a LevelDB folder that another process may be writing to."""
    for _ in range(_TRIES):
        _copy_tables(source, target)
        if _copy_manifest_and_logs(source, target):
            _copy_tables(source, target)
            return
    raise StorageError(
        Code.STORE_IO, f"{source} changed {_TRIES} times while it was copied: try again"
    )


def _copy_tables(source: Path, target: Path) -> None:
    for table in source.glob("*.ldb"):
        copied = target / table.name
        # One that was still being written the first time is longer now.
        if not copied.exists() or _size(table) != _size(copied):
            _copy_whole(table, copied)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a table so that it cannot vanish half-way; one that is gone is nobody's any more."""
    held = target.with_suffix(".held")
    try:
        os.link(source, held)
    except FileNotFoundError:
        return
    except OSError:
        held = source  # another file system: copied at once
    try:
        shutil.copy2(held, target)
    finally:
        if held != source:
            held.unlink()


def _copy_manifest_and_logs(source: Path, target: Path) -> bool:
    """Copy what changes; return whether all of it was of one moment."""
    for old in (*target.glob("*.log"), *target.glob("MANIFEST-*")):
        old.unlink()
    try:
        current = (source / "CURRENT").read_text()
        manifest = source / current.strip()
        before = manifest.read_bytes()
        for log in source.glob("*.log"):
            shutil.copy2(log, target / log.name)
        is_same = (source / "CURRENT").read_text() == current and manifest.read_bytes() == before
    except FileNotFoundError:
        return False
    (target / "CURRENT").write_text(current)
    (target / manifest.name).write_bytes(before)
    return is_same
