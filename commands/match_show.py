"""Matches for people: who would lend at what cost, who would not and what would have to differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commands.answers import text_of
from commands.console import say, show_table
from commands.decisions import fact_text
from commands.values import amount, day, rate

_NO_CHANGE = "no change of what the company can change was found to pass"
_MAX_REASONS = 3


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
    units = answer["units"]
    if answer["eligible"]:
        say("")
        _show_eligible(answer["eligible"])
    if answer["others"]:
        say("")
        _show_others(answer["others"], units)
    if is_detailed:
        for item in answer["others"]:
            _show_reasons(item, units)


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


def _show_others(items: Sequence[Mapping[str, Any]], units: Mapping[str, str]) -> None:
    rows = [
        [item["product"], item["lender"], item["outcome"], _why(item), _change_text(item, units)]
        for item in items
    ]
    headers = ["product", "lender", "now", "why", "would pass with"]
    show_table("would not, the nearest first", headers, rows)


def _why(item: Mapping[str, Any]) -> str:
    reasons = item["reasons"]
    shown = [f"{reason['code']} {reason['text'] or reason['condition']}" for reason in reasons]
    more = len(shown) - _MAX_REASONS
    text = "; ".join(shown[:_MAX_REASONS]) + (f"; {more} more" if more > 0 else "")
    if item["missing"]:
        text += f" (not known: {', '.join(item['missing'])})"
    return text


def _change_text(item: Mapping[str, Any], units: Mapping[str, str]) -> str:
    change = item["change"]
    if change is None:
        return _NO_CHANGE
    moves = "; ".join(move_text(move, units) for move in change["moves"])
    return f"{moves}: then {rate(change['rate_bp'])}, {amount(change['amount_fen'])}"


def move_text(move: Mapping[str, Any], units: Mapping[str, str]) -> str:
    """Return "co.tax_grade C to M (or A, B)"; a later day is "from 2020-05-01 on"."""
    name = move["feature"]
    unit = move.get("unit") or units.get(name, "")
    after = fact_text(unit, move["after"])
    if name == "as_of":
        return f"from {day(move['after'])} on"
    others = [fact_text(unit, other) for other in move["others"]]
    also = f" (or {', '.join(others)})" if others else ""
    if move["before"] is None:
        return f"{name} known as {after}{also}"
    return f"{name} {fact_text(unit, move['before'])} to {after}{also}"


def _show_reasons(item: Mapping[str, Any], units: Mapping[str, str]) -> None:
    rows = [
        [
            reason["code"],
            reason["result"],
            text_of("", reason["text"] or reason["condition"]),
            ", ".join(
                f"{name} = {fact_text(units.get(name, ''), value)}"
                for name, value in reason["inputs"]
            )
            or "-",
        ]
        for reason in item["reasons"]
    ]
    say("")
    show_table(item["product"], ["reason", "result", "condition", "inputs"], rows)
