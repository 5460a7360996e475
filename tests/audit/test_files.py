"""Every flipped byte of a home is reported with its file, or lies where nothing is read (F57)."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.audit.files import FilesReport, check_files
from ledger.audit.leveldb_files import (
    batch_entries,
    read_log,
    read_manifest,
    snappy_decompress,
)
from ledger.audit.losses import describe_keys, describe_range
from ledger.storage.chain_store import (
    CERTIFICATES,
    HEADERS,
    TRANSACTIONS,
    block_writes,
    body_key,
    certificate_writes,
    genesis_writes,
    height_key,
)
from ledger.storage.home import create_home, open_home
from tests.chain.builder import NODE_KEYS, ChainBuilder, certify, results_of, transaction

KEY = NODE_KEYS[0].public_key


def _grow(folder: Path, chain: ChainBuilder, blocks: int, body: bytes) -> None:
    with open_home(folder) as home:
        for _ in range(blocks):
            number = len(chain.headers)
            items = [transaction(number * 10 + i, (body,)) for i in range(3)]
            block, batch = chain.add(items)
            home.store.write(block_writes(block.header, batch, items, results_of(items)), sync=True)
            home.store.write(certificate_writes(certify(block.header)), sync=True)
        votes = home.open_votes(KEY)
        votes.append([b"vote %d" % number for number in range(5)])
        votes.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with tables of blocks 1 to 8 and a log with blocks 9 to 11."""
    folder = tmp_path_factory.mktemp("home") / "node"
    chain = ChainBuilder()
    create_home(
        folder,
        config="[node]\n",
        genesis=b"document",
        keys={"node.key": b"secret of the node"},
        node_public_key=KEY,
        database=genesis_writes(b"document", chain.headers[0]),
    )
    _grow(folder, chain, 8, bytes(range(256)) * 8)
    with open_home(folder) as opened:
        opened.store.compact()
    _grow(folder, chain, 3, random.Random(1).randbytes(20_000))
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "copy"
    shutil.copytree(home, target)
    yield target
    shutil.rmtree(target)


def _flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ bit,)))


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_whole_home_is_whole_and_every_file_is_named(home: Path) -> None:
    report = check_files(home)
    assert report.damages == []
    names = {path.relative_to(home).as_posix() for path in _files(home)}
    assert names == {*report.checked, *report.not_data}
    unread = {"config.toml", "lock", "db/LOCK", "db/LOG", "db/LOG.old"}
    assert set(report.not_data) <= unread


def test_f57_every_flipped_byte_is_reported_with_its_file(home: Path, copy: Path) -> None:
    unread = set(check_files(home).not_data)
    dice = random.Random(7)
    flips = 0
    for path in _files(copy):
        name = path.relative_to(copy).as_posix()
        size = path.stat().st_size
        if name in unread or size == 0:
            continue
        for offset in sorted({0, size - 1, *(dice.randrange(size) for _ in range(60))}):
            bit = 1 << dice.randrange(8)
            _flip(path, offset, bit)
            damaged = [item for item in check_files(copy).damages if item.file == name]
            assert damaged, f"flip of bit {bit} at offset {offset} of {name} was not seen"
            assert all(item.lost for item in damaged)
            _flip(path, offset, bit)
            flips += 1
    assert flips > 200
    assert not check_files(copy).damages


def test_log_reader_loses_only_what_is_damaged(home: Path) -> None:
    """The reader alone, all over the first block of a log: it reads on behind the damage."""
    log = max((home / "db").glob("*.log"), key=lambda path: path.stat().st_size).read_bytes()
    start = len(read_log(log).records)
    assert start > 3
    small = log[: 32 * 1024]
    whole = read_log(small)
    for offset in range(0, len(small), 503):
        changed = bytearray(small)
        changed[offset] ^= 1 << offset % 8
        found = read_log(bytes(changed))
        assert found.flaws, offset
        assert found.flaws[0].offset <= offset
        assert len(found.records) >= len(whole.records) - 2


def _damages(folder: Path) -> list[str]:
    return [str(item) for item in check_files(folder).damages]


