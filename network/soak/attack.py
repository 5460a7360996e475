"""Runs an attacker until the process is told to stop, and says what it did."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio

from ledger.keys import SigningKey
from ledger.membership.genesis import Genesis
from network.peers import PeerAddress
from network.profile import Profile, anchors_of, parse_address
from network.soak.crowd import Crowd
from network.soak.flood import Flood
from network.soak.liar import Liar
from network.tls import TlsEndpoint


def run_flood(profile: Profile, requests_per_s: float) -> Mapping[str, float]:
    """Flood the nodes of `profile`; return what was answered, and the processor seconds used."""
    flood = Flood(profile, requests_per_s, seed=1)
    _run_until_told(flood.run)
    return {**flood.told, "processor seconds": time.process_time()}


def run_crowd(address: str, size: int) -> Mapping[str, float]:
    """Keep a crowd of connections at one node's door; return what became of them."""
    crowd = Crowd(*parse_address(address), size)
    _run_until_told(crowd.run)
    return {**crowd.seen, "open": crowd.open_now, "processor seconds": time.process_time()}


def run_liar(
    genesis: Genesis,
    member: str,
    addresses: Mapping[str, str],
    folder: Path,
    key: SigningKey,
    frames_per_s: float,
) -> Mapping[str, float]:
    """Lie as `member`, whose TLS files lie in `folder`; return what was sent."""
    peers = [
        PeerAddress(index, name, *parse_address(addresses[name]))
        for index, name in enumerate(genesis.validators)
    ]
    own = next(peer for peer in peers if peer.member == member)
    tls = TlsEndpoint(anchors_of(genesis), folder / "tls.crt", folder / "tls.key")
    liar = Liar(genesis.chain_id, own, peers, tls, key, frames_per_s, seed=1)
    _run_until_told(liar.run)
    return {**liar.told, "processor seconds": time.process_time()}


def _run_until_told(attack: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

    trio.run(main)
