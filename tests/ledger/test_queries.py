"""Queries: who may read what (PUB, AUT, REG, consent), pages, proofs, fates."""

import pytest

from ledger.chain.header import decode_header
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.queries import QUERIES
from ledger.state.overlay import leaf_key, leaf_value
from ledger.state.tables import COMPANIES, MEMBERS
from ledger.state.tree import decode_proof, verify_proof
from ledger.transactions.records import Record, record_digest
from tests.ledger.test_windows_state import SCHEMA, make
from tests.ledger_harness import (
    CATEGORIES,
    DAY_MS,
    GENESIS_DAY,
    Harness,
    category,
    company_code,
    field,
    schema,
)

COMPANY = company_code(1)
SECRET = category("C900", "D02", [schema("", [field("a", "int")])], access="REG")


def grant_and_look(chain, bank, days_of_data):
    """Authorise a bank for so many days up to today and log a look; return the look's params."""
    grant = {
        "company": COMPANY,
        "recipient": bank,
        "categories": ("C044",),
        "purpose": "lending",
        "mode": "view",
        "from_day": GENESIS_DAY - days_of_data + 1,
        "to_day": GENESIS_DAY,
        "starts_ms": chain.head.time_ms,
        "expires_ms": chain.head.time_ms + 10 * DAY_MS,
        "fetch": "once",
    }
    code, data = chain.run(chain.sign("D01", "consent.grant", grant))
    assert code == Code.OK, data
    look = {"company": COMPANY, "categories": ("C044",), "purpose": "lending"}
    code, data = chain.run(chain.sign(bank, "access.open", look))
    assert data["outcome"] == "GRANTED", data
    return {"access": data["access"]}


@pytest.fixture(scope="module")
def chain():
    chain = Harness([SCHEMA], [*CATEGORIES, SECRET])
    chain.run(chain.bind(COMPANY, "Some Company Ltd"))
    lines = [make(n, GENESIS_DAY - 10 * n, "B1", 100, "V") for n in range(5)]
    chain.run(chain.submit("D02", "C044", lines, "line"))
    chain.run(chain.submit("D02", "C048", [Record(COMPANY, GENESIS_DAY, {"arrears": 5})]))
    chain.run(chain.submit("D02", "C900", [Record(COMPANY, GENESIS_DAY, {"a": 1})]))
    chain.looks = {
        "ICBC": grant_and_look(chain, "ICBC", 26),
        "CCB": grant_and_look(chain, "CCB", 366),
    }
    return chain


def ask(chain, caller, name, **params):
    answer = QUERIES[name](chain.query_context(caller), params)
    encode(answer)  # every answer can be sent
    return answer


def days(answer):
    return [item["day"] for item in answer["records"]]


def lines(chain, caller, **params):
    asked = {"company": COMPANY, "category": "C044", "schema": "line", **params}
    return ask(chain, caller, "company.records", **asked, **chain.looks.get(caller, {}))


@pytest.mark.parametrize(
    ("caller", "reason", "count"),
    [("D02", "supplier", 5), (COMPANY, "own", 5), ("ICBC", "consent", 3)],
)
def test_authorised_records_are_read_on_a_basis(chain, caller, reason, count):
    answer = lines(chain, caller)
    assert (answer["basis"], len(answer["records"])) == (reason, count)
    assert bool(answer["consent"]) == (reason == "consent")
    assert days(answer) == sorted(days(answer))
    first = answer["records"][-1]
    assert first["fields"]["invoice_no"] == "00000000"
    assert record_digest(first["body"]) == first["digest"]


@pytest.mark.parametrize("caller", ["PAB", "D18", "D20", company_code(2)])
def test_without_a_basis_authorised_records_are_refused(chain, caller):
    with pytest.raises(Rejected) as caught:
        lines(chain, caller)
    assert caught.value.code is Code.CONSENT_MISSING


def test_consent_ends(chain):
    later = chain.query_context("ICBC")
    later.time_ms += 11 * DAY_MS
    with pytest.raises(Rejected) as caught:
        QUERIES["company.records"](later, {"company": COMPANY, "category": "C044"})
    assert caught.value.code is Code.CONSENT_MISSING


def test_asking_for_more_days_than_the_consent_gives_them(chain):
    assert days(lines(chain, "ICBC", from_day=0)) == [GENESIS_DAY - 10 * n for n in (2, 1, 0)]
    assert days(lines(chain, "ICBC", from_day=0, to_day=GENESIS_DAY - 30)) == []


def test_public_records_are_for_everybody(chain):
    for caller in ("PAB", "D20", company_code(2)):
        answer = ask(chain, caller, "company.records", company=COMPANY, category="C048")
        assert answer["basis"] == "public"
        assert answer["records"][0]["fields"] == {"arrears": 5}


def test_regulators_records_are_for_regulators(chain):
    params = {"company": COMPANY, "category": "C900"}
    assert ask(chain, "D18", "company.records", **params)["basis"] == "regulator"
    for caller in ("ICBC", COMPANY):
        with pytest.raises(Rejected) as caught:
            ask(chain, caller, "company.records", **params)
        assert caught.value.code is Code.NOT_PERMITTED


