"""Papers that are registered twice: what the registry of assets knows for the rule EW27.

Two things are counted for each company, and say nothing of who the other one is:

- doubles: its assets whose document stands in the registry more than once, such as a receivable
  and the invoice of the same number, or the same invoice with another amount. ASSET_MARKS holds,
  under the document mark, the assets that have it (the registry's own, not withdrawn ones);
- contests: days on which somebody else tried to register what it has registered, or it tried
  what somebody else has. That registration is refused, and like a refused look at records it is
  the refusal that counts: a patent can be claimed twice in no other way.

    ASSET_MARKS      document mark  ((company, asset id), …) in the order of registration
    COMPANY_DOUBLES  "N"            how many of its assets are doubles
                     "T"            the latest MAX_DAYS days of contests
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ledger.state.overlay import Overlay
from ledger.state.tables import ASSET_MARKS, COMPANY_DOUBLES

ASSETS_TOUCHED = "assets"  # what alerts are told when the registry says something of a company
MAX_KEPT = 64  # assets of one document; from the second on all are doubles anyway
MAX_DAYS = 16
CONTEST_DAYS = 90  # how long a contest counts
_COUNT = b"N"
_DAYS = b"T"

_Holder: TypeAlias = tuple[str, bytes]


def process_registered(
    state: Overlay, document: bytes, company: str, asset_id: bytes
) -> tuple[str, ...]:
    """Note one asset more of a document; return the companies whose doubles it changed."""
    holders: tuple[_Holder, ...] = state.get(ASSET_MARKS, document) or ()
    if len(holders) >= MAX_KEPT:
        return ()
    state.put(ASSET_MARKS, document, (*holders, (company, asset_id)))
    fresh = [
        *(name for name, _ in holders[:1] if len(holders) == 1),
        *([company] if holders else []),
    ]
    return _count(state, fresh, 1)


def process_withdrawn(
    state: Overlay, document: bytes, company: str, asset_id: bytes
) -> tuple[str, ...]:
    """Note one asset less of a document; return the companies whose doubles it changed."""
    holders: tuple[_Holder, ...] = state.get(ASSET_MARKS, document) or ()
    rest = tuple(item for item in holders if item != (company, asset_id))
    if len(rest) == len(holders):
        return ()
    state.put(ASSET_MARKS, document, rest or None)
    gone = [company] if rest else []
    return _count(state, [*gone, *(name for name, _ in rest if len(rest) == 1)], -1)


def find_holder(state: Overlay, document: bytes) -> str | None:
    """Return the company that registered a document first, None where there is none."""
    holders: tuple[_Holder, ...] = state.get(ASSET_MARKS, document) or ()
    return holders[0][0] if holders else None


def process_contests(
    state: Overlay, contests: Iterable[tuple[str, str]], day: int
) -> tuple[str, ...]:
    """Note who tried to register whose assets in a block; return both, each once."""
    companies = tuple(sorted({company for pair in contests for company in pair}))
    for company in companies:
        key = company.encode() + _DAYS
        days: tuple[int, ...] = state.get(COMPANY_DOUBLES, key) or ()
        if day not in days:
            state.put(COMPANY_DOUBLES, key, (*days, day)[-MAX_DAYS:])
    return companies


def get_double_count(state: Overlay, company: str) -> int:
    """Return how many assets of a company share their document with another asset."""
    return state.get(COMPANY_DOUBLES, company.encode() + _COUNT) or 0


def get_contest_count(state: Overlay, company: str, day: int) -> int:
    """Return on how many of the last CONTEST_DAYS days up to `day` there was a contest."""
    days: tuple[int, ...] = state.get(COMPANY_DOUBLES, company.encode() + _DAYS) or ()
    return sum(1 for item in days if day - CONTEST_DAYS < item <= day)


def _count(state: Overlay, companies: Iterable[str], change: int) -> tuple[str, ...]:
    changed = tuple(companies)
    for company in changed:
        key = company.encode() + _COUNT
        state.put(COMPANY_DOUBLES, key, (get_double_count(state, company) + change) or None)
    return changed
