"""Attacks on what is released: queries by whoever has no basis, and past what a basis opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ledger.credit.access_log import RELEASE_MS
from ledger.errors import Code, Rejected
from ledger.queries import QUERIES
from ledger.transactions.fields import FIRST_DAY
from tests.lending.province import OTHER, SELLER, TODAY, Province, invoice
from tests.lending.test_bad_bodies import prepared
from tests.lending.test_sdk import _known

LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
READ = {"company": SELLER, "category": "C044", "schema": "line"}
FEATURES = {"company": SELLER, "schema": "company/1"}
STRANGERS = ("PAB", "D20", OTHER)  # an institution, a department, a company


@pytest.fixture
def province() -> Province:
    return Province()


def look(province: Province, **changes: Any) -> str:
    opened = province.do("CCB", "access.open", **(LOOK | changes))
    assert opened["outcome"] == "GRANTED", opened
    return str(opened["access"])


def lines_of(province: Province, access: str) -> dict[str, Any]:
    """Return the line of the sales in the profile that CCB sees."""
    profile = province.ask("CCB", "company.profile", company=SELLER, access=access)
    return next(
        dict(line)
        for lines in profile["dimensions"].values()
        for line in lines
        if line["schema"] == "C044/line"
    )


def leaves(value: Any) -> Iterator[Any]:
    """Yield everything that an answer says."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def find_secrets(province: Province, company: str) -> set[Any]:
    """Return what only a basis shows: the digests of a company's sales, and figures over them."""
    params = READ | {"company": company}
    records = province.ask("D02", "company.records", **params)["records"]
    facts = province.ask("D02", "company.features", **(FEATURES | {"company": company}))["facts"]
    figures = {value for value in facts.values() if type(value) is int and value > 1_000_000}
    assert records
    assert figures
    return {record["digest"] for record in records} | figures


@pytest.mark.parametrize("name", sorted(set(QUERIES) - {"proposals.show", "epochs.changes"}))
def test_no_query_tells_a_stranger_what_an_authorisation_protects(name: str) -> None:
    province, _ = prepared()
    secrets = find_secrets(province, SELLER)
    body = _known().get(name)
    if body is None:
        body = {"block.certificate": {"height": 1}}.get(name, {})
    for caller in STRANGERS:
        try:
            answer = QUERIES[name](province.query_context(caller), body)
        except Rejected:
            continue
        assert not secrets.intersection(leaf for leaf in leaves(answer) if leaf.__hash__), caller


def test_a_look_ends_by_the_clock_of_the_node_while_no_block_comes(province: Province) -> None:
    province.consent(SELLER, "CCB")
    params = READ | {"access": look(province)}
    context = province.query_context("CCB")
    context.clock_ms = province.head.time_ms + RELEASE_MS
    assert QUERIES["company.records"](context, params)
    context.clock_ms += 1
    with pytest.raises(Rejected) as caught:
        QUERIES["company.records"](context, params)
    assert caught.value.code is Code.ACCESS_UNFIT


def test_a_consent_ends_by_the_clock_of_the_node_while_no_block_comes(province: Province) -> None:
    ends_ms = province.head.time_ms + 60_000
    province.consent(SELLER, "CCB", expires_ms=ends_ms)
    params = READ | {"access": look(province)}
    context = province.query_context("CCB")
    context.clock_ms = ends_ms
    with pytest.raises(Rejected) as caught:
        QUERIES["company.records"](context, params)
    assert caught.value.code is Code.CONSENT_MISSING


def test_a_profile_counts_only_the_records_of_the_days_that_are_open(province: Province) -> None:
    province.consent(SELLER, "CCB", from_day=TODAY - 65, to_day=TODAY - 25)
    access = look(province)
    line = lines_of(province, access)
    assert (line["record_count"], line["last_day"]) == (2, TODAY - 30)
    shown = province.ask("CCB", "company.show", company=SELLER, access=access)["schemas"]
    (sales,) = (item for item in shown if item["schema"] == "C044/line")
    assert (sales["record_count"], sales["first_day"]) == (2, TODAY - 60)
    assert sales["attested"] == ((TODAY - 65, TODAY - 25),)


def test_what_came_after_the_look_is_in_no_count_and_no_feature(province: Province) -> None:
    province.consent(SELLER, "CCB", from_day=TODAY - 366)
    access = look(province)
    before = lines_of(province, access)["record_count"]
    params = FEATURES | {"access": access}
    facts = province.ask("CCB", "company.features", **params)["facts"]
    assert "co.sales_12m" in facts
    late = invoice(900, TODAY - 7, 999_000_000)
    province.succeed(province.submit("D02", "C044", [late], "line"))
    assert lines_of(province, access)["record_count"] == before
    after = province.ask("CCB", "company.features", **params)
    assert "co.sales_12m" in after["withheld"]
    assert "co.sales_12m" not in after["facts"]


