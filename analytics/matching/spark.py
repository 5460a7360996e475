"""The parts of a snapshot answered by the executors of a Spark cluster, DuckDB in each task.

Spark deals out parts; a task does what a thread of the one-machine run does: it reads its part of
the snapshot, answers it and writes the answers and their counts (`analytics.matching.run.Worker`).
No row passes through the JVM, so a core of a cluster is worth a core of one machine, and a folder
may be begun by one and finished by the other. The snapshot and the folder of the answers are on a
file system that the driver and all executors have at the same path, and the Python of the executors
(`PYSPARK_PYTHON`) has creditledger with the extra `analytics`. DuckDB's memory is outside of the
JVM: `Options.memory_mb` for each core belongs into `spark.executor.memoryOverhead`.
"""

from __future__ import annotations

import atexit
import copyreg
import io
import os
import pickle
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException

from analytics.matching.counts import Counts
from analytics.matching.plan import Plan
from analytics.matching.run import Options, Part, Progress, Worker, begin
from ledger.errors import Code, LocalError
from ledger.rules.closures import build_evaluator
from ledger.rules.compiler import Expression
from ledger.rules.features import Feature
from ledger.rules.tree import Tree

_ERROR = re.compile(r"[A-Za-z.]*(Error|Exception): ")
_SUBMITTED = {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"}  # which name a cluster
_LOCAL = [
    ("spark.ui.enabled", "false"),
    ("spark.ui.showConsoleProgress", "false"),
    ("spark.log.level", "ERROR"),
]
_LOOK_S = 1.0  # between looks at the folder, for the progress


def open_context(threads: int) -> SparkContext:
    """Return the cluster that the environment names, else a local Spark of so many threads.

    Raise `LocalError` 8004 where Spark does not start.
    """
    if "SPARK_REMOTE" in os.environ:
        message = "Spark Connect runs no tasks of ours: name the cluster in PYSPARK_SUBMIT_ARGS"
        raise LocalError(Code.INPUT_USAGE, message)
    conf = SparkConf().setAppName("creditledger match --all")
    if not _SUBMITTED & os.environ.keys():
        conf.setMaster(f"local[{threads}]").setAll(_LOCAL)
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # Else it looks up the machine's own name, which need not resolve, and listens to others.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    try:
        context = SparkContext.getOrCreate(conf)
    except (PySparkException, Py4JJavaError) as error:
        message = f"Spark does not start, is Java installed? {_find_cause(error)}"
        raise LocalError(Code.INPUT_USAGE, message) from None
    atexit.register(context.stop)  # else a cluster would say that the application failed
    return context


def match_all_on_spark(plan: Plan, options: Options, progress: Progress) -> Counts:
    """Answer for every company of the snapshot; `progress` is told of companies as they are done.

    Raise `LocalError` 8001 for what `match_all` refuses, and where the executors write elsewhere;
    8004 where Spark gives up.
    """
    total, left = begin(plan, options, progress)
    if not left:
        return total
    context = open_context(options.threads)
    try:
        with _watch(left, options, progress):
            parts = context.parallelize(_resolve(left), len(left))
            answered = parts.map(_make_task(plan, options)).collect()
    except (PySparkException, Py4JJavaError) as error:
        raise LocalError(Code.INPUT_USAGE, f"Spark gave up: {_find_cause(error)}") from None
    for counts in answered:
        if isinstance(counts, LocalError):
            raise counts
        total.add(counts)
    if not any(part.counts(options.out).exists() for part in left):
        message = f"the executors wrote elsewhere: {options.out} must be a folder that all share"
        raise LocalError(Code.INPUT_FILE, message)
    return total


def _resolve(parts: Sequence[Part]) -> list[Part]:
    return [replace(part, file=part.file.resolve()) for part in parts]


def _make_task(plan: Plan, options: Options) -> Callable[[Part], Counts | LocalError]:
    """Return what a task does with its part; it travels to the executors."""
    spill = None if options.spill is None else options.spill.resolve()
    packed = _pack((plan, replace(options, facts=(), out=options.out.resolve(), spill=spill)))

    def answer(part: Part) -> Counts | LocalError:
        try:
            return _unpack(packed).answer(part)
        except LocalError as error:  # an answer, for trying again would not help
            return error

    return answer


def _find_cause(error: Exception) -> str:
    """Return the line that says what happened, of a task's traceback if there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if _ERROR.match(line) and "py4j" not in line]
    return next(iter([*said, *lines]), type(error).__name__)


@contextmanager
def _watch(left: Sequence[Part], options: Options, progress: Progress) -> Iterator[None]:
    """Tell the progress of the parts of which the folder has the counts."""
    is_over = threading.Event()

    def look() -> None:
        waiting = list(left)
        while waiting:
            is_last = is_over.wait(_LOOK_S)
            done = {part for part in waiting if part.counts(options.out).exists()}
            waiting = [part for part in waiting if part not in done]
            progress(sum(part.rows for part in done))
            if is_last:
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class _Pickler(pickle.Pickler):
    """Pickles a plan, whose rules hold functions that were made at run time."""

    dispatch_table = copyreg.dispatch_table | {
        Expression: lambda item: (_revive, (item.source, item.tree, item.cost, item.reads)),
        Feature: lambda item: (Feature, tuple(_values(item))),
    }


def _revive(source: str, tree: Tree, cost: int, reads: frozenset[str]) -> Expression:
    """Return an expression that is only interpreted: a task evaluates the rules without SQL."""
    interpret = build_evaluator(tree)
    return Expression(source, tree, cost, reads, interpret, interpret)


def _values(feature: Feature) -> Iterator[Any]:
    """Yield the fields without the stream: facts are columns here, nobody computes them."""
    for item in fields(feature):
        yield None if item.name == "stream" else getattr(feature, item.name)


def _pack(value: tuple[Plan, Options]) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return zlib.compress(file.getvalue())


@lru_cache(maxsize=1)  # Spark uses a process for many tasks
def _unpack(packed: bytes) -> Worker:
    return Worker(*pickle.loads(zlib.decompress(packed)))  # noqa: S301 - of our own driver
