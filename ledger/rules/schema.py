"""Feature schemas: what a rule may know, and how every replica computes it (RULES.md).

A feature comes from committed records (an aggregate over a window, or two of them combined), from
the application, from the registered asset that it names, or from the loan book. `Schema.compute`
answers the first sort from daily buckets; the others are handed in by their owners.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ledger.errors import Code
from ledger.rules.aggregates import (
    EventField,
    EventTypes,
    check_stream_cost,
    check_unit,
    find_conversion,
    find_fields,
    read_field,
    read_stream,
)
from ledger.rules.documents import MAX_VERSION, Table, hash_source, load_document
from ledger.rules.features import (
    AS_OF,
    Computation,
    Feature,
    FeatureSource,
    Leeway,
    Measure,
    streams_of,
)
from ledger.rules.limits import MAX_FEATURES
from ledger.rules.names import quoted, shown, suggest
from ledger.rules.types import Variable
from ledger.rules.units import DECLARABLE, FactValue, Unit
from ledger.rules.windows import AGGREGATES, MAX_WINDOW_DAYS, Stream, WindowReader

__all__ = [
    "EventField",
    "EventTypes",
    "Feature",
    "FeatureSource",
    "Schema",
    "load_schema",
]

_NAME = re.compile(r"as_of|[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,47})+")
_RESERVED_PREFIXES = ("p.", "e.", "math.")
_CATEGORY = re.compile(r"[A-Z][0-9A-Z_]{1,15}")
_RECORD_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,31}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_DERIVED = {"ratio_bp": 2, "days_since": 1}
_MAX_VALUES = 64
_MAX_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Schema:
    """A registered schema; `ref` ("company/7") is how other documents name it."""

    id: str
    version: int
    source_hash: bytes
    features: Mapping[str, Feature]
    streams: tuple[Stream, ...]

    @property
    def ref(self) -> str:
        """The id and version, as other documents write them."""
        return f"{self.id}/{self.version}"

    @property
    def variables(self) -> dict[str, Variable]:
        """The names that an expression over this schema may use."""
        return {name: feature.variable for name, feature in self.features.items()}

    def streams_for(self, names: Iterable[str]) -> tuple[Stream, ...]:
        """Return the streams that the features `names` are computed from, in a fixed order."""
        return streams_of(names, self.features)

    def compute(
        self, as_of: int, read: WindowReader, names: Iterable[str] | None = None
    ) -> dict[str, FactValue]:
        """Return the facts of the record features `names` (default all) on the day `as_of`.

        What is missing, stale or out of its declared range is absent; `as_of` is always there.
        """
        computation = Computation(self.features, as_of, read)
        facts: dict[str, FactValue] = {AS_OF: as_of}
        for name in self.features if names is None else names:
            value = computation.get(name)
            if value is not None:
                facts[name] = value
        return facts


def load_schema(source: bytes, events: EventTypes) -> Schema:
    """Return the schema that `source` declares; raise `RuleSourceError` with line and column."""
    root = load_document(source, "schema")
    schema_id = root.id("id")
    version = root.integer("version", 1, MAX_VERSION)
    root.text("name", "")
    root.text("text", "")
    tables = root.table("feature")
    root.finish()
    names = tables.names()
    if len(names) > MAX_FEATURES:
        tables.refuse(None, f"{len(names)} features, want at most {MAX_FEATURES}")
    features = {name: _read_feature(tables, name, events) for name in names}
    features.setdefault(AS_OF, Feature(AS_OF, Unit.DATE, FeatureSource.RECORDS))
    for feature in features.values():
        if feature.of:
            _check_parts(tables, feature, features)
    streams = streams_of(features, features)
    check_stream_cost(tables, streams)
    return Schema(schema_id, version, hash_source(source), features, streams)


def _read_feature(tables: Table, name: str, events: EventTypes) -> Feature:
    if _NAME.fullmatch(name) is None or name.startswith(_RESERVED_PREFIXES):
        tables.refuse(name, f"{quoted(name)} is no feature name, want one such as co.sales_12m")
    table = tables.table(name)
    unit = Unit(table.choice("unit", sorted(DECLARABLE)))
    source = FeatureSource(table.choice("source", tuple(FeatureSource), "records"))
    text, text_zh = table.text("text", ""), table.text("text_zh", "")
    measure = _read_measure(table, unit)
    change = Leeway(table.choice("change", tuple(Leeway))) if "change" in table else None
    if name == AS_OF:
        if unit is not Unit.DATE:
            table.refuse("unit", "as_of is the block's day: its unit is date")
        feature = Feature(AS_OF, Unit.DATE, FeatureSource.RECORDS)
    elif name.startswith("ap.") != (source is FeatureSource.APPLICATION):
        table.refuse(None, f'{name}: ap.* and only they have source = "application"')
    elif source is FeatureSource.RECORDS:
        feature = _read_record_feature(table, name, unit, events)
    else:
        feature = _read_other_feature(table, name, unit, source, events)
    _check_words(table, unit, feature.values)
    table.finish()
    return replace(feature, change=change, text=text, text_zh=text_zh, measure=measure)


def _read_measure(table: Table, unit: Unit) -> Measure | None:
    """Return what a count is in, for people, where the schema says it."""
    if "measure" not in table:
        return None
    if unit is not Unit.COUNT:
        table.refuse("measure", f"a measure is for what is in count, not in {unit}")
    decimals = table.integer("decimals", 0, _MAX_DECIMALS, 0)
    name = table.text("measure")
    return Measure(decimals, name, table.text("measure_zh", name))


def _check_words(table: Table, unit: Unit, values: frozenset[str] | None) -> None:
    """Check the Chinese words for the values of a text; letters read them from the source."""
    if "words_zh" not in table:
        return
    if unit is not Unit.TEXT:
        table.refuse("words_zh", f"words are for the values of a text, not of {unit}")
    words = table.table("words_zh")
    for value in words.names():
        words.text(value)
        if values is not None and value not in values:
            near = suggest(value[:64], sorted(values))
            words.refuse(value, f"the records never say {quoted(value)}{near}")


def _read_range(table: Table, unit: Unit) -> tuple[int | None, int | None]:
    if unit in (Unit.FLAG, Unit.TEXT):
        return None, None
    minimum = table.optional_integer("min")
    maximum = table.optional_integer("max")
    if minimum is not None and maximum is not None and minimum > maximum:
        table.refuse("max", f"max is {maximum}, want at least min, {minimum}")
    return minimum, maximum


def _read_values(table: Table, unit: Unit, field: EventField | None) -> frozenset[str] | None:
    """Return the enumeration of a text feature: its own, else its field's."""
    known = field.values if field is not None and unit is Unit.TEXT else None
    if unit is not Unit.TEXT or "values" not in table:
        return known
    values = table.texts("values", _MAX_VALUES)
    for index, value in enumerate(values):
        if known is not None and value not in known:
            near = suggest(value, sorted(known))
            table.refuse("values", f"the records never say {quoted(value)}{near}", index)
    return frozenset(values)


