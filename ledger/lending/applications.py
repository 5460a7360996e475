"""Applications: a company asks, the product decides by rule, every replica alike.

`loan.apply` computes exactly the facts that the product reads, as of the block's day, from the
committed records, from the asset that the application names and from the loan book; the applicant
says no more than how much, how long, and what else the schema lists as the application's own
(`ap.*`). The decision is kept in APPLICATIONS under the transaction's id with all it rests on:
product, versions, block, inputs and their digest. The facts themselves stand apart, in the
company's own entries (COMPANY_APPLICATIONS), where they can be erased without touching the
authenticated world state.

What the company applies for is decided on all that the product reads, if its consents open these
days to decisions; else it is refused. A lender that applies for it looks of its own accord: then
what reaches beyond the days of the consent is missing (ADR 0026).

A granted application is an offer. It lapses after `OFFER_DAYS`, as does an accepted one that was
not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any

from ledger.credit.access_log import note_decision
from ledger.credit.assets import ASSET_ID_BYTES, Asset, check_free_for, get_asset
from ledger.credit.consent import DECIDING, get_consent
from ledger.credit.ids import read_id
from ledger.credit.looks import Look, check_look, find_look_basis
from ledger.encoding import Value, encode
from ledger.errors import Code, Rejected
from ledger.lending.consent_days import (
    compute_first_day,
    compute_needed_days,
    find_decision_basis,
)
from ledger.lending.facts import (
    Subject,
    compute_asset_facts,
    compute_ledger_facts,
    compute_record_facts,
)
from ledger.lending.loans.loan import OFFER_DAYS, TERM_DAYS_MAX
from ledger.lending.loans.states import Stage
from ledger.lending.products import get_effective_product, select_authorised
from ledger.membership.context import (
    Context,
    Handler,
    check_acts_for,
    check_company_known,
)
from ledger.rules.decision import Decision, Outcome
from ledger.rules.features import FeatureSource
from ledger.rules.product import Product
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import APPLICATIONS, COMPANY_APPLICATIONS
from ledger.transactions.fields import FIRST_DAY, Fields

APPLICATION_ID_BYTES = 32
MAX_DECLARED = 32
_BY_ID, _BY_SUBJECT = b"I", b"S"
_STAGES = {
    Outcome.GRANT: Stage.OFFERED,
    Outcome.DECLINE: Stage.DECLINED,
    Outcome.REFER: Stage.REFERRED,
}


@dataclass(frozen=True, slots=True)
class Application:
    """One application as stored; `expires_day` is the last day of the offer, or to draw."""

    company: str
    lender: str
    product: str
    asset: str  # id in hexadecimal, "" without one
    asked_fen: int
    term_days: int
    applicant: str
    height: int
    position: int
    day: int
    consents: tuple[str, ...]
    stage: Stage
    expires_day: int
    decision: tuple[Any, ...]  # Decision.to_value()

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, Stage) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> Application:
        """Return the application of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["stage"] = Stage(named["stage"])
        return cls(**named)


def get_application(state: Overlay, application_id: bytes) -> Application:
    """Return the application of an id; raise `Rejected` APPLICATION_UNKNOWN."""
    value = state.get(APPLICATIONS, application_id)
    if value is None:
        raise Rejected(Code.APPLICATION_UNKNOWN, f"application {application_id.hex()} is not known")
    return Application.from_value(value)


def read_application(state: Overlay, body: Fields, name: str) -> tuple[bytes, Application]:
    """Return id and application that field `name` gives; raise `Rejected` (2406)."""
    application_id = read_id(body, name, APPLICATION_ID_BYTES, Code.APPLICATION_UNKNOWN)
    return application_id, get_application(state, application_id)


def put_application(state: Overlay, application_id: bytes, application: Application) -> None:
    """Keep a changed application."""
    state.put(APPLICATIONS, application_id, application.to_value())


def get_applications(state: Overlay, company: str) -> Iterator[tuple[bytes, Application]]:
    """Yield (id, application) of every application of the company, by id."""
    for key, _ in state.scan(COMPANY_APPLICATIONS, company.encode() + _BY_ID):
        application_id = key[-APPLICATION_ID_BYTES:]
        yield application_id, get_application(state, application_id)


def get_facts(
    state: Overlay, application_id: bytes, application: Application
) -> dict[str, FactValue]:
    """Return the facts that the decision rests on."""
    key = application.company.encode() + _BY_ID + application_id
    return dict(state.get(COMPANY_APPLICATIONS, key) or ())


