"""The access log: who looked at what of whom, on which basis; refused looks too.

Whoever wants to see data of a company under its authorisation logs that first
(`ledger.credit.looking`). Execution finds the consents that cover it, counts the look
against what they allow, and keeps an entry with the outcome, GRANTED or REFUSED with its code; a
refused look is a transaction that did what it should, so it succeeds and its entry stays. The entry
fixes what can be seen: the days, and the size and root of the company's log at that height. A node
shows the data only to the reader of a granted entry, once its block is certified, for `RELEASE_MS`
of chain time, and only while the consent still holds (DOMAIN.md, Authorisation). Where the company
lets its data be passed on, the reader of a granted look may let one other institution see the same:
that is an entry of its own, SHARED, for the other as its reader, with who passed it on in `via`.

A decision by rule reads data too: `note_decision` logs it.

ACCESSES holds the entry under the id of its transaction. COMPANY_ACCESSES has four shelves a
company: the ids of all looks in the order of the chain, the times of the last looks under each
consent (as many as a consent may allow a month), who saw a category last, and when, so that a
correction finds its earlier readers at once, and what readers keep (`ledger.credit.keeping`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ledger.credit.ids import read_id
from ledger.credit.keeping import describe_kept, get_kept
from ledger.credit.looks import Look, check_holds, count_look
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context, Query, QueryContext, Role
from ledger.state.overlay import Overlay
from ledger.state.tables import ACCESSES, COMPANY_ACCESSES
from ledger.transactions.fields import Fields

ACCESS_ID_BYTES = 32
MAX_PAGE = 200
RELEASE_MS = 15 * 60 * 1000
GRANTED, REFUSED, DECISION, SHARED = "GRANTED", "REFUSED", "DECISION", "SHARED"
_SHOWN = frozenset({GRANTED, SHARED})  # the outcomes by which data is shown
_HEIGHT_BYTES, _POSITION_BYTES = 8, 4
_IN_ORDER, _BY_READER = b"A", b"R"


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One look; `code` is 0 or that of the refusal, days bound what may be seen.

    `log_size` and `log_root` are the company's log as it was: all that could be seen is in it.
    """

    reader: str
    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int
    to_day: int
    consents: tuple[str, ...]
    outcome: str
    code: int
    height: int
    time_ms: int
    log_size: int
    log_root: bytes
    via: str = ""  # who passed it on to the reader

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


def get_access(state: Overlay, access_id: bytes) -> AccessEntry | None:
    """Return the entry of an id, or None."""
    value = state.get(ACCESSES, access_id)
    return None if value is None else AccessEntry(*value)


def get_company_accesses(
    state: Overlay, company: str, from_height: int = 0
) -> Iterator[tuple[bytes, AccessEntry]]:
    """Yield (id, entry) of every look at a company from a height on, in the chain's order."""
    start = from_height.to_bytes(_HEIGHT_BYTES, "big")
    for _, access_id in state.scan(COMPANY_ACCESSES, company.encode() + _IN_ORDER, start=start):
        entry = get_access(state, access_id)
        if entry is not None:
            yield access_id, entry


def get_readers(state: Overlay, company: str, category: str) -> Iterator[tuple[str, int]]:
    """Yield (reader, height of its last look) of all who saw `category` of a company."""
    prefix = company.encode() + _BY_READER + category.encode() + b"\x00"
    for key, height in state.scan(COMPANY_ACCESSES, prefix):
        yield key[len(prefix) :].decode(), height


def keep_access(context: Context, entry: AccessEntry) -> None:
    """Keep an entry, and on the shelves what a granted one leaves."""
    state, access_id = context.state, context.transaction.id
    company = entry.company.encode()
    place = context.height.to_bytes(_HEIGHT_BYTES, "big")
    place += context.position.to_bytes(_POSITION_BYTES, "big")
    state.put(ACCESSES, access_id, entry.to_value())
    state.put(COMPANY_ACCESSES, company + _IN_ORDER + place, access_id)
    if entry.outcome == REFUSED:
        return
    for category in entry.categories:
        key = company + _BY_READER + category.encode() + b"\x00" + entry.reader.encode()
        state.put(COMPANY_ACCESSES, key, context.height)
    # What a company applies for it may have decided as often as it likes; a lender's own is a look.
    if context.sender.id == entry.reader:
        count_look(state, entry.company, entry.consents, entry.time_ms)


