"""A network in memory that governs itself: proposals by name, votes by name, blocks until a height.

The seven members are those of the harness; D01, D02, D20 and D18 are validators at genesis. The
window of changes is `WINDOW` blocks, so that activations are near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.encoding import encode
from ledger.errors import Code
from ledger.execution import execute_genesis
from ledger.keys import SigningKey
from ledger.membership.epoch_state import get_epoch_entry
from ledger.membership.genesis import parse_genesis
from ledger.membership.members import Member, get_member, get_validators
from ledger.membership.possession import KeyRole, prove_possession
from ledger.queries import QUERIES
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import DAY_MS, Harness, key_of

WINDOW = 4
_SPKI = bytes.fromhex("302a300506032b6570032100")


def certificate_of(key: SigningKey) -> bytes:
    """Return bytes that hold the key as a certificate does."""
    return b"certificate " + _SPKI + key.public_key


class Governance(Harness):
    """A harness with the words of governance; each call is a block of its own."""

    def __init__(
        self, window: int = WINDOW, settings: Mapping[str, Any] | None = None, **named: Any
    ) -> None:
        super().__init__(settings={"member_change_window": window} | dict(settings or {}), **named)

    def start(self, document: Mapping[str, Any]) -> None:
        """Begin anew from another genesis document."""
        self.genesis = parse_genesis(encode(document))
        result = execute_genesis(self.genesis)
        self.store = MemoryStore()
        self.store.write(result.writes, sync=True)
        self.head = result.header
        self.genesis_root = result.header.state_root

    def change(self, kind: str, member: str, **fields: Any) -> dict[str, Any]:
        """Return a change's map; keys are named and proven by the fields' `key`."""
        value: dict[str, Any] = {"kind": kind, "member": member}
        key = fields.pop("key", None)
        if key is not None:
            role = KeyRole.NODE if kind in ("add_observer", "rotate_node_key") else KeyRole.MEMBER
            held = key_of(key)
            value |= {
                "public_key": held.public_key,
                "proof": prove_possession(held, self.genesis.chain_id, member, role),
            }
            if role is KeyRole.MEMBER:
                value["certificate"] = certificate_of(held)
        if kind == "add_member":
            value |= {"name": f"new {member}", "name_zh": "", "role": "department"}
            value["capabilities"] = ()
        if kind == "add_observer":
            value["address"] = f"{member}.test:7001"
        return value | fields

    def act(
        self, sender: str, kind: str, body: Mapping[str, Any], key: str | None = None
    ) -> tuple[int, Any]:
        """Execute a transaction in a block of its own; return (code, data)."""
        signing = None if key is None else key_of(key)
        return self.run(self.sign(sender, kind, body, key=signing))

    def propose(self, sender: str, kind: str, member: str, **fields: Any) -> tuple[int, Any]:
        """Propose a change that is open for a day."""
        body = {
            "change": self.change(kind, member, **fields),
            "expires_ms": self.head.time_ms + DAY_MS,
        }
        return self.act(sender, "member.propose", body)

    def proposed(self, sender: str, kind: str, member: str, **fields: Any) -> bytes:
        """Return the id of a proposal that must be accepted."""
        code, data = self.propose(sender, kind, member, **fields)
        assert code == Code.OK, data
        proposal: bytes = data["proposal"]
        return proposal

    def approve(self, proposal: bytes, *voters: str) -> tuple[int, Any]:
        """Approve as each of the voters; return the last result."""
        result: tuple[int, Any] = (0, None)
        for voter in voters:
            result = self.act(voter, "member.approve", {"proposal": proposal})
        return result

    def decide(self, sender: str, kind: str, member: str, **fields: Any) -> tuple[int, Any]:
        """Propose as `sender` and approve as every other validator until it is decided."""
        proposal = self.proposed(sender, kind, member, **fields)
        result: tuple[int, Any] = (0, None)
        for voter in [name for name, _ in self.validators() if name != sender]:
            result = self.approve(proposal, voter)
            if result[0] or result[1]["state"] != "open":
                break
        return result

    def ready(self, member: str, key: str | None = None, back: int = 0) -> tuple[int, Any]:
        """Say `member.ready` of the block `back` below the head."""
        header = (
            self.head
            if back == 0
            else self.query_context("D01").chain.header(self.head.height - back)
        )
        assert header is not None
        body = {"height": header.height, "block_hash": header.hash()}
        return self.act(member, "member.ready", body, key)

    def run_to(self, height: int) -> None:
        """Execute empty blocks up to and with this height."""
        while self.head.height < height:
            self.block()

    def settle(self) -> None:
        """Execute empty blocks until nothing is pending."""
        while get_epoch_entry(self.state()).pending is not None:
            self.block()

    def observe(self, member: str, key: str | None = None) -> None:
        """Give a member a node that follows and is ready."""
        code, data = self.decide("D01", "add_observer", member, key=key or f"node:{member}")
        assert code == Code.OK, data
        code, data = self.ready(member, key or f"node:{member}")
        assert code == Code.OK, data

    def validators(self) -> tuple[tuple[str, bytes], ...]:
        """Return who votes at the next height, with their keys."""
        return get_validators(self.state())

    def names(self) -> list[str]:
        """Return who votes at the next height."""
        return [name for name, _ in self.validators()]

    def member(self, member_id: str) -> Member:
        """Return a member's entry."""
        member = get_member(self.state(), member_id)
        assert member is not None
        return member

    def query(self, name: str, caller: str = "D02", **params: Any) -> Any:
        """Return the answer of a query."""
        return QUERIES[name](self.query_context(caller), params)


def five() -> Governance:
    """Return a network with ICBC as its fifth validator."""
    chain = Governance()
    chain.observe("ICBC")
    code, data = chain.decide("D01", "promote", "ICBC")
    assert (code, data["state"]) == (Code.OK, "pending")
    chain.settle()
    return chain
