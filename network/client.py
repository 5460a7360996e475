"""The client SDK: sign, submit, wait for proof (rules 37 to 39).

`Client` is for trio, `SyncClient` is the same for programs that know nothing of it. A transaction
goes to the own node; when that does not answer, the same bytes go to W other nodes at once, of
which one is honest; sending twice is harmless, because execution is exactly once by id. BUSY is
waited out as long as the node says, with jitter. What is reported as done is proved: a receipt is
verified here against the genesis document's validators, and by the changes of members that it
carries against those of later epochs, so no single node is believed. The changes are remembered: a
receipt of another history than one seen before is refused (F89).

    with SyncClient(Profile.load(Path("clients/tax"))) as client:
        receipt = client.submit_kind("records.submit", body, attachments)
"""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import trio

from ledger.chain.epochs import EpochFollower
from ledger.chain.receipt import Receipt, decode_receipt, verify_receipt_by
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Refused, RemoteError
from ledger.transactions.envelope import NONCE_BYTES, Transaction, sign_transaction
from network import methods
from network.connection import Connection, Dial, NodeError, open_connection
from network.methods import Accepted, Fate, Head, WatchStream
from network.profile import NodeAddress, Profile

__all__ = ["Client", "ClientPolicy", "NodeError", "Profile", "SyncClient", "open_client"]

T = TypeVar("T")

AGAIN_S = 0.1  # before what no receipt came for is handed in again

# Of these another node may do better; any other error is about what was asked.
_ELSEWHERE = frozenset(
    (
        Code.CONNECT_FAILED,
        Code.CONNECTION_LOST,
        Code.TIMED_OUT,
        Code.NOT_SYNCED,
        Code.NOT_ORDERING,
        Code.TLS_REFUSED,
        Code.BUSY,
        Code.INTERNAL,
    )
)


def _jitter() -> float:
    return random.uniform(0.5, 1.5)  # noqa: S311


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """How long to wait, in seconds, and for how long a transaction may be executed."""

    connect_s: float = 5.0
    answer_s: float = 10.0  # one node's answer, BUSY waited out included
    receipt_poll_s: float = 5.0  # held open by the node, before it is asked again
    ttl_ms: int = 600_000
    wait_ms: int = 60_000  # for the receipt of what was submitted, where the call does not say
    clock_s: float = 60.0  # how long a node's clock, once asked, is reckoned on


