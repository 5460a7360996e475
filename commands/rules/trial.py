"""What a product would decide: on made-up companies, on facts from a file, on a real company.

Nothing is sent. The product is compiled against the genesis document as `product check` does, and
decides by itself; a real company's facts are asked from the network, and those that the author may
not read are missing, as they would be without the company's consent.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from commands.answers import text_of
from commands.console import say, show_table
from commands.files import read_bytes
from commands.loans.decisions import fact_text
from commands.session import Session
from commands.values import amount, rate
from ledger.errors import Code, LocalError
from ledger.rules.decision import FAIL, Decision, Outcome
from ledger.rules.documents import to_days
from ledger.rules.features import AS_OF
from ledger.rules.product import AMOUNT, Product
from ledger.rules.quantities import parse_quantity
from ledger.rules.trial import Sample
from ledger.rules.units import FactValue

_CHANGED_MAX = 6
_HIGH_RATE_BP = 3_600  # no court enforces more than four times the prime rate, far less than this
_PARAMETER = re.compile(r"\bp\.[a-z][a-z0-9_]*")


def read_samples(path: Path, product: Product) -> tuple[Sample, ...]:
    """Return the companies of a TOML file: [[company]] tables of facts, and a `name` each.

    Amounts, rates and days are written as in rules ("CNY 1000.00", "5.25%", "30 days"), dates
    without quotes. Raise `LocalError` (8001, 8002).
    """
    try:
        tables = tomllib.loads(read_bytes(path).decode()).get("company", ())
    except (ValueError, RecursionError) as error:
        raise LocalError(Code.INPUT_FILE, f"{path}: {error}") from None
    if not isinstance(tables, list) or not tables:
        raise LocalError(Code.INPUT_FILE, f"{path}: want at least one [[company]]")
    return tuple(_read_sample(index, table, product) for index, table in enumerate(tables))


def _read_sample(index: int, table: Mapping[str, Any], product: Product) -> Sample:
    known = {feature.name: feature for feature in product.features}
    facts: dict[str, FactValue] = {AS_OF: product.effective_from}
    for name, value in table.items():
        if name == "name":
            continue
        feature = known.get(name)
        if feature is None and name != AS_OF:
            raise LocalError(Code.INPUT_LINE, f"company {index + 1}: the product reads no {name}")
        fact = _read_fact(value)
        if feature is not None and not feature.accepts(fact):
            raise LocalError(
                Code.INPUT_LINE,
                f"company {index + 1}: {name} is {value!r}, want a value in {feature.unit}",
            )
        facts[name] = fact
    title = str(table.get("name", f"company {index + 1}"))
    return Sample(title, facts, product.decide(facts))


def _read_fact(value: Any) -> FactValue:
    if isinstance(value, date):
        return to_days(value)
    if isinstance(value, str):
        parsed = parse_quantity(value)
        return value if parsed is None else parsed[1]
    if isinstance(value, bool | int):
        return value
    raise LocalError(Code.INPUT_LINE, f"{value!r} is no fact: want a number, text, date or flag")


def find_notes(product: Product, source: str) -> list[str]:
    """Return what is allowed in a product and seldom meant."""
    named = set(_PARAMETER.findall(source))
    notes = [f"parameter {name} is not used" for name in product.params if name not in named]
    notes += [
        f"condition {item.id} looks at no fact: it says the same of every company"
        for item in product.conditions
        if not item.when.reads
    ]
    notes += [
        f"from a score of {band.lower} on the rate is {rate(band.rate_bp)} a year"
        for band in product.bands
        if band.rate_bp is not None and band.rate_bp > _HIGH_RATE_BP
    ]
    return notes


def find_gaps(product: Product, samples: Iterable[Sample]) -> list[str]:
    """Return what no made-up company showed: a grant, or a condition that fails."""
    found = list(samples)
    failed = {
        reason.condition
        for item in found
        for reason in item.decision.reasons
        if reason.result == FAIL
    }
    notes = [
        f"no company was found that fails {item.id}: does it always hold?"
        for item in product.conditions
        if item.id not in failed and item.when.reads
    ]
    if not any(item.decision.outcome is Outcome.GRANT for item in found):
        notes.append(
            "no company was found that gets the loan: do conditions contradict one another, or "
            "does the limit never reach the minimum?"
        )
    return notes


def ask_company(
    session: Session, product: Product, company: str, asked: Mapping[str, FactValue]
) -> Sample:
    """Return what the product decides on what the author may read of a company."""
    inputs = {feature.name for feature in product.features}
    answer = session.query("company.features", company=company, schema=product.schema_ref)
    facts = {name: value for name, value in answer["facts"].items() if name in inputs}
    facts |= {name: value for name, value in asked.items() if name in inputs or name == AMOUNT}
    return Sample(company, facts, product.decide(facts))


def sample_value(sample: Sample) -> dict[str, Any]:
    """Return a sample for a program."""
    decision = sample.decision
    return {
        "title": sample.title,
        "facts": dict(sample.facts),
        "outcome": str(decision.outcome),
        "limit_fen": decision.limit_fen,
        "amount_fen": decision.amount_fen,
        "rate_bp": decision.rate_bp,
        "score": decision.score,
        "reasons": [[item.code, item.condition, item.result] for item in decision.reasons],
        "missing": list(decision.missing),
    }


def show_samples(product: Product, samples: Iterable[Sample]) -> None:
    """Print a table of decisions; each company by what is different from the first one."""
    found = list(samples)
    units = {feature.name: str(feature.unit) for feature in product.features}
    rows = []
    for sample in found:
        shown = _terms(sample.decision)
        rows.append([sample.title, str(sample.decision.outcome), *shown, _why(sample.decision)])
    show_table("what it decides", ["company", "decision", "limit", "rate", "score", "why"], rows)
    first = found[0].facts
    say("")
    named = [[name, fact_text(units.get(name, ""), value)] for name, value in first.items()]
    show_table(found[0].title, ["input", "value"], named)
    others = [[item.title, _differences(first, item.facts, units)] for item in found[1:]]
    if others:
        say("")
        show_table("the others differ in", ["company", "inputs"], others)


def _terms(decision: Decision) -> list[str]:
    limit = "-" if decision.limit_fen is None else amount(decision.limit_fen)
    rate_text = "-" if decision.rate_bp is None else rate(decision.rate_bp)
    return [limit, rate_text, "-" if decision.score is None else str(decision.score)]


def _why(decision: Decision) -> str:
    named = [f"{item.code} {item.condition} ({item.result})" for item in decision.reasons]
    return text_of("", ", ".join(named)) if named else "-"


def _differences(
    first: Mapping[str, FactValue], facts: Mapping[str, FactValue], units: Mapping[str, str]
) -> str:
    names = [name for name in sorted({*first, *facts}) if first.get(name) != facts.get(name)]
    shown = [
        f"{name} = {fact_text(units.get(name, ''), facts.get(name))}"
        for name in names[:_CHANGED_MAX]
    ]
    more = len(names) - _CHANGED_MAX
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
