"""Early warnings through executed blocks: at their thresholds, no sooner, told again and cleared.

Those over invoices (EW05 to EW13) are in tests/lending/test_sales_warnings.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ledger.errors import Code
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger_harness import GENESIS_DAY, SALT
from tests.lending.province import BUYER, OTHER, SELLER, TODAY
from tests.lending.test_loans import drawn
from tests.lending.warnings import COMPANY, NEIGHBOUR, Borrowing, Watched, watched

NOW = GENESIS_DAY
YEAR_AGO = NOW - 365


@dataclass(frozen=True, slots=True)
class Told:
    """A record as it is submitted: category, day, fields; `corrects` numbers an earlier one."""

    category: str
    day: int
    fields: dict[str, Any] = field(default_factory=dict)
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A rule: what is just below its threshold, what reaches it, what clears it."""

    rule: str
    reason: str
    severity: str
    below: tuple[Told, ...]
    at: Told
    clear: tuple[Told, ...]
    repeat_days: int = 90


def months(category: str, back: int, *values: int, name: str) -> tuple[Told, ...]:
    """Return records of consecutive months, the last of them so many days before today."""
    count = len(values)
    return tuple(
        Told(category, NOW - back - 30 * (count - number), {name: value})
        for number, value in enumerate(values, 1)
    )


