"""F41 to F44, F47 to F49, F54, F55, F61, F62 with real processes: what a machine does to a node.

Each test ends with all nodes in agreement on a new block (`Province.check_well`). Files, threads
and disks fail through the library of `tests/disks/shim.c`, limits through those of the system.
Long stops are shortened here; the soak has them whole.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from commands.frame import Exit
from commands.local import local_network
from commands.local.processes import Process, last_lines, send_signal
from consensus.log import AcceptedRecord, PreparedRecord, VoteRecord, decode_record
from ledger.errors import Code
from ledger.keys import SigningKey
from ledger.storage.chain_store import TRANSACTIONS, height_key
from ledger.storage.files import DiskFiles
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore
from ledger.storage.vote_log import inspect_vote_log
from network.certificates import load_key
from network.methods import FateStatus
from network.runtime.performer import split_entries
from network.runtime.settings import NODE_KEY_FILE
from tests.disks.preload import EVER, Rule, environment, failing_sync, full_disk, write_plan
from tests.end_to_end.province import MEMBERS, Province

SEED = 20260101
KILLS = 2
SERVICE_S = 60
END_S = 600
STOPPED_BLOCKS = 6
STALL_MS = 600_000
CALM_ROUNDS = 10


@dataclass(slots=True)
class Sabotage:
    """One node that runs under the library, with a plan that may change."""

    province: Province
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def plan(self) -> Path:
        """The plan file."""
        return self.folder / "plan"

    def start(self, member: str, *rules: Rule, env: Mapping[str, str] | None = None) -> Process:
        """Start a member's node again under the library, and wait until it answers."""
        self.stop(member)
        write_plan(self.plan, *rules)
        with self.monkeypatch.context() as patch:
            variables = environment(self.province.home(member), plan=self.plan)
            for name, value in {**variables, **(env or {})}.items():
                patch.setenv(name, value)
            self.province.restart(member)
        return self.province.network.node(member).process

    def stop(self, member: str) -> None:
        """Stop a member's node in the ordinary way."""
        assert send_signal(self.province.network.node(member).process, signal.SIGTERM, END_S)

    def do(self, *rules: Rule) -> None:
        """Change the plan of the running node."""
        write_plan(self.plan, *rules)

    def end(self) -> None:
        """Let nothing fail any more, and start every node that does not run."""
        self.do()
        for entry in self.province.network.nodes:
            if not entry.is_running:
                self.province.restart(entry.member)


@pytest.fixture
def sabotage(
    province: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sabotage]:
    """Sabotage of one node at a time; afterwards all nodes run and agree."""
    work = Sabotage(province, tmp_path, monkeypatch)
    yield work
    work.end()
    province.check_well()


def other(member: str) -> str:
    """Return a member whose node is not this one's."""
    return next(item for item in MEMBERS if item != member)


def bind(province: Province, node: str) -> int:
    """Have a new company bound through one node; return the height of its certified block."""
    receipt = province.client("D01", node).submit_kind("company.bind", province.new_company()[2])
    assert receipt.result[0] == Code.OK
    return receipt.header.height


def primary_of(province: Province, node: str) -> str:
    """Return the member whose node is the primary, as one node sees it."""
    found = province.client("D18", node).status()["primary"]
    assert isinstance(found, str)
    return found


def ended(process: Process) -> None:
    """Wait for the end of a process."""
    assert send_signal(process, signal.SIGCONT, END_S), "the node still runs"


def vote_records(home: Path) -> list[VoteRecord]:
    """Return the votes that a home's log holds, as they stand in the files."""
    layout = HomeLayout(home)
    key = SigningKey(load_key(home / NODE_KEY_FILE, None)).public_key
    report = inspect_vote_log(layout.votes_of(key), DiskFiles())
    report.raise_if_lost()
    return [decode_record(item) for item in split_entries(report.records)[0]]


def check_votes_once(records: list[VoteRecord]) -> None:
    """Check that no view and height has two digests accepted or prepared (rules 8 and 44)."""
    accepted: dict[tuple[int, int, int], bytes] = {}
    for record in records:
        if isinstance(record, AcceptedRecord):
            vote = record.pre_prepare
            place = (vote.epoch, vote.view, vote.batch.height)
            assert accepted.setdefault(place, vote.digest) == vote.digest
        elif isinstance(record, PreparedRecord):
            proof = record.proof
            place = (record.epoch, proof.view, proof.height)
            assert accepted.get(place, proof.digest) == proof.digest


def accepted_heights(records: list[VoteRecord]) -> set[int]:
    """Return the heights of which a log holds an accepted proposal."""
    found = (record for record in records if isinstance(record, AcceptedRecord))
    return {record.pre_prepare.batch.height for record in found}


