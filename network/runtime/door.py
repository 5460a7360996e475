"""The door: what every transaction passes before the replica hears of it (rules 17 and 52).

Form, chain, expiry and size are checked at once; the signature and the attachments against the
signed root in a worker thread, together with whatever else waits. What was refused is remembered by
the hash of its signed bytes, and the same bytes get the same answer. A repeat of something known is
no error: a client gets the id again, and its fate from the index. Clients of this node are told
BUSY when its places are taken; another member's surplus is dropped and fetched when it is proposed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from consensus.events import Event, Request, RequestReceived, RequestRefused
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.keys import verify
from ledger.storage.chain_store import ChainStore
from ledger.transactions.envelope import (
    Transaction,
    check_at_door,
    decode_transaction,
    peek_signed_hash,
)
from ledger.transactions.records import check_attachments
from network.methods import Accepted
from network.runtime.mempool import Held, Mempool
from network.runtime.verifier import ChunkWorker

RETRY_AFTER_MS = 50
EXPECTED_MAX = 10_000
# What execution costs beside its bytes, as a size (rule 22 counts places by size).
_ENVELOPE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the worker thread found: digests of the attachments, or why it is refused.

    `is_final`: the error lies in the signed bytes themselves. Attachments are outside the hash, so
    a copy with other attachments must never condemn the hash it shares with the good one (F30).
    """

    digests: tuple[bytes, ...] = ()
    error: CreditLedgerError | None = None
    is_final: bool = False


@dataclass(slots=True)
class _Candidate:
    wire: bytes
    transaction: Transaction
    signed_hash: bytes


def check_thoroughly(transactions: Sequence[Transaction]) -> list[Verdict]:
    """Check signatures and attachments; meant for a worker thread."""
    return [_check_one(transaction) for transaction in transactions]


def _check_one(transaction: Transaction) -> Verdict:
    try:
        verify(*transaction.signature_item())
    except Refused as error:
        return Verdict(error=error, is_final=True)
    try:
        return Verdict(check_attachments(transaction))
    except Refused as error:
        return Verdict(error=error)


