"""Products on the chain: registered by their lender, in versions, in force from a date.

A product is a `smartrule/1` document; the rule book compiles it. Registration checks what the rule
language cannot know: that the lender signs it himself, that versions only go up, that every feature
can be computed by every replica, and that the product asks for authorisation of everything it
reads of categories that need one, so that no rule looks where the company did not let it.

PRODUCTS holds per product id (lender, ((version, first day in force), …)). The version in force on
a day is the highest one whose first day has come; only that one can be applied for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ledger.credit.rule_terms import check_begun
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, Refused, Rejected
from ledger.lending.facts import find_unsupported, read_categories
from ledger.membership.catalogue import Access
from ledger.membership.context import (
    Context,
    Handler,
    Query,
    QueryContext,
    Role,
    RuleBook,
    check_role,
)
from ledger.membership.members import member_from_value
from ledger.rules.names import suggest
from ledger.rules.product import Product
from ledger.rules.schema import Schema
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES, MEMBERS, PRODUCTS
from ledger.transactions.fields import Fields

MAX_SOURCE_BYTES = 65_536
MAX_VERSIONS = 1_000
MAX_LISTED = 1_000


def get_access(state: Overlay, category: str) -> Access:
    """Return the access class of a category; raise `Rejected` CATEGORY_UNKNOWN."""
    value = state.get(CATEGORIES, category.encode())
    if value is None:
        raise Rejected(Code.CATEGORY_UNKNOWN, f"category {category} is not known")
    return Access(value["access"])


def select_authorised(state: Overlay, categories: Iterable[str]) -> tuple[str, ...]:
    """Return those of `categories` that need the company's authorisation, in order."""
    return tuple(
        category
        for category in sorted(set(categories))
        if get_access(state, category) is Access.AUTHORISED
    )


def get_read_categories(product: Product, schema: Schema) -> frozenset[str]:
    """Return every category whose records decide what the product's inputs are."""
    found: set[str] = set()
    names = list(product.inputs)
    seen: set[str] = set()
    while names:
        name = names.pop()
        feature = schema.features.get(name)
        if feature is None or name in seen:
            continue
        seen.add(name)
        found |= read_categories(feature)
        names.extend(feature.of)
    return frozenset(found)


def check_product(state: Overlay, product: Product, schema: Schema) -> None:
    """Raise `Rejected` RULE_INVALID for a product that replicas could not or may not decide."""
    for feature in product.features:
        problem = find_unsupported(feature)
        if problem is not None:
            raise Rejected(Code.RULE_INVALID, problem)
    for category in sorted({*product.requires, *get_read_categories(product, schema)}):
        access = get_access(state, category)
        if access is Access.REGULATORS:
            raise Rejected(
                Code.RULE_INVALID, f"category {category} is for regulators, no product may read it"
            )
        if access is Access.AUTHORISED and category not in product.requires:
            raise Rejected(
                Code.RULE_INVALID,
                f"the product reads {category}, which needs the company's authorisation:"
                f' add it to requires, as in requires = ["{category}"]',
            )


def _register(state: Overlay, rules: RuleBook, source: bytes, lender: str, height: int) -> Product:
    """Compile, check and keep a product; raise `Rejected` (2402–2404, 2501, 2502)."""
    try:
        product: Product = rules.register("product", source, lender, height)
    except Refused as error:
        raise Rejected(Code.RULE_INVALID, str(error)) from None
    _enter(state, rules, product, lender)
    return product


def _enter(state: Overlay, rules: RuleBook, product: Product, lender: str) -> None:
    """Check a compiled product and list it as its lender's; raise `Rejected` (2402–2404, 2501)."""
    if product.lender != lender:
        raise Rejected(
            Code.PRODUCT_NOT_LENDERS, f"lender of the product is {product.lender}, not {lender}"
        )
    _check_institution(state, lender)
    owner, versions = state.get(PRODUCTS, product.id.encode()) or (lender, ())
    if owner != lender:
        raise Rejected(Code.PRODUCT_NOT_LENDERS, f"product {product.id} is another lender's")
    if versions and product.version <= versions[-1][0]:
        raise Rejected(
            Code.PRODUCT_VERSION,
            f"version {product.version}, want more than {versions[-1][0]}",
        )
    if len(versions) >= MAX_VERSIONS:
        raise Rejected(Code.PRODUCT_VERSION, f"want at most {MAX_VERSIONS} versions")
    check_product(state, product, rules.schema(product.schema_ref))
    check_begun(state, "schema", product.schema_ref, product.effective_from)
    check_begun(state, "scorecard", product.scorecard_ref, product.effective_from)
    added = (*versions, (product.version, product.effective_from))
    state.put(PRODUCTS, product.id.encode(), (lender, added))


def _check_institution(state: Overlay, lender: str) -> None:
    """Raise `Rejected` PRODUCT_NOT_LENDERS unless the lender is an institution of this network."""
    value = state.get(MEMBERS, lender.encode())
    member = None if value is None else member_from_value(value)
    if member is None or member.role is not Role.BANK or member.is_removed:
        near = _suggest_institution(state, lender)
        raise Rejected(
            Code.PRODUCT_NOT_LENDERS, f"lender {lender} is no institution of this network{near}"
        )


