"""The two public data sets that show whether the same fit does elsewhere (data/README.md).

Of the US loans everything known only after the loan was granted is left out: the charge-off and its
date, the status, the balance, and whether the loan lived through the recession. So are who somebody
is (name, city, bank, franchise) and the sampling column; of the industry two digits count.
`Term` is what was agreed, but in that file long terms go with real estate and few losses, and some
doubt that it was never rewritten: figures are given with and without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from analytics.scorecard.table import FactTable, read_table
from ledger.rules.units import FactValue, Unit

POLISH_FILE = "polish_bankruptcy_5year.csv.gz"
SBA_FILE = "sba_case_california.csv.gz"
SBA_AFTERWARDS = ("ChgOffDate", "ChgOffPrinGr", "MIS_Status", "BalanceGross", "Recession")
SBA_NO_FEATURES = (
    "Selected",
    "FranchiseCode",
    "Name",
    "City",
    "State",
    "Zip",
    "Bank",
    "ApprovalDate",
    "ApprovalFY",
    "DisbursementDate",
    "daysterm",
)
SBA_TERM = ("Term", "RealEstate")
_INDUSTRY = "data.naics"


@dataclass(frozen=True, slots=True)
class Case:
    """One public data set, ready to be fitted."""

    name: str
    table: FactTable


def read_cases(folder: Path) -> tuple[Case, ...]:
    """Return the cases of the data folder; raise `LocalError` (8001)."""
    loans = folder / SBA_FILE
    left_out = (*SBA_AFTERWARDS, *SBA_NO_FEATURES)
    return (
        Case("Polish bankruptcies", read_table(folder / POLISH_FILE, "bankrupt")),
        Case("SBA loans", _read_loans(loans, left_out)),
        Case("SBA loans without the term", _read_loans(loans, (*left_out, *SBA_TERM))),
    )


def _read_loans(path: Path, left_out: tuple[str, ...]) -> FactTable:
    table = read_table(path, "Default", id_column="LoanNr_ChkDgt", drop=left_out)
    rows = tuple(_with_sector(row) for row in table.rows)
    return replace(table, rows=rows, units={**table.units, _INDUSTRY: Unit.TEXT})


def _with_sector(row: Mapping[str, FactValue]) -> Mapping[str, FactValue]:
    """Return the row with the first two digits of its industry; 0 is "not given"."""
    code = str(row.get(_INDUSTRY, ""))
    rest = {name: value for name, value in row.items() if name != _INDUSTRY}
    return rest if code in ("", "0") else {**rest, _INDUSTRY: code[:2]}
