"""What the departments would have on record about a made-up company, as rows of their tables.

Each function gives the rows of one category from a company's profile, as written text: dates as
YYYY-MM-DD, months as YYYY-MM, amounts as decimals in the unit of the catalogue. Invoices come first
and the returns follow from them, so that the categories of one company agree with each other.
`Period` fixes the time: two years of months up to the day the network lives in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from genesis.companies import Profile
from genesis.draws import Draws

Row = Mapping[str, str]
Table = tuple[str, str, str]  # owner, category, schema

MONTHS = 24
HALF = MONTHS // 2
_CNY_PER_USD_PERCENT = 690  # about the rate of 2019, CNY for 100 US dollars
_TAX_CUT = date(2019, 4, 1)  # the standard VAT rate fell from 16 to 13 per cent


@dataclass(frozen=True, slots=True)
class Period:
    """The day the network lives in, and the months before its own."""

    as_of: date

    @property
    def months(self) -> list[date]:
        """The first days of the 24 months before that of `as_of`, in order."""
        last = self.as_of.year * 12 + self.as_of.month - 1
        return [date(m // 12, m % 12 + 1, 1) for m in range(last - MONTHS, last)]

    @property
    def last_year(self) -> int:
        """The latest tax year that is settled: the year before last until June, then the last."""
        return self.as_of.year - (2 if self.as_of.month < 7 else 1)


@dataclass(frozen=True, slots=True)
class Invoice:
    """One sales or purchase invoice; amounts in fen."""

    number: str
    issued_on: date
    counterparty: str
    net: int
    tax: int
    status: str

    def row(self, company: str) -> Row:
        """Return it as a row of C044/line or C045/line."""
        return {
            "company": company,
            "invoice_no": self.number,
            "issued_on": self.issued_on.isoformat(),
            "counterparty": self.counterparty,
            "net": yuan(self.net),
            "tax": yuan(self.tax),
            "gross": yuan(self.net + self.tax),
            "status": self.status,
        }


def yuan(fen: int) -> str:
    """Return an amount of fen (or US cents) as a decimal text."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def make_records(profile: Profile, period: Period, draws: Draws) -> Iterator[tuple[Table, Row]]:
    """Yield every record of one company as (table, row)."""
    sales = make_sales(profile, period, draws.branch("sales"))
    purchases = make_purchases(profile, period, draws.branch("purchases"))
    exports = make_exports(profile, period, draws.branch("exports"))
    for table, rows in (
        (("D01", "C001", ""), [_registration(profile, period, draws.branch("C001"))]),
        (("D01", "C014", ""), [_annual_report(profile, period)]),
        (("D01", "C018", ""), _listings(profile, period, draws.branch("C018"))),
        (("D01", "C028", ""), _patents(profile, period, draws.branch("C028"))),
        (("D02", "C044", "line"), [invoice.row(profile.code) for invoice in sales]),
        (("D02", "C045", "line"), [invoice.row(profile.code) for invoice in purchases]),
        (("D02", "C035", ""), _vat_returns(profile, period, sales, purchases, exports)),
        (("D02", "C036", ""), [_income_tax(profile, period, draws.branch("C036"))]),
        (("D02", "C040", ""), _tax_payments(profile, period, sales, purchases)),
        (("D02", "C047", ""), _tax_grade(profile, period, draws.branch("C047"))),
        (("D02", "C048", ""), _arrears(profile, period, draws.branch("C048"))),
        (("D20", "C182", ""), _customs_class(profile, period, draws.branch("C182"))),
        (("D20", "C183", ""), _export_months(profile, exports, draws.branch("C183"))),
        (("D20", "C185", ""), _declarations(profile, period, exports, draws.branch("C185"))),
    ):
        for row in rows:
            yield table, row


# Invoices ---------------------------------------------------------------------------------------


