"""Governance against a naive model of it: whatever is proposed, in whatever order (Hypothesis).

The model is a few dictionaries and sentences of the rules; it shares no code with the ledger. After
every block both must agree on what was accepted, on who votes, and on the epoch; and every header
must commit to the set that the model expects (rule 2, F83 to F86).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.chain.epochs import EpochSet
from tests.ledger.governance import WINDOW, Governance
from tests.ledger_harness import MEMBERS, key_of

NAMES = ["D01", "D02", "D20", "D18", "ICBC", "PAB", "NEW"]
KEYS = [f"key{number}" for number in range(6)] + ["D01", "node:D02", "node:D18", "ICBC"]
KINDS = [
    "add_member",
    "add_observer",
    "promote",
    "promote",
    "demote",
    "demote",
    "remove",
    "rotate_node_key",
    "rotate_key",
    "set_address",
]


@dataclass
class Person:
    """A member as the model sees it: key and node key by name, names of keys it had."""

    key: str
    node: str | None
    address: str = ""
    had: list[str] = field(default_factory=list)
    is_gone: bool = False
    ready: str | None = None


@dataclass
class Paper:
    """A proposal as the model sees it."""

    proposer: str
    kind: str
    who: str
    key: str
    address: str
    votes: set[str]
    state: str = "open"


class Model:
    """The rules of governance, said naively."""

    def __init__(self) -> None:
        self.people = {
            name: Person(name, f"node:{name}" if has_node else None, f"{name}.test:7001")
            for name, _, _, has_node in MEMBERS
        }
        self.order = [name for name, _, _, has_node in MEMBERS if has_node]
        self.papers: list[Paper] = []
        self.pending: tuple[int, int] | None = None
        self.epoch = 0

    def here(self, who: str) -> bool:
        return who in self.people and not self.people[who].is_gone

    def fits(self, kind: str, who: str, key: str, address: str) -> bool:
        if kind == "add_member":
            return not self.here(who) and self.is_fresh(key)
        if not self.here(who):
            return False
        person = self.people[who]
        if kind == "add_observer":
            return person.node is None and self.is_fresh(key)
        if kind == "promote":
            return person.node is not None and who not in self.order
        if kind == "demote":
            return who in self.order and len(self.order) > 4
        if kind == "remove":
            return who not in self.order or len(self.order) > 4
        if kind == "rotate_node_key":
            return person.node is not None and self.is_fresh(key)
        if kind == "rotate_key":
            return self.is_fresh(key)
        return person.node is not None and person.address != address

    def is_fresh(self, key: str) -> bool:
        used = {name for person in self.people.values() for name in (person.key, person.node)}
        used |= {name for person in self.people.values() for name in person.had}
        if self.pending is not None:
            paper = self.papers[self.pending[1]]
            if paper.kind == "rotate_node_key":
                used.add(paper.key)
        return key not in used

    def moves_votes(self, paper: Paper) -> bool:
        if paper.kind in ("promote", "demote"):
            return True
        return paper.kind in ("remove", "rotate_node_key") and paper.who in self.order

    def propose(self, by: str, kind: str, who: str, key: str, address: str) -> bool:
        opened = [item for item in self.papers if item.state == "open" and item.proposer == by]
        if not self.here(by) or len(opened) >= 8 or not self.fits(kind, who, key, address):
            return False
        votes = {by} & set(self.order)
        self.papers.append(Paper(by, kind, who, key, address, votes))
        return True

    def approve(self, number: int, by: str, height: int) -> bool:
        if not self.here(by) or number >= len(self.papers) or by not in self.order:
            return False
        paper = self.papers[number]
        if paper.state != "open":
            return False
        if len((paper.votes | {by}) & set(self.order)) < self.needed():
            paper.votes.add(by)
            return True
        if not self.fits(paper.kind, paper.who, paper.key, paper.address):
            return False
        waiting = None if self.pending is None else self.papers[self.pending[1]]
        if waiting is not None and (self.moves_votes(paper) or waiting.who == paper.who):
            return False
        person = self.people.get(paper.who)
        if paper.kind == "promote" and (person is None or person.ready != person.node):
            return False
        paper.votes.add(by)
        if self.moves_votes(paper):
            paper.state = "pending"
            self.pending = (height + WINDOW + 1, number)
        else:
            self.carry_out(paper)
        return True

    def needed(self) -> int:
        return {4: 3, 5: 4, 6: 4, 7: 5}[len(self.order)]

    def withdraw(self, number: int, by: str) -> bool:
        if not self.here(by) or number >= len(self.papers):
            return False
        paper = self.papers[number]
        if paper.state != "open" or paper.proposer != by:
            return False
        paper.state = "withdrawn"
        return True

    def ready(self, by: str) -> bool:
        if not self.here(by) or self.people[by].node is None:
            return False
        self.people[by].ready = self.people[by].node
        return True

    def carry_out(self, paper: Paper) -> None:
        paper.state = "active"
        if paper.kind == "add_member":
            had = self.people[paper.who].had if paper.who in self.people else []
            self.people[paper.who] = Person(paper.key, None, had=had)
            return
        person = self.people[paper.who]
        if paper.kind == "add_observer":
            person.node, person.address = paper.key, f"{paper.who}.test:7001"
        elif paper.kind == "promote":
            self.order.append(paper.who)
        elif paper.kind == "demote":
            self.order.remove(paper.who)
        elif paper.kind == "remove":
            person.had += [name for name in (person.key, person.node) if name]
            person.is_gone, person.node = True, None
            if paper.who in self.order:
                self.order.remove(paper.who)
            for other in self.papers:
                if other.state == "open":
                    other.votes.discard(paper.who)
        elif paper.kind == "rotate_node_key":
            person.had.append(person.node or "")
            person.node = paper.key
        elif paper.kind == "rotate_key":
            person.had.append(person.key)
            person.key = paper.key
        else:
            person.address = paper.address

    def end_block(self, height: int) -> None:
        if self.pending is not None and self.pending[0] == height + 1:
            self.carry_out(self.papers[self.pending[1]])
            self.pending = None
            self.epoch += 1

    def voting(self) -> tuple[tuple[str, bytes], ...]:
        return tuple((name, key_of(self.people[name].node or "").public_key) for name in self.order)


ACTS = st.one_of(
    st.tuples(
        st.just("propose"),
        st.sampled_from(NAMES),
        st.sampled_from(KINDS),
        st.sampled_from(NAMES),
        st.sampled_from(KEYS),
        st.integers(1, 2),
    ),
    st.tuples(st.just("approve"), st.integers(0, 7), st.sampled_from(NAMES)),
    st.tuples(st.just("everybody"), st.integers(0, 7)),
    st.tuples(st.just("everybody"), st.integers(0, 7)),
    st.tuples(st.just("withdraw"), st.integers(0, 7), st.sampled_from(NAMES)),
    st.tuples(st.just("ready"), st.sampled_from(NAMES)),
    st.tuples(st.just("blocks"), st.integers(1, WINDOW + 1)),
)


class Pair:
    """The ledger and the model, taken through the same acts."""

    def __init__(self, chain: Governance | None = None) -> None:
        self.chain = Governance() if chain is None else chain
        self.model = Model()
        self.ids: list[bytes] = []

    def take(self, act: tuple[Any, ...]) -> None:
        name, *rest = act
        if name == "blocks":
            for _ in range(rest[0]):
                self.chain.block()
                self.compare()
        elif name == "everybody":
            for voter in list(self.model.order):
                self.take(("approve", rest[0], voter))
        else:
            getattr(self, f"take_{name}")(*rest)
            self.compare()

    def take_propose(self, by: str, kind: str, who: str, key: str, port: int) -> None:
        fields: dict[str, Any] = {"address": f"x.test:{port}"} if kind == "set_address" else {}
        if kind.startswith(("add", "rotate")):
            fields["key"] = key
        height = self.chain.head.height + 1
        signing = self.signing(by)
        body = {
            "change": self.chain.change(kind, who, **fields),
            "expires_ms": self.chain.head.time_ms + 86_400_000,
        }
        code, data = self.chain.act(by, "member.propose", body, signing)
        if code == 0:
            self.ids.append(data["proposal"])
        expected = self.model.propose(by, kind, who, key, f"x.test:{port}")
        assert (code == 0) == expected, (by, kind, who, key, data)
        self.model.end_block(height)

    def take_approve(self, number: int, by: str) -> None:
        body = {"proposal": self.id_of(number)}
        code, data = self.chain.act(by, "member.approve", body, self.signing(by))
        height = self.chain.head.height
        assert (code == 0) == self.model.approve(number, by, height), (number, by, data)
        self.model.end_block(height)

    def take_withdraw(self, number: int, by: str) -> None:
        body = {"proposal": self.id_of(number)}
        code, data = self.chain.act(by, "member.withdraw", body, self.signing(by))
        assert (code == 0) == self.model.withdraw(number, by), (number, by, data)
        self.model.end_block(self.chain.head.height)

    def take_ready(self, by: str) -> None:
        code, data = self.chain.ready(by, self.signing(by))
        assert (code == 0) == self.model.ready(by), (by, data)
        self.model.end_block(self.chain.head.height)

    def id_of(self, number: int) -> bytes:
        return self.ids[number] if number < len(self.ids) else bytes(32)

    def signing(self, by: str) -> str:
        person = self.model.people.get(by)
        return by if person is None else person.key

    def compare(self) -> None:
        head = self.chain.head
        if self.model.pending is not None and self.model.pending[0] == head.height + 1:
            self.model.end_block(head.height)
        assert self.chain.validators() == self.model.voting()
        pending = None
        if self.model.pending is not None:
            height, number = self.model.pending
            after = self.pending_votes(self.model.papers[number])
            pending = (height, after)
        assert head.members_root == EpochSet(self.model.epoch, self.model.voting(), pending).root()

    def pending_votes(self, paper: Paper) -> tuple[tuple[str, bytes], ...]:
        voting = self.model.voting()
        if paper.kind == "promote":
            node = self.model.people[paper.who].node
            return (*voting, (paper.who, key_of(node or "").public_key))
        if paper.kind == "rotate_node_key":
            new = key_of(paper.key).public_key
            return tuple((name, new if name == paper.who else key) for name, key in voting)
        return tuple(item for item in voting if item[0] != paper.who)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, min_size=10, max_size=50))
def test_f86_governance_does_what_the_naive_model_says(acts: list[tuple[Any, ...]]) -> None:
    pair = Pair()
    for act in acts:
        pair.take(act)


def test_model_reaches_every_kind_of_change() -> None:
    """A property test that never gets anywhere proves nothing: a life that does everything."""
    pair = Pair()
    number = 0
    for kind, who, key in (
        ("add_member", "NEW", "key0"),
        ("add_observer", "NEW", "key1"),
        ("promote", "NEW", ""),
        ("rotate_key", "NEW", "key2"),
        ("rotate_node_key", "NEW", "key3"),
        ("set_address", "NEW", ""),
        ("remove", "D01", ""),
        ("add_member", "D01", "key4"),
        ("add_observer", "D01", "key5"),
        ("promote", "D01", ""),
        ("demote", "D02", ""),
        ("remove", "D02", ""),
    ):
        pair.take(("propose", "D18", kind, who, key, 1))
        if kind == "promote":
            pair.take(("ready", who))
        pair.take(("everybody", number))
        pair.take(("blocks", WINDOW + 1))
        number += 1
    assert [paper.state for paper in pair.model.papers] == ["active"] * number
    assert pair.model.order == ["D20", "D18", "NEW", "D01"]
    assert pair.model.epoch == 5
