"""The registry of financing assets: each registered once, each pledged once.

An asset is what a company can borrow against: a claim on a debtor (receivable, invoice, export
declaration), goods in somebody's keeping (warehouse receipt, bill of lading), or a title (patent,
trade mark, copyright, equipment). It is found again by marks, which are HMACs under a salt of this
chain, so that an entry of the index says nothing to somebody who cannot already name the document:

- the exact mark (kind and everything that `KINDS` says identifies one) makes it registered once;
- the document mark leaves out what differs when the same paper is registered as another kind; the
  pledge is kept under it, so a receivable and its invoice cannot be pledged to two lenders;
- the near marks count what is similar: same number but for zeros in front or an invoice's code,
  or same parties, sum and date.

The pledge entry holds the lender's name; the registry gives it to nobody but that lender, the owner
and regulators. Priority is the order of the blocks. Handlers that need an application (pledge and
release) are in ledger.lending.pledges.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ledger.credit.currencies import HOME_CURRENCY
from ledger.credit.document_numbers import loosen_number, normalise_number
from ledger.credit.double_registrations import (
    ASSETS_TOUCHED,
    find_holder,
    process_registered,
    process_withdrawn,
)
from ledger.credit.ids import read_id
from ledger.credit.rates import get_rate_ppm
from ledger.encoding import Value, encode
from ledger.errors import Code, Rejected
from ledger.membership.context import (
    Context,
    Handler,
    check_acts_for,
    check_company_known,
)
from ledger.state.overlay import Overlay
from ledger.state.tables import (
    ASSET_MARKS,
    ASSETS,
    COMPANY_ASSETS,
    PLEDGES,
    SETTINGS,
    Table,
)
from ledger.transactions.fields import MAX_AMOUNT_FEN, Fields, find_unsafe_character

ASSET_ID_BYTES = 16
SALT_SETTING = b"asset_salt"
CONFIRM_DAYS = 30  # a debtor confirms within 30 days (SME payment regulation 9)
MAX_ATTRIBUTES = 32
MAX_PLEDGED_PARTS = 32
_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What an asset of a kind is identified by.

    `exact` identifies one asset; `document` (with `family`) the paper that kinds may share; `near`
    are looser ones ("loose" is the number without zeros in front). `is_claim` tells that somebody
    owes its amount.
    """

    family: str
    is_claim: bool
    exact: tuple[str, ...]
    document: tuple[str, ...]
    near: tuple[tuple[str, ...], ...]


_CLAIM = Kind(
    "claim",
    True,
    ("company", "counterparty", "number", "day", "currency", "amount_fen"),
    ("company", "number", "day"),
    (("company", "loose"), ("company", "counterparty", "day", "currency", "amount_fen")),
)


def _title(family: str, *names: str) -> Kind:
    return Kind(family, False, names, names, (("loose",),))


KINDS: Mapping[str, Kind] = {
    "receivable": _CLAIM,
    "invoice": _CLAIM,
    "export_declaration": _CLAIM,
    "warehouse_receipt": _title("goods", "counterparty", "number"),
    "bill_of_lading": _title("goods", "counterparty", "number"),
    "patent": _title("patent", "number"),
    "trade_mark": _title("trade_mark", "number"),
    "copyright": _title("copyright", "number"),
    "equipment": _title("equipment", "counterparty", "number"),
}


class AssetState(StrEnum):
    """Where an asset stands; the values are stored and never change."""

    REGISTERED = "REGISTERED"
    CONFIRMED = "CONFIRMED"
    WITHDRAWN = "WITHDRAWN"


class Step(StrEnum):
    """What can be done with an asset itself."""

    CONFIRM = "confirm"
    WITHDRAW = "withdraw"


STATES: Mapping[tuple[AssetState, Step], AssetState] = {
    (AssetState.REGISTERED, Step.CONFIRM): AssetState.CONFIRMED,
    (AssetState.REGISTERED, Step.WITHDRAW): AssetState.WITHDRAWN,
    (AssetState.CONFIRMED, Step.WITHDRAW): AssetState.WITHDRAWN,
}


class Match(StrEnum):
    """All that a lender learns of what others registered or hold."""

    EXACT = "exact"
    SIMILAR = "similar"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset; days since 1970-01-01, the amount in minor units of its currency (fen)."""

    company: str
    kind: str
    document_no: str
    day: int
    counterparty: str
    amount_fen: int
    due_day: int | None
    currency: str
    attributes: Mapping[str, Any]
    state: AssetState
    registered_by: str
    registered_day: int
    confirmed_by: str
    confirmed_day: int | None

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, AssetState) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> Asset:
        """Return the asset of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["state"] = AssetState(named["state"])
        return cls(**named)


