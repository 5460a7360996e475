"""Numbers, ids and addresses of an epoch, from the state (rules 2, 4)."""

from __future__ import annotations

from dataclasses import replace

from ledger.chain.epochs import EpochSet
from ledger.chain.header import Header
from ledger.membership.members import Member, Node, Role
from network.peers import PeerAddress
from network.runtime.membership import Membership
from network.runtime.mempool import Held, Mempool
from network.runtime.roster import Roster
from tests.ledger_harness import Harness, company_code, key_of

HEADER: Header = Harness().head


def member(name: str, port: int | None, key: str = "") -> Member:
    node = None
    if port is not None:
        node = Node(key_of(key or name).public_key, f"10.0.0.1:{port}")
    public_key = key_of(f"member of {name}").public_key
    return Member(name, name, "", Role.DEPARTMENT, frozenset(), public_key, b"", node)


def membership(*members: Member, voters: str = "dcba", pending: str = "") -> Membership:
    def pairs(names: str) -> tuple[tuple[str, bytes], ...]:
        return tuple((name, key_of(name).public_key) for name in names)

    later = (99, pairs(pending)) if pending else None
    epochs = EpochSet(0, pairs(voters), later)
    return Membership(HEADER, epochs, {item.id: item for item in members})


def keys(names: str) -> tuple[bytes, ...]:
    return tuple(key_of(name).public_key for name in names)


FOUR = tuple(member(name, 7000 + index) for index, name in enumerate("abcd"))


def test_rule_4_validators_go_by_the_order_of_the_epoch_observers_follow() -> None:
    roster = Roster("b", {})
    roster.enter(keys("dcba"), membership(*FOUR, member("z", 7010), member("k", 7011)))
    assert roster.validators == ("d", "c", "b", "a")
    assert roster.own_index == 2
    assert {address.member: address.index for address in roster.addresses()} == {
        "d": 0,
        "c": 1,
        "a": 3,
        "k": 4,
        "z": 5,
    }
    assert not roster.is_validator(4)
    assert (roster.name(5), roster.name(77)) == ("z", "nobody")


def test_rule_2_numbers_do_not_change_their_meaning_within_an_epoch() -> None:
    roster = Roster("a", {})
    roster.enter(keys("dcba"), membership(*FOUR, member("z", 7010)))
    roster.update(membership(*FOUR, member("z", 7010), member("k", 7011)))
    assert (roster.name(4), roster.name(5)) == ("z", "k")
    roster.update(membership(*FOUR, member("k", 7012)))
    assert (roster.name(4), roster.name(5)) == ("nobody", "k")
    assert PeerAddress(5, "k", "10.0.0.1", 7012) in roster.addresses()


def test_the_next_epoch_gives_new_numbers_and_says_which_were_which() -> None:
    roster = Roster("a", {})
    roster.enter(keys("dcba"), membership(*FOUR, member("z", 7010)))
    numbers = roster.enter(keys("cbaz"), membership(*FOUR[:3], member("z", 7010)))
    assert numbers == {1: 0, 2: 1, 3: 2, 4: 3}
    assert roster.validators == ("c", "b", "a", "z")


def test_rule_2_a_validator_removed_by_the_last_block_stays_to_certify_it() -> None:
    roster = Roster("a", {})
    roster.enter(keys("dcba"), membership(*FOUR, member("z", 7010)))
    after = membership(*FOUR[:3], member("z", 7010), voters="cbaz")
    roster.update(after)
    assert PeerAddress(0, "d", "10.0.0.1", 7003) in roster.addresses()
    roster.enter(keys("cbaz"), after)
    assert "d" not in {address.member for address in roster.addresses()}


def test_a_node_that_is_not_in_the_chain_yet_has_a_number_of_its_own() -> None:
    roster = Roster("new", {"d": ("10.9.9.9", 1)})
    roster.enter(keys("dcba"), membership(*FOUR))
    assert roster.own_index == 4
    assert PeerAddress(0, "d", "10.9.9.9", 1) in roster.addresses()


def test_ids_of_an_epoch_ahead_come_with_its_proof() -> None:
    roster = Roster("a", {})
    roster.learn((("x", key_of("x").public_key),))
    roster.enter(keys("xcb") + keys("?"), membership(*FOUR))
    assert roster.validators[:3] == ("x", "c", "b")
    assert roster.validators[3].startswith("key-")
    assert "x" not in {address.member for address in roster.addresses()}


def test_f85_an_address_in_the_chain_that_is_none_is_not_dialled() -> None:
    roster = Roster("a", {})
    broken = replace(FOUR[1], node=Node(keys("b")[0], "nowhere"))
    roster.enter(keys("dcba"), membership(FOUR[0], broken, *FOUR[2:]))
    assert {address.member for address in roster.addresses()} == {"c", "d"}


def test_rotated_keys_are_known_before_and_after_their_height() -> None:
    roster = Roster("a", {})
    rotated = replace(FOUR[3], node=Node(keys("n")[0], "10.0.0.1:7003"))
    held = membership(*FOUR[:3], rotated, voters="dcba")
    roster.enter(keys("dcba"), held)
    assert roster.validators[0] == "d"
    roster.enter(keys("ncba"), held)
    assert roster.validators[0] == "d"


def test_bodies_keep_their_origin_under_its_new_number() -> None:
    pool = Mempool()
    transaction = Harness().bind(company_code(1))
    for origin in (0, 1, 2):
        pool.add(bytes([origin]) * 32, Held(transaction, b"w" * (origin + 1), origin, ()))
    pool.renumber({0: 2, 2: 0}, own=3)
    assert [held.origin for _, held in pool.items()] == [2, 3, 0]
    assert pool.waiting_bytes == 6
    pool.remove([bytes([1]) * 32])
    assert pool.has_room(3, 64 * 1024 * 1024)
