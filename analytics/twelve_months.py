"""The twelve-month features of schema company/1, computed a second time straight from the rows.

The ledger keeps daily buckets and answers from them; this twin keeps nothing and reads every row,
so that the two can be compared: in a test over a few companies, and against a running network. It
does with duplicates and conflicts what DOMAIN.md says a ledger does: a row that is equal to an
earlier one counts once; one with the number and date of an earlier one and other content is kept as
a conflict and counts in no window. Windows are (as_of − days, as_of]; shares are basis points,
truncated toward zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from analytics.invoices import Invoice, read_invoices
from genesis.companies import made_up_code

YEAR_DAYS = 365
RECENT_DAYS = 1095
SALES_FILE = "cumcm2020c_invoices_output.csv.gz"
PURCHASES_FILE = "cumcm2020c_invoices_input.csv.gz"


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of one company that count, and how many did not."""

    invoices: tuple[Invoice, ...]
    duplicates: int
    conflicts: int


def count_once(invoices: Iterable[Invoice]) -> Counted:
    """Return rows in their order without duplicates and conflicts."""
    first: dict[tuple[str, str], Invoice] = {}
    conflicting: set[Invoice] = set()
    duplicates = conflicts = 0
    for invoice in invoices:
        key = (invoice.number, invoice.issued_on)
        known = first.get(key)
        if known is None:
            first[key] = invoice
        elif invoice == known or invoice in conflicting:
            duplicates += 1
        else:
            conflicting.add(invoice)
            conflicts += 1
    return Counted(tuple(first.values()), duplicates, conflicts)


def compute_features(
    sales: Sequence[Invoice], purchases: Sequence[Invoice], as_of: date
) -> dict[str, int]:
    """Return the features of company/1 that follow from invoices; amounts in fen, days since 1970.

    `sales` and `purchases` are rows that count (`count_once`). What has no value is absent.
    """
    year = _window(sales, as_of, YEAR_DAYS, 0)
    valid = [invoice for invoice in year if invoice.is_valid]
    prior = _window(sales, as_of, YEAR_DAYS, YEAR_DAYS)
    bought = [item for item in _window(purchases, as_of, YEAR_DAYS, 0) if item.is_valid]
    features = {
        "co.sales_12m": _net(valid),
        "co.sales_prior_12m": _net(item for item in prior if item.is_valid),
        "co.invoice_count_12m": len(year),
        "co.void_count_12m": len(year) - len(valid),
        "co.red_letter_count_12m": sum(1 for item in valid if item.net_fen < 0),
        "co.buyers_12m": len({item.counterparty for item in valid}),
        "co.purchases_12m": _net(bought),
        "co.suppliers_12m": len({item.counterparty for item in bought}),
    }
    features |= _optional("co.top_buyer_sales_12m", _compute_largest(valid))
    features |= _optional("co.top_supplier_purchases_12m", _compute_largest(bought))
    features |= _optional("co.void_rate_12m", _share(len(year) - len(valid), len(year)))
    top = features.get("co.top_buyer_sales_12m")
    if top is not None:
        features |= _optional("co.top_buyer_share_12m", _share(top, features["co.sales_12m"]))
    recent = [item for item in _window(sales, as_of, RECENT_DAYS, 0) if item.is_valid]
    if recent:
        last = max(item.issued_on for item in recent)
        features["co.last_sale_on"] = (date.fromisoformat(last) - date(1970, 1, 1)).days
        features["co.days_since_last_sale"] = (as_of - date.fromisoformat(last)).days
    return features


def _window(invoices: Iterable[Invoice], as_of: date, days: int, offset: int) -> list[Invoice]:
    after = (as_of - timedelta(days=offset + days)).isoformat()
    last = (as_of - timedelta(days=offset)).isoformat()
    return [invoice for invoice in invoices if after < invoice.issued_on <= last]


def _net(invoices: Iterable[Invoice]) -> int:
    return sum(invoice.net_fen for invoice in invoices)


def _compute_largest(invoices: Iterable[Invoice]) -> int | None:
    totals: Counter[str] = Counter()
    for invoice in invoices:
        totals[invoice.counterparty] += invoice.net_fen
    return max(totals.values(), default=None)


def _share(part: int, whole: int) -> int | None:
    if whole == 0:
        return None
    share = abs(part) * 10_000 // abs(whole)
    return share if (part < 0) == (whole < 0) else -share


def _optional(name: str, value: int | None) -> dict[str, int]:
    return {} if value is None else {name: value}


def compute_from_files(
    folder: Path, is_wanted: Callable[[str], bool], as_of: date
) -> dict[str, dict[str, int]]:
    """Return the features of the wanted companies by code, from the published files in `folder`."""
    sides: list[dict[str, list[Invoice]]] = []
    for name in (SALES_FILE, PURCHASES_FILE):
        side: dict[str, list[Invoice]] = defaultdict(list)
        for invoice in read_invoices(folder / name, is_wanted):
            side[invoice.company].append(invoice)
        sides.append(side)
    sales, purchases = sides
    return {
        made_up_code(company): compute_features(
            count_once(sales[company]).invoices, count_once(purchases[company]).invoices, as_of
        )
        for company in sorted({*sales, *purchases})
    }


def find_differences(direct: Mapping[str, int], ledger: Mapping[str, object]) -> list[str]:
    """Return a sentence for each feature that the ledger tells otherwise, none if all are equal."""
    return [
        f"{name}: the ledger says {ledger.get(name)}, the rows {value}"
        for name, value in sorted(direct.items())
        if ledger.get(name) != value
    ]
