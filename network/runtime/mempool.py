"""Bodies of transactions that this node holds and that no block contains yet.

A transaction is kept by the hash of its signed bytes, and found by its id while its fate is
PENDING. What clients may bring in is bounded by number and by bytes, and past the bound they are
told BUSY; each other member has a share of its own, so that one of them cannot crowd out the rest
(F69, F70). What was refused at the door is remembered by hash, with its reason (rule 17).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ledger.transactions.envelope import Transaction

MAX_REFUSED = 65_536


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """Bounds of one origin's waiting transactions."""

    count: int = 20_000
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction, its wire bytes, the member over whose link it came, record digests.

    None for the digests: nobody has computed them yet.
    """

    transaction: Transaction
    wire: bytes
    origin: int
    digests: tuple[bytes, ...] | None


class Mempool:
    """Waiting transactions by signed hash, with an account for each origin."""

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        self._limits = limits or MempoolLimits()
        self._held: dict[bytes, Held] = {}
        self._hash_by_id: dict[bytes, bytes] = {}
        self._counts: dict[int, int] = {}
        self._bytes: dict[int, int] = {}
        self._refused: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._find_executed: Callable[[bytes], Held | None] = self._held.get

    def bind(self, find_executed: Callable[[bytes], Held | None]) -> None:
        """Say where the bodies are that the last blocks hold."""
        self._find_executed = find_executed

    def find(self, signed_hash: bytes) -> Held | None:
        """Return a body that waits, or one of the last blocks: a proposal may hold it again."""
        return self._held.get(signed_hash) or self._find_executed(signed_hash)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, signed_hash: bytes) -> bool:
        return signed_hash in self._held

    def has_room(self, origin: int, size: int) -> bool:
        """Tell whether `origin` may bring in another `size` bytes."""
        return (
            self._counts.get(origin, 0) < self._limits.count
            and self._bytes.get(origin, 0) + size <= self._limits.bytes
        )

    def add(self, signed_hash: bytes, held: Held) -> None:
        """Keep a verified transaction; a second copy changes nothing."""
        if signed_hash in self._held:
            return
        self._held[signed_hash] = held
        self._hash_by_id[held.transaction.id] = signed_hash
        self._count(held)

    def get(self, signed_hash: bytes) -> Held | None:
        """Return what is held under the hash."""
        return self._held.get(signed_hash)

    def is_pending(self, transaction_id: bytes) -> bool:
        """Tell whether a transaction of this id waits."""
        return transaction_id in self._hash_by_id

    def items(self) -> list[tuple[bytes, Held]]:
        """Return all that is held, by hash."""
        return list(self._held.items())

    def renumber(self, numbers: Mapping[int, int], own: int) -> None:
        """Give every origin its number of a new epoch; what a node that is gone brought is ours."""
        self._held = {
            signed_hash: replace(held, origin=numbers.get(held.origin, own))
            for signed_hash, held in self._held.items()
        }
        self._counts, self._bytes = {}, {}
        for held in self._held.values():
            self._count(held)

    def _count(self, held: Held) -> None:
        self._counts[held.origin] = self._counts.get(held.origin, 0) + 1
        self._bytes[held.origin] = self._bytes.get(held.origin, 0) + len(held.wire)

    def remove(self, hashes: Iterable[bytes]) -> None:
        """Forget transactions that are in a block now, or can never be."""
        for signed_hash in hashes:
            held = self._held.pop(signed_hash, None)
            if held is None:
                continue
            self._hash_by_id.pop(held.transaction.id, None)
            self._counts[held.origin] -= 1
            self._bytes[held.origin] -= len(held.wire)

    def refuse(self, signed_hash: bytes, code: int, text: str) -> None:
        """Remember why these bytes were refused."""
        self._refused[signed_hash] = (code, text)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def refusal(self, signed_hash: bytes) -> tuple[int, str] | None:
        """Return the code and text of an earlier refusal of the same bytes."""
        return self._refused.get(signed_hash)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of all waiting transactions."""
        return sum(self._bytes.values())
