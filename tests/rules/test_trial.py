"""Sample companies made from a product alone: what passes, and what fails each condition."""

from __future__ import annotations

import pytest

from ledger.credit.categories import compute_event_types
from ledger.membership.catalogue import category_from_value
from ledger.rules.decision import FAIL, Outcome
from ledger.rules.product import Product, load_product
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import load_scorecard
from ledger.rules.trial import compute_samples
from tests.ledger_harness import CATEGORIES
from tests.lending.documents import SCHEMA, SCORECARD, credit_line, patent_loan, supply_chain


def compile_product(source: bytes) -> Product:
    events = compute_event_types(category_from_value("test", item) for item in CATEGORIES)
    schema = load_schema(SCHEMA, events)
    return load_product(source, schema, load_scorecard(SCORECARD, schema))


SOURCES = {"supply": supply_chain(), "line": credit_line(), "patent": patent_loan()}


@pytest.mark.parametrize("name", SOURCES)
def test_a_company_is_found_that_the_product_grants_and_one_for_each_condition(name: str) -> None:
    product = compile_product(SOURCES[name])
    samples = compute_samples(product)
    assert samples[0].decision.outcome is Outcome.GRANT, samples[0]
    failing = {item.title.partition(" ")[2]: item for item in samples if "fails" in item.title}
    assert failing.keys() == {condition.id for condition in product.conditions}
    for condition, sample in failing.items():
        reasons = sample.decision.reasons
        assert (condition, FAIL) in [(item.condition, item.result) for item in reasons]
        assert sample.decision.outcome is Outcome.DECLINE
    assert samples[-1].decision.outcome is not Outcome.GRANT


def test_samples_are_the_same_each_time_and_decided_by_the_product() -> None:
    first, second = (compute_samples(compile_product(SOURCES["supply"])) for _ in range(2))
    assert first == second
    for sample in first:
        assert compile_product(SOURCES["supply"]).decide(sample.facts) == sample.decision


def test_conditions_that_exclude_each_other_leave_no_company_to_grant_to() -> None:
    source = credit_line().replace(
        b'when = "ap.seats <= 5"', b'when = "ap.seats <= 2 && ap.seats > 7"'
    )
    samples = compute_samples(compile_product(source))
    assert Outcome.GRANT not in {item.decision.outcome for item in samples}


def test_every_rate_that_one_input_leads_to_is_shown() -> None:
    samples = compute_samples(compile_product(SOURCES["line"]))
    rates = {item.decision.rate_bp for item in samples} - {None}
    assert rates == {550, 720}


def test_a_day_that_a_parameter_names_is_among_the_candidates() -> None:
    late = (
        'asset = "receivable"\n[params]\nfirst = 2045-05-01\n[[condition]]\nid = "late"\n'
        'when = "rv.due >= p.first"\nreason = "R107"\ntext = "Falls due too early"\n[[condition]]'
    )
    source = credit_line().decode().replace("[[condition]]", late, 1).encode()
    samples = compute_samples(compile_product(source))
    assert samples[0].decision.outcome is Outcome.GRANT
    assert "fails late" in {sample.title for sample in samples}
