"""Effects that are performed at once, and what the performer keeps in memory (rules 20, 44)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from consensus import effects as fx
from consensus.log import PreparedRecord, VoteRecord, retained
from ledger.transactions.envelope import Transaction
from network.runtime.mempool import Held, Mempool
from network.runtime.performer import LIVE_RECORDS, Performer
from tests.consensus.harness import Maker
from tests.ledger_harness import Harness, company_code


def _take(mempool: Mempool, transaction: Transaction) -> None:
    mempool.add(transaction.signed_hash, Held(transaction, transaction.encoded(), 1, ()))


def test_body_that_came_again_is_not_forgotten_late():  # rule 20; simulator seed 2, five members
    async def scenario() -> None:
        mempool, nothing = Mempool(), SimpleNamespace()
        performer: Any = Performer(
            mempool=mempool,
            links=nothing,
            blocks=nothing,
            timers=nothing,
            report=lambda effect: None,
        )
        transaction = Harness().bind(company_code(1))
        _take(mempool, transaction)
        performer.accept([fx.ForgetRequests((transaction.signed_hash,))])
        assert transaction.signed_hash not in mempool
        _take(mempool, transaction)  # it comes again, and a vote stands on it
        with trio.move_on_after(0):
            await performer.run()
        assert transaction.signed_hash in mempool

    trio.run(scenario)


def test_records_about_stable_heights_do_not_stay_in_memory():  # rules 20 and 44
    heights, window = 3 * LIVE_RECORDS, 32
    make, live, logged = Maker(4), [], []
    records: list[VoteRecord] = [
        PreparedRecord(0, make.proof(0, make.batch(height))) for height in range(1, heights + 1)
    ]

    async def scenario() -> None:
        done = trio.Event()
        performer: Any = Performer(
            mempool=Mempool(),
            links=SimpleNamespace(broadcast_message=lambda _data: done.set()),
            blocks=SimpleNamespace(),
            timers=SimpleNamespace(),
            report=lambda effect: None,
        )
        performer.use_votes(SimpleNamespace(append=logged.extend), live)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(performer.run)
            for first in range(0, heights, 64):
                effects: list[fx.Effect] = []
                for height in range(first + 1, first + 65):
                    effects += [fx.Persist(records[height - 1], ()), fx.PruneVotes(height - window)]
                performer.accept(effects)
                await trio.testing.wait_all_tasks_blocked()
            performer.accept([fx.Broadcast(make.prepare(0, make.batch(1), 1))])
            await done.wait()
            nursery.cancel_scope.cancel()

    trio.run(scenario)
    assert len(logged) == heights  # the disk keeps them until it is cut
    assert len(live) <= LIVE_RECORDS + 64
    # What a replica is made of is the same.
    stable = heights - window
    assert retained(live, stable) == retained(records, stable)
