"""What a handler of transactions and a query are given: the state, the sender, the block's facts.

`execution` builds one `Context` a transaction and calls the handler of its kind inside an open
overlay transaction: the handler reads and writes `state`, returns the result's data, or raises
`Rejected` with a code and a sentence, and then nothing of it remains. Everything a handler may use
is here; there is no clock, no configuration and no other way to the outside, so every replica
computes the same. Queries read a snapshot in the same shape, and never share caches with execution
(rule 53).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange
from ledger.chain.header import Header
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.members import COUNTER, Party, Role, get_company_key
from ledger.state.overlay import Overlay
from ledger.transactions.envelope import Transaction

__all__ = [
    "MS_A_DAY",
    "BlockNotes",
    "BodyReader",
    "ChainReader",
    "Context",
    "Failure",
    "Handler",
    "Party",
    "Query",
    "QueryContext",
    "Role",
    "RuleBook",
    "check_acts_for",
    "check_company_known",
    "check_role",
]

MS_A_DAY = 86_400_000


class BodyReader(Protocol):
    """Bodies of records, which are stored apart from the state and may be erased."""

    def body(self, height: int, position: int, index: int) -> bytes | None:
        """Return attachment `index` of transaction `position` of block `height`, or None."""
        ...


class ChainReader(BodyReader, Protocol):
    """What queries may read of the chain itself."""

    def head(self) -> Header | None:
        """Return the header of the last block, None in an empty store."""
        ...

    def header(self, height: int) -> Header | None:
        """Return the header of a block, or None."""
        ...

    def certificate(self, height: int) -> Certificate | None:
        """Return a block's certificate, or None while it has none."""
        ...

    def epoch_change(self, epoch: int) -> EpochChange | None:
        """Return the change that began an epoch where it was stored by itself, else None."""
        ...

    def fate(self, tx_id: bytes) -> tuple[int, int, int] | None:
        """Return (height, position, code) of a transaction id, or None (rule 14)."""
        ...

    def block(self, height: int) -> Any:
        """Return the stored block, or None."""
        ...


