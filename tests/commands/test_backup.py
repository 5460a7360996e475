"""A copy of a database that is being written to opens, checks, and has what was there before."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from commands.cli import cli
from commands.frame import Exit
from commands.homes.backup import copy_database
from ledger.storage.leveldb import LevelStore


def _entries(folder: Path) -> dict[bytes, bytes]:
    store = LevelStore(folder, create=False)
    try:
        return dict(store.scan(b"", b"\xff"))
    finally:
        store.close()


def test_copy_of_an_open_database_is_whole_at_every_moment(tmp_path: Path) -> None:
    random = Random(1)
    store = LevelStore(tmp_path / "db")
    written: dict[bytes, bytes] = {}
    for moment in range(4):
        # Enough that tables are flushed and compacted between the copies.
        for block in range(12):
            batch = {
                f"{moment:02d}{block:02d}{i}".encode(): random.randbytes(4000) for i in range(64)
            }
            store.write(batch, sync=False)
            written |= batch
        target = tmp_path / f"copy{moment}"
        target.mkdir()
        copy_database(tmp_path / "db", target)
        assert _entries(target) == written
    store.close()


def test_backup_has_no_keys_and_no_votes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("keys", "votes"):
        (home / name).mkdir(parents=True)
        (home / name / "secret").write_bytes(b"x")
    LevelStore(home / "db").close()
    (home / "genesis.bin").write_bytes(b"g")
    (home / "config.toml").write_bytes(b"c")
    arguments = ["backup", "--home", str(home), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, arguments).exit_code == Exit.OK
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"genesis.bin", "config.toml", "db"}
    again = CliRunner().invoke(cli, arguments)
    assert again.exit_code == Exit.REFUSED
    assert "is not empty" in again.stderr


def test_backup_of_no_home_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli, ["backup", "--home", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == Exit.STORAGE
    assert "no database" in result.stderr


@pytest.mark.parametrize("seed", range(3))
def test_copied_tables_are_files_of_their_own(tmp_path: Path, seed: int) -> None:
    """A damaged copy must not damage the node: nothing is left linked to it."""
    store = LevelStore(tmp_path / "db")
    for block in range(40):
        store.write({Random(seed + block).randbytes(8): bytes(300_000)}, sync=False)
    store.close()
    store = LevelStore(tmp_path / "db")  # what its log held stands in tables now
    target = tmp_path / "copy"
    target.mkdir()
    copy_database(tmp_path / "db", target)
    store.close()
    tables = list(target.glob("*.ldb"))
    assert tables
    assert all(table.stat().st_nlink == 1 for table in tables)
    assert not list(target.glob("*.held"))


def make_backup(folder: Path) -> Path:
    """Return a backup of a home with a table and a log."""
    home, out = folder / "home", folder / "out"
    home.mkdir()
    store = LevelStore(home / "db")
    store.write({b"k%04d" % i: bytes(50) + b"%d" % i for i in range(3000)}, sync=True)
    store.compact()
    store.write({b"last": b"one"}, sync=True)
    store.close()
    (home / "genesis.bin").write_bytes(b"g")
    (home / "config.toml").write_bytes(b"[node]\n")
    arguments = ["backup", "--home", str(home), "--out", str(out)]
    assert CliRunner().invoke(cli, arguments).exit_code == Exit.OK
    return out


def test_restored_home_has_what_the_backup_has(tmp_path: Path) -> None:
    copy, home = make_backup(tmp_path), tmp_path / "new"
    result = CliRunner().invoke(cli, ["restore", str(copy), "--home", str(home)])
    assert result.exit_code == Exit.OK, result.output
    assert "member rejoin" in result.output
    assert _entries(home / "db") == _entries(tmp_path / "home" / "db")
    assert (home / "config.toml").read_bytes() == b"[node]\n"
    again = CliRunner().invoke(cli, ["restore", str(copy), "--home", str(home)])
    assert again.exit_code == Exit.REFUSED
    assert "is not empty" in again.stderr


def test_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    copy, home = make_backup(tmp_path), tmp_path / "new"
    table = max((copy / "db").glob("*.ldb"), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[100] ^= 1
    table.write_bytes(data)
    result = CliRunner().invoke(cli, ["restore", str(copy), "--home", str(home)])
    assert result.exit_code == Exit.STORAGE
    assert table.name in result.stderr
    assert not home.exists()
