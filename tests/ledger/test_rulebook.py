"""The rule book: registration, references, what is kept for the rules, look-ups by key."""

import pytest

from ledger.credit.records import find_latest, read_fields
from ledger.credit.rulebook import RuleCache
from ledger.errors import Code, Rejected, StorageError
from ledger.storage.chain_store import BODIES, ChainStore
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger.test_windows_state import SCHEMA, make
from tests.ledger_harness import GENESIS_DAY, Harness, company_code

COMPANY = company_code(1)
ASSETS = b"""
format = "smartrule/1"
kind = "schema"
id = "assets"
version = 1

[feature."pt.status"]
unit = "text"
source = "asset"
category = "C028"
key = "patent_no"
field = "legal_status"
"""


@pytest.fixture
def chain():
    return Harness([SCHEMA, ASSETS])


def rules_in_transaction(chain, cache=None):
    state = chain.state()
    state.begin()
    return (RuleCache() if cache is None else cache).over(state)


def test_registered_rules_are_found(chain):
    rules = rules_in_transaction(chain)
    assert rules.references("schema") == ("assets/1", "company/1")
    assert rules.schema("company/1").ref == "company/1"
    assert rules.source("schema", "company/1") == SCHEMA
    assert rules.owner("schema", "company/1") == ("genesis", 0)
    assert rules.alerts() == ()


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("schema", Code.SCHEMA_UNKNOWN),
        ("scorecard", Code.SCORECARD_UNKNOWN),
        ("product", Code.PRODUCT_UNKNOWN),
        ("alert", Code.ALERT_UNKNOWN),
        ("category", Code.CATEGORY_UNKNOWN),
    ],
)
def test_unknown_references_have_codes_of_their_own(chain, method, code):
    with pytest.raises(Rejected) as caught:
        getattr(rules_in_transaction(chain), method)("nothing/1")
    assert caught.value.code is code


def test_a_reference_is_registered_once(chain):
    rules = rules_in_transaction(chain)
    other = SCHEMA.replace(b"version = 1", b"version = 2")
    assert rules.register("schema", other, "D18", 7).ref == "company/2"
    assert rules.owner("schema", "company/2") == ("D18", 7)
    with pytest.raises(Rejected) as caught:
        rules.register("schema", other, "D18", 8)
    assert caught.value.code is Code.RULE_EXISTS


@pytest.mark.parametrize(
    ("kind", "source", "text"),
    [
        ("product", SCHEMA, "the document's kind is schema, want product"),
        ("schema", SCHEMA.replace(b"'V'", b"'W'"), None),
        ("schema", SCHEMA.replace(b'"net"', b'"nett"'), None),
        ("schema", b"\xff", None),
    ],
)
def test_what_does_not_compile_is_rejected(chain, kind, source, text):
    with pytest.raises(Rejected) as caught:
        rules_in_transaction(chain).register(kind, source, "D18", 1)
    assert caught.value.code is Code.RULE_INVALID
    if text is None:
        assert "line " in caught.value.message
        assert "column " in caught.value.message
    else:
        assert caught.value.message == text


def test_streams_follow_the_index_even_with_a_shared_cache(chain):
    cache = RuleCache()
    rules = rules_in_transaction(chain, cache)
    before = rules.streams("C044", "line")
    added = SCHEMA.replace(b"version = 1", b"version = 2").replace(b"== 'V'", b"== 'X'")
    rules.register("schema", added, "D18", 1)
    assert set(before) < set(rules.streams("C044", "line"))
    # A state without the new schema does not see it, though the cache is the same.
    assert rules_in_transaction(chain, cache).streams("C044", "line") == before


def test_streams_are_shared_between_equal_definitions(chain):
    ids = [stream.id for stream in rules_in_transaction(chain).streams("C044", "line")]
    assert ids == sorted(set(ids))
    # co.sales and co.sales_before differ in their windows alone.
    assert len(ids) < len([n for n in SCHEMA.split(b"\n") if n.startswith(b"[feature")])


def patent(number, day, status, supersedes=None):
    fields = {"patent_no": number, "title": "t", "granted_on": day, "legal_status": status}
    return Record(COMPANY, day, fields, None, supersedes)


def latest_status(chain, number):
    found = find_latest(chain.state(), COMPANY, "C028", "patent_no", number)
    if found is None:
        return None
    return read_fields(ChainStore(chain.store), *found[1:])["legal_status"]


def test_latest_record_of_a_key_is_found(chain):
    day = GENESIS_DAY - 10
    chain.run(
        chain.submit("D01", "C028", [patent("ZL1", day, "valid"), patent("ZL2", day, "valid")])
    )
    assert latest_status(chain, "ZL1") == "valid"
    chain.run(chain.submit("D01", "C028", [patent("ZL1", day + 5, "lapsed")]))
    chain.run(chain.submit("D01", "C028", [patent("ZL1", day - 5, "valid")]))
    assert (latest_status(chain, "ZL1"), latest_status(chain, "ZL2")) == ("lapsed", "valid")
    assert latest_status(chain, "ZL3") is None


def test_correction_moves_the_key(chain):
    first = patent("ZL1", GENESIS_DAY, "valid")
    reference = (GENESIS_DAY, record_digest(encode_record(first)))
    chain.run(chain.submit("D01", "C028", [first]))
    chain.run(chain.submit("D01", "C028", [patent("ZL9", GENESIS_DAY, "valid", reference)]))
    assert (latest_status(chain, "ZL1"), latest_status(chain, "ZL9")) == (None, "valid")


def test_conflict_is_not_the_latest(chain):
    chain.run(chain.submit("D01", "C028", [patent("ZL1", GENESIS_DAY, "valid")]))
    code, data = chain.run(chain.submit("D01", "C028", [patent("ZL1", GENESIS_DAY, "lapsed")]))
    assert (code, data["conflicts"]) == (Code.OK, (0,))
    assert latest_status(chain, "ZL1") == "valid"


def test_versions_of_one_identity_are_bounded(chain):
    records = [make(1, GENESIS_DAY, "B1", net, "V") for net in range(65)]
    code, data = chain.run(chain.submit("D02", "C044", records, "line"))
    assert code == Code.RECORD_VERSIONS
    assert data["error"] == "record 64, 64 records have its identity already"


def damage(chain, replacement):
    chain.store.write({key: replacement for key, _ in chain.store.scan(BODIES, b"y")}, sync=True)


@pytest.mark.parametrize(
    ("replacement", "code"), [(None, Code.HOME_INCOMPLETE), (b"\x00", Code.STORE_CORRUPT)]
)
def test_lost_body_stops_the_node_rather_than_the_chain(chain, replacement, code):
    """Rule 54: a node whose disk lies must not sign what it computes."""
    lines = [make(n, GENESIS_DAY, "B1", 5, "V") for n in range(2)]
    chain.run(chain.submit("D02", "C044", lines, "line"))
    damage(chain, replacement)
    reference = (GENESIS_DAY, record_digest(encode_record(lines[0])))
    correction = chain.submit(
        "D02", "C044", [make(0, GENESIS_DAY, "B1", 6, "V", reference)], "line"
    )
    with pytest.raises(StorageError) as caught:
        chain.run(correction)
    assert caught.value.code is code
