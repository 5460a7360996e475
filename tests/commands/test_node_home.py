"""Keys of a home that joins, renews, rotates and re-enters (rules 46, 47)."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands.homes.node_home import (
    add_certificate,
    add_database,
    add_node_key,
    has_certificate,
    join_home,
    make_member_key,
)
from ledger.audit.files import check_files
from ledger.errors import Code, LocalError
from ledger.membership.possession import KeyRole, check_possession
from ledger.storage.home import HomeLayout, open_home
from network.certificates import (
    load_certificate,
    make_member_certificate,
    new_seed,
    public_key_of,
    save_certificate,
    save_key,
)
from network.leaves import choose_leaf
from network.runtime.settings import load_settings
from tests.ledger_harness import Harness

GENESIS = Harness().genesis


@pytest.fixture
def member_folder(tmp_path: Path) -> Path:
    """The key folder of a member that is not in the genesis document."""
    folder, seed = tmp_path / "keys", new_seed()
    save_key(folder / "member.key", seed)
    certificate = make_member_certificate(seed, "NEW", datetime.now(UTC))
    save_certificate(folder / "member.crt", certificate)
    return folder


@pytest.fixture
def home(tmp_path: Path, member_folder: Path) -> Path:
    """The home of a node that joins."""
    genesis = tmp_path / "genesis.bin"
    genesis.write_bytes(GENESIS.data)
    key = join_home(
        tmp_path / "home",
        member="NEW",
        genesis_file=genesis,
        member_folder=member_folder,
        listen="127.0.0.1:7001",
        metrics=None,
        peers={"D01": "10.0.0.1:7001"},
        password=None,
    )
    check_possession(GENESIS.chain_id, "NEW", KeyRole.NODE, key.public_key, key.proof)
    return tmp_path / "home"


def test_a_home_that_joins_is_whole(home: Path, tmp_path: Path) -> None:
    assert load_settings(home).peers == {"D01": ("10.0.0.1", 7001)}
    with open_home(home) as opened:
        assert opened.chain_id == GENESIS.chain_id
    assert check_files(home).damages == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".join")]


def test_rule_47_the_next_node_key_comes_with_its_log(home: Path) -> None:
    key = add_node_key(home, "NEW", GENESIS.chain_id, None)
    check_possession(GENESIS.chain_id, "NEW", KeyRole.NODE, key.public_key, key.proof)
    layout = HomeLayout(home)
    assert len(layout.node_keys()) == 2
    with open_home(home) as opened:
        votes = opened.open_votes(key.public_key)
        assert (votes.number, votes.read()) == (0, [])
        votes.close()
    assert check_files(home).damages == []


def test_rule_47_a_renewed_certificate_lies_beside_the_old_one(
    home: Path, member_folder: Path
) -> None:
    path, until = add_certificate(home, "NEW", member_folder, 500, None)
    chosen = choose_leaf(home / "keys", [load_certificate(member_folder / "member.crt")])
    assert chosen.certificate == path
    assert abs((chosen.expires - until).total_seconds()) < 2
    assert check_files(home).damages == []


def test_rule_46_a_home_out_of_a_backup_gets_all_that_it_needs(
    home: Path, member_folder: Path
) -> None:
    for name in ("keys", "votes"):
        shutil.rmtree(home / name)
    assert not has_certificate(home)
    add_certificate(home, "NEW", member_folder, 30, None)
    key = add_node_key(home, "NEW", GENESIS.chain_id, None)
    assert has_certificate(home)
    with open_home(home) as opened:
        opened.open_votes(key.public_key).close()


def test_rule_46_a_home_that_was_lost_needs_settings_and_genesis_only(
    home: Path, member_folder: Path
) -> None:
    for name in ("keys", "votes", "db"):
        shutil.rmtree(home / name)
    assert add_database(home)
    add_certificate(home, "NEW", member_folder, 30, None)
    key = add_node_key(home, "NEW", GENESIS.chain_id, None)
    with open_home(home) as opened:
        assert opened.chain_id == GENESIS.chain_id
        opened.open_votes(key.public_key).close()
    assert check_files(home).damages == []


def test_a_database_that_is_there_is_left_alone(home: Path) -> None:
    (home / "db/CURRENT").unlink()
    names = sorted(path.name for path in (home / "db").iterdir())
    assert not add_database(home)
    assert sorted(path.name for path in (home / "db").iterdir()) == names


def test_rule_47_the_next_key_of_a_member(tmp_path: Path) -> None:
    key, certificate = make_member_key(tmp_path / "next", "NEW", GENESIS.chain_id, None)
    assert public_key_of(certificate) == key.public_key
    check_possession(GENESIS.chain_id, "NEW", KeyRole.MEMBER, key.public_key, key.proof)
    with pytest.raises(LocalError, match="never overwritten"):
        make_member_key(tmp_path / "next", "NEW", GENESIS.chain_id, None)


def test_what_is_no_home_gets_no_key(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="is no home") as refusal:
        add_node_key(tmp_path, "NEW", GENESIS.chain_id, None)
    assert refusal.value.code is Code.HOME_INCOMPLETE
