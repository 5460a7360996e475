"""Which companies have which records: a row for each category that rules of the province read.

The shares are assumptions, chosen so that most companies are in order and something can be found:
nobody publishes how many have a lost suit or a patent. What ill health makes likelier has a
negative coefficient. A category without a row gets `recipes.PLAIN`: one company in thirty-three,
one record, values by the types of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analytics.province.draws import derive, exp, normal, pick
from analytics.province.latent import FEN, Latent
from analytics.province.recipes import (
    PLAIN,
    Recipe,
    balance,
    between,
    by_turn,
    earlier,
    graded,
    kept,
    later,
    money,
    monthly,
    of_company,
    of_sales,
    one_of,
    quarterly_tax,
    staffed,
    year_before,
)
from analytics.province.sectors import REGIONS, SECTORS

_CNY_PER_USD = 6.9
_ALL = {"": 1.0}


def _capital(latent: Latent) -> Any:
    steps = np.array([10, 50, 100, 200, 500, 1000, 2000, 5000]) * 1_000_000
    place = 2.6 + 1.3 * latent.size + 0.8 * normal(derive(latent.words, "capital"))
    return steps[np.clip(place, 0, 7).astype(np.int64)]


def _status(latent: Latent) -> Any:
    gone = latent.draw("status") < 0.004 * exp(-1.2 * latent.health)
    return gone * (1 + pick(derive(latent.words, "gone"), (3, 2, 1)))


def _tax_grade(latent: Latent) -> Any:
    """A to D by health; M for the young, who are not graded yet."""
    seen = latent.health + 0.8 * normal(derive(latent.words, "tax grade"))
    grades = np.array([4, 3, 1, 0])[np.searchsorted(np.array([-2.3, -1.3, 0.9]), seen)]
    is_young = latent.as_of - latent.established < 900
    return np.where(is_young & (grades < 3), 2, grades)


def _watt(latent: Latent) -> Any:
    """Thousandths of a kWh in a month: 0.05 kWh for a yuan of sales in a trade of power 1."""
    return np.maximum(latent.sales, 5e7) / FEN * 0.05 * latent.power / 12 * 1000


def _usd(share: float) -> Any:
    return lambda latent: latent.export_share * share / _CNY_PER_USD


TRADE: Mapping[str, Recipe] = {
    "C052": Recipe("months", exporters=0.75, fields={
        "refund_claimed": of_sales(lambda latent: latent.export_share * 0.11),
        "refund_approved": of_sales(lambda latent: latent.export_share * 0.10),
        "exporter_class": graded((-2.0, -1.2, 1.3), "4", "3", "2", "1"),
    }),
    "C138": Recipe("months", who={"I": 0.12, "": 0.0}, fields={
        "executed_value": of_sales(0.4 / _CNY_PER_USD)}),
    "C141": Recipe("years", exporters=0.35, fields={
        "policy_year": year_before, "insured_export_value": money(0.05)}),
    "C181": Recipe("once", exporters=0.97),
    "C182": Recipe(exporters=0.95, back=(200, 1500), fields={
        "credit_class": graded((-2.2, 1.3, 2.0), "dishonest", "general", "general_aeo",
                               "advanced_aeo"),
    }),
    "C183": Recipe("months", exporters=0.95, fields={
        "fob_value": of_sales(_usd(1.0)), "destination_count": between(1, 9),
        "declaration_count": between(1, 12)}),
    "C184": Recipe("months", exporters=0.4, fields={"cif_value": of_sales(_usd(0.35), 0.6)}),
    "C185": Recipe(exporters=0.95, most=60, back=(2, 1000), fields={
        "direction": one_of((0.1, 0.9)), "released_on": later(0, 3, 0.97)}),
    "C186": Recipe(exporters=0.35, most=12, back=(2, 500), fields={
        "amount": money(0.004), "paid_on": later(1, 14, 0.96, 0.03)}),
    "C188": Recipe(exporters=0.2, most=3, back=(30, 1000), fields={
        "written_off_on": later(100, 400, 0.4)}),
    "C189": Recipe("months", who={"F5294": 0.3, "F": 0.08, "C": 0.04, "": 0.0}, fields={
        "value": of_sales(0.25, 0.4)}),
    "C190": Recipe(exporters=0.5, most=24, back=(2, 700)),
    "C191": Recipe(exporters=0.03, back=(10, 1200)),
    "C207": Recipe(exporters=0.96, back=(300, 1700), fields={
        "class": graded((-2.6, -1.6), "C", "B", "A")}),
    "C208": Recipe("months", exporters=0.93, fields={"receipts": of_sales(_usd(0.95), 0.5)}),
    "C210": Recipe(exporters=0.02, back=(10, 1200)),
    "C134": Recipe(exporters=0.3, back=(100, 1500)),
}  # fmt: skip

TAX: Mapping[str, Recipe] = {
    "C034": Recipe("months", who={"": 0.85}, fields={"paid_amount": staffed(80_000)}),
    "C035": Recipe("months", who={"": 0.96}, fields={
        "taxable_sales": of_sales(1.0),
        "export_sales": of_sales(lambda latent: latent.export_share)}),
    "C036": Recipe("years", who={"": 0.92}, fields={
        "tax_year": year_before,
        "revenue": money(0.97, 0.15), "total_profit": balance(0.05, 0.04),
        "rnd_super_deduction": of_company(
            lambda latent: (latent.inventive > 0) * np.floor(latent.sales * 0.05))}),
    "C040": Recipe("quarters", who={"": 0.95}, most=2, back=(-14, 0), fields={
        "tax_type": by_turn("VAT", "CIT"), "paid_amount": quarterly_tax(0.03),
        "late_fee": money(0.0001, 0.8, 0.025, -0.9)}),
    "C041": Recipe("quarters", who={"": 0.62}, size=0.1, back=(1, 0), fields={
        "cash": money(0.08, 0.7), "receivables": money(0.15, 0.6), "inventories": money(0.10, 0.8),
        "fixed_assets": money(0.18, 0.9), "total_assets": money(0.7, 0.4),
        "short_term_loans": money(0.08, 1.0), "payables": money(0.12, 0.6),
        "total_liabilities": money(0.4, 0.5), "equity": balance(0.30, 0.15)}),
    "C042": Recipe("quarters", who={"": 0.6}, back=(1, 0)),
    "C043": Recipe("quarters", who={"": 0.5}, back=(1, 0)),
    "C047": Recipe("years", who={"": 0.93}, fields={
        "grade": of_company(_tax_grade, "A", "B", "M", "C", "D"), "evaluation_year": year_before}),
    "C048": Recipe(who={"": 0.012}, health=-1.1, most=2, back=(5, 700), fields={
        "arrears_balance": money(0.02)}),
    "C049": Recipe(who={"": 0.006}, health=-1.2, back=(5, 1200), fields={
        "released_on": later(20, 200, 0.35)}),
    "C050": Recipe(who={"": 0.002}, health=-0.9, back=(20, 1800), fields={
        "removed_on": later(300, 900, 0.3)}),
    "C051": Recipe(who={"": 0.02}, back=(20, 1200)),
}  # fmt: skip

REGISTER: Mapping[str, Recipe] = {
    "C001": Recipe("once", who=_ALL, fields={
        "registered_capital": of_company(_capital),
        "industry_code": of_company(lambda latent: latent.sector, *[s.code for s in SECTORS]),
        "region_code": of_company(lambda latent: latent.region, *[code for code, _ in REGIONS]),
        "status": of_company(_status, "active", "cancelled", "revoked", "moved_out")}),
    "C003": Recipe("once", who={"A": 0.35, "": 0.0}, fields={"member_count": between(5, 200)}),
    "C005": Recipe(who={"": 0.3}, health=-0.15, most=5, back=(10, 900), fields={
        "change_item": one_of((6, 2, 2), "address", "legal_representative", "capital")}),
    "C011": Recipe(who={"": 0.06}, size=0.5, back=(10, 2000)),
    "C012": Recipe(who={"": 0.02}, most=2, back=(10, 2000), fields={
        "status": one_of((0.6, 0.2, 0.2))}),
    "C013": Recipe(who={"C": 0.08, "": 0.02}, size=0.4, most=3, back=(20, 1700), fields={
        "secured_amount": money(0.06), "status": one_of((0.7, 0.1, 0.2))}),
    "C014": Recipe("years", who={"": 0.93}, fields={
        "report_year": year_before, "employee_count": staffed(1.0)}),
    "C015": Recipe("years", who={"": 0.9}, fields={
        "report_year": year_before, "total_assets": money(0.7, 0.4),
        "total_liabilities": money(0.38, 0.55), "owners_equity": balance(0.3, 0.12),
        "revenue": money(0.98, 0.1), "total_profit": balance(0.05, 0.04),
        "net_profit": balance(0.04, 0.035), "tax_paid": money(0.03, 0.3)}),
    "C016": Recipe("years", who={"": 0.05}, size=0.4, fields={
        "report_year": year_before, "principal_amount": money(0.06)}),
    "C018": Recipe(who={"": 0.02}, health=-0.9, back=(5, 2500), fields={
        "removed_on": later(30, 300, 0.5)}),
    "C019": Recipe(who={"": 0.003}, health=-1.2, back=(5, 2500), fields={
        "removed_on": later(300, 900, 0.2)}),
    "C020": Recipe(who={"": 0.017}, health=-0.5, most=6, back=(5, 1400)),
    "C023": Recipe(who={"C14": 0.75, "C13": 0.6, "H62": 0.5, "": 0.005}, back=(60, 1700)),
    "C027": Recipe(who={"C": 0.08, "F": 0.03, "": 0.005}, most=3, back=(5, 900), fields={
        "conclusion": one_of((0.92, 0.08))}),
    "C028": Recipe(
        who={"C": 0.2, "I": 0.25, "M": 0.35, "N": 0.15, "": 0.015}, size=0.35, health=0.15,
        most=14, back=(30, 3400), fields={
            "patent_type": one_of((0.25, 0.5, 0.25)), "legal_status": one_of((0.85, 0.12, 0.03)),
            "filed_on": earlier(300, 900), "annual_fee_paid_until": later(200, 4200, 0.9)}),
    "C031": Recipe(who={"C": 0.25, "F": 0.18, "H": 0.2, "I": 0.2, "": 0.08}, size=0.3, most=6,
                   back=(30, 3400), fields={
        "status": one_of((0.9, 0.05, 0.02, 0.03)), "exclusive_until": later(3650, 3651, 1.0)}),
    "C166": Recipe(who={"": 0.01}, size=0.4, health=0.3, back=(30, 3000), fields={
        "status": one_of((0.3, 0.6, 0.1))}),
    "C193": Recipe(who={"G": 0.7, "E": 0.4, "F": 0.3, "": 0.2}, size=0.2, most=12, back=(30, 3600),
                   fields={"status": one_of((0.85, 0.08, 0.02, 0.05))}),
    "C196": Recipe(who={"I": 0.1, "R": 0.2, "": 0.01}, most=5, back=(30, 3000)),
    "C197": Recipe(who={"I": 0.55, "M": 0.15, "C398": 0.1, "": 0.01}, size=0.2, most=12,
                   back=(30, 3000)),
}  # fmt: skip

PEOPLE: Mapping[str, Recipe] = {
    "C056": Recipe("months", who={"": 0.88}, fields={
        "insured_total": staffed(0.85, 0.05), "joined": between(0, 3), "left": between(0, 3)}),
    "C057": Recipe(who={"": 0.015}, health=-1.1, most=3, back=(20, 700), fields={
        "settled_on": later(20, 200, 0.5, 0.2)}),
    "C058": Recipe("years", who={"": 0.35}, size=0.2, fields={
        "evaluation_year": year_before, "grade": graded((-1.8, 0.2), "C", "B", "A")}),
    "C059": Recipe(who={"": 0.003}, health=-1.2, back=(5, 900)),
    "C062": Recipe(who={"": 0.05}, most=3, back=(20, 1400), fields={"grant_amount": money(0.003)}),
    "C205": Recipe(who={"": 0.01}, health=-1.1, back=(20, 700), fields={
        "settled_on": later(20, 200, 0.5)}),
    "C206": Recipe("months", who={"Q84": 0.7, "F5251": 0.6, "": 0.0}, fields={
        "claimed_amount": of_sales(0.55), "approved_amount": of_sales(0.5),
        "paid_amount": of_sales(0.42), "payable_balance": of_sales(0.9, 0.5)}),
    "C111": Recipe("months", who={"": 0.45}, size=0.15, fields={
        "contributor_count": staffed(0.7, 0.05), "paid_amount": staffed(60_000)}),
    "C112": Recipe(who={"": 0.008}, health=-1.0, back=(5, 500)),
    "C070": Recipe("months", who={"": 0.75}, fields={
        "account_no": kept((1.0,), "E-1"),
        "consumption": monthly(_watt, 0.25),
        "amount_billed": monthly(lambda latent: _watt(latent) * 0.07, 0.25)}),
    "C071": Recipe(who={"": 0.02}, health=-1.0, most=3, back=(40, 700), fields={
        "settled_on": later(20, 120, 0.6, 0.2)}),
    "C113": Recipe("months", who={"H62": 0.6, "C": 0.25, "D": 0.8, "": 0.03}, fields={
        "account_no": kept((1.0,), "G-1"),
        "consumption": monthly(lambda latent: _watt(latent) * 0.05)}),
    "C114": Recipe(who={"": 0.01}, health=-0.9, back=(10, 500), fields={
        "overdue_days": between(1, 120), "settled_on": later(20, 120, 0.6, 0.2)}),
    "C123": Recipe("months", who={"": 0.6}, fields={
        "account_no": kept((1.0,), "W-1"),
        "consumption": monthly(lambda latent: latent.staff * 3000 + _watt(latent) * 0.01)}),
    "C124": Recipe(who={"": 0.012}, health=-0.9, back=(10, 500), fields={
        "overdue_amount": money(0.0005), "settled_on": later(20, 120, 0.5, 0.2)}),
}  # fmt: skip

WORKS: Mapping[str, Recipe] = {
    "C073": Recipe(who={"C": 0.03, "M": 0.04, "I": 0.04, "": 0.002}, size=0.7, health=0.4,
                   back=(30, 1500), fields={"level": one_of((0.85, 0.15))}),
    "C074": Recipe(who={"C": 0.006, "": 0.0005}, size=0.7, health=0.4, back=(30, 1800)),
    "C078": Recipe(who={"C": 0.03, "M": 0.06, "I": 0.03, "": 0.002}, size=0.6, back=(30, 3000)),
    "C081": Recipe(who={"C": 0.12, "M": 0.3, "I": 0.25, "N": 0.15, "": 0.01}, size=0.4, health=0.2,
                   back=(30, 1400), fields={"status": one_of((0.9, 0.07, 0.03))}),
    "C082": Recipe(who={"C": 0.12, "M": 0.35, "I": 0.3, "": 0.01}, most=2, back=(30, 700)),
    "C083": Recipe(who={"M": 0.12, "I": 0.06, "C": 0.03, "": 0.002}, most=3, back=(30, 1400)),
    "C085": Recipe(who={"M": 0.3, "I": 0.2, "C": 0.03, "": 0.003}, most=6, back=(10, 1000), fields={
        "technology_value": money(0.06)}),
    "C089": Recipe(who={"C": 0.25, "K": 0.5, "A": 0.15, "": 0.1}, size=0.5, most=3,
                   back=(60, 3600)),
    "C090": Recipe(who={"C": 0.1, "K": 0.25, "": 0.04}, size=0.5, most=2, back=(60, 2500), fields={
        "secured_amount": money(0.15), "status": one_of((0.7, 0.1, 0.2))}),
    "C091": Recipe(who={"": 0.004}, health=-1.0, back=(10, 1200)),
    "C097": Recipe(who={"C336": 0.8, "C": 0.35, "": 0.02}, back=(60, 1700), fields={
        "management_class": one_of((0.15, 0.35, 0.5))}),
    "C099": Recipe("years", who={"C": 0.3, "D": 0.3, "": 0.01}, fields={
        "evaluation_year": year_before,
        "rating": graded((-2.2, -1.4, 1.0), "red", "yellow", "blue", "green")}),
    "C100": Recipe(who={"C": 0.02, "": 0.002}, health=-0.4, most=2, back=(10, 1200)),
    "C105": Recipe(who={"E": 0.6, "": 0.003}, most=2, back=(60, 1800), fields={
        "grade": one_of((0.02, 0.18, 0.4, 0.4))}),
    "C107": Recipe(who={"E": 0.25, "K": 0.3, "": 0.002}, most=4, back=(20, 1200), fields={
        "contract_price": money(0.3)}),
    "C110": Recipe("quarters", who={"E": 0.45, "": 0.0}, back=(0, 0), fields={
        "grade": graded((-2.0, -1.0, 0.8), "D", "C", "B", "A")}),
    "C116": Recipe(who={"G54": 0.85, "G": 0.4, "": 0.01}, back=(60, 1700)),
    "C117": Recipe(who={"G54": 0.8, "G": 0.3, "": 0.01}, size=0.3, most=15, back=(60, 3500),
                   fields={
        "status": one_of((0.88, 0.08, 0.04))}),
    "C121": Recipe(who={"G": 0.02, "": 0.0005}, back=(10, 1200)),
}  # fmt: skip

FIELDS: Mapping[str, Recipe] = {
    "C126": Recipe(who={"A": 0.10, "C13": 0.08, "": 0.0}, size=0.5, back=(60, 1700), fields={
        "level": one_of((0.05, 0.35, 0.6)), "monitoring_result": one_of((0.92, 0.08))}),
    "C127": Recipe(who={"A": 0.15, "": 0.0}, back=(60, 1700), fields={
        "level": one_of((0.05, 0.3, 0.65))}),
    "C128": Recipe(who={"A": 0.3, "": 0.0}, back=(60, 1000), fields={
        "annual_output": money(0.8, 0.4)}),
    "C129": Recipe(who={"A": 0.45, "": 0.002}, most=5, back=(60, 3500), fields={
        "area": between(10, 800, 10_000)}),
    "C130": Recipe(who={"A": 0.25, "": 0.002}, most=3, back=(30, 1200)),
    "C132": Recipe(who={"A": 0.12, "C13": 0.08, "C14": 0.04, "": 0.0}, most=3, back=(30, 1000)),
    "C133": Recipe(who={"A": 0.12, "": 0.0}, back=(60, 3000)),
    "C146": Recipe(who={"Q84": 0.95, "": 0.001}, back=(60, 1700)),
    "C152": Recipe(who={"C": 0.2, "D": 0.3, "E": 0.15, "G": 0.1, "": 0.01}, back=(60, 1000),
                   fields={
        "grade": one_of((0.05, 0.3, 0.65))}),
    "C153": Recipe(who={"C": 0.006, "E": 0.012, "": 0.001}, back=(10, 1400)),
    "C154": Recipe(who={"C": 0.012, "E": 0.02, "": 0.003}, health=-0.3, back=(10, 1000)),
    "C155": Recipe(who={"": 0.04}, size=0.4, most=5, back=(10, 1000)),
    "C156": Recipe(who={"E": 0.12, "I": 0.12, "M": 0.1, "F": 0.04, "": 0.04}, size=0.3, most=8,
                   back=(10, 900), fields={
        "contract_amount": money(0.06), "paid_amount": money(0.04),
        "purchaser": one_of((3, 2, 2, 1, 1, 1), *[f"purchaser {n}" for n in range(1, 7)])}),
    "C157": Recipe(who={"": 0.002}, health=-0.5, back=(10, 1200)),
    "C158": Recipe(who={"": 0.08}, health=0.2, most=3, back=(10, 1000), fields={
        "amount": money(0.004)}),
    "C159": Recipe(who={"": 0.004}, health=-0.9, back=(30, 1800), fields={
        "compensated_principal": money(0.05)}),
    "C200": Recipe(who={"C271": 0.8, "": 0.0}, back=(60, 1700)),
    "C202": Recipe(who={"C358": 0.75, "": 0.0}, most=6, back=(60, 1700)),
}  # fmt: skip

COURTS: Mapping[str, Recipe] = {
    "C065": Recipe(who={"": 0.05}, health=0.4, back=(10, 1500)),
    "C066": Recipe(who={"": 0.004}, health=-1.3, back=(10, 1500)),
    "C171": Recipe(who={"": 0.07}, health=-0.7, size=0.2, most=4, back=(10, 1200), fields={
        "party_role": one_of((0.45, 0.5, 0.05)), "amount_in_dispute": money(0.04),
        "outcome": one_of((0.3, 0.3, 0.15, 0.15, 0.1))}),
    "C172": Recipe(who={"": 0.05}, health=-0.8, size=0.2, most=24, back=(5, 700), fields={
        "party_role": one_of((0.4, 0.55, 0.05))}),
    "C174": Recipe(who={"": 0.015}, health=-1.2, most=3, back=(5, 1700), fields={
        "enforcement_amount": money(0.05), "status": one_of((0.45, 0.35, 0.2))}),
    "C175": Recipe(who={"": 0.005}, health=-1.3, back=(5, 1700), fields={
        "removed_on": later(100, 700, 0.3)}),
    "C176": Recipe(who={"": 0.006}, health=-1.3, back=(5, 1700), fields={
        "lifted_on": later(60, 500, 0.35)}),
    "C178": Recipe(who={"": 0.005}, health=-1.2, back=(5, 1200)),
    "C179": Recipe(who={"": 0.001}, health=-1.4, back=(5, 900)),
}  # fmt: skip

RECIPES: Mapping[str, Recipe] = {
    **TRADE, **TAX, **REGISTER, **PEOPLE, **WORKS, **FIELDS, **COURTS,
}  # fmt: skip


def find_recipe(full_name: str) -> Recipe:
    """Return the recipe of a record schema, `PLAIN` where there is none of its own."""
    return RECIPES.get(full_name, PLAIN)
