"""The facts of company/2 that follow from the published invoices, for all companies at once.

One query a side computes what `analytics.twelve_months` computes company by company, and the two
are compared in a test, as is the ledger's own computation from daily buckets: an exact duplicate
counts once, a row with the number and date of an earlier one and other content in no window; void
rows count only among invoices issued; windows are (as_of − days, as_of]. The source is taken to
have reported every day up to `as_of`, so a window without rows is zero and not missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from analytics.scorecard.cells import read_csv, read_labels
from analytics.scorecard.table import FactTable
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE
from ledger.errors import Code, LocalError
from ledger.rules.operations import ratio_bp
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue

AS_OF = date(2020, 2, 21)  # the last day of the published invoices
COMPANIES_FILE = "cumcm2020c_companies.csv"
_COMPANY = "company_id"
_TARGET = "defaulted"
_BAD = "1"

_RAW = """
create or replace temp table raw as
select row_number() over () + 1 as line,
       company_id as company, invoice_no, counterparty_id as other,
       try_cast(issue_date as date) as day, try_cast(net_fen as bigint) as net, status,
       regexp_full_match(net_fen, '-?[0-9]{1,18}') as is_whole
from read_csv(?, header = true, all_varchar = true, parallel = false, delim = ',', quote = '"')
"""
_WRONG = """
select line, case when day is null then 'issue_date is no day'
                  when net is null or not is_whole then 'net_fen is no whole number of fen'
                  else 'status is neither V nor X' end
from raw where day is null or net is null or not is_whole or status not in ('V', 'X')
  or status is null or is_whole is null
order by line limit 1
"""
_ROWS = """
create or replace temp table counted as
select company, day, other, net, status = 'V' as is_valid, {as_of} - day as age
from (select *, row_number() over (partition by company, invoice_no, day order by line) as copy
      from raw)
where copy = 1 and day <= {as_of}
"""
_LATE = "select count(*) from raw where day > {as_of}"
_SALES = """
select company,
  coalesce(sum(net) filter (is_valid and age < 365), 0)::bigint as "co.sales_12m",
  coalesce(sum(net) filter (is_valid and age between 365 and 729), 0)::bigint
    as "co.sales_prior_12m",
  count(*) filter (age < 365) as "co.invoice_count_12m",
  count(*) filter (not is_valid and age < 365) as "co.void_count_12m",
  count(*) filter (is_valid and net < 0 and age < 365) as "co.red_letter_count_12m",
  count(distinct other) filter (is_valid and age < 365) as "co.buyers_12m",
  max(day) filter (is_valid and age < 1095) - date '1970-01-01' as "co.last_sale_on",
  min(day) filter (is_valid and age < 1095) - date '1970-01-01' as "co.first_sale_on"
from counted group by company
"""
_PURCHASES = """
select company,
  coalesce(sum(net) filter (is_valid and age < 365), 0)::bigint as "co.purchases_12m",
  count(distinct other) filter (is_valid and age < 365) as "co.suppliers_12m"
from counted group by company
"""
_TOP = """
select company, max(total)::bigint as "{name}" from (
  select company, other, sum(net) as total from counted
  where is_valid and age < 365 group by company, other) group by company
