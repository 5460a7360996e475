"""The facts of every company of a home, by the very functions that a node decides with.

Records give windows, the loan book what is owed, and of each kind of asset the company's best one
stands for it (`ledger.lending.matching`). Everything is as the chain knows it at its last block: an
earlier day moves the windows back, but not what has been reported, lent or pledged since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from analytics.columns import Snapshot, SnapshotWriter, arrow_schema
from ledger.credit.rulebook import RuleCache
from ledger.errors import Code, LocalError
from ledger.lending.facts import Subject
from ledger.lending.matching import compute_match_facts, find_best_assets
from ledger.membership.context import MS_A_DAY
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANIES
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Reader

_OWNER_ONLY = 0o600  # as the files of a home: nobody authorised others to read this
_ROWS = 4096  # companies in hand: what is read of them is forgotten after


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    snapshot: Snapshot
    companies: int
    features: int


def count_companies(reader: Reader) -> int:
    """Return how many companies the state knows."""
    return sum(1 for _ in Overlay(reader).scan(COMPANIES, b""))


def export_facts(
    reader: Reader, schema_ref: str, day: int | None, out: Path, progress: Callable[[int], None]
) -> Exported:
    """Write the facts of every company on `day` (None: the last block's) to the file `out`.

    `progress` is told of companies as they are done. Raise `LocalError` 6103 for a store without
    blocks, `Rejected` 2504 for a schema that is not registered.
    """
    chain = ChainStore(reader)
    head = chain.head()
    if head is None:
        raise LocalError(Code.HOME_INCOMPLETE, "the database has no block")
    as_of = head.time_ms // MS_A_DAY if day is None else day
    schema = RuleCache().over(Overlay(reader)).schema(schema_ref)
    snapshot = Snapshot(schema_ref, as_of, head.height)
    columns = arrow_schema(schema, snapshot)
    companies = 0
    with SnapshotWriter(out, columns, mode=_OWNER_ONLY) as writer:
        for codes in _batches(Overlay(reader)):
            facts = _compute_facts(reader, chain, schema, codes, as_of, progress)
            arrays = [pa.array(codes, pa.string())]
            for field in list(columns)[1:]:
                arrays.append(pa.array([row.get(field.name) for row in facts], field.type))
            writer.write(pa.Table.from_arrays(arrays, schema=columns))
            companies += len(codes)
    return Exported(snapshot, companies, len(columns) - 1)


def _compute_facts(
    reader: Reader,
    chain: ChainStore,
    schema: Schema,
    codes: list[str],
    as_of: int,
    progress: Callable[[int], None],
) -> list[dict[str, FactValue]]:
    """Return the facts of some companies."""
    state = Overlay(reader)
    features = tuple(schema.features.values())
    found = []
    for company in codes:
        subject = Subject(state, chain, company, None, as_of)
        assets = [asset for _, asset in find_best_assets(state, company).values()]
        found.append(compute_match_facts(subject, assets, schema, features))
        progress(1)
    return found


def _batches(state: Overlay) -> Iterator[list[str]]:
    """Yield the codes of all companies in order."""
    batch: list[str] = []
    for key, _ in state.scan(COMPANIES, b""):
        batch.append(key.decode())
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