def make_access(
    context: Context,
    look: Look,
    consents: tuple[str, ...],
    outcome: str,
    code: int = 0,
    via: str = "",
) -> AccessEntry:
    """Return the entry of a look that is logged now, with the company's log as it stands."""
    log = context.state.company_log(look.company)
    return AccessEntry(
        look.reader,
        look.company,
        look.categories,
        look.purpose,
        look.from_day,
        look.to_day,
        consents,
        outcome,
        int(code),
        context.height,
        context.time_ms,
        log.size,
        log.root(),
        via,
    )


def note_decision(context: Context, look: Look, consents: tuple[str, ...]) -> None:
    """Log that a decision of a lender by rule has read authorised data of a company."""
    if look.categories:
        keep_access(context, make_access(context, look, consents, DECISION))


def check_released(
    context: QueryContext, access_id: bytes | None, company: str, category: str
) -> AccessEntry:
    """Return the entry by which the caller may see `category` now; raise `Rejected` (2215, 2216).

    The entry is certified, the caller's, granted, for this company and category, not older than
    `RELEASE_MS`, its consents still hold, and what it showed was not told to be deleted.
    """
    if access_id is None:
        raise Rejected(
            Code.ACCESS_NOT_LOGGED, f"looking at {category} of {company} has to be logged first"
        )
    entry = get_access(context.state, access_id)
    if entry is None or context.chain.certificate(entry.height) is None:
        raise Rejected(Code.ACCESS_NOT_LOGGED, f"access {access_id.hex()} is not certified here")
    reason = _why_unfit(context, access_id, entry, company, category)
    if reason is not None:
        raise Rejected(Code.ACCESS_UNFIT, f"access {access_id.hex()} {reason}")
    check_holds(context.state, entry.consents, context.now_ms)
    return entry


def _why_unfit(
    context: QueryContext, access_id: bytes, entry: AccessEntry, company: str, category: str
) -> str | None:
    if entry.reader != context.caller.id or entry.outcome not in _SHOWN:
        return "was not granted to this caller"
    if entry.company != company or category not in entry.categories:
        return f"is not for {category} of {company}"
    if context.now_ms > entry.time_ms + RELEASE_MS:
        return f"is older than {RELEASE_MS // 60_000} minutes"
    kept = get_kept(context.state, access_id)
    if kept is not None and kept.told_day is not None:
        return "showed what its reader has told to be deleted"
    return None


def query_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`access.list` {company, from_height?, limit?}: who looked, in the chain's order.

    All of it for the company and for regulators; its own for a reader. `next_height` of a page with
    more to come is where to go on.
    """
    fields_ = Fields(params)
    company = fields_.company("company")
    from_height = fields_.optional_integer("from_height") or 0
    limit = fields_.optional_integer("limit", minimum=1, maximum=MAX_PAGE) or MAX_PAGE
    fields_.done()
    caller = context.caller
    sees_all = caller.id == company or caller.role is Role.REGULATOR
    items: list[Value] = []
    last_height, next_height = 0, None
    for access_id, entry in get_company_accesses(context.state, company, from_height):
        if len(items) >= limit and entry.height != last_height:
            next_height = entry.height
            break
        if sees_all or caller.id in (entry.reader, entry.via):
            items.append(_describe(context, access_id, entry))
            last_height = entry.height
    return {"company": company, "accesses": items, "next_height": next_height}


def _describe(context: QueryContext, access_id: bytes, entry: AccessEntry) -> dict[str, Value]:
    """Return an entry as queries show it, with what is still to be deleted of it."""
    shown: dict[str, Value] = {f.name: getattr(entry, f.name) for f in fields(entry)}
    kept = get_kept(context.state, access_id)
    told = None if kept is None else describe_kept(access_id, kept, context.day)
    shown["access"] = access_id.hex()
    shown["keep_until_day"] = None if kept is None else kept.due_day
    shown["deletion"] = "" if told is None else told["deletion"]
    return shown


def read_access_id(body: Fields) -> bytes | None:
    """Return the id in field `access`, or None when it is absent."""
    if not body.has("access"):
        return None
    return read_id(body, "access", ACCESS_ID_BYTES, Code.ACCESS_NOT_LOGGED)


QUERIES: Mapping[str, Query] = {"access.list": query_list}