@dataclass(frozen=True, slots=True)
class Marks:
    """The 32-byte marks of an asset."""

    exact: bytes
    document: bytes
    near: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pledge:
    """A document's pledge: one lender; its parts are (asset id, application id, fen)."""

    lender: str
    parts: tuple[tuple[bytes, bytes, int], ...]

    @property
    def amount_fen(self) -> int:
        """The sum of the parts."""
        return sum(part[2] for part in self.parts)


def compute_number(asset: Asset) -> str:
    """Return the number as it is compared among assets of its family.

    A patent has one number, written ZL… once granted, CN… abroad, and bare in its application.
    """
    number = normalise_number(asset.document_no)
    if KINDS[asset.kind].family == "patent" and number[:2] in ("ZL", "CN") and number[2:]:
        return number[2:]
    return number


def compute_marks(asset: Asset, salt: bytes) -> Marks:
    """Return the marks under the chain's salt; kinds of one family share the document mark."""
    kind = KINDS[asset.kind]
    number = compute_number(asset)
    parts: dict[str, Value] = {
        "company": asset.company,
        "counterparty": normalise_number(asset.counterparty),
        "number": number,
        "loose": loosen_number(number, is_claim=kind.is_claim),
        "day": asset.day,
        "currency": asset.currency,
        "amount_fen": asset.amount_fen,
    }

    def mark(tag: str, group: str, names: tuple[str, ...]) -> bytes:
        message = encode((tag, group, tuple((name, parts[name]) for name in names)))
        return hmac.digest(salt, message, "sha256")

    return Marks(
        mark("exact", asset.kind, kind.exact),
        mark("document", kind.family, kind.document),
        tuple(mark("near", kind.family, names) for names in kind.near),
    )


def get_salt(state: Overlay) -> bytes:
    """Return the salt of this chain's marks, set in genesis (empty when it sets none)."""
    salt = state.get(SETTINGS, SALT_SETTING)
    return salt if isinstance(salt, bytes) else b""


def get_asset(state: Overlay, asset_id: bytes) -> Asset:
    """Return the asset of an id; raise `Rejected` ASSET_UNKNOWN."""
    value = state.get(ASSETS, asset_id)
    if value is None:
        raise Rejected(Code.ASSET_UNKNOWN, f"asset {asset_id.hex()} is not known")
    return Asset.from_value(value)


def get_pledge(state: Overlay, asset: Asset) -> Pledge | None:
    """Return the pledge of the asset's document, whichever asset it was made with, or None."""
    value = state.get(PLEDGES, compute_marks(asset, get_salt(state)).document)
    return None if value is None else Pledge(*value)


def check_free_for(state: Overlay, asset: Asset, lender: str) -> None:
    """Raise `Rejected` (2303, 2305) unless `lender` could take the asset as a pledge.

    The sentence is the same whoever holds the pledge: it never names a lender.
    """
    if asset.state is AssetState.WITHDRAWN:
        raise Rejected(Code.ASSET_STATE, f"asset is {asset.state}")
    pledge = get_pledge(state, asset)
    if pledge is not None and pledge.lender != lender:
        raise Rejected(Code.ASSET_ALREADY_PLEDGED, "the asset is already pledged")


def compute_worth_fen(state: Overlay, asset: Asset, day: int) -> int:
    """Return the asset's amount in fen, at the rate of `day` where it is in foreign money.

    Raises `Rejected` ASSET_UNPRICED when that currency has no rate then.
    """
    if asset.currency == HOME_CURRENCY:
        return asset.amount_fen
    ppm = get_rate_ppm(state, asset.currency, day)
    if ppm is None:
        raise Rejected(
            Code.ASSET_UNPRICED, f"the asset is in {asset.currency}, which has no rate today"
        )
    return asset.amount_fen * ppm // _PPM


def process_pledge(
    state: Overlay, asset_id: bytes, lender: str, application: bytes, amount_fen: int, day: int
) -> Pledge:
    """Pledge the asset for an application; once for each, and never to a second lender.

    What is pledged for it already is raised to `amount_fen` where it is less. Raises `Rejected`
    2303, 2305, 2307, and AMOUNT_TOO_LARGE beyond what a claim is worth on `day`.
    """
    asset = get_asset(state, asset_id)
    check_free_for(state, asset, lender)
    current = get_pledge(state, asset) or Pledge(lender, ())
    own = [part for part in current.parts if part[1] == application]
    if own and own[0][2] >= amount_fen:
        return current
    others = tuple(part for part in current.parts if part[1] != application)
    if len(others) >= MAX_PLEDGED_PARTS:
        raise Rejected(
            Code.ASSET_STATE, f"asset is pledged {MAX_PLEDGED_PARTS} times: release some"
        )
    pledge = Pledge(lender, (*others, (asset_id, application, amount_fen)))
    if KINDS[asset.kind].is_claim:
        worth_fen = compute_worth_fen(state, asset, day)
        if pledge.amount_fen > worth_fen:
            raise Rejected(
                Code.AMOUNT_TOO_LARGE,
                f"{pledge.amount_fen} fen would be pledged, want at most {worth_fen}",
            )
    _put_parts(state, asset, current, pledge.parts)
    return pledge


