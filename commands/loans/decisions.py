"""Decisions and facts for people: each value in its unit, each reason in its author's words.

A result holds names and integers; what they mean stands in the rules it names. So the schema's and
the product's sources are asked for (`rules.show`) and read: units of features, texts of conditions.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from commands.answers import text_of
from commands.console import show_facts, show_table
from commands.session import Session
from commands.values import amount, day, rate

_UNITS = {"fen": amount, "bp": rate, "date": day}


def get_source(session: Session, kind: str, ref: str) -> dict[str, Any]:
    """Return the parsed source of a registered rule."""
    return tomllib.loads(session.query("rules.show", kind=kind, ref=ref)["source"].decode())


def get_units(session: Session, schema_ref: str) -> dict[str, str]:
    """Return the unit of each feature of a schema."""
    features = get_source(session, "schema", schema_ref).get("feature", {})
    units = {name: str(feature.get("unit", "")) for name, feature in features.items()}
    return {**units, "as_of": "date"}


def get_alert_units(session: Session, ref: str) -> dict[str, str]:
    """Return the unit of each input of an alert: its windows', and its schema's features."""
    source = get_source(session, "alert", ref)
    windows = {f"w.{item['name']}": str(item.get("unit", "")) for item in source.get("window", ())}
    schema = source.get("schema")
    return {**(get_units(session, schema) if schema else {}), **windows}


def fact_text(unit: str, value: Any) -> str:
    """Return a fact's value in its unit; None is "missing", which is never zero."""
    if value is None:
        return "missing"
    if isinstance(value, int) and not isinstance(value, bool):
        if unit in _UNITS:
            return _UNITS[unit](value)
        return f"{value} days" if unit == "days" else f"{value:,}"
    return text_of("", value)


def show_decision(session: Session, decision: Mapping[str, Any], asked_fen: int) -> None:
    """Print what was decided, for how much of what was asked, and why not more."""
    facts = {"decision": str(decision["outcome"])}
    if decision.get("amount_fen") is not None and decision["outcome"] == "GRANT":
        facts["amount"] = f"{amount(decision['amount_fen'])} of {amount(asked_fen)} asked"
        facts["rate"] = f"{rate(decision['rate_bp'])} a year"
    if decision.get("limit_fen") is not None:
        facts["limit"] = amount(decision["limit_fen"])
    if decision.get("score") is not None:
        facts["score"] = str(decision["score"])
    if decision.get("missing"):
        facts["missing"] = ", ".join(decision["missing"])
    if decision.get("expires_day") is not None:
        facts["offer until"] = day(decision["expires_day"])
    facts["application"] = str(decision["application"])
    show_facts("", facts)
    show_reasons(session, str(decision["product"]), decision.get("reasons") or ())


def show_reasons(session: Session, product: str, reasons: Any) -> None:
    """Print a table of the conditions that did not hold, with the inputs they saw."""
    if not reasons:
        return
    source = get_source(session, "product", product)
    units = get_units(session, source["schema"])
    texts = {item["id"]: str(item.get("text", "")) for item in source.get("condition", ())}
    rows = []
    for code, condition, result, inputs in reasons:
        seen = ", ".join(
            f"{name} = {fact_text(units.get(name, ''), value)}" for name, value in inputs
        )
        rows.append([str(code), str(result), texts.get(condition) or str(condition), seen or "-"])
    show_table("", ["reason", "result", "condition", "inputs"], rows)
