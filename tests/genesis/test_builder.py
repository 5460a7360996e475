"""From consortium file to genesis document: the same bytes each time, errors with their place."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from genesis.builder import build, compute_chain_id, verify
from genesis.local import LocalNetwork, plan
from genesis.network import NETWORKS
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused

DEMO = Path(__file__).parents[2] / "genesis/demo/consortium.toml"
NOW_MS = 1_795_000_000_000


def make_seeds() -> Any:
    numbers = count(1)
    return lambda: next(numbers).to_bytes(32, "big")


def make_network(folder: Path, nodes: int = 7) -> LocalNetwork:
    return plan(DEMO, folder, nodes=nodes, base_port=7001, now_ms=NOW_MS, make_seed=make_seeds())


def test_demo_network_has_seven_members_with_their_categories(tmp_path: Path) -> None:
    network = make_network(tmp_path)
    genesis = verify(network.genesis_file.read_bytes())
    assert genesis.chain_id == network.chain_id
    assert [member.id for member in network.nodes] == list(genesis.validators)
    assert len(genesis.members) == len(genesis.validators) == 7
    assert {category.owner for category in genesis.categories} == {
        "D01",
        "D02",
        "D18",
        "D20",
        "self",
    }
    assert genesis.member("D01") is not None
    assert genesis.member("D01").capabilities == {"registrar", "counter"}  # type: ignore[union-attr]
    assert genesis.time_ms % 86_400_000 == 43_200_000
    assert genesis.time_ms - genesis.clock_offset_ms == NOW_MS


def test_same_seeds_and_time_give_the_same_chain(tmp_path: Path) -> None:
    first, second = make_network(tmp_path / "a"), make_network(tmp_path / "b")
    assert first.chain_id == second.chain_id
    assert build(first.folder / "consortium.toml", NOW_MS).chain_id == first.chain_id


def test_four_nodes_leave_three_members_without_one(tmp_path: Path) -> None:
    network = make_network(tmp_path, nodes=4)
    assert [member.id for member in network.nodes] == ["D02", "D01", "D18", "icbc-gd"]
    assert [member.id for member in network.members if member.address is None] == [
        "D20",
        "pab-gd",
        "ccb-gd",
    ]
    for member in network.members:
        assert member.key_file.stat().st_mode & 0o077 == 0
        assert (member.node_key_file is None) == (member.address is None)


@pytest.mark.parametrize("nodes", [3, 8])
def test_number_of_nodes_is_bounded(tmp_path: Path, nodes: int) -> None:
    with pytest.raises(Refused, match=f"{nodes} nodes, want 4 to 7") as caught:
        make_network(tmp_path, nodes)
    assert caught.value.code is Code.CONFIG_INVALID


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('role = "regulator"', 'role = "king"', "consortium.toml member 4: role: got 'king'"),
        ('id = "D20"', 'idd = "D20"', "consortium.toml member 2: key 'idd' is unknown"),
        ("members/D20/member.crt", "nowhere.crt", "member 2: certificate"),
        ("members/D20/member.crt", "consortium.toml", "is not an X.509 certificate"),
        ('address = "127.0.0.1:7001"', 'address = "here"', "address: got 'here', want host:port"),
        ('"registrar"', '"magician"', "member 3: capabilities: got 'magician'"),
        ("as_of = 2020-01-10", 'as_of = "soon"', "as_of: want a date"),
        ("as_of = 2020-01-10", "time = 2020-01-10", "time: want a date and time with its offset"),
        ('network = "guangdong"', 'network = "narnia"', "network narnia is unknown"),
        ('categories = "members"', 'categories = "all"', "is owned by D03, no member"),
        ('categories = "members"', 'categories = ["C999"]', "'C999' is no category of guangdong"),
        ('creditledger/consortium/1"', 'x"', "format: got 'x'"),
        ("[settings]", "[settings]\nlist = [1]", "settings.list: want text"),
        ('asset_salt = "', 'asset_salt = "zz', "settings.asset_salt: want 64 hexadecimal digits"),
        (
            'validators = ["D02"',
            'validators = ["D77"',
            "validators: 'D77' is no member with a node",
        ),
        ("[settings]", "[settings", "is not TOML"),
    ],
)
def test_wrong_consortium_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    make_network(tmp_path)
    file = tmp_path / "consortium.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(Refused) as caught:
        build(file, NOW_MS)
    assert caught.value.code is Code.CONFIG_INVALID
    assert place in caught.value.message


def test_two_members_of_one_id_are_invalid(tmp_path: Path) -> None:
    make_network(tmp_path, nodes=4)
    file = tmp_path / "consortium.toml"
    file.write_text(file.read_text("utf-8").replace('id = "pab-gd"', 'id = "ccb-gd"'), "utf-8")
    with pytest.raises(Refused, match="ccb-gd stands already") as caught:
        build(file, NOW_MS)
    assert caught.value.code is Code.GENESIS_INVALID


def test_verify_refuses_a_document_with_a_byte_changed(tmp_path: Path) -> None:
    data = make_network(tmp_path).genesis_file.read_bytes()
    document = dict(decode(data))
    document["extra"] = 1
    with pytest.raises(Refused) as caught:
        verify(encode(document))
    assert caught.value.code is Code.GENESIS_MALFORMED
    assert compute_chain_id(encode(document)) != compute_chain_id(data)
    with pytest.raises(Refused) as caught:
        verify(data[:-1])
    assert caught.value.code is Code.GENESIS_MALFORMED


def test_rule_that_does_not_check_is_refused_with_file_line_and_column(tmp_path: Path) -> None:
    make_network(tmp_path)
    for name in ("company-1", "ew13"):
        source = (NETWORKS / f"guangdong/rules/{name}.toml").read_text("utf-8")
        source = source.replace("co.sales_12m < yuan(500000)", "co.sales_12m < 500000")
        (tmp_path / f"{name}.toml").write_text(source, "utf-8")
    file = tmp_path / "consortium.toml"
    rules = 'rules = ["ew13.toml", "company-1.toml"]\n'
    file.write_text(rules + file.read_text("utf-8"), "utf-8")
    with pytest.raises(Refused) as caught:
        build(file, NOW_MS)
    assert caught.value.code is Code.GENESIS_INVALID
    assert caught.value.message.startswith("ew13.toml: E3003 line 10, column 22: ")
    assert "500000 is a bare number" in caught.value.message
