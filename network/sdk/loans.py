"""Acts and questions about products, applications, loans and exposure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class ProductRegistered:
    """The product's reference, id/version, and the hash of its source."""

    product: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class RegisterProduct(Act[ProductRegistered]):
    """By its lender: a product in `smartrule/1`, its source as it stands in the file."""

    kind: ClassVar[str] = "product.register"
    source: bytes


@dataclass(frozen=True, slots=True)
class ProductChecked:
    """Whether a product would be taken; if not, `code` and `error` say why and where."""

    is_valid: bool
    product: str = ""
    hash: bytes = b""
    cost: int = 0
    inputs: tuple[str, ...] = ()
    code: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class CheckProduct(Ask[ProductChecked]):
    """Check a product's source before it is registered."""

    name: ClassVar[str] = "product.check"
    source: bytes
    lender: str | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """A registered product; `params`, `inputs` and `cost` only where one is shown."""

    product: str
    name: str
    lender: str
    line: str
    schema: str
    scorecard: str
    effective_from: int
    effective_to: int | None
    is_in_force: bool
    requires: tuple[str, ...]
    asset: str
    hash: bytes
    params: Mapping[str, int] | None = None
    inputs: tuple[str, ...] = ()
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Products:
    """Registered products."""

    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class ListProducts(Ask[Products]):
    """The products, or those of one lender."""

    name: ClassVar[str] = "product.list"
    lender: str | None = None


@dataclass(frozen=True, slots=True)
class ShowProduct(Ask[Product]):
    """One product by its reference."""

    name: ClassVar[str] = "product.show"
    product: str


