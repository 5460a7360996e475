"""State transfer over links, with real databases (rule 41; F25, F26, F73).

`Links` stands between one asker and several sources, each a real shelf over a chain of its own;
a source may be made to lie. The asker's home is a LevelDB that is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trio

from consensus import effects as fx
from consensus.epochs import EpochView
from consensus.events import Event, FetchFailed, StateInstalled
from ledger.chain.certificate import Certificate
from ledger.chain.header import Header
from ledger.encoding import encode
from ledger.execution import execute_genesis
from ledger.snapshots.queries import (
    BucketsQuery,
    CompaniesQuery,
    HistoryQuery,
    NodesQuery,
    OfferQuery,
    Query,
    TopQuery,
    decode_query,
)
from ledger.storage.chain_store import CERTIFICATES, ChainStore, height_key
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import Reader
from ledger.storage.switchable import SwitchableStore
from network.runtime.shelf import SnapshotShelf
from network.runtime.transfer import StateTransfer
from network.wire import GetState, PeerFrame, StatePiece, decode_peer_frame, encode_peer_frame
from tests.snapshots.support import SnapshotChain, own_entries

S = 10
ANCHOR = {b"bMvotes": b"said"}
Lie = Callable[[Query, bytes], "bytes | None"]
SILENT_S, PATIENT_S = 2.0, 300.0


@cache
def state_at(height: int) -> tuple[SnapshotChain, dict[int, tuple[Header, Reader]]]:
    """Return the chain of that height, and header and state of its multiples of S."""
    chain, views = SnapshotChain(seed=3), {}
    for _ in range(height):
        chain.mixed_block()
        is_kept = chain.head.height % S == 0
        views[chain.head.height] = (chain.head, chain.store.snapshot() if is_kept else chain.store)
    return chain, views


class Source:
    """A member that keeps snapshots of its chain, and how it lies."""

    def __init__(self, number: int, links: Links, blocks: int, lie: Lie | None = None) -> None:
        self.chain, self.views = state_at(blocks)
        self.shelf = SnapshotShelf(self, S, BackLink(number, links), lambda _: ())  # type: ignore[arg-type]
        self.lie = lie
        self.asked: list[Query] = []
        self.height = 0
        self.grow(blocks)

    def grow(self, blocks: int) -> None:
        """Let the shelf see so many blocks more."""
        self.chain, self.views = state_at(self.height + blocks)
        while self.height < self.chain.head.height:
            self.height += 1
            self.shelf.keep(self.views[self.height][0])

    def snapshot(self) -> Reader:
        return self.views[self.height][1]

    def get(self, key: bytes) -> bytes | None:
        return self.chain.store.get(key)


@dataclass
class BackLink:
    """What a shelf sends goes through the frame's bytes back to the asker."""

    number: int
    links: Links

    def send(self, _asker: int, frame: PeerFrame) -> bool:
        self.links.deliver(self.number, frame)
        return True


@dataclass
class Links:
    """The asker's links; `charged` are those who were found lying."""

    sources: dict[int, Source] = field(default_factory=dict)
    transfer: StateTransfer | None = None
    nursery: trio.Nursery | None = None
    charged: list[int] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    lies: int = 0

    def send(self, number: int, frame: PeerFrame) -> bool:
        assert self.nursery is not None
        if number in self.cut:
            return False
        self.nursery.start_soon(self._serve, number, decode_peer_frame(encode_peer_frame(frame)))
        return True

    async def _serve(self, number: int, frame: Any) -> None:
        assert isinstance(frame, GetState)
        self.sources[number].asked.append(decode_query(frame.query))
        await self.sources[number].shelf.serve(0, frame)

    def deliver(self, number: int, frame: PeerFrame) -> None:
        assert isinstance(frame, StatePiece)
        assert self.transfer is not None
        source = self.sources[number]
        data: bytes | None = frame.data
        if source.lie is not None:
            data = source.lie(source.asked[-1], frame.data)
            self.lies += data != frame.data
        if data is not None:
            self.transfer.on_piece(number, StatePiece(frame.number, data))

    def charge(self, number: int, *_: object) -> None:
        self.charged.append(number)


@dataclass
class Owner:
    """Owns the asker's chain."""

    store: SwitchableStore
    adopted: list[Header] = field(default_factory=list)

    def last_writes(self) -> Mapping[bytes, bytes | None]:
        return ANCHOR

    def adopt(self, header: Header, _certificate: Certificate) -> EpochView:
        self.adopted.append(header)
        return EpochView(header.epoch, ())