class Client:
    """A member's or company's way to its network; made by `open_client`.

    Every method raises `RemoteError`: `NodeError` with the node's code for a refusal, a plain one
    for a link; `Refused` (13xx) for a receipt that does not verify.
    """

    def __init__(
        self,
        profile: Profile,
        nursery: trio.Nursery,
        policy: ClientPolicy,
        dial: Dial,
        jitter: Callable[[], float],
    ) -> None:
        self.profile = profile
        self._nursery = nursery
        self._policy = policy
        self._dial = dial
        self._jitter = jitter
        self._connections: dict[NodeAddress, Connection] = {}
        self._locks = {node: trio.Lock() for node in profile.nodes}
        self._clock: tuple[float, int] | None = None
        self._trusted = EpochFollower(profile.chain_id, profile.validators)

    async def head(self) -> Head:
        """Return where the first node that answers stands."""
        return methods.head_from_value(await self._ask(methods.HEAD, {}))

    async def status(self) -> Mapping[str, Any]:
        """Return a node's account of itself, for people."""
        value: Mapping[str, Any] = await self._ask(methods.STATUS, {})
        return value

    async def query(self, name: str, params: Mapping[str, Value] | None = None) -> Any:
        """Return the answer of the query `name`: one node's word unless it carries its proof."""
        return await self._ask(methods.QUERY, {"name": name, "params": params or {}})

    async def fate(self, ids: Sequence[bytes]) -> list[Fate]:
        """Return what became of transactions, at most 1,000, in order."""
        value = await self._ask(methods.FATE, {"ids": tuple(ids)})
        return [methods.fate_from_value(item) for item in _items(value, len(ids))]

    async def watch(
        self,
        stream: WatchStream,
        cursor: int,
        *,
        limit: int = methods.WATCH_ITEMS_MAX,
        wait_ms: int = 20_000,
    ) -> tuple[tuple[Any, ...], int]:
        """Return the items after `cursor` and the next cursor, waiting for the first of them."""
        params = {"stream": str(stream), "cursor": cursor, "limit": limit, "wait_ms": wait_ms}
        timeout_s = wait_ms / 1000 + self._policy.answer_s
        value = await self._ask(methods.WATCH, params, timeout_s)
        if not isinstance(value, Mapping) or type(value.get("cursor")) is not int:
            raise Refused(Code.FRAME_MALFORMED, "watch was answered without a cursor")
        return tuple(value.get("items", ())), value["cursor"]

    async def sign(
        self, kind: str, body: Mapping[str, Any], attachments: Sequence[bytes] = ()
    ) -> Transaction:
        """Return a signed transaction of the profile's sender, with a fresh nonce.

        It expires `ttl_ms` after the network's clock, as the node tells it.
        """
        if self.profile.signing_key is None:
            raise LocalError(Code.KEY_FILE, "the profile has no signing_key: it can only ask")
        return sign_transaction(
            self.profile.signing_key,
            chain_id=self.profile.chain_id,
            sender=self.profile.sender,
            nonce=os.urandom(NONCE_BYTES),
            expires_at_ms=await self._clock_ms() + self._policy.ttl_ms,
            kind=kind,
            body=body,
            attachments=tuple(attachments),
        )

    async def submit(self, transaction: Transaction) -> bytes:
        """Hand a transaction in, to W nodes if the own one fails, and return its id (rule 37).

        Accepted is not yet done: see `receipt`.
        """
        params = {"tx": transaction.encoded()}
        first, *others = self.profile.nodes
        try:
            await self._ask_node(first, methods.SUBMIT, params, self._policy.answer_s)
        except RemoteError as error:
            if error.code not in _ELSEWHERE or not others:
                raise
            await self._race(others[: self.profile.weak_quorum], methods.SUBMIT, params)
        return transaction.id

    async def submit_many(self, transactions: Sequence[Transaction]) -> list[Accepted]:
        """Hand in up to 1,000, at most 2 MiB together; return what the door said of each, in order.

        Items with code BUSY were not taken; hand them in again.
        """
        params = {"txs": tuple(item.encoded() for item in transactions)}
        value = await self._ask(methods.SUBMIT_MANY, params)
        items = _items(value, len(transactions))
        return [methods.accepted_from_value(item) for item in items]

    async def receipt(self, transaction_id: bytes, wait_ms: int = 30_000) -> Receipt:
        """Return the verified receipt of a transaction, waiting up to `wait_ms` for it.

        Raises 5104 where no node knows the transaction, 5008 where none has certified it in time.
        """
        deadline = trio.current_time() + wait_ms / 1000
        while True:
            left_s = max(0.0, deadline - trio.current_time())
            try:
                return await self._receipt(transaction_id, min(left_s, self._policy.receipt_poll_s))
            except RemoteError as error:
                if error.code != Code.TIMED_OUT or trio.current_time() >= deadline:
                    raise

    async def _receipt(self, transaction_id: bytes, wait_s: float) -> Receipt:
        params = {"id": transaction_id, "wait_ms": int(wait_s * 1000)}
        failure: RemoteError | None = None
        for node in self.profile.nodes:
            try:
                value = await self._ask_node(
                    node, methods.RECEIPT, params, wait_s + self._policy.answer_s
                )
                return self._verified(transaction_id, value)
            except NodeError as error:
                if error.code == Code.TIMED_OUT:
                    raise  # it knows the transaction: the others are no further
                failure = failure or error
            except RemoteError as error:
                failure = failure or error
        if failure is None:
            raise LocalError(Code.CONFIG_INVALID, "the profile has no nodes")
        raise failure

    def _verified(self, transaction_id: bytes, value: Any) -> Receipt:
        data = value.get("receipt") if isinstance(value, Mapping) else None
        if type(data) is not bytes:
            raise Refused(Code.RECEIPT_INVALID, "the node's answer holds no receipt")
        receipt = decode_receipt(data)
        verify_receipt_by(receipt, self._trusted)
        if receipt.transaction_id != transaction_id:
            raise Refused(Code.RECEIPT_INVALID, "the receipt is of another transaction")
        return receipt

    async def submit_kind(
        self,
        kind: str,
        body: Mapping[str, Any],
        attachments: Sequence[bytes] = (),
        wait_ms: int | None = None,
    ) -> Receipt:
        """Sign, submit and wait for the verified receipt, whatever the result's code.

        The same bytes are handed in again while no receipt comes, so at most one is executed.
        `wait_ms` is the policy's unless it is given.
        """
        return await self.submit_until_certified(await self.sign(kind, body, attachments), wait_ms)

    async def submit_until_certified(
        self, transaction: Transaction, wait_ms: int | None = None
    ) -> Receipt:
        """Submit a signed transaction, again if need be, and return its verified receipt.

        One that no node takes is an error at once. Once it was taken, nodes that are down or behind
        are waited for: it may be executed, and whoever is told that it failed might sign another.
        """
        wait_s = (self._policy.wait_ms if wait_ms is None else wait_ms) / 1000
        deadline = trio.current_time() + wait_s
        was_taken = False
        while True:
            try:
                await self.submit(transaction)
                was_taken = True
                left_ms = int((deadline - trio.current_time()) * 1000)
                poll_ms = int(self._policy.receipt_poll_s * 1000)
                return await self.receipt(transaction.id, max(0, min(left_ms, poll_ms)))
            except RemoteError as error:
                is_known_loss = error.code in _ELSEWHERE or error.code == Code.NOT_FOUND
                if not (was_taken and is_known_loss) or trio.current_time() >= deadline:
                    raise
            await trio.sleep(AGAIN_S * self._jitter())

    async def ask_node(self, node: NodeAddress, method: str, params: Mapping[str, Any]) -> Any:
        """Return one node's own answer; what counts only when several give it is asked so."""
        return await self._ask_node(node, method, params, self._policy.answer_s)

    @property
    def trusted(self) -> EpochFollower:
        """The epochs that this client has followed from genesis on."""
        return self._trusted

    async def _clock_ms(self) -> int:
        """Return the network's clock, asked of a node at most once in `clock_s`."""
        now = trio.current_time()
        if self._clock is None or now - self._clock[0] > self._policy.clock_s:
            self._clock = (now, (await self.head()).clock_ms)
        return self._clock[1] + int((now - self._clock[0]) * 1000)

    async def _ask(
        self, method: str, params: Mapping[str, Any], timeout_s: float | None = None
    ) -> Any:
        """Ask the nodes in their order until one answers."""
        failure: RemoteError | None = None
        for node in self.profile.nodes:
            try:
                return await self._ask_node(
                    node, method, params, timeout_s or self._policy.answer_s
                )
            except RemoteError as error:
                if error.code not in _ELSEWHERE:
                    raise
                failure = failure or error
        if failure is None:
            raise LocalError(Code.CONFIG_INVALID, "the profile has no nodes")
        raise failure

    async def _ask_node(
        self, node: NodeAddress, method: str, params: Mapping[str, Any], timeout_s: float
    ) -> Any:
        """Ask one node; wait out BUSY, and connect again once if an idle link turns out dead."""
        deadline = trio.current_time() + timeout_s
        was_lost = False
        while True:
            left_s = deadline - trio.current_time()
            is_old = node in self._connections
            try:
                connection = await self._connection(node)
                return await connection.call(method, params, max(0.0, left_s))
            except NodeError as error:
                delay_s = error.retry_after_ms / 1000 * self._jitter()
                if error.code != Code.BUSY or trio.current_time() + delay_s >= deadline:
                    raise
                await trio.sleep(delay_s)
            except RemoteError as error:
                if error.code != Code.CONNECTION_LOST or was_lost or not is_old:
                    raise
                was_lost = True

    async def _connection(self, node: NodeAddress) -> Connection:
        async with self._locks[node]:
            connection = self._connections.get(node)
            if connection is None or connection.error is not None:
                self._connections.pop(node, None)
                connection = await open_connection(
                    self._nursery,
                    self.profile.tls,
                    node,
                    self.profile.chain_id,
                    self._policy.connect_s,
                    self._dial,
                )
                self._connections[node] = connection
            return connection

    async def _race(
        self, nodes: Sequence[NodeAddress], method: str, params: Mapping[str, Any]
    ) -> Any:
        """Ask several nodes at once; return the first value, or raise the first node's error."""
        values: list[Any] = []
        failures: dict[NodeAddress, RemoteError] = {}

        async def ask(node: NodeAddress, scope: trio.CancelScope) -> None:
            try:
                values.append(await self._ask_node(node, method, params, self._policy.answer_s))
                scope.cancel()
            except RemoteError as error:
                failures[node] = error

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(ask, node, nursery.cancel_scope)
        if values:
            return values[0]
        raise next(failures[node] for node in nodes)


