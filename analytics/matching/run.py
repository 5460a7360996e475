"""Matching a whole snapshot: part by part, on all cores, and on from where it was interrupted.

The folder of the answers holds `plan.json` (what the columns mean, and a digest of everything that
the answers rest on), `part-00000.parquet` and so on, beside each the counts of the part, and in the
end `summary.json`. A part's counts are written after the part has its name, so what is there is
whole; a folder whose digest differs is not touched. A cluster (`analytics.matching.spark`) answers
the same parts, with the same `Worker`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.columns import COMPANY, arrow_type, open_parquet, read_snapshot
from analytics.matching.companies import check_once, read_group
from analytics.matching.counts import Counts, count_part
from analytics.matching.duck import connect, run_chunk
from analytics.matching.plan import Plan, Result
from ledger.errors import Code, LocalError

ROWS_A_PART = 65_536
_PARTIAL = ".partial"  # how the name of a file ends that is not whole
_LEFT = re.compile(rf"(plan|summary|part-\d{{5,}})\.[0-9a-f]{{1,32}}\{_PARTIAL}")
GRANTED = "granted"  # how many products grant
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Where from and where to, and what may be used: memory in megabytes of each thread."""

    facts: tuple[Path, ...]
    out: Path
    threads: int = 2
    memory_mb: int = 2048
    spill: Path | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Rows `first` to `first + rows` of a row group of a file."""

    number: int
    file: Path
    group: int
    first: int
    rows: int

    def answers(self, folder: Path) -> Path:
        """Return where its answers are."""
        return folder / f"part-{self.number:05}.parquet"

    def counts(self, folder: Path) -> Path:
        """Return where its counts are, written last."""
        return folder / f"part-{self.number:05}.json"


def find_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a snapshot: the file itself, or `facts*.parquet` of a folder.

    Raise `LocalError` 8001 where there is none, or where they are not of one snapshot.
    """
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(path.glob("facts*.parquet")))
    if not found:
        raise LocalError(Code.INPUT_FILE, f"{path} holds no facts*.parquet")
    snapshots = [read_snapshot(file) for file in found]
    columns = [frozenset(open_parquet(file).schema_arrow.names) for file in found]
    for index, file in enumerate(found):
        if snapshots[index] != snapshots[0]:
            raise LocalError(Code.INPUT_FILE, f"{file} is of another schema, day or height")
        if columns[index] != columns[0]:
            name = min(columns[index] ^ columns[0])
            message = f"{file} has not the columns of {found[0]}: {name} is in one of them"
            raise LocalError(Code.INPUT_FILE, message)
    return found


def split(files: Iterable[Path]) -> Iterator[Part]:
    """Yield the parts of a snapshot in order."""
    number = 0
    for file in files:
        metadata = open_parquet(file).metadata
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            for first in range(0, rows, ROWS_A_PART):
                yield Part(number, file, group, first, min(ROWS_A_PART, rows - first))
                number += 1


def match_all(plan: Plan, options: Options, progress: Progress) -> Counts:
    """Answer for every company of the snapshot; `progress` is told of companies as they are done.

    Raise `LocalError` 8001 for a snapshot without the right columns, or a folder that holds answers
    to another question.
    """
    total, left = begin(plan, options, progress)
    local = threading.local()

    def work(part: Part) -> Counts:
        if not hasattr(local, "worker"):
            local.worker = opened.enter_context(closing(Worker(plan, options)))
        counts: Counts = local.worker.answer(part)
        return counts

    with ExitStack() as opened, ThreadPoolExecutor(options.threads) as pool:
        futures = {pool.submit(work, part): part for part in left}
        try:
            for future in as_completed(futures):
                total.add(future.result())
                progress(futures[future].rows)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return total


def begin(plan: Plan, options: Options, progress: Progress) -> tuple[Counts, list[Part]]:
    """Return the counts of the parts that are answered already, and the parts that are not.

    Raise `LocalError` 8001 as `match_all` does, and for a company that has two rows.
    """
    for file in options.facts:
        check_columns(plan, open_parquet(file).schema_arrow, file)
    _open_folder(plan, options)
    total, left = Counts(), []
    for part in split(options.facts):
        held = part.counts(options.out)
        if held.exists():
            total.add(Counts.from_value(json.loads(held.read_text())))
            progress(part.rows)
        else:
            left.append(part)
    if left:
        check_once(options.facts)
    return total, left


def read_facts(plan: Plan, part: Part) -> pa.Table:
    """Return the facts of a part: the columns that the plan reads, and the company.

    Raise `LocalError` 8001 where the file cannot be read there, or a row names no company.
    """
    names = set(open_parquet(part.file).schema_arrow.names)
    columns = [COMPANY, *(name for name in plan.columns if name in names)]
    group = read_group(part.file, part.group, columns)
    if group[COMPANY].null_count:
        raise LocalError(Code.INPUT_FILE, f"{part.file} has a row without a {COMPANY}")
    return group.slice(part.first, part.rows)