def process_release(state: Overlay, asset_id: bytes, application: bytes) -> None:
    """Release the part of the pledge that secured an application; nothing when there is none."""
    asset = get_asset(state, asset_id)
    current = get_pledge(state, asset)
    if current is None:
        return
    parts = tuple(part for part in current.parts if part[1] != application)
    _put_parts(state, asset, current, parts)


def _put_parts(
    state: Overlay, asset: Asset, current: Pledge, parts: tuple[tuple[bytes, bytes, int], ...]
) -> None:
    """Keep the parts of a document's pledge, and count what is near the assets that are in it.

    Assets of one document may differ in what is near them: in the debtor, or in the sum.
    """
    document = compute_marks(asset, get_salt(state)).document
    state.put(PLEDGES, document, (current.lender, parts) if parts else None)
    before, after = ({part[0] for part in item} for item in (current.parts, parts))
    _count_near_all(state, sorted(after - before), 1)
    _count_near_all(state, sorted(before - after), -1)


def _count_near_all(state: Overlay, asset_ids: Iterable[bytes], change: int) -> None:
    for asset_id in asset_ids:
        marks = compute_marks(get_asset(state, asset_id), get_salt(state))
        _count_near(state, PLEDGES, marks, change)


def find_match(state: Overlay, asset: Asset) -> Match:
    """Tell whether an asset like this one is registered."""
    marks = compute_marks(asset, get_salt(state))
    if state.get(ASSET_MARKS, marks.exact) is not None:
        return Match.EXACT
    return Match.SIMILAR if any(state.get(ASSET_MARKS, m) for m in marks.near) else Match.NONE


def find_pledged_match(state: Overlay, asset: Asset) -> Match:
    """Tell whether this document, or one like it, is pledged to anybody."""
    marks = compute_marks(asset, get_salt(state))
    if state.get(PLEDGES, marks.document) is not None:
        return Match.EXACT
    return Match.SIMILAR if any(state.get(PLEDGES, m) for m in marks.near) else Match.NONE


def _count_near(state: Overlay, table: Table, marks: Marks, change: int) -> None:
    for near in marks.near:
        state.put(table, near, ((state.get(table, near) or 0) + change) or None)


def _read_attributes(body: Fields) -> Mapping[str, Any]:
    """Return the free attributes: names with short text, integers or flags."""
    if not body.has("attributes"):
        return {}
    raw = body.raw("attributes")
    if type(raw) is not dict or len(raw) > MAX_ATTRIBUTES:
        raise Rejected(
            Code.BODY_MALFORMED, f"field attributes: want a map of at most {MAX_ATTRIBUTES}"
        )
    inner = body.map("attributes")
    for name, value in raw.items():
        is_named = 0 < len(name) <= 64 and find_unsafe_character(name) is None
        if not is_named or type(value) not in (int, bool, str):
            raise Rejected(
                Code.BODY_MALFORMED, "field attributes: want names with text, integers or flags"
            )
        if type(value) is str:
            inner.text(name, minimum=0)
    return dict(raw)


def read_terms(body: Fields, *, sender: str, day: int) -> Asset:
    """Return the asset that a body describes, as registered by `sender` on `day`."""
    kind = body.choice("kind", KINDS)
    is_claim = KINDS[kind].is_claim
    is_known_by_it = "counterparty" in KINDS[kind].exact
    has_counterparty = is_known_by_it or body.has("counterparty")
    currency = body.optional_text("currency", maximum=3) or "CNY"
    if len(currency) != 3 or not all("A" <= c <= "Z" for c in currency):
        raise Rejected(Code.BODY_MALFORMED, "field currency: want three letters A-Z")
    asset = Asset(
        company=body.identifier("company"),
        kind=kind,
        document_no=body.text("document_no", maximum=64),
        day=body.day("day"),
        counterparty=body.text("counterparty") if has_counterparty else "",
        amount_fen=_read_amount(body, is_claim),
        due_day=body.optional_day("due_day"),
        currency=currency,
        attributes=_read_attributes(body),
        state=AssetState.REGISTERED,
        registered_by=sender,
        registered_day=day,
        confirmed_by="",
        confirmed_day=None,
    )
    body.done()
    if not normalise_number(asset.document_no):
        raise Rejected(Code.BODY_MALFORMED, "field document_no: got no letter or digit")
    other = normalise_number(asset.counterparty)
    if is_known_by_it and not other:
        raise Rejected(Code.BODY_MALFORMED, "field counterparty: got no letter or digit")
    if is_claim and other == normalise_number(asset.company):
        raise Rejected(
            Code.BODY_MALFORMED, "field counterparty: got the company itself, want its debtor"
        )
    return asset


