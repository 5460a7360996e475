"""Where a replay may begin: at genesis, or at the state of an earlier copy of a home.

A home that began at a snapshot, or that deleted the bodies of erased records, has the state of its
last block, and neither all blocks that led to it nor the state it began with. An earlier copy of a
home of the same chain (a backup) has the state of *its* last block. From there on the blocks of the
later home are replayed, if it has them with their bodies. What a rule reads must be kept in that
state already: windows that nobody kept would have to be built from records of before.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ledger.credit.rulebook import RuleCache
from ledger.errors import Code, LocalError
from ledger.rules.alert import Alert
from ledger.rules.product import Product
from ledger.rules.scorecard import Scorecard
from ledger.rules.windows import Stream
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.home import HomeLayout


def copy_database(home: Path, copy: Path) -> None:
    """Copy the database of a home, or of the copy of one; raise `LocalError` 6103 without one."""
    layout = HomeLayout(home)
    database = layout.database if layout.database.is_dir() else home
    if not database.is_dir() or not any(database.iterdir()):
        raise LocalError(Code.HOME_INCOMPLETE, f"{home} has no database to replay")
    shutil.copytree(database, copy, ignore=shutil.ignore_patterns("LOCK"))


def check_whole(chain: ChainStore) -> None:
    """Raise `LocalError` 6103 for a home that lacks blocks, or bodies of them, from 1 on."""
    base, erasure = chain.base(), chain.erasure()
    if base is None:
        return
    if erasure is not None:
        why = f"{erasure[0]} bodies of erased records were deleted here"
    else:
        why = "this one began at a snapshot"
    raise LocalError(
        Code.HOME_INCOMPLETE,
        f"a replay from block 1 wants a home that has all of it, {why}: take another member's, or"
        f" begin with a copy of a home that ended at block {base[0]} or later (--from)",
    )


def check_start(chain: ChainStore, start: ChainStore) -> int:
    """Return the last block of an earlier copy, after which `chain` can be replayed.

    Raise `LocalError` 6103 where the blocks after it are not all there, 9001 for another chain.
    """
    header, base = start.head(), chain.base()
    if header is None or start.genesis() != chain.genesis():
        raise LocalError(Code.AUDIT_FAILED, "the copy to begin with is of another chain")
    height, last = header.height, chain.height() or 0
    first = 0 if base is None else base[0]
    if not first <= height <= last:
        raise LocalError(
            Code.HOME_INCOMPLETE,
            f"the copy to begin with ends at block {height}, want {first} to {last}",
        )
    if chain.header(height) != header:
        raise LocalError(
            Code.AUDIT_FAILED, f"block {height} of the copy is not the home's: audit both"
        )
    return height


def check_kept(start: ChainStore, rule: Product | Scorecard | Alert) -> None:
    """Raise `LocalError` 8004 unless the state of a copy keeps all that a rule reads."""
    rules = RuleCache().over(Overlay(start.reader))
    height = start.height()
    if rules.filling():
        raise LocalError(
            Code.INPUT_USAGE,
            f"windows of the past are being built at block {height}: begin with a later copy",
        )
    if rule.schema_ref and rule.schema_ref not in rules.references("schema"):
        raise LocalError(
            Code.INPUT_USAGE,
            f"schema {rule.schema_ref} is not registered at block {height}: replay from block 1",
        )
    for stream in _streams(rule):
        kept = rules.streams(stream.category, stream.record_schema)
        if stream.id not in {item.id for item in kept}:
            raise LocalError(
                Code.INPUT_USAGE,
                f"no window that {rule.ref} reads of {stream.category} is kept at block {height}:"
                " replay from block 1",
            )


def _streams(rule: Product | Scorecard | Alert) -> Iterable[Stream]:
    return rule.streams if isinstance(rule, Alert) else ()