def make_sales(profile: Profile, period: Period, draws: Draws) -> list[Invoice]:
    """Return the sales invoices of the period, in order of date."""
    invoices: list[Invoice] = []
    shift = draws.below(2)
    for index, month in enumerate(period.months):
        if profile.is_quiet and index >= MONTHS - 4:
            break
        level = profile.monthly_sales_fen
        if index >= HALF:
            level = level * profile.trend_bp // 10_000
        for _ in range(1 + (index + shift) % 2):  # so that a year has 18, and trends are real
            buyer = _partner(profile.buyers, profile.top_buyer_bp, draws)
            net = draws.spread(level, 5500, 7800)
            invoices.append(_invoice(draws, month, buyer, net, profile.void_bp))
    return sorted(invoices, key=lambda invoice: (invoice.issued_on, invoice.number))


def make_purchases(profile: Profile, period: Period, draws: Draws) -> list[Invoice]:
    """Return the purchase invoices: somewhat more than one in two months."""
    invoices: list[Invoice] = []
    for index, month in enumerate(period.months):
        level = profile.monthly_sales_fen * profile.purchase_bp // 10_000
        if index >= HALF:
            level = level * profile.trend_bp // 10_000
        if index % 2 == 1 or draws.chance(200):
            supplier = _partner(profile.suppliers, 4000, draws)
            net = draws.spread(level, 13_000, 19_000)
            invoices.append(_invoice(draws, month, supplier, net, 100))
    return sorted(invoices, key=lambda invoice: (invoice.issued_on, invoice.number))


def _partner(partners: Sequence[str], top_bp: int, draws: Draws) -> str:
    return partners[0] if draws.below(10_000) < top_bp else draws.pick(partners)


def _invoice(draws: Draws, month: date, partner: str, net: int, void_bp: int) -> Invoice:
    issued_on = month + timedelta(days=draws.between(0, 27))
    status = "X" if draws.below(10_000) < void_bp else "V"
    number = f"{draws.below(90_000_000) + 10_000_000}"
    return Invoice(number, issued_on, partner, net, vat(net, issued_on), status)


def vat(net: int, day: date) -> int:
    """Return the value added tax on `net` fen at the standard rate of that day, rounded."""
    percent = 13 if day >= _TAX_CUT else 16
    return (net * percent + 50) // 100


def _net_of_month(invoices: Sequence[Invoice], month: date) -> tuple[int, int]:
    """Return net and tax of the valid invoices of a month."""
    valid = [
        invoice
        for invoice in invoices
        if invoice.status == "V" and invoice.issued_on.replace(day=1) == month
    ]
    return sum(invoice.net for invoice in valid), sum(invoice.tax for invoice in valid)


# Market regulation (D01) ------------------------------------------------------------------------


def _registration(profile: Profile, period: Period, draws: Draws) -> Row:
    established = period.as_of - timedelta(days=365 * profile.age_years + draws.between(10, 350))
    return {
        "company": profile.code,
        "name_zh": profile.name_zh,
        "enterprise_type": "1100",
        "legal_rep_name": draws.pick("陈李张黄何林") + draws.pick("伟强敏静军洋"),
        "registered_capital": str(profile.capital_10k),
        "established_on": established.isoformat(),
        "term_from": established.isoformat(),
        "term_to": "",
        "industry_code": profile.industry,
        "domicile": f"广东省{profile.region_name}市工业一路{draws.between(1, 400)}号",
        "region_code": profile.region,
        "registrar": f"{profile.region_name}市市场监督管理局",
        "status": "active",
    }


def _annual_report(profile: Profile, period: Period) -> Row:
    return {
        "company": profile.code,
        "report_year": str(period.last_year),
        "operating_status": "open",
        "employee_count": str(profile.staff),
        "contact_address": f"广东省{profile.region_name}市",
        "has_web_shop": "false",
        "has_equity_transfer": "false",
        "filed_on": date(period.last_year + 1, 4, 1 + profile.staff % 28).isoformat(),
    }