def compute_stage(application: Application, day: int) -> Stage:
    """Return the stage on `day`: what is stored, or LAPSED when an offer's time is over."""
    is_open = application.stage in (Stage.OFFERED, Stage.ACCEPTED)
    return Stage.LAPSED if is_open and day > application.expires_day else application.stage


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the body of an application says."""

    company: str
    product: str
    amount_fen: int
    term_days: int
    asset_id: bytes | None
    declared: Mapping[str, Any]


def _read_wish(context: Context) -> _Wish:
    body = Fields(context.body)
    wish = _Wish(
        body.identifier("company"),
        body.text("product"),
        body.amount("amount_fen"),
        body.integer("term_days", minimum=1, maximum=TERM_DAYS_MAX),
        read_id(body, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN) if body.has("asset") else None,
        body.raw("declared") if body.has("declared") else {},
    )
    body.done()
    if not isinstance(wish.declared, Mapping) or len(wish.declared) > MAX_DECLARED:
        raise Rejected(Code.BODY_MALFORMED, f"field declared: want a map of at most {MAX_DECLARED}")
    return wish


def _check_applicant(context: Context, company: str, lender: str) -> None:
    if context.sender.id != lender:
        check_acts_for(context.sender, company)


def _find_asset(state: Overlay, wish: _Wish, product: Product) -> Asset | None:
    """Return the asset the product needs; raise `Rejected` (2302–2306, 2411)."""
    if not product.asset:
        if wish.asset_id is not None:
            raise Rejected(Code.ASSET_KIND, f"product {product.ref} takes no asset")
        return None
    if wish.asset_id is None:
        raise Rejected(Code.ASSET_REQUIRED, f"product {product.ref} wants a {product.asset}")
    asset = get_asset(state, wish.asset_id)
    if asset.company != wish.company:
        raise Rejected(Code.ASSET_NOT_OWNER, f"asset is not of company {wish.company}")
    if asset.kind != product.asset:
        raise Rejected(Code.ASSET_KIND, f"the asset's kind is {asset.kind}, want {product.asset}")
    check_free_for(state, asset, product.lender)
    return asset


def _compute_declared(wish: _Wish, schema: Schema) -> dict[str, FactValue]:
    """Return the `ap.*` facts; raise `Rejected` for one that the schema does not list so."""
    facts: dict[str, FactValue] = {}
    for name, value in sorted(wish.declared.items()):
        feature = schema.features.get(name)
        is_own = feature is not None and feature.source is FeatureSource.APPLICATION
        if feature is None or not is_own or not feature.accepts(value):
            raise Rejected(
                Code.BODY_MALFORMED, "field declared: want facts that the schema asks of applicants"
            )
        facts[name] = value
    return {**facts, "ap.amount": wish.amount_fen, "ap.term": wish.term_days}


def _compute_facts(
    context: Context,
    wish: _Wish,
    product: Product,
    asset: Asset | None,
    consents: tuple[str, ...],
) -> dict[str, FactValue]:
    """Return every fact that the product reads and the ledger knows, as of the block's day."""
    schema: Schema = context.rules.schema(product.schema_ref)
    subject = Subject(context.state, context.bodies, wish.company, asset, context.day)
    facts = compute_facts(subject, product, schema, _compute_declared(wish, schema))
    if context.sender.id != product.lender:
        return facts
    open_days = find_open_days(context.state, product, consents)
    return {
        name: value
        for name, value in facts.items()
        if name not in schema.features or not _is_beyond(schema, name, open_days, context.day)
    }


def find_open_days(
    state: Overlay, product: Product, consents: tuple[str, ...]
) -> dict[str, tuple[int, int]]:
    """Return the days that the consents of a look open of each category that needs one."""
    authorised = select_authorised(state, product.requires)
    found: dict[str, tuple[int, int]] = {}
    for consent_id in consents:
        consent = get_consent(state, bytes.fromhex(consent_id))
        if consent is not None:
            for category in sorted(set(consent.categories).intersection(authorised)):
                found.setdefault(category, (consent.from_day, consent.to_day))
    return found


def _is_beyond(
    schema: Schema, name: str, open_days: Mapping[str, tuple[int, int]], day: int
) -> bool:
    """Tell whether a feature reaches beyond the days that are open."""
    feature = schema.features[name]
    if feature.of:
        return any(_is_beyond(schema, part, open_days, day) for part in feature.of)
    if feature.source is not FeatureSource.RECORDS or feature.category not in open_days:
        return False
    first, last = open_days[feature.category]
    return compute_first_day(feature, day) < first or day - feature.offset_days > last


def compute_facts(
    subject: Subject, product: Product, schema: Schema, declared: Mapping[str, FactValue]
) -> dict[str, FactValue]:
    """Return what is known of the product's inputs: by the ledger, and as `declared` (`ap.*`)."""
    facts = compute_record_facts(subject, schema, product.features)
    facts.update(compute_asset_facts(subject, product.features))
    facts.update(compute_ledger_facts(subject, product.features))
    facts.update(declared)
    return {name: facts[name] for name in sorted(product.inputs) if name in facts}


