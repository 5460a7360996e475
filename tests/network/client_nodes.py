"""Small honest and dishonest nodes that a client speaks to over links in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from ledger.chain import merkle
from ledger.chain.batch import Batch
from ledger.chain.block import result_leaf
from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.hashes import ZERO_HASH
from ledger.chain.header import Header
from ledger.chain.receipt import Receipt
from ledger.encoding import Value
from ledger.errors import Code, Refused
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from ledger.transactions.envelope import Transaction, decode_transaction
from network import methods
from network.certificates import ClientIdentity
from network.client import Client, ClientPolicy, Profile, open_client
from network.gateway import Gateway
from network.listener import Listener
from network.methods import Accepted, Fate, FateStatus, Head
from network.profile import NodeAddress
from network.wire import Request
from tests.network.support import MEMBERS, Consortium, Wire, run

NODES = tuple(NodeAddress(member, "10.0.0.1", 7000 + index) for index, member in enumerate(MEMBERS))


POLICY = ClientPolicy(connect_s=2.0, answer_s=5.0, receipt_poll_s=2.0)


CLOCK_MS = 1_600_000_000_000


class Ledger:
    """What all nodes share: transactions by id, executed once; certified blocks of one each."""

    def __init__(self, consortium: Consortium, chain_id: bytes) -> None:
        self.chain_id = chain_id
        self.transactions: dict[bytes, Transaction] = {}
        self.submissions: list[tuple[str, bytes]] = []
        self.certified = trio.Event()
        self._keys = [SigningKey(consortium.node_seeds[name]) for name in MEMBERS]
        self._ids = MEMBERS

    def receipt(self, transaction: Transaction, result: tuple[int, Value] = (0, None)) -> Receipt:
        """Certify a block of this one transaction."""
        batch = Batch(1, CLOCK_MS, (transaction.signed_hash,))
        header = Header(
            1,
            self.chain_id,
            1,
            ZERO_HASH,
            CLOCK_MS,
            batch.digest(self.chain_id),
            merkle.compute_root([result_leaf(result)]),
            ZERO_HASH,
            ZERO_HASH,
            0,
            1,
        )
        votes = tuple(
            (i, key.sign(checkpoint_signing_input(self.chain_id, 0, 1, header.hash(), i)))
            for i, key in enumerate(self._keys[: quorum(len(self._keys))])
        )
        return Receipt(
            transaction.unsigned,
            transaction.signature,
            result,
            0,
            CLOCK_MS,
            (),
            (),
            header,
            Certificate(0, 1, header.hash(), votes),
            tuple((name, key.public_key) for name, key in zip(self._ids, self._keys, strict=True)),
        )


class FakeNode:
    """One node's handler; `moods` are done to requests, first things first, before it behaves."""

    def __init__(self, member: str, ledger: Ledger) -> None:
        self.member = member
        self.ledger = ledger
        self.moods: list[Callable[[], Awaitable[None]]] = []
        self.forge: Callable[[Receipt], bytes] = Receipt.encoded
        self.asked: list[str] = []

    async def handle(self, _client: ClientIdentity, request: Request) -> Value:
        """Answer as `network.methods` says."""
        self.asked.append(request.method)
        if self.moods and request.method != methods.HEAD:
            await self.moods.pop(0)()
        answer: Value = await getattr(self, request.method)(request.params)
        return answer

    async def head(self, _params: Any) -> Value:
        """Tell a fixed clock."""
        return Head(7, bytes(32), CLOCK_MS - 5, CLOCK_MS, 6).to_value()

    async def submit(self, params: Any) -> Value:
        """Take the transaction; a repeat changes nothing."""
        transaction = decode_transaction(params["tx"])
        self.ledger.submissions.append((self.member, params["tx"]))
        self.ledger.transactions[transaction.id] = transaction
        return {"id": transaction.id}

    async def submit_many(self, params: Any) -> Value:
        """Take the first of them."""
        first = decode_transaction(params["txs"][0])
        rest = [Accepted(None, int(Code.BUSY), "full")] * (len(params["txs"]) - 1)
        return {"items": [item.to_value() for item in [Accepted(first.id), *rest]]}

    async def fate(self, params: Any) -> Value:
        """Tell what is known."""
        known = self.ledger.transactions
        return {
            "items": [
                Fate(i, FateStatus.COMMITTED if i in known else FateStatus.UNKNOWN).to_value()
                for i in params["ids"]
            ]
        }

    async def receipt(self, params: Any) -> Value:
        """Wait as long as asked, then give the receipt."""
        transaction = self.ledger.transactions.get(params["id"])
        if transaction is None:
            raise Refused(Code.NOT_FOUND, "transaction is unknown here")
        with trio.move_on_after(params["wait_ms"] / 1000) as scope:
            await self.ledger.certified.wait()
        if scope.cancelled_caught:
            raise Refused(Code.TIMED_OUT, "not certified yet")
        return {"receipt": self.forge(self.ledger.receipt(transaction))}

    async def query(self, params: Any) -> Value:
        """Echo."""
        return {"node": self.member, **params}

    async def status(self, _params: Any) -> Value:
        """Say who answers."""
        return {"node": self.member}

    async def watch(self, params: Any) -> Value:
        """Give one item after the cursor."""
        return {"items": (params["stream"],), "cursor": params["cursor"] + 1}


class World:
    """Four fake nodes, and a client of the transport."""

    def __init__(self, client: Client, nodes: dict[str, FakeNode], wire: Wire) -> None:
        self.client = client
        self.nodes = nodes
        self.wire = wire
        self.ledger = nodes[MEMBERS[0]].ledger


def profile_of(consortium: Consortium) -> Profile:
    """Return the profile of the tax department's client, its own node first."""
    return Profile(
        "tax",
        "tax",
        parse_genesis(consortium.genesis()),
        NODES,
        consortium.client("tax"),
        SigningKey(consortium.seeds["tax"]),
    )


@asynccontextmanager
async def world_of(consortium: Consortium) -> AsyncIterator[World]:
    """Give a running world."""
    async with trio.open_nursery() as nursery:
        profile = profile_of(consortium)
        ledger = Ledger(consortium, profile.chain_id)
        ledger.certified.set()
        nodes = {name: FakeNode(name, ledger) for name in MEMBERS}
        wire = Wire(nursery)
        for address in NODES:
            node = nodes[address.member]
            gateway = Gateway(
                chain_id=profile.chain_id, member=node.member, members=4, handler=node.handle
            )
            listener = Listener(consortium.node(node.member), gateway.serve, gateway.serve)
            wire.listening[address.port] = listener.take
        async with open_client(profile, POLICY, wire.dial, lambda: 1.0) as client:
            yield World(client, nodes, wire)
        nursery.cancel_scope.cancel()


def play(consortium: Consortium, scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a scenario; waiting costs no time."""

    async def whole() -> None:
        async with world_of(consortium) as world:
            await scenario(world)

    run(whole, MockClock(autojump_threshold=0))
