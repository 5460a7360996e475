"""Matches for people: who would lend at what cost, who would not and what would have to differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commands.answers import text_of
from commands.console import say, show_table
from commands.loans.decisions import fact_text
from commands.values import amount, day, rate, scaled

_NO_CHANGE = "no change of what the company can change was found to pass"
_SCORE_UNKNOWN = "too much of what the score looks at is not known"
_MAX_REASONS = 3
_TITLE_WIDTH = len("passes with")


@dataclass(frozen=True, slots=True)
class Facts:
    """What facts are called, and their units, as an answer has them."""

    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measures: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return the schema's text for a fact, its name where there is none."""
        return self.labels[name][0] if name in self.labels else name

    def value(self, name: str, value: Any, unit: str = "") -> str:
        """Return a fact's value in its unit, a count in what it counts."""
        if name in self.measures and type(value) is int:
            decimals, measure, _ = self.measures[name]
            return f"{scaled(value, decimals)} {measure}"
        return fact_text(unit or self.units.get(name, ""), value)


def show_match(answer: Mapping[str, Any], *, is_detailed: bool = False) -> None:
    """Print an answer of `company.match`; in detail with every reason and its inputs."""
    counts = answer["counts"]
    say(
        f"{answer['company']} asks CNY {amount(answer['asked_fen'])} for {answer['term_days']} days"
        f" on {day(answer['as_of'])}: of {sum(counts.values())} products"
        f" {counts.get('GRANT', 0)} would lend, {counts.get('REFER', 0)} would want to know more,"
        f" {counts.get('DECLINE', 0)} would decline"
    )
    for kind, asset in answer["assets"].items():
        say(f"  {kind}: asset {asset}")
    facts = Facts(answer["units"], answer["labels"], answer["measures"])
    if answer["eligible"]:
        say("")
        _show_eligible(answer["eligible"])
    if answer["others"]:
        say("")
        _show_others(answer["others"], facts)
    if is_detailed:
        for item in answer["others"]:
            _show_reasons(item, facts)


def _show_eligible(items: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            str(number),
            item["product"],
            item["lender"],
            item["line"] or "-",
            rate(item["rate_bp"]),
            amount(item["amount_fen"]),
            amount(item["limit_fen"]),
            amount(item["interest_fen"]),
            _needs(item),
        ]
        for number, item in enumerate(items, 1)
    ]
    headers = ["", "product", "lender", "line", "rate", "amount", "limit", "interest", "wants"]
    show_table("would lend, the cheapest first", headers, rows)


def _needs(item: Mapping[str, Any]) -> str:
    """Return what an application needs beside the wish: an asset, authorisations."""
    asset = [item["asset"]] if item["asset"] else []
    return ", ".join([*asset, *item["requires"]]) or "-"


def _show_others(items: Sequence[Mapping[str, Any]], facts: Facts) -> None:
    """Print what would not be lent as paragraphs: reasons and changes are too long for cells."""
    say("would not, the nearest first")
    for item in items:
        say("")
        say(f"{item['product']}  {item['lender']}  {item['outcome']}  {item['name']}".rstrip())
        _show_lines("why", _why(item, facts))
        _show_lines("passes with", _change_lines(item["change"], facts))


def _reason_text(reason: Mapping[str, Any]) -> str:
    """Return the author's text, which says that the condition failed, only where it did."""
    if reason["result"] == "FAIL":
        return str(reason["text"] or reason["condition"])
    if reason["condition"] == "score" and not reason["text"]:
        return _SCORE_UNKNOWN
    return f"not known whether: {reason['text'] or reason['condition']}"


def _show_lines(title: str, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        say(f"  {title if number == 0 else '':{_TITLE_WIDTH}}  {line}")


def _why(item: Mapping[str, Any], facts: Facts) -> list[str]:
    reasons = item["reasons"]
    lines = [f"{reason['code']} {_reason_text(reason)}" for reason in reasons]
    more = len(lines) - _MAX_REASONS
    lines = lines[:_MAX_REASONS] + ([f"and {more} more"] if more > 0 else [])
    if item["missing"]:
        lines.append(f"not known: {', '.join(map(facts.label, item['missing']))}")
    return lines


def _change_lines(change: Mapping[str, Any] | None, facts: Facts) -> list[str]:
    if change is None:
        return [_NO_CHANGE]
    moves = [move_text(move, facts) for move in change["moves"]]
    return [*moves, f"then CNY {amount(change['amount_fen'])} at {rate(change['rate_bp'])}"]


def move_text(move: Mapping[str, Any], facts: Facts) -> str:
    """Return "Tax credit grade: C to M (or A, B)"; a later day is "from 2020-05-01 on"."""
    name = move["feature"]
    unit = str(move.get("unit") or "")
    after = facts.value(name, move["after"], unit)
    if name == "as_of":
        return f"from {day(move['after'])} on"
    others = [facts.value(name, other, unit) for other in move["others"]]
    also = f" (or {', '.join(others)})" if others else ""
    before = "not known" if move["before"] is None else facts.value(name, move["before"], unit)
    return f"{facts.label(name)}: {before} to {after}{also}"


def _show_reasons(item: Mapping[str, Any], facts: Facts) -> None:
    rows = [
        [
            reason["code"],
            reason["result"],
            text_of("", _reason_text(reason)),
            ", ".join(
                f"{facts.label(name)} = {facts.value(name, value)}"
                for name, value in reason["inputs"]
            )
            or "-",
        ]
        for reason in item["reasons"]
    ]
    say("")
    show_table(item["product"], ["reason", "result", "condition", "inputs"], rows)
