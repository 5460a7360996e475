"""Bad bodies of every kind of transaction leave no trace but their code (rule 17, F79, F80)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, Rejected
from ledger.execution import HANDLERS
from ledger.refusals import GENERAL, find_refusals
from ledger.storage.chain_store import ChainStore
from ledger.transactions.fields import Fields
from tests.ledger_harness import Harness, company_code

NAMES = st.sampled_from(
    [
        "amount_fen",
        "asset",
        "block_hash",
        "categories",
        "change",
        "category",
        "companies",
        "company",
        "count",
        "expires_ms",
        "from_day",
        "ground",
        "height",
        "kind",
        "name",
        "product",
        "proposal",
        "public_key",
        "purpose",
        "reason",
        "recipient",
        "records",
        "reference",
        "root",
        "schema",
        "source",
        "term_days",
        "to_day",
        "version",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 18_000]),
    st.sampled_from(
        ["", "x", "C044", "D02", company_code(1), "line", "a\x00b", "\u202e", "x" * 300]
    ),
    st.binary(max_size=33),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=6,
)
BODIES = st.dictionaries(st.one_of(NAMES, st.text(max_size=6)), VALUES, max_size=8)
STATE = (b"s", b"t")


def state_of(chain):
    return {
        key: value for prefix in STATE for key, value in chain.store.scan(prefix, prefix + b"\xff")
    }


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(HANDLERS)), st.sampled_from(["D01", "D02", "D18", "ICBC"]), BODIES)
def test_bad_body_changes_nothing(kind, sender, body):
    chain = Harness()
    before = state_of(chain)
    tx = chain.sign(sender, kind, body)
    executed = chain.block(tx)
    code, data = executed.results[0]
    assert code not in (Code.OK, Code.INTERNAL), executed.notes.failures
    told = {*GENERAL, *(item.code for item in find_refusals(kind))}
    assert code in told, "docs/ERRORS.md has no such row"
    assert set(data) == {"error"}
    assert data["error"].isprintable()
    assert state_of(chain) == before
    assert executed.header.state_root == chain.genesis_root
    assert ChainStore(chain.store).fate(tx.id) == (1, 0, code)


def take(body, method, *args, **kwargs):
    fields = Fields(body)
    value = getattr(fields, method)("it", *args, **kwargs)
    fields.done()
    return value


@pytest.mark.parametrize(
    ("method", "kwargs", "good"),
    [
        ("text", {}, "some text"),
        ("text", {}, "有限公司"),
        ("identifier", {}, "GD-SCF-0042"),
        ("choice", {"allowed": ("once", "periodic")}, "once"),
        ("integer", {}, 0),
        ("amount", {}, 1),
        ("amount", {}, 10**15),
        ("day", {}, 18_000),
        ("time_ms", {}, 1_582_243_200_000),
        ("flag", {}, False),
        ("bytes_", {"maximum": 4}, b"abc"),
        ("bytes32", {}, bytes(32)),
        ("texts", {}, ("a", "b")),
    ],
)
def test_good_values_come_back(method, kwargs, good):
    assert take({"it": good}, method, **kwargs) == good


@pytest.mark.parametrize(
    ("method", "kwargs", "bad", "text"),
    [
        ("text", {}, None, "field it: got nothing, want str"),
        ("text", {}, 5, "field it: got int, want str"),
        ("text", {}, "", "field it: got 0 characters, want 1 to 256"),
        ("text", {}, "a\u200bb", "field it: got character U+200B, want text that can be shown"),
        ("text", {}, "a\ud800", "field it: got character U+D800, want text that can be shown"),
        ("identifier", {}, "a b", "field it: got another text, want 1 to 64 of A-Z a-z 0-9 . _ -"),
        ("choice", {"allowed": ("b", "a")}, "c", "field it: got another text, want one of a, b"),
        ("integer", {"minimum": 1}, 0, "field it: got 0, want 1 to 9223372036854775807"),
        ("integer", {}, True, "field it: got bool, want int"),
        ("amount", {}, 0, "field it: got 0 fen, want at least 1"),
        (
            "amount",
            {},
            10**15 + 1,
            "field it: got 1000000000000001 fen, want at most 1000000000000000",
        ),
        ("flag", {}, 1, "field it: got int, want bool"),
        ("bytes_", {"maximum": 1}, b"ab", "field it: got 2 bytes, want 0 to 1"),
        ("bytes32", {}, b"", "field it: got 0 bytes, want 32"),
        ("texts", {}, (), "field it: got 0 items, want 1 to 256"),
        ("texts", {}, ("a", "a"), "field it: got an item twice, want distinct items"),
        ("texts", {}, ("a", 1), "field it: got an item of type int, want str"),
        ("map", {}, (), "field it: got list, want map"),
    ],
)
def test_f80_bad_values_are_named(method, kwargs, bad, text):
    with pytest.raises(Rejected) as caught:
        take({"it": bad}, method, **kwargs)
    assert caught.value.message == text


def test_unknown_fields_are_refused_and_nested_ones_are_named():
    with pytest.raises(Rejected) as caught:
        take({"it": 1, "other": 2}, "integer")
    assert caught.value.message == "field other: got a field of no meaning, want it left out"
    inner = Fields({"outer": {"x": "y"}}).map("outer")
    with pytest.raises(Rejected) as caught:
        inner.integer("x")
    assert caught.value.message == "field outer.x: got str, want int"


def test_optional_fields():
    fields = Fields({"a": "x", "b": None})
    assert (fields.optional_text("a"), fields.optional_text("b")) == ("x", None)
    assert (fields.optional_integer("c"), fields.optional_day("d")) == (None, None)
    assert (fields.optional_bytes32("e"), fields.optional_identifier("f")) == (None, None)
    fields.done()
