"""What a node answers to its clients (the methods of `network.methods`).

Submissions pass the door and are spread to all members at once; many clients' transactions share a
frame. A receipt is given only for a certified block: acknowledged means certified (rule 38).
Queries read a snapshot in a worker thread, with rule books of their own, and never touch what
execution sees (rule 53).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from ledger.chain.certificate import Certificate
from ledger.chain.receipt import BlockReceipts, Receipt
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Refused
from ledger.storage.chain_store import ChainStore
from ledger.transactions.envelope import transaction_from_parts
from network import methods as m
from network.certificates import ClientIdentity
from network.peers import PeerNetwork
from network.runtime.blocks import BlockKeeper
from network.runtime.door import RETRY_AFTER_MS, Door
from network.runtime.history import EpochHistory
from network.runtime.ingress import chunked
from network.runtime.mempool import Mempool
from network.runtime.queries import is_company
from network.runtime.threads import is_thread_refused
from network.runtime.witness import Witness
from network.wire import Bodies, BodiesPurpose, Busy, Request

QUERIES_AT_ONCE = 4
SPREAD_PAUSE_S = 0.004
RECEIPT_BLOCKS = 8  # kept ready: whoever sent something waits for the same few blocks

RunQuery = Callable[[ClientIdentity, str, Mapping[str, Any]], Value]


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What the service is put together from."""

    chain: ChainStore
    keeper: BlockKeeper
    door: Door
    mempool: Mempool
    peers: PeerNetwork
    history: EpochHistory
    witness: Witness
    clock_ms: Callable[[], int]
    run_query: RunQuery
    status: Callable[[], Mapping[str, Value]]
    validator_count: Callable[[], int]


