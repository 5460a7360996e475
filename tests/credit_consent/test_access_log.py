"""The access log: every look is logged, refused ones too, and data comes only after the log."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.credit.access_log import RELEASE_MS
from ledger.errors import Code, Rejected
from ledger.queries import QUERIES
from ledger.storage.chain_store import CERTIFICATES, height_key
from tests.lending.province import OTHER, SELLER, TODAY, Province


@pytest.fixture
def province() -> Province:
    return Province()


def look(province: Province, who: str = "CCB", **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    opened: dict[str, Any] = province.do(who, "access.open", **(body | changes))
    return opened


def read(province: Province, access: str | None, who: str = "CCB", **changes: Any) -> Any:
    params = {"company": SELLER, "category": "C044", "schema": "line"} | changes
    if access is not None:
        params["access"] = access
    return province.ask(who, "company.records", **params)


def refused(province: Province, access: str | None, who: str = "CCB", **changes: Any) -> Code:
    with pytest.raises(Rejected) as caught:
        read(province, access, who, **changes)
    return caught.value.code


def test_data_is_shown_only_after_its_look_is_logged(province: Province) -> None:
    province.consent(SELLER, "CCB", from_day=TODAY - 100)
    assert refused(province, None) is Code.ACCESS_NOT_LOGGED
    opened = look(province)
    assert opened["outcome"] == "GRANTED"
    shown = read(province, opened["access"])
    assert {item["day"] for item in shown["records"]} == {
        TODAY - 20,
        TODAY - 30,
        TODAY - 60,
        TODAY - 90,
    }


def test_data_waits_for_the_certificate_of_its_look(province: Province) -> None:
    province.consent(SELLER, "CCB")
    opened = look(province)
    certificate = height_key(CERTIFICATES, province.head.height)
    stored = province.store.get(certificate)
    province.store.write({certificate: None}, sync=True)
    assert refused(province, opened["access"]) is Code.ACCESS_NOT_LOGGED
    province.store.write({certificate: stored}, sync=True)
    assert read(province, opened["access"])["records"]


def test_a_look_without_a_basis_is_refused_and_the_refusal_stays(province: Province) -> None:
    opened = look(province)
    assert (opened["outcome"], opened["code"]) == ("REFUSED", Code.CONSENT_MISSING)
    assert refused(province, opened["access"]) is Code.CONSENT_MISSING
    seen = province.ask(SELLER, "access.list", company=SELLER)["accesses"]
    assert [(item["reader"], item["outcome"]) for item in seen] == [("CCB", "REFUSED")]


def test_nobody_else_and_nothing_else_is_shown_by_a_look(province: Province) -> None:
    province.consent(SELLER, "CCB")
    province.consent(SELLER, "ICBC", fetch="periodic", purpose="monitoring", from_day=TODAY - 90)
    opened = look(province)
    assert refused(province, opened["access"], who="ICBC") is Code.ACCESS_UNFIT
    province.consent(OTHER, "CCB")
    assert refused(province, opened["access"], company=OTHER) is Code.ACCESS_UNFIT


def test_a_look_ends_with_its_time_and_with_the_consent(province: Province) -> None:
    consent = province.consent(SELLER, "CCB")
    opened = look(province)
    late = province.query_context("CCB")
    late.time_ms += RELEASE_MS + 2_000
    with pytest.raises(Rejected) as caught:
        QUERIES["company.records"](
            late, {"company": SELLER, "category": "C044", "access": opened["access"]}
        )
    assert caught.value.code is Code.ACCESS_UNFIT
    province.do(SELLER, "consent.revoke", consent=consent)
    assert refused(province, opened["access"]) is Code.CONSENT_MISSING


def test_one_look_is_one_and_five_a_month_are_five(province: Province) -> None:
    province.consent(SELLER, "CCB")
    assert look(province)["outcome"] == "GRANTED"
    again = look(province)
    assert (again["outcome"], again["code"]) == ("REFUSED", Code.CONSENT_USED)
    terms = {"purpose": "monitoring", "fetch": "periodic", "looks_a_month": 2}
    province.consent(SELLER, "CCB", from_day=TODAY - 90, **terms)
    looks = [look(province, purpose="monitoring")["outcome"] for _ in range(3)]
    assert looks == ["GRANTED", "GRANTED", "REFUSED"]
    province.advance_days(31)
    assert look(province, purpose="monitoring")["outcome"] == "GRANTED"


def test_the_company_sees_who_looked_decisions_included(province: Province) -> None:
    asset = province.receivable()
    province.consent(SELLER, "ICBC")
    province.apply("SCF-ICBC/1", asset=asset)
    province.consent(SELLER, "CCB")
    look(province)
    seen = province.ask(SELLER, "access.list", company=SELLER)["accesses"]
    assert [(item["reader"], item["outcome"]) for item in seen] == [
        ("ICBC", "DECISION"),
        ("CCB", "GRANTED"),
    ]
    assert [
        item["reader"] for item in province.ask("D18", "access.list", company=SELLER)["accesses"]
    ]
    assert len(province.ask("CCB", "access.list", company=SELLER)["accesses"]) == 1
    assert province.ask("PAB", "access.list", company=SELLER)["accesses"] == []


def test_the_log_comes_in_pages_that_do_not_cut_a_block(province: Province) -> None:
    body = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    province.block(*(province.sign("CCB", "access.open", body) for _ in range(3)))
    province.block(*(province.sign("ICBC", "access.open", body) for _ in range(2)))
    first = province.ask(SELLER, "access.list", company=SELLER, limit=2)
    assert len(first["accesses"]) == 3
    rest = province.ask(SELLER, "access.list", company=SELLER, from_height=first["next_height"])
    assert [item["reader"] for item in rest["accesses"]] == ["ICBC", "ICBC"]
    assert rest["next_height"] is None


@pytest.mark.parametrize(
    ("who", "changes", "code"),
    [
        (SELLER, {}, Code.NOT_PERMITTED),
        ("CCB", {"categories": ("C001",)}, Code.CATEGORY_UNKNOWN),
        ("CCB", {"categories": ("C999",)}, Code.CATEGORY_UNKNOWN),
        ("CCB", {"purpose": "curiosity"}, Code.BODY_MALFORMED),
        ("CCB", {"company": "0"}, Code.BODY_MALFORMED),
    ],
)
def test_what_is_no_look_is_rejected(
    province: Province, who: str, changes: dict[str, Any], code: Code
) -> None:
    body: dict[str, Any] = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    province.refuse(code, who, "access.open", **(body | changes))