def _read_amount(body: Fields, is_claim: bool) -> int:
    if is_claim:
        return body.amount("amount_fen")
    return body.optional_integer("amount_fen", maximum=MAX_AMOUNT_FEN) or 0


def process_register(context: Context) -> Value:
    """Register an asset of a company; by the company or a counter for it."""
    asset = read_terms(Fields(context.body), sender=context.sender.id, day=context.day)
    state = context.state
    check_acts_for(context.sender, asset.company)
    check_company_known(state, (asset.company,))
    if asset.due_day is not None and asset.due_day < asset.day:
        raise Rejected(Code.ASSET_STATE, "due_day is before day")
    marks = compute_marks(asset, get_salt(state))
    if state.get(ASSET_MARKS, marks.exact) is not None:
        holder = find_holder(state, marks.document)
        if holder is not None and holder != asset.company:
            context.notes.contests.add((holder, asset.company))
        raise Rejected(Code.ASSET_EXISTS, f"this {asset.kind} is registered already")
    asset_id = context.transaction.id[:ASSET_ID_BYTES]
    match = find_match(state, asset)
    state.put(ASSETS, asset_id, asset.to_value())
    state.put(COMPANY_ASSETS, asset.company.encode() + asset_id, 1)
    state.put(ASSET_MARKS, marks.exact, asset_id)
    _count_near(state, ASSET_MARKS, marks, 1)
    for company in process_registered(state, marks.document, asset.company, asset_id):
        context.notes.touch(company, ASSETS_TOUCHED)
    return {"asset": asset_id.hex(), "match": str(match)}


def _step(asset: Asset, step: Step) -> AssetState:
    after = STATES.get((asset.state, step))
    if after is None:
        raise Rejected(Code.ASSET_STATE, f"cannot {step} an asset that is {asset.state}")
    return after


def process_confirm(context: Context) -> Value:
    """Confirm a claim; by its debtor's own key or a counter for the debtor."""
    body = Fields(context.body)
    asset_id = read_id(body, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN)
    body.done()
    asset = get_asset(context.state, asset_id)
    if not KINDS[asset.kind].is_claim:
        raise Rejected(Code.ASSET_KIND, f"a {asset.kind} has no debtor to confirm it")
    check_acts_for(context.sender, asset.counterparty)
    confirmed = replace(
        asset,
        state=_step(asset, Step.CONFIRM),
        confirmed_by=context.sender.id,
        confirmed_day=context.day,
    )
    context.state.put(ASSETS, asset_id, confirmed.to_value())
    return {"asset": asset_id.hex(), "state": str(confirmed.state)}


def process_withdraw(context: Context) -> Value:
    """Withdraw an asset that is not pledged, so that its document can be registered anew.

    By the owner or a counter for it: so a title that a stranger registered comes free again.
    """
    body = Fields(context.body)
    asset_id = read_id(body, "asset", ASSET_ID_BYTES, Code.ASSET_UNKNOWN)
    body.done()
    state = context.state
    asset = get_asset(state, asset_id)
    check_acts_for(context.sender, asset.company)
    withdrawn = replace(asset, state=_step(asset, Step.WITHDRAW))
    if get_pledge(state, asset) is not None:
        raise Rejected(Code.ASSET_ALREADY_PLEDGED, "the asset is pledged: release it first")
    marks = compute_marks(asset, get_salt(state))
    state.delete(ASSET_MARKS, marks.exact)
    _count_near(state, ASSET_MARKS, marks, -1)
    for company in process_withdrawn(state, marks.document, asset.company, asset_id):
        context.notes.touch(company, ASSETS_TOUCHED)
    state.put(ASSETS, asset_id, withdrawn.to_value())
    return {"asset": asset_id.hex(), "state": str(withdrawn.state)}


HANDLERS: Mapping[str, Handler] = {
    "asset.register": process_register,
    "asset.confirm": process_confirm,
    "asset.withdraw": process_withdraw,
}
