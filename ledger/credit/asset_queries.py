"""What may be asked of the registry of assets, and who is told what.

Owner, debtor, who registered it, and regulators see an asset; another lender learns whether the
document is pledged, in one of three words, and never to whom (DOMAIN.md, Financing assets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ledger.credit.assets import (
    ASSET_ID_BYTES,
    CONFIRM_DAYS,
    KINDS,
    Asset,
    AssetState,
    Pledge,
    find_match,
    find_pledged_match,
    get_asset,
    get_pledge,
    read_terms,
)
from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Query, QueryContext, Role, check_acts_for
from ledger.state.tables import COMPANY_ASSETS
from ledger.transactions.fields import Fields

MAX_LISTED = 500


def _may_see(context: QueryContext, asset: Asset, pledge: Pledge | None) -> bool:
    """Owner, debtor, who registered it, regulators, and the lender that holds it."""
    caller = context.caller
    return (
        caller.id in (asset.company, asset.counterparty, asset.registered_by)
        or caller.role is Role.REGULATOR
        or (pledge is not None and pledge.lender == caller.id)
    )


def _describe(context: QueryContext, asset_id: bytes, asset: Asset) -> Value:
    """Return the asset as the caller may see it: the pledge's holder only to whom it concerns."""
    pledge = get_pledge(context.state, asset)
    shown: dict[str, Value] = {f.name: getattr(asset, f.name) for f in fields(asset)}
    shown["asset"] = asset_id.hex()
    shown["state"] = str(asset.state)
    due_day = asset.registered_day + CONFIRM_DAYS if KINDS[asset.kind].is_claim else None
    is_open = asset.state is AssetState.REGISTERED and due_day is not None
    shown["confirm_due_day"] = due_day
    shown["is_confirm_late"] = is_open and due_day is not None and context.day > due_day
    shown["is_pledged"] = pledge is not None
    caller = context.caller
    is_concerned = caller.role is Role.REGULATOR or caller.id == asset.company
    if pledge is not None and (is_concerned or caller.id == pledge.lender):
        shown["lender"] = pledge.lender
        shown["pledged_fen"] = pledge.amount_fen
    return shown


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show one asset; to a bank that does not hold it, no more than whether it is pledged."""
    reader = Fields(body)
    asset_id = read_id(reader, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN)
    reader.done()
    asset = get_asset(context.state, asset_id)
    if _may_see(context, asset, get_pledge(context.state, asset)):
        return _describe(context, asset_id, asset)
    if context.caller.role is Role.BANK:
        pledged = find_pledged_match(context.state, asset)
        return {"asset": asset_id.hex(), "state": str(asset.state), "pledged": str(pledged)}
    raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} may not see this asset")


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List a company's assets that the caller may see, at most 500."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    items: list[Value] = []
    for key, _ in context.state.scan(COMPANY_ASSETS, company.encode()):
        asset_id = key[-ASSET_ID_BYTES:]
        asset = get_asset(context.state, asset_id)
        if len(items) < MAX_LISTED and _may_see(context, asset, get_pledge(context.state, asset)):
            items.append(_describe(context, asset_id, asset))
    return {"company": company, "assets": items}


def query_check(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Tell a lender, or whoever acts for the company, if a document is registered and pledged.

    The answer is exact, similar or none, and nothing else.
    """
    asset = read_terms(Fields(body), sender=context.caller.id, day=context.day)
    if context.caller.role not in (Role.BANK, Role.REGULATOR):
        check_acts_for(context.caller, asset.company)
    return {
        "registered": str(find_match(context.state, asset)),
        "pledged": str(find_pledged_match(context.state, asset)),
    }


QUERIES: Mapping[str, Query] = {
    "asset.show": query_show,
    "asset.list": query_list,
    "asset.check": query_check,
}