def _read_record_name(table: Table) -> str:
    category = table.matching("category", _CATEGORY, "category such as C044", None)
    schema = table.matching("schema", _RECORD_SCHEMA, "record schema such as line", "")
    return f"{category}/{schema}" if schema else category


def _read_record_feature(table: Table, name: str, unit: Unit, events: EventTypes) -> Feature:
    agg = table.choice("agg", (*AGGREGATES, *_DERIVED))
    if agg in _DERIVED:
        return _read_derived_feature(table, name, unit, agg)
    record_name = _read_record_name(table)
    fields = find_fields(table, "category", record_name, events)
    stream, field = read_stream(table, agg, record_name, fields)
    check_unit(table, agg, field, unit)
    minimum, maximum = _read_range(table, unit)
    return Feature(
        name,
        unit,
        FeatureSource.RECORDS,
        category=stream.category,
        record_schema=stream.record_schema,
        agg=agg,
        field=stream.field,
        by=stream.by,
        where_source=stream.where_source,
        days=table.integer("days", 0, MAX_WINDOW_DAYS, 0),
        offset_days=table.integer("offset_days", 0, MAX_WINDOW_DAYS, 0),
        fresh_days=table.optional_integer("fresh_days", 0),
        minimum=minimum,
        maximum=maximum,
        values=_read_values(table, unit, field),
        stream=stream,
        currency=find_conversion(agg, field, unit),
    )


