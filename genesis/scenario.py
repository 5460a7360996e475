"""The cases of the demonstration: who applies for what, and whose sales fall off a cliff.

The borrowers of January 2020 come with their wishes as data (genesis/demo/borrowers.toml). Three
made-up companies are cast for the other cases by changing what their records will show, and nothing
else: one the tax office and the market regulator have on their lists (declined), one that was never
rated (referred: the grade is missing, not bad), and one in good health whose sales of a year are
then cancelled by red-letter invoices (the alert). Amounts and dates follow from their own records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from genesis.companies import Profile
from genesis.draws import Draws
from genesis.records import Invoice, Period, Row, Table, vat, yuan
from ledger.errors import Code, LocalError

SALES: Table = ("D02", "C044", "line")
DECLINED, REFERRED, FALLING = range(3)
CAST = 3
_CREDIT_DAYS = 150
_DEMO_SIZE = (
    20_000_000,
    90_000_000,
)  # monthly sales in fen of a cast company: CNY 200,000 to 900,000


@dataclass(frozen=True, slots=True)
class Case:
    """One application as the demonstration makes it; `asset` as `creditledger asset register`."""

    name: str
    company: str
    company_name: str
    product: str
    lender: str
    amount: str
    term_days: int
    categories: tuple[str, ...]
    asset: Mapping[str, str] | None

    def to_value(self) -> dict[str, Any]:
        """Return it for plan.json."""
        return {
            "case": self.name,
            "company": self.company,
            "name": self.company_name,
            "product": self.product,
            "lender": self.lender,
            "amount": self.amount,
            "term_days": self.term_days,
            "categories": list(self.categories),
            "asset": dict(self.asset) if self.asset is not None else None,
        }


def cast_profiles(profiles: Sequence[Profile], draws: Draws) -> list[Profile]:
    """Return the profiles with the first three fit for their parts."""
    parts = draws.branch("cast")
    cast = [_healthy(profile, parts.branch(profile.code)) for profile in profiles[:CAST]]
    cast[DECLINED] = replace(
        cast[DECLINED],
        grade="D",
        has_arrears=True,
        is_listed=True,
        void_bp=parts.between(500, 1500),
        trend_bp=parts.between(4000, 6000),
    )
    cast[REFERRED] = replace(cast[REFERRED], grade="")
    cast[FALLING] = replace(cast[FALLING], void_bp=0, trend_bp=parts.between(10_500, 12_000))
    return [*cast, *profiles[CAST:]]


def _healthy(profile: Profile, draws: Draws) -> Profile:
    return replace(
        profile,
        age_years=draws.between(4, 12),
        monthly_sales_fen=draws.between(*_DEMO_SIZE),
        trend_bp=draws.between(9500, 11_500),
        void_bp=draws.between(0, 300),
        purchase_bp=draws.between(6000, 7500),
        top_buyer_bp=draws.between(1500, 3000),
        grade=draws.pick("AB"),
        monthly_export_fen=0,
        has_arrears=False,
        is_listed=False,
        is_quiet=False,
    )


def make_cases(
    profiles: Sequence[Profile],
    tables: Mapping[Table, Sequence[Row]],
    period: Period,
    draws: Draws,
    borrowers: Mapping[str, Any],
) -> list[Case]:
    """Return the applications: those of the borrowers, then the declined and the referred one."""
    names = {entry["code"]: entry["name"] for entry in borrowers["company"]}
    cases = [
        Case(
            entry["case"],
            entry["company"],
            names[entry["company"]],
            entry["product"],
            entry["lender"],
            entry["amount"],
            entry["term_days"],
            tuple(entry["categories"]),
            entry.get("asset"),
        )
        for entry in borrowers["application"]
    ]
    pattern = cases[0]  # the made-up companies ask for the first borrower's product
    for name, part in (("declined", DECLINED), ("referred", REFERRED)):
        profile = profiles[part]
        asset, gross = _receivable(profile, tables[SALES], period)
        # More than any rule would give against it, in whole thousands.
        wish = yuan((draws.spread(gross, 9000, 9900) // 100_000 + 1) * 100_000)
        cases.append(
            replace(
                pattern,
                name=name,
                company=profile.code,
                company_name=profile.name,
                amount=wish,
                term_days=90,
                asset=asset,
            )
        )
    return cases


def _receivable(
    profile: Profile, sales: Sequence[Row], period: Period
) -> tuple[dict[str, str], int]:
    """Return the company's latest valid invoice as a receivable, and its gross amount in fen."""
    own = [row for row in sales if row["company"] == profile.code and row["status"] == "V"]
    if not own:
        raise LocalError(Code.INTERNAL, f"company {profile.code} was given no invoice")
    latest = max(own, key=lambda row: (row["issued_on"], row["invoice_no"]))
    due = date.fromisoformat(latest["issued_on"]) + timedelta(days=_CREDIT_DAYS)
    if due <= period.as_of:
        raise LocalError(Code.INTERNAL, f"company {profile.code} has no open receivable")
    asset = {
        "kind": "receivable",
        "document": latest["invoice_no"],
        "day": latest["issued_on"],
        "due": due.isoformat(),
        "counterparty": latest["counterparty"],
        "amount": latest["gross"],
    }
    return asset, _fen(latest["gross"])


def make_cliff(
    profiles: Sequence[Profile], sales: Sequence[Row], period: Period, draws: Draws
) -> tuple[Profile, list[Row]]:
    """Return a company in good health and the red-letter invoices that cancel most of its year."""
    profile = profiles[FALLING]
    own = [row for row in sales if row["company"] == profile.code and row["status"] == "V"]
    since = (period.as_of - timedelta(days=364)).isoformat()
    before = sum(_fen(row["net"]) for row in own if row["issued_on"] < since)
    standing = sum(_fen(row["net"]) for row in own if row["issued_on"] >= since)
    rows: list[Row] = []
    for row in own:
        # A quarter of the year before, or less, is what stays.
        if row["issued_on"] < since or standing * 4 <= before:
            continue
        day = period.as_of - timedelta(days=draws.between(0, 6))
        net = -_fen(row["net"])
        standing += net
        number = f"{draws.below(90_000_000) + 10_000_000}"
        invoice = Invoice(number, day, row["counterparty"], net, -vat(-net, day), "V")
        rows.append(invoice.row(profile.code))
    return profile, rows


def _fen(text: str) -> int:
    """Return the fen of an amount as the tables write it."""
    return int(text.replace(".", ""))
