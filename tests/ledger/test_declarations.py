"""What companies declare themselves: by their own key or a counter, and marked so everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genesis.network import load_network
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.execution import execute_genesis
from ledger.membership.genesis import parse_genesis
from ledger.queries import QUERIES
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import (
    DECLARE_KIND,
    Record,
    check_attachments,
    encode_record,
    record_digest,
    records_root,
)
from tests.ledger_harness import (
    CATEGORIES,
    GENESIS_DAY,
    SALT,
    Harness,
    category,
    company_code,
    field,
    genesis_document,
    schema,
)

OWN, STRANGER = company_code(1), company_code(2)
DECLARED = category(
    "S001",
    "self",
    [
        schema(
            "",
            [field("as_of", "date"), field("value", "decimal", unit="CNY", scale=2, minimum=0)],
            date_field="as_of",
            identity=("as_of",),
        )
    ],
    access="AUT",
)


def asset(value: int, company: str = OWN, **changes: Any) -> Record:
    """Return one declared asset."""
    fields = {"as_of": GENESIS_DAY, "value": value}
    return Record(company, GENESIS_DAY, fields, salt=SALT, **changes)


def declare(chain: Harness, sender: str, *records: Record, into: str = "S001") -> Transaction:
    """Return a `records.declare` of these records."""
    attachments = [encode_record(item) for item in records]
    body = {
        "category": into,
        "schema": "",
        "version": 1,
        "count": len(attachments),
        "root": records_root([record_digest(item) for item in attachments]),
    }
    return chain.sign(sender, DECLARE_KIND, body, attachments)


@pytest.fixture
def chain() -> Harness:
    """Return a chain whose catalogue has a self-declared category, two companies bound."""
    made = Harness(categories=(*CATEGORIES, DECLARED))
    for company in (OWN, STRANGER):
        assert made.run(made.bind(company))[0] == Code.OK
    return made


def ask(chain: Harness, who: str, what: str, **body: Any) -> Any:
    return QUERIES[what](chain.query_context(who), body)


def test_a_company_declares_and_every_answer_says_so(chain: Harness) -> None:
    code, data = chain.run(declare(chain, OWN, asset(500)))
    assert (code, data["accepted"]) == (Code.OK, 1)
    shown = ask(chain, OWN, "company.records", company=OWN, category="S001")
    assert shown["is_self_declared"]
    assert [item["fields"]["value"] for item in shown["records"]] == [500]
    (line,) = ask(chain, OWN, "company.show", company=OWN)["schemas"]
    assert (line["schema"], line["is_self_declared"]) == ("S001", True)
    profile = ask(chain, OWN, "company.profile", company=OWN)
    flags = {x["schema"]: x["is_self_declared"] for d in profile["dimensions"].values() for x in d}
    assert flags == {"S001": True, "C028": False, "C044": False, "C044/line": False, "C048": False}
    assert "S001" in ask(chain, STRANGER, "company.profile", company=OWN)["withheld"]


def test_a_declaration_is_corrected_like_any_record(chain: Harness) -> None:
    first = asset(500)
    chain.run(declare(chain, OWN, first))
    assert chain.run(declare(chain, OWN, first))[1]["duplicates"] == (0,)
    old = (GENESIS_DAY, record_digest(encode_record(first)))
    code, _ = chain.run(declare(chain, OWN, asset(400, supersedes=old)))
    assert code == Code.OK
    shown = ask(chain, OWN, "company.records", company=OWN, category="S001")["records"]
    assert sorted((item["fields"]["value"], item["status"]) for item in shown) == [
        (400, "CURRENT"),
        (500, "SUPERSEDED"),
    ]
    found = next(item for item in shown if item["status"] == "CURRENT")
    body = {"company": OWN, "category": "S001", "day": GENESIS_DAY, "text": "no"}
    objected = chain.sign(OWN, "objection.open", body | {"digest": found["digest"]})
    assert chain.run(objected)[0] == Code.RECORD_SELF_DECLARED


def test_a_counter_declares_for_a_company(chain: Harness) -> None:
    assert chain.run(declare(chain, "D01", asset(500)))[0] == Code.OK


@pytest.mark.parametrize("sender", [STRANGER, "D02", "ICBC", "D18"])
def test_nobody_else_declares_for_a_company(chain: Harness, sender: str) -> None:
    code, data = chain.run(declare(chain, sender, asset(500, STRANGER), asset(500)))
    assert (code, data) == (
        Code.NOT_PERMITTED,
        {"error": f"{sender} may not act for company {OWN}"},
    )
    assert chain.state().company_log_size(STRANGER) == 0


def test_each_kind_of_record_has_its_own_transaction(chain: Harness) -> None:
    code, _ = chain.run(declare(chain, OWN, asset(5), into="C048"))
    assert code == Code.RECORD_SELF_DECLARED
    code, _ = chain.run(chain.submit("D02", "S001", [asset(5)]))
    assert code == Code.CATEGORY_NOT_OWNED
    code, _ = chain.run(declare(chain, OWN, asset(-5)))
    assert code == Code.RECORD_FIELD_RANGE


def test_attachments_of_a_declaration_are_signed_too(chain: Harness) -> None:
    good = declare(chain, OWN, asset(500))
    assert len(check_attachments(good)) == 1
    other = replace(good, attachments=(encode_record(asset(600)),))
    with pytest.raises(Refused, match="1207"):
        check_attachments(other)
    assert chain.execute([other]).results[0][0] == Code.ATTACHMENT_MISMATCH


def test_no_member_may_be_called_as_what_is_self_declared() -> None:
    document = genesis_document()
    document["members"][0]["id"] = "self"
    document["validators"] = ("self", *document["validators"][1:])
    with pytest.raises(Refused, match=r"members\[0\].id"):
        parse_genesis(encode(document))


def test_guangdong_has_a_table_of_its_own_beside_the_213() -> None:
    network = load_network("guangdong")
    assert len(network.categories) == 213
    assert [item["id"] for item in network.declared] == ["S001", "S002", "S003", "S004"]
    assert {item["owner"] for item in network.declared} == {"self"}
    document = genesis_document(categories=network.declared)
    genesis = parse_genesis(encode(document))
    assert all(item.is_self_declared for item in genesis.categories)
    assert execute_genesis(genesis).header.height == 0


def test_a_company_erases_what_it_declared_and_nobody_else_does(chain: Harness) -> None:
    record = asset(5)
    assert chain.run(declare(chain, OWN, record))[0] == Code.OK
    body = {
        "company": OWN,
        "category": "S001",
        "records": ((GENESIS_DAY, record_digest(encode_record(record))),),
        "ground": "withdrawal",
        "reference": "its own wish",
    }
    for who in (STRANGER, "D02", "ICBC"):
        assert chain.run(chain.sign(who, "records.erase", body))[0] == Code.NOT_PERMITTED
    assert chain.run(chain.sign(OWN, "records.erase", body))[0] == Code.OK
    params = {"company": OWN, "category": "S001"}
    (shown,) = ask(chain, OWN, "company.records", **params)["records"]
    assert (shown["status"], shown["fields"]) == ("ERASED", None)
