"""Erasing records: nobody sees or counts them from the order's block on; what proves stays."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.credit.erasure import MAX_ERASED
from ledger.credit.records import RecordStatus, find_by_digest
from ledger.credit.retention import KEPT_DAYS
from ledger.credit.windows_state import cut_day
from ledger.errors import Code
from ledger.storage.chain_store import BODIES
from tests.lending.province import SELLER, TODAY, Province, invoice

OLD_DAY = TODAY - 30  # of invoice 1
OLD = {"company": SELLER, "category": "C044", "schema": "line", "reference": "order 7 of 2020"}


def records_of(province: Province, who: str = "D02") -> list[dict[str, Any]]:
    params = {"company": SELLER, "category": "C044", "schema": "line"}
    found: list[dict[str, Any]] = province.ask(who, "company.records", **params)["records"]
    return found


def sales(province: Province) -> int:
    params = {"company": SELLER, "schema": "company/1"}
    value: int = province.ask("D02", "company.features", **params)["facts"]["co.sales_12m"]
    return value


def named(province: Province, day: int = OLD_DAY) -> tuple[int, bytes]:
    (found,) = [item for item in records_of(province) if item["day"] == day]
    return day, found["digest"]


def erase(province: Province, who: str = "D02", **changes: Any) -> Any:
    records = changes.pop("records", None) or (named(province),)
    body = OLD | {"records": records, "ground": "order"} | changes
    return province.do(who, "records.erase", **body)


def test_an_erased_record_is_shown_to_nobody_and_counts_in_nothing() -> None:
    province = Province()
    before, reference = sales(province), named(province)
    assert erase(province) == {"company": SELLER, "erased": 1}
    assert sales(province) == before - 10_000_000
    (shown,) = [item for item in records_of(province) if item["digest"] == reference[1]]
    assert (shown["status"], shown["code"]) == ("ERASED", Code.RECORD_ERASED)
    assert (shown["fields"], shown["body"], shown["source_digest"]) == (None, None, None)


def test_digest_place_and_log_stay_and_the_unsalted_hash_goes() -> None:
    province = Province()
    state = province.query_context("D02").state
    size, root = state.company_log(SELLER).size, state.company_log(SELLER).root()
    day, digest = named(province)
    erase(province)
    state = province.query_context("D02").state
    assert (state.company_log(SELLER).size, state.company_log(SELLER).root()) == (size, root)
    placed = find_by_digest(state, SELLER, "C044/line", day, digest)
    assert placed is not None
    assert (placed.entry.status, placed.entry.content) == (RecordStatus.ERASED, b"")


def test_no_later_block_reads_an_erased_body() -> None:
    """A node may delete it: corrections, features and decisions of that day go on without."""
    province, twin = Province(), Province()
    for chain in (province, twin):
        erase(chain)
    entry = find_by_digest(
        province.query_context("D02").state, SELLER, "C044/line", *_erased(province)
    )
    assert entry is not None
    _delete_body(province, entry.entry.height, entry.entry.position, entry.entry.index)
    for chain in (province, twin):
        fresh = [invoice(500, OLD_DAY), invoice(2, TODAY - 60, 7)]
        chain.succeed(chain.submit("D02", "C044", fresh, "line"))
        chain.consent(SELLER, "ICBC")
        chain.apply("SCF-ICBC/1", asset=chain.receivable())
    assert province.head.state_root == twin.head.state_root
    assert sales(province) == sales(twin)


def _erased(province: Province) -> tuple[int, bytes]:
    (found,) = [item for item in records_of(province) if item["status"] == "ERASED"]
    return found["day"], found["digest"]


def _delete_body(province: Province, height: int, position: int, index: int) -> None:
    from ledger.storage.chain_store import body_key

    key = body_key(height, position, index)
    assert key.startswith(BODIES)
    assert province.store.get(key) is not None
    province.store.write({key: None}, sync=True)


def test_who_saw_it_is_told() -> None:
    province = Province()
    consent = province.consent(SELLER, "ICBC")
    body = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    assert province.do("ICBC", "access.open", **body)["consents"] == (consent,)
    erase(province)
    notices = province.ask("ICBC", "notices.list", from_height=1)["notices"]
    assert [item["company"] for item in notices] == [SELLER]


def test_a_regulator_may_order_it_and_nobody_else() -> None:
    province = Province()
    body = OLD | {"records": (named(province),), "ground": "order"}
    for who in ("ICBC", "D01", SELLER):
        text = province.refuse(Code.CATEGORY_NOT_OWNED, who, "records.erase", **body)
        assert "C044" in text
    assert erase(province, "D18")["erased"] == 1


def test_retention_is_three_years_after_the_records_day() -> None:
    province = Province()
    body = OLD | {"records": (named(province),), "ground": "retention"}
    text = province.refuse(Code.RECORD_DATE, "D02", "records.erase", **body)
    assert str(OLD_DAY + KEPT_DAYS) in text
    province.advance_days(OLD_DAY + KEPT_DAYS - province.day)
    assert erase(province, ground="retention")["erased"] == 1


def test_all_or_nothing_and_never_twice() -> None:
    province = Province()
    first, second = named(province), named(province, TODAY - 60)
    body = OLD | {"ground": "order"}
    missing = (TODAY - 60, bytes(32))
    province.refuse(Code.RECORD_UNKNOWN, "D02", "records.erase", **body, records=(first, missing))
    assert {item["status"] for item in records_of(province)} == {"CURRENT"}
    assert erase(province, records=(first, second))["erased"] == 2
    text = province.refuse(Code.RECORD_UNKNOWN, "D02", "records.erase", **body, records=(first,))
    assert "erased already" in text


def test_sales_that_are_all_erased_are_missing_and_not_zero() -> None:
    """Missing is never zero (RULES.md): the source attests anew, or nobody knows."""
    province = Province()
    year = [item for item in records_of(province) if item["day"] > TODAY - 365]
    erase(province, records=tuple((item["day"], item["digest"]) for item in year))
    params = {"company": SELLER, "schema": "company/1"}
    facts = province.ask("D02", "company.features", **params)["facts"]
    assert "co.sales_12m" not in facts
    province.attest_sales()
    assert sales(province) == 0


@pytest.mark.parametrize(
    ("day", "want"),
    [
        (5, ((6, 9), (20, 20))),
        (7, ((5, 6), (8, 9), (20, 20))),
        (9, ((5, 8), (20, 20))),
        (20, ((5, 9),)),
        (12, ((5, 9), (20, 20))),
    ],
)
def test_a_day_is_cut_out_of_what_is_attested(day: int, want: tuple[tuple[int, int], ...]) -> None:
    assert cut_day(((5, 9), (20, 20)), day) == want


def test_a_superseded_record_is_erased_and_its_correction_counts_on() -> None:
    province = Province()
    before, (day, digest) = sales(province), named(province)
    better = invoice(1, day, 4_000_000)
    better = type(better)(SELLER, day, better.fields, None, (day, digest), better.salt)
    province.succeed(province.submit("D02", "C044", [better], "line"))
    after = sales(province)
    assert after == before - 6_000_000
    erase(province, records=((day, digest),))
    assert sales(province) == after
    assert {item["status"] for item in records_of(province) if item["day"] == day} == {
        "CURRENT",
        "ERASED",
    }


@pytest.mark.parametrize(
    "records",
    [
        (),
        ((OLD_DAY,),),
        ((OLD_DAY, b"short"),),
        (("x", bytes(32)),),
        "x",
        ((OLD_DAY, bytes(32)),) * 257,
    ],
)
def test_bad_references_are_named(records: Any) -> None:
    province = Province()
    body = OLD | {"ground": "order", "records": records}
    text = province.refuse(Code.BODY_MALFORMED, "D02", "records.erase", **body)
    assert f"1 to {MAX_ERASED}" in text