def _listings(profile: Profile, period: Period, draws: Draws) -> list[Row]:
    if not profile.is_listed:
        return []
    listed_on = period.as_of - timedelta(days=draws.between(20, 400))
    return [
        {
            "company": profile.code,
            "listed_on": listed_on.isoformat(),
            "listing_reason": draws.pick(("annual_report", "no_contact", "false_information")),
            "listing_authority": f"{profile.region_name}市市场监督管理局",
            "removed_on": "",
            "removal_reason": "",
        }
    ]


def _patents(profile: Profile, period: Period, draws: Draws) -> list[Row]:
    rows: list[Row] = []
    for _ in range(profile.patents):
        granted_on = period.as_of - timedelta(days=draws.between(100, 2500))
        filed_on = granted_on - timedelta(days=draws.between(400, 900))
        kind = draws.pick(("invention", "utility_model", "design"))
        number = f"ZL{filed_on.year}{draws.below(9_000_000) + 1_000_000}.{draws.below(10)}"
        rows.append(
            {
                "company": profile.code,
                "patent_no": number,
                "patent_type": kind,
                "title": f"一种{draws.pick(('装置', '方法', '结构', '系统'))}",
                "filed_on": filed_on.isoformat(),
                "granted_on": granted_on.isoformat(),
                "annual_fee_paid_until": (
                    period.as_of + timedelta(days=draws.between(30, 360))
                ).isoformat(),
                "legal_status": "valid" if draws.chance(850) else "lapsed",
                "ipc_class": draws.pick(("H05K", "G06F", "B29C", "F21V")),
            }
        )
    return rows


# Tax (D02) --------------------------------------------------------------------------------------


def _vat_returns(
    profile: Profile,
    period: Period,
    sales: Sequence[Invoice],
    purchases: Sequence[Invoice],
    exports: Mapping[date, int],
) -> list[Row]:
    rows: list[Row] = []
    for month in period.months[HALF - 1 :]:
        net, output_tax = _net_of_month(sales, month)
        _, input_tax = _net_of_month(purchases, month)
        rows.append(
            {
                "company": profile.code,
                "period": month.isoformat()[:7],
                "taxable_sales": yuan(net),
                "exempt_sales": "0.00",
                "export_sales": yuan(exports.get(month, 0)),
                "output_tax": yuan(output_tax),
                "input_tax": yuan(input_tax),
                "tax_payable": yuan(max(0, output_tax - input_tax)),
                "filed_on": _next_month(month, 1 + profile.staff % 9).isoformat(),
            }
        )
    return rows


def _next_month(month: date, day: int) -> date:
    return (month + timedelta(days=32)).replace(day=day)


