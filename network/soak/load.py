"""A steady load that remembers every answer: what was acknowledged must be there at the end.

Some tasks, each at a node of its own first, submit one transaction after another and wait for its
verified receipt, at most `rate` a second together. A receipt makes a transaction acknowledged; one
whose client gave up is remembered too: its fate is open, but it must be the same at every node.
Lists only grow and may be read from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import trio

from ledger.chain.receipt import Receipt
from ledger.errors import Code, CreditLedgerError, LocalError
from ledger.transactions.envelope import Transaction
from network.benchmark.workload import Signer, Workload
from network.client import Client, ClientPolicy, open_client
from network.profile import Profile

POLICY = ClientPolicy(connect_s=1, answer_s=4, receipt_poll_s=2)
WAIT_S = 120.0
AGAIN_S = 0.5
# A node that is dying, behind, without a quorum, or of another time; the transaction may still be
# executed, through another node.
_OPEN = frozenset(
    (
        Code.TIMED_OUT,
        Code.NOT_FOUND,
        Code.CONNECT_FAILED,
        Code.CONNECTION_LOST,
        Code.NOT_SYNCED,
        Code.NOT_ORDERING,
        Code.BUSY,
        Code.TX_EXPIRED_AT_DOOR,
        Code.TX_EXPIRY_TOO_FAR,
    )
)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A transaction with a verified receipt: where it stands, and when that was known."""

    id: bytes
    code: int
    height: int
    block_hash: bytes
    at: float  # time.monotonic


@dataclass(slots=True)
class Load:
    """Submits signed records in `workers` tasks, `rate` a second in all, until cancelled."""

    profile: Profile
    rate: float
    seed: int
    workers: int = 8
    acknowledged: list[Acknowledged] = field(default_factory=list)
    given_up: list[bytes] = field(default_factory=list)
    is_over: bool = False

    def longest_gap_s(self, start: float, end: float) -> float:
        """Return the longest time without an acknowledgement between two moments (monotonic)."""
        times = [start]
        for item in reversed(self.acknowledged):
            if item.at < start:
                break
            if item.at < end:
                times.append(item.at)
        times.append(end)
        times.sort()
        return max(later - earlier for earlier, later in pairwise(times))

    async def run(self) -> None:
        """Submit until `is_over`; then each task ends after the transaction in hand."""
        transactions = self._transactions(await self._clock_ms())
        async with trio.open_nursery() as nursery:
            for profile in self._profiles():
                nursery.start_soon(self._work, profile, transactions)

    async def _clock_ms(self) -> int:
        async with open_client(self.profile, POLICY) as client:
            return (await client.head()).clock_ms

    def _transactions(self, clock_ms: int) -> Iterator[Transaction]:
        profile = self.profile
        if profile.signing_key is None:
            raise LocalError(Code.KEY_FILE, f"the profile of {profile.sender} cannot sign")
        signer = Signer(profile.chain_id, profile.sender, profile.signing_key, clock_ms)
        workload = Workload(signer, self.seed)
        for _ in count():
            yield from workload.singles(1)

    def _profiles(self) -> Sequence[Profile]:
        """Return a profile for each worker; they begin at the nodes in turn."""
        nodes = self.profile.nodes
        starts = [number % len(nodes) for number in range(self.workers)]
        return [replace(self.profile, nodes=nodes[i:] + nodes[:i]) for i in starts]

    async def _work(self, profile: Profile, transactions: Iterator[Transaction]) -> None:
        pause_s = self.workers / self.rate
        async with open_client(profile, POLICY) as client:
            while not self.is_over:
                due = trio.current_time() + pause_s
                await self._submit(client, next(transactions))
                await trio.sleep_until(due)

    async def _submit(self, client: Client, transaction: Transaction) -> None:
        """Hand in the same bytes until there is a receipt, or for as long as a client would."""
        deadline = trio.current_time() + WAIT_S
        while True:
            try:
                receipt = await client.submit_until_certified(transaction)
            except CreditLedgerError as error:
                if error.code not in _OPEN:
                    raise
                if trio.current_time() > deadline:
                    self.given_up.append(transaction.id)
                    return
                await trio.sleep(AGAIN_S)
            else:
                self.acknowledged.append(_acknowledged(receipt))
                return


def _acknowledged(receipt: Receipt) -> Acknowledged:
    header, (code, _) = receipt.header, receipt.result
    return Acknowledged(
        receipt.transaction_id, int(code), header.height, header.hash(), time.monotonic()
    )
