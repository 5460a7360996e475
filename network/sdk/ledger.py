"""`Ledger`: acts and questions through the client, with typed answers.

    with open_ledger(Profile.load(Path("clients/icbc-gd"))) as ledger:
        done = ledger.send(Pledge(asset=asset, application=application))
        print(done.answer.pledged_fen, done.receipt.header.height)

`send` returns when a certified receipt has been verified, as `SyncClient` does; a result that is
not OK is raised as `Rejected` with its code, so an answer in hand is always that of an act that had
effect. What `ask` answers is one node's word; what must be proved is asked with `network.finality`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ledger.chain.receipt import Receipt
from ledger.errors import Code, Rejected, RemoteError
from network.client import Client, ClientPolicy, SyncClient
from network.methods import WatchStream
from network.profile import Profile
from network.sdk.reading import Act, Ask, answer_type, read

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Done(Generic[A]):
    """What an act came to, and the verified receipt that proves it."""

    answer: A
    receipt: Receipt

    @property
    def id(self) -> bytes:
        """The 32-byte id of the transaction."""
        return self.receipt.transaction_id


def read_result(act: Act[A], receipt: Receipt) -> Done[A]:
    """Return the typed result of an act; raise `Rejected` with its code if it had no effect.

    Raises `Refused` (5002) for a result that is not of the act's kind.
    """
    number, data = receipt.result
    if number == Code.OK:
        return Done(read(answer_type(type(act)), data, act.kind), receipt)
    text = str(data.get("error", "")) if isinstance(data, Mapping) else ""
    try:
        code = Code(number)
    except ValueError:
        code, text = Code.INTERNAL, f"result {number}, which this SDK does not know: {text}"
    raise Rejected(code, f"{text} [transaction {receipt.transaction_id.hex()}]")


def check_arrived(items: Sequence[Any], height: int, wait_ms: int) -> None:
    """Raise `RemoteError` 5008 when a node showed no certified block of a height in time."""
    if not items:
        text = f"no certified block {height} here after {wait_ms} ms: ask again, or another node"
        raise RemoteError("node", Code.TIMED_OUT, text)


class Ledger:
    """One identity's typed way to its network, for blocking programs; made by `open_ledger`."""

    def __init__(self, client: SyncClient) -> None:
        self.client = client

    def send(self, act: Act[A], wait_ms: int = 60_000) -> Done[A]:
        """Sign, submit and wait for the verified receipt.

        Raises `Rejected` with the result's code, `RemoteError` when no receipt came in time: the
        act may still have effect, ask for its fate.
        """
        receipt = self.client.submit_kind(act.kind, act.body(), act.attachments(), wait_ms)
        return read_result(act, receipt)

    def ask(self, question: Ask[A]) -> A:
        """Return the answer of a query; raise `NodeError` with the node's code for a refusal."""
        value: Any = self.client.query(question.name, question.body())
        answer: A = read(answer_type(type(question)), value, question.name)
        return answer

    def wait_for(self, receipt: Receipt, wait_ms: int = 60_000) -> None:
        """Wait until the node that is asked here has what a receipt of another node proves.

        Raises `RemoteError` 5008 when it has not after `wait_ms`.
        """
        height = receipt.header.height
        items, _ = self.client.watch(WatchStream.BLOCKS, height - 1, limit=1, wait_ms=wait_ms)
        check_arrived(items, height, wait_ms)


class AsyncLedger:
    """The same for trio, over a `Client` that `network.client.open_client` gives."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def send(self, act: Act[A], wait_ms: int = 60_000) -> Done[A]:
        """See `Ledger.send`."""
        receipt = await self.client.submit_kind(act.kind, act.body(), act.attachments(), wait_ms)
        return read_result(act, receipt)

    async def ask(self, question: Ask[A]) -> A:
        """See `Ledger.ask`."""
        value: Any = await self.client.query(question.name, question.body())
        answer: A = read(answer_type(type(question)), value, question.name)
        return answer

    async def wait_for(self, receipt: Receipt, wait_ms: int = 60_000) -> None:
        """See `Ledger.wait_for`."""
        height = receipt.header.height
        items, _ = await self.client.watch(WatchStream.BLOCKS, height - 1, limit=1, wait_ms=wait_ms)
        check_arrived(items, height, wait_ms)


@contextmanager
def open_ledger(profile: Profile, policy: ClientPolicy | None = None) -> Iterator[Ledger]:
    """Give a ledger that connects when it is first used, and disconnects at the block's end."""
    with SyncClient(profile, policy) as client:
        yield Ledger(client)
