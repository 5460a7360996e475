"""More cases an auditor tried on the platform in memory, where the first did not look.

Like `test_platform_cases.py` they run whole transactions through execution, as
`tests.lending.province` does.
"""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code
from ledger.transactions.records import Record
from tests.ledger_harness import SALT
from tests.lending.province import SELLER, Province

LINES = {"company": SELLER, "category": "C044", "schema": "line"}
LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}


@pytest.fixture
def province() -> Province:
    return Province()


def test_a_consent_that_is_used_up_does_not_hide_a_fresh_one(province: Province) -> None:
    for days in range(300, 304):  # whatever the order of their ids
        province.consent(SELLER, "ICBC", from_day=province.day - days)
    looks = [province.do("ICBC", "access.open", **LOOK) for _ in range(5)]
    assert [look["outcome"] for look in looks] == ["GRANTED"] * 4 + ["REFUSED"]
    assert len({look["consents"] for look in looks[:4]}) == 4
    assert looks[4]["code"] == Code.CONSENT_USED


def test_an_application_of_the_lender_finds_the_fresh_consent(province: Province) -> None:
    for days in (300, 301):
        province.consent(SELLER, "ICBC", from_day=province.day - days)
    wish = {"company": SELLER, "product": "LINE/1", "amount_fen": 1_000_000, "term_days": 9}
    wish |= {"declared": {"ap.seats": 9}}
    for _ in range(2):
        assert province.apply(who="ICBC", **wish)["outcome"] == "DECLINE"
    province.refuse(Code.CONSENT_USED, "ICBC", "loan.apply", **wish)


def corrected(record: Any) -> Record:
    fields = {**record["fields"], "net": 1, "gross": 1}
    return Record(SELLER, record["day"], fields, supersedes=reference(record), salt=SALT)


def reference(record: Any) -> tuple[int, bytes]:
    return record["day"], record["digest"]


def test_a_record_that_was_erased_is_not_brought_back_by_a_correction(province: Province) -> None:
    record = province.ask(SELLER, "company.records", **LINES)["records"][5]
    order = {"ground": "order", "reference": "court order 7", "records": (reference(record),)}
    province.do("D18", "records.erase", **LINES, **order)
    code, data = province.run(province.submit("D02", "C044", [corrected(record)], "line"))
    assert Code(code) is Code.RECORD_SUPERSEDES_UNKNOWN, data
    assert "was erased" in data["error"]
    shown = province.ask(SELLER, "company.records", **LINES)["records"]
    (after,) = [item for item in shown if item["digest"] == record["digest"]]
    assert (after["status"], after["fields"], after["body"]) == ("ERASED", None, None)
