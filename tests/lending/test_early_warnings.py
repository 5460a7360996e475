"""Early warnings through executed blocks: at their thresholds, no sooner, told again and cleared.

Those over invoices (EW05 to EW13) are in tests/lending/test_sales_warnings.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ledger.transactions.records import Record
from tests.ledger_harness import GENESIS_DAY, SALT
from tests.lending.warnings import COMPANY, NEIGHBOUR, Watched, watched

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
    first, repeat = network.alerts()
    # A repeat is a new alert on the same matter; both clear with it.
    assert (first["repeats"], repeat["repeats"]) == ("", first["alert"])
    assert (first["state"], repeat["state"]) == ("RESOLVED", "RESOLVED")
    assert first["cleared_day"] == repeat["cleared_day"]


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
