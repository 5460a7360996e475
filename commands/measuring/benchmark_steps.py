"""What one transaction costs a node, step by step, on one core: the table of docs/ARCHITECTURE.md.

Everything runs in this process, with a LevelDB in a temporary folder and the demonstration's
genesis: no sockets, no consensus. Times are processor time; each step's is the median over blocks.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from commands.local import local_network
from commands.session import CLIENTS
from ledger.chain.batch import Batch
from ledger.chain.header import Header
from ledger.errors import Code, LocalError
from ledger.execution import ExecutionCaches, execute_block, execute_genesis
from ledger.keys import verify_many
from ledger.storage.leveldb import LevelStore
from ledger.transactions.envelope import Transaction, decode_transaction
from ledger.transactions.records import check_attachments
from network.benchmark.workload import Signer, Workload
from network.profile import Profile

SENDER = "D02"
BASE_PORT = 7701
BLOCKS = 12
SINGLES_A_BLOCK = 250


@dataclass(slots=True)
class Steps:
    """Microseconds a transaction, by step; `transactions` and `records` are those of a block."""

    transactions: int
    records: int
    decode_us: float = 0.0
    signature_us: float = 0.0
    attachments_us: float = 0.0
    execute_us: float = 0.0
    write_us: float = 0.0


@dataclass(slots=True)
class Chain:
    """A chain that only grows: a store, its head, and what execution remembers."""

    store: LevelStore
    head: Header
    caches: ExecutionCaches = field(default_factory=ExecutionCaches)

    def measure(self, transactions: Sequence[Transaction]) -> list[float]:
        """Do all steps for one block; return their seconds of processor time."""
        wires = [item.encoded() for item in transactions]
        taken: list[float] = []
        decoded: list[Transaction] = []
        digests: dict[bytes, tuple[bytes, ...]] = {}

        def timed(action: Callable[[], object]) -> None:
            start = time.process_time()
            action()
            taken.append(time.process_time() - start)

        timed(lambda: decoded.extend(decode_transaction(wire) for wire in wires))
        timed(lambda: verify_many([item.signature_item() for item in decoded]))
        timed(
            lambda: digests.update((item.signed_hash, check_attachments(item)) for item in decoded)
        )
        hashes = tuple(item.signed_hash for item in decoded)
        batch = Batch(self.head.height + 1, self.head.time_ms + 1, hashes)
        start = time.process_time()
        executed = execute_block(
            self.store, self.head, batch, decoded, digests=digests, caches=self.caches
        )
        taken.append(time.process_time() - start)
        if any(code for code, _ in executed.results):
            raise LocalError(Code.INTERNAL, f"a made-up transaction failed: {executed.results[0]}")
        timed(lambda: self.store.write(executed.writes, sync=True))
        self.head = executed.header
        return taken


def measure_steps(seed: int) -> dict[str, Steps]:
    """Return the steps of a single payment, and of batches of payments and of invoice lines."""
    with tempfile.TemporaryDirectory(prefix="creditledger-steps-") as folder:
        net = Path(folder) / "net"
        local_network.make(
            net,
            consortium=local_network.DEMO_CONSORTIUM,
            nodes=4,
            seed=seed,
            as_of=None,
            base_port=BASE_PORT,
        )
        profile = Profile.load(net / CLIENTS / SENDER)
        if profile.signing_key is None:
            raise LocalError(Code.KEY_FILE, f"the profile of {SENDER} cannot sign")
        genesis = execute_genesis(profile.genesis)
        store = LevelStore(Path(folder) / "db")
        store.write(genesis.writes, sync=True)
        chain = Chain(store, genesis.header)
        signer = Signer(profile.chain_id, SENDER, profile.signing_key, genesis.header.time_ms)
        work = Workload(signer, seed)
        steps = {
            "one tax payment": _run(chain, lambda: list(work.singles(SINGLES_A_BLOCK)), 1),
            "1,000 tax payments": _run(chain, lambda: list(work.payment_batches(1)), 1000),
            "1,000 invoice lines": _run(chain, lambda: list(work.invoice_batches(1)), 1000),
        }
        store.close()
        return steps


def _run(chain: Chain, make: Callable[[], list[Transaction]], records: int) -> Steps:
    rows = []
    count = 0
    for _ in range(BLOCKS):
        transactions = make()
        count = len(transactions)
        rows.append([seconds / count * 1e6 for seconds in chain.measure(transactions)])
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    return Steps(count, count * records, *medians)
