"""Puts a load on a network: closed loop to find the maximum, open loop to find latencies.

A closed loop keeps a bounded number of transactions uncommitted at each node and sends more as
blocks come, so that what is measured is the network and not a queue. An open loop sends at a fixed
rate, whatever comes back, and takes latency from the moment at which a transaction was due.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

import trio

from ledger.errors import Code
from ledger.transactions.envelope import Transaction
from network.client import Client
from network.connection import NodeError
from network.methods import WatchStream

SUBMIT_AT_ONCE = 64
SUBMIT_BYTES = 1024 * 1024
WATCH_MS = 2_000
HAND_IN_MS = 20
# As nodes ask for (`network.runtime.door.RETRY_AFTER_MS`).
BUSY_SECONDS = 0.05


@dataclass(slots=True)
class Progress:
    """What a load has done so far; times are `time.perf_counter` seconds."""

    submitted: int = 0
    busy: int = 0
    committed: int = 0
    commits: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, start: float, end: float) -> float:
        """Return transactions committed a second between two moments."""
        return sum(count for at, count in self.commits if start <= at < end) / (end - start)


async def watch_commits(client: Client, progress: Progress, from_height: int) -> None:
    """Count certified transactions as blocks come, until cancelled."""
    cursor = from_height
    while True:
        blocks, cursor = await client.watch(WatchStream.BLOCKS, cursor, wait_ms=WATCH_MS)
        for block in blocks:
            progress.committed += block["transactions"]
            progress.commits.append((time.perf_counter(), block["transactions"]))


async def closed_loop(
    clients: Sequence[Client],
    transactions: Sequence[Transaction],
    progress: Progress,
    in_flight: int,
) -> None:
    """Submit all, in order, with at most `in_flight` uncommitted; share them among the clients."""
    shares = [list(transactions[index :: len(clients)]) for index in range(len(clients))]
    async with trio.open_nursery() as nursery:
        for client, share in zip(clients, shares, strict=True):
            nursery.start_soon(_feed, client, share, progress, in_flight)


async def _feed(
    client: Client, share: list[Transaction], progress: Progress, in_flight: int
) -> None:
    position = 0
    while position < len(share):
        if progress.submitted - progress.committed >= in_flight:
            await trio.sleep(0.002)
            continue
        chunk = _chunk(share, position)
        answers = await client.submit_many(chunk)
        taken = sum(answer.code == 0 for answer in answers)
        progress.submitted += taken
        refused = [item for item, answer in zip(chunk, answers, strict=True) if answer.code != 0]
        progress.busy += len(refused)
        share[position : position + len(chunk)] = [*chunk[: len(chunk) - len(refused)], *refused]
        position += taken
        if refused:
            await trio.sleep(BUSY_SECONDS)


def _chunk(share: list[Transaction], position: int) -> list[Transaction]:
    chunk: list[Transaction] = []
    size = 0
    for item in share[position : position + SUBMIT_AT_ONCE]:
        size += len(item.unsigned) + sum(map(len, item.attachments))
        if chunk and size > SUBMIT_BYTES:
            break
        chunk.append(item)
    return chunk


async def open_loop(
    clients: Sequence[Client],
    transactions: Sequence[Transaction],
    rate: float,
    sample_every: int = 1,
) -> list[float]:
    """Submit at `rate` a second; return the milliseconds to the certified receipt of a sample.

    Every `sample_every`-th transaction is followed to its receipt, which is verified; the others
    are handed in together, what became due within HAND_IN_MS, to one node after the other.
    """
    latencies: list[float] = []
    turns = cycle(clients)
    start = time.perf_counter() + 0.1
    async with trio.open_nursery() as nursery:
        waiting: list[Transaction] = []
        for index, item in enumerate(transactions):
            due = start + index / rate
            await trio.sleep(max(0.0, due - time.perf_counter()))
            if index % sample_every == 0:
                nursery.start_soon(_timed, next(turns), item, due, latencies)
                continue
            waiting.append(item)
            if len(waiting) * 1000 >= rate * HAND_IN_MS or len(waiting) == SUBMIT_AT_ONCE:
                nursery.start_soon(_hand_in, next(turns), waiting)
                waiting = []
        nursery.start_soon(_hand_in, next(turns), waiting)
    return latencies


async def _hand_in(client: Client, items: Sequence[Transaction]) -> None:
    while items:
        answers = await client.submit_many(items)
        items = [item for item, answer in zip(items, answers, strict=True) if answer.code]
        if items:
            await trio.sleep(BUSY_SECONDS)


async def _timed(client: Client, item: Transaction, due: float, latencies: list[float]) -> None:
    while True:
        try:
            await client.submit(item)
            await client.receipt(item.id)
        except NodeError as error:
            if error.code not in (Code.BUSY, Code.TIMED_OUT):
                raise
            await trio.sleep(BUSY_SECONDS)
        else:
            latencies.append((time.perf_counter() - due) * 1000)
            return