def _items(value: Any, count: int) -> tuple[Any, ...]:
    items = value.get("items") if isinstance(value, Mapping) else None
    if type(items) is not tuple or len(items) != count:
        raise Refused(Code.FRAME_MALFORMED, f"answer is not a list of {count} items")
    return items


@asynccontextmanager
async def open_client(
    profile: Profile,
    policy: ClientPolicy | None = None,
    dial: Dial = trio.open_tcp_stream,
    jitter: Callable[[], float] = _jitter,
) -> AsyncIterator[Client]:
    """Give a client that connects when it is first used, and disconnects at the block's end."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Client(profile, nursery, policy or ClientPolicy(), dial, jitter)
        except Exception as error:  # noqa: BLE001 - raised below; the nursery would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class SyncClient:
    """The same client for blocking programs: a thread of its own runs trio, while it is open.

    A context manager; see `Client` for what each method does. One thread may use it at a time.
    """

    def __init__(self, profile: Profile, policy: ClientPolicy | None = None) -> None:
        self.profile = profile
        self._policy = policy
        self._thread = threading.Thread(target=self._run, name="creditledger-client", daemon=True)
        self._opened: queue.SimpleQueue[tuple[Client, trio.lowlevel.TrioToken]]
        self._opened = queue.SimpleQueue()
        self._stop = trio.Event()
        self._client: Client | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def __enter__(self) -> SyncClient:
        self._thread.start()
        self._client, self._token = self._opened.get()
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            self._token.run_sync_soon(self._stop.set)
            self._thread.join()
        self._client = self._token = None

    def _run(self) -> None:
        trio.run(self._main)

    async def _main(self) -> None:
        async with open_client(self.profile, self._policy) as client:
            self._opened.put((client, trio.lowlevel.current_trio_token()))
            await self._stop.wait()

    def _call(self, method: Callable[[Client], Awaitable[T]]) -> T:
        client, token = self._client, self._token
        if client is None or token is None:
            raise LocalError(Code.INPUT_USAGE, "the client is not open: use it in a with block")
        return trio.from_thread.run(method, client, trio_token=token)

    def head(self) -> Head:
        """See `Client.head`."""
        return self._call(Client.head)

    def status(self) -> Mapping[str, Any]:
        """See `Client.status`."""
        return self._call(Client.status)

    def query(self, name: str, params: Mapping[str, Value] | None = None) -> Any:
        """See `Client.query`."""
        return self._call(lambda client: client.query(name, params))

    def fate(self, ids: Sequence[bytes]) -> list[Fate]:
        """See `Client.fate`."""
        return self._call(lambda client: client.fate(ids))

    def watch(
        self, stream: WatchStream, cursor: int, **options: int
    ) -> tuple[tuple[Any, ...], int]:
        """See `Client.watch`; options are `limit` and `wait_ms`."""
        return self._call(lambda client: client.watch(stream, cursor, **options))

    def sign(
        self, kind: str, body: Mapping[str, Any], attachments: Sequence[bytes] = ()
    ) -> Transaction:
        """See `Client.sign`."""
        return self._call(lambda client: client.sign(kind, body, attachments))

    def submit(self, transaction: Transaction) -> bytes:
        """See `Client.submit`."""
        return self._call(lambda client: client.submit(transaction))

    def submit_many(self, transactions: Sequence[Transaction]) -> list[Accepted]:
        """See `Client.submit_many`."""
        return self._call(lambda client: client.submit_many(transactions))

    def receipt(self, transaction_id: bytes, wait_ms: int = 30_000) -> Receipt:
        """See `Client.receipt`."""
        return self._call(lambda client: client.receipt(transaction_id, wait_ms))

    def submit_kind(
        self,
        kind: str,
        body: Mapping[str, Any],
        attachments: Sequence[bytes] = (),
        wait_ms: int | None = None,
    ) -> Receipt:
        """See `Client.submit_kind`."""
        return self._call(lambda client: client.submit_kind(kind, body, attachments, wait_ms))

    def run(self, method: Callable[[Client], Awaitable[T]]) -> T:
        """Return what `method` gives of the client, for example of `network.finality`."""
        return self._call(method)

    def submit_until_certified(
        self, transaction: Transaction, wait_ms: int | None = None
    ) -> Receipt:
        """See `Client.submit_until_certified`."""
        return self._call(lambda client: client.submit_until_certified(transaction, wait_ms))