Reason = tuple[str, str, str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rule decided: GRANT, DECLINE or REFER, how much, at what rate, and why.

    `reasons` are (code, condition, FAIL or what was missing, inputs); `amount_fen`, `rate_bp` and
    `expires_day` only of a grant.
    """

    application: str
    outcome: str
    product: str
    amount_fen: int | None
    limit_fen: int | None
    rate_bp: int | None
    score: int | None
    score_reasons: tuple[str, ...]
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    expires_day: int | None


@dataclass(frozen=True, slots=True)
class Apply(Act[Decision]):
    """By the company, a counter for it or the lender: decided by rule while it is executed."""

    kind: ClassVar[str] = "loan.apply"
    company: str
    product: str
    amount_fen: int
    term_days: int
    asset: str | None = None
    declared: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """An application with its decision; `facts` and `reviews` only where one is shown."""

    application: str
    outcome: str
    product: str
    amount_fen: int | None
    limit_fen: int | None
    rate_bp: int | None
    score: int | None
    score_reasons: tuple[str, ...]
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    expires_day: int | None
    company: str
    lender: str
    asset: str
    asked_fen: int
    term_days: int
    applicant: str
    height: int
    position: int
    day: int
    consents: tuple[str, ...]
    stage: str
    schema: str
    scorecard: str
    rule_hash: bytes
    features_digest: bytes
    facts: Mapping[str, Any] | None = None
    reviews: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowApplication(Ask[Application]):
    """One application, with the facts that its decision rests on."""

    name: ClassVar[str] = "application.show"
    application: str


@dataclass(frozen=True, slots=True)
class Applications:
    """A company's applications that the caller may see."""

    company: str
    applications: tuple[Application, ...]


@dataclass(frozen=True, slots=True)
class ListApplications(Ask[Applications]):
    """The applications of a company."""

    name: ClassVar[str] = "application.list"
    company: str


@dataclass(frozen=True, slots=True)
class OfferAccepted:
    """An accepted offer, and the last day to draw it."""

    application: str
    stage: str
    expires_day: int


@dataclass(frozen=True, slots=True)
class AcceptOffer(Act[OfferAccepted]):
    """By the company: accept a granted application."""

    kind: ClassVar[str] = "loan.accept"
    application: str


@dataclass(frozen=True, slots=True)
class GuaranteeAsked:
    """Who was asked to stand for an application."""

    application: str
    guarantor: str


@dataclass(frozen=True, slots=True)
class AskGuarantee(Act[GuaranteeAsked]):
    """By the company or the lender: ask a guarantee company to stand for an open offer."""

    kind: ClassVar[str] = "loan.ask_guarantee"
    application: str
    guarantor: str


@dataclass(frozen=True, slots=True)
class Guaranteed:
    """What a guarantor stands for."""

    application: str
    guaranteed_fen: int


@dataclass(frozen=True, slots=True)
class Guarantee(Act[Guaranteed]):
    """By the guarantor that was asked, before the loan is drawn."""

    kind: ClassVar[str] = "loan.guarantee"
    application: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A loan that was paid out; each part of its plan is (due day, principal fen, interest fen)."""

    loan: str
    state: str
    principal_fen: int
    rate_bp: int
    due_day: int
    plan: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Disburse(Act[Drawn]):
    """By the lender: pay out an accepted application, or `amount_fen` of it."""

    kind: ClassVar[str] = "loan.disburse"
    application: str
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class LoanState:
    """What an act made of a loan; the fields beside the first four only where the act has them."""

    loan: str
    state: str
    outstanding_fen: int
    owed_fen: int
    interest_fen: int | None = None
    principal_fen: int | None = None
    due_fen: int | None = None
    due_day: int | None = None
    rate_bp: int | None = None
    plan: tuple[tuple[int, ...], ...] | None = None
    expires_day: int | None = None
    days_past_due: int | None = None
    guarantor: str | None = None
    claimed_fen: int | None = None
    guarantee_paid_fen: int | None = None
    written_off_fen: int | None = None
    written_off_interest_fen: int | None = None
    recovered_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Repay(Act[LoanState]):
    """By the lender, who received it; interest first, then principal."""

    kind: ClassVar[str] = "loan.repay"
    loan: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Restructure(Act[LoanState]):
    """By the lender: offer new terms, which the company accepts or not."""

    kind: ClassVar[str] = "loan.restructure"
    loan: str
    term_days: int
    rate_bp: int
    schedule: str | None = None
    period_months: int | None = None


@dataclass(frozen=True, slots=True)
class AcceptTerms(Act[LoanState]):
    """By the company: take the new terms."""

    kind: ClassVar[str] = "loan.accept_terms"
    loan: str


@dataclass(frozen=True, slots=True)
class Default(Act[LoanState]):
    """By the lender: call a loan that is past due in default."""

    kind: ClassVar[str] = "loan.default"
    loan: str


@dataclass(frozen=True, slots=True)
class Accelerate(Act[LoanState]):
    """By the lender: all of a loan in default is due at once."""

    kind: ClassVar[str] = "loan.accelerate"
    loan: str


@dataclass(frozen=True, slots=True)
class Claim(Act[LoanState]):
    """By the lender: claim from the guarantor."""

    kind: ClassVar[str] = "loan.claim"
    loan: str
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class PayClaim(Act[LoanState]):
    """By the guarantor: pay what was claimed, or a part."""

    kind: ClassVar[str] = "loan.pay_claim"
    loan: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class WriteOff(Act[LoanState]):
    """By the lender: nothing more is expected."""

    kind: ClassVar[str] = "loan.write_off"
    loan: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recover(Act[LoanState]):
    """By the lender: something came in after all."""

    kind: ClassVar[str] = "loan.recover"
    loan: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PlanPart:
    """What is due on one day."""

    due_day: int
    principal_fen: int
    interest_fen: int


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One line of a loan's account, and the transaction that made it."""

    day: int
    what: str
    interest_fen: int
    principal_fen: int
    tx: bytes


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as of the last block's day; `plan` and `account` only where one is shown.

    `grade` is the five-class grade: pass, special mention, substandard, doubtful, loss.
    """

    loan: str
    state: str
    company: str
    lender: str
    product: str
    asset: str
    principal_fen: int
    drawn_day: int
    due_day: int
    outstanding_fen: int
    owed_fen: int
    due_fen: int
    days_past_due: int
    grade: str
    rate_bp: int
    late_rate_bp: int
    schedule: str
    period_months: int
    day_count: str
    principal_paid_fen: int
    interest_paid_fen: int
    period_paid_fen: int
    ended_day: int | None
    late_days_max: int
    late_day: int
    entries: int
    guarantor: str
    guaranteed_fen: int
    claimed_fen: int
    guarantee_paid_fen: int
    written_off_fen: int
    written_off_interest_fen: int
    recovered_fen: int
    offer: Any = None
    plan: tuple[PlanPart, ...] = ()
    account: tuple[AccountLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowLoan(Ask[Loan]):
    """One loan with its plan and account."""

    name: ClassVar[str] = "loan.show"
    loan: str


@dataclass(frozen=True, slots=True)
class Loans:
    """A company's loans that the caller may see."""

    company: str
    loans: tuple[Loan, ...]


@dataclass(frozen=True, slots=True)
class ListLoans(Ask[Loans]):
    """The loans of a company."""

    name: ClassVar[str] = "loan.list"
    company: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is owed by somebody or to somebody."""

    outstanding_fen: int
    drawn_fen: int
    repaid_fen: int
    written_off_fen: int
    loans_open: int
    lender: str = ""


@dataclass(frozen=True, slots=True)
class CompanyExposure:
    """What a company owes, by lender as far as the caller may see."""

    company: str
    outstanding_fen: int
    by_lender: Mapping[str, Exposure]


@dataclass(frozen=True, slots=True)
class ShowCompanyExposure(Ask[CompanyExposure]):
    """What a company owes on this ledger."""

    name: ClassVar[str] = "exposure.show"
    company: str


@dataclass(frozen=True, slots=True)
class ShowLenderExposure(Ask[Exposure]):
    """What is owed to a lender on this ledger."""

    name: ClassVar[str] = "exposure.show"
    lender: str