def test_f41_killed_at_an_operation_a_node_gives_the_same_votes_again(sabotage: Sabotage) -> None:
    """SIGKILL before the nth file operation: in the middle of votes and of blocks.

    The plan comes when the node answers: how much it writes before that depends on the machine.
    """
    province, dice = sabotage.province, Random(SEED)
    member = MEMBERS[0]
    given: list[VoteRecord] = []
    for _ in range(KILLS):
        process = sabotage.start(member)
        sabotage.do(Rule("any", "[dv]*", "kill", first=dice.randint(1, 80)))
        while process.is_running:
            bind(province, other(member))
        given += vote_records(province.home(member))
    province.restart(member)
    bind(province, member)
    sabotage.stop(member)
    after = vote_records(province.home(member))
    check_votes_once(given + after)
    kept = accepted_heights(after)
    assert {height for height in accepted_heights(given) if height >= min(kept)} <= kept
    for node in MEMBERS[1:]:
        assert province.client("D18", node).status()["evidence"] == 0


@pytest.mark.parametrize("is_primary", [True, False], ids=["primary", "backup"])
def test_f42_stopped_node_is_done_without_and_comes_back(
    sabotage: Sabotage, is_primary: bool
) -> None:
    """A backup that stops costs no view; a slow machine may change it, but not every time."""
    province = sabotage.province
    for _ in range(CALM_ROUNDS):
        primary, now = work_without_one(province, is_primary)
        if (now != primary) == is_primary:
            return
    raise AssertionError(f"the primary was {primary} and is {now}")


def work_without_one(province: Province, is_primary: bool) -> tuple[str, str]:
    """Stop one node for some blocks; return the primary before, and while it was stopped."""
    primary = primary_of(province, MEMBERS[0])
    stopped = primary if is_primary else other(primary)
    node = next(item for item in MEMBERS if item not in (primary, stopped))
    process = province.network.node(stopped).process
    send_signal(process, signal.SIGSTOP, 0)
    try:
        heights = [bind(province, node) for _ in range(STOPPED_BLOCKS)]
        now = primary_of(province, node)
    finally:
        send_signal(process, signal.SIGCONT, 0)
    assert province.block_hash(stopped, heights[-1]) == province.block_hash(node, heights[-1])
    return primary, now


def environments() -> list[dict[str, str]]:
    """Return an environment for each member, no two alike."""
    return [
        {"PYTHONHASHSEED": "0", "TZ": "Asia/Shanghai", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "1", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "4294967295", "PYTHONOPTIMIZE": "2", "PYTHONINTMAXSTRDIGITS": "640"},
        {"PYTHONHASHSEED": "random", "PYTHONUTF8": "0", "LANG": "zh_CN.GB18030", "TZ": ":nowhere"},
    ]


def test_f43_f49_rolling_restart_into_different_environments_loses_nothing(
    sabotage: Sabotage,
) -> None:
    """One block is asked for while each node is away; in the end all have every one of them."""
    province = sabotage.province
    receipts = []
    for member, variables in zip(MEMBERS, environments(), strict=True):
        sabotage.stop(member)
        client = province.client("D01", other(member))
        body = province.new_company()[2]
        receipts.append(client.submit_kind("company.bind", body))
        sabotage.start(member, env=variables)
        receipts.append(province.send("D01", "company.bind", province.new_company()[2]))
    ids = [receipt.transaction_id for receipt in receipts]
    for member in MEMBERS:
        province.block_hash(member, receipts[-1].header.height)
        fates = province.client("D18", member).fate(ids)
        assert {fate.status for fate in fates} == {FateStatus.COMMITTED}
        for receipt in receipts:
            found = province.block_hash(member, receipt.header.height)
            assert found == receipt.header.hash(), f"{member} has another state root"


def test_f44_all_killed_at_once_serve_again_within_a_minute(sabotage: Sabotage) -> None:
    province = sabotage.province
    receipt = province.send("D01", "company.bind", province.new_company()[2])
    network = province.network
    for signal_wait in (0, END_S):
        for member in MEMBERS:
            send_signal(network.node(member).process, signal.SIGKILL, signal_wait)
    # Starting is work, and other work may be going on: it is measured by what it costs.
    local_network.start(network, MEMBERS)
    began = monotonic()
    again = province.send("D01", "company.bind", province.new_company()[2])
    assert monotonic() - began < SERVICE_S
    assert max(province.processor_s(member) for member in MEMBERS) < SERVICE_S
    for member in MEMBERS:
        province.block_hash(member, again.header.height)
        assert province.block_hash(member, receipt.header.height) == receipt.header.hash()


