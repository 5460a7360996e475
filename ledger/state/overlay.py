"""The overlay of one block: reads fall through to the committed state, writes stay here.

Execution never writes to the store. A transaction opens with `begin`; its writes are kept apart
until `commit`, which encodes them (so that a value without an encoding fails inside its own
transaction, rule 54), or are dropped by `rollback`. `finish` closes the block: it folds what was
said about each company into the company's one leaf and returns the writes and the leaf changes for
the tree. Values are treated as immutable: read, build a new one, put it back.

A company's leaf commits to its entries in one of two ways, by a setting of the chain. A fold is a
running hash over all changes: who executes every block has it, nobody else. A sum
(`ledger.state.sums`) is of what the entries are now, beside their count, so that whoever is given
them by others can check them (rule 41): chains with snapshots have sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.chain.merkle import Frontier
from ledger.encoding import decode_own, encode, encode_own
from ledger.errors import Code, LocalError
from ledger.state.sums import EMPTY_SUM, changed_sum
from ledger.state.tables import COMPANIES, COMPANY_KEY_BYTES, Scope, Table
from ledger.storage.store import Reader

_ABSENT: Any = object()
_NO_FOLD = bytes(32)


@dataclass(frozen=True, slots=True)
class BlockChanges:
    """What a block changes: physical writes, and (key hash, value hash) for the tree.

    `keys` says which physical key is behind each key hash.
    """

    writes: Mapping[bytes, bytes | None]
    leaves: Mapping[bytes, bytes | None]
    keys: Mapping[bytes, bytes]


def leaf_key(table: Table, key: bytes) -> bytes:
    """Return the 32-byte key hash of a WORLD entry in the authenticated tree."""
    return sha256(table.prefix + key).digest()


def leaf_value(value: bytes) -> bytes:
    """Return the 32-byte value hash of a WORLD entry."""
    return sha256(value).digest()


class Overlay:
    """Reads and writes of one block over `base`, transaction by transaction.

    `is_summed` says that leaves of companies hold sums; what only reads need not say it.
    """

    def __init__(self, base: Reader, *, is_summed: bool = False) -> None:
        self._base = base
        self._is_summed = is_summed
        self._stored: dict[bytes, bytes | None] = {}
        self._values: dict[bytes, Any] = {}
        self._encoded: dict[bytes, bytes | None] = {}
        self._pending: dict[bytes, Any] | None = None
        self._tables: dict[bytes, Table] = {}
        self._groups: dict[bytes, set[bytes]] = {}
        self._logs: dict[str, list[bytes]] = {}
        self._pending_logs: dict[str, list[bytes]] = {}

    @property
    def base(self) -> Reader:
        """The committed state that reads fall through to."""
        return self._base

    def get(self, table: Table, key: bytes) -> Any:
        """Return the decoded value, or None when there is none."""
        physical = table.prefix + key
        if self._pending is not None:
            value = self._pending.get(physical, _ABSENT)
            if value is not _ABSENT:
                return value
        value = self._values.get(physical, _ABSENT)
        if value is not _ABSENT:
            return value
        raw = self._base.get(physical)
        if self._is_summed and table.scope is Scope.COMPANY:
            self._stored[physical] = raw
        value = None if raw is None else decode_own(raw)
        self._values[physical] = value
        return value

    def put(self, table: Table, key: bytes, value: Any) -> None:
        """Set the value (None deletes); only inside a transaction."""
        if self._pending is None:
            raise LocalError(Code.INTERNAL, "state written outside a transaction")
        if table.scope is Scope.COMPANY and len(key) < COMPANY_KEY_BYTES:
            raise LocalError(Code.INTERNAL, f"key of {table.name} does not begin with a company")
        self._tables[table.prefix] = table
        self._pending[table.prefix + key] = value

    def delete(self, table: Table, key: bytes) -> None:
        """Remove the entry."""
        self.put(table, key, None)

    def scan(
        self,
        table: Table,
        prefix: bytes,
        *,
        start: bytes = b"",
        stop: bytes | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, Any]]:
        """Yield (key, value) of keys that begin with `prefix`, from prefix+start to prefix+stop.

        Keys come without the table's prefix, in order (or in reverse). For a COMPANY table the
        prefix begins with the whole company code.
        """
        low = table.prefix + prefix + start
        high = _successor(table.prefix + prefix) if stop is None else table.prefix + prefix + stop
        touched = self._touched(table, prefix, low, high)
        base = self._base.scan(low, high, reverse=reverse)
        for physical, raw in _merged(base, sorted(touched, reverse=reverse), reverse):
            value = decode_own(raw) if raw is not None else self._current(physical)
            if value is not None:
                yield physical[len(table.prefix) :], value

    def company_log(self, company: str) -> Frontier:
        """Return the company's record log as it stands, appended leaves included."""
        frontier = self._stored_frontier(company)
        for logs in (self._logs, self._pending_logs):
            frontier = frontier.appended(logs.get(company, ()))
        return frontier

    def company_log_size(self, company: str) -> int:
        """Return how many records the company's log holds, appended ones included."""
        return (
            self._stored_frontier(company).size
            + len(self._logs.get(company, ()))
            + len(self._pending_logs.get(company, ()))
        )

    def append_company_log(self, company: str, leaves: Sequence[bytes]) -> None:
        """Append leaf hashes (`merkle.leaf_hash`) to the company's RFC 9162 log."""
        if self._pending is None:
            raise LocalError(Code.INTERNAL, "log appended outside a transaction")
        self._pending_logs.setdefault(company, []).extend(leaves)

    def begin(self) -> None:
        """Open a transaction."""
        if self._pending is not None:
            raise LocalError(Code.INTERNAL, "transaction inside a transaction")
        self._pending = {}
        self._pending_logs = {}

    def commit(self) -> None:
        """Keep the transaction's writes; raise, and keep none, when one has no encoding."""
        pending = self._pending
        if pending is None:
            raise LocalError(Code.INTERNAL, "commit without a transaction")
        encoded = {k: None if v is None else self._encode(k, v) for k, v in pending.items()}
        for physical, value in pending.items():
            self._values[physical] = value
            self._group(physical).add(physical)
        self._encoded.update(encoded)
        for company, leaves in self._pending_logs.items():
            self._logs.setdefault(company, []).extend(leaves)
        self._pending = None
        self._pending_logs = {}

    def _encode(self, physical: bytes, value: Any) -> bytes:
        """Encode strictly what has a proof of its own; the rest is only ever read back here."""
        is_world = self._tables[physical[:2]].scope is Scope.WORLD
        return encode(value) if is_world else encode_own(value)

    def rollback(self) -> None:
        """Drop the transaction's writes."""
        self._pending = None
        self._pending_logs = {}

    def finish(self) -> BlockChanges:
        """Close the block: fold company entries, return writes and tree leaves."""
        if self._pending is not None:
            raise LocalError(Code.INTERNAL, "block finished inside a transaction")
        writes = dict(self._encoded)
        folds: dict[str, list[bytes]] = {company: [] for company in self._logs}
        leaves: dict[bytes, bytes | None] = {}
        keys: dict[bytes, bytes] = {}
        for physical in sorted(writes):
            value = writes[physical]
            table = self._tables[physical[:2]]
            if table.scope is Scope.WORLD:
                leaf = None if value is None else leaf_value(value)
                key_hash = sha256(physical).digest()
                leaves[key_hash] = leaf
                keys[key_hash] = physical
            else:
                company = physical[2 : 2 + COMPANY_KEY_BYTES].decode()
                folds.setdefault(company, []).append(physical)
        for company, changed in folds.items():
            encoded = self._company_leaf(company, changed)
            key = COMPANIES.prefix + company.encode()
            writes[key] = encoded
            key_hash = sha256(key).digest()
            leaves[key_hash] = leaf_value(encoded)
            keys[key_hash] = key
        return BlockChanges(writes, leaves, keys)

    def _company_leaf(self, company: str, changed: list[bytes]) -> bytes:
        """Return the leaf of a company after these of its entries changed, in order of key."""
        frontier = self._stored_frontier(company).appended(self._logs.get(company, ()))
        stored = self.get(COMPANIES, company.encode())
        if self._is_summed:
            return encode_own((frontier.size, frontier.peaks, *self._summed(stored, changed)))
        fold = _NO_FOLD if stored is None else stored[2]
        if changed:
            items = [entry_digest(key, self._encoded[key]) for key in changed]
            fold = sha256(fold + b"".join(items)).digest()
        return encode_own((frontier.size, frontier.peaks, fold))

    def _summed(self, leaf: Any, changed: list[bytes]) -> tuple[bytes, int]:
        """Return sum and count of a company's entries after these of them changed."""
        total, count = (EMPTY_SUM, 0) if leaf is None else (leaf[2], leaf[3])
        added: list[bytes] = []
        removed: list[bytes] = []
        for key in changed:
            before = self._stored[key] if key in self._stored else self._base.get(key)
            after = self._encoded[key]
            if before == after:
                continue
            if before is not None:
                removed.append(entry_digest(key, before))
            if after is not None:
                added.append(entry_digest(key, after))
        if added or removed:
            total = changed_sum(total, added, removed)
        return total, count + len(added) - len(removed)

    def _stored_frontier(self, company: str) -> Frontier:
        leaf = self.get(COMPANIES, company.encode())
        return Frontier() if leaf is None else Frontier(leaf[0], leaf[1])

    def _current(self, physical: bytes) -> Any:
        if self._pending is not None and physical in self._pending:
            return self._pending[physical]
        return self._values[physical]

    def _group(self, physical: bytes) -> set[bytes]:
        return self._groups.setdefault(self._group_key(physical), set())

    def _group_key(self, physical: bytes) -> bytes:
        table = self._tables[physical[:2]]
        length = 2 + COMPANY_KEY_BYTES if table.scope is Scope.COMPANY else 2
        return physical[:length]

    def _touched(self, table: Table, prefix: bytes, low: bytes, high: bytes) -> set[bytes]:
        if table.scope is Scope.COMPANY and len(prefix) < COMPANY_KEY_BYTES:
            raise LocalError(Code.INTERNAL, f"scan of {table.name} without a company")
        length = COMPANY_KEY_BYTES if table.scope is Scope.COMPANY else 0
        group = self._groups.get(table.prefix + prefix[:length], set())
        touched = {key for key in group if low <= key < high}
        if self._pending:
            touched |= {key for key in self._pending if low <= key < high}
        return touched


def entry_digest(physical: bytes, value: bytes | None) -> bytes:
    """Return the 32-byte digest of an entry, or of its removal, as folds and sums take it.

    Its size is fixed and it covers the key's length, so changes cannot be split differently.
    """
    body = b"\x00" if value is None else b"\x01" + value
    return sha256(len(physical).to_bytes(2, "big") + physical + body).digest()


def _successor(prefix: bytes) -> bytes:
    """Return the smallest key above every key that begins with `prefix`."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,))


def _merged(
    base: Iterator[tuple[bytes, bytes]], touched: list[bytes], reverse: bool
) -> Iterator[tuple[bytes, bytes | None]]:
    """Merge stored entries with overlay keys in order; an overlay key comes with None."""
    position = 0
    for key, raw in base:
        while position < len(touched) and (
            touched[position] > key if reverse else touched[position] < key
        ):
            yield touched[position], None
            position += 1
        if position < len(touched) and touched[position] == key:
            yield key, None
            position += 1
        else:
            yield key, raw
    for key in touched[position:]:
        yield key, None
