"""Objections and corrections: clocks, marks, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.credit.objections import COMPLAINT_DAYS, OBJECTION_DAYS, STATES, ObjectionState, Step
from ledger.errors import Code
from tests.lending.province import BUYER, SELLER, TODAY, Province, invoice

DAY = TODAY - 60


@pytest.fixture
def province() -> Province:
    return Province()


def record(province: Province, day: int = DAY) -> dict[str, Any]:
    params = {"company": SELLER, "category": "C044", "schema": "line"}
    answer = province.ask("D02", "company.records", **params, from_day=day, to_day=day)
    found: dict[str, Any] = answer["records"][0]
    return found


def objecting(province: Province, **changes: Any) -> dict[str, Any]:
    body = {
        "company": SELLER,
        "category": "C044",
        "schema": "line",
        "day": DAY,
        "digest": record(province)["digest"],
        "text": "The invoice was cancelled",
    }
    return body | changes


def opened(province: Province) -> str:
    return str(province.do(SELLER, "objection.open", **objecting(province))["objection"])


def correct(province: Province, day: int = DAY) -> None:
    number = (TODAY - day) // 30
    fixed = invoice(number, day, 4_000_000)
    digest = record(province, day)["digest"]
    fixed = type(fixed)(fixed.company, fixed.day, fixed.fields, None, (day, digest), fixed.salt)
    province.succeed(province.submit("D02", "C044", [fixed], "line"))


def kinds(province: Province, who: str) -> list[str]:
    return [item["kind"] for item in province.ask(who, "notices.list")["notices"]]


def test_a_record_is_disputed_for_every_later_reader_at_once(province: Province) -> None:
    assert record(province)["objection"] is None
    objection = opened(province)
    assert record(province)["objection"] == (objection, "OPEN", "")
    assert kinds(province, "D02") == ["objection"]
    shown = province.ask(SELLER, "objection.list", company=SELLER)["objections"][0]
    assert (shown["due_day"], shown["is_overdue"]) == (TODAY + OBJECTION_DAYS, False)
    province.advance_days(OBJECTION_DAYS + 1)
    shown = province.ask("D18", "objection.list", company=SELLER)["objections"][0]
    assert shown["is_overdue"]


def test_corrected_needs_a_correction(province: Province) -> None:
    objection = opened(province)
    decide = {"objection": objection, "outcome": "corrected"}
    province.refuse(Code.OBJECTION_STATE, "D02", "objection.decide", **decide)
    correct(province)
    assert province.do("D02", "objection.decide", **decide)["state"] == "CORRECTED"
    assert record(province)["objection"] is None


def test_an_annotation_stays_beside_the_record(province: Province) -> None:
    objection = opened(province)
    decide = {"objection": objection, "outcome": "annotated", "text": "noted"}
    province.do("D02", "objection.decide", **decide)
    mark = record(province)["objection"]
    assert mark == (objection, "ANNOTATED", "The invoice was cancelled")


def test_only_the_supplier_decides_and_only_the_regulator_rules(province: Province) -> None:
    objection = opened(province)
    decide = {"objection": objection, "outcome": "rejected", "text": "it is right"}
    for who in ("D01", "D18", SELLER, "ICBC"):
        province.refuse(Code.NOT_PERMITTED, who, "objection.decide", **decide)
    province.do("D02", "objection.decide", **decide)
    province.do(SELLER, "objection.complain", objection=objection, text="it is not")
    ruling = {"objection": objection, "outcome": "upheld"}
    province.refuse(Code.NOT_PERMITTED, "D02", "objection.rule", **ruling)
    ruled = province.do("D18", "objection.rule", **ruling)
    assert (ruled["state"], ruled["due_day"]) == ("OPEN", TODAY + OBJECTION_DAYS)
    assert kinds(province, "D18") == ["complaint"]
    assert kinds(province, "D02") == ["objection", "objection"]


def test_silence_may_be_complained_of_once_the_time_is_over(province: Province) -> None:
    objection = opened(province)
    complaint = {"objection": objection, "text": "no answer"}
    province.refuse(Code.OBJECTION_STATE, SELLER, "objection.complain", **complaint)
    province.advance_days(OBJECTION_DAYS + 1)
    shown = province.do(SELLER, "objection.complain", **complaint)
    assert shown["due_day"] == province.day + COMPLAINT_DAYS
    dismissed = province.do("D18", "objection.rule", objection=objection, outcome="dismissed")
    assert dismissed["state"] == "DISMISSED"
    assert record(province)["objection"] is None


def test_a_correction_tells_every_earlier_reader_and_no_other(province: Province) -> None:
    province.consent(SELLER, "CCB")
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    province.do("CCB", "access.open", **look)
    province.do("ICBC", "access.open", **look)  # refused: it saw nothing
    correct(province)
    told = province.ask("CCB", "notices.list")["notices"]
    assert [(item["kind"], item["company"], item["schema"]) for item in told] == [
        ("record corrected", SELLER, "C044/line")
    ]
    assert kinds(province, "ICBC") == []


def test_decisions_that_rested_on_a_corrected_record_want_another_look(province: Province) -> None:
    asset = province.receivable()
    province.consent(SELLER, "ICBC")
    application = province.apply("SCF-ICBC/1", asset=asset)["application"]
    shown = province.ask("ICBC", "application.show", application=application)
    assert shown["reviews"] == ()
    correct(province)
    shown = province.ask("ICBC", "application.show", application=application)
    assert shown["reviews"] == ((province.head.height, "C044/line"),)
    assert sorted(kinds(province, "ICBC")) == ["decision to review", "record corrected"]


def test_a_correction_of_what_came_after_the_look_is_nobodys_news(province: Province) -> None:
    province.consent(SELLER, "CCB")
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    province.do("CCB", "access.open", **look)
    late = invoice(900, TODAY - 7)
    province.succeed(province.submit("D02", "C044", [late], "line"))
    digest = record(province, TODAY - 7)["digest"]
    fixed = type(late)(
        late.company, late.day, {**late.fields, "net": 5}, None, (late.day, digest), late.salt
    )
    province.succeed(province.submit("D02", "C044", [fixed], "line"))
    assert kinds(province, "CCB") == []


REFUSED: list[tuple[str, Callable[[Province], dict[str, Any]], Code]] = [
    (BUYER, lambda p: objecting(p), Code.NOT_PERMITTED),
    (SELLER, lambda p: objecting(p, digest=bytes(32)), Code.OBJECTION_UNKNOWN),
    (SELLER, lambda p: objecting(p, day=DAY + 1), Code.OBJECTION_UNKNOWN),
    (SELLER, lambda p: objecting(p, category="C999"), Code.CATEGORY_UNKNOWN),
    (SELLER, lambda p: objecting(p, text=""), Code.BODY_MALFORMED),
]


@pytest.mark.parametrize(("who", "make", "code"), REFUSED)
def test_what_is_no_objection_is_rejected(
    province: Province, who: str, make: Callable[[Province], dict[str, Any]], code: Code
) -> None:
    province.refuse(code, who, "objection.open", **make(province))


def test_one_objection_to_a_record_at_a_time(province: Province) -> None:
    objection = opened(province)
    province.refuse(Code.OBJECTION_EXISTS, SELLER, "objection.open", **objecting(province))
    province.do(SELLER, "objection.withdraw", objection=objection)
    assert opened(province) != objection
    correct(province)
    province.do(SELLER, "objection.withdraw", objection=opened_id(province))
    digest = province.ask(SELLER, "objection.list", company=SELLER)["objections"][0]["digest"]
    body = objecting(province, digest=digest)
    province.refuse(Code.OBJECTION_STATE, SELLER, "objection.open", **body)


def opened_id(province: Province) -> str:
    listed = province.ask(SELLER, "objection.list", company=SELLER)["objections"]
    return str(next(item["objection"] for item in listed if item["state"] == "OPEN"))


def test_states_move_only_as_drawn(province: Province) -> None:
    ended = {ObjectionState.CORRECTED, ObjectionState.WITHDRAWN, ObjectionState.DISMISSED}
    assert not any(state in ended for state, _ in STATES)
    assert {step for _, step in STATES} == set(Step)
    objection = opened(province)
    province.do(SELLER, "objection.withdraw", objection=objection)
    for kind, who, body in (
        ("objection.withdraw", SELLER, {}),
        ("objection.decide", "D02", {"outcome": "rejected"}),
        ("objection.complain", SELLER, {"text": "no"}),
        ("objection.rule", "D18", {"outcome": "upheld"}),
    ):
        province.refuse(Code.OBJECTION_STATE, who, kind, objection=objection, **body)


def test_notices_come_in_pages_that_do_not_cut_a_block(province: Province) -> None:
    params = {"company": SELLER, "category": "C044", "schema": "line"}
    found = province.ask("D02", "company.records", **params)["records"][:5]
    bodies = [
        params | {"day": item["day"], "digest": item["digest"], "text": "wrong"} for item in found
    ]
    province.block(*(province.sign(SELLER, "objection.open", body) for body in bodies[:3]))
    province.block(*(province.sign(SELLER, "objection.open", body) for body in bodies[3:]))
    first = province.ask("D02", "notices.list", limit=2)
    assert len(first["notices"]) == 3
    rest = province.ask("D02", "notices.list", from_height=first["next_height"])
    assert (len(rest["notices"]), rest["next_height"]) == (2, None)