def test_f47_node_without_memory_stops_and_nothing_is_lost(sabotage: Sabotage) -> None:
    """The limit is its present size: what it asks for from now on it does not get."""
    province, member = sabotage.province, MEMBERS[3]
    sabotage.stop(member)
    province.restart(member)
    process = province.network.node(member).process
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(process.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    heights = [bind(province, other(member)) for _ in range(STOPPED_BLOCKS)]
    assert heights == sorted(set(heights))
    if process.is_running:
        sabotage.stop(member)
    province.restart(member)
    assert province.block_hash(member, heights[-1]) == province.block_hash(
        other(member), heights[-1]
    )


def test_f48_node_without_descriptors_sheds_clients_and_goes_on_voting(sabotage: Sabotage) -> None:
    """With two nodes less three are a quorum only if the starved one votes."""
    province, member = sabotage.province, MEMBERS[1]
    process = province.network.node(member).process
    province.block_hash(member, bind(province, MEMBERS[0]))
    held = len(os.listdir(f"/proc/{process.pid}/fd"))
    old = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (held + 4, old[1]))
    absent = province.network.node(MEMBERS[3]).process
    with ExitStack() as stack:
        stack.callback(resource.prlimit, process.pid, resource.RLIMIT_NOFILE, old)
        for _ in range(20):
            stack.enter_context(province.plain_socket(member))
        send_signal(absent, signal.SIGSTOP, 0)
        stack.callback(send_signal, absent, signal.SIGCONT, 0)
        heights = [bind(province, MEMBERS[0]) for _ in range(STOPPED_BLOCKS)]
        assert process.is_running
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, old)
    assert province.block_hash(member, heights[-1]) == province.block_hash(MEMBERS[0], heights[-1])


def test_f48_node_that_can_start_no_thread_goes_on_voting(sabotage: Sabotage) -> None:
    province, member = sabotage.province, MEMBERS[1]
    process = sabotage.start(member)
    province.block_hash(member, bind(province, MEMBERS[0]))
    sabotage.do(Rule("thread", "-", "fail", errno.EAGAIN, 1, EVER))
    absent = province.network.node(MEMBERS[3]).process
    send_signal(absent, signal.SIGSTOP, 0)
    try:
        for _ in range(STOPPED_BLOCKS):
            bind(province, MEMBERS[0])
        assert process.is_running, last_lines(province.home(member))
    finally:
        send_signal(absent, signal.SIGCONT, 0)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (failing_sync("votes/*"), Code.STORE_IO),
        (full_disk("db*/*.log"), Code.DISK_FULL),  # db2/ once the home was repaired
    ],
    ids=["sync of votes", "room for blocks"],
)
def test_f54_f55_node_with_a_failing_disk_stops_with_its_number(
    sabotage: Sabotage, rule: Rule, code: Code
) -> None:
    province, member = sabotage.province, MEMBERS[2]
    process = sabotage.start(member)
    sabotage.do(rule)
    height = bind(province, other(member))
    ended(process)
    assert f"error E{int(code)}: " in last_lines(province.home(member), 1)
    sabotage.do()
    province.restart(member)
    assert province.block_hash(member, height) == province.block_hash(other(member), height)


def test_f61_primary_whose_disk_stalls_is_deposed_and_returns(sabotage: Sabotage) -> None:
    """Each of its syncs takes ten minutes; the others are served before the first is done."""
    province = sabotage.province
    first = primary_of(province, MEMBERS[0])
    member = other(first)
    node = next(item for item in MEMBERS if item not in (first, member))
    process = sabotage.start(member)
    province.lead(member)
    sabotage.do(Rule("sync", "*", "stall", STALL_MS, 1, EVER))
    began = monotonic()
    height = bind(province, node)
    assert (monotonic() - began) * 1000 < STALL_MS
    assert primary_of(province, node) != member
    sabotage.do()
    assert province.block_hash(member, height) == province.block_hash(node, height)
    assert process.is_running


def test_f62_nodes_damaged_in_different_blocks_repair_each_other(
    sabotage: Sabotage, tmp_path: Path
) -> None:
    """Two from the copies of all, one by what it can still read and its peers at the next start."""
    province = sabotage.province
    receipts = [
        province.send("D01", "company.bind", province.new_company()[2]) for _ in range(len(MEMBERS))
    ]
    for member in MEMBERS:
        sabotage.stop(member)
    copies = []
    for member, receipt in zip(MEMBERS[:3], receipts[1:], strict=True):
        lose_block(province.home(member), receipt.header.height)
    for member in MEMBERS:
        copy = tmp_path / member
        told = province.command("backup", "--home", province.home(member), "--out", copy)
        assert told.exit_code == Exit.OK, told.stderr
        copies.append(copy)
    others = [word for copy in copies for word in ("--from", copy)]
    for member, words in zip(MEMBERS, ([], others, others, others), strict=True):
        told = province.command("repair", "--home", province.home(member), *words)
        assert told.exit_code == Exit.OK, told.output
        assert "database rebuilt to block " in told.output
    local_network.start(province.network, MEMBERS)
    height = province.check_well()
    for member in MEMBERS:
        province.block_hash(member, height)
        for receipt in receipts:
            found = province.block_hash(member, receipt.header.height)
            assert found == receipt.header.hash()


def lose_block(home: Path, height: int) -> None:
    """Take the transactions of a block out of the database of a node that does not run."""
    store = LevelStore(HomeLayout(home).database, create=False)
    store.write({height_key(TRANSACTIONS, height): None}, sync=True)
    store.close()
