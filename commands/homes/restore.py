"""`creditledger restore`: a home made of a backup, for a node that lost its own.

A backup holds the chain, the settings and the genesis document, no keys and no votes: a node that
came back on an old vote log could contradict what it has said since (rule 46). So what is restored
follows the chain at once, and votes when the members have decided on its new node key.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from commands.console import say
from commands.frame import Command
from commands.homes.backup import copy_database
from ledger.audit.files import check_files
from ledger.errors import Code, LocalError, StorageError
from ledger.storage.home import HomeLayout


@click.command(
    "restore",
    cls=Command,
    example="creditledger restore /backup/2020-01-10 --home /var/lib/creditledger",
)
@click.argument("copy", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="A folder, new or empty."
)
def command(copy: Path, home: Path) -> None:
    """Make a home of COPY, a backup, after its files were checked.

    It has no keys: `creditledger member rejoin` makes the new node key and proposes it. The node
    may run meanwhile; it follows the others and fetches what came after the backup.
    """
    if home.exists() and any(home.iterdir()):
        raise LocalError(Code.INPUT_FILE, f"{home} is not empty; name another folder")
    source, target = HomeLayout(copy), HomeLayout(home)
    damages = [damage for damage in check_files(copy).damages if not damage.is_harmless]
    if damages:
        raise StorageError(
            Code.STORE_CORRUPT, f"{copy} is damaged, nothing was restored: {damages[0]}"
        )
    try:
        target.database.mkdir(parents=True)
        for part in (source.genesis, source.config):
            shutil.copy2(part, home / part.name)
        copy_database(source.database, target.database)
    except OSError as error:
        raise LocalError(
            Code.INPUT_FILE, f"cannot copy {error.filename}: {error.strerror}"
        ) from None
    say(f"{home} restored; now: creditledger member rejoin --home {home} --member KEYS --as ID")
