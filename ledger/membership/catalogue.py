"""The catalogue: which categories exist, who owns them, what their records look like.

A category has a main record schema, named "", and may have others ("line": invoice by invoice).
A schema lists typed fields with units; the stored value of each type is fixed here (`StoredAs`), so
that a record means the same to every reader. The values come from the genesis document and are kept
in CATEGORIES as they stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.errors import Refused
from ledger.membership.reading import Reading, invalid
from ledger.transactions.envelope import check_name
from ledger.transactions.fields import MAX_AMOUNT_FEN

MAX_SCALE = 9
MAX_FIELDS = 64
MAX_SCHEMAS = 8
MAX_VALUES = 64


class Access(StrEnum):
    """Who may read a category's records."""

    PUBLIC = "PUB"
    AUTHORISED = "AUT"
    REGULATORS = "REG"

    @property
    def is_salted(self) -> bool:
        """Tell whether records must be digested field by field, each field with a salt."""
        return self is Access.AUTHORISED


class FieldType(StrEnum):
    """The types of fields, as the catalogue writes them."""

    USCC = "uscc"
    STRING = "string"
    TEXT = "text"
    CODE = "code"
    ENUM = "enum"
    HASH = "hash"
    LIST = "list"
    INT = "int"
    YEAR = "year"
    DECIMAL = "decimal"
    RATIO = "ratio"
    DATE = "date"
    MONTH = "month"
    QUARTER = "quarter"
    BOOL = "bool"


class StoredAs(StrEnum):
    """How a field's value stands in a record; a list is one of texts."""

    TEXT = "str"
    INTEGER = "int"
    FLAG = "bool"
    LIST = "list"


_STORED = {
    FieldType.LIST: StoredAs.LIST,
    FieldType.BOOL: StoredAs.FLAG,
    FieldType.INT: StoredAs.INTEGER,
    FieldType.YEAR: StoredAs.INTEGER,
    FieldType.DECIMAL: StoredAs.INTEGER,
    FieldType.RATIO: StoredAs.INTEGER,
    FieldType.DATE: StoredAs.INTEGER,
    FieldType.MONTH: StoredAs.INTEGER,
    FieldType.QUARTER: StoredAs.INTEGER,
}
DAY_TYPES = frozenset({FieldType.DATE, FieldType.MONTH, FieldType.QUARTER})
# Owner of the categories that companies declare themselves; no member may be called so.
SELF_DECLARED = "self"
_KEY_END = b"\x00"  # sorts below every character of a name


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a schema. A decimal is stored times 10^scale: fen for CNY (units with "CNY")."""

    name: str
    type: FieldType
    unit: str
    is_optional: bool
    values: tuple[str, ...]
    scale: int
    minimum: int | None

    @property
    def stored_as(self) -> StoredAs:
        """How its value stands in a record."""
        return _STORED.get(self.type, StoredAs.TEXT)

    @property
    def is_money(self) -> bool:
        """Tell whether the stored value is an amount in fen."""
        return self.type is FieldType.DECIMAL and self.unit in ("CNY", "CNY 10k")


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """One version of a record schema; `day` of a record is its `date_field` where it has one."""

    category: str
    name: str
    version: int
    date_field: str
    identity: tuple[str, ...]
    fields: Mapping[str, FieldSpec]

    @property
    def full_name(self) -> str:
        """The name rules and keys use: "C044", "C044/line"."""
        return f"{self.category}/{self.name}" if self.name else self.category

    @property
    def key(self) -> bytes:
        """The name as a part of state keys, prefix-free."""
        return self.full_name.encode() + _KEY_END


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days after its end a record is kept and shown (`ledger.credit.retention`).

    The end is the date in the field `ends`. Of a record that has none it has not come while `field`
    has one of `values`, or at all when there is no such field; else it is the record's day.
    """

    days: int
    ends: str
    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """One category; `schemas` by (name, version). Without `retention` it is kept without end."""

    id: str
    owner: str
    name: str
    name_zh: str
    access: Access
    is_negative: bool
    has_natural_person: bool
    cadence: str
    dimension: str
    schemas: Mapping[tuple[str, int], RecordSchema]
    retention: Retention | None = None

    @property
    def is_self_declared(self) -> bool:
        """Tell whether companies say these things of themselves, and no department does."""
        return self.owner == SELF_DECLARED

    def latest(self) -> dict[str, RecordSchema]:
        """Return the highest version of each schema, by name."""
        found: dict[str, RecordSchema] = {}
        for (name, version), schema in self.schemas.items():
            if name not in found or found[name].version < version:
                found[name] = schema
        return found


_CATEGORY_KEYS = (
    "id",
    "owner",
    "name",
    "name_zh",
    "access",
    "is_negative",
    "has_natural_person",
    "cadence",
    "dimension",
    "schemas",
)
_RETENTION_KEYS = ("days", "ends", "field", "values")
_RETENTION_DAYS_MAX = 36_525
_SCHEMA_KEYS = ("name", "version", "date_field", "identity", "fields")
_FIELD_KEYS = ("name", "type", "unit", "is_optional", "values", "scale", "minimum")


