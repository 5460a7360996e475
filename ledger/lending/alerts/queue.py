"""The queue of companies whose alerts are still to be looked at: bounded work in every block.

Evaluating one company costs as much as some twenty records, so a block does not look at every
company it touched, but at a fixed number of them from the front of a queue that is part of the
state. A light block looks at more than it has transactions, so that what it touched is looked at
in that very block unless others wait; a block in bulk looks at few, and the empty blocks of an idle
network look at many, so that what a load left behind drains. Beside the queue stand those whom
time concerns: companies whose day has come (`ledger.lending.alerts.calendar`) and the round of all
companies (`ledger.lending.alerts.round`). They do not wait in it, for they have an order of their
own. Each of the three is sure of a part of the block's looks, and what one does not need the
others have, so that none starves the others. The round, when it is behind, is sure besides of
ROUND_LOOKS_A_SECOND of the chain's time since the block before, however full the blocks are. A
company with n others before it in the queue is looked at within n / 10 + 1 blocks (ALERTS_A_BLOCK
without the quarter and the eighth).

A company stands in the queue once. Its places are numbered for ever and never used again:

    ALERT_QUEUE     "ends"    (first, end): the places in use, first ≤ place < end
                    segment   the companies of SEGMENT_PLACES places in their order; deleted when
                              the first place has passed it
    COMPANY_ALERTS  "Q"       (place, what touched it since); stale when `place` is below `first`,
                              so that leaving the queue costs a company no write

What is touched when nobody waits and the block has room passes without a write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_QUEUE, COMPANY_ALERTS

ALERTS_A_BLOCK = 16  # companies that any block looks at, if so many wait
ALERTS_A_LIGHT_BLOCK = 64
ALERTS_AN_EMPTY_BLOCK = 256  # of the empty ones that an idle network orders (rule 36)
LIGHT_BLOCK_TRANSACTIONS = ALERTS_A_LIGHT_BLOCK  # a block of fewer is light
DATED_SHARE = 4  # one look in so many is for companies whose day has come, whoever waits
ROUND_SHARE = 8  # and one in so many for the round of all companies
# Enough for eleven million companies in a week; at 1.3 ms a look, 2.6 % of a core.
ROUND_LOOKS_A_SECOND = 20
ROUND_LOOKS_A_BLOCK = 32  # of these; a block that comes late catches up with no more
SEGMENT_PLACES = 64
_ENDS_KEY = b"ends"
_SEGMENT_BYTES = 8
_WAITING = b"Q"

# A company, and what touched it: record schemas ("C044/line") and "loans"
Due: TypeAlias = "tuple[str, Collection[str]]"


def compute_alert_limit(transaction_count: int) -> int:
    """Return how many companies a block of so many transactions looks at."""
    if transaction_count == 0:
        return ALERTS_AN_EMPTY_BLOCK
    is_light = transaction_count < LIGHT_BLOCK_TRANSACTIONS
    return ALERTS_A_LIGHT_BLOCK if is_light else ALERTS_A_BLOCK


def compute_dated_limit(limit: int, waiting: int) -> int:
    """Return how many of a block's `limit` looks are for companies whose day has come.

    `waiting` companies wait or were touched. Without them it is all but what the round is sure of;
    with however many it is a quarter.
    """
    return max(limit // DATED_SHARE, limit - waiting - limit // ROUND_SHARE)


def compute_round_limit(limit: int, waiting: int, dated: int, passed_ms: int) -> int:
    """Return how many looks of a block are for the round: what is left of `limit`, or an eighth.

    Or what is due for the `passed_ms` since the block before, if that is more: then these come
    besides, and a block has at most ROUND_LOOKS_A_BLOCK looks more than its limit.
    """
    by_time = min(ROUND_LOOKS_A_BLOCK, -(-passed_ms * ROUND_LOOKS_A_SECOND // 1000))
    return max(limit // ROUND_SHARE, limit - waiting - dated, by_time)


def compute_queue_limit(limit: int, timed: int) -> int:
    """Return how many looks are for those that were touched, after `timed` looks by time."""
    return max(limit - limit // DATED_SHARE - limit // ROUND_SHARE, limit - timed)


def get_waiting_count(state: Overlay) -> int:
    """Return how many companies wait for their alerts to be looked at."""
    first, end = _get_ends(state)
    return end - first


def process_alert_queue(
    state: Overlay, touched: Mapping[str, Collection[str]], limit: int
) -> tuple[Due, ...]:
    """Return the at most `limit` companies that are due now, and let the others wait.

    Called inside an open overlay transaction, once a block; `touched` is what its transactions
    touched, by company. Who waits already keeps the place, and what touched it is merged.
    """
    first, end = _get_ends(state)
    fresh = _merge_touched(state, touched, first, end)
    left = min(first + limit, end)
    due = _take(state, first, left)
    room = limit - len(due)
    due += [(company, touched[company]) for company in fresh[:room]]
    _append(state, touched, fresh[room:], end)
    after = (left, end + len(fresh[room:]))
    if after != (first, end):
        state.put(ALERT_QUEUE, _ENDS_KEY, after)
    return tuple(due)


def _get_ends(state: Overlay) -> tuple[int, int]:
    return state.get(ALERT_QUEUE, _ENDS_KEY) or (0, 0)


def _merge_touched(
    state: Overlay, touched: Mapping[str, Collection[str]], first: int, end: int
) -> list[str]:
    """Add what touched the companies that wait; return those that do not wait, by their codes."""
    fresh = sorted(touched)
    if first == end:
        return fresh
    return [company for company in fresh if not _merge_if_waiting(state, company, touched, first)]


def _merge_if_waiting(
    state: Overlay, company: str, touched: Mapping[str, Collection[str]], first: int
) -> bool:
    """Add what touched a company when it waits; return whether it does."""
    key = company.encode() + _WAITING
    place, names = state.get(COMPANY_ALERTS, key) or (-1, ())
    if place < first:
        return False
    merged = tuple(sorted({*names, *touched[company]}))
    if merged != names:
        state.put(COMPANY_ALERTS, key, (place, merged))
    return True


def _take(state: Overlay, first: int, left: int) -> list[Due]:
    """Return the companies at the places from `first` to before `left`; drop emptied segments."""
    due: list[Due] = []
    place = first
    while place < left:
        segment, offset = divmod(place, SEGMENT_PLACES)
        stop = min(left - segment * SEGMENT_PLACES, SEGMENT_PLACES)
        key = _segment_key(segment)
        for company in state.get(ALERT_QUEUE, key)[offset:stop]:
            due.append((company, state.get(COMPANY_ALERTS, company.encode() + _WAITING)[1]))
        if stop == SEGMENT_PLACES:
            state.delete(ALERT_QUEUE, key)
        place = segment * SEGMENT_PLACES + stop
    return due


def _append(
    state: Overlay, touched: Mapping[str, Collection[str]], companies: Sequence[str], end: int
) -> None:
    """Give the companies the places from `end` on."""
    for place, company in enumerate(companies, end):
        entry = (place, tuple(sorted(touched[company])))
        state.put(COMPANY_ALERTS, company.encode() + _WAITING, entry)
    done = 0
    while done < len(companies):
        segment, offset = divmod(end + done, SEGMENT_PLACES)
        key = _segment_key(segment)
        present = state.get(ALERT_QUEUE, key) or ()
        added = companies[done : done + SEGMENT_PLACES - offset]
        state.put(ALERT_QUEUE, key, (*present, *added))
        done += len(added)


def _segment_key(segment: int) -> bytes:
    return segment.to_bytes(_SEGMENT_BYTES, "big")
