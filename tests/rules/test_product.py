"""Decisions: what declines, what refers, what grants, and how much (RULES.md, "A decision")."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.encoding import decode, encode
from ledger.errors import Refused, RuleSourceError
from ledger.rules.decision import Decision, Outcome
from ledger.rules.product import Product, load_product
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import load_scorecard
from tests.rules.samples import EVENTS, PRODUCT, SCHEMA, SCORECARD

_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
_SCORECARD = load_scorecard(SCORECARD.encode(), _SCHEMA)
_PRODUCT = load_product(PRODUCT.encode(), _SCHEMA, _SCORECARD)
_FACTS: dict[str, Any] = {
    "as_of": 18_312,
    "co.sales_12m": 1_000_000_000,
    "co.tax_grade": "A",
    "co.void_rate": 300,
    "co.overdue_days_max_24m": 0,
    "rv.amount": 150_000_000,
    "rv.confirmed": True,
    "ap.amount": 112_000_000,
    "ap.term": 120,
}


def _decide(product: Product = _PRODUCT, **changes: Any) -> Decision:
    facts = {**_FACTS, **{name.replace("__", "."): value for name, value in changes.items()}}
    return product.decide({name: value for name, value in facts.items() if value is not None})


def test_grants_the_smaller_of_what_was_asked_and_the_limit() -> None:
    decision = _decide()
    assert decision.outcome is Outcome.GRANT
    assert (decision.limit_fen, decision.amount_fen) == (120_000_000, 112_000_000)
    assert (decision.score, decision.rate_bp) == (600, 550)
    assert _decide(ap__amount=130_000_000).amount_fen == 120_000_000


def test_rounds_the_limit_down_to_a_step_and_never_above_the_maximum() -> None:
    assert _decide(rv__amount=150_124_999).limit_fen == 120_000_000
    assert _decide(rv__amount=90_000_000_000).limit_fen == 300_000_000


def test_a_false_condition_declines_with_all_failing_codes_and_their_inputs() -> None:
    decision = _decide(rv__confirmed=False, co__overdue_days_max_24m=31, ap__term=None)
    assert decision.outcome is Outcome.DECLINE
    assert [(reason.code, reason.result) for reason in decision.reasons] == [
        ("R101", "FAIL"), ("R201", "FAIL"), ("R104", "MISSING"),
    ]  # fmt: skip
    assert decision.reasons[1].inputs == (("co.overdue_days_max_24m", 31),)
    assert decision.missing == ("ap.term",)
    assert (decision.limit_fen, decision.amount_fen, decision.rate_bp) == (None, None, None)


def test_unknown_arrears_refer_and_never_pass() -> None:
    decision = _decide(co__overdue_days_max_24m=None)
    assert decision.outcome is Outcome.REFER
    assert decision.missing == ("co.overdue_days_max_24m",)
    assert decision.reasons[0].inputs == (("co.overdue_days_max_24m", None),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("co__overdue_days_max_24m", -1), ("co__overdue_days_max_24m", 3_651),
        ("co__overdue_days_max_24m", True), ("rv__confirmed", 1), ("ap__term", "120"),
        ("rv__amount", 2**70), ("rv__amount", 1.5),
    ],
)  # fmt: skip
def test_a_fact_of_another_type_or_range_counts_as_missing(name: str, value: Any) -> None:
    decision = _decide(**{name: value})
    assert decision.outcome is Outcome.REFER
    assert decision.missing == (name.replace("__", "."),)


@pytest.mark.parametrize("asked", [None, 0])
def test_an_application_for_nothing_is_referred(asked: int | None) -> None:
    decision = _decide(ap__amount=asked)
    assert (decision.outcome, decision.amount_fen) == (Outcome.REFER, None)


@pytest.mark.parametrize(
    ("grade", "void_rate", "sales", "score", "rate"),
    [
        ("A", 0, 100_000_000, 600, 550), ("B", 0, 100_000_000, 580, 550),
        ("B", 0, 99_999_999, 530, 610), ("A", 1_500, 50_000_000, 490, 720),
        ("C", 0, 10, 420, 720),
    ],
)  # fmt: skip
def test_the_band_of_the_score_gives_the_rate(
    grade: str, void_rate: int, sales: int, score: int, rate: int
) -> None:
    decision = _decide(co__tax_grade=grade, co__void_rate=void_rate, co__sales_12m=sales)
    assert (decision.score, decision.rate_bp) == (score, rate)


def test_a_score_in_a_declining_band_declines_with_its_code() -> None:
    decision = _decide(co__tax_grade="D", co__void_rate=2_000)
    assert decision.outcome is Outcome.DECLINE
    assert (decision.reasons[0].code, decision.reasons[0].inputs) == ("R301", (("score", 400),))


def test_a_limit_below_the_minimum_declines() -> None:
    decision = _decide(rv__amount=1_249_999)
    assert decision.outcome is Outcome.DECLINE
    assert (decision.reasons[0].code, decision.reasons[0].condition) == ("R110", "limit")


def test_a_limit_that_cannot_be_known_refers() -> None:
    decision = _decide(rv__amount=None)
    assert decision.outcome is Outcome.REFER
    assert (decision.reasons[0].result, decision.missing) == ("MISSING", ("rv.amount",))


def test_more_missing_characteristics_than_allowed_refer() -> None:
    one = _decide(co__tax_grade=None)
    assert (one.outcome, one.score) == (Outcome.GRANT, 510)
    two = _decide(co__tax_grade=None, co__sales_12m=None)
    assert two.outcome is Outcome.REFER
    assert two.missing == ("co.sales_12m", "co.tax_grade")
    assert two.reasons[0].code == "S99"


def test_score_reasons_are_ranked_by_the_points_lost_and_told_apart_from_missing() -> None:
    score = _SCORECARD.score({"co.sales_12m": 50_000_000, "co.void_rate": 1_500})
    assert score.points == 300 + 50 + 10 + 40
    assert score.reasons == ("S92", "S03")
    assert (score.missing_count, score.is_referred) == (1, False)
    assert [(part.id, part.value, part.points) for part in score.parts] == [
        ("SALES", 50_000_000, 50), ("GRADE", None, 10), ("VOID", 1_500, 40),
    ]  # fmt: skip


def test_no_facts_score_below_the_lowest() -> None:
    assert _SCORECARD.lowest == 300
    assert _SCORECARD.score({}).points == 330


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["CNY 0.00", 0]', "[0, 0]", 'write the bound as "CNY 1000.00"'),
        ('["0.00%", 100]', '["CNY 0.00", 100]', "is no bound in bp"),
        (", D = 0 }", " }", "no points for D"),
        ("A = 100", "AA = 100", "the input is never 'AA'"),
        ("[2000, 0]", "[1500, 0]", "lower bounds must increase"),
        ("baseline = 100", "baseline = 99999", "want -10000 to 10000"),
        ('"co.sales_12m"', '"[co.sales_12m]"', "has no points"),
        ('reason = "S01"', "", "'reason' is missing"),
        ('missing_reason = "S91"', 'missing_reason = "S01"', "needs a code of its own"),
    ],
)
def test_refuses_a_scorecard_with_a_gap_or_a_wrong_unit(old: str, new: str, words: str) -> None:
    with pytest.raises(RuleSourceError) as caught:
        load_scorecard(SCORECARD.replace(old, new, 1).encode(), _SCHEMA)
    assert words in caught.value.message


def test_a_decision_records_what_it_rests_on() -> None:
    decision = _decide()
    assert (decision.product, decision.schema) == ("GD-SCF-0042/3", "company/7")
    assert (decision.scorecard, decision.as_of) == ("SME-RISK/2", 18_312)
    assert decision.rule_hash == _PRODUCT.source_hash
    assert decision.features_digest == _decide(co__nothing=5).features_digest
    assert decision.features_digest != _decide(ap__term=121).features_digest
    assert _PRODUCT.inputs == frozenset(_FACTS)


def test_a_product_knows_its_period_and_its_needs() -> None:
    assert (_PRODUCT.requires, _PRODUCT.asset) == (("C044",), "receivable")
    assert (_PRODUCT.lender, _PRODUCT.line) == ("icbc-gd", "supply_chain")
    assert not _PRODUCT.is_effective(18_261)
    assert _PRODUCT.is_effective(18_262)
    text = PRODUCT.replace("2020-01-01", "2020-01-01\neffective_to = 2020-01-31")
    ended = load_product(text.encode(), _SCHEMA, _SCORECARD)
    assert [ended.is_effective(day) for day in (18_262, 18_292, 18_293)] == [True, True, False]


_ANY_FACTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(st.just(value), st.integers(-(2**65), 2**65), st.booleans(), st.text())
        for name, value in _FACTS.items()
    },
)


@settings(max_examples=200, deadline=None)
@given(_ANY_FACTS)
def test_any_facts_get_a_decision_that_survives_encoding(facts: dict[str, Any]) -> None:
    decision = _PRODUCT.decide(facts)
    assert Decision.from_value(decode(encode(decision.to_value()))) == decision
    if decision.outcome is Outcome.GRANT:
        assert facts["rv.confirmed"] is True
        assert 0 < (decision.amount_fen or 0) <= min(facts["ap.amount"], 300_000_000)


@pytest.mark.parametrize("index", range(14))
def test_a_damaged_decision_is_refused(index: int) -> None:
    value = list(_decide().to_value())
    value[index] = object()
    with pytest.raises(Refused):
        Decision.from_value(tuple(value))
    with pytest.raises(Refused):
        Decision.from_value(tuple(value[:index]))
