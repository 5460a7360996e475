"""Checks in worker threads, in chunks (DESIGN 6, PBFT part 4).

libsodium releases the interpreter lock, so signature checks belong off the replica's loop; but a
hop to a thread costs about as much as a check, so whatever waits is checked together. Votes and
bodies have a worker each: a flood of transactions cannot delay the votes that order them. Votes
that verified once are remembered, because a VIEW-CHANGE carries many seen before (rule 29).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

from ledger.keys import verify_many
from network.runtime.threads import run_in_thread

SignatureItem = tuple[bytes, bytes, bytes]
T = TypeVar("T")
R = TypeVar("R")
CHUNK_ITEMS = 128
QUEUE_JOBS = 4096
# So few checks take less time than the way to a worker thread and back.
INLINE_ITEMS = 2
MAX_REMEMBERED = 20_000


@dataclass(slots=True, eq=False)
class _Job(Generic[T, R]):
    items: Sequence[T]
    done: trio.Event = field(default_factory=trio.Event)
    results: Sequence[R] = ()


class ChunkWorker(Generic[T, R]):
    """Runs `check` over what many callers hand in, a chunk at a time, in a worker thread."""

    def __init__(self, check: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._check = check
        self._send, self._receive = trio.open_memory_channel[_Job[T, R]](QUEUE_JOBS)
        self.checked_count = 0

    async def run(self) -> None:
        """Serve until cancelled; nothing is checked while this does not run."""
        async for first in self._receive:
            jobs, size = [first], len(first.items)
            while size < CHUNK_ITEMS:
                try:
                    job = self._receive.receive_nowait()
                except trio.WouldBlock:
                    break
                jobs.append(job)
                size += len(job.items)
            await self._run_chunk(jobs)

    async def check(self, items: Sequence[T]) -> Sequence[R]:
        """Return one result for each item."""
        if not items:
            return []
        job: _Job[T, R] = _Job(items)
        await self._send.send(job)
        await job.done.wait()
        return job.results

    async def _run_chunk(self, jobs: list[_Job[T, R]]) -> None:
        together = [item for job in jobs for item in job.items]
        results = await run_in_thread(self._check, together)
        self.checked_count += len(together)
        position = 0
        for job in jobs:
            job.results = results[position : position + len(job.items)]
            position += len(job.items)
            job.done.set()


class VoteVerifier:
    """Verifies the signatures of votes, each distinct one once."""

    def __init__(self) -> None:
        self._worker: ChunkWorker[SignatureItem, bool] = ChunkWorker(verify_many)
        self._known: OrderedDict[SignatureItem, None] = OrderedDict()

    @property
    def checked_count(self) -> int:
        """How many signatures were checked."""
        return self._worker.checked_count

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._worker.run()

    async def verify(self, items: Sequence[SignatureItem]) -> bool:
        """Tell whether every item verifies."""
        fresh = [item for item in items if item not in self._known]
        few = len(fresh) <= INLINE_ITEMS
        verdicts = verify_many(fresh) if few else await self._worker.check(fresh)
        for item, is_valid in zip(fresh, verdicts, strict=True):
            if is_valid:
                self._known[item] = None
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return all(verdicts)
