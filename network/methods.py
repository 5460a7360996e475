"""The methods that a node answers to its clients: their names, parameters and results.

This is the contract between the node's handler behind `network.gateway` and `network.client`;
both sides build and read the maps through the classes here.

| method | params | result |
| --- | --- | --- |
| hello | chain_id | chain_id, member; answered by the gateway itself |
| head | | `Head` |
| status | | a map for people, "why is it stuck?" |
| submit | tx: wire bytes | id; a repeat of known bytes gives the id again |
| submit_many | txs: wire bytes, at most 1,000 | items: `Accepted` of each; retry_after_ms |
| fate | ids, at most 1,000 | items: `Fate` of each, in order |
| receipt | id, wait_ms | receipt: bytes (`ledger.chain.receipt`) |
| expired | id, expires_at_ms | statement: bytes (`ledger.chain.expiry`) |
| query | name, params | whatever the query of that name gives |
| watch | stream, cursor, limit, wait_ms | items, cursor |

Errors: whatever code the door gives (12xx), BUSY 5101 with a delay, REQUEST_UNKNOWN 5102,
REQUEST_MALFORMED 5103, NOT_FOUND 5104 (`receipt` of an id that this node does not know),
TIMED_OUT 5008 (`receipt`: known, not yet certified after `wait_ms`), NOT_SYNCED 5105.
`watch` waits until there is an item after `cursor` (0: from the start) or `wait_ms` have gone; the
answer is then an empty list, and the cursor to go on from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.errors import Code, Refused

HELLO = "hello"
HEAD = "head"
STATUS = "status"
SUBMIT = "submit"
SUBMIT_MANY = "submit_many"
FATE = "fate"
RECEIPT = "receipt"
EXPIRED = "expired"
QUERY = "query"
WATCH = "watch"

METHODS = frozenset(
    (HELLO, HEAD, STATUS, SUBMIT, SUBMIT_MANY, FATE, RECEIPT, EXPIRED, QUERY, WATCH)
)
WAITING_METHODS = frozenset((RECEIPT, WATCH))  # may be held open; counted apart from the rest

FATES_MAX = 1000
SUBMIT_MAX = 1000
WAIT_MS_MAX = 60_000
WATCH_ITEMS_MAX = 256


class FateStatus(StrEnum):
    """What became of a transaction, in one node's word (rule 52)."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    COMMITTED = "committed"
    EXPIRED = "expired"


class WatchStream(StrEnum):
    """What can be watched: certified blocks, or alerts that the caller may see."""

    BLOCKS = "blocks"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a node stands; times are ms since 1970 UTC, `clock_ms` with the chain's offset."""

    height: int
    block_hash: bytes
    time_ms: int
    clock_ms: int
    certified_height: int

    def to_value(self) -> dict[str, Any]:
        """Return the value to encode."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Fate:
    """One transaction's fate; code, height and position only where it is committed."""

    id: bytes
    status: FateStatus
    code: int | None = None
    height: int | None = None
    position: int | None = None

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.id, str(self.status), self.code, self.height, self.position)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the door said to one of many transactions; `code` 0: taken, `id` is its id."""

    id: bytes | None
    code: int = 0
    text: str = ""

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.id, self.code, self.text)


def head_from_value(value: Any) -> Head:
    """Return the head in a result; raise `Refused` (5002)."""
    if not isinstance(value, Mapping) or set(value) != set(Head.__slots__):
        raise Refused(Code.FRAME_MALFORMED, "head is not a map of its five fields")
    head = Head(**value)
    numbers = (head.height, head.time_ms, head.clock_ms, head.certified_height)
    if any(type(item) is not int for item in numbers) or type(head.block_hash) is not bytes:
        raise Refused(Code.FRAME_MALFORMED, "head has a field of another type")
    return head


def fate_from_value(value: Any) -> Fate:
    """Return the fate in a result; raise `Refused` (5002)."""
    if type(value) is not tuple or len(value) != 5 or value[1] not in set(FateStatus):
        raise Refused(Code.FRAME_MALFORMED, "fate is not a list of its five fields")
    return Fate(value[0], FateStatus(value[1]), *value[2:])


def accepted_from_value(value: Any) -> Accepted:
    """Return one item of a `submit_many` result; raise `Refused` (5002)."""
    if type(value) is not tuple or len(value) != 3 or type(value[1]) is not int:
        raise Refused(Code.FRAME_MALFORMED, "accepted is not a list of its three fields")
    return Accepted(*value)
