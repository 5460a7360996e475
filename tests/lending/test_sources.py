"""Where a decision's inputs came from: the records as they stood, and nobody else's business."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, Rejected
from ledger.transactions.records import Record, encode_record, record_digest
from tests.lending.province import OTHER, SELLER, TODAY, Province, invoice


def sources_of(province: Province, application: str, who: str = SELLER) -> dict[str, Any]:
    answer = province.ask(who, "application.sources", application=application)
    assert answer["company"] == SELLER
    return {item["input"]: item for item in answer["inputs"]}


def apply(province: Province) -> str:
    province.consent(SELLER, "ICBC")
    application: str = province.apply("SCF-ICBC/1", asset=province.receivable())["application"]
    return application


def test_every_input_of_the_decision_is_traced() -> None:
    province = Province()
    application = apply(province)
    facts = province.ask(SELLER, "application.show", application=application)["facts"]
    found = sources_of(province, application)
    assert facts.keys() <= found.keys()
    assert {name: found[name]["value"] for name in facts} == facts
    sales = found["co.sales_12m"]
    assert (sales["source"], sales["unit"]) == ("records", "fen")
    (window,) = sales["records"]
    assert (window["category"], window["schema"], window["aggregate"]) == ("C044", "line", "sum")
    assert (window["from_day"], window["to_day"]) == (TODAY - 364, TODAY)
    assert (window["count"], window["is_more"]) == (13, False)
    listed = province.ask("D02", "company.records", company=SELLER, category="C044", schema="line")
    digests = {item["digest"]: item for item in listed["records"]}
    for item in window["latest"]:
        assert digests[item["digest"]]["day"] == item["day"]
    assert [item["day"] for item in window["latest"]] == sorted(
        (item["day"] for item in window["latest"]), reverse=True
    )
    assert found["rv.amount"]["source"] == "asset"
    assert found["ap.amount"]["source"] == "application"
    assert found["as_of"]["source"] == "block"


def test_what_came_later_does_not_count_and_what_was_corrected_since_says_so() -> None:
    province = Province()
    application = apply(province)
    (before,) = sources_of(province, application)["co.sales_12m"]["records"]
    last = before["latest"][0]
    province.succeed(province.submit("D02", "C044", [invoice(900, TODAY)], "line"))
    (same,) = sources_of(province, application)["co.sales_12m"]["records"]
    assert same == before
    old = next(
        record
        for record in province.ask(
            "D02", "company.records", company=SELLER, category="C044", schema="line"
        )["records"]
        if record["digest"] == last["digest"]
    )
    fixed = Record(
        SELLER,
        last["day"],
        {**old["fields"], "net": 1},
        supersedes=(last["day"], last["digest"]),
        salt=bytes(16),
    )
    assert record_digest(encode_record(fixed)) != last["digest"]
    province.succeed(province.submit("D02", "C044", [fixed], "line"))
    (after,) = sources_of(province, application)["co.sales_12m"]["records"]
    assert after["count"] == before["count"]
    assert after["latest"][0] == {**last, "status": "SUPERSEDED"}


def test_only_whom_it_concerns_may_ask() -> None:
    province = Province()
    application = apply(province)
    for who in (SELLER, "ICBC", "D18"):
        assert sources_of(province, application, who)
    for who in ("CCB", OTHER, "D02"):
        with pytest.raises(Rejected) as caught:
            sources_of(province, application, who)
        assert caught.value.code is Code.NOT_PERMITTED
