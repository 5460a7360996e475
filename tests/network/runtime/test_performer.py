"""Effects that are performed at once, and not behind a slow disk (rule 20)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio

from consensus import effects as fx
from ledger.transactions.envelope import Transaction
from network.runtime.mempool import Held, Mempool
from network.runtime.performer import Performer
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
