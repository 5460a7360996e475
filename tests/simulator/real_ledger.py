"""The slower mode: the real execution, chain store and state tree under the simulated members.

Each member has a store of its own in memory and executes real signed transactions of many kinds,
good ones and such as the ledger must refuse (F11). The block hash is that of the real header, so
agreement of the checkers is agreement of state roots; at the end the stores are compared entry by
entry as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from ledger.chain.batch import Batch
from ledger.chain.header import Header
from ledger.credit.uscc import make_uscc
from ledger.errors import Code
from ledger.execution import ExecutionCaches, execute_block
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import Record
from tests.ledger_harness import GENESIS_DAY, Harness, key_of
from tests.simulator.checkers import ViolationError
from tests.simulator.model_ledger import (
    DUPLICATE,
    EXPIRED,
    OK,
    REFUSED,
    Body,
    ModelBlock,
    ModelLedger,
)

COMPANIES = 5
_CODES = {Code.OK: OK, Code.DUPLICATE: DUPLICATE, Code.EXPIRED: EXPIRED}


@dataclass
class Workload:
    """Genesis of a run, and the transactions that its clients sign: by name, always the same."""

    harness: Harness = field(default_factory=Harness)
    transactions: dict[bytes, Transaction] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def chain_id(self) -> bytes:
        """Return the id of the chain, which votes are signed for."""
        return self.harness.genesis.chain_id

    def make(self, name: str, expires_at_ms: int) -> Transaction:
        """Return the transaction of a name; its kind and content follow from the name."""
        seed = sha256(name.encode()).digest()
        kind = _MAKERS[seed[0] % len(_MAKERS)]
        harness = self.harness
        made = kind(harness, seed, expires_at_ms - harness.head.time_ms)
        self.transactions[made.signed_hash] = made
        return made


def _company(seed: bytes) -> str:
    return make_uscc(f"91440300{seed[1] % COMPANIES:08d}")


def _signed(
    harness: Harness, sender: str, kind: str, body: Mapping[str, object], seed: bytes, ttl_ms: int
) -> Transaction:
    del seed
    return harness.sign(sender, kind, body, expires_in_ms=ttl_ms)


def _bind(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    company = _company(seed)
    body = {"company": company, "public_key": key_of(company).public_key, "name": "a company"}
    return _signed(harness, "D01", "company.bind", body, seed, ttl_ms)


def _records(
    harness: Harness, seed: bytes, ttl_ms: int, sender: str, category: str, schema: str = ""
) -> Transaction:
    records = [_RECORDS[category, schema](seed, number) for number in range(1 + seed[2] % 4)]
    template = harness.submit(sender, category, records, schema)
    return harness.sign(
        sender, "records.submit", template.body, template.attachments, expires_in_ms=ttl_ms
    )


def _line(seed: bytes, number: int) -> Record:
    day = GENESIS_DAY - seed[3]
    gross = 100 * (1 + seed[4])
    fields = {
        "invoice_no": f"{seed[5] % 16:04d}{number:04d}",
        "issued_on": day,
        "counterparty": "B1",
        "net": gross - 13,
        "tax": 13,
        "gross": gross,
        "status": "V",
    }
    return Record(_company(seed), day, fields, None, None, seed[:16])


def _patent(seed: bytes, number: int) -> Record:
    day = GENESIS_DAY - seed[3]
    fields = {
        "patent_no": f"ZL{seed[5] % 32}-{number}",
        "title": "a patent",
        "granted_on": day,
        "legal_status": "valid",
    }
    return Record(_company(seed), day, fields, None, None, seed[:16])


def _arrears(seed: bytes, number: int) -> Record:
    fields = {"arrears": 100 * seed[4], "is_final": number % 2 == 0}
    return Record(_company(seed), GENESIS_DAY - seed[3], fields, None, None, seed[:16])


_RECORDS: dict[tuple[str, str], Callable[[bytes, int], Record]] = {
    ("C028", ""): _patent,
    ("C044", "line"): _line,
    ("C048", ""): _arrears,
}


def _lines(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return _records(harness, seed, ttl_ms, "D02", "C044", "line")


def _patents(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return _records(harness, seed, ttl_ms, "D01", "C028")


def _arrears_of(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return _records(harness, seed, ttl_ms, "D02", "C048")


def _not_the_owner(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return _records(harness, seed, ttl_ms, "D20", "C044", "line")


def _attest(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    body = {
        "category": "C044",
        "schema": "line",
        "companies": (_company(seed),),
        "from_day": GENESIS_DAY - 300,
        "to_day": GENESIS_DAY - seed[3] % 200,
    }
    return _signed(harness, "D02", "records.attest", body, seed, ttl_ms)


def _senseless_loan(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    body = {"product": "none", "amount": -1, "term_days": 0}
    return _signed(harness, _company(seed), "loan.apply", body, seed, ttl_ms)


def _unknown_kind(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return _signed(harness, "D01", "no.such_kind", {}, seed, ttl_ms)


def _stolen_name(harness: Harness, seed: bytes, ttl_ms: int) -> Transaction:
    return harness.sign("D02", "company.bind", {}, key=key_of("D20"), expires_in_ms=ttl_ms)


_MAKERS: tuple[Callable[[Harness, bytes, int], Transaction], ...] = (
    _bind,
    _lines,
    _lines,
    _patents,
    _arrears_of,
    _attest,
    _not_the_owner,
    _senseless_loan,
    _unknown_kind,
    _stolen_name,
)


def body_of(transaction: Transaction) -> Body:
    """Return what the simulator and a replica see of a transaction."""
    size = len(transaction.unsigned) + sum(map(len, transaction.attachments))
    return Body(transaction.signed_hash, size, transaction.expires_at_ms)


@dataclass(slots=True)
class RealLedger(ModelLedger):
    """A member's chain: `store` is its database, `header` the head of its chain."""

    workload: Workload = field(default_factory=Workload)
    store: MemoryStore = field(default_factory=MemoryStore)
    caches: ExecutionCaches = field(default_factory=ExecutionCaches)
    header: Header | None = None

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        """Begin with the state of genesis."""
        self.store = MemoryStore(dict(self.workload.harness.store.scan(b"", b"\xff")))
        self.caches, self.header = ExecutionCaches(), self.workload.harness.head

    def head(self) -> tuple[bytes, int]:
        """Return hash and time of the last block, or of genesis."""
        header = self._head()
        return header.hash(), header.time_ms

    def _head(self) -> Header:
        if self.header is None:
            raise ViolationError("a ledger without a head")
        return self.header

    def execute(
        self, time_ms: int | None, digest: bytes, transactions: tuple[bytes, ...]
    ) -> ModelBlock:
        """Execute a real block and write it with all certificates given so far: one sync."""
        parent = self._head()
        batch = Batch(parent.height + 1, time_ms, transactions)
        if batch.digest(parent.chain_id) != digest:
            raise ViolationError(f"block {batch.height} is made of another batch")
        known = self.workload.transactions
        executed = execute_block(
            self.store, parent, batch, [known[item] for item in transactions], caches=self.caches
        )
        if executed.notes.failures:
            raise ViolationError(f"a transaction broke the ledger: {executed.notes.failures[0]}")
        self.store.write(executed.writes, sync=True)
        self.header = executed.header
        results = bytes(_CODES.get(Code(code), REFUSED) for code, _ in executed.results)
        for item, result in zip(transactions, results, strict=True):
            if result in (OK, REFUSED):
                self.index[item] = batch.height
        if not self.workload.kinds[f"height {batch.height}"]:
            self._count(batch.height, transactions, results)
        self.seen.update(transactions)
        self.members.finish(batch.height)
        block = ModelBlock(
            batch.height,
            parent.hash(),
            executed.header.time_ms,
            digest,
            transactions,
            results,
            executed.header.hash(),
            time_ms,
        )
        self.blocks.append(block)
        self.sync_certificates()
        return block

    def _count(self, height: int, transactions: tuple[bytes, ...], results: bytes) -> None:
        """Count the kinds that a height has executed, once for all members."""
        kinds = self.workload.kinds
        kinds[f"height {height}"] = 1
        for item, result in zip(transactions, results, strict=True):
            fate = "executed" if result == OK else "refused"
            kinds[f"kinds: {self.workload.transactions[item].kind} {fate}"] += 1

    def roll_back(self, height: int) -> None:
        """Lose the blocks above `height`: begin with genesis and execute the rest again."""
        self._open()
        ModelLedger.roll_back(self, height)

    def fingerprint(self) -> bytes:
        """Return a hash over every entry of the store, certificates apart."""
        hashed = blake2b(digest_size=32)
        for key, value in self.store.scan(b"", b"\xff"):
            hashed.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
        return hashed.digest()
