"""Proposals to change the members: who may make them, vote on them and withdraw them.

And what is refused without a trace; what a change does once it is decided stands in
`test_membership`.
"""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code
from ledger.membership.limits import MAX_OPEN_PROPOSALS
from ledger.membership.proposals import TRANSITIONS, Act, ProposalState
from tests.ledger.governance import Governance, five
from tests.ledger_harness import DAY_MS, company_code


def test_only_members_propose_and_only_validators_vote() -> None:
    chain = Governance()
    company = company_code(1)
    chain.run(chain.bind(company))
    assert chain.propose(company, "promote", "ICBC")[0] == Code.NOT_PERMITTED
    proposal = chain.proposed("ICBC", "set_address", "D02", address="d02.test:9")
    assert chain.query("proposals.show", proposal=proposal)["approved"] == ()
    code, data = chain.approve(proposal, "ICBC")
    assert code == Code.NOT_PERMITTED
    assert "ICBC has no validator in force" in data["error"]
    assert chain.approve(proposal, "D01", "D02")[1]["state"] == "open"
    assert chain.approve(proposal, "D02")[1]["approvals"] == 2  # a vote counts once
    assert chain.approve(proposal, "D18")[1]["state"] == "active"
    assert chain.approve(proposal, "D20")[0] == Code.PROPOSAL_STATE


def test_votes_count_for_those_in_force_when_it_is_decided() -> None:
    chain = five()
    address = chain.proposed("D18", "set_address", "D20", address="d20.test:9")
    chain.approve(address, "D02", "D20")  # three of five, four are wanted
    chain.approve(chain.proposed("D01", "demote", "D18"), "D02", "D20", "ICBC")
    chain.settle()
    shown = chain.query("proposals.show", proposal=address)
    assert (shown["approved"], shown["needed"]) == (("D02", "D20"), 3)
    assert chain.approve(address, "D18")[0] == Code.NOT_PERMITTED
    # The same voter again adds nothing; the third of four decides.
    assert chain.approve(address, "D02")[1]["state"] == "open"
    assert chain.approve(address, "D01")[1]["state"] == "active"


def test_proposals_expire_and_are_withdrawn() -> None:
    chain = Governance()
    now = chain.head.time_ms + 1000
    change = chain.change("set_address", "D02", address="d02.test:9")
    for expires_ms in (now, now + 30 * DAY_MS + 1):
        body = {"change": change, "expires_ms": expires_ms}
        refused = chain.run(chain.sign("D01", "member.propose", body), now)
        assert refused[0] == Code.BODY_MALFORMED
    proposal = chain.proposed("D01", "set_address", "D02", address="d02.test:9")
    code, _ = chain.act("D02", "member.withdraw", {"proposal": proposal})
    assert code == Code.NOT_PERMITTED
    chain.advance_days(1)
    code, data = chain.approve(proposal, "D02")
    assert code == Code.PROPOSAL_STATE
    assert "proposal 1 has expired: propose it again" in data["error"]
    assert chain.act("D01", "member.withdraw", {"proposal": proposal})[0] == Code.PROPOSAL_STATE
    again = chain.proposed("D01", "set_address", "D02", address="d02.test:9")
    assert chain.act("D01", "member.withdraw", {"proposal": again})[0] == Code.OK
    assert chain.approve(again, "D02")[0] == Code.PROPOSAL_STATE
    assert chain.approve(bytes(32), "D02")[0] == Code.PROPOSAL_UNKNOWN
    states = [item["state"] for item in chain.query("proposals.list")["proposals"]]
    assert states == ["withdrawn", "expired"]


def test_open_proposals_of_one_member_are_bounded() -> None:
    chain = Governance()
    for port in range(MAX_OPEN_PROPOSALS):
        chain.proposed("ICBC", "set_address", "D02", address=f"d02.test:{port + 1}")
    assert chain.propose("ICBC", "promote", "D02")[0] == Code.PROPOSAL_LIMIT
    chain.proposed("PAB", "set_address", "D02", address="d02.test:99")
    chain.advance_days(1)
    chain.proposed("ICBC", "set_address", "D02", address="d02.test:100")
    assert len(chain.query("proposals.list", is_open=True)["proposals"]) == 1


