"""Records for people: each field as its category's schema means it.

Decimals and ratios are stored as scaled integers, dates, months and quarters as the day they begin
with; the catalogue says which field is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands.answers import text_of
from commands.values import amount, day, rate
from ledger.membership.catalogue import DAY_TYPES, Category, FieldSpec, FieldType


def describe_record(fields: Mapping[str, Any], specs: Mapping[str, FieldSpec]) -> dict[str, str]:
    """Return the fields' texts by name, in the order of the schema."""
    known = {name: _text(spec, fields[name]) for name, spec in specs.items() if name in fields}
    return known | {name: text_of("", v) for name, v in fields.items() if name not in specs}


def find_fields(
    categories: Mapping[str, Category], category: str, schema: str
) -> Mapping[str, FieldSpec]:
    """Return the fields of all versions of a record schema, the latest version's first.

    A field means the same in each. None where the category is not known.
    """
    found = categories.get(category)
    versions = {} if found is None else found.schemas
    specs: dict[str, FieldSpec] = {}
    for (name, _), version in sorted(versions.items(), reverse=True):
        if name == schema:
            specs = {**specs, **version.fields}
    return specs


def _text(spec: FieldSpec, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if spec.type in DAY_TYPES:
            return day(value)
        if spec.is_money:
            return amount(value)
        if spec.type is FieldType.RATIO and spec.unit == "%" and spec.scale == 2:
            return rate(value)
        if spec.scale:
            return _scaled(value, spec.scale)
    return text_of("", value)


def _scaled(value: int, digits: int) -> str:
    sign, units = ("-", -value) if value < 0 else ("", value)
    whole, rest = divmod(units, 10**digits)
    return f"{sign}{whole:,}.{rest:0{digits}d}"
