"""What a feature and an alert's window have in common: an aggregate over the events of a category.

A record schema is named as in a catalogue: "C044" is the main one of its category, "C044/line" a
second one. `read_stream` reads the keys `where`, `field` and `by` of a declaration, checks them
against the fields of the record schema, and returns the stream whose daily buckets answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ledger.errors import Code
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.documents import Table
from ledger.rules.limits import MAX_DOCUMENT_COST, MAX_TEXT_CHARACTERS
from ledger.rules.names import shown, suggest
from ledger.rules.types import Variable, type_of_unit
from ledger.rules.units import Unit
from ledger.rules.windows import Event, Stream, StreamKind


@dataclass(frozen=True, slots=True)
class EventField:
    """A field of a record schema, as rules see it; `values` for an enumeration.

    `currency` of an amount in minor units of foreign money, which is a count to rules; a feature
    in fen over it converts each day's with the rate of that day.
    """

    unit: Unit
    values: frozenset[str] | None = None
    currency: str = ""


# Record schema ("C044", "C044/line") → field → what it is.
EventTypes: TypeAlias = Mapping[str, Mapping[str, EventField]]

_KINDS = {
    "count": StreamKind.SUM,
    "sum": StreamKind.SUM,
    "min": StreamKind.MIN,
    "max": StreamKind.MAX,
    "last": StreamKind.LAST,
    "distinct": StreamKind.DISTINCT,
    "top": StreamKind.TOP,
}
_SUMMED = frozenset({Unit.FEN, Unit.COUNT, Unit.DAYS, Unit.BP})
CONVERTED = frozenset({"sum", "min", "max", "last"})  # may be asked in fen of foreign money
# A catalogue's plain integers do not say what they count: a feature may.
_COUNTED = frozenset({Unit.COUNT, Unit.SCORE, Unit.DAYS})


def find_fields(
    table: Table, key: str, record_schema: str, events: EventTypes
) -> Mapping[str, EventField]:
    """Return the fields of a record schema; refuse, at `key`, one that is not there."""
    fields = events.get(record_schema)
    if fields is None:
        near = suggest(record_schema, sorted(events))
        message = f"there are no records {record_schema}{near}"
        raise table.refusal(Code.RULE_NAME, key, message)
    return fields


def read_stream(
    table: Table, agg: str, record_schema: str, fields: Mapping[str, EventField]
) -> tuple[Stream, EventField | None]:
    """Return the stream that `table` asks for, and what it aggregates (None: it counts)."""
    name = "" if agg == "count" else read_field(table, "field", fields)
    by = ""
    if agg == "top":
        by = read_field(table, "by", fields)
        if fields[by].unit is not Unit.TEXT:
            table.refuse("by", f"{by} groups the events, so it must be a text")
    category, _, schema = record_schema.partition("/")
    where = _read_where(table, fields)
    source, predicate, cost = ("", None, 0) if where is None else where
    stream = Stream(category, schema, source, _KINDS[agg], name, by, predicate, cost)
    return stream, fields[name] if name else None


def read_field(table: Table, key: str, fields: Mapping[str, EventField]) -> str:
    """Return the name of a field, written with or without "e."."""
    name = table.text(key).removeprefix("e.")
    if name not in fields:
        message = f"unknown field {shown(name)}{suggest(name, sorted(fields))}"
        raise table.refusal(Code.RULE_NAME, key, message)
    return name


def check_stream_cost(root: Table, streams: Iterable[Stream]) -> None:
    """Refuse a document whose conditions on one event may cost too much together."""
    cost = sum(stream.cost for stream in streams)
    if cost > MAX_DOCUMENT_COST:
        message = f"may cost {cost} units an event, want at most {MAX_DOCUMENT_COST}"
        raise root.refusal(Code.RULE_COST, None, message)


def _read_where(
    table: Table, fields: Mapping[str, EventField]
) -> tuple[str, Callable[[Event], bool], int] | None:
    if "where" not in table:
        return None
    variables = {
        f"e.{name}": Variable(type_of_unit(field.unit), values=field.values, fact=name)
        for name, field in fields.items()
    }
    source = table.expression("where")
    expression = compile_expression(source, Environment(variables), Unit.FLAG)
    texts = sorted(name for name in expression.reads if fields[name].unit is Unit.TEXT)
    return source.text, _bound_texts(expression, texts), expression.cost


def _bound_texts(expression: Expression, texts: Sequence[str]) -> Callable[[Event], bool]:
    """Return the condition, to which a text beyond the length that its cost assumes is missing."""

    def holds(event: Event) -> bool:
        long = [name for name in texts if len(str(event.get(name, ""))) > MAX_TEXT_CHARACTERS]
        if long:
            event = {name: value for name, value in event.items() if name not in long}
        return bool(expression.evaluate(event))

    return holds if texts else expression.evaluate


def check_unit(table: Table, agg: str, field: EventField | None, unit: Unit) -> None:
    """Refuse a declared unit that the aggregate of this field does not have."""
    if field is None or agg == "distinct":
        allowed = {Unit.COUNT}
    elif agg in ("sum", "top"):
        allowed = _allowed(field.unit) if field.unit in _SUMMED else set()
    elif agg in ("min", "max") and field.unit in (Unit.FLAG, Unit.TEXT):
        allowed = set()
    else:
        allowed = _allowed(field.unit)
    if field is not None and field.currency and agg in CONVERTED:
        allowed.add(Unit.FEN)
    if unit not in allowed:
        given = "" if field is None else f" of a field in {field.unit}"
        want = " or ".join(sorted(allowed))
        message = f"the {agg}{given} is not in {unit}, want {want}"
        if field is not None and not allowed:
            message = f"there is no {agg} of a field in {field.unit}: want count, last or distinct"
        raise table.refusal(Code.RULE_UNIT, "unit", message)


def find_conversion(agg: str, field: EventField | None, unit: Unit) -> str:
    """Return the currency that an aggregate in `unit` is converted from, or ""."""
    return field.currency if field is not None and unit is Unit.FEN and agg in CONVERTED else ""


def _allowed(unit: Unit) -> set[Unit]:
    return set(_COUNTED) if unit is Unit.COUNT else {unit}
