"""F57, F58: writes that a disk lost or misdirected, and bits that it turned, on the real files."""

from __future__ import annotations

import shutil
from collections import Counter
from hashlib import sha256
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from ledger.errors import Code, CreditLedgerError, StorageError
from ledger.storage.chain_store import HEADERS, ChainStore, height_key
from ledger.storage.home import open_home
from ledger.storage.leveldb import LevelStore
from tests.disks.lies import lying_states
from tests.disks.runs import Laboratory, Run
from tests.disks.workload import promises_of, verdicts

LIES = 40
FLIPS = 60
ENTRIES = 1000


def test_f58_lost_and_misdirected_writes_are_refused_or_change_nothing(
    laboratory: Laboratory, recorded: Run, fast_path: Path
) -> None:
    """`verdicts` fails on a database that opens with a hole, and on votes that are gone."""
    found: Counter[tuple[str, Code, Code]] = Counter()
    dice = Random(58)
    of_blocks = lying_states(recorded, dice, LIES, "db/")
    of_votes = lying_states(recorded, dice, LIES, "votes/")
    for number, lie in enumerate(chain(of_blocks, of_votes)):
        folder = lie.state.write(fast_path / str(number))
        try:
            database, votes = verdicts(folder, laboratory.digests, lie.promises)
        except AssertionError as error:
            error.add_note(f"{lie.path}: {lie.state.words}")
            raise
        found[(lie.how, database, votes)] += 1
        shutil.rmtree(folder)
    assert found[("lost", Code.STORE_CORRUPT, Code.OK)]
    assert found[("misdirected", Code.STORE_CORRUPT, Code.OK)]
    assert sum(count for (_, _, votes), count in found.items() if votes is not Code.OK)


def test_f57_each_flipped_bit_of_a_home_is_refused_or_changes_nothing(
    laboratory: Laboratory, recorded: Run, fast_path: Path
) -> None:
    """Bits of every file of a home: tables, logs, MANIFEST, CURRENT, votes, guard, genesis."""
    dice, promises = Random(57), promises_of(recorded.operations)
    files = [path for path in sorted(recorded.home.rglob("*")) if path.stat().st_size]
    names = [str(path.relative_to(recorded.home)) for path in files if path.is_file()]
    refused: Counter[str] = Counter()
    for number in range(FLIPS):
        name = names[number % len(names)]
        home = shutil.copytree(recorded.home, fast_path / str(number))
        data = bytearray((home / name).read_bytes())
        at = dice.randrange(len(data))
        data[at] ^= 1 << dice.randrange(8)
        (home / name).write_bytes(data)
        try:
            database, votes = verdicts(home, laboratory.digests, promises)
        except AssertionError as error:
            error.add_note(f"{name} at {at}")
            raise
        refused[name] += (database, votes) != (Code.OK, Code.OK)
        shutil.rmtree(home)
    assert refused["genesis.bin"]
    assert refused["db/CURRENT"]


def test_f57_flip_in_the_last_block_of_a_range_is_not_its_end(tmp_path: Path) -> None:
    """The library's own iterator ends there without an error, as if nothing more were stored."""
    store = LevelStore(tmp_path)
    store.write({b"k%06d" % i: sha256(b"%d" % i).digest() for i in range(ENTRIES)}, sync=True)
    store.compact()
    store.close()
    (table,) = tmp_path.glob("*.ldb")
    data = bytearray(table.read_bytes())
    data[data.rindex(sha256(b"999").digest())] ^= 1
    table.write_bytes(data)
    store = LevelStore(tmp_path)
    for start, end in ((b"k", b"l"), (b"k000999", b"k001000"), (b"k000100", b"k000999")):
        for is_reverse in (False, True):
            with pytest.raises(StorageError) as caught:
                list(store.scan(start, end, reverse=is_reverse))
            assert caught.value.code is Code.STORE_CORRUPT
    store.close()


@pytest.mark.parametrize("height", [0, 1, 11, 23])
def test_f57_f58_database_that_lost_a_block_below_its_head_is_refused(
    laboratory: Laboratory, recorded: Run, tmp_path: Path, height: int
) -> None:
    home = shutil.copytree(recorded.home, tmp_path / "home")
    with open_home(home) as opened:
        assert ChainStore(opened.store).missing_height(100) is None
        opened.store.write({height_key(HEADERS, height): None}, sync=True)
        assert ChainStore(opened.store).missing_height(100) == height
        assert ChainStore(opened.store).missing_height(24 - height) is None
    with pytest.raises(CreditLedgerError) as caught:
        open_home(home)
    assert caught.value.code is Code.STORE_CORRUPT
    assert f"lost block {height}," in caught.value.message
