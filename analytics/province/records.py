"""The very records of a company, from the same columns and groups that its facts come from.

`records_of` gives them as a department would submit them, by record schema, every field of the
schema filled; `spans_of` the days that each source attests. What the ledger computes from them is
what `Province.facts` says: `tests/analytics/test_province_records.py` executes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import numpy as np

from analytics.province.draws import Ints
from analytics.province.events import Chunk, EventTable
from analytics.province.facts import Province
from analytics.province.invoices import PURCHASES, SALES, Invoices, lines_of
from analytics.province.latent import attested_span
from genesis.companies import made_up_code
from ledger.membership.catalogue import FieldSpec, FieldType, StoredAs
from ledger.rules.features import FeatureSource
from ledger.transactions.records import SALT_BYTES, Record

_VAT_PERCENT = 13
_PARTNERS = 10_000_000
_APART = 7919  # between the partners of one company and those of the next


def read_record_names(province: Province) -> list[str]:
    """Return the full names of the record schemas that the features read, in order."""
    names = set()
    for feature in province.schema.features.values():
        if feature.stream is not None:
            names.add(feature.stream.record_name)
        elif feature.source is FeatureSource.ASSET and feature.category:
            suffix = f"/{feature.record_schema}" if feature.record_schema else ""
            names.add(feature.category + suffix)
    return sorted(names)


def spans_of(chunk: Chunk, names: Iterable[str]) -> Iterator[tuple[str, int, tuple[int, int]]]:
    """Yield (record schema, row, (from, to)) of what is attested; days since 1970."""
    for name in names:
        start, end = attested_span(chunk.latent, name)
        for row in range(chunk.latent.count):
            if start[row] <= end[row]:
                yield name, row, (int(start[row]), int(end[row]))


def records_of(
    province: Province, chunk: Chunk, name: str, wanted: Ints
) -> dict[int, list[Record]]:
    """Return the records of one schema of the companies at the rows `wanted`, by row."""
    codes = [code.decode() for code in province.codes(chunk)]
    for side, invoices in ((SALES, chunk.sales), (PURCHASES, chunk.purchases)):
        if name == side.record:
            return {
                int(row): list(_invoice_records(chunk, invoices, int(row), codes[row]))
                for row in wanted
            }
    table = province.table(chunk, name)
    found: dict[int, list[Record]] = {int(row): [] for row in wanted}
    for place in np.flatnonzero(np.isin(table.rows, wanted)):
        row = int(table.rows[place])
        found[row].append(_record(table, int(place), codes[row]))
    return found


def _invoice_records(chunk: Chunk, invoices: Invoices, row: int, company: str) -> Iterator[Record]:
    number = chunk.latent.first + row
    for line in lines_of(invoices, row):
        tax = line.net * _VAT_PERCENT // 100
        partner = made_up_code(f"T{(number * _APART + line.partner) % _PARTNERS}")
        fields = {
            "invoice_no": line.number,
            "issued_on": line.day,
            "counterparty": partner,
            "net": line.net,
            "tax": tax,
            "gross": line.net + tax,
            "status": line.status,
        }
        yield Record(company, line.day, fields, salt=_salt(invoices.record, company, line.number))


def _record(table: EventTable, place: int, company: str) -> Record:
    fields = {}
    for name, spec in table.schema.fields.items():
        value = _value(table, place, spec)
        if value is not None:
            fields[name] = value
    ordinal = str(table.ordinals[place])
    salt = _salt(table.schema.full_name, company, ordinal)
    return Record(company, int(table.days[place]), fields, salt=salt)


def _value(table: EventTable, place: int, spec: FieldSpec) -> Any:
    """Return a field's value as it is stored, None where it is absent."""
    if spec.stored_as is StoredAs.LIST:
        return ()
    column = table.column(spec.name)
    if column.present is not None and not column.present[place]:
        return None
    if spec.type is FieldType.USCC:
        return made_up_code(f"T{int(table.ordinals[place])}")
    value = column.values[place]
    if column.vocabulary is None:
        return bool(value) if spec.stored_as is StoredAs.FLAG else int(value)
    return column.vocabulary[value]


def _salt(*parts: str) -> bytes:
    """Return a salt as long as a record's: made up, and the same every time."""
    return sha256("/".join(parts).encode()).digest()[:SALT_BYTES]
