"""Records that must go: how long they are shown, to whom after that, when they may be erased."""

from __future__ import annotations

from typing import Any

import pytest

from genesis.network import load_network
from ledger.credit.retention import KEPT_DAYS, find_last_day
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import category_from_value
from ledger.queries import QUERIES
from ledger.transactions.records import Reference
from tests.ledger_harness import GENESIS_DAY
from tests.lending.warnings import COMPANY, Watched, watched

FIVE_YEARS = 1826
DAY = GENESIS_DAY - 100


def shown(network: Watched, who: str, category: str = "C175") -> list[tuple[int, bool]]:
    """Return (code, whether the fields are there) of the company's records as `who` sees them."""
    body = {"company": COMPANY, "category": category}
    answer: Any = QUERIES["company.records"](network.query_context(who), body)
    for item in answer["records"]:
        assert (item["body"] is None) == (item["fields"] is None)
    return [(item["code"], item["fields"] is not None) for item in answer["records"]]


def erase(network: Watched, record: Reference, category: str = "C175") -> tuple[int, Any]:
    body = {"company": COMPANY, "category": category, "records": (record,)}
    body |= {"ground": "retention", "reference": "its time is over"}
    return network.run(network.sign("D02", "records.erase", body))


def test_negative_records_of_persons_have_five_years_and_others_no_end() -> None:
    for value in load_network("guangdong").categories:
        category = category_from_value(value["id"], value)
        if category.is_negative and category.has_natural_person:
            assert category.retention is not None, category.id
            assert category.retention.days == FIVE_YEARS
        else:
            assert category.retention is None, category.id


def test_a_record_is_shown_for_five_years_after_the_conduct_ended() -> None:
    network = watched()
    record = network.tell("C175", DAY, removed_on=DAY + 50)
    network.advance_days(DAY + 50 + FIVE_YEARS - network.day)
    assert shown(network, "ICBC") == shown(network, "D20") == [(Code.OK, True)]
    code, data = erase(network, record)
    assert (code, f"until day {network.day + 1}" in data["error"]) == (Code.RECORD_DATE, True)
    network.advance_days(1)
    for stranger in ("ICBC", "D20", "D01"):
        assert shown(network, stranger) == [(Code.RECORD_OVER, False)]
    for concerned in ("D02", "D18", COMPANY):
        assert shown(network, concerned) == [(Code.OK, True)]
    assert erase(network, record)[0] == Code.OK
    assert shown(network, "D02") == [(Code.RECORD_ERASED, False)]


def counted(network: Watched, who: str, what: str) -> tuple[int, int | None, str]:
    """Return count, last day and freshness of C175 as a summary shows them to `who`."""
    answer: Any = QUERIES[what](network.query_context(who), {"company": COMPANY})
    groups = answer.get("dimensions") or {"": answer["schemas"]}
    lines = [line for group in groups.values() for line in group]
    (line,) = [item for item in lines if item["schema"] == "C175"]
    return line["record_count"], line["last_day"], line.get("freshness", "")


@pytest.mark.parametrize("what", ["company.show", "company.profile"])
def test_a_summary_counts_what_the_caller_is_shown(what: str) -> None:
    network = watched()
    network.tell("C175", DAY, removed_on=DAY + 50)
    stands = network.tell("C175", DAY - 1_000)
    network.advance_days(DAY + 50 + FIVE_YEARS - network.day)
    assert counted(network, "ICBC", what)[:2] == (2, DAY)
    network.advance_days(1)
    assert counted(network, "ICBC", what)[:2] == (1, DAY - 1_000)
    for concerned in ("D02", "D18", COMPANY):
        assert counted(network, concerned, what)[:2] == (2, DAY)
    # It ended long ago, and the correction says so: nothing is left, and no day that would tell.
    network.tell("C175", DAY - 1_000, stands, removed_on=DAY - 900)
    assert counted(network, "ICBC", what)[:2] == (0, None)
    if what == "company.profile":
        assert counted(network, "ICBC", what)[2] == "none"


def test_what_goes_on_is_shown_however_old_it_is() -> None:
    network = watched()
    record = network.tell("C175", DAY)
    network.advance_days(4_000)
    assert shown(network, "ICBC") == [(Code.OK, True)]
    code, data = erase(network, record)
    assert (code, data["error"]) == (
        Code.RECORD_DATE,
        "what the record says has not ended: it is kept",
    )


def test_a_correction_that_ends_the_conduct_lets_both_go() -> None:
    network = watched()
    first = network.tell("C174", DAY)
    network.tell("C174", DAY, first, status="settled")
    network.advance_days(DAY + FIVE_YEARS - network.day)
    assert shown(network, "ICBC", "C174") == [(Code.OK, True)] * 2
    network.advance_days(1)
    assert shown(network, "ICBC", "C174") == [(Code.RECORD_OVER, False)] * 2
    assert erase(network, first, "C174")[0] == Code.OK


def test_other_categories_are_shown_without_end_and_may_be_erased_after_three_years() -> None:
    network = watched()
    record = network.tell("C018", DAY)
    network.advance_days(DAY + KEPT_DAYS - 1 - network.day)
    assert erase(network, record, "C018")[0] == Code.RECORD_DATE
    network.advance_days(3_000)
    assert shown(network, "ICBC", "C018") == [(Code.OK, True)]
    assert erase(network, record, "C018")[0] == Code.OK


@pytest.mark.parametrize(
    ("fields", "last_day"),
    [
        ({"status": "frozen"}, None),
        ({"status": "frozen", "freeze_to": 9}, 9 + FIVE_YEARS),
        ({"status": "released", "freeze_to": 9}, 9 + FIVE_YEARS),
        ({"status": "released", "freeze_to": 3}, 5 + FIVE_YEARS),  # never before its own day
        ({"status": "released"}, 5 + FIVE_YEARS),
        (None, 5 + FIVE_YEARS),
    ],
)
def test_the_end_of_a_freeze(fields: dict[str, Any] | None, last_day: int | None) -> None:
    values = {item["id"]: item for item in load_network("guangdong").categories}
    category = category_from_value("C178", values["C178"])
    assert find_last_day(category, 5, fields) == last_day


SCHEMA = """
format = "smartrule/1"
kind = "schema"
id = "far"
version = 1
[feature."co.listed"]
unit = "count"
category = "C175"
agg = "count"
"""


@pytest.mark.parametrize(
    ("window", "is_accepted"),
    [
        ("days = 1826", True),
        ("days = 1827", False),
        ("days = 1000\noffset_days = 826", True),
        ("days = 1000\noffset_days = 827", False),
        ("", False),
    ],
)
def test_no_rule_looks_further_back_than_a_record_is_shown(window: str, is_accepted: bool) -> None:
    network = watched()
    rules = network.caches.rules.over(network.state())
    source = (SCHEMA + window).encode()
    if is_accepted:
        assert rules.compile("schema", source).ref == "far/1"
        return
    with pytest.raises(Rejected, match="further back at C175 than the 1826 days"):
        rules.compile("schema", source)
