"""What another rule would have done: the past comes out as it was, and the new rule beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.audit.what_if import Options, Verdict, WhatIfReport, replay_store
from ledger.errors import Code, LocalError, RuleSourceError
from ledger.rules.units import FactValue
from ledger.storage.chain_store import RESULTS, height_key
from ledger.storage.memory import MemoryStore
from ledger.transactions.records import Record
from tests.ledger_harness import SALT
from tests.lending.documents import RULES, SALES_ALERT, SCORECARD, credit_line, patent_loan
from tests.lending.province import BUYER, OTHER, SELLER, TODAY, invoice
from tests.lending.rulers import Rulers
from tests.lending.test_rule_governance import SCHEMA_2

SEATS: Mapping[str, FactValue] = {"ap.seats": 1}


# Holds from the third day after arrears on: time alone makes it true.
OLD_ARREARS = b"""
format = "smartrule/1"
kind = "alert"
id = "EW90"
version = 1
name = "Arrears"
severity = "blue"
reason = "A190"
text = "Arrears of three days ago or before"
when = "w.old > 0"
raise_after = 1
clear_after = 1
repeat_days = 30
[[window]]
name = "old"
stream = "C048"
agg = "count"
unit = "count"
days = 90
offset_days = 3
"""


def live() -> Rulers:
    """Return a network with a past: applications, loans, alerts, a correction, a voted rule."""
    network = Rulers()
    network.consent(SELLER, "ICBC")
    network.lend(SELLER)
    network.apply("LINE/1", declared={"ap.seats": 9}, amount_fen=5_000_000)
    sales = [invoice(1, TODAY - 100, 90_000_000, company=OTHER)]
    sales.append(invoice(2, TODAY - 5, 30_000_000, company=OTHER))
    network.succeed(network.submit("D02", "C044", sales, "line"))
    network.apply("SCF-ICBC/1", asset=network.receivable())
    network.advance_days(20)
    network.adopt(SCORECARD.replace(b"version = 1", b"version = 2", 1))
    network.sell(BUYER)
    network.apply("LINE/1", BUYER, company=BUYER, declared={"ap.seats": 2}, amount_fen=100)
    network.advance_days(40)
    return network


def ask(network: Rulers, source: bytes, **options: Any) -> WhatIfReport:
    return replay_store(network.store, MemoryStore(), Options(source, **options))


@pytest.fixture(scope="module")
def network() -> Rulers:
    return live()


def test_the_same_rule_under_another_version_decides_what_was_decided(network: Rulers) -> None:
    report = ask(network, credit_line(version=2))
    assert (report.applications, len(report.cases)) == (4, 3)
    for case in report.cases:
        assert case.new.rule == "LINE/2"
        assert case.old == Verdict("LINE/1", *astuple_of(case.new))
    assert report.counts("application") == {("DECLINE", "DECLINE"): 1, ("GRANT", "GRANT"): 2}


def astuple_of(verdict: Verdict) -> tuple[Any, ...]:
    return tuple(getattr(verdict, name) for name in verdict.__slots__[1:])


def test_a_product_that_is_stricter_would_have_declined(network: Rulers) -> None:
    stricter = credit_line(version=2, limit=20_000).replace(b"ap.seats <= 5", b"ap.seats <= 1")
    report = ask(network, stricter)
    assert report.counts("application") == {("DECLINE", "DECLINE"): 1, ("GRANT", "DECLINE"): 1} | {
        ("GRANT", "GRANT"): 1
    }
    granted = next(case for case in report.cases if case.new.outcome == "GRANT")
    assert (granted.old.limit_fen, granted.new.limit_fen) == (30_000_000, 2_000_000)
    assert granted.old.amount_fen == granted.new.amount_fen == 1_000_000


def test_a_feature_of_a_schema_that_the_chain_has_not_is_as_it_was_then(network: Rulers) -> None:
    product = credit_line(version=2).replace(b"company/1", b"company/2").replace(b"SME/1", b"SME/9")
    product = product.replace(b"ap.seats <= 5", b"co.customers_12m >= 1 && ap.seats <= 5")
    scorecard = SCORECARD.replace(b"version = 1", b"version = 9", 1)
    beside = (SCHEMA_2, scorecard.replace(b"company/1", b"company/2"))
    report = ask(network, product, beside=beside)
    assert [case.new.outcome for case in report.cases] == ["GRANT", "DECLINE", "GRANT"]


def test_a_past_with_windows_that_were_built_later_comes_out_as_it_was() -> None:
    network = Rulers()
    code, _ = network.decide("setting", name="backfill_records", value=4, effective_from=TODAY)
    assert code == Code.OK
    network.adopt(SCHEMA_2)
    scorecard = SCORECARD.replace(b"version = 1", b"version = 9", 1)
    network.adopt(scorecard.replace(b"company/1", b"company/2"))
    while "counting" in network.status().values():
        network.block()
    product = credit_line(version=2).replace(b"company/1", b"company/2").replace(b"SME/1", b"SME/9")
    product = product.replace(b"ap.seats <= 5", b"co.customers_12m >= 1 && ap.seats <= 5")
    product = product.replace(b"2020-01-01", b"2020-02-21")
    network.do("ICBC", "product.register", source=product)
    network.consent(SELLER, "ICBC")
    network.apply("LINE/2", declared={"ap.seats": 1})
    report = ask(network, product.replace(b"version = 2", b"version = 3", 1))
    assert report.counts("application") == {("GRANT", "GRANT"): 1}
    case = report.cases[0]
    assert astuple_of(case.old) == astuple_of(case.new)


def test_another_scorecard_is_tried_on_every_product_that_used_one_of_its_id(
    network: Rulers,
) -> None:
    source = SCORECARD.replace(b"version = 1", b"version = 7", 1)
    report = ask(network, source.replace(b"initial = 400", b"initial = 0"))
    assert report.counts("application") == {
        ("DECLINE", "DECLINE"): 1,
        ("GRANT", "DECLINE"): 3,
    }
    assert {case.old.score - case.new.score for case in report.cases} == {400}  # type: ignore[operator]


def test_consent_that_nobody_gave_is_told_as_a_rejection(network: Rulers) -> None:
    other = patent_loan().replace(b'"IPP"', b'"SCF-ICBC"').replace(b'"CCB"', b'"ICBC"')
    report = ask(network, other.replace(b"version = 1", b"version = 2", 1))
    assert [case.new.outcome for case in report.cases] == ["REJECTED"]
    assert "E2306" in report.cases[0].new.reasons[0]


def test_an_alert_stands_beside_what_the_chain_raised(network: Rulers) -> None:
    keener = SALES_ALERT.replace(b"version = 1", b"version = 2", 1)
    same = ask(network, keener)
    told = Counter((case.old.outcome, "NONE") for case in same.cases)
    assert told["RAISED", "NONE"]
    for case in same.cases:
        assert (case.old.outcome, case.old.reasons) == (case.new.outcome, case.new.reasons)
    milder = ask(network, keener.replace(b"* 2 <=", b"* 9 <="))
    assert milder.counts("alert") == told
    overdue = 1  # what the chain's other rule raised
    assert same.alerts == told.total() + overdue


def test_it_is_asked_when_the_chain_looked_because_of_time() -> None:
    network = Rulers()
    # Sold 88 days ago and little since: on the third day from now that is a fall. The arrears of
    # another company are read by no rule of the chain.
    sales = [invoice(1, TODAY - 88, 90_000_000, company=OTHER)]
    sales.append(invoice(2, TODAY, 1_000_000, company=OTHER))
    network.succeed(network.submit("D02", "C044", sales, "line"))
    arrears = Record(BUYER, TODAY, {"arrears": 5}, salt=SALT)
    network.succeed(network.submit("D02", "C048", [arrears]))
    for _ in range(20):
        network.advance_days(1)
    same = ask(network, SALES_ALERT.replace(b"version = 1", b"version = 2", 1))
    (case,) = same.cases
    assert (case.company, case.old.outcome) == (OTHER, "RAISED")
    assert TODAY + 3 <= case.day < TODAY + 3 + 7
    assert ask(network, OLD_ARREARS).cases == []


def test_every_company_each_month(network: Rulers) -> None:
    keener = SALES_ALERT.replace(b"version = 1", b"version = 2", 1)
    report = ask(network, keener, is_monthly=True)
    months = [case for case in report.cases if case.occasion == "month"]
    assert {case.old.outcome for case in months} == {case.new.outcome for case in months}
    assert len({case.day for case in months}) == 2
    line = ask(network, credit_line(version=2), is_monthly=True, declared=SEATS, ask_fen=500)
    months = [case for case in line.cases if case.occasion == "month"]
    assert {case.old.rule for case in months} == {"LINE/1"}
    assert "GRANT" in {case.new.outcome for case in months}
    for case in months:
        assert astuple_of(case.old) == astuple_of(case.new)


def test_a_rule_that_would_not_register_is_refused_before_anything_runs(network: Rulers) -> None:
    with pytest.raises(RuleSourceError):
        ask(network, b"kind = 3")
    with pytest.raises(LocalError, match="decides nothing"):
        ask(network, RULES[0])


def test_a_past_that_does_not_come_out_as_stored_is_no_past() -> None:
    network = live()
    altered = MemoryStore()
    altered.write(dict(network.store.scan(b"", b"\xff" * 8)), sync=False)
    height = network.head.height
    found = next(
        item for item in range(height, 0, -1) if altered.get(height_key(RESULTS, item)) != b"\x90"
    )
    altered.write({height_key(RESULTS, found): b"\x90"}, sync=False)
    with pytest.raises(LocalError) as caught:
        replay_store(altered, MemoryStore(), Options(credit_line(version=2)))
    assert caught.value.code is Code.AUDIT_FAILED
