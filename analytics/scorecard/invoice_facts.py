"""The facts of company/2 that follow from the published invoices, for all companies at once.

One query a side computes what `analytics.twelve_months` computes company by company, and the two
are compared in a test, as is the ledger's own computation from daily buckets: an exact duplicate
counts once, a row with the number and date of an earlier one and other content in no window; void
rows count only among invoices issued; windows are (as_of − days, as_of]. The source is taken to
have reported every day up to `as_of`, so a window without rows is zero and not missing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from analytics.scorecard.table import FactTable
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE
from ledger.errors import Code, LocalError
from ledger.rules.operations import ratio_bp
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue

AS_OF = date(2020, 2, 21)  # the last day of the published invoices
COMPANIES_FILE = "cumcm2020c_companies.csv"
_BAD = "1"

_ROWS = """
create or replace temp table counted as
select company_id as company, issue_date as day, counterparty_id as other,
       net_fen as net, status = 'V' as is_valid,
       {as_of} - issue_date as age
from (select *, row_number() over (
        partition by company_id, invoice_no, issue_date order by line) as copy
      from (select *, row_number() over () as line
            from read_csv(?, header = true, parallel = false, columns = {{
        'company_id': 'VARCHAR', 'invoice_no': 'VARCHAR', 'issue_date': 'DATE',
        'counterparty_id': 'VARCHAR', 'net_fen': 'BIGINT', 'tax_fen': 'BIGINT',
        'gross_fen': 'BIGINT', 'status': 'VARCHAR'}})))
where copy = 1 and issue_date <= {as_of}
"""
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

    Raise `LocalError` (8001) when a file is not there or is another one.
    """
    import duckdb

    found: dict[str, dict[str, Any]] = {}
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            for file, queries in _SIDES:
                path = folder / file
                connection.execute(_ROWS.format(as_of=f"date '{as_of}'"), [str(path)])
                for query in queries:
                    _merge(connection.execute(query), found)
    except (duckdb.Error, OSError) as error:
        message = f"cannot read the invoices in {folder}: {str(error).splitlines()[0]}"
        raise LocalError(Code.INPUT_FILE, message) from None
    labels = _read_labels(folder / COMPANIES_FILE)
    ids = tuple(sorted(found, key=lambda name: (len(name), name)))
    rows = tuple(_complete(found[name], (as_of - date(1970, 1, 1)).days) for name in ids)
    units = {name: schema.features[name].unit for name in sorted({*rows[0], *schema.features})}
    known = tuple(labels.get(name) for name in ids)
    return FactTable(ids, rows, known, units, str(folder))


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


def _read_labels(path: Path) -> dict[str, int]:
    """Return the labels that are known; invoices may come without any."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("defaulted")]
        return {row["company_id"]: int(row["defaulted"] == _BAD) for row in rows}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
