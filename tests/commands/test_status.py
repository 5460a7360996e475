"""What `status` says is wrong: the most likely reason, in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from commands.status import diagnose, evidence_line

NAMES = ("D02", "D01", "D18", "icbc-gd")


def _node(index: int, **changes: Any) -> dict[str, Any]:
    peers = [{"member": name, "is_connected": True} for name in NAMES if name != NAMES[index]]
    node = {
        "member": NAMES[index],
        "is_normal": True,
        "height": 100,
        "disk_free_bytes": 10 * 1024**3,
        "pending": 0,
        "waiting_for": "requests",
        "waiting_height": 101,
        "waiting_members": (),
        "peers": peers,
    }
    return {**node, **changes}


def _down(index: int) -> dict[str, Any]:
    return {"member": NAMES[index], "error": "E5007 cannot connect"}


def _stuck(index: int) -> dict[str, Any]:
    return _node(index, pending=3, waiting_for="commit", waiting_members=("D01", "D18"))


def _lonely(index: int) -> dict[str, Any]:
    peers = [{"member": name, "is_connected": False} for name in NAMES if name != NAMES[index]]
    return _node(index, peers=peers)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([_node(i) for i in range(4)], "well: every node answers"),
        ([*(_node(i) for i in range(3)), _down(3)], "well, but icbc-gd does not answer; 0 more"),
        ([_node(0), _node(1), _down(2), _down(3)], "no quorum: 2 of 4 nodes answer, 3 are needed"),
        ([_down(0)], "the node of D02 does not answer"),
        ([_lonely(0), *(_node(i) for i in (1, 2, 3))], "D02 reaches 1 of 4 members, 3 are needed"),
        ([_node(0, disk_free_bytes=5 * 1024**2)], "D02 has 5 MiB of disk left"),
        ([_node(0), _node(1, is_normal=False), _node(2)], "D01 wait for a new view"),
        ([_node(0), _node(1, height=20), _node(2)], "D01 catch up with block 100"),
        ([_stuck(0), _stuck(3)], "block 101 waits for the commit of D01 and D18"),
        ([_stuck(0), _node(3)], "well: every node answers"),
    ],
)
def test_most_likely_reason(nodes: list[dict[str, Any]], text: str) -> None:
    assert text in diagnose(nodes)


def test_evidence_is_told_with_the_command_that_shows_it() -> None:
    assert evidence_line("D02", 1).startswith("D02 keeps 1 piece of evidence, ")
    assert evidence_line("D02", 16).startswith("D02 keeps 16 pieces of evidence, ")
    assert evidence_line("D02", 1).endswith("creditledger evidence list --via D02")
