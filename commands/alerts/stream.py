"""The stream of alerts: followed from a cursor, over lost connections, and resumed where it ended.

A cursor is a place in the order in which alerts are raised, the same on every node: `8843` is
before the first alert of block 8843, `8843.2` after the third one. Each alert that is printed has
its own, so whoever stopped goes on with that of the last one he saw, at any node, and misses none
and sees none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ledger.errors import Code, CreditLedgerError
from ledger.lending.alerts.book import PLACE_BITS, compute_place

FIRST_WAIT_S = 1
LAST_WAIT_S = 30
# What passes when a node comes back or another takes over.
_PASSING = frozenset(
    (
        Code.CONNECT_FAILED,
        Code.CONNECTION_LOST,
        Code.TIMED_OUT,
        Code.BUSY,
        Code.NOT_SYNCED,
        Code.NOT_ORDERING,
    )
)


class Asker(Protocol):
    """What a stream needs of a session."""

    def query(self, name: str, **params: Any) -> Any:
        """Return the answer of a named query."""
        ...

    def wait_for_block(self) -> None:
        """Return when there is a block that was not there, or after a while."""
        ...


def parse_cursor(text: str) -> int:
    """Return the place of "8843" or "8843.2"; raise `ValueError`."""
    height, dot, number = text.strip().partition(".")
    parts = (height, number) if dot else (height,)
    is_number = all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts)
    if not is_number or int(number or 0) >= 1 << PLACE_BITS:
        raise ValueError(f"cursor {text!r}, want a block or for example 8843.2")
    return compute_place(int(height), int(number)) if dot else compute_place(int(height), 0) - 1


def cursor_text(place: int) -> str:
    """Return a place as a cursor, "8843.2"."""
    height, number = place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1)
    return f"{height}.{number}"


def read_pages(asker: Asker, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every page of alerts from where `params` say up to now."""
    asked = dict(params)
    while True:
        answer = asker.query("alerts.list", **asked)
        yield answer
        if answer["cursor"] == asked.get("cursor"):
            return
        asked = {**asked, "cursor": answer["cursor"]}


def follow(
    connect: Callable[[], AbstractContextManager[Asker]],
    cursor: int,
    pause: Callable[[float], object],
    warn: Callable[[str], object],
) -> Iterator[Mapping[str, Any]]:
    """Yield every alert after `cursor`, then each as it is raised, for ever.

    A lost connection is made anew, with pauses that grow to LAST_WAIT_S; any other error is raised.
    """
    wait_s: float = FIRST_WAIT_S
    while True:
        try:
            with connect() as asker:
                while True:
                    answer = asker.query("alerts.list", cursor=max(0, cursor))
                    wait_s = FIRST_WAIT_S
                    for item in answer["alerts"]:
                        cursor = item["cursor"]
                        yield item
                    has_more = answer["cursor"] > max(0, cursor) or bool(answer["alerts"])
                    cursor = max(cursor, answer["cursor"])
                    if not has_more:
                        asker.wait_for_block()
        except CreditLedgerError as error:
            if error.code not in _PASSING:
                raise
            warn(f"{error}; asking again in {wait_s:.0f} s from {cursor_text(max(0, cursor))}")
            pause(wait_s)
            wait_s = min(LAST_WAIT_S, wait_s * 2)
