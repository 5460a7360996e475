"""What may be kept has a day by which its deletion is told; what is late is seen and has a cost."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.credit.keeping import DUE_A_BLOCK, WITHDRAWAL_DAYS
from ledger.errors import Code, Rejected
from tests.lending.province import OTHER, SELLER, Province

LIFE_DAYS = 40
STORED = {"mode": "store", "data_life_days": LIFE_DAYS}
LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}


@pytest.fixture
def province() -> Province:
    return Province()


def keep(province: Province, **changes: Any) -> str:
    """Let CCB look under a consent to store; return the look."""
    province.consent(SELLER, "CCB", **(STORED | changes))
    return str(province.do("CCB", "access.open", **LOOK)["access"])


def overdue(province: Province, who: str, **params: Any) -> list[tuple[str, str, int]]:
    found = province.ask(who, "access.overdue", **params)["overdue"]
    return [(item["reader"], item["company"], item["due_day"]) for item in found]


def notices(province: Province, who: str) -> list[str]:
    return [item["kind"] for item in province.ask(who, "notices.list")["notices"]]


def told_of(province: Province, access: str) -> str:
    listed = province.ask(SELLER, "access.list", company=SELLER)["accesses"]
    return next(str(item["deletion"]) for item in listed if item["access"] == access)


def test_deletion_in_time_is_told_and_nobody_is_late(province: Province) -> None:
    access = keep(province)
    assert told_of(province, access) == "DUE"
    province.advance_days(LIFE_DAYS)
    assert overdue(province, "D18") == []
    told = province.do("CCB", "access.deleted", access=access)
    assert told["days_late"] == 0
    assert told_of(province, access) == "TOLD"
    province.advance_days(30)
    assert overdue(province, "D18") == []
    assert "deletion overdue" not in notices(province, "CCB")


def test_what_is_late_is_told_and_listed_to_whom_it_concerns(province: Province) -> None:
    access = keep(province)
    due_day = province.day + LIFE_DAYS
    province.advance_days(LIFE_DAYS + 1)
    late = [("CCB", SELLER, due_day)]
    for who in ("D18", SELLER, "CCB"):
        assert overdue(province, who) == late
        assert notices(province, who).count("deletion overdue") == 1
    for who in (OTHER, "ICBC", "D02"):
        assert overdue(province, who) == []
        assert overdue(province, who, company=SELLER) == []
    province.block()
    assert notices(province, "CCB").count("deletion overdue") == 1
    assert told_of(province, access) == "LATE"
    assert province.do("CCB", "access.deleted", access=access)["days_late"] == 1
    assert overdue(province, "D18") == []


def test_who_is_late_gets_no_further_look_until_it_has_told(province: Province) -> None:
    access = keep(province)
    province.consent(OTHER, "CCB", expires_ms=province.head.time_ms + 90 * 86_400_000)
    province.advance_days(LIFE_DAYS + 1)
    province.consent(SELLER, "CCB")
    refused = province.do("CCB", "access.open", **LOOK)
    assert (refused["outcome"], refused["code"]) == ("REFUSED", Code.DELETION_OVERDUE)
    # Another company is owed nothing.
    assert province.do("CCB", "access.open", **(LOOK | {"company": OTHER}))["code"] == 0
    wish = {"company": SELLER, "product": "SCF-CCB/1", "amount_fen": 100, "term_days": 30}
    asset = province.receivable()
    province.refuse(Code.DELETION_OVERDUE, "CCB", "loan.apply", asset=asset, **wish)
    province.do("CCB", "access.deleted", access=access)
    assert province.do("CCB", "access.open", **LOOK)["outcome"] == "GRANTED"


def test_withdrawal_ends_the_data_life_soon(province: Province) -> None:
    consent = province.consent(SELLER, "CCB", **STORED)
    access = province.do("CCB", "access.open", **LOOK)["access"]
    province.do(SELLER, "consent.revoke", consent=consent)
    province.advance_days(WITHDRAWAL_DAYS)
    assert overdue(province, "D18") == []
    province.advance_days(1)
    assert [item[0] for item in overdue(province, "D18")] == ["CCB"]
    province.do("CCB", "access.deleted", access=access)


def test_nothing_is_shown_of_what_was_told_deleted(province: Province) -> None:
    access = keep(province)
    read = LOOK | {"category": "C044", "schema": "line", "access": access}
    read = {name: read[name] for name in ("company", "category", "schema", "access")}
    assert province.ask("CCB", "company.records", **read)["records"]
    province.do("CCB", "access.deleted", access=access)
    with pytest.raises(Rejected) as caught:
        province.ask("CCB", "company.records", **read)
    assert caught.value.code is Code.ACCESS_UNFIT


def test_only_the_reader_tells_and_once_and_only_of_what_it_kept(province: Province) -> None:
    access = keep(province)
    for who in ("ICBC", SELLER, "D18"):
        province.refuse(Code.NOT_PERMITTED, who, "access.deleted", access=access)
    province.do("CCB", "access.deleted", access=access)
    province.refuse(Code.DELETION_STATE, "CCB", "access.deleted", access=access)
    province.consent(SELLER, "CCB")
    viewed = province.do("CCB", "access.open", **LOOK)["access"]
    province.refuse(Code.DELETION_STATE, "CCB", "access.deleted", access=viewed)
    assert told_of(province, viewed) == ""


def test_many_that_are_late_at_once_are_told_over_several_blocks(province: Province) -> None:
    count = DUE_A_BLOCK + 3
    terms = {"purpose": "monitoring", "fetch": "periodic", "looks_a_month": 5}
    for number in range(-(-count // 5)):
        province.consent(SELLER, "CCB", **STORED, **terms, from_day=province.day - 90 - number)
    look = LOOK | {"purpose": "monitoring"}
    province.block(*(province.sign("CCB", "access.open", look) for _ in range(count)))
    province.advance_days(LIFE_DAYS + 1)
    assert len(overdue(province, "D18")) == count
    assert notices(province, "CCB").count("deletion overdue") == DUE_A_BLOCK
    province.block()
    assert notices(province, "CCB").count("deletion overdue") == count
    assert len(overdue(province, "D18")) == count