class Worker:
    """One thread's connection."""

    def __init__(self, plan: Plan, options: Options) -> None:
        self._plan = plan
        self._options = options
        self._query = plan.render("chunk")
        self._connection = connect(options.memory_mb, options.spill)

    def close(self) -> None:
        """Give back what the connection holds."""
        self._connection.close()

    def answer(self, part: Part) -> Counts:
        """Write a part and its counts.

        Raise `LocalError` 8001 for facts that cannot be read, 8004 where memory does not suffice.
        """
        try:
            return self._answer(part)
        except (MemoryError, duckdb.OutOfMemoryException):
            message = f"not enough memory for {part.rows:,} companies at once in each thread"
            told = "the same command with fewer --threads goes on with what is left"
            raise LocalError(Code.INPUT_USAGE, f"{message}: {told}") from None

    def _answer(self, part: Part) -> Counts:
        facts = read_facts(self._plan, part)
        table = run_chunk(self._connection, self._plan, self._query, facts)
        counts, granted = count_part(self._plan, table)
        answers = table.select([COMPANY, *self._plan.written[1:]])
        answers = answers.add_column(1, GRANTED, pa.array(granted))
        _write(answers, part.answers(self._options.out))
        write_text(part.counts(self._options.out), json.dumps(counts.to_value()))
        return counts


def _write(table: pa.Table, path: Path) -> None:
    dictionary = [item.name for item in table.schema if not pa.types.is_boolean(item.type)]
    dictionary.remove(COMPANY)
    with _making(path) as partial:
        pq.write_table(
            table,
            partial,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            write_statistics=False,
            store_schema=False,
        )


@contextmanager
def _making(path: Path) -> Iterator[Path]:
    """Yield a name to write to, then give the file its own; what was not made whole is removed.

    Nobody else writes to that name: a cluster may try a part twice at once. Raise `LocalError` 8001
    where there is no room, or no leave to write.
    """
    partial = path.with_suffix(f".{uuid.uuid4().hex}{_PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        told = f"cannot write {path}: {error.strerror or error}"
        message = f"{told}; once it can, the same command goes on with what is left"
        raise LocalError(Code.INPUT_FILE, message) from None
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of the answers whole; raise `LocalError` 8001."""
    with _making(path) as partial:
        partial.write_text(text, encoding="utf-8")


def check_columns(plan: Plan, schema: pa.Schema, path: Path) -> None:
    """Raise `LocalError` 8001 for a column of another type than the feature's."""
    if COMPANY not in schema.names:
        raise LocalError(Code.INPUT_FILE, f"{path} has no column {COMPANY}")
    if schema.field(COMPANY).type != pa.string():
        found = schema.field(COMPANY).type
        raise LocalError(Code.INPUT_FILE, f"{path}: {COMPANY} is {found}, want string")
    for name, feature in plan.columns.items():
        if name in schema.names and name not in plan.constants:
            found, want = schema.field(name).type, arrow_type(feature)
            if found != want:
                raise LocalError(Code.INPUT_FILE, f"{path}: {name} is {found}, want {want}")


def _open_folder(plan: Plan, options: Options) -> None:
    """Make the folder, or make sure that what is in it answers the same question."""
    digest = _digest(plan, options.facts)
    held = options.out / "plan.json"
    options.out.mkdir(parents=True, exist_ok=True)
    for left in options.out.iterdir():
        if _LEFT.fullmatch(left.name):
            left.unlink(missing_ok=True)
    if held.exists():
        if json.loads(held.read_text())["digest"] != digest:
            message = f"{options.out} holds answers to other rules or facts: choose another folder"
            raise LocalError(Code.INPUT_FILE, message)
        return
    if any(options.out.iterdir()):
        raise LocalError(Code.INPUT_FILE, f"{options.out} is not empty")
    write_text(held, json.dumps({"digest": digest, **describe(plan)}, indent=1))


def _digest(plan: Plan, files: Iterable[Path]) -> str:
    """Return a digest of the rules, the constants and the snapshot."""
    found = hashlib.sha256(plan.render("chunk").encode())
    for offer in plan.offers:
        found.update(offer.product.source_hash + offer.product.scorecard.source_hash)
    for file in files:
        status = os.stat(file)
        metadata = sorted((open_parquet(file).schema_arrow.metadata or {}).items())
        identity = (file.name, status.st_size, status.st_mtime_ns, ROWS_A_PART, metadata)
        found.update(repr(identity).encode())
    return found.hexdigest()


def describe(plan: Plan) -> dict[str, Any]:
    """Return what the columns of the answers mean, for JSON."""
    return {
        "asked": dict(plan.constants),
        "results": {str(int(result)): result.name for result in Result},
        "conditions": {
            column.name: {"when": column.expression.source, "unknown": _fault_text(column.fault)}
            for column in plan.conditions
        },
        "products": [
            {
                "product": offer.product.ref,
                "lender": offer.product.lender,
                "hash": offer.product.source_hash.hex(),
                "result": offer.result,
                "limit": offer.limit,
                "rate": offer.rate,
                "score": offer.score,
                "missing": offer.missing,
                "conditions": [
                    {"column": column.name, "id": item.id, "reason": item.reason, "text": item.text}
                    for item, column in zip(offer.product.conditions, offer.conditions, strict=True)
                ],
            }
            for offer in plan.offers
        ],
        "by_evaluator": [opaque.expression.source for opaque in plan.opaque],
    }


def _fault_text(fault: object) -> str:
    """Return the error of a condition that is NULL, or the column that has its number."""
    return "never" if fault is None else getattr(fault, "name", str(fault))
