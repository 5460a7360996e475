"""Changes of the membership: who may, how many must, from which height, and what is refused.

Rules 2, 46 and 47; faults F82 (the switch on the chain), F83, F84, F85, F86.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.config import production
from ledger.chain.batch import Batch
from ledger.chain.epochs import EpochSet
from ledger.encoding import encode
from ledger.errors import Code, Refused, StorageError
from ledger.execution import execute_block, execute_genesis
from ledger.membership.epoch_state import get_epoch_entry, get_epoch_set
from ledger.membership.genesis import parse_genesis
from ledger.membership.limits import CHANGE_WINDOW, MAX_VALIDATORS
from ledger.membership.possession import KeyRole, prove_possession
from ledger.state.tables import MEMBERS, SETTINGS
from ledger.storage.chain_store import HEADERS, height_key
from ledger.storage.memory import MemoryStore
from tests.ledger.governance import WINDOW, Governance, certificate_of, five
from tests.ledger_harness import DAY_MS, HOUR_MS, company_code, genesis_document, key_of

FOUR = ["D01", "D02", "D20", "D18"]


def test_observer_is_added_at_once_and_promoted_after_the_window() -> None:
    chain = Governance()
    chain.observe("ICBC")
    assert chain.names() == FOUR
    assert chain.head.epoch == 0
    code, data = chain.decide("D01", "promote", "ICBC")
    decided = chain.head.height
    assert code == Code.OK
    assert data["active_from"] == decided + WINDOW + 1
    assert data["state"] == "pending"
    chain.run_to(data["active_from"] - 2)
    assert chain.names() == FOUR
    chain.block()
    assert chain.names() == [*FOUR, "ICBC"]
    assert chain.head.epoch == 0
    chain.block()
    assert chain.head.epoch == 1
    assert chain.head.height == data["active_from"]


def test_rule_2_every_header_commits_to_the_set_of_the_next_height() -> None:
    chain = five()
    start = chain.head.height
    proposal = chain.proposed("D01", "rotate_node_key", "D02", key="node:D02.2")
    chain.approve(proposal, "D02", "D20", "D18")
    for _ in range(2 * WINDOW):
        block = chain.block()
        assert block.header.members_root == get_epoch_set(chain.state()).root()
        assert block.epochs == get_epoch_set(chain.state())
    headers = [chain.query_context("D01").chain.header(h) for h in range(start, start + 12)]
    roots = [header.members_root for header in headers if header is not None]
    assert len(set(roots)) == 3  # before, pending, after
    assert [header.epoch for header in headers if header is not None][-1] == 2


def test_a_chain_without_changes_keeps_the_root_of_genesis() -> None:
    chain = Governance()
    want = EpochSet(0, chain.genesis.validator_keys()).root()
    chain.observe("ICBC")
    chain.run_to(20)
    assert chain.head.members_root == want == execute_genesis(chain.genesis).header.members_root
    assert chain.state().get(SETTINGS, b"~epoch") is None


def test_rule_2_window_of_the_ledger_covers_that_of_every_replica() -> None:
    for size in range(4, MAX_VALIDATORS + 1):
        keys = tuple(index.to_bytes(32, "big") for index in range(size))
        assert production(bytes(32), 0, keys, 0).limits.window <= CHANGE_WINDOW


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_f86_half_a_change_is_never_there(lost: int) -> None:
    """F86: a crash at any block of a change, and the block again: all of it or nothing."""
    chain = Governance()
    chain.observe("ICBC")
    chain.decide("D01", "promote", "ICBC")
    pending = get_epoch_entry(chain.state()).pending
    assert pending is not None
    chain.run_to(pending.active_from - 1 - lost)
    before = dict(chain.store.scan(b"", b"\xff"))
    head = chain.head
    wanted = [chain.block().header for _ in range(lost + 2)]
    # The disk holds what the last whole block left: the same blocks give the same headers again.
    chain.store, chain.head = MemoryStore(), head
    chain.store.write(before, sync=True)
    assert chain.names() == (FOUR if lost else [*FOUR, "ICBC"])
    assert [chain.block(time_ms=header.time_ms).header for header in wanted] == wanted
    assert chain.names() == [*FOUR, "ICBC"]


def test_f86_second_change_waits_for_the_first() -> None:
    chain = five()
    demote = chain.proposed("D01", "demote", "D18")
    rotate = chain.proposed("D01", "rotate_node_key", "D02", key="node:D02.2")
    chain.approve(rotate, "D02", "D20")
    chain.approve(demote, "D02", "D20", "ICBC")
    pending = get_epoch_entry(chain.state()).pending
    assert pending is not None
    active_from = pending.active_from
    root = chain.head.state_root
    code, data = chain.approve(rotate, "ICBC")
    assert code == Code.CHANGE_PENDING
    assert f"approve again after block {active_from - 1}" in data["error"]
    assert chain.head.state_root == root  # the approval left nothing, not even itself
    chain.run_to(active_from - 1)
    code, data = chain.approve(rotate, "ICBC")
    assert (code, data["state"]) == (Code.OK, "pending")
    assert data["active_from"] == chain.head.height + WINDOW + 1
    chain.settle()
    assert dict(chain.validators())["D02"] == key_of("node:D02.2").public_key
    assert "D18" not in chain.names()


def test_f86_member_of_the_pending_change_is_left_alone() -> None:
    chain = Governance()
    chain.observe("ICBC")
    rotate = chain.proposed("D01", "rotate_node_key", "ICBC", key="node:ICBC.2")
    removal = chain.proposed("D01", "remove", "ICBC")
    chain.approve(rotate, "D02")
    chain.approve(removal, "D02")
    chain.decide("D01", "promote", "ICBC")
    for proposal in (rotate, removal):
        code, data = chain.approve(proposal, "D20")
        assert code == Code.CHANGE_PENDING
        assert "about ICBC is active from block" in data["error"]
    # What concerns others and no vote goes on meanwhile.
    assert chain.decide("D01", "set_address", "D02", address="d02.test:9")[0] == Code.OK
    chain.settle()
    assert chain.names() == [*FOUR, "ICBC"]
    assert chain.approve(rotate, "D20")[1]["state"] == "open"  # n = 5 wants 4
    assert chain.approve(rotate, "D18")[1]["state"] == "pending"


def test_f84_four_validators_are_never_three() -> None:
    chain = Governance()
    for kind in ("remove", "demote"):
        code, data = chain.propose("D01", kind, "D01")
        assert code == Code.VALIDATORS_BOUNDS
        assert "3 validators would be left without D01, want at least 4" in data["error"]
    chain = five()
    first = chain.proposed("D01", "demote", "D18")
    second = chain.proposed("D01", "remove", "D02")
    for proposal in (first, second):
        chain.approve(proposal, "D02", "D20")
    chain.approve(first, "ICBC")
    chain.settle()
    assert chain.names() == ["D01", "D02", "D20", "ICBC"]
    code, _ = chain.approve(second, "ICBC")
    assert code == Code.VALIDATORS_BOUNDS
    assert chain.names() == ["D01", "D02", "D20", "ICBC"]


def test_f84_primary_is_removed_with_its_keys() -> None:
    chain = five()
    proposal = chain.proposed("D02", "remove", "D01")
    chain.approve(proposal, "D20", "D18", "ICBC")
    # Until its height it goes on as a member and a voter.
    assert chain.propose("D01", "set_address", "D02", address="d02.test:9")[0] == Code.OK
    chain.settle()
    assert chain.names() == ["D02", "D20", "D18", "ICBC"]
    member = chain.member("D01")
    assert member.is_removed
    assert member.node is None
    assert {key_of("D01").public_key, key_of("node:D01").public_key} <= set(member.revoked_keys)
    assert chain.propose("D01", "promote", "ICBC")[0] == Code.KEY_REVOKED
    assert chain.run(chain.bind(company_code(1)))[0] == Code.KEY_REVOKED


def test_f83_removed_member_comes_again_only_with_new_keys() -> None:
    chain = five()
    chain.approve(chain.proposed("D02", "remove", "D01"), "D20", "D18", "ICBC")
    chain.settle()
    other = chain.proposed("D02", "set_address", "D20", address="d20.test:9")
    assert chain.approve(other, "D01")[0] == Code.KEY_REVOKED
    for old in ("D01", "node:D01"):
        code, data = chain.propose("D02", "add_member", "D01", key=old)
        assert code == Code.KEY_IN_USE
        assert "was once that of D01" in data["error"]
    assert chain.decide("D02", "add_member", "D01", key="D01.2")[0] == Code.OK
    for old in ("D01", "node:D01"):
        assert chain.propose("D02", "add_observer", "D01", key=old)[0] == Code.KEY_IN_USE
    code, data = chain.propose("D02", "add_observer", "D01", key="node:D01.2")
    assert code == Code.OK
    assert chain.act("D01", "member.withdraw", {"proposal": data["proposal"]})[0] == (
        Code.KEY_REVOKED
    )
    code, _ = chain.act("D01", "member.withdraw", {"proposal": data["proposal"]}, key="D01.2")
    assert code == Code.NOT_PERMITTED


def test_f83_votes_of_a_removed_member_are_taken_back() -> None:
    chain = five()
    address = chain.proposed("D01", "set_address", "D20", address="d20.test:9")
    assert chain.approve(address, "D02")[1]["approvals"] == 2
    chain.approve(chain.proposed("D02", "remove", "D01"), "D20", "D18", "ICBC")
    chain.settle()
    code, data = chain.approve(address, "D20")
    assert (code, data["approvals"], data["needed"]) == (Code.OK, 2, 3)
    shown = chain.query("proposals.show", proposal=address)
    assert shown["approved"] == ("D02", "D20")
    assert shown["missing"] == ("D18", "ICBC")


ORDER_EIGHT = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
WEAK = [
    ("identity", b"\x01" + bytes(31)),
    ("zero", bytes(32)),
    (
        "order eight",
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ),
    ("not canonical", b"\xee" + b"\xff" * 30 + b"\x7f"),
]


@pytest.mark.parametrize(("what", "key"), WEAK, ids=[what for what, _ in WEAK])
@pytest.mark.parametrize("kind", ["add_observer", "rotate_node_key", "rotate_key", "add_member"])
def test_f85_small_order_keys_are_refused(kind: str, what: str, key: bytes) -> None:
    assert what
    chain = Governance()
    member = {"add_observer": "ICBC", "add_member": "D99"}.get(kind, "D02")
    change = chain.change(kind, member, key="x") | {"public_key": key, "proof": bytes(64)}
    body = {"change": change, "expires_ms": chain.head.time_ms + DAY_MS}
    assert chain.act("D01", "member.propose", body)[0] == Code.KEY_WEAK


@pytest.mark.parametrize("key", ["D01", "node:D01", "D02", "node:D02", "ICBC"])
def test_f85_nobody_takes_a_key_that_is_used(key: str) -> None:
    chain = Governance()
    for kind, member in (
        ("add_member", "D99"),
        ("add_observer", "ICBC"),
        ("rotate_node_key", "D02"),
        ("rotate_key", "D02"),
    ):
        code, data = chain.propose("D01", kind, member, key=key)
        assert code == Code.KEY_IN_USE, data


def test_f85_key_of_a_pending_change_is_taken() -> None:
    chain = five()
    rotate = chain.proposed("D01", "rotate_node_key", "D02", key="node:new")
    other = chain.proposed("D01", "add_observer", "PAB", key="node:new")
    chain.approve(other, "D02", "D20")
    chain.approve(rotate, "D02", "D20", "D18")
    assert chain.approve(other, "D18")[0] == Code.KEY_IN_USE
    assert chain.propose("D01", "add_observer", "CCB", key="node:new")[0] == Code.KEY_IN_USE
    chain.settle()
    assert chain.propose("D01", "rotate_node_key", "D02", key="node:D02")[0] == Code.KEY_IN_USE


def test_f85_key_is_proven_for_its_member_role_and_chain() -> None:
    chain = Governance()
    key, chain_id = key_of("node:ICBC"), chain.genesis.chain_id
    for proof in (
        prove_possession(key, chain_id, "PAB", KeyRole.NODE),
        prove_possession(key, chain_id, "ICBC", KeyRole.MEMBER),
        prove_possession(key, bytes(32), "ICBC", KeyRole.NODE),
        prove_possession(key_of("D01"), chain_id, "ICBC", KeyRole.NODE),
    ):
        code, data = chain.propose("D01", "add_observer", "ICBC", key="node:ICBC", proof=proof)
        assert (code, "sign it with the new key" in data["error"]) == (Code.KEY_UNPROVEN, True)
    for certificate in (b"none", certificate_of(key_of("x")), certificate_of(key_of("D02.2")) * 2):
        code, _ = chain.propose("D01", "rotate_key", "D02", key="D02.2", certificate=certificate)
        assert code == Code.KEY_UNPROVEN


def test_rule_47_keys_of_members_rotate_and_the_old_are_revoked() -> None:
    chain = Governance()
    assert chain.decide("D01", "rotate_key", "D02", key="D02.2")[1]["state"] == "active"
    assert chain.propose("D02", "demote", "D20")[0] == Code.KEY_REVOKED
    assert chain.member("D02").certificate == certificate_of(key_of("D02.2"))
    proposal = chain.proposed("D01", "set_address", "D20", address="[::1]:7001")
    assert chain.act("D02", "member.approve", {"proposal": proposal}, "D02.2")[0] == Code.OK
    assert chain.head.epoch == 0  # who certifies is as before


def test_rule_46_observer_is_promoted_only_when_its_node_follows() -> None:
    chain = Governance()
    chain.decide("D01", "add_observer", "ICBC", key="node:ICBC")
    promote = chain.proposed("D01", "promote", "ICBC")
    chain.approve(promote, "D02")
    assert chain.approve(promote, "D20")[0] == Code.NOT_READY
    assert chain.ready("ICBC", "node:PAB")[0] == Code.KEY_NOT_SENDERS
    assert chain.ready("PAB")[0] == Code.MEMBER_STATE
    assert chain.ready("ICBC", "node:ICBC", back=2)[0] == Code.OK
    # A key that was rotated since has not followed.
    assert chain.decide("D01", "rotate_node_key", "ICBC", key="node:ICBC.2")[0] == Code.OK
    assert chain.approve(promote, "D20")[0] == Code.NOT_READY
    assert chain.ready("ICBC")[0] == Code.OK  # by the member's own key
    chain.block(time_ms=chain.head.time_ms + 25 * HOUR_MS)
    late = chain.proposed("D01", "promote", "ICBC")
    chain.approve(late, "D02")
    code, data = chain.approve(late, "D20")
    assert (code, "more than 24 hours ago: send it again" in data["error"]) == (
        Code.NOT_READY,
        True,
    )
    chain.ready("ICBC", "node:ICBC.2")
    assert chain.approve(late, "D20")[1]["state"] == "pending"


def test_ready_names_a_recent_block_of_this_chain() -> None:
    chain = Governance()
    chain.decide("D01", "add_observer", "ICBC", key="node:ICBC")
    for height, block_hash in (
        (chain.head.height + 1, chain.head.hash()),
        (chain.head.height, bytes(32)),
        (chain.head.height - 1, chain.head.hash()),
    ):
        body = {"height": height, "block_hash": block_hash}
        assert chain.act("ICBC", "member.ready", body)[0] == Code.READY_BLOCK
    old = chain.head
    chain.run_to(old.height + 1000)
    body = {"height": old.height, "block_hash": old.hash()}
    code, data = chain.act("ICBC", "member.ready", body)
    assert (code, "let the node catch up" in data["error"]) == (Code.READY_BLOCK, True)
    # A node without the header must not come to a result of its own: it stops.
    gone = chain.head.height - 5
    chain.store.write({height_key(HEADERS, gone): None}, sync=True)
    with pytest.raises(StorageError, match=f"header of block {gone} is gone"):
        chain.act("ICBC", "member.ready", {"height": gone, "block_hash": bytes(32)})


def test_order_of_validators_and_places() -> None:
    """Rule 4: the promoted stands last, who leaves leaves no gap, a rotated key keeps its place."""
    chain = five()
    chain.decide("D01", "demote", "D02")
    chain.settle()
    assert chain.names() == ["D01", "D20", "D18", "ICBC"]
    chain.ready("D02")
    chain.decide("D01", "promote", "D02")
    chain.settle()
    chain.decide("D01", "rotate_node_key", "D20", key="node:D20.2")
    chain.settle()
    assert chain.names() == ["D01", "D20", "D18", "ICBC", "D02"]
    assert chain.validators()[1][1] == key_of("node:D20.2").public_key
    assert chain.head.epoch + 1 == get_epoch_entry(chain.state()).epoch == 4


def test_two_decisions_in_one_block() -> None:
    """F86: the first in the block stands, the second is refused; replay gives the same."""
    chain = five()
    first = chain.proposed("D01", "demote", "D18")
    second = chain.proposed("D01", "demote", "D20")
    for proposal in (first, second):
        chain.approve(proposal, "D02", "D20")
    block = chain.block(
        chain.sign("ICBC", "member.approve", {"proposal": second}),
        chain.sign("ICBC", "member.approve", {"proposal": first}),
    )
    assert [code for code, _ in block.results] == [Code.OK, Code.CHANGE_PENDING]
    chain.settle()
    assert chain.names() == ["D01", "D02", "D18", "ICBC"]


def test_null_block_at_the_switch() -> None:
    """A null request at height a − 1 switches as any block does (rules 2, 15)."""
    chain = Governance()
    chain.observe("ICBC")
    chain.decide("D01", "promote", "ICBC")
    pending = get_epoch_entry(chain.state()).pending
    assert pending is not None
    chain.run_to(pending.active_from - 2)
    batch = Batch(chain.head.height + 1, None, ())
    executed = execute_block(chain.store, chain.head, batch, [])
    assert executed.epochs == EpochSet(1, pending.validators)
    assert executed.header.epoch == 0


def test_node_that_genesis_gives_no_vote_is_an_observer_from_the_start() -> None:
    document = genesis_document()
    node = {"public_key": key_of("node:ICBC").public_key, "address": "icbc.test:7001"}
    members = tuple(
        item | {"node": node} if item["id"] == "ICBC" else item for item in document["members"]
    )
    settings = {"member_change_window": WINDOW}
    chain = Governance()
    chain.start(document | {"members": members, "settings": settings})
    assert chain.names() == FOUR
    standing = {item["id"]: item["standing"] for item in chain.query("members.list")}
    assert (standing["ICBC"], standing["D02"], standing["PAB"]) == (
        "observer",
        "validator",
        "member",
    )
    chain.ready("ICBC", "node:ICBC")
    assert chain.decide("D01", "promote", "ICBC")[1]["state"] == "pending"


@pytest.mark.parametrize("window", [0, 1, 10_001, "4", True])
def test_window_of_changes_is_checked_in_genesis(window: object) -> None:
    settings = {"member_change_window": window}
    with pytest.raises(Refused, match="member_change_window") as caught:
        parse_genesis(encode(genesis_document(settings=settings)))
    assert caught.value.code is Code.GENESIS_MALFORMED


def test_members_that_never_changed_keep_their_entries() -> None:
    chain = five()
    for member in chain.genesis.members:
        if member.id != "ICBC":
            assert chain.state().get(MEMBERS, member.id.encode()) == member.to_value()
    removed = replace(chain.member("PAB"), is_removed=True)
    assert len(removed.to_value()) == len(chain.member("PAB").to_value()) + 1
