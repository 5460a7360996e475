"""F62: homes damaged in different places are repaired from each other; else they stop safely."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from ledger.errors import Code, StorageError
from ledger.storage.chain_store import (
    CERTIFICATES,
    HEADERS,
    RESULTS,
    TRANSACTIONS,
    body_key,
    height_key,
)
from ledger.storage.home import HomeLayout, open_home
from ledger.storage.leveldb import LevelStore
from tests.disks.runs import Laboratory, Run
from tests.disks.workload import judge_votes, moment, promises_of

BLOCKS = 24


def lose(*keys: bytes) -> Callable[[Path], None]:
    """Return the damage that takes these keys from a database."""

    def damage(home: Path) -> None:
        store = LevelStore(HomeLayout(home).database, create=False)
        store.write(dict.fromkeys(keys), sync=True)
        store.close()

    return damage


def alter(key: bytes) -> Callable[[Path], None]:
    """Return the damage that changes a stored value, all checksums in order."""

    def damage(home: Path) -> None:
        store = LevelStore(HomeLayout(home).database, create=False)
        value = bytearray(store.get(key) or b"")
        value[len(value) // 2] ^= 1
        store.write({key: bytes(value)}, sync=True)
        store.close()

    return damage


def flip_tables(home: Path) -> None:
    """Turn a bit in the middle of every table."""
    for path in HomeLayout(home).database.glob("*.ldb"):
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 4
        path.write_bytes(data)


def lose_manifest(home: Path) -> None:
    """Take away the file that says which tables are there."""
    for path in HomeLayout(home).database.glob("MANIFEST*"):
        path.unlink()


def repair(home: Path, *others: Path) -> Result:
    """Run the command."""
    sources = [word for other in others for word in ("--from", str(other))]
    return CliRunner().invoke(cli, ["repair", "--home", str(home), *sources])


@pytest.fixture
def homes(recorded: Run, fast_path: Path) -> list[Path]:
    """Four homes of one chain."""
    return [shutil.copytree(recorded.home, fast_path / f"home{n}") for n in range(4)]


def check_whole(laboratory: Laboratory, home: Path, recorded: Run) -> None:
    """Check that a home holds the whole chain, and its votes as they were."""
    with open_home(home) as opened:
        assert moment(opened.store, laboratory.digests) == BLOCKS
    judge_votes(home, promises_of(recorded.operations))


def test_f62_all_homes_damaged_in_different_blocks_repair_each_other(
    laboratory: Laboratory, recorded: Run, homes: list[Path]
) -> None:
    damages = (
        lose(height_key(TRANSACTIONS, 5), height_key(HEADERS, 6), body_key(7, 9, 3)),
        alter(height_key(RESULTS, 9)),
        flip_tables,
        lose(*(height_key(CERTIFICATES, height) for height in range(1, 20))),
    )
    for home, damage in zip(homes, damages, strict=True):
        damage(home)
    originals = [shutil.copytree(home, home.with_suffix(".copy")) for home in homes]
    for home in homes:
        told = repair(home, *(copy for copy in originals if copy.stem != home.stem))
        assert told.exit_code == Exit.OK, told.output
        assert f"database rebuilt to block {BLOCKS}; start the node" in told.output
        check_whole(laboratory, home, recorded)


@pytest.mark.parametrize("damage", [lose_manifest, flip_tables], ids=["manifest", "tables"])
def test_f62_home_that_does_not_open_is_rebuilt_as_far_as_it_goes(
    laboratory: Laboratory, homes: list[Path], damage: Callable[[Path], None]
) -> None:
    damage(homes[0])
    with pytest.raises(StorageError) as caught, open_home(homes[0]) as opened:
        list(opened.store.scan(b"", b"\xff" * 64))
    assert caught.value.code is Code.STORE_CORRUPT
    told = repair(homes[0])
    if told.exit_code == Exit.OK:
        with open_home(homes[0]) as opened:
            assert moment(opened.store, laboratory.digests) > 0
    else:
        assert "no block can be proved from 1 sources" in told.stderr


def test_f62_what_nobody_has_stops_the_repair_before_it(
    laboratory: Laboratory, homes: list[Path]
) -> None:
    for home in homes:
        alter(height_key(TRANSACTIONS, 12))(home)
    told = repair(homes[0], *homes[1:])
    assert told.exit_code == Exit.OK, told.output
    assert "database rebuilt to block 11;" in told.output
    with open_home(homes[0]) as opened:
        assert moment(opened.store, laboratory.digests) == 11
    # What lay beyond is kept: it serves again once somebody has the missing block.
    alter(height_key(TRANSACTIONS, 12))(homes[1])
    told = repair(homes[0], homes[1], homes[0] / "damaged/1")
    assert f"database rebuilt to block {BLOCKS};" in told.output, told.output


def test_f62_home_of_which_no_block_can_be_proved_is_left_as_it_is(homes: list[Path]) -> None:
    lose(*(height_key(CERTIFICATES, height) for height in range(1, BLOCKS + 1)))(homes[0])
    told = repair(homes[0])
    assert told.exit_code == Exit.STORAGE
    assert told.stderr.startswith(f"error E{int(Code.STORE_CORRUPT)}: no block can be proved ")
    with open_home(homes[0]) as opened:
        assert opened.store.get(height_key(HEADERS, BLOCKS)) is not None


def test_f62_forged_source_gives_nothing(laboratory: Laboratory, homes: list[Path]) -> None:
    """A chain executed by the rules that the members never certified."""
    with open_home(homes[1]) as opened:
        votes = {
            key: value[:-1] + bytes((value[-1] ^ 1,))
            for key, value in opened.store.scan(CERTIFICATES, CERTIFICATES + b"\xff" * 8)
        }
        opened.store.write(votes, sync=True)
    alter(height_key(TRANSACTIONS, 3))(homes[0])
    lose(*(height_key(CERTIFICATES, height) for height in range(3, BLOCKS + 1)))(homes[0])
    told = repair(homes[0], homes[1])
    assert told.exit_code == Exit.OK, told.output
    assert "database rebuilt to block 2;" in told.output
