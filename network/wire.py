"""What travels inside frames: typed messages, in strict canonical encoding (DESIGN 5 and 6, F76).

A frame's payload is one canonical value. Between nodes it is a list that begins with the frame's
number; from a client it is `(id, method, params)`; back to it `(id, true, value)` or
`(id, false, code, text, retry_after_ms)`. Every message checks its fields when it is made, so a
decoded one is whole; anything else is `Refused` with 1001–1006 or 5002, and the caller charges the
sender. Votes, requests for data and keep-alives are urgent; bodies and blocks are bulk, which
queues behind them (`is_bulk`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, TypeAlias

from ledger.chain.hashes import HASH_BYTES
from ledger.encoding import Value, decode, encode
from ledger.errors import Code, Refused
from ledger.keys import CHAIN_ID_BYTES, PUBLIC_KEY_BYTES
from ledger.transactions.envelope import MAX_TRANSACTION_BYTES, check_name

PEER_FRAME_BYTES_MAX = 8 * 1024 * 1024
CLIENT_FRAME_BYTES_MAX = 2 * 1024 * 1024
NONCE_BYTES = 16
# What decoding may cost: a frame of small items takes a hundred times as long as one of bodies.
PEER_FRAME_ITEMS_MAX = 131_072
REQUEST_ITEMS_MAX = 8192
ITEMS_MAX = 4096
BLOCKS_MAX = 256
KNOWN_VOTES_MAX = 8
STATE_QUERY_BYTES_MAX = 16 * 1024
METHOD_CHARS_MAX = 32
_INT_MAX = 2**63 - 1


class Busy(Refused):
    """The node is full: nothing was taken; ask again after `retry_after_ms` (DESIGN 6)."""

    def __init__(self, retry_after_ms: int, message: str) -> None:
        super().__init__(Code.BUSY, message)
        self.retry_after_ms = retry_after_ms


class BodiesPurpose(IntEnum):
    """Why bodies are sent."""

    SPREAD = 0  # the sender's node accepted them from its clients: it is their origin
    ANSWER = 1  # answers GetBodies


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame each way: chain, member id, a nonce for the session, height of the head."""

    TAG: ClassVar[int] = 0
    is_bulk: ClassVar[bool] = False
    chain_id: bytes
    member: str
    nonce: bytes
    head: int

    def __post_init__(self) -> None:
        _check_bytes("chain id", self.chain_id, CHAIN_ID_BYTES)
        _check_bytes("nonce", self.nonce, NONCE_BYTES)
        _check_int("head", self.head)
        check_name("member", self.member)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.chain_id, self.member, self.nonce, self.head)


@dataclass(frozen=True, slots=True)
class Votes:
    """One encoded consensus message (`consensus.messages`), opaque here."""

    TAG: ClassVar[int] = 1
    is_bulk: ClassVar[bool] = False
    message: bytes

    def __post_init__(self) -> None:
        if type(self.message) is not bytes:
            raise Refused(Code.FRAME_MALFORMED, "vote is not bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.message)


@dataclass(frozen=True, slots=True)
class Bodies:
    """Whole transactions as wire bytes (`ledger.transactions.envelope`), at most 4,096."""

    TAG: ClassVar[int] = 2
    is_bulk: ClassVar[bool] = True
    items: tuple[bytes, ...]
    purpose: BodiesPurpose = BodiesPurpose.SPREAD

    def __post_init__(self) -> None:
        _check_items("bodies", self.items, ITEMS_MAX)
        if self.purpose not in (0, 1) or type(self.purpose) not in (int, BodiesPurpose):
            raise Refused(Code.FRAME_MALFORMED, "purpose of bodies is not 0 or 1")
        object.__setattr__(self, "purpose", BodiesPurpose(self.purpose))
        for item in self.items:
            if type(item) is not bytes or not 0 < len(item) <= MAX_TRANSACTION_BYTES:
                raise Refused(Code.FRAME_MALFORMED, "body is not 1 to 1048576 bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.items, int(self.purpose))


@dataclass(frozen=True, slots=True)
class _Names:
    """Hashes of signed transactions, at most 4,096; what is asked is the kind's."""

    TAG: ClassVar[int]
    is_bulk: ClassVar[bool] = False
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _check_items("hashes", self.hashes, ITEMS_MAX)
        for item in self.hashes:
            _check_bytes("hash", item, HASH_BYTES)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.hashes)


@dataclass(frozen=True, slots=True)
class GetBodies(_Names):
    """Asks for the bodies behind the hashes."""

    TAG: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Offer(_Names):
    """Asks the primary to propose bodies that the sender holds (rule 22).

    The primary mostly holds them already, so they are named and not sent: it asks for the rest.
    """

    TAG: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class GetBlocks:
    """Asks for blocks `first` to `last`, both included, at most 256; fewer may be answered."""

    TAG: ClassVar[int] = 4
    is_bulk: ClassVar[bool] = False
    first: int
    last: int

    def __post_init__(self) -> None:
        _check_int("first", self.first)
        _check_int("last", self.last)
        if not 0 <= self.last - self.first < BLOCKS_MAX:
            raise Refused(
                Code.FRAME_MALFORMED,
                f"blocks {self.first} to {self.last}, want 1 to {BLOCKS_MAX} of them",
            )

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.first, self.last)


