"""`devnet.json`: which processes make up a local network, and where each node lives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from commands.files import read_bytes
from commands.files import replace as replace_file
from commands.local.processes import Process
from ledger.errors import Code, LocalError

FILE_NAME = "devnet.json"
FORMAT = "creditledger/devnet/1"


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node: its member, home, addresses, and the process that ran it last."""

    member: str
    home: str
    address: str
    metrics: str
    pid: int = 0
    start_ticks: int = 0

    @property
    def process(self) -> Process:
        """The process that was started last."""
        return Process(self.pid, self.start_ticks)

    @property
    def is_running(self) -> bool:
        """Tell whether that process still runs."""
        return self.pid > 0 and self.process.is_running

    def started(self, process: Process) -> NodeEntry:
        """Return the entry with another process."""
        return replace(self, pid=process.pid, start_ticks=process.start_ticks)


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """A local network as its file describes it."""

    folder: Path
    seed: int
    as_of: str
    chain_id: str
    nodes: tuple[NodeEntry, ...]

    def node(self, member: str) -> NodeEntry:
        """Return a member's node; raise `LocalError` (8004) naming those there are."""
        for entry in self.nodes:
            if entry.member == member:
                return entry
        known = ", ".join(entry.member for entry in self.nodes)
        raise LocalError(Code.INPUT_USAGE, f"no node of {member}, want one of {known}")

    def with_node(self, changed: NodeEntry) -> LocalNetwork:
        """Return the network with one node's entry changed."""
        nodes = tuple(changed if e.member == changed.member else e for e in self.nodes)
        return replace(self, nodes=nodes)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        value = {
            "format": FORMAT,
            "seed": self.seed,
            "as_of": self.as_of,
            "chain_id": self.chain_id,
            "nodes": [asdict(entry) for entry in self.nodes],
        }
        replace_file(self.folder / FILE_NAME, json.dumps(value, indent=2).encode() + b"\n")


def load_network(folder: Path) -> LocalNetwork:
    """Return the network of a folder; raise `LocalError` (8001, 7003)."""
    path = folder / FILE_NAME
    try:
        value: dict[str, Any] = json.loads(read_bytes(path))
        nodes = tuple(NodeEntry(**entry) for entry in value["nodes"])
        return LocalNetwork(folder, value["seed"], value["as_of"], value["chain_id"], nodes)
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(Code.CONFIG_INVALID, f"{path} is damaged: {error}") from None
