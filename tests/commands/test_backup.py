"""A copy of a database that is being written to opens, checks, and has what was there before."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from commands.backup import copy_database
from commands.cli import cli
from commands.frame import Exit
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