def test_pages(chain):
    found, cursor = [], 0
    while cursor is not None:
        page = lines(chain, "D02", limit=2, cursor=cursor)
        found += days(page)
        cursor = page["cursor"]
    assert found == days(lines(chain, "D02"))


def test_show_leaves_out_what_the_caller_may_not_read(chain):
    def shown(caller):
        look = chain.looks.get(caller, {})
        answer = ask(chain, caller, "company.show", company=COMPANY, **look)
        return {item["schema"]: item["record_count"] for item in answer["schemas"]}

    assert shown("PAB") == {"C048": 1}
    assert shown("ICBC") == {"C044/line": 3, "C048": 1}  # of the days that its look opens
    assert shown("D18") == {"C048": 1, "C900": 1}
    assert shown("D02") == {"C044/line": 5, "C048": 1, "C900": 1}
    answer = ask(chain, "PAB", "company.show", company=COMPANY)
    assert (answer["name"], answer["log_size"]) == ("Some Company Ltd", 7)


def test_features_follow_access(chain):
    params = {"company": COMPANY, "schema": "company/1"}
    answer = ask(chain, "ICBC", "company.features", **params)
    assert "co.sales" in answer["withheld"]
    answer = ask(chain, "CCB", "company.features", **params, **chain.looks["CCB"])
    assert answer["facts"]["co.sales"] == 500
    assert answer["withheld"] == ("co.lines",)  # reaches back further than the authorisation
    answer = ask(chain, "ICBC", "company.features", **params, **chain.looks["ICBC"])
    assert "co.sales" in answer["withheld"]  # 90 days, and 26 are authorised
    assert "co.sales" not in answer["facts"]
    answer = ask(chain, "PAB", "company.features", **params, names=("co.sales", "co.lines"))
    assert answer["facts"] == {"as_of": chain.day}
    assert answer["withheld"] == ("co.sales", "co.lines")
    with pytest.raises(Rejected):
        ask(chain, "ICBC", "company.features", **params, names=("co.nothing",))


def test_fate_is_told_to_all_and_the_data_to_the_sender(chain):
    tx = chain.sign("D02", "nothing", {})
    assert ask(chain, "D02", "tx.fate", tx_id=tx.id) == {"fate": "UNKNOWN"}
    chain.run(tx)
    answer = ask(chain, "D02", "tx.fate", tx_id=tx.id)
    assert (answer["fate"], answer["code"]) == ("COMMITTED", Code.KIND_UNKNOWN)
    assert answer["data"] == {"error": "kind nothing is not known"}
    assert "data" not in ask(chain, "PAB", "tx.fate", tx_id=tx.id)


def test_members_categories_and_rules(chain):
    members = {item["id"]: item for item in ask(chain, "PAB", "members.list")}
    assert members["D18"]["validator"] == 3
    assert members["ICBC"]["validator"] is None
    assert len(ask(chain, "PAB", "categories.list")) == 4
    assert ask(chain, "PAB", "categories.list", category="C048")[0]["owner"] == "D02"
    assert ask(chain, "PAB", "rules.list") == [
        {"kind": "schema", "ref": "company/1", "owner": "genesis", "height": 0}
    ]
    assert ask(chain, "PAB", "rules.show", kind="schema", ref="company/1")["source"] == SCHEMA


@pytest.mark.parametrize(
    ("table", "prefix", "key"),
    [("members", MEMBERS, b"D02"), ("companies", COMPANIES, COMPANY.encode())],
)
def test_state_proof_verifies_against_the_header(chain, table, prefix, key):
    answer = ask(chain, "PAB", "state.proof", table=table, key=key)
    root = decode_header(answer["header"]).state_root
    proof = decode_proof(answer["proof"])
    verify_proof(root, leaf_key(prefix, key), leaf_value(answer["value"]), proof)


def test_absence_has_a_proof(chain):
    answer = ask(chain, "PAB", "state.proof", table="members", key=b"D99")
    root = decode_header(answer["header"]).state_root
    assert answer["value"] is None
    verify_proof(root, leaf_key(MEMBERS, b"D99"), None, decode_proof(answer["proof"]))


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("company.show", {"company": "x"}, Code.USCC_LENGTH),
        ("company.show", {}, Code.BODY_MALFORMED),
        ("company.records", {"company": COMPANY, "category": "C1"}, Code.CATEGORY_UNKNOWN),
        ("company.features", {"company": COMPANY, "schema": "x/1"}, Code.SCHEMA_UNKNOWN),
        ("state.proof", {"table": "consents", "key": b""}, Code.BODY_MALFORMED),
        ("rules.show", {"kind": "alert", "ref": "x/1"}, Code.ALERT_UNKNOWN),
        ("tx.fate", {"tx_id": b""}, Code.BODY_MALFORMED),
        ("members.list", {"extra": 1}, Code.BODY_MALFORMED),
    ],
)
def test_bad_questions_are_refused(chain, name, params, code):
    with pytest.raises(Rejected) as caught:
        ask(chain, "PAB", name, **params)
    assert caught.value.code is code


def test_queries_leave_the_state_alone(chain):
    before = dict(chain.store.scan(b"", b"\xff"))
    lines(chain, "D02")
    ask(chain, "D02", "company.show", company=COMPANY)
    assert dict(chain.store.scan(b"", b"\xff")) == before
