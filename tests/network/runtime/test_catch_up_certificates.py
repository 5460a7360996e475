"""A node that was killed between a block and its certificate gets the certificate all the same.

And one that fetches blocks from a member that claims to be further than it is (F73) ends that, and
gets them from another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from consensus import effects as fx
from consensus.events import BlockInstalled, Event, FetchFailed
from ledger.chain.certificate import Certificate
from ledger.storage.chain_store import ChainStore, certificate_writes
from network.runtime.catch_up import ROUNDS, CatchUp
from network.runtime.membership import MembershipWatch
from network.wire import Blocks, GetBlocks, PeerFrame
from tests.audit.chain import CertifiedChain, filled_chain

SOURCE = 1


@dataclass
class OtherMember:
    """Answers with the blocks of a chain; `spoil` changes the certificates that it shows."""

    server: CatchUp
    spoil: bool = False
    asker: CatchUp | None = None
    asked: list[GetBlocks] = field(default_factory=list)
    connected: frozenset[int] = frozenset((SOURCE,))

    def send(self, _member: int, frame: PeerFrame) -> bool:
        assert isinstance(frame, GetBlocks)
        assert self.asker is not None
        self.asked.append(frame)
        parts = self.server._read_parts(frame)
        if self.spoil:
            parts = [replace(part, certificate=_spoilt(part.certificate)) for part in parts]
        self.asker.on_blocks(SOURCE, Blocks(tuple(parts), frame.last))
        return True


def _spoilt(certificate: bytes) -> bytes:
    return certificate[:-1] + bytes((certificate[-1] ^ 1,)) if certificate else certificate


@dataclass
class Keeper:
    """Keeps certificates as a node does."""

    own: CertifiedChain

    @property
    def head(self) -> Any:
        return self.own.head

    def keep_certificate(self, certificate: Certificate) -> None:
        self.own.store.write(certificate_writes(certificate), sync=False)


def _block(chain: CertifiedChain, height: int) -> Any:
    return ChainStore(chain.store).block(height)


def fill_holes(lacking: Collection[int], spoil: bool = False) -> tuple[list[int], list[GetBlocks]]:
    """Let a node with blocks 1 to 5, some without certificates, look for what it lacks.

    Returns the heights it has certificates of in the end, and what it asked for.
    """
    full, own = filled_chain(), CertifiedChain()
    for height in range(1, 6):
        block = _block(full, height)
        own.block(
            *ChainStore(full.store).transactions(block),
            time_ms=block.time_ms,
            is_certified=height not in lacking,
        )
    held = MembershipWatch(full.store)
    server = CatchUp(ChainStore(full.store), held, None, lambda _: None)  # type: ignore[arg-type]
    peers = OtherMember(server, spoil)

    async def main() -> None:
        known = MembershipWatch(own.store)
        asker = CatchUp(ChainStore(own.store), known, peers, lambda _: None)  # type: ignore[arg-type]
        asker.bind(Keeper(own))  # type: ignore[arg-type]
        peers.asker = asker
        for _ in range(2):
            await asker.fill_holes()

    trio.run(main)
    chain = ChainStore(own.store)
    return [h for h in range(1, 7) if chain.certificate(h) is not None], peers.asked


def test_certificates_that_a_crash_took_are_fetched_again() -> None:
    held, asked = fill_holes(lacking=(2, 4))
    assert held == [1, 2, 3, 4, 5]
    assert asked == [GetBlocks(4, 4), GetBlocks(2, 2)]


def test_certificate_that_does_not_verify_is_not_kept() -> None:
    held, asked = fill_holes(lacking=(2, 4), spoil=True)
    assert held == [1, 3, 5]
    assert asked == [GetBlocks(4, 4)] * 2


def test_votes_on_their_way_are_not_asked_for() -> None:
    """Above the last certificate the replica collects votes: nothing is lacking there."""
    held, asked = fill_holes(lacking=(4, 5))
    assert (held, asked) == ([1, 2, 3], [])


FAR = 2**62


@dataclass
class TwoMembers(OtherMember):
    """Of two members the first claims a far head and has nothing; the other is honest."""

    connected: frozenset[int] = frozenset((SOURCE, SOURCE + 1))
    members_asked: list[int] = field(default_factory=list)
    liars: frozenset[int] = frozenset((SOURCE,))

    def send(self, member: int, frame: PeerFrame) -> bool:
        assert isinstance(frame, GetBlocks)
        assert self.asker is not None
        self.members_asked.append(member)
        parts = [] if member in self.liars else self.server._read_parts(frame)
        self.asker.on_blocks(member, Blocks(tuple(parts), FAR))
        return True


@dataclass
class Installer(Keeper):
    """Executes blocks as the harness does."""

    async def execute(self, batch: Any, transactions: Any, _: object, expected: Any = None) -> None:
        self.own.block(*transactions, time_ms=batch.time_ms, is_certified=False)
        assert self.own.head == expected


def fetch(liars: Collection[int]) -> tuple[list[Event], list[int]]:
    """Let an empty node fetch five blocks; return the events and who was asked."""
    full, own = filled_chain(), CertifiedChain()
    target = ChainStore(full.store).certificate(5)
    assert target is not None
    events: list[Event] = []
    held = MembershipWatch(full.store)
    server = CatchUp(ChainStore(full.store), held, None, lambda _: None)  # type: ignore[arg-type]
    peers = TwoMembers(server, liars=frozenset(liars))

    async def main() -> None:
        done = trio.Event()

        def post(event: Event) -> None:
            events.append(event)
            if isinstance(event, FetchFailed) or getattr(event, "height", 0) == 5:
                done.set()

        known = MembershipWatch(own.store)
        asker = CatchUp(ChainStore(own.store), known, peers, post)  # type: ignore[arg-type]
        asker.bind(Installer(own))  # type: ignore[arg-type]
        peers.asker = asker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asker.run)
            asker.start(fx.FetchBlocks(1, target, (SOURCE, SOURCE + 1)))
            await done.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
    return events, peers.members_asked


def test_f73_a_lying_height_is_passed_over() -> None:
    events, asked = fetch(liars=(SOURCE,))
    assert [event.height for event in events if isinstance(event, BlockInstalled)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert asked == [SOURCE, SOURCE + 1]


def test_f73_sync_ends_when_all_sources_lie() -> None:
    events, asked = fetch(liars=(SOURCE, SOURCE + 1))
    assert events == [FetchFailed(5)]
    assert asked == [SOURCE, SOURCE + 1] * ROUNDS
