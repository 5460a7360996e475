"""Rules of execution change at one height for all; who does not know them stops before it (F50)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, LocalError
from ledger.membership import protocol
from ledger.membership.protocol import get_protocol
from tests.ledger.governance import WINDOW, Governance

VOTERS = ("D01", "D02", "D20", "D18")


def approve(chain: Governance, sender: str, number: int = 2) -> tuple[int, Any]:
    """Execute one approval; return (code, data)."""
    return chain.act(sender, "protocol.approve", {"number": number})


def decided() -> tuple[Governance, int]:
    """Return a network that has decided for protocol 2, and the height from which it holds."""
    chain = Governance()
    for sender in VOTERS[:2]:
        code, data = approve(chain, sender)
        assert (code, data["active_from"]) == (Code.OK, None)
    code, data = approve(chain, VOTERS[2])
    assert (code, data["approvals"], data["needed"]) == (Code.OK, 3, 3)
    assert data["active_from"] == chain.head.height + WINDOW + 1
    return chain, data["active_from"]


def test_f50_number_holds_from_the_height_that_a_quorum_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain, active_from = decided()
    chain.run_to(active_from - 1)
    assert get_protocol(chain.state(), active_from - 1) == 1
    assert get_protocol(chain.state(), active_from) == 2
    monkeypatch.setattr(protocol, "PROTOCOL", 2)
    chain.block()
    assert chain.head.height == active_from
    assert approve(chain, "D01", 3)[0] == Code.OK


def test_f50_old_release_executes_up_to_that_height_and_stops_there() -> None:
    chain, active_from = decided()
    chain.run_to(active_from - 1)
    head = chain.head
    for _ in range(2):
        with pytest.raises(LocalError) as caught:
            chain.block()
        assert caught.value.code is Code.PROTOCOL_UNKNOWN
        assert f"block {active_from} follows protocol 2" in caught.value.message
    assert chain.head == head


def test_f50_old_and_new_release_give_the_same_blocks_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, active_from = decided()
    old.run_to(active_from - 1)
    monkeypatch.setattr(protocol, "PROTOCOL", 2)
    new, _ = decided()
    new.run_to(active_from - 1)
    assert new.head == old.head


@pytest.mark.parametrize(
    ("sender", "number", "code"),
    [
        ("ICBC", 2, Code.NOT_PERMITTED),
        ("D01", 1, Code.BODY_MALFORMED),
        ("D01", 3, Code.BODY_MALFORMED),
        ("D01", -1, Code.BODY_MALFORMED),
    ],
)
def test_f50_who_may_not_and_what_is_no_next_number_is_refused(
    sender: str, number: int, code: Code
) -> None:
    chain = Governance()
    assert approve(chain, sender, number)[0] == code
    assert get_protocol(chain.state(), chain.head.height + 1) == 1


def test_f50_one_member_approves_once_and_only_members_in_force_count() -> None:
    chain = Governance()
    for _ in range(3):
        code, data = approve(chain, "D01")
        assert (code, data["approvals"]) == (Code.OK, 1)


def test_f50_next_number_waits_until_the_one_before_holds() -> None:
    chain, active_from = decided()
    code, data = approve(chain, "D18", 3)
    assert code == Code.CHANGE_PENDING
    assert f"active from block {active_from}" in data["error"]
