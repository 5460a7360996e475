"""The genesis document: what it must be, and every refusal with its place (7001, 7002)."""

import pytest

from ledger.credit.rulebook import RuleCache
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.execution import execute_genesis
from ledger.membership.genesis import parse_genesis
from ledger.membership.members import compute_members_root, get_member, get_validators
from ledger.membership.settings import get_chain_id, get_setting
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import (
    CATEGORIES,
    MONEY,
    category,
    field,
    genesis_document,
    key_of,
    schema,
)


def document(**changes):
    return genesis_document() | changes


def parse(value):
    return parse_genesis(encode(value))


def test_whole_document_is_read():
    genesis = parse(genesis_document(settings={"asset_salt": b"salt", "limit": 5, "on": True}))
    assert len(genesis.members) == 7
    assert genesis.validators == ("D01", "D02", "D20", "D18")
    assert genesis.member("D01").capabilities == {"registrar", "counter"}
    assert genesis.member("nobody") is None
    assert [item.id for item in genesis.categories] == ["C028", "C044", "C048"]
    assert genesis.settings == {"asset_salt": b"salt", "limit": 5, "on": True}


def test_chain_id_is_of_every_byte():
    assert parse(document()).chain_id != parse(document(name="another")).chain_id


def changed_member(index, **changes):
    members = list(genesis_document()["members"])
    members[index] = members[index] | changes
    return {"members": tuple(members)}


def without(name):
    return {key: value for key, value in document().items() if key != name}


def node(name):
    return {"public_key": key_of(name).public_key, "address": "x:1"}


BAD = [
    ({"format": "other"}, Code.GENESIS_MALFORMED, "format: got another"),
    ({"name": 5}, Code.GENESIS_MALFORMED, "name: got int, want str"),
    ({"time_ms": -1}, Code.GENESIS_MALFORMED, "time_ms: got -1"),
    ({"extra": 1}, Code.GENESIS_MALFORMED, "document: got an unknown key"),
    ({"members": {}}, Code.GENESIS_MALFORMED, "members: got map, want list"),
    ({"members": ()}, Code.GENESIS_MALFORMED, "members: got 0 items"),
    (changed_member(2, id="D01"), Code.GENESIS_INVALID, "members[2]: id D01 stands already"),
    (
        changed_member(2, public_key=key_of("D01").public_key),
        Code.GENESIS_INVALID,
        f"members[2]: key {key_of('D01').public_key.hex()} stands already at members[0]",
    ),
    (changed_member(2, node=node("node:D01")), Code.GENESIS_INVALID, "members[2]: key "),
    (changed_member(2, node=node("D20")), Code.GENESIS_INVALID, "members[2]: key "),
    (changed_member(2, public_key=bytes(32)), Code.GENESIS_INVALID, "members[2].public_key: "),
    (
        changed_member(2, public_key=bytes(31)),
        Code.GENESIS_MALFORMED,
        "members[2].public_key: got 31 bytes",
    ),
    (
        changed_member(2, node={"public_key": bytes(32), "address": "x:1"}),
        Code.GENESIS_INVALID,
        "members[2].node.public_key: ",
    ),
    (
        changed_member(2, node={"address": "x"}),
        Code.GENESIS_MALFORMED,
        "members[2].node: got no key",
    ),
    (changed_member(2, role="king"), Code.GENESIS_INVALID, "members[2].role: got king"),
    (changed_member(2, capabilities=("fly",)), Code.GENESIS_INVALID, "members[2].capabilities"),
    (changed_member(2, id="a b"), Code.GENESIS_INVALID, "members[2].id"),
    (changed_member(2, id="914403001921853790"), Code.GENESIS_INVALID, "members[2].id: 18"),
    (changed_member(2, name="a\x07"), Code.GENESIS_MALFORMED, "members[2].name: got character"),
    (
        {"validators": ("D01", "D02", "D18")},
        Code.GENESIS_INVALID,
        "validators: got 3, want at least 4",
    ),
    (
        {"validators": ("D01", "D02", "D18", "ICBC")},
        Code.GENESIS_INVALID,
        "validators[3]: ICBC is no member with a node",
    ),
    ({"validators": ("D01", "D01", "D02", "D18")}, Code.GENESIS_INVALID, "validators[1]: D01"),
    ({"rules": ("text",)}, Code.GENESIS_MALFORMED, "rules[0]: got str, want bytes"),
    ({"rules": (bytes(65_537),)}, Code.GENESIS_MALFORMED, "rules[0]: got 65537 bytes"),
    ({"settings": {"a b": 1}}, Code.GENESIS_INVALID, "settings: a key"),
    ({"settings": {"a": None}}, Code.GENESIS_MALFORMED, "settings.a: got nothing"),
]


@pytest.mark.parametrize(("changes", "code", "text"), BAD)
def test_bad_documents_are_refused_with_the_place(changes, code, text):
    with pytest.raises(Refused) as caught:
        parse(document(**changes))
    assert caught.value.code is code
    assert caught.value.message.startswith(text)


@pytest.mark.parametrize("name", sorted(genesis_document()))
def test_every_key_is_needed(name):
    with pytest.raises(Refused) as caught:
        parse(without(name))
    assert caught.value.code is Code.GENESIS_MALFORMED
    assert f"no key {name}" in caught.value.message


