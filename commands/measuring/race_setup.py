"""What a race of two banks needs first: companies with sales, products, receivables, offers.

Everything goes through the client SDK as the members that would do it: the tax department submits
sales, the counter binds companies, grants their authorisations, registers their receivables and
applies at both banks, each bank registers its product. In the end there is one `Heat` for each
receivable: both banks have granted an application on it and may pledge it, and only one can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genesis.companies import made_up_code
from ledger.errors import Code, LocalError, Rejected
from ledger.keys import SigningKey
from ledger.transactions.fields import FIRST_DAY
from ledger.transactions.records import (
    SALT_BYTES,
    Record,
    encode_record,
    record_digest,
    records_root,
)
from network.client import SyncClient

TAX, COUNTER = "D02", "D01"
SALES, SALES_SCHEMA = "C044", "line"
HEATS_A_COMPANY = 50  # a company's open applications are looked at by each new one
AT_ONCE = 50  # transactions handed in together
MONTHS = 23
CONSENT_DAYS = 390
TURNOVER_FEN = 80_000_000
RECEIVABLE_FEN = 50_000_000
ASKED_FEN = 20_000_000
TERM_DAYS = 30
DAY_MS = 86_400_000
BINDING_TTL_DAYS = 30
BUYER = made_up_code("R9000000")
_PRODUCT = """
format = "smartrule/1"
kind = "product"
id = "GD-RACE-{bank}"
version = 1
name = "Advance on a receivable, for the race of two banks"
lender = "{bank}"
line = "factoring"
schema = "company/1"
scorecard = "SME-RISK/1"
effective_from = 2000-01-01
requires = ["C044"]
asset = "receivable"
[[condition]]
id = "term"
when = "ap.term <= days(365)"
reason = "R104"
text = "Longer than a year"
[limit]
amount = "rv.amount / 2"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R110"
text = "Nothing left to lend against this receivable"
[rate]
on = "score"
bands = [[0, "5.00%"]]
"""


@dataclass(frozen=True, slots=True)
class Heat:
    """One receivable, and the granted application of each bank on it."""

    number: int
    asset: str
    applications: Mapping[str, str]


class Stable:
    """Prepares heats; `clients` has an open client for the tax department, the counter, banks."""

    def __init__(
        self, clients: Mapping[str, SyncClient], banks: Sequence[str], run: int = 0
    ) -> None:
        self._clients = clients
        self._banks = tuple(banks)
        self._run = run  # another one makes other companies on the same chain
        self._time_ms = clients[COUNTER].head().time_ms

    @property
    def _day(self) -> int:
        return self._time_ms // DAY_MS

    def prepare(self, count: int) -> list[Heat]:
        """Return `count` heats; raise `Rejected` with the code of a step that was refused."""
        companies = [
            made_up_code(f"R{self._run * 1000 + index}")
            for index in range(-(-count // HEATS_A_COMPANY))
        ]
        self._open_companies(companies)
        for bank in self._banks:
            body = {"source": _PRODUCT.format(bank=bank).encode()}
            self._do(bank, [("product.register", body)], tolerate=Code.PRODUCT_VERSION)
        owners = [companies[index // HEATS_A_COMPANY] for index in range(count)]
        assets = [
            str(result["asset"])
            for result in self._do(
                COUNTER,
                [("asset.register", self._receivable(owner, n)) for n, owner in enumerate(owners)],
            )
        ]
        offers = {bank: self._apply(bank, owners, assets) for bank in self._banks}
        return [
            Heat(n, asset, {bank: offers[bank][n] for bank in self._banks})
            for n, asset in enumerate(assets)
        ]

    def _open_companies(self, companies: Sequence[str]) -> None:
        """Bind the companies, submit and attest their sales, let both banks see them."""
        bindings = [("company.bind", _binding(company)) for company in companies]
        self._do(COUNTER, bindings, tolerate=Code.COMPANY_KEY_BOUND)
        tax = self._clients[TAX]
        for company in companies:
            records = [encode_record(record) for record in self._sales(company)]
            body = {
                "category": SALES,
                "schema": SALES_SCHEMA,
                "version": 1,
                "count": len(records),
                "root": records_root([record_digest(data) for data in records]),
            }
            _check(*tax.submit_kind("records.submit", body, records).result)
        attested = {
            "category": SALES,
            "schema": SALES_SCHEMA,
            "companies": tuple(sorted(companies)),
            "from_day": self._day - 31 * (MONTHS + 1),
            "to_day": self._day,
        }
        self._do(TAX, [("records.attest", attested)])
        self._do(
            COUNTER,
            [
                ("consent.grant", self._consent(company, bank))
                for company in companies
                for bank in self._banks
            ],
        )

    def _sales(self, company: str) -> Iterator[Record]:
        for month in range(MONTHS):
            day = self._day - 1 - 30 * month
            fields = {
                "invoice_no": f"{self._run}-{month}",
                "issued_on": day,
                "counterparty": BUYER,
                "net": TURNOVER_FEN,
                "tax": 0,
                "gross": TURNOVER_FEN,
                "status": "V",
            }
            yield Record(company, day, fields, salt=bytes(SALT_BYTES))

    def _consent(self, company: str, bank: str) -> dict[str, Any]:
        return {
            "company": company,
            "recipient": bank,
            "categories": (SALES,),
            "purpose": "lending",
            "mode": "view",
            "from_day": self._day - CONSENT_DAYS,
            "to_day": self._day + BINDING_TTL_DAYS,  # the day may change while heats are made
            "decision_from_day": FIRST_DAY,
            "starts_ms": self._time_ms,
            "expires_ms": self._time_ms + BINDING_TTL_DAYS * DAY_MS,
            "fetch": "once",
        }

    def _receivable(self, owner: str, number: int) -> dict[str, Any]:
        return {
            "company": owner,
            "kind": "receivable",
            "document_no": f"RACE-{self._run}-{number}",
            "day": self._day - 10,
            "counterparty": BUYER,
            "amount_fen": RECEIVABLE_FEN,
            "due_day": self._day + 90,
        }

    def _apply(self, bank: str, owners: Sequence[str], assets: Sequence[str]) -> list[str]:
        bodies = [
            {
                "company": owner,
                "product": f"GD-RACE-{bank}/1",
                "amount_fen": ASKED_FEN,
                "term_days": TERM_DAYS,
                "asset": asset,
            }
            for owner, asset in zip(owners, assets, strict=True)
        ]
        results = self._do(COUNTER, [("loan.apply", body) for body in bodies])
        for result in results:
            if result["outcome"] != "GRANT":
                raise LocalError(Code.INPUT_USAGE, f"{bank} did not grant: {result['reasons']}")
        return [str(result["application"]) for result in results]

    def _do(
        self,
        who: str,
        bodies: Sequence[tuple[str, Mapping[str, Any]]],
        tolerate: Code | None = None,
    ) -> list[Any]:
        """Send transactions, some at once, and return their results in order."""
        client = self._clients[who]
        results: list[Any] = []
        for start in range(0, len(bodies), AT_ONCE):
            some = bodies[start : start + AT_ONCE]
            signed = [client.sign(kind, body) for kind, body in some]
            client.submit_many(signed)  # what the door does not take is sent once more below
            for transaction in signed:
                code, data = client.submit_until_certified(transaction).result
                results.append(_check(code, data, tolerate))
        return results


def _binding(company: str) -> dict[str, Any]:
    key = SigningKey(company.encode().ljust(32, b"\x00"))
    return {"company": company, "public_key": key.public_key, "name": f"racing {company}"}


def _check(code: int, data: Any, tolerate: Code | None = None) -> Any:
    """Return a result's data; raise `Rejected` unless it is OK or the code to tolerate."""
    if code not in (Code.OK, tolerate):
        raise Rejected(Code(code), str(data.get("error", data)))
    return data
