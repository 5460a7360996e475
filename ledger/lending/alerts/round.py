"""The round of alerts: every company of which rules read records is looked at by time.

"No sale for 90 days" is true of exactly the companies of which nothing is said any more: no
transaction touches them, and without a loan or a warning that stands the calendar
(`ledger.lending.alerts.calendar`) does not know them. So all companies are walked through, in the
order of their codes, again and again, one round in `alert_look_days` days (a setting by vote).
Whoever has records that a rule in force reads is looked at by all rules; the others are passed by.

The companies are those of the state itself (COMPANIES), so that being in the round costs a company
no entry, no write when it is touched and none when it is looked at, and nobody has to be taken out.
What is kept is where the round stands:

    ALERT_ROUND  "now"  (began_ms, last, walked, size)

`last` is the company walked last ("" at the beginning), `walked` how many the round has come
through, `size` how many the round before came through (0 in the first). From `size` follows how far
the round should be at a moment, so that looks are spread over its days. When these are over, it
catches up with what is left (companies that are new, a network that stood still), at most `limit` a
block, and the next round begins when it is at its end: whatever the load, everybody is looked at
once before anybody is looked at twice.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from itertools import islice

from ledger.credit.voted_settings import ALERT_LOOK_DAYS, get_number
from ledger.membership.context import MS_A_DAY
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_ROUND, COMPANIES

_KEY = b"now"


@dataclass(frozen=True, slots=True)
class Round:
    """Where a round stands; times in ms since 1970."""

    began_ms: int
    last: str = ""
    walked: int = 0
    size: int = 0


def get_round(state: Overlay) -> Round | None:
    """Return where the round stands, None before there is any company."""
    kept = state.get(ALERT_ROUND, _KEY)
    return None if kept is None else Round(*kept)


def process_round(state: Overlay, time_ms: int, limit: int) -> tuple[str, ...]:
    """Walk on by at most `limit` companies; return them, by their codes.

    Called inside an open overlay transaction, once a block.
    """
    now = get_round(state)
    if now is None:
        if next(state.scan(COMPANIES, b""), None) is not None:
            _put_round(state, Round(time_ms))
        return ()
    behind = _compute_behind(state, now, time_ms)
    count = limit if behind is None else min(limit, behind)
    if count <= 0:
        return ()
    companies = _walk(state, now.last, count)
    walked = now.walked + len(companies)
    if len(companies) < count:
        _put_round(state, Round(time_ms, size=walked))
    else:
        _put_round(state, replace(now, last=companies[-1], walked=walked))
    return companies


def get_behind_count(state: Overlay, time_ms: int) -> int:
    """Return by how many companies the round is behind: what is left, once its days are over."""
    now = get_round(state)
    behind = 0 if now is None else _compute_behind(state, now, time_ms)
    if now is None or behind is not None:
        return max(0, behind or 0)
    return max(1, now.size - now.walked)


def _compute_behind(state: Overlay, now: Round, time_ms: int) -> int | None:
    """Return by how many companies a round is behind; None for all that are left, uncounted."""
    length_ms = get_number(state, ALERT_LOOK_DAYS, time_ms // MS_A_DAY) * MS_A_DAY
    elapsed_ms = time_ms - now.began_ms
    return None if elapsed_ms >= length_ms else now.size * elapsed_ms // length_ms - now.walked


def _walk(state: Overlay, last: str, count: int) -> tuple[str, ...]:
    start = last.encode() + b"\x00" if last else b""
    found = state.scan(COMPANIES, b"", start=start)
    return tuple(key.decode() for key, _ in islice(found, count))


def _put_round(state: Overlay, now: Round) -> None:
    state.put(ALERT_ROUND, _KEY, astuple(now))
