"""One run of the benchmark: the phases, in order, and the figures of each.

Phases: verifications a second (idle machine); latency at light load; single-record transactions in
a closed loop, sustained; latency at 70 % of that; two kinds of records in batches of a thousand;
memory. The network's genesis is the demonstration's, with its schema and all its alerts, so that a
record pays for windows and alerts as it would in service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice

import trio

from ledger.errors import Code, LocalError
from ledger.transactions.envelope import Transaction
from network.benchmark.load import Progress, closed_loop, open_loop, watch_commits
from network.benchmark.machine import (
    Verifications,
    measure_verifications,
    memory_mib,
    processor_seconds,
)
from network.benchmark.workload import BATCH_RECORDS, Signer, Workload
from network.client import Client, open_client
from network.profile import Profile

LIGHT_RATE = 20
SAMPLES = 300
SINGLES_IN_FLIGHT = 800
BATCHES_IN_FLIGHT = 8
WARM_UP_SECONDS = 3.0
# Made beforehand: more than the fastest machine seen could commit in the time.
SINGLES_A_SECOND = 3000
BATCHES_A_SECOND = 12


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the moment a transaction was due to its verified receipt."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Transactions and records committed a second, and what they cost."""

    seconds: float
    transactions_per_s: float
    records_per_s: float
    node_us_per_transaction: float
    generator_cpu_s: float
    busy_answers: int


@dataclass(slots=True)
class Figures:
    """Everything one run measured; None: the phase was left out."""

    nodes: int
    seconds: float
    verifications: Verifications
    light: Latency | None = None
    singles: Throughput | None = None
    loaded: Latency | None = None
    loaded_rate: float = 0.0
    payments: Throughput | None = None
    invoices: Throughput | None = None
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    heights: dict[str, int] = field(default_factory=dict)
    view_changes: int = 0


Say = Callable[[str], None]


