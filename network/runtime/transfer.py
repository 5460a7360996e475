"""Fetches a whole state from other members and installs it (rule 41, F25, F26, F73).

The members that are asked offer snapshots, each proved from genesis; the newest that somebody
offers is the target, and all who offer it are its sources. Each source works on one part of the
state at a time, a subtree with its entries, and every piece is proved before the next one is asked
for (`ledger.snapshots`). A source that lies or does not answer in time is given up, and its part
goes to another one; where none is left the transfer ends, and what is proved stays in the staging
store for the next. When all parts are there the staging store becomes the home's database, in one
step, and the replica is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import structlog
import trio

from consensus import effects as fx
from consensus.epochs import EpochView
from consensus.events import Event, FetchFailed, StateInstalled
from ledger.chain.certificate import Certificate
from ledger.chain.epochs import Validators
from ledger.chain.header import Header
from ledger.errors import Code, LocalError, Refused, RemoteError
from ledger.snapshots.fetching import fetch_subtree, fetch_top
from ledger.snapshots.history import fetch_history, finish_writes
from ledger.snapshots.limits import SUBTREES
from ledger.snapshots.offers import Offer, read_offers
from ledger.snapshots.queries import OfferQuery, Query, encode_query
from ledger.state.tree import EMPTY_HASH
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Store, WriteBatch
from ledger.storage.switchable import SwitchableStore
from network.peers import PeerNetwork
from network.wire import GetState, StatePiece

ANSWER_SECONDS = 5.0
SOURCES_AT_ONCE = 4

log = structlog.get_logger()

Part: TypeAlias = Callable[[Store], Generator[Query, bytes, Any]]


class Installer(Protocol):
    """The part that owns the chain of this node."""

    def last_writes(self) -> Mapping[bytes, bytes | None]:
        """Return what of the old database has to be in the new one too (rule 46)."""

    def adopt(self, header: Header, certificate: Certificate) -> EpochView:
        """Take over the chain that the store holds now; return who votes after its last block."""


@dataclass(slots=True)
class _Work:
    """One transfer: what is left to do, and who is left to do it."""

    offer: Offer
    sources: list[int]
    parts: deque[tuple[str, Part]]
    results: dict[str, Any]


class StateTransfer:
    """Fetches one state at a time for the replica or observer."""

    def __init__(
        self,
        store: SwitchableStore,
        validators: Validators,
        peers: PeerNetwork,
        post: Callable[[Event], None],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`validators` are those of genesis."""
        self._store = store
        self._chain = ChainStore(store)
        self._validators = validators
        self._peers = peers
        self._post = post
        self._answer_seconds = answer_seconds
        self._installer: Installer | None = None
        self._wanted: fx.FetchState | None = None
        self._wake = trio.Event()
        self._fetching = trio.CancelScope()
        self._is_busy = trio.Lock()
        self._disk = trio.Lock()
        self._waiting: dict[int, tuple[int, trio.MemorySendChannel[bytes]]] = {}
        self._number = 0
        self.progress = ""
        self.installed_count = 0

    def bind(self, installer: Installer) -> None:
        """Say who owns the chain; once, while the node is put together."""
        self._installer = installer

    def start(self, effect: fx.FetchState) -> None:
        """Fetch a state, in place of what was wanted before."""
        self._wanted = effect
        self._fetching.cancel()
        self._wake.set()

    async def stop(self) -> None:
        """End what is being fetched; what is proved is kept, nothing is wanted any more."""
        self._wanted = None
        self._fetching.cancel()
        async with self._is_busy:
            self._wanted = None

    def on_piece(self, member: int, frame: StatePiece) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        number, channel = self._waiting.get(member, (-1, None))
        if channel is not None and number == frame.number:
            del self._waiting[member]
            channel.send_nowait(frame.data)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            async with self._is_busy:
                with trio.CancelScope() as self._fetching:
                    # Taken within the scope: who stops it finds it wanted, or in the scope.
                    effect, self._wanted = self._wanted, None
                    if effect is not None:
                        await self._transfer(effect)
                self.progress = ""

    async def _transfer(self, effect: fx.FetchState) -> None:
        """Try what is offered, the newest first, until one is installed."""
        for work in await self._find_targets(effect):
            log.info("state transfer begins", height=work.offer.header.height)
            if await self._fetch_all(work):
                await self._install(work)
                return
        self._post(FetchFailed(effect.target.height))

    # The target

    async def _find_targets(self, effect: fx.FetchState) -> list[_Work]:
        """Return the snapshots that are offered, the newest first, each with all who offer it."""
        offers: dict[bytes, tuple[Offer, list[int]]] = {}

        async def ask(source: int) -> None:
            try:
                for offer in await self._ask_offers(source):
                    _, sources = offers.setdefault(offer.header.hash(), (offer, []))
                    sources.append(source)
            except RemoteError as error:
                self._give_up(source, error)

        async with trio.open_nursery() as nursery:
            for source in effect.sources:
                nursery.start_soon(ask, source)
        found = [item for item in offers.values() if item[0].header.height > effect.above_height]
        found.sort(key=lambda item: item[0].header.height, reverse=True)
        return [_Work(offer, sources, deque(), {}) for offer, sources in found]

    async def _ask_offers(self, source: int) -> tuple[Offer, ...]:
        data = await self._ask(source, 0, OfferQuery())
        chain_id = self._chain.chain_id() or b""
        try:
            return await trio.to_thread.run_sync(read_offers, data, chain_id, self._validators)
        except Refused as error:
            raise RemoteError(str(source), error.code, error.message) from None

    # The parts

    async def _fetch_all(self, work: _Work) -> bool:
        """Fetch all parts into the staging store; tell whether they are there."""
        header = work.offer.header
        genesis = self._chain.header(0)
        if genesis is None:
            raise LocalError(Code.HOME_INCOMPLETE, "the store holds no genesis block")
        staging = await trio.to_thread.run_sync(self._store.open_staging)
        work.parts.append(("top", lambda store: fetch_top(store, header.state_root)))
        if not await self._work_off(work, staging):
            return False
        wanted: Mapping[int, bytes] = work.results["top"]
        for subtree in range(SUBTREES):
            work.parts.append((str(subtree), _subtree(subtree, wanted.get(subtree, EMPTY_HASH))))
        work.parts.append(("history", lambda store: fetch_history(store, header, genesis)))
        return await self._work_off(work, staging)

    async def _work_off(self, work: _Work, staging: Store) -> bool:
        """Let all sources work until nothing is left, or nobody who could do it."""
        while work.parts and work.sources:
            async with trio.open_nursery() as nursery:
                for source in work.sources[:SOURCES_AT_ONCE]:
                    nursery.start_soon(self._work, source, work, staging)
        return not work.parts

    async def _work(self, source: int, work: _Work, staging: Store) -> None:
        """Fetch part after part from one source, until none is left or it fails."""
        while work.parts:
            name, part = work.parts.popleft()
            self.progress = f"block {work.offer.header.height}, {len(work.parts)} parts left"
            try:
                work.results[name] = await self._fetch_part(source, work.offer, part(staging))
            except RemoteError as error:
                work.parts.append((name, part))
                work.sources.remove(source)
                self._give_up(source, error)
                return

    async def _fetch_part(
        self, source: int, offer: Offer, fetch: Generator[Query, bytes, Any]
    ) -> Any:
        """Run one part's questions and answers; raise `RemoteError` at the first wrong piece."""
        answer = None
        while True:
            try:
                async with self._disk:
                    query, result = await trio.to_thread.run_sync(_advance, fetch, answer)
            except Refused as error:
                raise RemoteError(str(source), error.code, error.message) from None
            if query is None:
                return result
            answer = await self._ask(source, offer.header.height, query)

    async def _ask(self, source: int, height: int, query: Query) -> bytes:
        """Return one answer of a source, or raise `RemoteError` when none comes in time."""
        self._number += 1
        send, receive = trio.open_memory_channel[bytes](1)
        self._waiting[source] = (self._number, send)
        frame = GetState(self._number, height, encode_query(query))
        try:
            if not self._peers.send(source, frame):
                raise RemoteError(str(source), Code.TIMED_OUT, "is not connected")
            with trio.fail_after(self._answer_seconds):
                data = await receive.receive()
        except trio.TooSlowError:
            text = f"sent no piece of the state of block {height} in time"
            raise RemoteError(str(source), Code.TIMED_OUT, text) from None
        finally:
            self._waiting.pop(source, None)
        if not data:
            raise RemoteError(str(source), Code.NOT_HELD, f"holds no state of block {height}")
        return data

    def _give_up(self, source: int, error: RemoteError) -> None:
        log.warning("state source failed", peer=source, text=error.message)
        if error.code not in (Code.TIMED_OUT, Code.NOT_HELD):
            self._peers.charge(source, error.code, error.message)

    # The end

    async def _install(self, work: _Work) -> None:
        offer = work.offer
        if self._installer is None:
            raise LocalError(Code.INTERNAL, "state transfer is used before it is bound")
        writes = await trio.to_thread.run_sync(self._last_writes, offer, work.results["history"])
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._store.switch, writes)
            epochs = self._installer.adopt(offer.header, offer.certificate)
        self.installed_count += 1
        log.info("state installed", height=offer.header.height)
        self._post(StateInstalled(offer.certificate, epochs))

    def _last_writes(self, offer: Offer, first_height: int) -> WriteBatch:
        document, genesis = self._chain.genesis(), self._chain.header(0)
        if document is None or genesis is None or self._installer is None:
            raise LocalError(Code.HOME_INCOMPLETE, "the store holds no genesis block")
        writes = finish_writes(
            document, genesis, offer.header, offer.certificate, offer.changes, first_height
        )
        writes.update(self._installer.last_writes())
        return writes


def _subtree(index: int, want: bytes) -> Part:
    return lambda store: fetch_subtree(store, index, want)


def _advance(fetch: Generator[Query, bytes, Any], answer: bytes | None) -> tuple[Query | None, Any]:
    """Send the answer in, return the next query, or None and the result."""
    try:
        return (next(fetch) if answer is None else fetch.send(answer)), None
    except StopIteration as stop:
        return None, stop.value
