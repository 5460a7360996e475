"""A province for scenarios: a chain in memory with companies, products and two years of sales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.errors import Code
from ledger.queries import QUERIES
from ledger.transactions.fields import FIRST_DAY
from ledger.transactions.records import Record
from tests.ledger_harness import CATEGORIES, DAY_MS, GENESIS_DAY, SALT, Harness, company_code
from tests.lending.documents import RULES, credit_line, patent_loan, supply_chain

SELLER, BUYER, OTHER = (company_code(number) for number in (1, 2, 3))
TODAY = GENESIS_DAY
RECEIVABLE_FEN = 140_000_000


def invoice(number: int, day: int, gross_fen: int = 10_000_000, **changes: Any) -> Record:
    fields = {
        "invoice_no": f"INV-{number}",
        "issued_on": day,
        "counterparty": BUYER,
        "net": gross_fen,
        "tax": 0,
        "gross": gross_fen,
        "status": "V",
    }
    return Record(changes.pop("company", SELLER), day, fields | changes, salt=SALT)


class Province(Harness):
    """Seven members, three companies with keys, products of ICBC and CCB, SELLER's records."""

    rules: tuple[bytes, ...] = RULES

    settings: Mapping[str, Any] = {"asset_salt": b"salt of the tests"}
    categories: tuple[Any, ...] = CATEGORIES

    def __init__(self) -> None:
        super().__init__(self.rules, self.categories, self.settings)
        self.do("D01", "company.bind", **self._key(SELLER))
        self.do("D01", "company.bind", **self._key(BUYER))
        self.do("D01", "company.bind", **self._key(OTHER))
        sales = [invoice(n, TODAY - 30 * n) for n in range(1, 24)]
        sales.append(invoice(100, TODAY - 20, RECEIVABLE_FEN))
        self.succeed(self.submit("D02", "C044", sales, "line"))
        for bank, source in (
            ("ICBC", supply_chain("ICBC")),
            ("CCB", supply_chain("CCB")),
            ("CCB", patent_loan()),
            ("ICBC", credit_line()),
        ):
            self.do(bank, "product.register", source=source)
        self.attest_sales()

    def _key(self, company: str) -> dict[str, Any]:
        body: dict[str, Any] = dict(self.bind(company).body)
        return body

    def attest_sales(self, *more: str) -> None:
        companies = tuple(dict.fromkeys((SELLER, OTHER, *more)))
        attest = self.attest("D02", "C044", companies, TODAY - 800, self.day, schema_name="line")
        self.succeed(attest)

    def succeed(self, transaction: Any) -> Any:
        code, data = self.run(transaction)
        assert code == Code.OK, data
        return data

    def do(self, who: str, what: str, /, **body: Any) -> Any:
        """Run a transaction that must succeed; return its data."""
        return self.succeed(self.sign(who, what, body))

    def refuse(self, code: Code, who: str, what: str, /, **body: Any) -> str:
        """Run a transaction that must be rejected with `code`; return the sentence."""
        got, data = self.run(self.sign(who, what, body))
        assert Code(got) is code, data
        return str(data["error"])

    def ask(self, who: str, what: str, /, **body: Any) -> Any:
        return QUERIES[what](self.query_context(who), body)

    def consent(self, company: str, recipient: str, **changes: Any) -> str:
        body: dict[str, Any] = {
            "company": company,
            "recipient": recipient,
            "categories": ("C044",),
            "purpose": "lending",
            "mode": "view",
            "from_day": self.day - 366,
            "to_day": self.day + 60,
            "decision_from_day": FIRST_DAY,
            "starts_ms": 0,
            "expires_ms": self.head.time_ms + 60 * DAY_MS,
            "fetch": "once",
        }
        body["starts_ms"] = self.head.time_ms
        if changes.get("purpose", "lending") != "lending":
            del body["decision_from_day"]
        return str(self.do(company, "consent.grant", **(body | changes))["consent"])

    def receivable(self, number: int = 100, *, is_confirmed: bool = True, **changes: Any) -> str:
        body: dict[str, Any] = {
            "company": SELLER,
            "kind": "receivable",
            "document_no": f"INV-{number}",
            "day": TODAY - 20,
            "counterparty": BUYER,
            "amount_fen": RECEIVABLE_FEN,
            "due_day": TODAY + 120,
        }
        asset = str(self.do(SELLER, "asset.register", **(body | changes))["asset"])
        if is_confirmed:
            self.do(BUYER, "asset.confirm", asset=asset)
        return asset

    def lend(self, company: str = OTHER, guaranteed_fen: int = 0, **changes: Any) -> str:
        """Let ICBC pay out a loan on its credit line, PAB standing for part; return its id."""
        wish: dict[str, Any] = {"company": company, "term_days": 30, "amount_fen": 1_000_000}
        wish |= changes
        asked = self.apply(wish.pop("product", "LINE/1"), company, declared={"ap.seats": 1}, **wish)
        named = {"application": asked["application"]}
        if guaranteed_fen:
            self.do(company, "loan.ask_guarantee", guarantor="PAB", **named)
            self.do("PAB", "loan.guarantee", amount_fen=guaranteed_fen, **named)
        self.do(company, "loan.accept", **named)
        return str(self.do("ICBC", "loan.disburse", **named)["loan"])

    def sell(self, company: str) -> None:
        """Give a company sales that a credit line asks for, and its consent."""
        sales = [invoice(n, TODAY - 10 * n, company=company) for n in range(1, 12)]
        self.succeed(self.submit("D02", "C044", sales, "line"))
        self.attest_sales(company)
        self.consent(company, "ICBC", is_onward_allowed=True)  # so that it may ask a guarantor

    def apply(self, product: str, who: str = SELLER, **changes: Any) -> dict[str, Any]:
        body: dict[str, Any] = {
            "company": SELLER,
            "product": product,
            "amount_fen": 200_000_000,
            "term_days": 90,
        }
        data: dict[str, Any] = self.do(who, "loan.apply", **(body | changes))
        return data