def test_bytes_that_do_not_decode():
    with pytest.raises(Refused) as caught:
        parse_genesis(b"\xc1")
    assert caught.value.code is Code.GENESIS_MALFORMED


ONE = schema("", [field("a", "int")])
BAD_CATEGORIES = [
    ([category("C1", "D99", [ONE])], "categories[0].owner: D99 is no member"),
    ([category("C1", "D02", [ONE])] * 2, "categories[1].id: C1 stands twice"),
    ([category("C1", "D02", [ONE], access="ALL")], "categories[0].access: got ALL"),
    (
        [category("C1", "D02", [schema("line", [field("a", "int")])])],
        "categories[0].schemas: category C1 has no main schema",
    ),
    ([category("C1", "D02", [ONE, ONE])], "categories[0].schemas[1]: schema C1 version 1 twice"),
    (
        [category("C1", "D02", [schema("", [field("a", "float")])])],
        "categories[0].schemas[0].fields[0].type: got float",
    ),
    (
        [category("C1", "D02", [schema("", [field("a", "enum")])])],
        "categories[0].schemas[0].fields[0].values: an enum has values",
    ),
    (
        [category("C1", "D02", [schema("", [field("a", "int")] * 2)])],
        "categories[0].schemas[0].fields[1]: field a stands twice",
    ),
    (
        [category("C1", "D02", [schema("", [field("a", "int")], date_field="a")])],
        "categories[0].schemas[0].date_field: a is no date, month or quarter",
    ),
    (
        [category("C1", "D02", [schema("", [field("a", "int")], identity=("b",))])],
        "categories[0].schemas[0].identity: b is no field of the schema",
    ),
    (
        [
            category(
                "C1",
                "D02",
                [schema("", [field("a", "date", is_optional=True)], date_field="a")],
            )
        ],
        "categories[0].schemas[0].date_field: a may not be optional",
    ),
]


@pytest.mark.parametrize(("categories", "text"), BAD_CATEGORIES)
def test_bad_categories_are_refused_with_the_place(categories, text):
    with pytest.raises(Refused) as caught:
        parse(genesis_document(categories=categories))
    assert caught.value.code is Code.GENESIS_INVALID
    assert caught.value.message.startswith(text)


def test_first_state_holds_the_document():
    genesis = parse(genesis_document(settings={"asset_salt": b"salt"}))
    result = execute_genesis(genesis)
    store = MemoryStore()
    store.write(result.writes, sync=True)
    state = Overlay(store)
    assert ChainStore(store).head() == result.header
    assert ChainStore(store).genesis() == genesis.data
    assert get_member(state, "D18") == genesis.member("D18")
    assert get_validators(state) == genesis.validator_keys()
    assert result.header.members_root == compute_members_root(0, genesis.validator_keys())
    assert get_chain_id(state) == genesis.chain_id
    assert (get_setting(state, "asset_salt"), get_setting(state, "x", 7)) == (b"salt", 7)
    rules = RuleCache().over(state)
    assert [item.id for item in rules.categories()] == ["C028", "C044", "C048"]
    assert rules.events()["C044/line"]["net"].unit == "fen"


def test_genesis_is_the_same_every_time():
    data = encode(genesis_document())
    assert execute_genesis(parse_genesis(data)) == execute_genesis(parse_genesis(data))


@pytest.mark.parametrize(
    "source",
    [
        b"not toml = = =",
        b'format = "smartrule/1"\nkind = "song"\n',
        b'format = "smartrule/1"\nkind = "schema"\nid = "s"\nversion = 1\nwhat = 1\n',
        b'format = "smartrule/1"\nkind = "scorecard"\nid = "s"\nversion = 1\nschema = "none/1"\n',
    ],
)
def test_rules_that_do_not_compile_are_refused(source):
    with pytest.raises(Refused) as caught:
        execute_genesis(parse(genesis_document(rules=[source])))
    assert caught.value.code is Code.GENESIS_INVALID
    assert caught.value.message.startswith("rules[0]: ")


def test_units_of_event_fields():
    kinds = {
        "money": field("money", "decimal", **MONEY),
        "wan": field("wan", "decimal", unit="CNY 10k", scale=6),
        "dollars": field("dollars", "decimal", unit="USD", scale=2),
        "share": field("share", "ratio", unit="%", scale=2),
        "year": field("year", "year"),
        "month": field("month", "month"),
        "yes": field("yes", "bool"),
        "grade": field("grade", "enum", values=("A", "B")),
        "names": field("names", "list"),
    }
    genesis = parse(
        genesis_document(
            categories=[*CATEGORIES, category("C1", "D02", [schema("", kinds.values())])]
        )
    )
    store = MemoryStore(execute_genesis(genesis).writes)
    events = RuleCache().over(Overlay(store)).events()["C1"]
    assert {name: str(item.unit) for name, item in events.items()} == {
        "money": "fen",
        "wan": "fen",
        "dollars": "count",
        "share": "bp",
        "year": "count",
        "month": "date",
        "yes": "flag",
        "grade": "text",
    }
    assert events["grade"].values == {"A", "B"}