class Service:
    """The handler behind the gateway."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        self._spread_queue: list[bytes] = []
        self._spread_wake = trio.Event()
        self._certified: dict[int, tuple[BlockReceipts, Certificate]] = {}
        self._query_limiter = trio.CapacityLimiter(QUERIES_AT_ONCE)
        self._methods: Mapping[str, Callable[[ClientIdentity, Request], Awaitable[Value]]] = {
            m.HEAD: self._head,
            m.STATUS: self._status,
            m.SUBMIT: self._submit,
            m.SUBMIT_MANY: self._submit_many,
            m.FATE: self._fate,
            m.RECEIPT: self._receipt,
            m.EXPIRED: self._expired,
            m.QUERY: self._query,
            m.WATCH: self._watch,
        }

    async def handle(self, client: ClientIdentity, request: Request) -> Value:
        """Answer one request; errors are raised with their number."""
        return await self._methods[request.method](client, request)

    async def run(self) -> None:
        """Spread what clients submitted, until cancelled.

        The first is spread at once; what follows within `SPREAD_PAUSE_S` shares a frame, because a
        frame to each member costs more than a transaction in it.
        """
        while True:
            await self._spread_wake.wait()
            self._spread_wake = trio.Event()
            wires, self._spread_queue = self._spread_queue, []
            for chunk in chunked(wires):
                frame = Bodies(chunk, BodiesPurpose.SPREAD)
                self._parts.peers.broadcast(frame, below=self._parts.validator_count())
            await trio.sleep(SPREAD_PAUSE_S)

    async def _head(self, _client: ClientIdentity, _request: Request) -> Value:
        header = self._parts.keeper.head
        return m.Head(
            header.height,
            header.hash(),
            header.time_ms,
            self._parts.clock_ms(),
            self._parts.keeper.certified_height,
        ).to_value()

    async def _status(self, _client: ClientIdentity, _request: Request) -> Value:
        return dict(self._parts.status())

    async def _submit(self, _client: ClientIdentity, request: Request) -> Value:
        wire = _typed(request, "tx", bytes)
        (answer,) = await self._admit((wire,))
        if answer.code == Code.BUSY:
            raise Busy(RETRY_AFTER_MS, answer.text)
        if answer.code:
            raise Refused(Code(answer.code), answer.text)
        return {"id": answer.id}

    async def _submit_many(self, _client: ClientIdentity, request: Request) -> Value:
        wires = _typed(request, "txs", tuple)
        if len(wires) > m.SUBMIT_MAX or any(type(wire) is not bytes for wire in wires):
            raise Refused(Code.REQUEST_MALFORMED, "txs are not a list of at most 1000 byte strings")
        answers = await self._admit(wires)
        for answer in answers:
            if answer.code == Code.NOT_ORDERING:
                raise Refused(Code.NOT_ORDERING, answer.text)
        is_busy = any(answer.code == Code.BUSY for answer in answers)
        return {
            "items": tuple(answer.to_value() for answer in answers),
            "retry_after_ms": RETRY_AFTER_MS if is_busy else 0,
        }

    async def _admit(self, wires: tuple[bytes, ...]) -> list[m.Accepted]:
        answers, fresh = await self._parts.door.admit_local(wires)
        if fresh:
            self._spread_queue.extend(fresh)
            self._spread_wake.set()
        return answers

    async def _fate(self, _client: ClientIdentity, request: Request) -> Value:
        ids = _typed(request, "ids", tuple)
        if len(ids) > m.FATES_MAX or any(type(item) is not bytes for item in ids):
            raise Refused(Code.REQUEST_MALFORMED, "ids are not a list of at most 1000 byte strings")
        return {"items": tuple(self._get_fate(item).to_value() for item in ids)}

    def _get_fate(self, transaction_id: bytes) -> m.Fate:
        known = self._parts.chain.fate(transaction_id)
        if known is not None:
            height, position, code = known
            if code == Code.EXPIRED and not self._is_first(height, position):
                return m.Fate(transaction_id, m.FateStatus.UNKNOWN)
            status = m.FateStatus.EXPIRED if code == Code.EXPIRED else m.FateStatus.COMMITTED
            return m.Fate(transaction_id, status, code, height, position)
        if self._parts.mempool.is_pending(transaction_id):
            return m.Fate(transaction_id, m.FateStatus.PENDING)
        return m.Fate(transaction_id, m.FateStatus.UNKNOWN)

    def _is_first(self, height: int, position: int) -> bool:
        """Tell whether what expired there cannot have been executed before this chain's snapshot.

        A node that began at one knows the ids of the last MAX_TTL before it, no earlier ones.
        """
        base = self._parts.chain.base()
        header = None if base is None else self._parts.chain.header(base[0])
        block = self._parts.chain.block(height)
        if header is None or block is None:
            return base is None
        stored = block.transactions[position]
        expires_at_ms = transaction_from_parts(stored.unsigned, stored.signature, ()).expires_at_ms
        return expires_at_ms > header.time_ms

    async def _receipt(self, client: ClientIdentity, request: Request) -> Value:
        transaction_id = _typed(request, "id", bytes)
        wait_ms = min(_typed(request, "wait_ms", int), m.WAIT_MS_MAX)
        found: Receipt | None = None
        with trio.move_on_after(max(0, wait_ms) / 1000):
            while found is None:
                certified = self._parts.keeper.certified_height
                found = self._find_receipt(transaction_id)
                if found is None:
                    await self._parts.keeper.wait_certified(certified)
        if found is not None:
            await self._check_may_fetch(client, found)
            return {"receipt": found.encoded()}
        fate = self._get_fate(transaction_id)
        if fate.status is m.FateStatus.UNKNOWN:
            raise Refused(Code.NOT_FOUND, "this node does not know the transaction")
        if fate.height is not None and fate.height < self._parts.keeper.certified_height:
            # The network is past it, so another member has what this one has not got.
            raise Refused(
                Code.NOT_SYNCED, f"this node lacks the certificate of block {fate.height}"
            )
        raise Refused(Code.TIMED_OUT, f"transaction is {fate.status}, not certified yet")

    async def _check_may_fetch(self, client: ClientIdentity, receipt: Receipt) -> None:
        """Raise `Refused` or `Rejected` unless the receipt is for this client.

        A member's own needs no look at the state: that is nearly every one.
        """
        sender = transaction_from_parts(receipt.unsigned, receipt.signature, ()).sender
        if sender != client.member or is_company(client.name):
            await self._run_query(client, "receipt.check", {"tx_id": receipt.transaction_id})

    def _find_receipt(self, transaction_id: bytes) -> Receipt | None:
        fate = self._parts.chain.fate(transaction_id)
        if fate is None or fate[0] > self._parts.keeper.certified_height:
            return None
        height, position, _ = fate
        certified = self._certified.get(height) or self._read_certified(height)
        if certified is None:
            return None
        receipts, certificate = certified
        history, epoch = self._parts.history, certificate.epoch
        validators, changes = history.validators(epoch), history.changes_until(epoch)
        return receipts.build(position, certificate, validators, changes)

    def _read_certified(self, height: int) -> tuple[BlockReceipts, Certificate] | None:
        """Return a block made ready for the many who wait for it; the last few are kept."""
        certificate: Certificate | None = self._parts.chain.certificate(height)
        block = self._parts.chain.block(height)
        if certificate is None or block is None:
            return None
        while len(self._certified) >= RECEIPT_BLOCKS:
            del self._certified[next(iter(self._certified))]
        self._certified[height] = BlockReceipts(block), certificate
        return self._certified[height]

    async def _expired(self, _client: ClientIdentity, request: Request) -> Value:
        transaction_id = _typed(request, "id", bytes)
        expires_at_ms = _typed(request, "expires_at_ms", int)
        statement = self._parts.witness.state_expired(transaction_id, expires_at_ms)
        return {"statement": statement.encoded()}

    async def _query(self, client: ClientIdentity, request: Request) -> Value:
        name = _typed(request, "name", str)
        params = _typed(request, "params", dict)
        return await self._run_query(client, name, params)

    async def _run_query(
        self, client: ClientIdentity, name: str, params: Mapping[str, Any]
    ) -> Value:
        try:
            return await trio.to_thread.run_sync(
                self._parts.run_query, client, name, params, limiter=self._query_limiter
            )
        except RuntimeError as error:
            if not is_thread_refused(error):
                raise
            raise Busy(RETRY_AFTER_MS, "the node has no thread to spare, try again later") from None

    async def _watch(self, client: ClientIdentity, request: Request) -> Value:
        stream = _typed(request, "stream", str)
        cursor = _typed(request, "cursor", int)
        if not 0 <= cursor < 2**63:
            raise Refused(Code.REQUEST_MALFORMED, "parameter cursor is not 0 to 2^63-1")
        limit = max(1, min(_typed(request, "limit", int), m.WATCH_ITEMS_MAX))
        wait_ms = min(_typed(request, "wait_ms", int), m.WAIT_MS_MAX)
        if stream not in set(m.WatchStream):
            raise Refused(Code.REQUEST_MALFORMED, f"stream {stream[:32]} is unknown")
        keeper = self._parts.keeper
        with trio.move_on_after(max(0, wait_ms) / 1000):
            while True:
                certified, looked_height = keeper.certified_height, keeper.head.height
                found = await self._watched(client, stream, cursor, limit)
                if found["items"]:
                    return found
                if found["cursor"] > cursor:
                    cursor = found["cursor"]  # past alerts that are not the caller's to see
                    continue
                await keeper.wait_certified(certified)
                # A look costs a query: thousands of watchers must not look at every block.
                while stream == m.WatchStream.ALERTS and keeper.alert_height <= looked_height:
                    await keeper.wait_certified(keeper.certified_height)
        return {"items": (), "cursor": cursor}

    async def _watched(
        self, client: ClientIdentity, stream: str, cursor: int, limit: int
    ) -> dict[str, Any]:
        if stream == m.WatchStream.ALERTS:
            params = {"cursor": cursor, "limit": limit}
            found = await self._run_query(client, "alerts.list", params)
            if not isinstance(found, dict):
                raise LocalError(Code.INTERNAL, "alerts.list gives no map")
            return {"items": found["alerts"], "cursor": found["cursor"]}
        last = min(self._parts.keeper.certified_height, cursor + limit)
        items = []
        for height in range(cursor + 1, last + 1):
            header = self._parts.chain.header(height)
            if header is not None:
                items.append(
                    {
                        "height": height,
                        "hash": header.hash(),
                        "time_ms": header.time_ms,
                        "transactions": header.transaction_count,
                    }
                )
        return {"items": tuple(items), "cursor": max(cursor, last)}


def _typed(request: Request, name: str, kind: type) -> Any:
    value = request.params.get(name)
    if type(value) is not kind:
        got = type(value).__name__
        raise Refused(Code.REQUEST_MALFORMED, f"parameter {name}: got {got}, want {kind.__name__}")
    return value
