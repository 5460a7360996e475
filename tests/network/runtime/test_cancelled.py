"""A task cancelled in the middle of its work leaves nothing half done (F51).

`cut_short` runs a part again and again, cancelled before the first step that the scheduler gives
it, before the second, and so on, until one run comes to its end. A worker thread that has begun
ends its work: the disk has all of a write or nothing, and nothing was sent that is not on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from consensus import effects as fx
from consensus.log import AcceptedRecord, decode_record
from consensus.messages import Prepare, PrePrepare
from consensus.wire import decode_message
from ledger.chain.batch import Batch
from ledger.execution import execute_block
from ledger.storage.chain_store import ChainStore
from ledger.storage.files import DiskFiles
from ledger.storage.leveldb import LevelStore
from ledger.storage.vote_log import create_vote_log, log_identity, open_vote_log
from network.runtime.blocks import BlockKeeper
from network.runtime.membership import MembershipWatch
from network.runtime.mempool import Mempool
from network.runtime.performer import Performer, split_entries
from tests.ledger_harness import Harness, company_code

CHAIN, KEY = bytes(32), bytes(range(32))
ROUNDS = 3
STEPS_MAX = 100


class Cutter(trio.abc.Instrument):
    """Cancels a scope when the task called `work` is about to take its nth step."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._scope = scope
        self._left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name == "work":
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


def cut_short(make: Callable[[int], Callable[[], Awaitable[None]]]) -> Iterator[bool]:
    """Run what `make(n)` returns, cut at its nth step, from 1 on; yield whether it was cut."""
    for step in range(1, STEPS_MAX):
        work, scope = make(step), trio.CancelScope()

        async def main(
            work: Callable[[], Awaitable[None]] = work,
            scope: trio.CancelScope = scope,
            step: int = step,
        ) -> None:
            trio.lowlevel.add_instrument(Cutter(scope, step))
            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(work, name="work")

        trio.run(main)
        yield scope.cancel_called
        if not scope.cancel_called:
            return
    raise AssertionError(f"the work has more than {STEPS_MAX} steps")


def vote(height: int) -> tuple[fx.Persist, fx.Broadcast]:
    """Return the effects of accepting a proposal: its record, and the PREPARE for it."""
    batch = Batch(height, 1_000, ())
    digest = batch.digest(CHAIN)
    record = AcceptedRecord(PrePrepare(0, 0, digest, 0, bytes(64), batch))
    return fx.Persist(record, ()), fx.Broadcast(Prepare(0, 0, height, digest, 1, bytes(64)))


@dataclass
class Links:
    """Notes the heights of the votes that were sent, and has the next one performed."""

    performer: Any = None
    end: trio.CancelScope = field(default_factory=trio.CancelScope)
    sent: list[int] = field(default_factory=list)

    def broadcast_message(self, data: bytes) -> None:
        message: Any = decode_message(data)
        self.sent.append(message.height)
        if len(self.sent) < ROUNDS:
            self.performer.accept(vote(message.height + 1))
        else:
            self.end.cancel()


def test_f51_cancelled_performer_has_sent_only_what_its_log_holds(tmp_path: Path) -> None:
    identity, all_links = log_identity(CHAIN, KEY), dict[int, Links]()

    def make(step: int) -> Callable[[], Awaitable[None]]:
        nothing: Any = SimpleNamespace()
        links = all_links[step] = Links()
        log = create_vote_log(tmp_path / str(step), DiskFiles(), identity)
        some: Any = links
        performer = links.performer = Performer(
            Mempool(), some, nothing, nothing, lambda effect: None
        )
        performer.use_votes(log, [])
        performer.accept(vote(1))

        async def work() -> None:
            try:
                with links.end:
                    await performer.run()
            finally:
                log.close()

        return work

    for step, was_cut in enumerate(cut_short(make), 1):
        log = open_vote_log(tmp_path / str(step), DiskFiles(), identity)
        records: list[Any] = [decode_record(item) for item in split_entries(log.read())[0]]
        log.close()
        heights = [record.pre_prepare.batch.height for record in records]
        sent = all_links[step].sent
        assert heights[: len(sent)] == sent
        assert heights == list(range(1, len(heights) + 1))
        assert was_cut or sent == list(range(1, ROUNDS + 1))
    assert len(all_links) > ROUNDS


def test_f51_cancelled_keeper_has_a_block_wholly_or_not_at_all(tmp_path: Path) -> None:
    chain = Harness()
    before = dict(chain.store.scan(b"", b"\xff" * 64))
    transaction = chain.bind(company_code(1))
    executed = chain.block(transaction)
    stores: dict[int, LevelStore] = {}

    def make(step: int) -> Callable[[], Awaitable[None]]:
        store = stores[step] = LevelStore(tmp_path / str(step))
        store.write(before, sync=True)
        nothing: Any = SimpleNamespace(bind=lambda _part: None)
        keeper = BlockKeeper(
            store,
            ChainStore(store),
            lambda parent, batch, items, _digests: execute_block(store, parent, batch, items),
            Mempool(),
            nothing,
            nothing,
            nothing,
            MembershipWatch(store),
            lambda _event: None,
        )

        async def work() -> None:
            await keeper.execute(executed.batch, [transaction], [None])
            assert keeper.head == executed.header

        return work

    after = {**before, **executed.writes}
    outcomes = [
        before,
        {key: value for key, value in after.items() if value is not None},
    ]
    seen = set()
    for step, was_cut in enumerate(cut_short(make), 1):
        held = dict(stores[step].scan(b"", b"\xff" * 64))
        stores[step].close()
        seen.add(outcomes.index(held))
        assert was_cut or held == outcomes[1]
    assert seen == {0, 1}
