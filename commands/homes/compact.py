"""`creditledger compact`: the tables of a stopped node's database merged into one level.

LevelDB merges by itself as it is written to; what was overwritten since stays in its files until
then. After a large load or a long catch-up this gives the space back at once.
"""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import show_facts, show_json
from commands.frame import Command, json_option
from ledger.errors import Code, StorageError
from ledger.storage.home import HomeLayout, HomeLock
from ledger.storage.leveldb import LevelStore


@click.command("compact", cls=Command, example="creditledger compact --home /var/lib/creditledger")
@click.option(
    "--home",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The home of a node that does not run.",
)
@json_option
def command(home: Path, as_json: bool) -> None:
    """Merge the tables of a home's database, so that what was overwritten leaves the disk.

    Nothing that can be read changes. It needs as much free space as the database has, for a while.
    """
    layout = HomeLayout(home)
    if not (layout.database / "CURRENT").exists():
        raise StorageError(Code.HOME_INCOMPLETE, f"{home} has no database")
    lock = HomeLock(layout)
    try:
        before = _size(layout.database)
        store = LevelStore(layout.database, create=False)
        try:
            store.compact()
        finally:
            store.close()
    finally:
        lock.release()
    after = _size(layout.database)
    if as_json:
        show_json({"bytes_before": before, "bytes_after": after})
        return
    sizes = {"before": f"{before:,} bytes", "after": f"{after:,} bytes"}
    show_facts(f"database {layout.database}", sizes)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
