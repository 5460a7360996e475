"""`python -m tests.network.measure`: what frames cost between real nodes over loopback TLS.

One process holds two nodes, so the figure is the processor time of both ends: encoding, queue, TLS,
socket, TLS, frame, decoding, inbox. `--bunch` is how many small votes are queued at one time, as a
replica does for one batch; `--bulk` measures bodies in MiB/s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import trio

from network.listener import Listener
from network.peers import PeerAddress, PeerNetwork
from network.tls import SecureStream
from network.wire import Bodies, PeerFrame, Votes
from tests.network.support import CHAIN, Consortium, run


async def _no_clients(_secure: SecureStream) -> None:
    raise AssertionError("no client connects here")


async def _measure(folder: Path, frames: int, size: int, bunch: int, bulk: int) -> None:
    consortium = Consortium(folder)
    async with trio.open_nursery() as nursery:
        networks: list[PeerNetwork] = []
        port = 0
        for own in (1, 0):
            addresses = [PeerAddress(i, consortium.members[i], "127.0.0.1", port) for i in (0, 1)]
            network = PeerNetwork(
                chain_id=CHAIN,
                own=addresses[own],
                peers=addresses,
                tls=consortium.node(consortium.members[own]),
                head=lambda: 0,
                jitter=lambda: 1.0,
                nonce=lambda: bytes(16),
            )
            listener = Listener(
                consortium.node(consortium.members[own]), network.serve, _no_clients
            )
            port = await nursery.start(listener.run, "127.0.0.1", 0)
            await nursery.start(network.run)
            networks.append(network)
        receiver, sender = networks
        while not sender.connected or not receiver.connected:
            await trio.lowlevel.checkpoint()
        for count, frame, step in (
            (frames, Votes(b"v" * size), bunch),
            (bulk, Bodies((b"b" * 1000,) * 500), 4),
        ):
            seconds = await _exchange(sender, receiver, frame, count, step)
            mebibytes = count * (size if isinstance(frame, Votes) else 500_000) / 2**20
            print(
                f"{type(frame).__name__}: {count} frames in {seconds:.2f} s of processor, "
                f"{seconds / count * 1e6:.1f} us a frame, {mebibytes / seconds:.0f} MiB/s, "
                f"bunches of {step}"
            )
        nursery.cancel_scope.cancel()


async def _exchange(
    sender: PeerNetwork, receiver: PeerNetwork, frame: PeerFrame, count: int, step: int
) -> float:
    start = time.process_time()
    for _ in range(0, count, step):
        for _ in range(step):
            sender.send(0 if 0 in sender.connected else 1, frame)
        left = step
        while left:
            left -= len(await receiver.receive())
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of one vote")
    parser.add_argument("--bunch", type=int, default=50)
    parser.add_argument("--bulk", type=int, default=200, help="frames of 500 bodies of 1,000 bytes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(lambda: _measure(Path(folder), given.frames, given.size, given.bunch, given.bulk))


if __name__ == "__main__":
    main()
