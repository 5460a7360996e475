"""Members come, go and change keys while real nodes work under load (rules 2, 46, 47; F82 to F86).

One story on one network, because each part begins where the one before ends: four validators; a
fifth node joins as an observer and is promoted; the primary is removed; a node key is rotated; an
address changes; a home loses its votes and re-enters under a new key. A client submits all the
while. In the end nothing acknowledged is lost, every home's chain is VALID, and the receipts of all
epochs verify offline from genesis.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.frame import Exit
from commands.local.network_file import NodeEntry
from commands.local.processes import HOST, find_free_ports, send_signal, start_node
from ledger.chain.receipt import Receipt, verify_receipt
from ledger.errors import Code, CreditLedgerError
from network.client import SyncClient
from network.methods import FateStatus, WatchStream
from network.profile import NodeAddress, Profile
from tests.end_to_end.province import BASE_PORT, FAR, HOLD_MS, PATIENT, Province
from tests.end_to_end.test_sudden_death import Submitter

JOINER = "ccb-gd"
TURNS = 6_000  # of HOLD_MS each, that something is waited for
FIRST = ("D02", "D01", "D18", "icbc-gd")


class Members:
    """The network of the story: a province, its joiner, and what all parts ask."""

    def __init__(self, net: Path) -> None:
        self.province = Province.start(net)
        self.validators = list(FIRST)
        self.old = net.parent / "old-home"
        self.submitter = Submitter(self.province)

    @property
    def net(self) -> Path:
        """The network's folder."""
        return self.province.net

    def client(self, member: str, node: str) -> SyncClient:
        """Return a client of `member` at the node of `node`, whose address may be a new one."""
        key = (member, f"{node}@{self.address(node)}")
        clients = self.province.clients
        if key not in clients:
            host, _, port = self.address(node).rpartition(":")
            profile = Profile.load(self.net / "clients" / member)
            alone = replace(profile, nodes=(NodeAddress(node, host, int(port)),))
            clients[key] = SyncClient(alone, PATIENT).__enter__()
        return clients[key]

    def address(self, node: str) -> str:
        """Return where a node listens."""
        return self.province.network.node(node).address

    def home(self, node: str) -> Path:
        """Return a node's home."""
        return Path(self.province.network.node(node).home)

    def status(self, node: str) -> Mapping[str, Any]:
        """Return what a node says of itself."""
        return self.client("D18", node).status()

    def wait(self, node: str, what: str, is_so: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait until a node's status is as wanted."""
        for _ in range(TURNS):
            status = self.status(node)
            if is_so(status):
                return
            self.hold(node)
        raise AssertionError(f"{node} is not {what}: {status}\n{self.log(node)}")

    def hold(self, node: str) -> None:
        """Have a node hold a question for a moment."""
        self.client("D18", node).watch(WatchStream.BLOCKS, FAR, limit=1, wait_ms=HOLD_MS)

    def log(self, node: str) -> str:
        """Return the end of a node's log."""
        return "\n".join((self.home(node) / "log").read_text().splitlines()[-12:])

    def send(self, member: str, kind: str, body: Mapping[str, Any]) -> Any:
        """Send one transaction at the node of the first validator, and return its result."""
        receipt = self.client(member, self.validators[0]).submit_kind(kind, body)
        assert receipt.result[0] == Code.OK, receipt.result
        return receipt.result[1]

    def propose(self, proposer: str, change: Mapping[str, Any]) -> bytes:
        """Propose a change and return the proposal's id."""
        time_ms = self.client(proposer, self.validators[0]).head().time_ms
        body = {"change": dict(change), "expires_ms": time_ms + 3_600_000}
        proposal: bytes = self.send(proposer, "member.propose", body)["proposal"]
        return proposal

    def approve(self, proposal: bytes, voters: list[str]) -> None:
        """Let members vote for a proposal."""
        for voter in voters:
            self.send(voter, "member.approve", {"proposal": proposal})

    def decide(self, change: Mapping[str, Any]) -> None:
        """Propose as the first of the validators, and let just a quorum approve."""
        size = len(self.validators)
        quorum = (size + (size - 1) // 3 + 2) // 2
        first, *others = self.validators
        self.approve(self.propose(first, change), others[: quorum - 1])

    def wait_epoch(self, epoch: int) -> None:
        """Wait until every validator votes in an epoch, and the load has something in it."""
        for node in self.validators:
            self.wait(
                node,
                f"a validator of epoch {epoch}",
                lambda status: status["epoch"] == epoch and status["may_vote"],
            )
        self.wait(self.validators[0], f"in epoch {epoch}", lambda _: epoch in self.submitter.epochs)

    def command(self, *arguments: object) -> Any:
        """Run a command line that must succeed; return the JSON that it prints."""
        result = self.province.command(*arguments, "--json")
        assert result.exit_code == Exit.OK, result.stderr
        return json.loads(result.stdout)

    def start(self, node: str, address: str | None = None) -> None:
        """Start a node's process and remember it."""
        network = self.province.network
        entry = network.node(node)
        if address is not None:
            entry = replace(entry, address=address)
        network = network.with_node(entry.started(start_node(Path(entry.home))))
        network.save()

    def kill(self, node: str) -> None:
        """End a node's process at once."""
        assert send_signal(self.province.network.node(node).process, signal.SIGKILL, 600)

    def stop(self) -> None:
        """Stop everything."""
        self.province.stop()


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """The network of the story, with load from beginning to end."""
    members = Members(tmp_path_factory.mktemp("members") / "net")
    try:
        members.submitter.start()
        yield members
    finally:
        members.submitter.stop()
        members.stop()


def make_joiner(members: Members) -> Mapping[str, Any]:
    """Make a home for the joiner with the command line, and add it to the network's file."""
    port = find_free_ports(2, BASE_PORT + 20)
    address, home = f"{HOST}:{port}", members.net / "nodes" / JOINER
    made: Mapping[str, Any] = members.command(
        *("member", "join", "--id", JOINER, "--home", home, "--listen", address, "--no-password"),
        *("--genesis", members.net / "genesis.bin", "--member", members.net / "members" / JOINER),
    )
    network = members.province.network
    entry = NodeEntry(JOINER, str(home), address, f"{HOST}:{port + 1}")
    replace(network, nodes=(*network.nodes, entry)).save()
    return made


def test_f82_a_node_joins_follows_and_is_promoted_without_a_restart(members: Members) -> None:
    made = make_joiner(members)
    members.start(JOINER)
    members.decide(
        {
            "kind": "add_observer",
            "member": JOINER,
            "public_key": bytes.fromhex(made["public_key"]),
            "proof": bytes.fromhex(made["proof"]),
            "address": made["address"],
        }
    )
    height = members.client("D18", "D18").head().height
    wait_for_answer(members, JOINER)
    members.wait(JOINER, "an observer that follows", lambda status: status["height"] >= height)
    assert members.status(JOINER)["part"] == "observer"
    head = members.client("D18", JOINER).head()
    members.send(JOINER, "member.ready", {"height": head.height, "block_hash": head.block_hash})
    members.decide({"kind": "promote", "member": JOINER})
    members.validators.append(JOINER)
    members.wait_epoch(1)
    assert members.status(JOINER)["index"] == 4


def test_f84_f86_the_primary_is_removed_while_another_node_dies(members: Members) -> None:
    primary = FIRST[0]
    members.province.lead(primary)
    members.validators.remove(primary)
    size = len(members.validators)
    proposal = members.propose(members.validators[0], {"kind": "remove", "member": primary})
    members.approve(proposal, members.validators[1:])
    assert size == 4
    # While the change is pending a node dies: it finds all of it or nothing in its home (F86).
    members.kill("D18")
    shutil.copytree(members.home("D18"), members.old)
    members.start("D18")
    wait_for_answer(members, "D18")
    members.wait_epoch(2)
    process = members.province.network.node(primary).process
    assert send_signal(process, signal.SIGCONT, 600)  # it ends by itself
    assert f"E{int(Code.NODE_REMOVED)}" in members.log(primary) or "5011" in members.log(primary)


def sessions_of(peer: str, status: Mapping[str, Any]) -> int:
    """Return how often a link to `peer` was made."""
    sessions: int = next(item["sessions"] for item in status["peers"] if item["member"] == peer)
    return sessions


def test_rule_47_a_certificate_and_a_node_key_change_while_the_nodes_run(members: Members) -> None:
    before = members.status("D01")
    folder = members.net / "members" / "D01"
    members.command(
        *("keys", "renew-certificate", "--home", members.home("D01")),
        *("--member", folder, "--days", 800),
    )
    home = members.home("icbc-gd")
    sent = members.command("keys", "rotate", "node", "--home", home, "--as", "icbc-gd")
    assert sent["code"] == 0
    members.approve(bytes.fromhex(sent["id"]), ["D01", "D18"])
    members.wait_epoch(3)
    assert members.province.network.node("icbc-gd").is_running
    members.wait(
        "D01",
        "under its renewed certificate",
        lambda status: status["certificate_expires_ms"] > before["certificate_expires_ms"],
    )
    after = members.status("D01")
    assert sessions_of("icbc-gd", after) == sessions_of("icbc-gd", before)
    assert sessions_of(JOINER, after) == sessions_of(JOINER, before)


def test_f71_an_address_changes(members: Members) -> None:
    address = f"{HOST}:{find_free_ports(1, BASE_PORT + 30)}"
    members.decide({"kind": "set_address", "member": "D18", "address": address})
    config = members.home("D18") / "config.toml"
    config.write_text(config.read_text().replace(members.address("D18"), address))
    members.kill("D18")
    members.start("D18", address)
    members.wait(
        "D01",
        "connected with D18 at its new address",
        lambda status: all(peer["is_connected"] for peer in status["peers"]),
    )


def test_rule_46_a_home_that_lost_its_votes_re_enters_under_a_new_key(members: Members) -> None:
    home = members.home(JOINER)
    members.kill(JOINER)
    shutil.rmtree(home / "votes")
    members.start(JOINER)
    wait_for_answer(members, JOINER)
    status = members.status(JOINER)
    assert status["part"] == "observer"
    assert status["refusal"].startswith(f"E{int(Code.VOTE_LOG_MISSING)}")
    sent = members.command("member", "rejoin", "--home", home, "--as", JOINER)
    members.approve(bytes.fromhex(sent["id"]), ["D01", "D18"])
    members.wait_epoch(4)
    assert members.status(JOINER)["refusal"] == ""


def test_f60_a_home_rolled_back_whole_is_refused_by_what_the_others_hold(members: Members) -> None:
    """It is of epoch 1; it follows through the changes to epoch 4, and votes in none."""
    node, home = "D18", members.home("D18")
    members.kill(node)
    config = (home / "config.toml").read_text()
    shutil.rmtree(home)
    members.old.rename(home)
    (home / "config.toml").write_text(config)
    height = members.status("D01")["height"]
    members.start(node)
    wait_for_answer(members, node)
    members.wait(node, "refused", lambda status: status["refusal"] != "")
    assert members.status(node)["refusal"].startswith(f"E{int(Code.VOTES_FORGOTTEN)}")
    members.wait(
        node,
        "an observer of epoch 4",
        lambda status: status["height"] >= height and status["epoch"] == 4,
    )
    assert members.status(node)["part"] == "observer"


def wait_for_answer(members: Members, node: str) -> None:
    """Wait, while another node holds our questions, until a node that was started answers."""
    other = next(name for name in members.validators if name != node)
    for _ in range(TURNS):
        try:
            members.status(node)
        except CreditLedgerError:
            members.hold(other)
        else:
            return
    raise AssertionError(f"{node} does not answer: {members.log(node)}")


def test_nothing_acknowledged_is_lost_and_every_home_is_valid(
    members: Members, tmp_path: Path
) -> None:
    members.submitter.stop()
    receipts: list[Receipt] = []
    while not members.submitter.receipts.empty():
        receipts.append(members.submitter.receipts.get())
    assert {receipt.header.epoch for receipt in receipts} == {0, 1, 2, 3, 4}
    genesis = members.province.genesis
    for receipt in receipts:
        verify_receipt(receipt, genesis.chain_id, 0, genesis.validator_keys())
    ids = [receipt.transaction_id for receipt in receipts]
    height = max(receipt.header.height for receipt in receipts)
    for node in members.validators:
        members.wait(node, "at the end", lambda status: status["certified_height"] >= height)
        for start in range(0, len(ids), 500):
            for fate in members.client("D18", node).fate(ids[start : start + 500]):
                assert fate.status is FateStatus.COMMITTED
    for node in (*members.validators, FIRST[0]):
        copy = tmp_path / node
        made = members.province.command("backup", "--home", members.home(node), "--out", copy)
        assert made.exit_code == Exit.OK, made.stderr
        trust = members.net / "genesis.bin"
        judged = members.province.command("audit", copy, "--trust", trust)
        assert judged.output.startswith("VALID\n"), judged.output