CASES = (
    Case(
        "EW14",
        "A114",
        "orange",
        (
            Told("C048", NOW - 9, {"arrears_balance": 0}),
            Told("C048", NOW - 365, {"arrears_balance": 9}),
            Told("C049", NOW - 9, {"released_on": NOW - 1}),
        ),
        Told("C048", NOW - 8, {"arrears_balance": 1}),
        (Told("C048", NOW - 8, {"arrears_balance": 0}, 3),),
    ),
    Case(
        "EW15",
        "A115",
        "red",
        (Told("C047", NOW - 30, {"grade": "C"}), Told("C047", NOW - 400, {"grade": "D"})),
        Told("C047", NOW - 2, {"grade": "D"}),
        (Told("C047", NOW - 1, {"grade": "M"}),),
    ),
    Case(
        "EW16",
        "A116",
        "orange",
        (Told("C018", NOW - 90, {"removed_on": NOW}),),
        Told("C018", NOW - 9),
        (Told("C018", NOW - 9, {"removed_on": NOW}, 1),),
    ),
    Case(
        "EW17",
        "A117",
        "red",
        (Told("C019", NOW - 90, {"removed_on": NOW}),),
        Told("C019", NOW - 9),
        (Told("C019", NOW - 9, {"removed_on": NOW}, 1),),
    ),
    Case(
        "EW29",
        "A129",
        "orange",
        (
            Told("C183", YEAR_AGO, {"fob_value": 500_000}),
            Told("C183", NOW - 1, {"fob_value": 250_001}),
        ),
        Told("C183", NOW - 1, {"fob_value": 250_000}, 1),
        (Told("C183", NOW - 1, {"fob_value": 250_001}, 2),),
    ),
    Case(
        "EW18",
        "A118",
        "orange",
        (
            Told("C015", NOW - 300, {"owners_equity": 1_000_000}),
            Told("C174", NOW - 20, {"enforcement_amount": 70_000, "enforcement_case_no": "1"}),
            Told("C174", NOW - 10, {"enforcement_amount": 30_000, "enforcement_case_no": "2"}),
            Told("C174", NOW - 10, {"enforcement_amount": 900_000, "status": "settled"}),
        ),
        Told("C174", NOW, {"enforcement_amount": 1, "enforcement_case_no": "3"}),
        (Told("C174", NOW - 20, {"enforcement_case_no": "1", "status": "terminated"}, 1),),
    ),
    Case(
        "EW19",
        "A119",
        "red",
        (Told("C175", NOW - 100, {"removed_on": NOW - 5, "enforcement_case_no": "1"}),),
        Told("C175", NOW - 1, {"enforcement_case_no": "2"}),
        (Told("C175", NOW - 1, {"enforcement_case_no": "2", "removed_on": NOW}, 1),),
    ),
    Case(
        "EW20",
        "A120",
        "red",
        (
            Told("C178", NOW - 9, {"status": "released", "notice_no": "1"}),
            Told("C178", NOW - 9, {"freeze_to": NOW - 1, "notice_no": "2"}),
            Told("C091", NOW - 9, {"seized_to": NOW - 1}),
        ),
        Told("C178", NOW - 3, {"notice_no": "3"}),
        (Told("C178", NOW - 3, {"notice_no": "3", "status": "released"}, 3),),
    ),
    Case(
        "EW21",
        "A121",
        "red",
        (Told("C179", NOW - 900, {"case_no": "1", "status": "closed"}),),
        Told("C179", NOW, {"case_no": "2"}),
        (Told("C179", NOW, {"case_no": "2", "status": "closed"}, 1),),
    ),
    Case(
        "EW22",
        "A122",
        "red",
        (
            Told("C100", NOW - 1, {"decision_no": "1"}),
            Told("C100", NOW - 365, {"decision_no": "2", "production_halted": True}),
        ),
        Told("C100", NOW - 240, {"decision_no": "3", "production_halted": True}),
        (Told("C100", NOW - 240, {"decision_no": "3"}, 2),),
    ),
    Case(
        "EW23",
        "A123",
        "yellow",
        (
            *months("C056", 365, 10, 10, 10, name="insured_total"),
            *months("C056", 0, 8, 7, name="insured_total"),
            Told("C056", NOW - 5, {"insured_total": 7}),
        ),
        Told("C056", NOW - 5, {"insured_total": 6}, 5),
        (Told("C056", NOW - 5, {"insured_total": 7}, 6),),
        30,
    ),
    Case(
        "EW24",
        "A124",
        "orange",
        (
            *months("C070", 365, 1_000_000, 1_000_000, 1_000_000, name="consumption"),
            *months("C070", 0, 600_001, 600_000, 600_000, name="consumption"),
        ),
        Told("C070", NOW - 60, {"consumption": 600_000}, 3),
        (Told("C070", NOW - 60, {"consumption": 600_001}, 6),),
        30,
    ),
    Case(
        "EW25",
        "A125",
        "yellow",
        (
            Told("C071", NOW - 30, {"account_no": "1", "settled_on": NOW - 2}),
            Told("C114", NOW - 8, {"account_no": "g", "overdue_days": 30}),
        ),
        Told("C114", NOW - 8, {"account_no": "g", "overdue_days": 31}, 1),
        (Told("C114", NOW - 8, {"account_no": "g", "overdue_days": 31, "settled_on": NOW}, 2),),
        30,
    ),
    Case(
        "EW26",
        "A126",
        "yellow",
        (
            Told("C005", NOW - 365, {"change_item": "legal_representative"}),
            Told("C005", NOW - 9, {"change_item": "domicile"}),
            Told("C005", NOW - 8, {"change_item": "legal_representative"}),
        ),
        Told("C005", NOW - 240, {"change_item": "legal_representative"}),
        (Told("C005", NOW - 240, {"change_item": "name"}, 3),),
    ),
    Case(
        "EW30",
        "A130",
        "orange",
        (Told("C182", NOW - 30, {"credit_class": "general"}), Told("C207", NOW - 30)),
        Told("C207", NOW - 2, {"class": "B"}),
        (Told("C207", NOW - 1, {"class": "A"}),),
    ),
)


def tell(network: Watched, told: Told, earlier: list[Any]) -> None:
    corrects = None if told.corrects is None else earlier[told.corrects]
    earlier.append(network.tell(told.category, told.day, corrects, **told.fields))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_warning_is_raised_at_its_threshold_told_again_and_cleared(case: Case) -> None:
    network, earlier = watched(), list[Any]()
    network.review()
    assert network.alerts() == []
    for told in case.below:
        tell(network, told, earlier)
    network.review()
    assert network.alerts() == []
    tell(network, case.at, earlier)
    (alert,) = network.alerts()
    assert (alert["rule"], alert["state"]) == (f"{case.rule}/1", "OPEN")
    assert (alert["reason"], alert["severity"]) == (case.reason, case.severity)
    assert network.standing() == [case.rule]
    network.review()
    network.advance_days(case.repeat_days - 1)
    assert [item["is_repeat"] for item in network.alerts()] == [False]
    network.advance_days(1)
    assert [item["is_repeat"] for item in network.alerts()] == [False, True]
    for told in case.clear:
        tell(network, told, earlier)
    assert network.standing() == []
    # A repeat is a new alert on the same matter; the latest is the one that clears.
    assert network.alerts()[-1]["state"] == "RESOLVED"