@dataclass(frozen=True, slots=True)
class BlockParts:
    """One block to catch up with: encoded header, the batch's time and wire bytes, certificate.

    `time_ms` is None for the null batch. Results are not sent: the receiver executes.
    """

    header: bytes
    time_ms: int | None
    transactions: tuple[bytes, ...]
    certificate: bytes

    def __post_init__(self) -> None:
        if type(self.header) is not bytes or type(self.certificate) is not bytes:
            raise Refused(Code.FRAME_MALFORMED, "block header or certificate is not bytes")
        if self.time_ms is not None:
            _check_int("block time", self.time_ms)
        _check_items("transactions", self.transactions, ITEMS_MAX)
        if any(type(item) is not bytes for item in self.transactions):
            raise Refused(Code.FRAME_MALFORMED, "block transaction is not bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.header, self.time_ms, self.transactions, self.certificate)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Answers GetBlocks: consecutive blocks, as many as fit; `head` is the sender's height."""

    TAG: ClassVar[int] = 5
    is_bulk: ClassVar[bool] = True
    items: tuple[BlockParts, ...]
    head: int

    def __post_init__(self) -> None:
        _check_items("blocks", self.items, BLOCKS_MAX)
        _check_int("head", self.head)
        if any(type(item) is not BlockParts for item in self.items):
            raise Refused(Code.FRAME_MALFORMED, "block is not a list of 4 parts")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, tuple(item.to_value() for item in self.items), self.head)


@dataclass(frozen=True, slots=True)
class Ping:
    """Keeps a quiet link alive and measures it; answered by the Pong of the same number."""

    TAG: ClassVar[int] = 6
    is_bulk: ClassVar[bool] = False
    number: int

    def __post_init__(self) -> None:
        _check_int("ping number", self.number)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.number)


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a Ping."""

    TAG: ClassVar[int] = 7
    is_bulk: ClassVar[bool] = False
    number: int

    def __post_init__(self) -> None:
        _check_int("pong number", self.number)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.number)


@dataclass(frozen=True, slots=True)
class GetVotes:
    """Asks for the last consensus messages signed by the sender's node key that are known there.

    Before a home votes it learns so whether it has lost votes (rule 46).
    """

    TAG: ClassVar[int] = 20
    is_bulk: ClassVar[bool] = False
    key: bytes

    def __post_init__(self) -> None:
        _check_bytes("node key", self.key, PUBLIC_KEY_BYTES)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.key)


@dataclass(frozen=True, slots=True)
class KnownVotes:
    """Answers GetVotes: encoded consensus messages that `key` signed, at most 8."""

    TAG: ClassVar[int] = 21
    is_bulk: ClassVar[bool] = False
    key: bytes
    items: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _check_bytes("node key", self.key, PUBLIC_KEY_BYTES)
        _check_items("votes", self.items, KNOWN_VOTES_MAX)
        if any(type(item) is not bytes for item in self.items):
            raise Refused(Code.FRAME_MALFORMED, "vote is not bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.key, self.items)


@dataclass(frozen=True, slots=True)
class GetState:
    """Asks the snapshot of `height` (0: which there are) a query of `ledger.snapshots.queries`.

    `number` is the asker's own for this question; the answer says it again.
    """

    TAG: ClassVar[int] = 22
    is_bulk: ClassVar[bool] = False
    number: int
    height: int
    query: bytes

    def __post_init__(self) -> None:
        _check_int("question", self.number)
        _check_int("snapshot's height", self.height)
        if type(self.query) is not bytes or len(self.query) > STATE_QUERY_BYTES_MAX:
            raise Refused(Code.FRAME_MALFORMED, "query of a state is not bytes, or too many")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.number, self.height, self.query)


@dataclass(frozen=True, slots=True)
class StatePiece:
    """Answers GetState with a piece, opaque here; with no bytes where nothing of it is held."""

    TAG: ClassVar[int] = 23
    is_bulk: ClassVar[bool] = True
    number: int
    data: bytes

    def __post_init__(self) -> None:
        _check_int("question", self.number)
        if type(self.data) is not bytes:
            raise Refused(Code.FRAME_MALFORMED, "piece of a state is not bytes")

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.TAG, self.number, self.data)


PeerFrame: TypeAlias = (
    Hello
    | Votes
    | Bodies
    | GetBodies
    | Offer
    | GetBlocks
    | Blocks
    | Ping
    | Pong
    | GetVotes
    | KnownVotes
    | GetState
    | StatePiece
)


def _blocks(items: Any, head: Any) -> Blocks:
    _check_items("blocks", items, BLOCKS_MAX)
    if any(type(item) is not tuple or len(item) != 4 for item in items):
        raise Refused(Code.FRAME_MALFORMED, "block is not a list of 4 parts")
    return Blocks(tuple(BlockParts(*item) for item in items), head)


_PEER_FRAMES: Mapping[int, tuple[int, Callable[..., PeerFrame]]] = {
    Hello.TAG: (4, Hello),
    Votes.TAG: (1, Votes),
    Bodies.TAG: (2, Bodies),
    GetBodies.TAG: (1, GetBodies),
    Offer.TAG: (1, Offer),
    GetBlocks.TAG: (2, GetBlocks),
    Blocks.TAG: (2, _blocks),
    Ping.TAG: (1, Ping),
    Pong.TAG: (1, Pong),
    GetVotes.TAG: (1, GetVotes),
    KnownVotes.TAG: (2, KnownVotes),
    GetState.TAG: (3, GetState),
    StatePiece.TAG: (2, StatePiece),
}


def encode_peer_frame(frame: PeerFrame) -> bytes:
    """Return the payload of a frame between nodes."""
    return encode(frame.to_value())


def decode_peer_frame(data: bytes) -> PeerFrame:
    """Return the frame in a payload; raise `Refused` (10xx, 1201, 5002)."""
    value = decode(data, PEER_FRAME_BYTES_MAX, PEER_FRAME_ITEMS_MAX)
    if type(value) is not tuple or not value or type(value[0]) is not int:
        raise Refused(Code.FRAME_MALFORMED, "frame is not a list that begins with a number")
    entry = _PEER_FRAMES.get(value[0])
    if entry is None:
        raise Refused(Code.FRAME_MALFORMED, f"frame number {value[0]} is unknown")
    if len(value) != entry[0] + 1:
        raise Refused(
            Code.FRAME_MALFORMED, f"frame {value[0]} of {len(value) - 1} fields, want {entry[0]}"
        )
    return entry[1](*value[1:])


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request; `id` is the client's own number for it on this connection."""

    id: int
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_int("request id", self.id)
        if type(self.method) is not str or not 1 <= len(self.method) <= METHOD_CHARS_MAX:
            raise Refused(Code.REQUEST_MALFORMED, "method is not a name of 1 to 32 characters")
        if not isinstance(self.params, Mapping):
            raise Refused(Code.REQUEST_MALFORMED, "params are not a map")

    def encoded(self) -> bytes:
        """Return the payload."""
        return encode((self.id, self.method, self.params))