def _suggest_institution(state: Overlay, lender: str) -> str:
    """Return ": did you mean …?" for the institution whose id is nearest, or begins alike."""
    members = [member_from_value(value) for _, value in state.scan(MEMBERS, b"")]
    ids = [item.id for item in members if item.role is Role.BANK and not item.is_removed]
    longer = [item for item in ids if item.startswith(f"{lender.lower()}-")]
    return suggest(lender, ids) or (f": did you mean {longer[0]}?" if longer else "")


def put_genesis_product(state: Overlay, rules: RuleBook, source: bytes, owner: str) -> None:
    """Register a product that stands from the first block; raise `Rejected` (2402–2404, 25xx).

    Its lender signs nothing: like every member he answers for the genesis document as a whole.
    """
    product: Product = rules.register("product", source, owner, 0)
    _enter(state, rules, product, product.lender)


def process_register(context: Context) -> Value:
    """Register a product; by its lender."""
    body = Fields(context.body)
    source = body.bytes_("source", minimum=1, maximum=MAX_SOURCE_BYTES)
    body.done()
    check_role(context.sender, Role.BANK)
    product = _register(context.state, context.rules, source, context.sender.id, context.height)
    return {"product": product.ref, "hash": product.source_hash}


def get_effective_product(state: Overlay, rules: RuleBook, ref: str, day: int) -> Product:
    """Return the product of `ref` ("ID/version", or "ID" for the one in force) to apply for.

    Raises `Rejected` PRODUCT_UNKNOWN, and PRODUCT_NOT_EFFECTIVE on a day it is not in force.
    """
    product_id, _, version = ref.partition("/")
    entry = state.get(PRODUCTS, product_id.encode())
    if entry is None:
        raise Rejected(Code.PRODUCT_UNKNOWN, f"product {ref} is not registered")
    begun = [number for number, first_day in entry[1] if first_day <= day]
    if version:
        product: Product = rules.product(ref)
        if begun and product.version < begun[-1]:
            raise Rejected(
                Code.PRODUCT_NOT_EFFECTIVE, f"version {begun[-1]} of {product_id} is in force"
            )
    elif begun:
        product = rules.product(f"{product_id}/{begun[-1]}")
    else:
        raise Rejected(Code.PRODUCT_NOT_EFFECTIVE, f"product {ref} is not yet in force")
    if not product.is_effective(day):
        raise Rejected(Code.PRODUCT_NOT_EFFECTIVE, f"product {product.ref} is not in force")
    return product


def _describe(state: Overlay, rules: RuleBook, ref: str, day: int) -> dict[str, Value]:
    product: Product = rules.product(ref)
    entry = state.get(PRODUCTS, product.id.encode())
    begun = [number for number, first_day in entry[1] if first_day <= day]
    is_last = bool(begun) and product.version == begun[-1]
    return {
        "product": product.ref,
        "name": product.name,
        "lender": product.lender,
        "line": product.line,
        "schema": product.schema_ref,
        "scorecard": product.scorecard_ref,
        "effective_from": product.effective_from,
        "effective_to": product.effective_to,
        "is_in_force": is_last and product.is_effective(day),
        "requires": product.requires,
        "asset": product.asset,
        "hash": product.source_hash,
    }


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List the products, or those of one lender, newest version last; at most 1,000."""
    reader = Fields(body)
    lender = reader.optional_identifier("lender")
    reader.done()
    items: list[Value] = []
    for key, (owner, versions) in context.state.scan(PRODUCTS, b""):
        if lender not in (None, owner):
            continue
        for version, _ in versions:
            if len(items) < MAX_LISTED:
                ref = f"{key.decode()}/{version}"
                items.append(_describe(context.state, context.rules, ref, context.day))
    return {"products": items}


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show one product ("ID/version")."""
    reader = Fields(body)
    ref = reader.text("product")
    reader.done()
    product: Product = context.rules.product(ref)
    shown = _describe(context.state, context.rules, ref, context.day)
    shown["params"] = dict(product.params)
    shown["inputs"] = tuple(sorted(product.inputs))
    shown["cost"] = product.cost
    return shown


def query_check(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Tell a lender what registering `source` would say; nothing is kept.

    `lender` says for whom (default: the caller). The answer has `product`, or `code` and `error`.
    """
    reader = Fields(body)
    source = reader.bytes_("source", minimum=1, maximum=MAX_SOURCE_BYTES)
    lender = reader.optional_identifier("lender") or context.caller.id
    reader.done()
    context.state.begin()
    try:
        product = _register(context.state, context.rules, source, lender, 0)
    except CreditLedgerError as error:
        return {"is_valid": False, "code": int(error.code), "error": error.message}
    finally:
        context.state.rollback()
    return {
        "is_valid": True,
        "product": product.ref,
        "hash": product.source_hash,
        "cost": product.cost,
        "inputs": tuple(sorted(product.inputs)),
    }


HANDLERS: Mapping[str, Handler] = {"product.register": process_register}
QUERIES: Mapping[str, Query] = {
    "product.list": query_list,
    "product.show": query_show,
    "product.check": query_check,
}
