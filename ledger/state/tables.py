"""The tables of the world state: every kind of fact the ledger keeps, each with one prefix.

A WORLD entry is a leaf of the authenticated tree by itself. A COMPANY entry begins with the 18
characters of a company's code; all that a block changes in one company's entries is folded into
that company's single WORLD leaf (`COMPANIES`), so a block that says a thousand things about twenty
companies updates twenty tree keys, and still no entry can differ between nodes unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

COMPANY_KEY_BYTES = 18


class Scope(Enum):
    """How a table's entries are authenticated."""

    WORLD = "world"
    COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Table:
    """A name, a two-byte prefix that orders it in the store, and its scope."""

    name: str
    prefix: bytes
    scope: Scope


# (log size, log peaks, fold): written by the overlay alone, at the end of a block.
COMPANIES = Table("companies", b"sA", Scope.WORLD)
MEMBERS = Table("members", b"sB", Scope.WORLD)
CATEGORIES = Table("categories", b"sC", Scope.WORLD)
RULES = Table("rules", b"sD", Scope.WORLD)
CONSENTS = Table("consents", b"sE", Scope.WORLD)
ASSETS = Table("assets", b"sF", Scope.WORLD)
LOANS = Table("loans", b"sG", Scope.WORLD)
APPLICATIONS = Table("applications", b"sH", Scope.WORLD)
ALERTS = Table("alerts", b"sI", Scope.WORLD)
COMPANY_KEYS = Table("company-keys", b"sJ", Scope.WORLD)
SETTINGS = Table("settings", b"sK", Scope.WORLD)
OBJECTIONS = Table("objections", b"sL", Scope.WORLD)
PROPOSALS = Table("proposals", b"sM", Scope.WORLD)
ASSET_MARKS = Table("asset-marks", b"sN", Scope.WORLD)
PLEDGES = Table("pledges", b"sO", Scope.WORLD)
PRODUCTS = Table("products", b"sP", Scope.WORLD)
LOAN_ENTRIES = Table("loan-entries", b"sQ", Scope.WORLD)
ALERT_ORDER = Table("alert-order", b"sR", Scope.WORLD)
LENDER_EXPOSURES = Table("lender-exposures", b"sS", Scope.WORLD)
ALERT_QUEUE = Table("alert-queue", b"sT", Scope.WORLD)
EPOCHS = Table("epochs", b"sU", Scope.WORLD)
GUARANTEES = Table("guarantees", b"sV", Scope.WORLD)
GUARANTOR_EXPOSURES = Table("guarantor-exposures", b"sW", Scope.WORLD)
ACCESSES = Table("accesses", b"sX", Scope.WORLD)
NOTICES = Table("notices", b"sY", Scope.WORLD)
EXCHANGE_RATES = Table("exchange-rates", b"sZ", Scope.WORLD)
LIMITS = Table("limits", b"s0", Scope.WORLD)
INSTITUTION_REPORTS = Table("institution-reports", b"s1", Scope.WORLD)
BREACHES = Table("breaches", b"s2", Scope.WORLD)
LARGEST_EXPOSURES = Table("largest-exposures", b"s3", Scope.WORLD)
GUARANTEE_LINKS = Table("guarantee-links", b"s4", Scope.WORLD)
RELATED_COMPANIES = Table("related-companies", b"s5", Scope.WORLD)
COMPANY_OUTCOMES = Table("company-outcomes", b"s6", Scope.WORLD)
ALERT_CALENDAR = Table("alert-calendar", b"s7", Scope.WORLD)
ALERT_ROUND = Table("alert-round", b"s8", Scope.WORLD)
EXPOSURE_DAYS = Table("exposure-days", b"s9", Scope.WORLD)
DELETIONS = Table("deletions", b"s:", Scope.WORLD)
PERSONS = Table("persons", b"s;", Scope.WORLD)

RECORDS = Table("records", b"sa", Scope.COMPANY)
WINDOWS = Table("windows", b"se", Scope.COMPANY)
COVERAGE = Table("coverage", b"sf", Scope.COMPANY)
COMPANY_CONSENTS = Table("company-consents", b"sg", Scope.COMPANY)
COMPANY_LOANS = Table("company-loans", b"sh", Scope.COMPANY)
COMPANY_ALERTS = Table("company-alerts", b"si", Scope.COMPANY)
COMPANY_ASSETS = Table("company-assets", b"sj", Scope.COMPANY)
LATEST_BY_KEY = Table("latest-by-key", b"sk", Scope.COMPANY)
COMPANY_APPLICATIONS = Table("company-applications", b"sl", Scope.COMPANY)
COMPANY_EXPOSURES = Table("company-exposures", b"sm", Scope.COMPANY)
COMPANY_ACCESSES = Table("company-accesses", b"sn", Scope.COMPANY)
COMPANY_OBJECTIONS = Table("company-objections", b"so", Scope.COMPANY)
COMPANY_DOUBLES = Table("company-doubles", b"sp", Scope.COMPANY)

ALL_TABLES = tuple(item for item in list(globals().values()) if isinstance(item, Table))
