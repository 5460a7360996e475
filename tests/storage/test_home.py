"""A home says what is wrong with it before anything is done with it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from ledger.errors import Code, CreditLedgerError, LocalError, StorageError
from ledger.storage.chain_store import genesis_writes
from ledger.storage.home import (
    HomeLayout,
    HomeLock,
    add_vote_log,
    check_home,
    create_home,
    open_home,
)
from tests.chain.builder import NODE_KEYS, genesis_header

PUBLIC_KEY = NODE_KEYS[0].public_key


def _home(folder: Path, document: bytes = b"document") -> HomeLayout:
    return create_home(
        folder,
        config="[node]\n",
        genesis=document,
        keys={"node.key": b"secret"},
        node_public_key=PUBLIC_KEY,
        database=genesis_writes(document, genesis_header()),
    )


def _refusal(folder: Path) -> CreditLedgerError:
    with pytest.raises(StorageError) as caught:
        open_home(folder)
    return caught.value


def test_a_whole_home_opens(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    with open_home(layout.folder) as home:
        assert home.genesis == b"document"
        votes = home.open_votes(PUBLIC_KEY)
        votes.append([b"vote"])
        votes.close()
    with open_home(layout.folder) as home:
        assert home.open_votes(PUBLIC_KEY).read() == [b"vote"]
    assert stat.S_IMODE((layout.keys / "node.key").stat().st_mode) == 0o600


def test_a_home_is_not_made_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LocalError, match="is not empty"):
        _home(tmp_path)


def test_f45_a_home_serves_one_process(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    with open_home(layout.folder):
        error = _refusal(layout.folder)
        assert error.code is Code.HOME_LOCKED
        assert f"process {os.getpid()}" in error.message
    open_home(layout.folder).close()


def test_lock_left_by_a_killed_process_does_not_hold(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    layout.lock.write_text("99999\n")
    HomeLock(layout).release()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("config.toml", "config.toml"),
        ("genesis.bin", "genesis.bin"),
        ("keys/node.key", "keys/node.key"),
        ("db", "the database db/"),
    ],
)
def test_rule_46_what_is_missing_is_named(tmp_path: Path, path: str, words: str) -> None:
    layout = _home(tmp_path / "home")
    target = layout.folder / path
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    error = _refusal(layout.folder)
    assert error.code is Code.HOME_INCOMPLETE
    assert words in error.message


@pytest.mark.parametrize("path", ["votes", "votes/guard"])
def test_rule_46_a_home_without_its_votes_opens_and_never_votes(tmp_path: Path, path: str) -> None:
    layout = _home(tmp_path / "home")
    target = layout.folder / path
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    with open_home(layout.folder) as home:
        with pytest.raises(StorageError, match="this key must not vote") as refusal:
            home.open_votes(PUBLIC_KEY)
        assert refusal.value.code is Code.VOTE_LOG_MISSING
        assert HomeLayout(layout.folder).vote_folders() in ((), (layout.votes,))


def test_rule_47_a_later_key_has_a_vote_log_of_its_own(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    key = NODE_KEYS[1].public_key
    add_vote_log(layout, key)
    with open_home(layout.folder) as home:
        votes = home.open_votes(key)
        votes.append([b"vote of the new key"])
        votes.close()
        assert home.open_votes(PUBLIC_KEY).read() == []
    assert layout.vote_folders() == (layout.votes, layout.votes_of(key))
    with pytest.raises(LocalError, match="holds a vote log already"):
        add_vote_log(layout, key)


def test_rule_46_a_wiped_log_of_a_later_key_is_not_made_again(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    key = NODE_KEYS[1].public_key
    shutil.rmtree(add_vote_log(layout, key))
    with open_home(layout.folder) as home, pytest.raises(StorageError) as refusal:
        home.open_votes(key)
    assert refusal.value.code is Code.VOTE_LOG_CORRUPT  # the first key's is of another key


def test_an_empty_folder_is_no_home(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is no home: make one"):
        check_home(tmp_path)


def test_a_database_of_another_chain_is_refused(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    layout.genesis.write_bytes(b"another")
    error = _refusal(layout.folder)
    assert error.code is Code.HOME_WRONG_CHAIN
    layout.genesis.write_bytes(b"document")
    open_home(layout.folder).close()


def test_votes_of_another_key_are_refused(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    with open_home(layout.folder) as home, pytest.raises(StorageError) as caught:
        home.open_votes(NODE_KEYS[1].public_key)
    assert caught.value.code is Code.VOTE_LOG_CORRUPT


def test_a_damaged_database_releases_the_lock(tmp_path: Path) -> None:
    layout = _home(tmp_path / "home")
    current = layout.database / "CURRENT"
    whole = current.read_bytes()
    current.write_bytes(b"nonsense")
    assert _refusal(layout.folder).code in (Code.STORE_CORRUPT, Code.STORE_IO)
    current.write_bytes(whole)
    open_home(layout.folder).close()