def _subject_key(application: Application) -> bytes:
    product_id = application.product.partition("/")[0]
    subject = sha256(encode((application.lender, product_id, application.asset))).digest()[:16]
    return application.company.encode() + _BY_SUBJECT + subject


def _check_no_open_offer(state: Overlay, application: Application, day: int) -> None:
    """Raise `Rejected` APPLICATION_EXISTS while an offer on the same product and asset is open."""
    earlier_id = state.get(COMPANY_APPLICATIONS, _subject_key(application))
    if earlier_id is None:
        return
    earlier = compute_stage(get_application(state, earlier_id), day)
    if earlier in (Stage.OFFERED, Stage.ACCEPTED):
        raise Rejected(
            Code.APPLICATION_EXISTS, f"application {earlier_id.hex()} is open: it is {earlier}"
        )


def process_apply(context: Context) -> Value:
    """Decide an application by rule; sent by the company, a counter for it, or the lender."""
    wish = _read_wish(context)
    state = context.state
    product = get_effective_product(state, context.rules, wish.product, context.day)
    _check_applicant(context, wish.company, product.lender)
    check_company_known(state, (wish.company,))
    asset = _find_asset(state, wish, product)
    consents, look = _find_consents(context, wish.company, product)
    application = Application(
        company=wish.company,
        lender=product.lender,
        product=product.ref,
        asset=wish.asset_id.hex() if wish.asset_id else "",
        asked_fen=wish.amount_fen,
        term_days=wish.term_days,
        applicant=context.sender.id,
        height=context.height,
        position=context.position,
        day=context.day,
        consents=consents,
        stage=Stage.REFERRED,
        expires_day=context.day + OFFER_DAYS,
        decision=(),
    )
    _check_no_open_offer(state, application, context.day)
    facts = _compute_facts(context, wish, product, asset, consents)
    decision = product.decide(facts)
    decided = replace(application, stage=_STAGES[decision.outcome], decision=decision.to_value())
    _keep(state, context.transaction.id, decided, facts)
    note_decision(context, look, consents)
    return describe_decision(context.transaction.id, decided, decision)


def _find_consents(
    context: Context, company: str, product: Product
) -> tuple[tuple[str, ...], Look]:
    """Return the consents that the decision rests on, and what it reads, to be logged.

    Sent by the lender it is a look of its own accord, and has to be allowed one more.
    """
    state, day = context.state, context.day
    schema: Schema = context.rules.schema(product.schema_ref)
    categories = select_authorised(state, product.requires)
    look = Look(product.lender, company, categories, DECIDING, FIRST_DAY, day)
    if not categories:
        return (), look
    if context.sender.id == product.lender:
        consents = find_look_basis(state, look, context.time_ms)
        first, last = check_look(state, look, consents, context.time_ms)
        return consents, replace(look, from_day=first, to_day=last)
    consents = find_decision_basis(state, company, product, schema, day, context.time_ms)
    needed = compute_needed_days(product, schema, categories, day).values()
    first = min((days[0] for days in needed), default=day)
    last = max((days[1] for days in needed), default=day)
    return consents, replace(look, from_day=first, to_day=last)


def preview(context: Context, product: Product) -> Decision:
    """Return what `product` would decide on the application that the body is; nothing is kept.

    Raise `Rejected` where it would not come to a decision: another asset or consent is wanted.
    """
    wish = _read_wish(context)
    state = context.state
    asset = _find_asset(state, wish, product)
    consents, _ = _find_consents(context, wish.company, product)
    return product.decide(_compute_facts(context, wish, product, asset, consents))


def _keep(
    state: Overlay,
    application_id: bytes,
    application: Application,
    facts: Mapping[str, FactValue],
) -> None:
    put_application(state, application_id, application)
    key = application.company.encode() + _BY_ID + application_id
    state.put(COMPANY_APPLICATIONS, key, tuple(sorted(facts.items())))
    state.put(COMPANY_APPLICATIONS, _subject_key(application), application_id)


def describe_decision(
    application_id: bytes, application: Application, decision: Decision
) -> dict[str, Value]:
    """Return the decision as results and queries show it; amounts in fen, the rate in bp."""
    is_granted = decision.outcome is Outcome.GRANT
    return {
        "application": application_id.hex(),
        "outcome": str(decision.outcome),
        "product": application.product,
        "amount_fen": decision.amount_fen,
        "limit_fen": decision.limit_fen,
        "rate_bp": decision.rate_bp,
        "score": decision.score,
        "score_reasons": decision.score_reasons,
        "reasons": tuple(
            (reason.code, reason.condition, reason.result, reason.inputs)
            for reason in decision.reasons
        ),
        "missing": decision.missing,
        "expires_day": application.expires_day if is_granted else None,
    }


HANDLERS: Mapping[str, Handler] = {"loan.apply": process_apply}