class Benchmark:
    """Runs the phases on a network that is up."""

    def __init__(
        self, profile: Profile, pids: Mapping[str, int], seconds: float, seed: int, say: Say
    ) -> None:
        self._profile = profile
        self._seconds = seconds
        self._say = say
        self._seed = seed
        self._pids = pids
        self._clients: list[Client] = []
        self.figures = Figures(len(pids), seconds, measure_verifications())

    async def run(self) -> Figures:
        """Run all phases and return their figures."""
        async with AsyncExitStack() as stack:
            for profile in self._profiles():
                self._clients.append(await stack.enter_async_context(open_client(profile)))
            workload = await self._make_workload()
            await self._measure_light(workload)
            await self._measure_singles(workload)
            await self._measure_loaded(workload)
            await self._measure_batches(workload)
            await self._look_at_nodes()
        return self.figures

    def _profiles(self) -> Iterator[Profile]:
        """Yield the department's profile once for each node, that node first."""
        own = self._profile
        for index in range(len(own.nodes)):
            nodes = own.nodes[index:] + own.nodes[:index]
            yield Profile(own.member, own.sender, own.genesis, nodes, own.tls, own.signing_key)

    async def _make_workload(self) -> Workload:
        profile = self._clients[0].profile
        if profile.signing_key is None:
            raise LocalError(Code.KEY_FILE, f"the profile of {profile.sender} cannot sign")
        clock_ms = (await self._clients[0].head()).clock_ms
        signer = Signer(profile.chain_id, profile.sender, profile.signing_key, clock_ms)
        return Workload(signer, self._seed)

    async def _measure_light(self, workload: Workload) -> None:
        self._say(f"latency at light load ({LIGHT_RATE} transactions/s)")
        transactions = list(workload.singles(SAMPLES))
        self.figures.light = latency_of(await open_loop(self._clients, transactions, LIGHT_RATE))

    async def _measure_singles(self, workload: Workload) -> None:
        self._say(f"signing transactions of one record for {self._seconds:.0f} s")
        count = int((self._seconds + WARM_UP_SECONDS) * SINGLES_A_SECOND)
        transactions = list(workload.singles(count))
        self._say(f"single-record transactions, closed loop, {self._seconds:.0f} s")
        self.figures.singles = await self._measure(transactions, SINGLES_IN_FLIGHT, 1)

    async def _measure_loaded(self, workload: Workload) -> None:
        if self.figures.singles is None:
            return
        rate = 0.7 * self.figures.singles.transactions_per_s
        self._say(f"latency at 70 % of it ({rate:.0f} transactions/s)")
        seconds = min(self._seconds, 15.0)
        transactions = list(workload.singles(int(rate * seconds)))
        every = max(1, len(transactions) // SAMPLES)
        self.figures.loaded_rate = rate
        latencies = await open_loop(self._clients, transactions, rate, every)
        self.figures.loaded = latency_of(latencies)

    async def _measure_batches(self, workload: Workload) -> None:
        seconds = min(self._seconds, 20.0)
        count = int((seconds + WARM_UP_SECONDS) * BATCHES_A_SECOND)
        self._say(f"signing {2 * count} batches of {BATCH_RECORDS} records")
        payments = list(workload.payment_batches(count))
        invoices = list(workload.invoice_batches(count))
        self._say(f"tax payments in signed batches, closed loop, {seconds:.0f} s")
        figures = self.figures
        figures.payments = await self._measure(payments, BATCHES_IN_FLIGHT, BATCH_RECORDS, seconds)
        self._say(f"invoice lines in signed batches, closed loop, {seconds:.0f} s")
        figures.invoices = await self._measure(invoices, BATCHES_IN_FLIGHT, BATCH_RECORDS, seconds)

    async def _measure(
        self,
        transactions: Sequence[Transaction],
        in_flight: int,
        records: int,
        seconds: float | None = None,
    ) -> Throughput:
        """Load for a warm-up and then `seconds`, and count what was certified in the latter."""
        lasting = seconds or self._seconds
        progress = Progress()
        head = await self._clients[0].head()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_commits, self._clients[0], progress, head.certified_height)
            nursery.start_soon(closed_loop, self._clients, transactions, progress, in_flight)
            await trio.sleep(WARM_UP_SECONDS)
            start, nodes = time.perf_counter(), processor_seconds(self._pids.values())
            own, committed = time.process_time(), progress.committed
            await trio.sleep(lasting)
            end, done = time.perf_counter(), progress.committed - committed
            used = processor_seconds(self._pids.values()) - nodes
            own = time.process_time() - own
            nursery.cancel_scope.cancel()
        await self._settle()
        rate = done / (end - start)
        return Throughput(
            end - start,
            rate,
            rate * records,
            used / max(1, done) / len(self._pids) * 1e6,
            own,
            progress.busy,
        )

    async def _settle(self) -> None:
        """Wait until nothing is pending anywhere, so that phases do not disturb each other."""
        for client in self._clients:
            while (await client.status())["mempool"]:
                await trio.sleep(0.1)

    async def _look_at_nodes(self) -> None:
        for client in self._clients:
            status = await client.status()
            member = status["member"]
            self.figures.heights[member] = status["height"]
            self.figures.view_changes = max(self.figures.view_changes, status["view_changes"])
            self.figures.memory[member] = memory_mib(self._pids[member])


def latency_of(values: Sequence[float]) -> Latency:
    """Return count and percentiles of times in milliseconds."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return next(islice(ordered, min(len(ordered) - 1, int(len(ordered) * share)), None))

    return Latency(len(ordered), at(0.5), at(0.95), at(0.99))


def run_benchmark(
    profile: Profile, pids: Mapping[str, int], seconds: float, seed: int, say: Say
) -> Figures:
    """Measure the network of `profile`, whose node processes are `pids` by member; blocking."""
    return trio.run(Benchmark(profile, pids, seconds, seed, say).run)