def test_a_look_at_days_that_are_not_open_is_refused_and_uses_nothing_up(
    province: Province,
) -> None:
    province.consent(SELLER, "CCB", from_day=TODAY - 100, to_day=TODAY - 50)
    opened = province.do("CCB", "access.open", **LOOK, from_day=TODAY - 49)
    assert (opened["outcome"], opened["code"]) == ("REFUSED", Code.CONSENT_DAYS)
    access = look(province, from_day=TODAY - 60)
    records = province.ask("CCB", "company.records", **READ, access=access)["records"]
    assert {record["day"] for record in records} == {TODAY - 60}


def test_where_inputs_came_from_is_cut_to_the_days_of_a_look(province: Province) -> None:
    asset = province.receivable()
    province.consent(SELLER, "ICBC", from_day=TODAY - 45)
    wish = {"asset": asset, "amount_fen": 100}
    named = {"application": province.apply("SCF-ICBC/1", "ICBC", **wish)["application"]}

    def first_day_of(who: str) -> int:
        sources = province.ask(who, "application.sources", **named)["inputs"]
        (sales,) = (item for item in sources if item["input"] == "co.sales_12m")
        (window,) = sales["records"]
        assert window["count"] == {TODAY - 45: 2, TODAY - 364: 13}[window["from_day"]]
        return int(window["from_day"])

    assert first_day_of("ICBC") == TODAY - 45
    assert first_day_of(SELLER) == TODAY - 364


def test_of_two_looks_for_the_last_fetch_one_is_granted(province: Province) -> None:
    province.consent(SELLER, "CCB")
    racing = [province.sign("CCB", "access.open", LOOK) for _ in range(2)]
    results: Any = province.block(*racing).results
    assert [data["outcome"] for _, data in results] == ["GRANTED", "REFUSED"]
    accesses = [data["access"] for _, data in results]
    assert province.ask("CCB", "company.records", **READ, access=accesses[0])["records"]
    with pytest.raises(Rejected) as caught:
        province.ask("CCB", "company.records", **READ, access=accesses[1])
    assert caught.value.code is Code.ACCESS_UNFIT


def test_a_decision_shows_the_lender_no_record(province: Province) -> None:
    province.consent(SELLER, "ICBC", decision_from_day=FIRST_DAY)
    access = province.apply("SCF-ICBC/1", asset=province.receivable())["application"]
    with pytest.raises(Rejected) as caught:
        province.ask("ICBC", "company.records", **READ, access=access)
    assert caught.value.code is Code.ACCESS_UNFIT


@pytest.mark.parametrize("step", ["pause", "revoke"])
def test_a_consent_that_ended_while_the_look_waited_grants_nothing(
    province: Province, step: str
) -> None:
    consent = province.consent(SELLER, "CCB")
    ending = province.sign(SELLER, f"consent.{step}", {"consent": consent})
    results: Any = province.block(ending, province.sign("CCB", "access.open", LOOK)).results
    assert results[1][1]["code"] == Code.CONSENT_MISSING


def standing(province: Province) -> list[tuple[str, int, int, bool]]:
    listed = province.ask(SELLER, "consent.list", company=SELLER)["consents"]
    return [
        (item["state"], item["looks_taken"], item["looks_left"], item["may_decide"])
        for item in listed
    ]


def test_a_consent_that_is_used_up_says_so(province: Province) -> None:
    terms = {"purpose": "guarantee", "from_day": TODAY - 90}
    province.consent(SELLER, "CCB", **terms)
    assert standing(province) == [("ACTIVE", 0, 1, False)]
    look(province, purpose="guarantee")
    assert standing(province) == [("USED", 1, 0, False)]


def test_a_consent_whose_look_is_taken_may_still_decide_until_its_days_are_over(
    province: Province,
) -> None:
    consent = province.consent(SELLER, "CCB", to_day=TODAY + 3)
    look(province)
    assert standing(province) == [("ACTIVE", 1, 0, True)]
    province.advance_days(4)
    assert standing(province) == [("USED", 1, 0, False)]
    shown = province.ask("CCB", "consent.show", consent=consent)
    assert shown["next_look_ms"] is None
    assert any("keeps nothing" in sentence for sentence in shown["promised"])


def test_a_month_whose_looks_are_taken_says_when_the_next_begins(province: Province) -> None:
    terms = {"purpose": "monitoring", "fetch": "periodic", "looks_a_month": 2}
    consent = province.consent(SELLER, "CCB", from_day=TODAY - 90, **terms)
    for _ in range(2):
        look(province, purpose="monitoring")
    assert standing(province) == [("ACTIVE", 2, 0, False)]
    next_ms = province.ask(SELLER, "consent.show", consent=consent)["next_look_ms"]
    assert next_ms == 18_322 * 86_400_000  # 2020-03-01
    province.block(time_ms=next_ms)
    assert standing(province) == [("ACTIVE", 2, 2, False)]
