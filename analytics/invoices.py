"""The published invoices of 425 companies, row by row (data/README.md), for checks and analytics.

A row is what the CSV says and nothing is interpreted here: amounts in fen, negative for a
red-letter invoice, status V or X. Twelve thousand rows are exact copies of another; whoever counts
says what is done with them.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ledger.errors import Code, LocalError

COLUMNS = (
    "company_id",
    "invoice_no",
    "issue_date",
    "counterparty_id",
    "net_fen",
    "tax_fen",
    "gross_fen",
    "status",
)
VALID = "V"


class Invoice(NamedTuple):
    """One published row; `issued_on` as YYYY-MM-DD."""

    company: str
    number: str
    issued_on: str
    counterparty: str
    net_fen: int
    tax_fen: int
    gross_fen: int
    status: str

    @property
    def is_valid(self) -> bool:
        """Tell whether the invoice was not voided."""
        return self.status == VALID


def read_invoices(path: Path, is_wanted: Callable[[str], bool] | None = None) -> Iterator[Invoice]:
    """Yield the rows of a file, of the companies wanted; `LocalError` 8001 for another file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != COLUMNS:
                raise LocalError(Code.INPUT_FILE, f"{path} is not a file of published invoices")
            for company, number, issued_on, counterparty, net, tax, gross, status in reader:
                if is_wanted is None or is_wanted(company):
                    yield Invoice(
                        company,
                        number,
                        issued_on,
                        counterparty,
                        int(net),
                        int(tax),
                        int(gross),
                        status,
                    )
    except (OSError, ValueError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
