"""Windows of the past for rules adopted later: those of a chain that always had it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.credit.rule_terms import get_fill_jobs
from ledger.credit.rulebook import RuleCache
from ledger.credit.voted_settings import BACKFILL_RECORDS
from ledger.credit.windows_state import CompanyWindows
from ledger.errors import Code
from ledger.state.tables import WINDOWS
from ledger.transactions.records import encode_record, record_digest
from tests.lending.documents import RULES, SCORECARD, credit_line
from tests.lending.province import BUYER, OTHER, SELLER, TODAY, invoice
from tests.lending.rulers import Rulers
from tests.lending.test_rule_governance import SCHEMA_2


@pytest.fixture
def network() -> Rulers:
    return Rulers()


def fill_slowly(network: Rulers) -> int:
    """Let the windows of the past be built; return the blocks it takes."""
    blocks = 0
    while get_fill_jobs(network.state()):
        network.block()
        blocks += 1
        assert blocks < 100
    return blocks


def windows_of(network: Rulers, company: str) -> dict[bytes, Any]:
    return dict(network.state().scan(WINDOWS, company.encode()))


class Foreseen(Rulers):
    """A network whose genesis has the schema already."""

    rules = (*RULES, SCHEMA_2)


def test_windows_of_the_past_equal_those_kept_from_the_beginning(network: Rulers) -> None:
    twin = Foreseen()
    code, data = network.decide(
        "setting", name=BACKFILL_RECORDS, value=3, effective_from=network.day
    )
    assert code == Code.OK, data
    network.adopt(SCHEMA_2)
    assert network.status()["company/2"] == "counting"
    # Between two steps records come, and one that was not yet counted is corrected.
    late = [invoice(200 + n, TODAY - n, company=BUYER) for n in range(3)]
    digest = network.ask("D02", "company.records", company=SELLER, category="C044", schema="line")
    old = next(item for item in digest["records"] if item["day"] == TODAY - 30)
    for chain in (network, twin):
        chain.succeed(chain.submit("D02", "C044", late, "line"))
        mended = invoice(1, TODAY - 30, 7_000_000)
        mended = type(mended)(
            mended.company,
            mended.day,
            mended.fields,
            salt=mended.salt,
            supersedes=(TODAY - 30, old["digest"]),
        )
        chain.succeed(chain.submit("D02", "C044", [mended], "line"))
    assert fill_slowly(network) > 1
    assert network.status()["company/2"] == "in force"
    for company in (SELLER, BUYER, OTHER):
        assert windows_of(network, company) == windows_of(twin, company)
        views = [
            RuleCache()
            .over(chain.state())
            .schema("company/2")
            .compute(TODAY, CompanyWindows(chain.state(), company))
            for chain in (network, twin)
        ]
        assert views[0] == views[1]
    assert views


SALES = st.tuples(
    st.sampled_from([SELLER, BUYER, OTHER]), st.integers(0, 40), st.integers(1, 9), st.booleans()
)


@settings(max_examples=12, deadline=None)
@example([[(BUYER, 22, 4, False)], [(BUYER, 22, 5, True)], []], 2, 1)  # a day of what was corrected
@given(
    st.lists(st.lists(SALES, max_size=4), min_size=2, max_size=7),
    st.integers(0, 6),
    st.integers(1, 6),
)
def test_windows_built_between_any_records_and_corrections_equal_those_kept(
    blocks: list[list[tuple[str, int, int, bool]]], adopted_before: int, budget: int
) -> None:
    """The twin's genesis has the rule; the records and their corrections are the same."""
    network, twin = Rulers(), Foreseen()
    ask = {"name": BACKFILL_RECORDS, "value": budget, "effective_from": network.day}
    assert network.decide("setting", **ask)[0] == Code.OK
    sent: dict[str, list[tuple[int, bytes]]] = {}
    number = 1_000
    for place, sales in enumerate(blocks):
        if place == min(adopted_before, len(blocks) - 1):
            network.adopt(SCHEMA_2)
        records = []
        for company, days_ago, units, is_correction in sales:
            number += 1
            day, old = TODAY - days_ago, sent.get(company, [])
            record = invoice(number, day, units * 100, company=company)
            if is_correction and old:
                record = replace(record, supersedes=old.pop())
            records.append(record)
        for chain in (network, twin):
            if records:
                chain.succeed(chain.submit("D02", "C044", records, "line"))
        for record in records:
            digest = record_digest(encode_record(record))
            sent.setdefault(record.company, []).append((record.day, digest))
    fill_slowly(network)
    for company in (SELLER, BUYER, OTHER):
        assert windows_of(network, company) == windows_of(twin, company)


def test_while_windows_are_built_nothing_rests_on_them(network: Rulers) -> None:
    assert (
        network.decide("setting", name=BACKFILL_RECORDS, value=3, effective_from=network.day)[0]
        == Code.OK
    )
    network.adopt(SCHEMA_2)
    line = credit_line(version=2).replace(b"company/1", b"company/2").replace(b"SME/1", b"SME/3")
    line = line.replace(b"2020-01-01", b"2020-02-21")
    scorecard = SCORECARD.replace(b"version = 1", b"version = 3", 1)
    network.adopt(scorecard.replace(b"company/1", b"company/2"))
    assert network.status()["company/2"] == "counting"
    network.refuse(Code.RULE_FILLING, "ICBC", "product.register", source=line)
    fill_slowly(network)
    network.do("ICBC", "product.register", source=line)
