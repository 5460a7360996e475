"""Pledging and releasing: the asset of a granted application secures it, and comes free again.

A lender may pledge as soon as its offer stands, so that the order of the blocks decides between two
lenders whose offers name one asset; disbursing pledges what is not pledged yet. A pledge ends with
the loan that it secures, when its lender releases it, or when its offer has lapsed and the owner
asks.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.assets import (
    ASSET_ID_BYTES,
    check_free_for,
    get_asset,
    get_pledge,
    process_pledge,
    process_release,
)
from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import (
    Application,
    compute_stage,
    get_application,
    read_application,
)
from ledger.lending.loans.loan import check_amount
from ledger.lending.loans.states import Stage
from ledger.membership.context import Context, Handler, Role, check_acts_for, check_role
from ledger.rules.decision import Decision
from ledger.transactions.fields import Fields

_PLEDGEABLE = frozenset({Stage.OFFERED, Stage.ACCEPTED})


def get_offer_fen(application: Application) -> int:
    """Return what was granted, in fen."""
    return Decision.from_value(application.decision).amount_fen or 0


def process_asset_pledge(context: Context) -> Value:
    """Pledge an asset for an application that named it; by the lender that granted it.

    Whether the asset is free comes first: a lender without an application learns that, and no more.
    """
    body = Fields(context.body)
    asset_id = read_id(body, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN)
    application_id = (
        read_id(body, "application", 32, Code.APPLICATION_UNKNOWN)
        if body.has("application")
        else None
    )
    asked_fen = body.amount("amount_fen") if body.has("amount_fen") else None
    body.done()
    check_role(context.sender, Role.BANK)
    lender = context.sender.id
    check_free_for(context.state, get_asset(context.state, asset_id), lender)
    if application_id is None:
        raise Rejected(
            Code.APPLICATION_UNKNOWN, "a pledge wants the granted application that it secures"
        )
    application = get_application(context.state, application_id)
    if application.lender != lender:
        raise Rejected(Code.NOT_PERMITTED, f"the application is not to {lender}")
    if application.asset != asset_id.hex():
        raise Rejected(Code.ASSET_STATE, "the application does not name this asset")
    stage = compute_stage(application, context.day)
    if stage not in _PLEDGEABLE:
        raise Rejected(Code.LOAN_STATE, f"cannot pledge for an application that is {stage}")
    offer_fen = get_offer_fen(application)
    amount_fen = offer_fen if asked_fen is None else asked_fen
    check_amount(amount_fen)
    if amount_fen > offer_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {offer_fen} granted"
        )
    pledge = process_pledge(
        context.state, asset_id, lender, application_id, amount_fen, context.day
    )
    return {"asset": asset_id.hex(), "pledged_fen": pledge.amount_fen}


def process_asset_release(context: Context) -> Value:
    """Release what secures an application; by the lender, or after a lapse by the owner."""
    body = Fields(context.body)
    asset_id = read_id(body, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN)
    application_id, application = read_application(context.state, body, "application")
    body.done()
    if context.sender.id != application.lender:
        check_acts_for(context.sender, application.company)
        stage = compute_stage(application, context.day)
        if stage is not Stage.LAPSED:
            raise Rejected(
                Code.LOAN_STATE, f"only the lender releases for an application that is {stage}"
            )
    asset = get_asset(context.state, asset_id)
    pledge = get_pledge(context.state, asset)
    if pledge is None or all(part[1] != application_id for part in pledge.parts):
        raise Rejected(Code.ASSET_STATE, "the asset is not pledged for this application")
    process_release(context.state, asset_id, application_id)
    left = get_pledge(context.state, asset)
    return {"asset": asset_id.hex(), "pledged_fen": left.amount_fen if left is not None else 0}


HANDLERS: Mapping[str, Handler] = {
    "asset.pledge": process_asset_pledge,
    "asset.release": process_asset_release,
}