def raised(*records: Told) -> list[str]:
    """Return which rules hold after these records, each told in a block of its own."""
    network, earlier = watched(), list[Any]()
    for told in records:
        tell(network, told, earlier)
    return network.standing()


def test_enforcement_is_not_judged_without_an_annual_report() -> None:
    enforced = Told("C174", NOW, {"enforcement_amount": 10**12})
    assert raised(enforced) == []
    assert raised(Told("C015", NOW - 901, {"owners_equity": 1}), enforced) == []
    assert raised(Told("C015", NOW - 9, {"owners_equity": 0}), enforced) == ["EW18"]
    assert raised(Told("C015", NOW - 9, {"owners_equity": -5}), enforced) == ["EW18"]


@pytest.mark.parametrize("last_day", [NOW - 1, NOW])
def test_seizures_and_freezes_count_to_their_last_day(last_day: int) -> None:
    holds = ["EW20"] if last_day == NOW else []
    assert raised(Told("C091", NOW - 9, {"seized_to": last_day})) == holds
    assert raised(Told("C178", NOW - 9, {"freeze_to": last_day, "status": "renewed"})) == holds
    assert raised(Told("C091", NOW - 9)) == ["EW20"]


def test_a_freeze_that_ends_clears_without_a_word_of_anybody() -> None:
    network = watched()
    network.tell("C178", NOW - 9, freeze_to=NOW + 20)
    assert network.standing() == ["EW20"]
    network.advance_days(30)
    assert network.standing() == []


def test_a_halt_is_over_after_a_year() -> None:
    network = watched()
    network.tell("C100", NOW - 360, production_halted=True)
    network.advance_days(4)
    network.review()
    assert network.standing() == ["EW22"]
    network.advance_days(1)
    network.review()
    assert network.standing() == []


def test_a_month_that_is_late_is_no_dismissal() -> None:
    before = months("C056", 365, 10, 10, 10, name="insured_total")
    assert raised(*before, *months("C056", 40, 10, 10, name="insured_total")) == []
    assert raised(*before, *months("C056", 60, 7, 7, name="insured_total")) == ["EW23"]
    assert raised(*before, Told("C056", NOW - 60, {"insured_total": 1})) == []  # one says little
    assert raised(*before) == []
    few = months("C056", 365, 4, 5, 5, name="insured_total")
    assert raised(*few, *months("C056", 0, 1, 1, name="insured_total")) == []


def test_staff_of_a_source_that_fell_silent_is_not_judged() -> None:
    network, earlier = watched(), list[Any]()
    for told in months("C056", 365, 10, 10, 10, name="insured_total"):
        tell(network, told, earlier)
    network.tell("C056", NOW - 91, insured_total=1)
    network.tell("C056", NOW - 76, insured_total=1)
    assert network.standing() == []
    network.tell("C056", NOW - 75, insured_total=1)
    assert network.standing() == ["EW23"]


def test_electricity_of_all_meters_counts_together() -> None:
    before = tuple(
        Told("C070", YEAR_AGO - 30 * month, {"account_no": meter, "consumption": 600_000})
        for month in range(3)
        for meter in ("1", "2")
    )
    one_meter_gone = months("C070", 0, 600_000, 600_000, 600_000, name="consumption")
    assert raised(*before, *one_meter_gone) == ["EW24"]
    assert raised(*before, *months("C070", 0, 1_200_000, 1_200_000, name="consumption")) == []
    small = months("C070", 365, 999_999, 999_999, 999_999, name="consumption")
    assert raised(*small, *months("C070", 0, 0, 0, name="consumption")) == []


def social(first_day: int, last_day: int) -> Told:
    return Told("C057", first_day, {"arrears_to": last_day})


