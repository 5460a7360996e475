"""A node that has lost its chain comes up by a snapshot and votes again (rule 41, F25).

Real processes on a chain whose S is 4, so that a node is far behind after 40 blocks. The home keeps
its keys, its genesis document and its votes; its database is as on the first day.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.local import local_network
from commands.local.processes import stop
from ledger.errors import Code
from ledger.execution import execute_genesis
from ledger.snapshots.limits import FAR_SNAPSHOTS
from ledger.storage.chain_store import ChainStore
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore
from ledger.transactions.records import Record, encode_record, record_digest
from network.sdk import open_ledger
from network.sdk.records import EraseRecords, SubmitRecords
from tests.end_to_end.province import MEMBERS, Province

S = 4
LOST = "D18"
MS_A_DAY = 86_400_000


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Province]:
    """Four nodes on a chain with snapshots."""
    demo = local_network.DEMO_CONSORTIUM
    for name in ("rules", "schemas", "products"):
        if (demo.parent / name).is_dir():
            (tmp_path / name).symlink_to(demo.parent / name)
    file = tmp_path / "consortium.toml"
    file.write_text(with_setting(demo.read_text(encoding="utf-8")), encoding="utf-8")
    province = Province.start(tmp_path / "net", file)
    try:
        yield province
    finally:
        province.stop()


def with_setting(text: str) -> str:
    """Return a consortium file that sets S."""
    head, _, members = text.partition("[[member]]")
    line = f"snapshot_blocks = {S}\n"
    if "[settings]\n" in head:
        head = head.replace("[settings]\n", f"[settings]\n{line}")
    else:
        head += f"[settings]\n{line}\n"
    return f"{head}[[member]]{members}"


def lose_chain(network: Province, member: str) -> HomeLayout:
    """Stop a node and put its database back to the first day."""
    stop([network.network.node(member).process])
    layout = HomeLayout(network.home(member))
    shutil.rmtree(layout.database)
    store = LevelStore(layout.database)
    store.write(execute_genesis(network.genesis).writes, sync=True)
    store.close()
    return layout


def grow(network: Province, blocks: int) -> int:
    """Let the chain grow by at least so many blocks; return its height."""
    height = first = network.client("D01").head().height
    while height < first + blocks:
        receipt = network.send("D01", "company.bind", network.new_company()[2])
        assert receipt.result[0] == Code.OK
        height = receipt.header.height
    return height


def test_f25_node_that_lost_its_chain_comes_up_by_a_snapshot_and_votes(network: Province) -> None:
    """Rules 14, 41, 44: it has the others' blocks from there on, and the network needs it."""
    layout = lose_chain(network, LOST)
    height = grow(network, FAR_SNAPSHOTS * S + S)
    network.restart(LOST)
    network.check_well()
    other = next(member for member in MEMBERS if member not in (LOST, "D01"))
    stop([network.network.node(other).process])
    receipt = network.send("D01", "company.bind", network.new_company()[2])
    assert receipt.header.height > height
    assert network.block_hash(LOST, receipt.header.height) == receipt.header.hash()
    stop([network.network.node(LOST).process])
    store = LevelStore(layout.database, create=False)
    base = ChainStore(store).base()
    assert base is not None
    assert base[0] % S == 0
    assert base[0] > height - 3 * S
    assert ChainStore(store).block(base[0] + 1) is not None
    store.close()
    genesis = layout.folder / "genesis.bin"
    result = network.command("audit", layout.folder, "--trust", genesis)
    assert result.exit_code == 0, result.output
    assert "VALID" in result.output
    assert f"begins at block {base[0]}" in " ".join(result.output.split())
    network.restart(LOST)
    network.restart(other)
    network.check_well()


def submit_and_erase(network: Province) -> None:
    """Let a department's record in, and order it erased."""
    day = network.client("D02").head().time_ms // MS_A_DAY - 9
    company = network.send("D01", "company.bind", network.new_company()[2]).result[1]["company"]
    record = Record(
        company,
        day,
        {
            "tax_type": "VAT",
            "arrears_balance": 5,
            "current_arrears": 5,
            "announced_on": day,
            "announcing_authority": "Huizhou",
        },
    )
    with open_ledger(network.profile("D02")) as department:
        department.send(SubmitRecords("C048", 1, (record,)))
        named = (day, record_digest(encode_record(record)))
        erased = department.send(EraseRecords(company, "C048", (named,), "order", "order 7"))
    assert erased.answer.erased == 1


def test_node_that_was_away_while_all_others_erased_comes_back(tmp_path: Path) -> None:
    """ADR 0020: nobody holds a block that it needs, so it comes up by the state they begin with."""
    network = Province.start(tmp_path / "net")
    others = [member for member in MEMBERS if member != LOST]
    try:
        grow(network, 2)
        stop([network.network.node(LOST).process])
        submit_and_erase(network)
        grow(network, 2)
        stop([network.network.node(member).process for member in others])
        for member in others:
            result = network.command("erase", "--home", network.home(member), "--json")
            assert json.loads(result.stdout)["deleted"] == 1
        local_network.start(network.network, [*others, LOST])
        network.check_well()
        stop([network.network.node(others[0]).process])  # so that its vote is needed
        receipt = network.send("D01", "company.bind", network.new_company()[2])
        assert network.block_hash(LOST, receipt.header.height) == receipt.header.hash()
    finally:
        network.stop()
