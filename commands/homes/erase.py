"""`creditledger erase`: the bytes of erased records deleted from a home (ADR 0020).

`company erase` orders an erasure on the chain, for every node at once; this deletes what the order
leaves on one disk. The tables are merged afterwards, because LevelDB keeps a deleted value in its
files until then. Interrupted, it is run again: the deletion is one synced batch.
"""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import say, show_facts, show_json
from commands.frame import Command, json_option
from ledger.audit.erasure import Erasure, plan_erasure
from ledger.errors import Code, StorageError
from ledger.storage.home import HomeLayout, HomeLock
from ledger.storage.leveldb import LevelStore


@click.command(
    "erase", cls=Command, example="creditledger erase --home /var/lib/creditledger --dry-run"
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The home of a node that does not run.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted; delete nothing.")
@json_option
def command(home: Path, dry_run: bool, as_json: bool) -> None:
    """Delete from a home the bodies of records that the chain has ordered erased.

    Digests, proofs and receipts stay as they are. An audit of this home then proves its blocks by
    certificates instead of executing them again; a home that keeps the bodies executes them.
    Backups and the folder `damaged` are not touched: delete those that hold the bodies.
    """
    layout = HomeLayout(home)
    if not (layout.database / "CURRENT").exists():
        raise StorageError(Code.HOME_INCOMPLETE, f"{home} has no database")
    lock = HomeLock(layout)
    try:
        store = LevelStore(layout.database, create=False)
        try:
            done = plan_erasure(store)
            if not dry_run:
                _delete(store, done)
        finally:
            store.close()
    finally:
        lock.release()
    _show(done, is_done=not dry_run, as_json=as_json)


def _delete(store: LevelStore, erasure: Erasure) -> None:
    if erasure.writes:
        store.write(erasure.writes, sync=True)
    # Also where nothing is left to delete: a run before may have been stopped here.
    if erasure.bodies or erasure.deleted_before:
        store.compact()


def _show(done: Erasure, *, is_done: bool, as_json: bool) -> None:
    facts = {
        "deleted": done.bodies if is_done else 0,
        "to_delete": 0 if is_done else done.bodies,
        "waiting": done.waiting,
        "deleted_before": done.deleted_before,
        "proved_from_block": done.base,
    }
    if as_json:
        show_json(facts)
        return
    show_facts(
        "bodies of erased records", {name.replace("_", " "): f"{facts[name]:,}" for name in facts}
    )
    if done.waiting:
        say("those that wait are in blocks after the last certificate: run the node, then this")