"""
_SHARES = {
    "co.void_rate_12m": ("co.void_count_12m", "co.invoice_count_12m"),
    "co.top_buyer_share_12m": ("co.top_buyer_sales_12m", "co.sales_12m"),
}
_SIDES = (
    (SALES_FILE, (_SALES, _TOP.format(name="co.top_buyer_sales_12m"))),
    (PURCHASES_FILE, (_PURCHASES, _TOP.format(name="co.top_supplier_purchases_12m"))),
)


def read_invoice_facts(folder: Path, schema: Schema, as_of: date = AS_OF) -> FactTable:
    """Return the facts of the companies whose invoices lie in `folder`, with their labels.

    Raise `LocalError` (8001, 8002) when a file is not there, is another one, or has a row that no
    invoice is.
    """
    import duckdb

    found: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            for file, queries in _SIDES:
                notes += _load(connection, folder, file, as_of)
                for query in queries:
                    _merge(connection.execute(query), found)
    except (duckdb.Error, OSError) as error:
        reason = " ".join(str(error).splitlines()[:4])
        message = f"cannot read the invoices in {folder}: {reason}"
        raise LocalError(Code.INPUT_FILE, message) from None
    labels, values, told = _read_labels(folder / COMPANIES_FILE)
    without = sum(label is not None and name not in found for name, label in labels.items())
    if without:
        notes.append(f"{without:,} companies with a label have no invoices")
    ids = tuple(sorted(found, key=lambda name: (len(name), name)))
    if not ids:
        raise LocalError(Code.INPUT_FILE, f"cannot read the invoices in {folder}: no rows")
    rows = tuple(_complete(found[name], (as_of - date(1970, 1, 1)).days) for name in ids)
    units = {name: schema.features[name].unit for name in sorted({*rows[0], *schema.features})}
    known = tuple(labels.get(name) for name in ids)
    target = f"column {_TARGET}, {values or 'without a value'}"
    return FactTable(ids, rows, known, units, str(folder), notes=(*notes, *told), target=target)


def _load(connection: Any, folder: Path, file: str, as_of: date) -> list[str]:
    """Load a side's rows, columns by their names; `LocalError` (8001, 8002) for what is wrong."""
    path = folder / file
    if not path.is_file():
        raise LocalError(Code.INPUT_FILE, f"cannot read the invoices in {folder}: no {file}")
    day = f"date '{as_of}'"
    connection.execute(_RAW, [str(path)])
    wrong = connection.execute(_WRONG).fetchone()
    if wrong is not None:
        raise LocalError(Code.INPUT_LINE, f"{path}, row {wrong[0]}: {wrong[1]}")
    connection.execute(_ROWS.format(as_of=day))
    late = connection.execute(_LATE.format(as_of=day)).fetchone()[0]
    return [f"{file}: {late:,} invoices after {as_of} count nowhere"] if late else []


def _merge(answer: Any, found: dict[str, dict[str, Any]]) -> None:
    names = [column[0] for column in answer.description][1:]
    for company, *values in answer.fetchall():
        facts = zip(names, values, strict=True)
        found.setdefault(company, {}).update((k, v) for k, v in facts if v is not None)


def _complete(facts: Mapping[str, int], as_of: int) -> dict[str, FactValue]:
    """Return the facts with those that follow from two others, and nothing for an empty side."""
    zeros = ("co.purchases_12m", "co.suppliers_12m", "co.sales_12m", "co.sales_prior_12m")
    row: dict[str, FactValue] = {"as_of": as_of, **dict.fromkeys(zeros, 0), **facts}
    for name, (part, whole) in _SHARES.items():
        if facts.get(part) is not None and facts.get(whole):
            row[name] = ratio_bp(facts[part], facts[whole])
    for name, day in (
        ("co.days_since_last_sale", "co.last_sale_on"),
        ("co.days_since_first_sale", "co.first_sale_on"),
    ):
        if day in facts:
            row[name] = as_of - facts[day]
    return row


def _read_labels(path: Path) -> tuple[dict[str, int | None], str, tuple[str, ...]]:
    """Return labels by company, their values and notes; invoices may come without any."""
    if not path.is_file():
        return {}, "", ()
    header, lines, notes = read_csv(path)
    if _COMPANY not in header or _TARGET not in header:
        message = f"cannot read {path}: want columns {_COMPANY} and {_TARGET}"
        raise LocalError(Code.INPUT_FILE, message)
    names = [line[header.index(_COMPANY)] for line in lines]
    labels, values = read_labels([line[header.index(_TARGET)] for line in lines], _BAD)
    found: dict[str, int | None] = {}
    for number, (name, label) in enumerate(zip(names, labels, strict=True), 2):
        if found.setdefault(name, label) != label:
            message = f"row {number}: {name} stands above already, with another label"
            raise LocalError(Code.INPUT_LINE, f"{path}, {message}")
    return found, values, notes
