"""`creditledger repair`: a node's damaged database built anew, block by certified block (F62).

The new database is built beside the damaged one and takes its place in one step; a repair that is
interrupted leaves the home as it was and begins again. The damaged one is kept below `damaged/`: it
may hold blocks that another member lacks. Keys and votes are not touched: a damaged
vote log cannot be repaired, its key must not vote again (rule 46).
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from commands.console import progress, say, show_table
from commands.frame import Command
from ledger.audit.files import check_files
from ledger.audit.repair import Rebuilt, Source, open_source, rebuild
from ledger.errors import Code, StorageError
from ledger.membership.genesis import parse_genesis
from ledger.storage.files import DiskFiles
from ledger.storage.home import HomeLayout, HomeLock
from ledger.storage.leveldb import LevelStore
from ledger.storage.switchable import DATABASE_NAMES, write_pointer

_PATH = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(
    "repair", cls=Command, example="creditledger repair --home /var/lib/creditledger --from copy"
)
@click.option("--home", type=_PATH, required=True, help="The home of a node that does not run.")
@click.option(
    "--from",
    "others",
    type=_PATH,
    multiple=True,
    help="A copy of another member's home (creditledger backup); more than one may be given.",
)
@click.option("--scratch", type=_PATH, help="Where to put copies of the databases.")
def command(home: Path, others: tuple[Path, ...], scratch: Path | None) -> None:
    """Build the database of a home anew from what can be read of it, and of copies of others.

    Every block is executed again and must be certified by the members of its time, so a source may
    be damaged or forged: what is wrong in it is not taken. The node fetches the rest of its peers
    when it is started. Refuses, and leaves the home as it is, when no block at all can be proved.
    """
    layout = HomeLayout(home)
    lock = HomeLock(layout)
    try:
        for damage in check_files(home).damages:
            say(f"damaged: {damage}")
        done = _repair(layout, others, scratch)
    finally:
        lock.release()
    show_table(
        "",
        ["blocks from", "count"],
        [[name, f"{count:,}"] for name, count in done.taken.items()],
    )
    for name, reason in done.reasons.items():
        say(f"after block {done.height:,}: {name}: {reason}")
    say(f"database rebuilt to block {done.height:,}; start the node, it fetches the rest")


def _repair(layout: HomeLayout, others: tuple[Path, ...], scratch: Path | None) -> Rebuilt:
    genesis = parse_genesis(DiskFiles().read(layout.genesis) or b"")
    old = layout.database
    name = next(item for item in DATABASE_NAMES if item != old.name)
    new = layout.folder / name
    shutil.rmtree(new, ignore_errors=True)
    with ExitStack() as stack:
        place = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="creditledger-", dir=scratch))
        )
        bar = stack.enter_context(progress("rebuilding", None, "blocks"))
        sources = _open_sources(stack, layout, others, place)
        store = LevelStore(new)
        stack.callback(store.close)
        done = rebuild(store, genesis, sources, lambda _height: bar.advance())
        if not done.height:
            stack.callback(shutil.rmtree, new, ignore_errors=True)
            reasons = "; ".join(f"{name}: {why}" for name, why in done.reasons.items())
            raise StorageError(
                Code.STORE_CORRUPT,
                f"no block can be proved from {len(sources)} sources: {reasons}; "
                "give copies of other homes with --from",
            )
    write_pointer(layout.folder, name, DiskFiles())
    _put_aside(layout.folder, old)
    return done


def _put_aside(folder: Path, old: Path) -> None:
    """Keep the damaged database where `--from` finds it, and say where."""
    number = 1
    while (kept := folder / f"damaged/{number}").exists():
        number += 1
    kept.mkdir(parents=True)
    old.rename(kept / DATABASE_NAMES[0])
    say(f"the damaged database is kept in {kept}: remove it once every member is whole")


def _open_sources(
    stack: ExitStack, layout: HomeLayout, others: tuple[Path, ...], place: Path
) -> list[Source]:
    """Open the own database and the others'; one that cannot be read at all is said and left."""
    folders = [("this home", layout.database)]
    folders += [(str(path), HomeLayout(path).database) for path in others]
    sources = []
    for number, (name, folder) in enumerate(folders):
        try:
            sources.append(stack.enter_context(open_source(name, folder, place / str(number))))
        except (StorageError, OSError) as error:
            say(f"{name}: cannot be read: {error}")
    return sources
