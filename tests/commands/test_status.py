"""What `status` says is wrong: the most likely reason, in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands.diagnosis import diagnose, is_quorum_answering
from commands.local.network_file import LocalNetwork, NodeEntry
from commands.status import evidence_line, last_words, nodes_on_record
from network.profile import NodeAddress

NAMES = ("D02", "D01", "D18", "icbc-gd")
NOW_MS = 1_800_000_000_000


def _peer(name: str, **changes: Any) -> dict[str, Any]:
    peer = {"member": name, "is_validator": True, "is_connected": True, "height": 100}
    return {**peer, **changes}


def _node(index: int, **changes: Any) -> dict[str, Any]:
    node = {
        "member": NAMES[index],
        "validators": NAMES,
        "refusal": "",
        "answers_missing": 0,
        "is_normal": True,
        "is_halted": False,
        "view": 0,
        "view_change_cause": "",
        "primary": "D02",
        "height": 100,
        "disk_free_bytes": 10 * 1024**3,
        "clock_ms": NOW_MS,
        "asked_ms": 0,
        "certificate_expires_ms": NOW_MS + 300 * 86_400_000,
        "pending": 0,
        "waiting_for": "requests",
        "waiting_height": 101,
        "waiting_members": (),
        "peers": [_peer(name) for name in NAMES if name != NAMES[index]],
    }
    return {**node, **changes}


def _all(**changes: Any) -> list[dict[str, Any]]:
    return [_node(index, **changes) for index in range(4)]


def _down(index: int) -> dict[str, Any]:
    return {"member": NAMES[index], "error": "E5007 cannot connect"}


def _stuck(index: int) -> dict[str, Any]:
    return _node(index, pending=3, waiting_for="commit", waiting_members=("D01", "D18"))


def _lonely(index: int) -> dict[str, Any]:
    peers = [_peer(name, is_connected=False) for name in NAMES if name != NAMES[index]]
    return _node(index, peers=peers)


def _changing(step: str, *members: str) -> dict[str, Any]:
    return _node(
        1,
        is_normal=False,
        view=3,
        view_change_cause="the primary is late",
        waiting_for=step,
        waiting_members=members,
    )


FORGOTTEN = "E6204 this home does not remember all its votes"


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (_all(pending=1), "well: every node answers, and none is behind"),
        (_all(), "none is behind, and nothing is asked of them"),
        ([*_all()[:3], _down(3)], "well, but icbc-gd does not answer; 0 more"),
        (
            [*_all(), {"member": "ccb-gd", "error": "E5007"}],
            "well; ccb-gd, which does not vote, does not answer",
        ),
        ([_node(0), _node(1), _down(2), _down(3)], "2 of 4 validators answer, 3 are needed; start"),
        ([_down(0)], "the node of D02 does not answer"),
        (
            [_lonely(0), *_all()[1:]],
            "D02 reaches 1 of 4 validators, 3 are needed: no link to D01, D18 and icbc-gd",
        ),
        ([_node(0, disk_free_bytes=5 * 1024**2), *_all()[1:]], "D02 has 5 MiB of disk left"),
        ([_node(0, is_halted=True), *_all()[1:]], "D02 halted: the chains differ"),
        (
            [_node(0, clock_ms=NOW_MS - 9_000), *_all()[1:]],
            "the clock of D02 is 9 s behind the others",
        ),
        (
            [_node(0), _changing("view-change", "D02", "D18"), _node(2), _node(3)],
            "D01 changed to view 3 (the primary is late): the VIEW-CHANGE of D02 and D18 is "
            "missing",
        ),
        (
            [_node(0), _changing("new-view", "icbc-gd"), _node(2), _node(3)],
            "icbc-gd has not opened it",
        ),
        (
            [_node(i, waiting_for="bodies", waiting_members=("D02",)) for i in range(4)],
            "block 101: D02, D01, D18 and icbc-gd wait for transactions that D02 has proposed",
        ),
        (
            [_node(0), _node(1, height=20), _node(2), _node(3)],
            "behind and fetching: D01 at block 20, the others are at block 100",
        ),
        ([_stuck(0), _stuck(3)], "block 101 waits for the commit of D01 and D18"),
        ([_stuck(0), _node(3)], "well: every node answers"),
        (
            [_node(0, answers_missing=2), *_all()[1:]],
            "D02 does not vote yet: 2 more members must say what they hold of its votes",
        ),
        (
            [_node(0, refusal=FORGOTTEN), *_all()[1:]],
            f"D02 follows and does not vote: {FORGOTTEN} (creditledger member rejoin --home … --as",
        ),
        (
            [_node(0, refusal=FORGOTTEN), *_all()[1:3], _down(3)],
            f"no quorum: D02 must not vote ({FORGOTTEN}), 2 of 4 are left, 3 are needed",
        ),
        (
            [_node(0, certificate_expires_ms=NOW_MS + 3 * 86_400_000), *_all()[1:]],
            "the certificate of D02 ends in 3 days: creditledger keys renew-certificate",
        ),
        (
            [_node(0, certificate_expires_ms=NOW_MS - 1), *_all()[1:]],
            "the certificate of D02 has ended",
        ),
    ],
)
def test_most_likely_reason(nodes: list[dict[str, Any]], text: str) -> None:
    assert text in diagnose(nodes, NOW_MS)


def test_an_observer_is_no_part_of_the_quorum() -> None:
    """Its home is down, or far behind: neither stops anything."""
    observer = _node(0, member="ccb-gd", peers=[_peer(name) for name in NAMES])
    assert "well, but D18 and" not in diagnose([*_all(), observer], NOW_MS)
    assert is_quorum_answering([*_all()[:3], _down(3)])
    assert not is_quorum_answering([_node(0), _node(1), observer, _down(2), _down(3)])


def test_a_node_that_ended_says_why(tmp_path: Path) -> None:
    entry = NodeEntry("D18", str(tmp_path), "127.0.0.1:1", "127.0.0.1:2")
    LocalNetwork(tmp_path, 1, "today", "00", (entry,)).save()
    lines = (
        {"event": "node is up"},
        {"event": "node stops", "error": 5011, "text": "member D18 was removed by block 7"},
    )
    log = tmp_path / "log"
    log.write_text("\n".join(json.dumps(line) for line in lines) + "\nhalf a li")
    words = last_words(tmp_path, [_node(0), _down(2)])
    assert words == {"D18": "E5011 member D18 was removed by block 7"}
    nodes = [_node(0), _node(1), _down(2), _down(3)]
    assert "start D18 and icbc-gd (D18 said: E5011 member D18 was" in diagnose(nodes, NOW_MS, words)
    log.write_text(json.dumps(lines[1]) + "\n" + json.dumps(lines[0]) + "\n")
    assert last_words(tmp_path, [_down(2)]) == {}


def test_evidence_is_told_with_the_command_that_shows_it() -> None:
    assert evidence_line("D02", 1).startswith("D02 keeps 1 piece of evidence, ")
    assert evidence_line("D02", 16).startswith("D02 keeps 16 pieces of evidence, ")
    assert evidence_line("D02", 1).endswith("creditledger evidence list --via D02")


def test_nodes_that_joined_since_the_profile_was_made_are_asked_too() -> None:
    members = [
        {"id": "D02", "node": "d02.test:7001"},
        {"id": "D20", "node": None},
        {"id": "ccb-gd", "node": "127.0.0.1:7005"},
    ]
    assert nodes_on_record(members, {"D02"}) == [NodeAddress("ccb-gd", "127.0.0.1", 7005)]