class RuleBook(Protocol):
    """Compiled rules of one state, by reference ("company/7", "GD-SCF-0042/3").

    The types are those of `ledger.rules` (`Schema`, `Scorecard`, `Product`, `Alert`, `Stream`),
    which stand above this package. An unknown reference is `Rejected` (2401, 2503, 2504, 2505).
    """

    def schema(self, ref: str) -> Any:
        """Return the compiled `Schema`."""
        ...

    def scorecard(self, ref: str) -> Any:
        """Return the compiled `Scorecard`."""
        ...

    def product(self, ref: str) -> Any:
        """Return the compiled `Product`."""
        ...

    def alert(self, ref: str) -> Any:
        """Return the compiled `Alert`."""
        ...

    def alerts(self, day: int | None = None) -> tuple[Any, ...]:
        """Return the alerts in force on a day, or all registered, by their references."""
        ...

    def streams(self, category: str, record_schema: str) -> tuple[Any, ...]:
        """Return the streams to be kept of one record schema, each once, by id."""
        ...

    def references(self, kind: str) -> tuple[str, ...]:
        """Return the references of a kind ("product", …) in order."""
        ...

    def category(self, category_id: str) -> Any:
        """Return the `Category` of `ledger.membership.catalogue`; `Rejected` (2101) if none."""
        ...

    def plan(self, category: str, schema: str, version: int) -> Any:
        """Return the `RecordPlan` of `ledger.credit.rulebook`; `Rejected` (2101, 2109)."""
        ...

    def owner(self, kind: str, ref: str) -> tuple[str, int]:
        """Return (member, height) of a registration; `Rejected` (2401, 2503–2505) if none."""
        ...

    def source(self, kind: str, ref: str) -> bytes:
        """Return the source as registered; `Rejected` (2401, 2503–2505) if none."""
        ...

    def derived(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what `make` computes from registered rules alone; `key` names their hashes."""
        ...

    def register(self, kind: str, source: bytes, owner: str, height: int) -> Any:
        """Compile `source`, keep it under its reference, return it.

        Rejects what does not compile (RULE_INVALID, the author's sentence with line and column)
        and a reference that exists (RULE_EXISTS).
        """
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception inside a transaction or an alert: what is saved for its report (rule 54)."""

    position: int  # of the transaction in its block; −1 for the alerts after them
    tx_id: bytes
    text: str


@dataclass(slots=True)
class BlockNotes:
    """What the transactions of a block leave for its end: touched companies, failures.

    `touched` maps a company to the record schemas ("C044/line", "loans", …) that said something of
    it; `corrected` maps (company, record schema) to the lowest height of a record that was
    corrected. What a rejected transaction left is dropped with it, but for `proposals`: how many of
    each sender were judged in this block, because judging one costs much; and for `contests`: whose
    asset another company tried to register, (owner, the other), which is refused and yet told.
    """

    touched: dict[str, set[str]] = field(default_factory=dict)
    corrected: dict[tuple[str, str], int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    proposals: dict[str, int] = field(default_factory=dict)
    contests: set[tuple[str, str]] = field(default_factory=set)
    _pending: list[tuple[str, str]] = field(default_factory=list)
    _pending_corrected: list[tuple[tuple[str, str], int]] = field(default_factory=list)

    def touch(self, company: str, category: str, schema: str = "") -> None:
        """Note that alerts must look at `company` for this record schema ("" is the main one)."""
        self._pending.append((company, f"{category}/{schema}" if schema else category))

    def correct(self, company: str, full_name: str, height: int) -> None:
        """Note that a record of block `height` was corrected: who saw it must be told."""
        self._pending_corrected.append(((company, full_name), height))

    def commit(self) -> None:
        """Keep what the transaction left."""
        for company, name in self._pending:
            self.touched.setdefault(company, set()).add(name)
        for subject, height in self._pending_corrected:
            self.corrected[subject] = min(height, self.corrected.get(subject, height))
        self.rollback()

    def rollback(self) -> None:
        """Drop what the transaction left."""
        self._pending.clear()
        self._pending_corrected.clear()


@dataclass(slots=True)
class Context:
    """Everything a handler may use; `time_ms` is the chain time of the block."""

    state: Overlay
    transaction: Transaction
    sender: Party
    height: int
    position: int
    time_ms: int
    bodies: BodyReader
    rules: RuleBook
    notes: BlockNotes
    digests: tuple[bytes, ...] | None = None  # of the attachments, when the door computed them

    @property
    def day(self) -> int:
        """The block's date in days since 1970-01-01 UTC."""
        return self.time_ms // MS_A_DAY

    @property
    def body(self) -> Mapping[str, Any]:
        """The signed body of the transaction."""
        return self.transaction.body


@dataclass(slots=True)
class QueryContext:
    """Everything a query may use: a read-only snapshot, and who asks.

    `clock_ms` is the node's own clock, in the chain's time; 0 where none is at hand.
    """

    state: Overlay
    chain: ChainReader
    caller: Party
    time_ms: int
    rules: RuleBook
    clock_ms: int = 0

    @property
    def now_ms(self) -> int:
        """The time by which leave to read ends: it passes while no block comes."""
        return max(self.time_ms, self.clock_ms)

    @property
    def day(self) -> int:
        """The last block's date in days since 1970-01-01 UTC."""
        return self.time_ms // MS_A_DAY


Handler: TypeAlias = Callable[[Context], Value]
Query: TypeAlias = Callable[[QueryContext, Mapping[str, Any]], Value]


def check_acts_for(sender: Party, company: str) -> None:
    """Raise `Rejected` (2006) unless `sender` is the company itself or a counter for it."""
    if sender.is_company and sender.id == company:
        return
    if sender.has_capability(COUNTER):
        return
    raise Rejected(Code.NOT_PERMITTED, f"{sender.id} may not act for company {company}")


def check_role(sender: Party, *roles: Role) -> None:
    """Raise `Rejected` (2006) unless `sender` is a member in one of `roles`."""
    if sender.role not in roles:
        wanted = " or ".join(role.value for role in roles)
        raise Rejected(Code.NOT_PERMITTED, f"{sender.id} has another role, want {wanted}")


def check_company_known(state: Overlay, companies: Iterable[str]) -> None:
    """Raise `Rejected` (2204) unless each company has a bound key or records."""
    for company in companies:
        if get_company_key(state, company) is None and state.company_log_size(company) == 0:
            raise Rejected(Code.COMPANY_UNKNOWN, f"company {company} has no record and no key")