class Network:
    """One asker with a home on disk, and its sources."""

    def __init__(self, folder: Path, lies: Iterable[Lie | None], blocks: int = 35) -> None:
        self.links = Links()
        lies = tuple(lies)
        # Where somebody falls silent he is waited for; nobody else may be taken for silent.
        self.answer_s = SILENT_S if stalling in lies else PATIENT_S
        for number, lie in enumerate(lies, 1):
            self.links.sources[number] = Source(number, self.links, blocks, lie)
        make_home(folder)
        self.folder = folder
        self.events: list[Event] = []

    async def fetch(
        self, above: int = 0, until: Callable[[], bool] | None = None
    ) -> SwitchableStore:
        """Let the asker fetch a state until it says that it has ended, or `until` holds."""
        store = SwitchableStore(self.folder)
        chain = self.links.sources[1].chain
        validators = chain.genesis.validator_keys()
        done = trio.Event()

        def post(event: Event) -> None:
            self.events.append(event)
            done.set()

        transfer = StateTransfer(store, validators, self.links, post, self.answer_s)  # type: ignore[arg-type]
        self.owner = Owner(store)
        transfer.bind(self.owner)
        self.links.transfer = transfer
        target = ChainStore(chain.store).certificate(chain.head.height)
        assert target is not None
        async with trio.open_nursery() as nursery:
            self.links.nursery = nursery
            nursery.start_soon(transfer.run)
            transfer.start(fx.FetchState(above, target, tuple(self.links.sources)))
            if until is None:
                await done.wait()
            else:
                while not until():
                    await trio.lowlevel.checkpoint()
            await transfer.stop()
            nursery.cancel_scope.cancel()
        return store


@cache
def genesis_writes_of() -> dict[bytes, bytes | None]:
    return dict(execute_genesis(SnapshotChain().genesis).writes)


