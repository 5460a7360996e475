"""A node that was killed between a block and its certificate gets the certificate all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from consensus import effects as fx
from consensus.config import production
from consensus.events import BlockInstalled, Event, FetchFailed
from ledger.chain.certificate import Certificate
from ledger.storage.chain_store import ChainStore, certificate_writes
from network.runtime.catch_up import CatchUp
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
    """Executes nothing new: blocks are taken over as the harness made them."""

    own: CertifiedChain
    full: CertifiedChain

    @property
    def head(self) -> Any:
        return self.own.head

    async def execute(self, batch: Any, *_: object, expected: Any = None) -> None:
        transactions: Sequence[Any] = ChainStore(self.full.store).transactions(
            _block(self.full, batch.height)
        )
        self.own.block(*transactions, time_ms=batch.time_ms, is_certified=False)
        assert self.own.head == expected

    def keep_certificate(self, certificate: Certificate) -> None:
        self.own.store.write(certificate_writes(certificate), sync=False)


def _block(chain: CertifiedChain, height: int) -> Any:
    return ChainStore(chain.store).block(height)


def catch_up(spoil: bool) -> tuple[list[int], list[Event], list[GetBlocks]]:
    """Let a node that has four blocks, the last two without certificates, catch up to block 5.

    Returns the heights it has certificates of, the events, and what it asked for.
    """
    full, own = filled_chain(), CertifiedChain()
    for height in range(1, 5):
        block = _block(full, height)
        own.block(
            *ChainStore(full.store).transactions(block),
            time_ms=block.time_ms,
            is_certified=height < 3,
        )
    keys = tuple(key for _, key in full.genesis.validator_keys())
    config = production(full.genesis.chain_id, 0, keys, 0)
    target = ChainStore(full.store).certificate(5)
    assert target is not None
    events: list[Event] = []
    held = MembershipWatch(full.store)
    server = CatchUp(ChainStore(full.store), held, None, events.append)  # type: ignore[arg-type]
    server.enter(config)
    peers = OtherMember(server, spoil)

    async def main() -> None:
        done = trio.Event()

        def post(event: Event) -> None:
            events.append(event)
            if isinstance(event, FetchFailed) or getattr(event, "height", 0) == 5:
                done.set()

        known = MembershipWatch(own.store)
        asker = CatchUp(ChainStore(own.store), known, peers, post)  # type: ignore[arg-type]
        asker.enter(config)
        asker.bind(Keeper(own, full))
        peers.asker = asker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asker.run)
            asker.start(fx.FetchBlocks(5, target, (SOURCE,)))
            await done.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
    chain = ChainStore(own.store)
    return [h for h in range(1, 7) if chain.certificate(h) is not None], events, peers.asked


def test_certificates_that_a_crash_took_are_fetched_again() -> None:
    held, events, asked = catch_up(spoil=False)
    assert held == [1, 2, 3, 4, 5]
    assert asked[0] == GetBlocks(3, 4)
    assert isinstance(events[-1], BlockInstalled)


def test_certificate_that_does_not_verify_is_not_kept() -> None:
    held, events, _ = catch_up(spoil=True)
    assert held == [1, 2]
    assert isinstance(events[-1], FetchFailed)