def _income_tax(profile: Profile, period: Period, draws: Draws) -> Row:
    revenue = draws.spread(profile.monthly_sales_fen * 12, 8800, 10_400)
    cost = draws.spread(revenue, 8700, 9700)
    research = draws.spread(revenue, 300, 900) if profile.patents else 0
    taxable = max(0, revenue - cost - research // 2)
    return {
        "company": profile.code,
        "tax_year": str(period.last_year),
        "revenue": yuan(revenue),
        "cost": yuan(cost),
        "total_profit": yuan(revenue - cost),
        "taxable_income": yuan(taxable),
        "tax_payable": yuan(taxable // 10),
        "rnd_super_deduction": yuan(research),
    }


def _tax_payments(
    profile: Profile, period: Period, sales: Sequence[Invoice], purchases: Sequence[Invoice]
) -> list[Row]:
    rows: list[Row] = []
    for start in range(HALF, MONTHS, 3):
        months = period.months[start : start + 3]
        due = 0
        for month in months:
            due += max(0, _net_of_month(sales, month)[1] - _net_of_month(purchases, month)[1])
        paid_on = _next_month(months[-1], 1 + profile.staff % 9)
        rows.append(
            {
                "company": profile.code,
                "tax_type": "VAT",
                "period_from": months[0].isoformat(),
                "period_to": (months[-1].replace(day=28)).isoformat(),
                "paid_amount": yuan(due),
                "late_fee": "",
                "treasury_date": paid_on.isoformat(),
            }
        )
    return rows


def _tax_grade(profile: Profile, period: Period, draws: Draws) -> list[Row]:
    if not profile.grade:
        return []
    year = period.last_year
    return [
        {
            "company": profile.code,
            "evaluation_year": str(year),
            "grade": profile.grade,
            "score": yuan(draws.between(4000, 9900)) if profile.grade != "M" else "",
            "evaluated_on": date(year + 1, 4, draws.between(10, 28)).isoformat(),
        }
    ]


def _arrears(profile: Profile, period: Period, draws: Draws) -> list[Row]:
    if not profile.has_arrears:
        return []
    balance = draws.spread(profile.monthly_sales_fen, 500, 3000)
    return [
        {
            "company": profile.code,
            "tax_type": "VAT",
            "arrears_balance": yuan(balance),
            "current_arrears": yuan(balance // 2),
            "announced_on": (period.as_of - timedelta(days=draws.between(5, 200))).isoformat(),
            "announcing_authority": f"国家税务总局{profile.region_name}市税务局",
        }
    ]


# Customs (D20) ----------------------------------------------------------------------------------


def make_exports(profile: Profile, period: Period, draws: Draws) -> dict[date, int]:
    """Return exports in fen by month; nothing for a company that does not export."""
    if not profile.monthly_export_fen:
        return {}
    exports: dict[date, int] = {}
    for index, month in enumerate(period.months):
        level = profile.monthly_export_fen
        if index >= HALF:
            level = level * profile.trend_bp // 10_000
        exports[month] = draws.spread(level, 8000, 12_000)
    return exports


def _dollars(fen: int) -> int:
    """Return the US cents of an amount in fen."""
    return fen * 100 // _CNY_PER_USD_PERCENT


def _customs_class(profile: Profile, period: Period, draws: Draws) -> list[Row]:
    if not profile.monthly_export_fen:
        return []
    certified_on = period.as_of - timedelta(days=draws.between(200, 1500))
    return [
        {
            "company": profile.code,
            "credit_class": draws.pick(("general", "general", "general_aeo", "advanced_aeo")),
            "certified_on": certified_on.isoformat(),
            "reviewed_on": "",
        }
    ]


def _export_months(profile: Profile, exports: Mapping[date, int], draws: Draws) -> list[Row]:
    return [
        {
            "company": profile.code,
            "period": month.isoformat()[:7],
            "declaration_count": str(draws.between(1, 6)),
            "fob_value": yuan(_dollars(fen)),
            "destination_count": str(draws.between(1, 4)),
            "top1_destination": draws.pick(("USA", "DEU", "VNM", "JPN", "GBR")),
            "top1_hs_chapter": draws.pick(("39", "61", "84", "85", "94")),
        }
        for month, fen in exports.items()
    ]


def _declarations(
    profile: Profile, period: Period, exports: Mapping[date, int], draws: Draws
) -> list[Row]:
    rows: list[Row] = []
    for month in period.months[HALF:]:
        if month not in exports:
            continue
        for _ in range(draws.between(1, 2)):
            declared_on = month + timedelta(days=draws.between(0, 24))
            rows.append(
                {
                    "company": profile.code,
                    "declaration_no_hash": f"{draws.below(2**60):015x}{draws.below(2**60):015x}",
                    "direction": "export",
                    "trade_mode": "0110",
                    "declared_on": declared_on.isoformat(),
                    "released_on": (declared_on + timedelta(days=draws.between(0, 3))).isoformat(),
                    "value": yuan(_dollars(exports[month]) // 2),
                }
            )
    return rows
