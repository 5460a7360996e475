"""Whatever a body of lending, consent or assets holds: a code, and no trace in the state.

Each kind starts from a body that would succeed; fields are dropped, added, and replaced by values
of every wire type and size. Execution must answer with a code of its own, never INTERNAL, and what
was rejected must leave the state root where it was.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.consent import read_terms
from ledger.credit.persons import name_person, sign_agreement, sign_withdrawal
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.lending import HANDLERS, QUERIES
from ledger.refusals import GENERAL, find_refusals
from ledger.transactions.fields import Fields
from tests.ledger_harness import DAY_MS, key_of
from tests.lending.documents import SCORECARD, credit_line
from tests.lending.province import BUYER, OTHER, SELLER, TODAY, Province, invoice

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**63 - 1, 2**64 - 1, -(2**63), 10**15, 10**15 + 1, TODAY]),
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=40),
    st.sampled_from([SELLER, OTHER, "ICBC", "00" * 16, "ff" * 32, "SCF-ICBC/1", "\u202e", "/"]),
    st.binary(max_size=40),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)


NEW_ASSET: dict[str, Any] = {
    "company": SELLER,
    "kind": "invoice",
    "document_no": "INV-7",
    "day": TODAY - 3,
    "counterparty": BUYER,
    "amount_fen": 5,
    "due_day": TODAY + 3,
    "currency": "USD",
    "attributes": {"place": "Huizhou", "count": 3, "is_new": True},
}


def consent_terms(province: Province) -> dict[str, Any]:
    """Return the terms of a consent that could be granted."""
    return {
        "company": SELLER,
        "recipient": "CCB",
        "categories": ("C044",),
        "purpose": "lending",
        "mode": "view",
        "from_day": TODAY - 400,
        "to_day": TODAY,
        "starts_ms": province.head.time_ms,
        "expires_ms": province.head.time_ms + 60 * DAY_MS,
        "fetch": "once",
    }


def look_and_keep(province: Province) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies about a look whose reader may keep and pass on what it saw."""
    terms = {"mode": "store", "data_life_days": 30, "is_onward_allowed": True}
    province.consent(SELLER, "CCB", categories=("C044",), **terms)
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    access = province.do("CCB", "access.open", **look)["access"]
    return {
        "access.share": ("CCB", {"access": access, "recipient": "ICBC"}),
        "access.deleted": ("CCB", {"access": access}),
    }


