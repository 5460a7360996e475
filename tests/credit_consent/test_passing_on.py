"""Passing on and borders: only where the company says so, logged for the one who sees it."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.credit.access_log import RELEASE_MS
from ledger.encoding import encode
from ledger.errors import Code, Refused, Rejected
from ledger.membership.genesis import parse_genesis
from tests.ledger.governance import Governance
from tests.ledger_harness import DAY_MS, genesis_document
from tests.lending.province import SELLER, TODAY, Province

LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
READ = {"company": SELLER, "category": "C044", "schema": "line"}


class WithAbroad(Province):
    """CCB is in Hong Kong."""

    abroad = ("CCB",)


@pytest.fixture
def province() -> Province:
    return Province()


def look(province: Province, who: str = "ICBC", **changes: Any) -> str:
    province.consent(SELLER, who, **changes)
    return str(province.do(who, "access.open", **LOOK)["access"])


def share(province: Province, access: str, recipient: str = "PAB", who: str = "ICBC") -> Any:
    return province.do(who, "access.share", access=access, recipient=recipient)


def refused(province: Province, who: str, access: str) -> Code:
    with pytest.raises(Rejected) as caught:
        province.ask(who, "company.records", **READ, access=access)
    return caught.value.code


def test_what_may_be_passed_on_is_seen_by_the_other_and_the_company_sees_that(
    province: Province,
) -> None:
    access = look(province, is_onward_allowed=True, from_day=TODAY - 100)
    shared = share(province, access)
    assert shared["outcome"] == "SHARED"
    own = province.ask("ICBC", "company.records", **READ, access=access)["records"]
    seen = province.ask("PAB", "company.records", **READ, access=shared["access"])
    assert (seen["records"], seen["basis"]) == (own, "consent")
    listed = province.ask(SELLER, "access.list", company=SELLER)["accesses"]
    assert [(item["reader"], item["via"], item["outcome"]) for item in listed] == [
        ("ICBC", "", "GRANTED"),
        ("PAB", "ICBC", "SHARED"),
    ]
    assert refused(province, "PAB", access) is Code.CONSENT_MISSING
    assert refused(province, "CCB", shared["access"]) is Code.CONSENT_MISSING


def test_without_the_flag_nothing_is_passed_on_and_the_company_sees_who_tried(
    province: Province,
) -> None:
    shared = share(province, look(province))
    assert (shared["outcome"], shared["code"]) == ("REFUSED", Code.CONSENT_ONWARD)
    assert refused(province, "PAB", shared["access"]) is Code.CONSENT_MISSING
    tried = province.ask(SELLER, "access.list", company=SELLER)["accesses"][-1]
    assert (tried["reader"], tried["via"], tried["outcome"]) == ("PAB", "ICBC", "REFUSED")


def test_what_was_passed_on_goes_no_further_and_ends_with_the_consent(province: Province) -> None:
    consent = province.consent(SELLER, "ICBC", is_onward_allowed=True)
    access = province.do("ICBC", "access.open", **LOOK)["access"]
    shared = share(province, access)["access"]
    body = {"access": shared, "recipient": "CCB"}
    province.refuse(Code.ACCESS_UNFIT, "PAB", "access.share", **body)
    province.refuse(Code.ACCESS_NOT_LOGGED, "ICBC", "access.share", **body)
    province.do(SELLER, "consent.pause", consent=consent)
    assert refused(province, "PAB", shared) is Code.ACCESS_UNFIT
    province.refuse(Code.ACCESS_UNFIT, "ICBC", "access.share", access=access, recipient="CCB")


@pytest.mark.parametrize("recipient", ["D02", "D18", "ICBC"])
def test_it_is_passed_on_to_other_institutions_alone(province: Province, recipient: str) -> None:
    access = look(province, is_onward_allowed=True)
    body = {"access": access, "recipient": recipient}
    province.refuse(Code.NOT_PERMITTED, "ICBC", "access.share", **body)


def test_a_look_is_passed_on_only_while_it_is_open(province: Province) -> None:
    access = look(province, is_onward_allowed=True)
    province.block(time_ms=province.head.time_ms + RELEASE_MS + 1)
    body = {"access": access, "recipient": "PAB"}
    province.refuse(Code.ACCESS_UNFIT, "ICBC", "access.share", **body)
    province.refuse(Code.MEMBER_UNKNOWN, "ICBC", "access.share", **(body | again(province)))


def again(province: Province) -> dict[str, str]:
    """Return what names a fresh look and somebody who is no member."""
    return {
        "access": look(province, is_onward_allowed=True, from_day=TODAY - 10),
        "recipient": "nobody",
    }


def test_a_member_abroad_sees_only_what_may_leave_the_country() -> None:
    province = WithAbroad()
    terms: dict[str, Any] = {
        "recipient": "CCB",
        "company": SELLER,
        "categories": ("C044",),
        "fetch": "once",
    }
    terms |= {"purpose": "lending", "mode": "view", "from_day": TODAY - 30, "to_day": TODAY}
    times = {
        "starts_ms": province.head.time_ms,
        "expires_ms": province.head.time_ms + 9 * DAY_MS,
    }
    for what, who in (("consent.grant", SELLER), ("consent.request", "CCB")):
        province.refuse(Code.CONSENT_BORDER, who, what, **terms, **times)
    access = look(province, "CCB", is_cross_border=True)
    assert province.ask("CCB", "company.records", **READ, access=access)["records"]


def test_nothing_is_passed_on_across_the_border_without_leave() -> None:
    province = WithAbroad()
    shared = share(province, look(province, is_onward_allowed=True), "CCB")
    assert (shared["outcome"], shared["code"]) == ("REFUSED", Code.CONSENT_BORDER)
    terms: dict[str, Any] = {
        "is_onward_allowed": True,
        "is_cross_border": True,
        "from_day": TODAY - 50,
    }
    assert share(province, look(province, **terms), "CCB")["outcome"] == "SHARED"


def test_a_member_abroad_runs_no_node() -> None:
    document = genesis_document(abroad=("D20",))
    with pytest.raises(Refused, match="a member abroad runs no node"):
        parse_genesis(encode(document))


def test_a_lender_tells_a_guarantor_only_what_may_be_passed_on(province: Province) -> None:
    wish: dict[str, Any] = {"declared": {"ap.seats": 1}, "amount_fen": 100, "term_days": 30}
    province.consent(SELLER, "ICBC")
    named = {"application": province.apply("LINE/1", **wish)["application"], "guarantor": "PAB"}
    province.refuse(Code.CONSENT_ONWARD, "ICBC", "loan.ask_guarantee", **named)
    # The company may tell whom it likes of its own application.
    assert province.do(SELLER, "loan.ask_guarantee", **named)["guarantor"] == "PAB"


def test_a_member_that_is_admitted_abroad_gets_no_node_by_vote() -> None:
    chain = Governance()
    admitted = {"key": "HKB", "role": "institution", "capabilities": ("abroad",)}
    code, data = chain.decide("D01", "add_member", "HKB", **admitted)
    assert code == Code.OK, data
    assert chain.member("HKB").capabilities == {"abroad"}
    code, data = chain.propose("D01", "add_observer", "HKB", key="node:HKB")
    assert code == Code.MEMBER_STATE
    assert "it runs none" in data["error"]


def test_a_lender_abroad_decides_nothing_that_may_not_leave_the_country() -> None:
    province = WithAbroad()
    asset = province.receivable()
    wish: dict[str, Any] = {"company": SELLER, "product": "SCF-CCB/1", "asset": asset}
    wish |= {"amount_fen": 100, "term_days": 30}
    province.refuse(Code.CONSENT_MISSING, SELLER, "loan.apply", **wish)
    province.consent(SELLER, "CCB", is_cross_border=True)
    assert province.do(SELLER, "loan.apply", **wish)["outcome"] == "GRANT"