def _read_derived_feature(table: Table, name: str, unit: Unit, agg: str) -> Feature:
    parts = table.texts("of", _DERIVED[agg])
    if len(parts) != _DERIVED[agg]:
        table.refuse("of", f"{agg} wants {_DERIVED[agg]} different features")
    want = Unit.BP if agg == "ratio_bp" else Unit.DAYS
    if unit is not want:
        raise table.refusal(Code.RULE_UNIT, "unit", f"{agg} is in {want}, not in {unit}")
    minimum, maximum = _read_range(table, unit)
    return Feature(
        name,
        unit,
        FeatureSource.RECORDS,
        agg=agg,
        of=tuple(parts),
        minimum=minimum,
        maximum=maximum,
    )


def _check_parts(tables: Table, feature: Feature, features: Mapping[str, Feature]) -> None:
    """Refuse a derived feature whose parts are not plain aggregates of fitting units."""
    table = tables.table(feature.name)
    units = []
    for index, name in enumerate(feature.of):
        part = features.get(name)
        if part is None:
            message = f"unknown feature {shown(name)}{suggest(name, sorted(features))}"
            raise table.refusal(Code.RULE_NAME, "of", message, index)
        if part.stream is None:
            table.refuse("of", f"{name} is no aggregate of records", index)
        units.append(part.unit)
    if feature.agg == "days_since" and units != [Unit.DATE]:
        raise table.refusal(Code.RULE_UNIT, "of", f"days_since wants a date, not {units[0]}")
    if feature.agg == "ratio_bp" and (units[0] is not units[1] or units[0] in _NO_SHARE):
        message = f"ratio_bp wants two quantities of one unit, not {units[0]} and {units[1]}"
        raise table.refusal(Code.RULE_UNIT, "of", message)


_NO_SHARE = frozenset({Unit.FLAG, Unit.TEXT, Unit.DATE})


def _read_other_feature(
    table: Table, name: str, unit: Unit, source: FeatureSource, events: EventTypes
) -> Feature:
    """Read a feature that others compute: of an application, an asset or the loan book."""
    kind, category, schema, field_name, key = "", "", "", "", ""
    field: EventField | None = None
    days, fresh_days = 0, None
    if source is not FeatureSource.APPLICATION:
        kind = table.matching("kind", _KIND, "kind of asset", "")
        days = table.integer("days", 0, MAX_WINDOW_DAYS, 0)
        fresh_days = table.optional_integer("fresh_days", 0)
    if source is FeatureSource.ASSET and "category" in table:
        record_name = _read_record_name(table)
        fields = find_fields(table, "category", record_name, events)
        field_name = read_field(table, "field", fields)
        key = read_field(table, "key", fields)
        field = fields[field_name]
        check_unit(table, "last", field, unit)
        category, _, schema = record_name.partition("/")
    minimum, maximum = _read_range(table, unit)
    return Feature(
        name,
        unit,
        source,
        category=category,
        record_schema=schema,
        field=field_name,
        days=days,
        fresh_days=fresh_days,
        minimum=minimum,
        maximum=maximum,
        values=_read_values(table, unit, field),
        kind=kind,
        key=key,
    )
