"""What may be asked of a snapshot, and the bytes of it (rule 41).

A query is a canonical list that begins with its number; its fields are checked when it is made.
Answers are lists of bytes that only the fetching side can judge, so they have no types of their
own: `ledger.snapshots.serving` writes them, `ledger.snapshots.checks` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.snapshots.limits import BUCKETS_A_QUERY, COMPANIES_A_QUERY, SUBTREES
from ledger.state.tables import COMPANY_KEY_BYTES
from ledger.state.tree import DEPTH, WIDTH

QUERY_BYTES_MAX = 16 * 1024
_KEY_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class OfferQuery:
    """Which snapshots are there? Answered with headers, certificates, and changes of members."""

    TAG: ClassVar[int] = 0

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG,)


@dataclass(frozen=True, slots=True)
class TopQuery:
    """The nodes of levels 0 and 1."""

    TAG: ClassVar[int] = 1

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG,)


@dataclass(frozen=True, slots=True)
class NodesQuery:
    """The nodes of levels 2 to 4 of one subtree."""

    TAG: ClassVar[int] = 2
    subtree: int

    def __post_init__(self) -> None:
        _check_number("subtree", self.subtree, SUBTREES)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.subtree)


@dataclass(frozen=True, slots=True)
class BucketsQuery:
    """The keys and values behind the leaves of these buckets, in ascending order."""

    TAG: ClassVar[int] = 3
    buckets: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_list("buckets", self.buckets, BUCKETS_A_QUERY)
        for item in self.buckets:
            _check_number("bucket", item, WIDTH**DEPTH)
        if list(self.buckets) != sorted(set(self.buckets)):
            raise _malformed("buckets are not in ascending order")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.buckets)


@dataclass(frozen=True, slots=True)
class CompaniesQuery:
    """All entries of these companies, those of the first from above the key `after`."""

    TAG: ClassVar[int] = 4
    companies: tuple[bytes, ...]
    after: bytes

    def __post_init__(self) -> None:
        _check_list("companies", self.companies, COMPANIES_A_QUERY)
        for item in self.companies:
            if type(item) is not bytes or len(item) != COMPANY_KEY_BYTES:
                raise _malformed(f"company is not {COMPANY_KEY_BYTES} bytes")
        if type(self.after) is not bytes or len(self.after) > _KEY_BYTES_MAX:
            raise _malformed(f"key is not at most {_KEY_BYTES_MAX} bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.companies, self.after)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Blocks from `height` downwards, without the bodies of records."""

    TAG: ClassVar[int] = 5
    height: int

    def __post_init__(self) -> None:
        _check_number("height", self.height, 2**63)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.height)


Query: TypeAlias = OfferQuery | TopQuery | NodesQuery | BucketsQuery | CompaniesQuery | HistoryQuery
_KINDS: Mapping[int, tuple[int, Callable[..., Query]]] = {
    OfferQuery.TAG: (0, OfferQuery),
    TopQuery.TAG: (0, TopQuery),
    NodesQuery.TAG: (1, NodesQuery),
    BucketsQuery.TAG: (1, BucketsQuery),
    CompaniesQuery.TAG: (2, CompaniesQuery),
    HistoryQuery.TAG: (1, HistoryQuery),
}


def encode_query(query: Query) -> bytes:
    """Return the canonical bytes."""
    return encode(query.to_value())


def decode_query(data: bytes) -> Query:
    """Return the query of canonical bytes; raise `Refused` (10xx, 5002)."""
    value = decode(data, max_bytes=QUERY_BYTES_MAX)
    if type(value) is not tuple or not value or type(value[0]) is not int:
        raise _malformed("query is not a list that begins with a number")
    kind = _KINDS.get(value[0])
    if kind is None or len(value) != kind[0] + 1:
        raise _malformed(f"query {value[0]} of {len(value) - 1} fields is unknown")
    return kind[1](*value[1:])


def _check_number(what: str, value: object, limit: int) -> None:
    if type(value) is not int or not 0 <= value < limit:
        raise _malformed(f"{what} is not a number below {limit}")


def _check_list(what: str, value: object, most: int) -> None:
    if type(value) is not tuple or not 1 <= len(value) <= most:
        raise _malformed(f"{what} are not a list of 1 to {most}")


def _malformed(text: str) -> Refused:
    return Refused(Code.FRAME_MALFORMED, text)
