"""Warnings about loans, papers registered twice and pledged patents, through executed blocks."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger_harness import GENESIS_DAY
from tests.lending.province import BUYER, OTHER, SELLER, TODAY
from tests.lending.test_loans import drawn
from tests.lending.warnings import COMPANY, NEIGHBOUR, Borrowing, watched


@pytest.fixture
def lenders() -> Borrowing:
    return Borrowing()


def test_a_loan_that_nobody_touches_grows_older_day_by_day(lenders: Borrowing) -> None:
    loan = drawn(lenders)
    due = TODAY + 90
    lenders.pass_to(due)
    assert lenders.standing(SELLER) == []
    seen = []
    for days in range(1, 94):
        lenders.pass_to(due + days)
        seen.append(lenders.standing(SELLER))
    steps = (("EW01", 30), ("EW02", 30), ("EW03", 30), ("EW04", 3))
    assert seen == [[rule] for rule, count in steps for _ in range(count)]
    told = {
        rule: [item for item in lenders.warnings(SELLER) if item[0] == rule] for rule, _ in steps
    }
    for rule in ("EW01", "EW02", "EW03"):
        assert told[rule] == [(rule, "RESOLVED", False), (rule, "RESOLVED", True)]
    assert told["EW04"] == [("EW04", "OPEN", False)]
    owed_fen = lenders.ask("ICBC", "loan.show", loan=loan)["owed_fen"]
    lenders.do("ICBC", "loan.repay", loan=loan, amount_fen=owed_fen)
    assert lenders.standing(SELLER) == []
    assert lenders.warnings(SELLER)[-1] == ("EW04", "RESOLVED", False)


def test_an_old_debt_is_told_again_each_month(lenders: Borrowing) -> None:
    drawn(lenders)
    lenders.pass_to(TODAY + 90 + 91)
    for _ in range(60):
        lenders.advance_days(1)
    told = [item for item in lenders.warnings(SELLER) if item[0] == "EW04"]
    assert [is_repeat for _, _, is_repeat in told] == [False, True, True]


def test_a_receivable_and_its_invoice_are_one_paper_registered_twice(lenders: Borrowing) -> None:
    lenders.receivable(5, is_confirmed=False)
    lenders.receivable(6, is_confirmed=False)
    assert lenders.standing(SELLER) == []
    twin = lenders.receivable(5, kind="invoice", is_confirmed=False)
    assert lenders.standing(SELLER) == ["EW27"]
    (alert,) = lenders.ask("D18", "alerts.list", company=SELLER)["alerts"]
    assert dict(alert["inputs"]) == {
        "co.contested_registrations": 0,
        "co.double_registrations": 2,
    }
    lenders.do(SELLER, "asset.withdraw", asset=twin)
    assert lenders.standing(SELLER) == []


def test_papers_that_stay_registered_twice_are_told_of_again(lenders: Borrowing) -> None:
    lenders.receivable(5, is_confirmed=False)
    twin = lenders.receivable(5, kind="invoice", is_confirmed=False)
    for _ in range(89):
        lenders.advance_days(1)
    assert lenders.warnings(SELLER) == [("EW27", "OPEN", False)]
    lenders.advance_days(1)
    assert lenders.warnings(SELLER) == [("EW27", "OPEN", False), ("EW27", "OPEN", True)]
    lenders.do(SELLER, "asset.withdraw", asset=twin)
    assert lenders.standing(SELLER) == []
    for _ in range(100):
        lenders.advance_days(1)
    assert [is_repeat for _, _, is_repeat in lenders.warnings(SELLER)] == [False, True]


def test_an_invoice_with_another_amount_is_the_same_paper(lenders: Borrowing) -> None:
    drawn(lenders, asset=lenders.receivable())
    lenders.receivable(amount_fen=1, is_confirmed=False)
    assert lenders.standing(SELLER) == ["EW27"]
    for who in ("ICBC", SELLER, "D18"):
        (alert,) = lenders.ask(who, "alerts.list", company=SELLER)["alerts"]
        if who != "ICBC":
            assert "ICBC" not in repr(alert)
    assert lenders.ask("CCB", "alerts.list", company=SELLER)["alerts"] == []


def test_a_retry_of_the_same_registration_is_no_double(lenders: Borrowing) -> None:
    lenders.receivable(5, is_confirmed=False)
    body = {"company": SELLER, "kind": "receivable", "document_no": "INV-5", "day": TODAY - 20}
    body |= {"counterparty": BUYER, "amount_fen": 140_000_000, "due_day": TODAY + 120}
    lenders.refuse(Code.ASSET_EXISTS, SELLER, "asset.register", **body)
    assert lenders.standing(SELLER) == []


def test_a_patent_that_two_claim_warns_of_both_until_it_is_long_ago(lenders: Borrowing) -> None:
    patent = {"kind": "patent", "document_no": "ZL 2020-1", "day": TODAY - 900}
    lenders.do(SELLER, "asset.register", company=SELLER, **patent)
    assert lenders.standing(SELLER) == []
    wish = patent | {"document_no": "zl20201"}
    lenders.refuse(Code.ASSET_EXISTS, OTHER, "asset.register", company=OTHER, **wish)
    assert (lenders.standing(SELLER), lenders.standing(OTHER)) == (["EW27"], ["EW27"])
    assert lenders.standing(BUYER) == []
    (alert,) = lenders.ask(OTHER, "alerts.list", company=OTHER)["alerts"]
    assert SELLER not in repr(alert)
    lenders.advance_days(89)
    assert lenders.standing(OTHER) == ["EW27"]
    lenders.advance_days(31)
    assert (lenders.standing(SELLER), lenders.standing(OTHER)) == ([], [])


def test_a_bill_of_two_companies_is_registered_twice() -> None:
    network = watched()
    bill = {
        "kind": "bill_of_lading",
        "document_no": "B1",
        "day": GENESIS_DAY - 9,
        "counterparty": "COSCO",
    }
    receipt = bill | {"kind": "warehouse_receipt"}
    network.must("D01", "asset.register", {"company": COMPANY, **bill})
    network.must("D01", "asset.register", {"company": NEIGHBOUR, **receipt})
    assert (network.standing(), network.standing(NEIGHBOUR)) == (["EW27"], ["EW27"])


PATENT: dict[str, Any] = {
    "patent_no": "ZL1",
    "title": "a",
    "filed_on": TODAY - 900,
    "granted_on": TODAY - 800,
}
PATENT |= {"patent_type": "invention", "ipc_class": "H01", "legal_status": "valid"}


def digest_of(record: Record) -> bytes:
    return record_digest(encode_record(record))


def grant(lenders: Borrowing, company: str = SELLER, **changes: Any) -> None:
    lenders.tell("C028", [Record(company, TODAY - 800, PATENT | changes)])


def borrow_on_a_patent(lenders: Borrowing) -> str:
    lenders.consent(SELLER, "CCB")
    body = {"kind": "patent", "document_no": "ZL1", "day": TODAY - 900}
    asset = lenders.do(SELLER, "asset.register", company=SELLER, **body)["asset"]
    application = lenders.apply("IPP/1", asset=asset, term_days=300)["application"]
    lenders.do(SELLER, "loan.accept", application=application)
    return str(lenders.do("CCB", "loan.disburse", application=application)["loan"])


def test_the_fee_of_a_pledged_patent_is_due_on_its_day(lenders: Borrowing) -> None:
    grant(lenders, annual_fee_paid_until=TODAY + 30)
    loan = borrow_on_a_patent(lenders)
    lenders.advance_days(30)
    assert lenders.standing(SELLER) == []
    lenders.advance_days(1)
    lenders.do("D18", "alert.review", companies=(SELLER,))
    assert lenders.standing(SELLER) == ["EW28"]
    lenders.advance_days(89)
    assert [item[2] for item in lenders.warnings(SELLER)] == [False]
    lenders.advance_days(1)
    assert [item[2] for item in lenders.warnings(SELLER)] == [False, True]
    owed_fen = lenders.ask("CCB", "loan.show", loan=loan)["owed_fen"]
    lenders.do("CCB", "loan.repay", loan=loan, amount_fen=owed_fen)
    assert lenders.standing(SELLER) == []


def test_a_patent_that_lapses_warns_only_when_it_is_pledged(lenders: Borrowing) -> None:
    grant(lenders, legal_status="lapsed")
    grant(lenders, OTHER, legal_status="lapsed", patent_no="ZL2")
    lenders.do("D18", "alert.review", companies=(SELLER, OTHER))
    assert (lenders.standing(SELLER), lenders.standing(OTHER)) == ([], [])
    pledge: dict[str, Any] = {
        "registration_no": "R1",
        "patent_nos": ("ZL2", "ZL3"),
        "pledgee": "a bank",
    }
    pledge |= {"secured_amount": 5, "registered_on": TODAY - 9, "status": "valid"}
    first = Record(OTHER, TODAY - 9, pledge)
    lenders.tell("C030", [first])
    assert lenders.standing(OTHER) == ["EW28"]
    reference = (TODAY - 9, digest_of(first))
    ended = pledge | {"status": "released", "released_on": TODAY}
    lenders.tell("C030", [Record(OTHER, TODAY - 9, ended, supersedes=reference)])
    assert lenders.standing(OTHER) == []


def test_a_lapsed_patent_of_a_borrower_is_told_in_the_block_of_its_record(
    lenders: Borrowing,
) -> None:
    grant(lenders)
    borrow_on_a_patent(lenders)
    assert lenders.standing(SELLER) == []
    first = Record(SELLER, TODAY - 800, PATENT)
    lapsed = PATENT | {"legal_status": "lapsed"}
    reference = (TODAY - 800, digest_of(first))
    lenders.tell("C028", [Record(SELLER, TODAY - 800, lapsed, supersedes=reference)])
    assert lenders.standing(SELLER) == ["EW28"]
    assert lenders.ask("CCB", "alerts.watch", company=SELLER)["rules"] == ["EW28/1"]