def test_damaged_log_record_says_which_block_is_lost(copy: Path) -> None:
    path = max((copy / "db").glob("*.log"), key=lambda item: item.stat().st_size)
    records = read_log(path.read_bytes()).records
    wanted = height_key(TRANSACTIONS, 10)
    offset = next(
        offset for offset, data in records if wanted in [key for key, _ in batch_entries(data)]
    )
    _flip(path, offset + 60, 4)
    (damage,) = check_files(copy).damages
    assert damage.file == f"db/{path.name}"
    assert damage.offset == offset
    for words in ("headers of block 10", "transactions of block 10", "record bodies of block 10"):
        assert words in damage.lost


def test_flipped_length_of_the_last_record_is_no_unfinished_write(copy: Path) -> None:
    """One flipped bit, and LevelDB opens without a word and without the last write."""
    path = max((copy / "db").glob("*.log"), key=lambda item: item.stat().st_size)
    offset, _ = read_log(path.read_bytes()).records[-1]
    _flip(path, offset + 5, 0x10)
    (damage,) = check_files(copy).damages
    assert damage.offset == offset
    assert "certificates of block 11" in damage.lost


def test_unfinished_write_of_a_killed_process_is_no_damage(copy: Path) -> None:
    path = max((copy / "db").glob("*.log"), key=lambda item: item.stat().st_size)
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    report = check_files(copy)
    assert report.damages == []
    assert any("unfinished write" in note for note in report.notes)


def test_damaged_table_block_says_what_lay_there(copy: Path) -> None:
    table = max((copy / "db").glob("*.ldb"), key=lambda item: item.stat().st_size)
    _flip(table, 10, 1)
    (damage,) = check_files(copy).damages
    assert damage.file == f"db/{table.name}"
    assert damage.offset == 0
    assert "certificates of" in damage.lost


def test_missing_table_log_and_manifest_are_named(copy: Path) -> None:
    table = max((copy / "db").glob("*.ldb"), key=lambda item: item.stat().st_size)
    table.unlink()
    assert any("the table is missing" in text for text in _damages(copy))
    log = max((copy / "db").glob("*.log"), key=lambda item: item.stat().st_size)
    log.unlink()
    assert any("the log is missing" in text for text in _damages(copy))
    next((copy / "db").glob("MANIFEST-*")).unlink()
    assert any(text.startswith("db/CURRENT") for text in _damages(copy))


def test_only_a_database_can_be_checked_too(home: Path) -> None:
    report = check_files(home / "db")
    assert isinstance(report, FilesReport)
    assert not report.is_damaged
    assert "CURRENT" in report.checked


def test_manifest_names_the_tables_in_use(home: Path) -> None:
    manifest = next((home / "db").glob("MANIFEST-*"))
    tables = read_manifest(manifest.read_bytes()).tables
    on_disk = {int(path.stem): path.stat().st_size for path in (home / "db").glob("*.ldb")}
    assert {number: entry.size for number, entry in tables.items()} == on_disk


def test_snappy_copies_and_literals() -> None:
    # "ab" as a literal, then a copy of 6 bytes from 2 back (one-byte offset form).
    assert snappy_decompress(bytes((8, 0x04)) + b"ab" + bytes((0x09, 0x02))) == b"abababab"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([height_key(HEADERS, 4), height_key(HEADERS, 5)], "headers of blocks 4 to 5"),
        ([height_key(CERTIFICATES, 9)], "certificates of block 9"),
        ([body_key(3, 0, 0), body_key(3, 1, 0)], "record bodies of block 3"),
        ([b"sa" + b"9" * 26, b"t" * 5], "state (records): 1 entry; state tree: 1 entry"),
    ],
)  # fmt: skip
def test_losses_are_told_in_blocks(keys: list[bytes], words: str) -> None:
    assert describe_keys(keys) == words


def test_lost_ranges_are_told_in_blocks() -> None:
    text = describe_range(height_key(CERTIFICATES, 3), height_key(HEADERS, 7))
    assert text == "certificates of blocks from 3; headers of blocks up to 7"
    assert describe_range(None, None).startswith("certificates of all blocks; headers of all")