def test_proposals_of_one_member_in_a_block_are_bounded_rejected_ones_too() -> None:
    chain = Governance()
    body = {
        "change": chain.change("add_observer", "ICBC", key="D01"),
        "expires_ms": chain.head.time_ms + DAY_MS,
    }
    flood = [chain.sign("PAB", "member.propose", body) for _ in range(6)]
    honest = chain.change("set_address", "D02", address="d02.test:9")
    good = chain.sign("D01", "member.propose", body | {"change": honest})
    codes = [code for code, _ in chain.block(*flood, good).results]
    assert codes == [Code.KEY_IN_USE] * 4 + [Code.PROPOSAL_LIMIT] * 2 + [Code.OK]
    assert chain.propose("PAB", "set_address", "D20", address="d20.test:9")[0] == Code.OK


@pytest.mark.parametrize(
    ("kind", "member", "code"),
    [
        ("promote", "D02", Code.MEMBER_STATE),
        ("promote", "ICBC", Code.MEMBER_STATE),
        ("promote", "D99", Code.MEMBER_UNKNOWN),
        ("demote", "ICBC", Code.MEMBER_STATE),
        ("demote", "D99", Code.MEMBER_UNKNOWN),
        ("remove", "D99", Code.MEMBER_UNKNOWN),
        ("set_address", "ICBC", Code.MEMBER_STATE),
        ("rotate_node_key", "ICBC", Code.MEMBER_STATE),
        ("add_observer", "D02", Code.MEMBER_STATE),
        ("add_member", "D02", Code.MEMBER_EXISTS),
        ("rotate_key", "D99", Code.MEMBER_UNKNOWN),
    ],
)
def test_change_must_fit_what_the_member_is(kind: str, member: str, code: Code) -> None:
    chain = Governance()
    fields: dict[str, Any] = {"address": "host.test:1"} if kind == "set_address" else {}
    if kind.startswith(("add", "rotate")):
        fields["key"] = "a new key"
    assert chain.propose("D01", kind, member, **fields)[0] == code


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "promote"},
        {"kind": "promote", "member": "D02", "address": "a:1"},
        {"kind": "unheard", "member": "D02"},
        {"member": "D02"},
        {"kind": "promote", "member": 5},
        {"kind": "set_address", "member": "D02", "address": "nowhere"},
        {"kind": "set_address", "member": "D02", "address": "a:0"},
        {"kind": "set_address", "member": "D02", "address": "a b:7"},
        {"kind": "set_address", "member": "D02", "address": "a:65536"},
        {"kind": "set_address", "member": "D02", "address": "a:٣"},
        (),
    ],
)
def test_bad_changes_are_refused_without_a_trace(change: object) -> None:
    chain = Governance()
    body = {"change": change, "expires_ms": chain.head.time_ms + DAY_MS}
    code, data = chain.act("D01", "member.propose", body)
    assert code == Code.BODY_MALFORMED, data
    assert chain.head.state_root == chain.genesis_root


@pytest.mark.parametrize(
    "fields",
    [
        {"member": "D" * 18},
        {"role": "king"},
        {"capabilities": ("registrar", "god")},
        {"supervisory_class": "bank"},
        {"public_key": bytes(31)},
        {"proof": bytes(63)},
        {"certificate": b""},
        {"name": ""},
        {"name": "a\u202eb"},
    ],
)
def test_bad_new_members_are_refused_without_a_trace(fields: dict[str, Any]) -> None:
    chain = Governance()
    change = chain.change("add_member", "D99", key="D99") | fields
    body = {"change": change, "expires_ms": chain.head.time_ms + DAY_MS}
    code, data = chain.act("D01", "member.propose", body)
    assert code == Code.BODY_MALFORMED, data
    assert chain.head.state_root == chain.genesis_root


def test_states_of_a_proposal() -> None:
    """The table of proposals: everything starts open, and only pending ones wait."""
    ends = {state for targets in TRANSITIONS.values() for state in targets}
    assert ends == set(ProposalState)
    for state in (ProposalState.ACTIVE, ProposalState.WITHDRAWN, ProposalState.EXPIRED):
        assert not any((state, act) in TRANSITIONS for act in Act)
    chain = Governance()
    proposal = chain.proposed("D01", "set_address", "D02", address="d02.test:9")
    chain.act("D01", "member.withdraw", {"proposal": proposal})
    assert chain.query("proposals.show", proposal=proposal)["state"] == "withdrawn"
