"""A client that floods: as much as its member's certificate lets in, and none of it worth a thing.

It opens some connections to every node and keeps each busy: transactions in batches, of the right
form, each another, with a signature that is not one; receipts of transactions that never were;
questions whose answers are long. It waits for answers only so far as TCP makes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio

from ledger.encoding import encode
from ledger.errors import CreditLedgerError
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction
from network import methods
from network.client import open_client
from network.connection import NodeError, open_connection
from network.profile import NodeAddress, Profile

CONNECTIONS = 4
AT_ONCE = 32
AGAIN_S = 0.2
ANSWER_S = 5.0
TTL_MS = 3_600_000


@dataclass(slots=True)
class Flood:
    """One flooding client; `told` counts requests by their answer."""

    profile: Profile
    requests_per_s: float
    seed: int
    told: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Flood every node of the profile, until cancelled."""
        async with open_client(self.profile) as client:
            example = self._example((await client.head()).clock_ms + TTL_MS)
        async with trio.open_nursery() as nursery:
            for node in self.profile.nodes:
                for number in range(CONNECTIONS):
                    random = Random(f"{self.seed}/{node.member}/{number}")  # noqa: S311
                    nursery.start_soon(self._keep, node, random, example)

    def _example(self, expires_at_ms: int) -> Transaction:
        """Return a transaction that is right but for its signature."""
        profile = self.profile
        return sign_transaction(
            SigningKey(bytes(32)),
            chain_id=profile.chain_id,
            sender=profile.sender,
            nonce=bytes(16),
            expires_at_ms=expires_at_ms,
            kind="records.submit",
            body={"category": "C040", "count": 1},
        )

    async def _keep(self, node: NodeAddress, random: Random, example: Transaction) -> None:
        while True:
            try:
                await self._flood(node, random, example)
            except* (CreditLedgerError, OSError):
                self.told["connections lost"] += 1
            await trio.sleep(AGAIN_S)

    async def _flood(self, node: NodeAddress, random: Random, example: Transaction) -> None:
        pause_s = CONNECTIONS * len(self.profile.nodes) / self.requests_per_s
        async with trio.open_nursery() as nursery:
            connection = await open_connection(
                nursery,
                self.profile.tls,
                node,
                self.profile.chain_id,
                ANSWER_S,
                trio.open_tcp_stream,
            )
            room = trio.Semaphore(8)

            async def ask(method: str, params: Mapping[str, Any]) -> None:
                async with room:
                    try:
                        await connection.call(method, params, ANSWER_S)
                        self.told["answered"] += 1
                    except NodeError as error:
                        self.told[error.code.name] += 1

            while True:
                async with room:
                    pass
                nursery.start_soon(ask, *_request(random, example))
                await trio.sleep(pause_s)


def _request(random: Random, example: Transaction) -> tuple[str, Mapping[str, Any]]:
    chosen = random.randrange(4)
    if chosen == 0:
        return methods.RECEIPT, {"id": random.randbytes(32), "wait_ms": 0}
    if chosen == 1:
        return methods.FATE, {"ids": tuple(random.randbytes(32) for _ in range(256))}
    wires = tuple(encode((example.unsigned, random.randbytes(64), ())) for _ in range(AT_ONCE))
    return methods.SUBMIT_MANY, {"txs": wires}
