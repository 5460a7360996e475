"""A chain with snapshots in memory, a source that answers from it, and a transfer without sockets.

`SnapshotChain` executes blocks of mixed transactions; `transfer` runs every part of a state
transfer against an `answer` function and returns the store that came of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

from ledger.execution import execute_genesis
from ledger.snapshots.fetching import fetch_subtree, fetch_top
from ledger.snapshots.history import fetch_history, finish_writes
from ledger.snapshots.limits import SUBTREES
from ledger.snapshots.queries import Query, decode_query, encode_query
from ledger.snapshots.serving import Snapshot
from ledger.state.tree import EMPTY_HASH
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Store
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger_harness import (
    HOUR_MS,
    SALT,
    Harness,
    company_code,
)

Answer = Callable[[Query], bytes]


class SnapshotChain(Harness):
    """A harness whose genesis sets S, whose blocks have certificates, and that makes up load."""

    def __init__(self, seed: int = 1, **settings: Any) -> None:
        super().__init__(settings={"snapshot_blocks": 10} | settings)
        self.random = random.Random(seed)
        self.sent: list[Transaction] = []
        self.codes: set[int] = set()
        self._corrected: list[Record] = []

    def mixed_block(self, count: int = 4) -> None:
        """Execute a block of transactions of several kinds, good ones, bad ones and repeats."""
        items = {tx.signed_hash: tx for tx in (self._make() for _ in range(count))}
        self.sent = (self.sent + list(items.values()))[-50:]
        time_ms = self.head.time_ms + self.random.choice((500, HOUR_MS))
        self.codes.update(code for code, _ in self.block(*items.values(), time_ms=time_ms).results)

    def repeat(self, items: list[Transaction]) -> None:
        """Execute a block of transactions that were executed before."""
        self.codes.update(code for code, _ in self.block(*items).results)

    def snapshot(self) -> Snapshot:
        """Return the state as it stands, to be served."""
        return Snapshot(self.head, self.store.snapshot())

    def _make(self) -> Transaction:
        kind = self.random.randrange(6)
        company = company_code(self.random.randrange(12))
        if kind == 0:
            return self.bind(company, f"name {self.random.randrange(9)}")
        if kind == 1 and self.sent:
            return self.random.choice(self.sent)
        if kind == 2 and self._corrected:
            return self._correct()
        if kind == 3:
            return self.attest("D02", "C048", [company], self.day - 5, self.day)
        return self._send([self._record() for _ in range(self.random.randrange(1, 6))])

    def _record(self, **changes: Any) -> Record:
        day = self.day - self.random.randrange(40)
        fields = {
            "invoice_no": f"N{self.random.randrange(10**6)}",
            "issued_on": day,
            "counterparty": company_code(self.random.randrange(12)),
            "net": self.random.randrange(10**6),
            "tax": 10,
            "gross": 10,
            "status": "V",
        }
        base = {"company": company_code(self.random.randrange(12)), "day": day, "fields": fields}
        return Record(**(base | {"salt": SALT} | changes))

    def _send(self, records: list[Record]) -> Transaction:
        self._corrected = (self._corrected + records)[-20:]
        return self.submit("D02", "C044", records, "line")

    def _correct(self) -> Transaction:
        old = self._corrected.pop(self.random.randrange(len(self._corrected)))
        digest = record_digest(encode_record(old))
        fields = dict(old.fields) | {"net": self.random.randrange(10**6)}
        new = self._record(
            company=old.company, day=old.day, fields=fields, supersedes=(old.day, digest)
        )
        return self._send([new])

    def sign(self, *parts: Any, **changes: Any) -> Transaction:
        """Return a signed transaction that expires within MAX_TTL, as every one in a batch does."""
        expires_in_ms = self.random.choice((1, HOUR_MS, 20 * HOUR_MS))
        return super().sign(*parts, **({"expires_in_ms": expires_in_ms} | changes))


def run(fetch: Generator[Query, bytes, Any], answer: Answer) -> Any:
    """Run one part of a transfer; return what it returns."""
    try:
        query = next(fetch)
        while True:
            query = fetch.send(answer(decode_query(encode_query(query))))
    except StopIteration as stop:
        return stop.value


def transfer_state(store: Store, root: bytes, answer: Answer) -> None:
    """Fetch tree, entries and bodies."""
    wanted = run(fetch_top(store, root), answer)
    for subtree in range(SUBTREES):
        run(fetch_subtree(store, subtree, wanted.get(subtree, EMPTY_HASH)), answer)


def transfer(chain: SnapshotChain, answer: Answer, store: Store | None = None) -> Store:
    """Fetch all of the chain's state as it stands; return the finished store."""
    store = MemoryStore() if store is None else store
    genesis = execute_genesis(chain.genesis).header
    transfer_state(store, chain.head.state_root, answer)
    first = run(fetch_history(store, chain.head, genesis), answer)
    certificate = chain.certify(chain.head)
    store.write(
        finish_writes(chain.genesis.data, genesis, chain.head, certificate, (), first), sync=True
    )
    return store


def own_entries(store: Store) -> dict[bytes, bytes]:
    """Return state, tree, keys of leaves, of a store: what two nodes must have alike."""
    return {
        key: value
        for prefix in (b"s", b"t", b"k")
        for key, value in store.scan(prefix, prefix + b"\xff" * 64)
    }


__all__ = ["SnapshotChain", "own_entries", "run", "transfer", "transfer_state"]