def make_home(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    store = LevelStore(folder / "db")
    store.write(genesis_writes_of(), sync=True)
    store.close()


def check_installed(network: Network, store: SwitchableStore, height: int) -> None:
    truth, _ = state_at(height)
    assert own_entries(store) == own_entries(truth.store)
    chain = ChainStore(store)
    assert chain.height() == height
    assert chain.head() == truth.head
    assert chain.base() == (height, 1)
    assert store.get(b"bMvotes") == b"said"
    assert [header.height for header in network.owner.adopted] == [height]
    (event,) = network.events
    assert isinstance(event, StateInstalled)
    assert event.certificate.height == height
    store.close()
    again = SwitchableStore(network.folder)
    assert ChainStore(again).height() == height
    again.close()


def test_f25_newest_snapshot_is_fetched_from_all_who_offer_it(tmp_path):
    """Rule 41."""
    network = Network(tmp_path, [None, None, None])
    store = trio.run(network.fetch)
    check_installed(network, store, 30)
    sources = network.links.sources.values()
    assert all(len(source.asked) > 5 for source in sources)
    assert [source.shelf.heights for source in sources] == [(20, 30)] * 3


def flipped(kind: type) -> Lie:
    def lie(query: Query, data: bytes) -> bytes:
        return data[:-1] + bytes((data[-1] ^ 1,)) if type(query) is kind else data

    return lie


def truncated(kind: type) -> Lie:
    return lambda query, data: data[: len(data) // 2] if type(query) is kind else data


def lying_height(query: Query, data: bytes) -> bytes:
    """Offer a block that nobody certified, far above the others (F73)."""
    if type(query) is not OfferQuery:
        return data
    chain, _ = state_at(30)
    header = replace(chain.head, height=10**6)
    certificate = replace(chain.certify(chain.head), height=10**6, block_hash=header.hash())
    return encode(((header.encoded(), certificate.to_value(), ()),))


def endless(query: Query, data: bytes) -> bytes:
    return bytes(7 * 1024 * 1024) if type(query) is NodesQuery else data


def stalling(query: Query, data: bytes) -> bytes | None:
    return None if type(query) is BucketsQuery else data


LIES: Mapping[str, Lie] = {
    "wrong top": flipped(TopQuery),
    "wrong nodes": flipped(NodesQuery),
    "wrong bucket": flipped(BucketsQuery),
    "wrong company": flipped(CompaniesQuery),
    "wrong block": flipped(HistoryQuery),
    "truncated offer": truncated(OfferQuery),
    "truncated piece": truncated(CompaniesQuery),
    "endless": endless,
    "stalls": stalling,
    "holds nothing": lambda query, data: b"" if type(query) is NodesQuery else data,
    "lying height": lying_height,
}


@pytest.mark.parametrize("name", LIES)
def test_f26_f73_liar_is_left_for_another_source(tmp_path, name):
    """Rule 41: changed at the first lie, or after T where nothing comes."""
    network = Network(tmp_path, [LIES[name], None])
    store = trio.run(network.fetch)
    check_installed(network, store, 30)
    is_charged = network.links.lies and name not in ("stalls", "holds nothing")
    assert network.links.charged == ([1] if is_charged else [])
    assert network.links.lies <= 1


def test_f26_nothing_is_installed_when_everybody_lies(tmp_path):
    """The old chain stays; what is proved stays in the staging store for the next time."""
    network = Network(tmp_path, [flipped(HistoryQuery), truncated(HistoryQuery)])
    store = trio.run(network.fetch)
    (event,) = network.events
    assert isinstance(event, FetchFailed)
    assert event.to_height == 35
    assert ChainStore(store).height() == 0
    assert network.owner.adopted == []
    network.events.clear()
    for source in network.links.sources.values():
        source.lie = None
    store.close()
    store = trio.run(network.fetch)
    check_installed(network, store, 30)


def test_older_snapshot_is_taken_where_the_newest_is_not_to_be_had(tmp_path):
    """Rule 41: who offers it may fall silent."""
    network = Network(tmp_path, [LIES["stalls"], None])
    network.links.sources[1].grow(10)
    store = trio.run(network.fetch)
    check_installed(network, store, 30)


def test_nothing_newer_than_the_own_chain_is_fetched(tmp_path):
    network = Network(tmp_path, [None])
    store = trio.run(network.fetch, 30)
    (event,) = network.events
    assert isinstance(event, FetchFailed)
    assert ChainStore(store).height() == 0
    store.close()


def buckets_asked(network: Network) -> int:
    asked = [query for source in network.links.sources.values() for query in source.asked]
    return sum(len(query.buckets) for query in asked if isinstance(query, BucketsQuery))


def test_transfer_goes_on_after_a_restart_and_with_a_newer_snapshot(tmp_path):
    """Rule 41: what is proved is not fetched again, though the snapshot it was of is gone."""
    network = Network(tmp_path / "a", [None])
    store = trio.run(network.fetch)
    check_installed(network, store, 30)
    whole = buckets_asked(network)

    network = Network(tmp_path / "b", [None])
    trio.run(network.fetch, 0, lambda: buckets_asked(network) > whole // 2).close()
    assert network.events == []
    first = buckets_asked(network)
    source = network.links.sources[1]
    source.grow(20)
    assert source.shelf.heights == (40, 50)
    source.asked.clear()
    store = trio.run(network.fetch)
    check_installed(network, store, 50)
    truth = Network(tmp_path / "c", [None], 55)
    trio.run(truth.fetch).close()
    assert buckets_asked(network) < buckets_asked(truth)
    assert 0 < first < whole


def test_shelf_offers_nothing_uncertified_and_keeps_two(tmp_path):
    """Rules 18 and 41."""
    network = Network(tmp_path, [None])
    source = network.links.sources[1]
    assert source.shelf.heights == (20, 30)
    certificate = source.chain.store.get(key := height_key(CERTIFICATES, 30))
    source.chain.store.write({key: None}, sync=True)
    store = trio.run(network.fetch)
    check_installed(network, store, 20)
    source.chain.store.write({key: certificate}, sync=True)
    source.shelf.clear()
    assert source.shelf.heights == ()


def test_what_is_stopped_before_it_has_begun_never_begins(tmp_path):
    """A change of seats must not wait for a transfer that nobody wants any more (rule 2)."""
    network = Network(tmp_path, [None])
    store = SwitchableStore(tmp_path)
    chain = network.links.sources[1].chain
    target = ChainStore(chain.store).certificate(chain.head.height)
    assert target is not None

    async def main() -> None:
        validators = chain.genesis.validator_keys()
        transfer = StateTransfer(store, validators, network.links, network.events.append)  # type: ignore[arg-type]
        network.links.transfer = transfer
        async with trio.open_nursery() as nursery:
            network.links.nursery = nursery
            nursery.start_soon(transfer.run)
            for turns in range(6):
                transfer.start(fx.FetchState(0, target, (1,)))
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                with trio.fail_after(300):
                    await transfer.stop()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert ChainStore(store).height() == 0
    store.close()


def test_source_without_a_link_is_passed_over_at_once(tmp_path):
    network = Network(tmp_path, [None, None])
    gone = network.links.sources[2]
    network.links.cut.add(2)
    store = trio.run(network.fetch)
    check_installed(network, store, 30)
    assert gone.asked == []