@pytest.mark.parametrize(
    ("records", "holds"),
    [
        ((social(NOW - 60, NOW - 60),), False),
        ((social(NOW - 60, NOW - 32),), True),  # from one month to the next, the shortest
        ((social(NOW - 60, NOW - 60), social(NOW - 32, NOW - 32)), True),
        ((Told("C071", NOW - 40), Told("C071", NOW - 40, {"account_no": "2"})), False),
        ((Told("C071", NOW - 40), Told("C071", NOW - 10)), True),
        ((Told("C112", NOW - 100, {"arrears_months": 1}),), False),
        ((Told("C112", NOW - 100, {"arrears_months": 2}),), True),
        ((Told("C112", NOW - 180, {"arrears_months": 2}),), False),
        ((Told("C124", NOW - 5, {"overdue_periods": 1}),), False),
        ((Told("C124", NOW - 5, {"overdue_periods": 2}),), True),
        ((Told("C124", NOW - 5, {"overdue_periods": 1}), Told("C071", NOW - 5)), True),
        ((Told("C114", NOW - 5), social(NOW - 60, NOW - 60)), False),  # 0 days: not overdue
    ],
)
def test_unpaid_periods_add_up(records: tuple[Told, ...], holds: bool) -> None:
    assert raised(*records) == (["EW25"] if holds else [])


def test_customs_and_foreign_exchange_each_suffice() -> None:
    for fx_class, holds in (("A", []), ("B", ["EW30"]), ("C", ["EW30"])):
        assert raised(Told("C207", NOW, {"class": fx_class})) == holds
    for credit, holds in (("general", []), ("dishonest", ["EW30"])):
        assert raised(Told("C182", NOW, {"credit_class": credit})) == holds


def test_lists_that_a_company_has_left_clear_without_an_attestation() -> None:
    network, earlier = watched(), list[Any]()
    tell(network, Told("C018", NOW - 5), earlier)
    tell(network, Told("C019", NOW - 5), earlier)
    tell(network, Told("C048", NOW - 5, {"arrears_balance": 1}), earlier)
    assert network.standing() == ["EW14", "EW16", "EW17"]
    assert network.watch()["is_watched"]
    tell(network, Told("C018", NOW - 5, {"removed_on": NOW}, 0), earlier)
    tell(network, Told("C019", NOW - 5, {"removed_on": NOW}, 1), earlier)
    tell(network, Told("C048", NOW - 5, {"arrears_balance": 0}, 2), earlier)
    assert network.standing() == []


def sale(number: int, day: int, net: int) -> Record:
    line = {"invoice_no": f"I{number}", "issued_on": day, "counterparty": f"buyer {number}"}
    amounts = {"net": net, "tax": 0, "gross": net, "status": "V"}
    return Record(COMPANY, day, line | amounts, salt=SALT)


def test_one_question_with_two_thresholds_puts_nobody_on_the_watch_list() -> None:
    network = watched()
    days = (NOW - 500, NOW - 20, NOW - 20)
    nets = (200_000_000, 30_000_000, 30_000_000)
    sales = [sale(number, *item) for number, item in enumerate(zip(days, nets, strict=True))]
    network.block(network.submit("D02", "C044", sales, "line"))
    listed = network.watch()
    assert (listed["rules"], listed["is_watched"]) == (["EW05/1", "EW06/1"], False)
    quality = network.quality()
    assert quality["two or more rules"]["companies"] == 0
    network.tell("C175", NOW)
    listed = network.watch()
    assert (listed["rules"], listed["is_watched"]) == (["EW05/1", "EW06/1", "EW19/1"], True)
    network.must("D18", "company.outcome", {"company": COMPANY, "is_troubled": True, "day": NOW})
    network.must("D18", "company.outcome", {"company": NEIGHBOUR, "is_troubled": True})
    quality = network.quality()
    for rule in ("EW05/1", "EW06/1", "EW19/1", "two or more rules"):
        measured = quality[rule]
        assert (measured["companies"], measured["precision_bp"]) == (1, 10_000)
        assert (measured["caught"], measured["troubled"], measured["recall_bp"]) == (1, 2, 5_000)


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
        assert told[rule] == [(rule, "OPEN", False), (rule, "RESOLVED", True)]
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
    bill = {"kind": "bill_of_lading", "document_no": "B1", "day": NOW - 9, "counterparty": "COSCO"}
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