def bind_and_withdraw(province: Province) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies about a natural person who has agreed to an authorisation."""
    key = key_of("li")
    person, chain_id = name_person(key.public_key), province.genesis.chain_id
    province.do("D01", "person.bind", person=person, public_key=key.public_key)
    terms = consent_terms(province) | {"from_day": TODAY - 200, "persons": (person,)}
    signature = sign_agreement(key, chain_id, person, read_terms(Fields(terms)).terms())
    granted = province.do(SELLER, "consent.grant", agreements=((person, signature),), **terms)
    consent = granted["consent"]
    withdrawal = sign_withdrawal(key, chain_id, person, bytes.fromhex(consent))
    return {
        "person.bind": ("D01", {"person": person, "public_key": key_of("wang").public_key}),
        "person.withdraw": (
            SELLER,
            {"consent": consent, "person": person, "signature": withdrawal},
        ),
    }


def lend_and_alarm(province: Province) -> tuple[str, str]:
    """Pay out a loan to another company and let its sales fall; return the loan and the alert."""
    sales = [invoice(n, TODAY - 10 * n, company=OTHER) for n in range(1, 12)]
    sales[0] = invoice(1, TODAY - 10, 1_000_000_000, company=OTHER)
    province.succeed(province.submit("D02", "C044", sales, "line"))
    other = {"company": OTHER, "term_days": 30, "amount_fen": 100}
    loan = province.apply("LINE/1", who=OTHER, declared={"ap.seats": 1}, **other)["application"]
    province.do(OTHER, "loan.accept", application=loan)
    province.do("ICBC", "loan.disburse", application=loan)
    fall = [invoice(99, TODAY, -1_060_000_000, company=OTHER)]
    fall += [invoice(98, TODAY - 95, 10_000_000, company=OTHER)]
    province.succeed(province.submit("D02", "C044", fall, "line"))
    alert = province.ask("D18", "alerts.list", company=OTHER)["alerts"][0]["alert"]
    return loan, alert


def distressed(province: Province) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies of what may happen to loans that are not paid."""
    province.sell(BUYER)
    late = [province.lend(BUYER, guaranteed_fen=900_000) for _ in range(2)]
    late += [province.lend(BUYER) for _ in range(4)]
    fresh = province.lend(BUYER, term_days=300)
    province.advance_days(35)
    for loan in (*late[:2], *late[3:]):
        province.do("ICBC", "loan.default", loan=loan)
    province.do("ICBC", "loan.claim", loan=late[1])
    province.do("ICBC", "loan.write_off", loan=late[5], reason="gone")
    terms = {"loan": fresh, "term_days": 90, "rate_bp": 400, "schedule": "equal_instalments"}
    province.do("ICBC", "loan.restructure", **terms)
    return {
        "loan.claim": ("ICBC", {"loan": late[0], "amount_fen": 10}),
        "loan.pay_claim": ("PAB", {"loan": late[1], "amount_fen": 10}),
        "loan.default": ("ICBC", {"loan": late[2]}),
        "loan.accelerate": ("ICBC", {"loan": late[3]}),
        "loan.write_off": ("ICBC", {"loan": late[4], "reason": "insolvent"}),
        "loan.recover": ("ICBC", {"loan": late[5], "amount_fen": 10}),
        "loan.restructure": ("ICBC", terms | {"period_months": 3}),
        "loan.accept_terms": (BUYER, {"loan": fresh}),
    }


def object_to(province: Province) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies about records that a company objects to."""
    params = {"company": SELLER, "category": "C044", "schema": "line"}
    found = province.ask("D02", "company.records", **params)["records"]
    bodies = [
        params | {"day": item["day"], "digest": item["digest"], "text": "it is wrong"}
        for item in found[:5]
    ]
    made = [province.do(SELLER, "objection.open", **body)["objection"] for body in bodies[:4]]
    for objection in made[2:]:
        province.do("D02", "objection.decide", objection=objection, outcome="rejected")
    province.do(SELLER, "objection.complain", objection=made[3], text="no")
    return {
        "objection.open": (SELLER, bodies[4]),
        "objection.decide": (
            "D02",
            {"objection": made[0], "outcome": "annotated", "text": "noted"},
        ),
        "objection.withdraw": (SELLER, {"objection": made[1]}),
        "objection.complain": (SELLER, {"objection": made[2], "text": "no"}),
        "objection.rule": ("D18", {"objection": made[3], "outcome": "upheld", "text": "yes"}),
    }


def vote_on_rules(province: Province) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies of changes of the rules, and of votes on them."""
    expires_ms = province.head.time_ms + DAY_MS
    rates = {"kind": "rates", "rates": (("USD", province.day, 7_000_000),)}
    made = [
        province.do("D02", "rule.propose", change=rates, expires_ms=expires_ms)["proposal"]
        for _ in range(2)
    ]
    source = SCORECARD.replace(b"version = 1", b"version = 2", 1)
    rule = {"kind": "rule", "source": source, "effective_from": province.day}
    return {
        "rule.propose": ("D02", {"change": rule, "expires_ms": expires_ms, "note": "why"}),
        "rule.approve": ("D18", {"proposal": made[0]}),
        "rule.withdraw": ("D02", {"proposal": made[1]}),
    }


