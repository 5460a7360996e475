"""Service under failure: how fast the network goes with members down, lying, and being flooded.

The same closed loop of single-record transactions is measured three times in one run, so that the
ratios do not depend on the machine: all members up; f down, the primary first; f lying in their
place, and one client flooding. The load goes through the nodes that are honest and up. Warm-up is
left out, so a view change at the start of a phase is not measured as speed but shown as a count; a
view that changes again and again would show in the longest time between two commits.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import pairwise

import trio

from ledger.errors import Code, LocalError
from network.benchmark.load import Progress, closed_loop, open_loop, watch_commits
from network.benchmark.phases import (
    SINGLES_A_SECOND,
    SINGLES_IN_FLIGHT,
    Latency,
    latency_of,
)
from network.benchmark.workload import Signer, Workload
from network.client import Client, open_client
from network.profile import Profile

WARM_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """Transactions committed a second, view changes while measured, the longest silence."""

    seconds: float
    transactions_per_s: float
    view_changes: int
    longest_gap_s: float
    busy_answers: int


def measure_service(
    profile: Profile, without: Collection[str], seconds: float, seed: int
) -> Service:
    """Measure through the nodes of all members but those in `without`; blocking."""
    return trio.run(_measure, profile, without, seconds, seed)


async def _measure(
    profile: Profile, without: Collection[str], seconds: float, seed: int
) -> Service:
    nodes = tuple(node for node in profile.nodes if node.member not in without)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                open_client(replace(profile, nodes=nodes[index:] + nodes[:index]))
            )
            for index in range(len(nodes))
        ]
        head = await clients[0].head()
        if profile.signing_key is None:
            raise LocalError(Code.KEY_FILE, f"the profile of {profile.sender} cannot sign")
        signer = Signer(profile.chain_id, profile.sender, profile.signing_key, head.clock_ms)
        count = int((seconds + WARM_UP_SECONDS) * SINGLES_A_SECOND)
        transactions = list(Workload(signer, seed).singles(count))
        progress = Progress()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_commits, clients[0], progress, head.certified_height)
            nursery.start_soon(closed_loop, clients, transactions, progress, SINGLES_IN_FLIGHT)
            await trio.sleep(WARM_UP_SECONDS)
            start, view = time.perf_counter(), await _view(clients)
            await trio.sleep(seconds)
            end, last_view = time.perf_counter(), await _view(clients)
            nursery.cancel_scope.cancel()
    times = [start, *(at for at, _ in progress.commits if start <= at < end), end]
    gap_s = max(later - earlier for earlier, later in pairwise(times))
    rate = progress.rate(start, end)
    return Service(end - start, rate, last_view - view, gap_s, progress.busy)


def measure_latency(profile: Profile, count: int, rate: float, seed: int) -> Latency:
    """Return the time to a verified receipt at `rate` transactions a second; blocking."""
    return trio.run(_measure_latency, profile, count, rate, seed)


async def _measure_latency(profile: Profile, count: int, rate: float, seed: int) -> Latency:
    if profile.signing_key is None:
        raise LocalError(Code.KEY_FILE, f"the profile of {profile.sender} cannot sign")
    async with open_client(profile) as client:
        clock_ms = (await client.head()).clock_ms
        signer = Signer(profile.chain_id, profile.sender, profile.signing_key, clock_ms)
        transactions = list(Workload(signer, seed).singles(count))
        return latency_of(await open_loop([client], transactions, rate))


async def _view(clients: list[Client]) -> int:
    return max([int((await client.status())["view"]) for client in clients])
