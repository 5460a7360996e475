"""A network of real node processes, and the questions that every test asks of it afterwards.

`Province.check_well` is what "nothing is lost or half done" means here: every node runs and votes,
a good transaction is certified, and all nodes have the very block that holds it: its hash covers
the state root, so one comparison is enough. Waiting is done by the nodes (`watch`), never by a
clock here.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from commands.cli import cli
from commands.local import local_network
from commands.local.network_file import LocalNetwork, load_network
from commands.local.processes import last_lines, send_signal, stop
from commands.session import CLIENTS, only_node
from ledger.chain.receipt import Receipt
from ledger.credit.uscc import make_uscc
from ledger.errors import Code
from ledger.keys import SigningKey
from ledger.membership.genesis import Genesis, parse_genesis
from network.client import ClientPolicy, Profile, SyncClient
from network.methods import WatchStream
from tests.end_to_end.raw_link import RawLink
from tests.ports import claim_ports

BASE_PORT = claim_ports()
# Limits are for what never comes: a machine may be twenty times slower than any of ours.
WAIT_MS = 60_000
WAIT_ROUNDS = 10
HOLD_MS = 100
VOTE_ROUNDS = 6_000
LEAD_ROUNDS = 40
PATIENT = ClientPolicy(connect_s=30, answer_s=60, wait_ms=600_000)
FAR = 2**62
MEMBERS = ("D02", "D01", "D18", "icbc-gd")


@dataclass(slots=True)
class Province:
    """Four nodes below `net`."""

    net: Path
    genesis: Genesis
    companies: int = field(default=0)
    clients: dict[tuple[str, str | None], SyncClient] = field(default_factory=dict)

    @classmethod
    def start(cls, net: Path, consortium: Path = local_network.DEMO_CONSORTIUM) -> Province:
        """Make and start the network."""
        network = local_network.make(
            net,
            consortium=consortium,
            nodes=4,
            seed=17,
            as_of=None,
            base_port=BASE_PORT,
        )
        local_network.start(network, MEMBERS)
        return cls(net, parse_genesis((net / "genesis.bin").read_bytes()))

    def stop(self) -> None:
        """Close the clients and stop what runs."""
        for client in self.clients.values():
            client.__exit__(None, None, None)
        stop([entry.process for entry in self.network.nodes if entry.is_running])

    @property
    def network(self) -> LocalNetwork:
        """The network as its file describes it now."""
        return load_network(self.net)

    def processor_s(self, member: str) -> float:
        """Return the processor time that a member's node has used since it was started."""
        stat = Path(f"/proc/{self.network.node(member).pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def lead(self, member: str) -> None:
        """Depose one primary after the other until a member's node is the primary.

        A machine that is slow enough changes views by itself, so who leads is not known before.
        """
        for _ in range(LEAD_ROUNDS):
            primary = self.client("D18", member).status()["primary"]
            if primary == member:
                return
            process = self.network.node(primary).process
            send_signal(process, signal.SIGSTOP, 0)
            try:
                client = self.client("D01", member)
                height = client.submit_kind("company.bind", self.new_company()[2]).header.height
            finally:
                send_signal(process, signal.SIGCONT, 0)
            if primary in MEMBERS:
                self.block_hash(primary, height)
        raise AssertionError(f"{member} does not become the primary")

    def home(self, member: str) -> Path:
        """Return the home of a member's node."""
        return Path(self.network.node(member).home)

    def restart(self, member: str) -> None:
        """Start a node again and wait until it votes again: the others are asked first (46)."""
        local_network.start(self.network, [member])
        self.wait_for_vote(member)

    def wait_for_vote(self, member: str) -> None:
        """Wait until a member's node may vote; one that was refused never will."""
        client = self.client("D18", member)
        for _ in range(VOTE_ROUNDS):
            status = client.status()
            if status["may_vote"]:
                return
            if status["refusal"]:
                break
            client.watch(WatchStream.BLOCKS, FAR, limit=1, wait_ms=HOLD_MS)
        raise AssertionError(f"{member} does not vote: {status['refusal']}")

    def profile(self, identity: str, node: str | None = None) -> Profile:
        """Return a profile, for the node of one member alone if that is given."""
        profile = Profile.load(self.net / CLIENTS / identity)
        return profile if node is None else only_node(profile, node)

    def client(self, identity: str, node: str | None = None) -> SyncClient:
        """Return a client, which stays open until the network is stopped."""
        key = (identity, node)
        if key not in self.clients:
            self.clients[key] = SyncClient(self.profile(identity, node), PATIENT).__enter__()
        return self.clients[key]

    def raw(self, identity: str = "D02", node: str = "D02") -> RawLink:
        """Return a link with the certificate of `identity` that sends whatever it is given."""
        address = self.network.node(node).address
        return RawLink(address, self.net / CLIENTS / identity, self.genesis)

    def plain_socket(self, node: str) -> socket.socket:
        """Return a connection to a node's port without TLS."""
        host, _, port = self.network.node(node).address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=120)

    def command(self, *arguments: object) -> Result:
        """Run a command line in this process."""
        return CliRunner().invoke(cli, ["--net", str(self.net), *map(str, arguments)])

    def send(self, sender: str, kind: str, body: Mapping[str, Any]) -> Receipt:
        """Send one transaction and return its certified receipt, whatever its code."""
        return self.client(sender).submit_kind(kind, body)

    def new_company(self) -> tuple[str, SigningKey, dict[str, Any]]:
        """Return a fresh made-up company: its code, its key, and the body that binds them."""
        self.companies += 1
        code = make_uscc(f"91440900E{self.companies:07d}")
        key = SigningKey(self.companies.to_bytes(32, "big"))
        return code, key, {"company": code, "public_key": key.public_key, "name": f"E{code}"}

    def check_well(self) -> int:
        """Check that all nodes run, vote, and agree on a block with a new good transaction."""
        assert all(entry.is_running for entry in self.network.nodes)
        for member in MEMBERS:
            self.wait_for_vote(member)
        receipt = self.send("D01", "company.bind", self.new_company()[2])
        assert receipt.result[0] == Code.OK
        height = receipt.header.height
        hashes = {member: self.block_hash(member, height) for member in MEMBERS}
        assert set(hashes.values()) == {receipt.header.hash()}, hashes
        return height

    def block_hash(self, member: str, height: int) -> bytes:
        """Return the hash of a certified block as one node has it, once it has it."""
        client = self.client("D18", member)
        for _ in range(WAIT_ROUNDS):
            items, _ = client.watch(WatchStream.BLOCKS, height - 1, limit=1, wait_ms=WAIT_MS)
            if items:
                assert items[0]["height"] == height
                found: bytes = items[0]["hash"]
                return found
        raise AssertionError(
            f"{member} has no certified block {height} after {WAIT_ROUNDS} x {WAIT_MS} ms: "
            f"{last_lines(self.home(member))}"
        )