def category_from_value(place: str, value: object) -> Category:
    """Return the category of a decoded map; raise `Refused` (7001, 7002) with the place.

    The key `retention` may be left out.
    """
    has_retention = isinstance(value, Mapping) and "retention" in value
    more = ("retention",) if has_retention else ()
    reading = Reading(place, value, (*_CATEGORY_KEYS, *more))
    category_id = read_name(reading, "id")
    schemas: dict[tuple[str, int], RecordSchema] = {}
    for schema_place, item in reading.items("schemas", minimum=1, maximum=MAX_SCHEMAS):
        schema = _schema(schema_place, category_id, item)
        if (schema.name, schema.version) in schemas:
            invalid(schema_place, f"schema {schema.full_name} version {schema.version} twice")
        schemas[schema.name, schema.version] = schema
    if all(name for name, _ in schemas):
        invalid(reading.at("schemas"), f"category {category_id} has no main schema")
    return Category(
        category_id,
        read_name(reading, "owner"),
        reading.text("name"),
        reading.text("name_zh", minimum=0),
        Access(_choice(reading, "access", [item.value for item in Access])),
        reading.flag("is_negative"),
        reading.flag("has_natural_person"),
        reading.text("cadence", minimum=0, maximum=64),
        reading.text("dimension", minimum=0, maximum=64),
        schemas,
        _retention(reading, schemas) if has_retention else None,
    )


def _retention(category: Reading, schemas: Mapping[tuple[str, int], RecordSchema]) -> Retention:
    reading = Reading(category.at("retention"), category.raw("retention"), _RETENTION_KEYS)
    ends = reading.text("ends", minimum=0, maximum=64)
    field = reading.text("field", minimum=0, maximum=64)
    values = reading.texts("values", maximum=MAX_VALUES)
    types = {name: spec.type for schema in schemas.values() for name, spec in schema.fields.items()}
    if ends and types.get(ends) not in DAY_TYPES:
        invalid(reading.at("ends"), f"{ends} is no date, month or quarter")
    if field and types.get(field) is not FieldType.ENUM:
        invalid(reading.at("field"), f"{field} is no enumeration")
    if bool(field) != bool(values):
        invalid(reading.at("values"), "a field has values while it goes on, and nothing else has")
    days = reading.integer("days", minimum=1, maximum=_RETENTION_DAYS_MAX)
    return Retention(days, ends, field, values)


def _schema(place: str, category: str, value: object) -> RecordSchema:
    reading = Reading(place, value, _SCHEMA_KEYS)
    name = read_name(reading, "name") if reading.raw("name") != "" else ""
    fields: dict[str, FieldSpec] = {}
    for field_place, item in reading.items("fields", minimum=1, maximum=MAX_FIELDS):
        spec = _field(field_place, item)
        if spec.name in fields:
            invalid(field_place, f"field {spec.name} stands twice")
        fields[spec.name] = spec
    date_field = reading.text("date_field", minimum=0, maximum=64)
    if date_field and (date_field not in fields or fields[date_field].type not in DAY_TYPES):
        invalid(reading.at("date_field"), f"{date_field} is no date, month or quarter")
    if date_field and fields[date_field].is_optional:
        invalid(reading.at("date_field"), f"{date_field} may not be optional")
    identity = reading.texts("identity", maximum=MAX_FIELDS)
    for item in identity:
        if item not in fields:
            invalid(reading.at("identity"), f"{item} is no field of the schema")
    version = reading.integer("version", minimum=1, maximum=65_535)
    return RecordSchema(category, name, version, date_field, identity, fields)


def _field(place: str, value: object) -> FieldSpec:
    reading = Reading(place, value, _FIELD_KEYS)
    kind = FieldType(_choice(reading, "type", [item.value for item in FieldType]))
    values = reading.texts("values", maximum=MAX_VALUES)
    if (kind is FieldType.ENUM) != bool(values):
        invalid(reading.at("values"), "an enum has values, and no other type has")
    minimum = None
    if reading.raw("minimum") is not None:
        minimum = reading.integer("minimum", minimum=-MAX_AMOUNT_FEN, maximum=MAX_AMOUNT_FEN)
    return FieldSpec(
        read_name(reading, "name"),
        kind,
        reading.text("unit", minimum=0, maximum=64),
        reading.flag("is_optional"),
        values,
        reading.integer("scale", minimum=0, maximum=MAX_SCALE),
        minimum,
    )


def read_name(reading: Reading, key: str) -> str:
    """Return an identifier (1 to 64 of A-Z a-z 0-9 . _ -); raise `Refused` 7001."""
    text = reading.text(key, maximum=64)
    try:
        check_name("it", text)
    except Refused:
        invalid(reading.at(key), "not a name of A-Z a-z 0-9 . _ -")
    return text


def _choice(reading: Reading, key: str, allowed: list[str]) -> str:
    text = reading.text(key, maximum=64)
    if text not in allowed:
        invalid(reading.at(key), f"got {text}, want one of {', '.join(allowed)}")
    return text
