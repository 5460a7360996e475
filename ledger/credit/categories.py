"""What a record's fields must be: types, ranges, values, text that can be shown.

`FieldChecks` is a schema made ready for checking many records: one pass over a record's fields, and
an error that names the field, what came and what was wanted (2103–2107). Amounts and numbers lie
within ±10^15 and not below the field's `minimum`, dates between 1900 and 2199.
`compute_event_types` is the same catalogue as the rule language sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.credit.currencies import find_currency
from ledger.credit.uscc import check_uscc
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import (
    Category,
    FieldSpec,
    FieldType,
    RecordSchema,
    StoredAs,
)
from ledger.rules.schema import EventField, EventTypes
from ledger.rules.units import Unit
from ledger.transactions.fields import (
    FIRST_DAY,
    LAST_DAY,
    MAX_AMOUNT_FEN,
    MAX_TEXT,
    find_unsafe_character,
    name_type,
)

MAX_LONG_TEXT = 4_000
MAX_CODE = 64
MAX_HASH = 128
MAX_LIST_ITEMS = 64
_DAY = (FIRST_DAY, LAST_DAY)
_AMOUNT = (-MAX_AMOUNT_FEN, MAX_AMOUNT_FEN)
_RANGES = {
    FieldType.YEAR: (1900, 2199),
    FieldType.DATE: _DAY,
    FieldType.MONTH: _DAY,
    FieldType.QUARTER: _DAY,
}
_LENGTHS = {FieldType.TEXT: MAX_LONG_TEXT, FieldType.CODE: MAX_CODE, FieldType.HASH: MAX_HASH}
_UNITS = {
    FieldType.INT: Unit.COUNT,
    FieldType.YEAR: Unit.COUNT,
    FieldType.DECIMAL: Unit.COUNT,
    FieldType.RATIO: Unit.BP,
    FieldType.DATE: Unit.DATE,
    FieldType.MONTH: Unit.DATE,
    FieldType.QUARTER: Unit.DATE,
    FieldType.BOOL: Unit.FLAG,
}


@dataclass(frozen=True, slots=True)
class FieldChecks:
    """A schema's checks by field name: `integers` as (lowest, highest), the rest as functions."""

    integers: Mapping[str, tuple[int, int]]
    others: Mapping[str, Callable[[Any], None]]
    required: frozenset[str]

    def check(self, fields: Mapping[str, Any]) -> None:
        """Raise `Rejected` (2103–2107, 22xx) naming the first field that does not fit."""
        integers, others = self.integers, self.others
        for name, value in fields.items():
            limits = integers.get(name)
            if limits is not None:
                if type(value) is not int:
                    raise _wrong_type(name, value, "int")
                if not limits[0] <= value <= limits[1]:
                    raise _out_of_range(name, str(value), f"{limits[0]} to {limits[1]}")
                continue
            check = others.get(name)
            if check is None:
                shown = name if find_unsafe_character(name) is None and len(name) <= 64 else "?"
                raise Rejected(Code.RECORD_FIELD_UNKNOWN, f"field {shown} is not one of the schema")
            check(value)
        if not self.required <= fields.keys():
            missing = ", ".join(sorted(self.required - fields.keys()))
            raise Rejected(Code.RECORD_FIELD_MISSING, f"field {missing} is missing")


def compute_field_checks(schema: RecordSchema) -> FieldChecks:
    """Return the checks of a schema."""
    integers: dict[str, tuple[int, int]] = {}
    others: dict[str, Callable[[Any], None]] = {}
    for name, spec in schema.fields.items():
        if spec.stored_as is StoredAs.INTEGER:
            low, high = _RANGES.get(spec.type, _AMOUNT)
            integers[name] = (low if spec.minimum is None else max(low, spec.minimum), high)
        else:
            others[name] = _compute_check(spec)
    required = frozenset(name for name, spec in schema.fields.items() if not spec.is_optional)
    return FieldChecks(integers, others, required)


def _compute_check(spec: FieldSpec) -> Callable[[Any], None]:
    if spec.stored_as is StoredAs.FLAG:
        return lambda value: _check_flag(spec.name, value)
    if spec.stored_as is StoredAs.LIST:
        return lambda value: _check_list(spec.name, value)
    if spec.type is FieldType.ENUM:
        values = frozenset(spec.values)
        return lambda value: _check_enum(spec, values, value)
    if spec.type is FieldType.USCC:
        return lambda value: _check_code(spec.name, value)
    maximum = _LENGTHS.get(spec.type, MAX_TEXT)
    return lambda value: _check_text(spec.name, value, maximum)


def _check_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise _wrong_type(name, value, "bool")


def _check_enum(spec: FieldSpec, values: frozenset[str], value: object) -> None:
    if type(value) is not str:
        raise _wrong_type(spec.name, value, "str")
    if value not in values:
        wanted = ", ".join(spec.values)
        raise Rejected(
            Code.RECORD_FIELD_VALUE, f"field {spec.name}: got another text, want one of {wanted}"
        )


def _check_text(name: str, value: object, maximum: int) -> None:
    if type(value) is not str:
        raise _wrong_type(name, value, "str")
    if not 1 <= len(value) <= maximum:
        raise _out_of_range(name, f"{len(value)} characters", f"1 to {maximum}")
    unsafe = find_unsafe_character(value)
    if unsafe is not None:
        raise Rejected(
            Code.RECORD_FIELD_VALUE,
            f"field {name}: got character {unsafe}, want text that can be shown",
        )


def _check_code(name: str, value: object) -> None:
    _check_text(name, value, MAX_CODE)
    try:
        check_uscc(str(value))
    except Rejected as error:
        raise Rejected(error.code, f"field {name}: {error.message}") from None


def _check_list(name: str, value: object) -> None:
    if type(value) is not tuple:
        raise _wrong_type(name, value, "list")
    if len(value) > MAX_LIST_ITEMS:
        raise _out_of_range(name, f"{len(value)} items", f"at most {MAX_LIST_ITEMS}")
    for item in value:
        _check_text(name, item, MAX_TEXT)


def _wrong_type(name: str, value: object, want: str) -> Rejected:
    return Rejected(Code.RECORD_FIELD_TYPE, f"field {name}: got {name_type(value)}, want {want}")


def _out_of_range(name: str, got: str, want: str) -> Rejected:
    return Rejected(Code.RECORD_FIELD_RANGE, f"field {name}: got {got}, want {want}")


def compute_event_types(categories: Iterable[Category]) -> EventTypes:
    """Return what rules may read of each record schema, by its full name, newest versions."""
    return {
        schema.full_name: {
            name: EventField(*_event_field(spec))
            for name, spec in schema.fields.items()
            if spec.stored_as is not StoredAs.LIST
        }
        for category in categories
        for schema in category.latest().values()
    }


def _event_field(spec: FieldSpec) -> tuple[Unit, frozenset[str] | None, str]:
    if spec.is_money:
        return Unit.FEN, None, ""
    values = frozenset(spec.values) if spec.type is FieldType.ENUM else None
    return _UNITS.get(spec.type, Unit.TEXT), values, find_currency(spec)