class Door:
    """Admits transactions of clients and of other members to the mempool and the replica."""

    def __init__(
        self,
        chain_id: bytes,
        chain: ChainStore,
        mempool: Mempool,
        clock_ms: Callable[[], int],
        post: Callable[[Event], None],
    ) -> None:
        self._chain_id = chain_id
        self._own = 0
        self._size = 0
        self._chain = chain
        self._mempool = mempool
        self._clock_ms = clock_ms
        self._post = post
        self._free_places: Callable[[], int] | None = None
        self._place_bytes = 1
        self._places_in_check = 0
        self._worker: ChunkWorker[Transaction, Verdict] = ChunkWorker(check_thoroughly)
        self._in_check: set[bytes] = set()
        self._expected: OrderedDict[bytes, None] = OrderedDict()
        self._hashes_in_check: Counter[bytes] = Counter()
        self.refused_count = 0
        self.busy_count = 0

    def enter(
        self,
        own_index: int,
        size: int,
        place_bytes: int,
        free_places: Callable[[], int] | None,
    ) -> None:
        """Serve a new epoch of `size` validators, where this node is `own_index`.

        `free_places` tells how many of this node's places at the primary are left; None where the
        node has none, because it only follows (5106).
        """
        self._own = own_index
        self._size = size
        self._place_bytes = place_bytes
        self._free_places = free_places

    @property
    def checked_count(self) -> int:
        """How many transaction signatures were checked."""
        return self._worker.checked_count

    async def run(self) -> None:
        """Serve the worker thread until cancelled."""
        await self._worker.run()

    async def admit_local(self, wires: Sequence[bytes]) -> tuple[list[Accepted], list[bytes]]:
        """Admit a client's transactions; return an answer each, and the wires to be spread."""
        looks = [self._look_at_local(wire) for wire in wires]
        candidates = [look for look in looks if isinstance(look, _Candidate)]
        try:
            verdicts = await self._worker.check([item.transaction for item in candidates])
        finally:
            self._places_in_check -= sum(self._places(item.wire) for item in candidates)
        settled = iter(
            [
                self._settle(item, verdict, self._own, is_local=True)
                for item, verdict in zip(candidates, verdicts, strict=True)
            ]
        )
        answers = [look if isinstance(look, Accepted) else next(settled) for look in looks]
        fresh = [
            look.wire
            for look, answer in zip(looks, answers, strict=True)
            if isinstance(look, _Candidate) and answer.code == 0
        ]
        return answers, fresh

    async def admit_remote(self, wires: Sequence[bytes], origin: int) -> int:
        """Admit what came over the link of member `origin`; return how many broke rule 17."""
        candidates = []
        bad = 0
        for wire in wires:
            answer = self._first_look(wire, origin)
            if isinstance(answer, _Candidate):
                candidates.append(answer)
            elif answer.code not in (0, Code.BUSY, Code.TX_EXPIRED_AT_DOOR):
                bad += 1
        for item, verdict in await self._check_once(candidates):
            answer = self._settle(item, verdict, origin, is_local=False)
            bad += answer.code != 0
        return bad

    async def _check_once(
        self, candidates: Sequence[_Candidate]
    ) -> list[tuple[_Candidate, Verdict]]:
        """Check what is not being checked already: relays bring the same bytes again and again.

        Told apart by all their bytes, not by the signed hash, which a copy with other attachments
        shares (F30).
        """
        fresh = {}
        for item in candidates:
            digest = sha256(item.wire).digest()
            if digest not in self._in_check:
                fresh[digest] = item
        self._in_check.update(fresh)
        hashes = Counter(item.signed_hash for item in fresh.values())
        self._hashes_in_check += hashes
        try:
            verdicts = await self._worker.check([item.transaction for item in fresh.values()])
        finally:
            self._in_check.difference_update(fresh)
            self._hashes_in_check -= hashes
        return list(zip(fresh.values(), verdicts, strict=True))

    def is_known(self, signed_hash: bytes, member: int) -> bool:
        """Tell whether a body is held, being checked, or refused; announce it if it is held."""
        held = self._mempool.get(signed_hash)
        if held is not None and member != held.origin:
            self.announce(held, signed_hash, member, is_local=False)
        return (
            held is not None
            or self.is_in_check(signed_hash)
            or self._mempool.refusal(signed_hash) is not None
        )

    def is_in_check(self, signed_hash: bytes) -> bool:
        """Tell whether a body under this hash is in a worker thread now."""
        return signed_hash in self._hashes_in_check

    def restore(self, wires: Sequence[bytes]) -> None:
        """Take back bodies from the own vote log, which were checked before they were logged."""
        for wire in wires:
            transaction = decode_transaction(wire)
            if self._chain.fate(transaction.id) is None:
                digests = check_attachments(transaction)
                candidate = _Candidate(wire, transaction, transaction.signed_hash)
                self._settle(candidate, Verdict(digests), self._own, is_local=False)

    def announce_all(self) -> None:
        """Tell a replica that begins of every body that is held; those of clients come first.

        What a block of the own chain holds is found there, and is not to be ordered again.
        """
        held = sorted(self._mempool.items(), key=lambda item: item[1].origin != self._own)
        done = [key for key, item in held if self._chain.fate(item.transaction.id) is not None]
        self._mempool.remove(done)
        for signed_hash, item in held:
            if signed_hash in self._mempool:
                self.announce(item, signed_hash, item.origin, is_local=item.origin == self._own)

    def announce(self, held: Held, signed_hash: bytes, origin: int, *, is_local: bool) -> None:
        """Tell the replica of a body that is held."""
        size = len(held.wire) + _ENVELOPE_BYTES
        expires_at_ms = held.transaction.expires_at_ms
        # Its member may have left the epoch while it was checked, or it is out of the own chain.
        place = origin if 0 <= origin < self._size else self._own
        request = Request(signed_hash, size, expires_at_ms, place)
        self._post(RequestReceived(request, is_local))

    def _places(self, wire: bytes) -> int:
        """Return how many of this node's places at the primary a transaction takes (rule 22)."""
        return 1 + (len(wire) + _ENVELOPE_BYTES) // self._place_bytes

    def _look_at_local(self, wire: bytes) -> Accepted | _Candidate:
        """Settle what needs no check; BUSY comes first, so that turning away costs nothing."""
        if self._free_places is None:
            text = "this node follows the chain and orders nothing: send it to a validator's node"
            return Accepted(None, int(Code.NOT_ORDERING), text)
        if self._free_places() <= self._places_in_check:
            self.busy_count += 1
            return Accepted(None, int(Code.BUSY), "the node is full, try again later")
        look = self._first_look(wire, self._own)
        if isinstance(look, _Candidate):
            self._places_in_check += self._places(wire)
        return look

    def _first_look(self, wire: bytes, origin: int) -> Accepted | _Candidate:
        """Settle what needs no signature check: form, repeats, expiry, room.

        What is held is not decoded again: under load members show it to each other several times.
        """
        peeked = peek_signed_hash(wire)
        held = None if peeked is None else self._mempool.get(peeked)
        if peeked is not None and held is not None:
            return self._repeat(held, peeked, origin)
        try:
            transaction = decode_transaction(wire)
        except Refused as error:
            self.refused_count += 1
            return Accepted(None, int(error.code), error.message)
        signed_hash = transaction.signed_hash
        is_expected = signed_hash in self._expected
        known = self._known(transaction, signed_hash)
        if known is not None:
            return known
        if is_expected and transaction.chain_id == self._chain_id:
            # Others have voted for it: neither the own clock nor a lack of room may keep it out.
            return _Candidate(wire, transaction, signed_hash)
        try:
            check_at_door(transaction, self._chain_id, self._clock_ms())
        except Refused as error:
            self.refused_count += 1
            return Accepted(None, int(error.code), error.message)
        if not self._mempool.has_room(origin, len(wire)):
            self.busy_count += 1
            return Accepted(None, int(Code.BUSY), "the node is full, try again later")
        return _Candidate(wire, transaction, signed_hash)

    def _known(self, transaction: Transaction, signed_hash: bytes) -> Accepted | None:
        refusal = self._mempool.refusal(signed_hash)
        if refusal is not None:
            return Accepted(None, *refusal)
        is_expected = self._expected.pop(signed_hash, 0) is None
        if self._chain.fate(transaction.id) is not None and not is_expected:
            return Accepted(transaction.id)
        return None

    def _repeat(self, held: Held, signed_hash: bytes, origin: int) -> Accepted:
        """Let a second member that brings what is held serve it from its own places too."""
        if origin not in (self._own, held.origin):
            self.announce(held, signed_hash, origin, is_local=False)
        return Accepted(held.transaction.id)

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Take these bodies in though they may be executed: a proposal waits for them (rule 20)."""
        for signed_hash in hashes:
            self._expected[signed_hash] = None
        while len(self._expected) > EXPECTED_MAX:
            self._expected.popitem(last=False)

    def _settle(
        self, item: _Candidate, verdict: Verdict, origin: int, *, is_local: bool
    ) -> Accepted:
        if verdict.error is not None:
            code, text = int(verdict.error.code), verdict.error.message
            if verdict.is_final:
                self._mempool.refuse(item.signed_hash, code, text)
                self._post(RequestRefused(item.signed_hash))
            self.refused_count += 1
            return Accepted(None, code, text)
        held = Held(item.transaction, item.wire, origin, verdict.digests)
        self._mempool.add(item.signed_hash, held)
        self.announce(held, item.signed_hash, origin, is_local=is_local)
        return Accepted(item.transaction.id)