def decode_request(data: bytes) -> Request:
    """Return the request in a payload; raise `Refused` (10xx, 5002, 5103)."""
    value = decode(data, CLIENT_FRAME_BYTES_MAX, REQUEST_ITEMS_MAX)
    if type(value) is not tuple or len(value) != 3:
        raise Refused(Code.REQUEST_MALFORMED, "request is not a list of 3 parts")
    return Request(*value)


@dataclass(frozen=True, slots=True)
class Response:
    """What came of a request: a value (`code` 0), or a code, a text and perhaps a delay.

    `id` 0 answers bytes that were no request; the connection is closed after it.
    """

    id: int
    value: Value = None
    code: int = 0
    text: str = ""
    retry_after_ms: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.code, Code):
            object.__setattr__(self, "code", int(self.code))
        _check_int("response id", self.id)
        _check_int("code", self.code)
        _check_int("delay", self.retry_after_ms)
        if type(self.text) is not str:
            raise Refused(Code.FRAME_MALFORMED, "text of an error is not a string")

    def encoded(self) -> bytes:
        """Return the payload."""
        if self.code == 0:
            return encode((self.id, True, self.value))
        return encode((self.id, False, self.code, self.text, self.retry_after_ms))


def decode_response(data: bytes) -> Response:
    """Return the response in a payload; raise `Refused` (10xx, 5002)."""
    value = decode(data, max_bytes=CLIENT_FRAME_BYTES_MAX)
    if type(value) is tuple and len(value) == 3 and value[1] is True:
        return Response(value[0], value[2])
    if type(value) is tuple and len(value) == 5 and value[1] is False and value[2] != 0:
        return Response(value[0], None, *value[2:])
    raise Refused(Code.FRAME_MALFORMED, "response is neither a value nor an error")


def _check_int(what: str, value: object) -> None:
    if type(value) is not int or not 0 <= value <= _INT_MAX:
        raise Refused(Code.FRAME_MALFORMED, f"{what} is not an integer of 0 to 2^63-1")


def _check_bytes(what: str, value: object, length: int) -> None:
    if type(value) is not bytes or len(value) != length:
        raise Refused(Code.FRAME_MALFORMED, f"{what} is not {length} bytes")


def _check_items(what: str, value: object, most: int) -> None:
    if type(value) is not tuple or len(value) > most:
        raise Refused(Code.FRAME_MALFORMED, f"{what} are not a list of at most {most}")