def supervise(alert: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return bodies of what regulators and institutions say: alerts, outcomes, groups, reports."""
    escalated = {"outcome": "escalate", "note": "seen", "to": "D18", "due_day": TODAY + 40}
    report = {
        "day": TODAY,
        "net_assets_fen": 5_000_000,
        "total_assets_fen": 9_000_000,
        "registered_capital_fen": 1_000_000,
        "funds_fen": 0,
        "balances": {"loans": 5, "risk_assets": 9},
    }
    return {
        "alert.ack": ("D18", {"alert": alert, **escalated}),
        "alert.feedback": ("D18", {"alert": alert, "verdict": "right", "note": "closed"}),
        "company.outcome": (
            "D18",
            {"company": OTHER, "is_troubled": True, "day": TODAY, "note": "bankrupt"},
        ),
        "institution.report": ("ICBC", report),
        "group.declare": ("D18", {"companies": (SELLER, OTHER), "group": "family-1"}),
    }


@lru_cache(maxsize=1)
def prepared() -> tuple[Province, dict[str, tuple[str, dict[str, Any]]]]:
    """Return a province and, for each kind, a sender and a body that would succeed."""
    province = Province()
    bodies = distressed(province)
    asset, loose = province.receivable(), province.receivable(5, is_confirmed=False)
    consent = province.consent(SELLER, "ICBC", is_onward_allowed=True)
    paused = province.consent(SELLER, "ICBC", to_day=TODAY - 1)
    province.do(SELLER, "consent.pause", consent=paused)
    terms = consent_terms(province)
    asked = province.do("CCB", "consent.request", **terms)["consent"]
    offers = [
        province.apply("SCF-ICBC/1", asset=asset)["application"],
        province.apply("LINE/1", declared={"ap.seats": 1})["application"],
    ]
    pledged = {"asset": asset, "application": offers[0]}
    province.do("ICBC", "asset.pledge", **pledged)
    province.do(SELLER, "loan.accept", application=offers[1])
    province.do("ICBC", "loan.ask_guarantee", application=offers[1], guarantor="PAB")
    province.consent(OTHER, "ICBC")
    loan, alert = lend_and_alarm(province)
    objections = object_to(province)
    bodies |= {
        "consent.grant": (SELLER, terms | {"from_day": TODAY - 300}),
        "consent.request": ("CCB", terms | {"from_day": TODAY - 300}),
        "access.open": (
            "ICBC",
            {
                "company": SELLER,
                "categories": ("C044",),
                "purpose": "lending",
                "from_day": TODAY - 30,
                "to_day": TODAY,
            },
        ),
        **look_and_keep(province),
        **bind_and_withdraw(province),
        "consent.accept": (SELLER, {"consent": asked}),
        "consent.reject": (SELLER, {"consent": asked}),
        "consent.pause": (SELLER, {"consent": consent}),
        "consent.resume": (SELLER, {"consent": paused}),
        "consent.revoke": (SELLER, {"consent": consent}),
        **objections,
        **vote_on_rules(province),
        "asset.register": (SELLER, NEW_ASSET),
        "asset.confirm": (BUYER, {"asset": loose}),
        "asset.withdraw": (SELLER, {"asset": loose}),
        "asset.pledge": ("ICBC", pledged | {"amount_fen": 1}),
        "asset.release": ("ICBC", pledged),
        "product.register": ("ICBC", {"source": credit_line(version=7)}),
        "loan.apply": (
            SELLER,
            {
                "company": SELLER,
                "product": "SCF-ICBC/1",
                "amount_fen": 100,
                "term_days": 30,
                "asset": loose,
            },
        ),
        "loan.accept": (SELLER, {"application": offers[0]}),
        "loan.ask_guarantee": (SELLER, {"application": offers[0], "guarantor": "PAB"}),
        "loan.guarantee": ("PAB", {"application": offers[1], "amount_fen": 5}),
        "loan.disburse": ("ICBC", {"application": offers[1], "amount_fen": 1}),
        "loan.repay": ("ICBC", {"loan": loan, "amount_fen": 10}),
        **supervise(alert),
        "alert.review": ("D18", {"companies": (SELLER, OTHER)}),
    }
    return province, bodies


@pytest.mark.parametrize("kind", sorted(HANDLERS))
def test_the_body_a_kind_starts_from_succeeds(kind: str) -> None:
    province, bodies = prepared()
    sender, body = bodies[kind]
    executed = province.execute([province.sign(sender, kind, body)])
    assert executed.results[0][0] == Code.OK, executed.results[0][1]


@pytest.mark.parametrize("kind", sorted(HANDLERS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_bad_body_leaves_its_code_and_nothing_else(kind: str, data: st.DataObject) -> None:
    province, bodies = prepared()
    sender, good = bodies[kind]
    body = dict(good)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.one_of(st.sampled_from(sorted(good)), st.text(max_size=6)))
        if data.draw(st.booleans()):
            body[name] = data.draw(VALUES)
        else:
            body.pop(name, None)
    who = data.draw(st.sampled_from([sender, sender, sender, "D01", "D02", "D18", "CCB", OTHER]))
    executed = province.execute([province.sign(who, kind, body)])
    code, result = executed.results[0]
    assert executed.notes.failures == []
    assert code != Code.INTERNAL
    if code != Code.OK:
        told = {*GENERAL, *(item.code for item in find_refusals(kind))}
        assert code in told, "docs/ERRORS.md has no such row"
        assert set(result) == {"error"}
        assert executed.header.state_root == province.head.state_root


QUERY_BODIES: dict[str, dict[str, Any]] = {
    "company.match": {"company": SELLER, "amount_fen": 5_000_000, "term_days": 90, "top": 3},
    "consent.list": {"company": SELLER},
    "consent.show": {"consent": "00" * 16},
    "consent.needed": {"company": SELLER, "product": "LINE/1"},
    "access.overdue": {"company": SELLER},
    "notices.list": {"from_height": 1, "limit": 2},
    "objection.list": {"company": SELLER},
    "access.list": {"company": SELLER, "from_height": 1, "limit": 5},
    "asset.show": {"asset": "00" * 16},
    "asset.list": {"company": SELLER},
    "asset.check": {
        "company": SELLER,
        "kind": "receivable",
        "document_no": "INV-7",
        "day": TODAY,
        "counterparty": BUYER,
        "amount_fen": 5,
    },
    "product.list": {"lender": "ICBC"},
    "product.show": {"product": "LINE/1"},
    "product.check": {"source": credit_line(version=8), "lender": "ICBC"},
    "application.show": {"application": "00" * 32},
    "application.list": {"company": SELLER},
    "application.sources": {"application": "00" * 32},
    "loan.show": {"loan": "00" * 32},
    "loan.list": {"company": SELLER},
    "exposure.show": {"company": SELLER},
    "alerts.list": {"from_height": 1, "limit": 3, "cursor": 7, "company": OTHER},
    "alert.show": {"alert": "00" * 16},
    "alerts.watch": {"company": SELLER},
    "alerts.quality": {},
    "institution.show": {"institution": "ICBC", "limit": 3},
    "exposure.limits": {"institution": "ICBC"},
    "exposure.group": {"company": SELLER},
    "circles.list": {},
    "circles.show": {"company": SELLER},
    "rules.status": {},
    "rates.list": {"currency": "USD", "from_day": TODAY, "to_day": TODAY},
    "settings.list": {},
    "receipt.check": {"tx_id": bytes(32)},
}


@pytest.mark.parametrize("name", sorted(QUERIES))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_bad_query_is_refused_with_a_code(name: str, data: st.DataObject) -> None:
    province, _ = prepared()
    body = dict(QUERY_BODIES[name])
    for _ in range(data.draw(st.integers(0, 2))):
        key = data.draw(st.one_of(st.sampled_from(sorted(body) or ["x"]), st.text(max_size=6)))
        if data.draw(st.booleans()):
            body[key] = data.draw(VALUES)
        else:
            body.pop(key, None)
    caller = data.draw(st.sampled_from(["D18", "ICBC", "CCB", SELLER, OTHER, "D02"]))
    code, answer = Code.OK, None
    try:
        answer = QUERIES[name](province.query_context(caller), body)
    except Rejected as error:
        code = error.code
    assert code is not Code.INTERNAL
    assert (code is Code.OK) == isinstance(answer, dict)
    assert encode(answer)
