"""The same plan on Spark, for a province that outgrows one machine.

The session is the one that `spark-submit` or the environment gives, else a local one. Files of
answers are Spark's own (`answers/part-….parquet`), in which the rows stand in no order that means
anything: the company says whose they are. Counting reads them back, one row group after another.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from analytics.columns import open_parquet
from analytics.matching.counts import Counts, count_part
from analytics.matching.plan import Plan
from analytics.matching.run import ANSWERS, Options, Progress, begin, check_columns
from ledger.errors import Code, LocalError

# The plan has shared its parts already. Merging the projections again would undo that, and the
# classes generated of thousands of columns are larger than a JVM takes.
_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.CollapseProject",
    "spark.sql.parquet.compression.codec": "zstd",
}
_LOCAL = {"spark.ui.enabled": "false", "spark.driver.memory": "4g"}


def open_session(threads: int) -> SparkSession:
    """Return the session there is, or a local one of so many threads.

    Raise `LocalError` 8004 where Spark does not start.
    """
    builder = SparkSession.builder.appName("creditledger match --all")
    if "SPARK_REMOTE" not in os.environ and "MASTER" not in os.environ:
        builder = builder.master(f"local[{threads}]")
        for key, value in _LOCAL.items():
            builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        message = f"Spark does not start, is Java installed? {error}"
        raise LocalError(Code.INPUT_USAGE, message) from None


def match_all_on_spark(plan: Plan, options: Options, progress: Progress) -> Counts:
    """Answer for every company of the snapshot; `progress` is told when they are counted.

    Raise `LocalError` 8001 for a rule that has no SQL (Spark has no evaluator of a node), and for
    what `match_all` refuses.
    """
    if plan.opaque:
        sources = "; ".join(item.expression.source for item in plan.opaque[:3])
        raise LocalError(Code.INPUT_FILE, f"{len(plan.opaque)} rules have no SQL: {sources}")
    for file in options.facts:
        check_columns(plan, open_parquet(file).schema_arrow, file)
    query = plan.render("facts")
    begin(plan, options, query)
    answers = options.out / ANSWERS
    if not (answers / "_SUCCESS").exists():
        session = open_session(options.threads)
        for key, value in _SETTINGS.items():
            session.conf.set(key, value)
        paths = [str(path.resolve()) for path in options.facts]
        session.read.parquet(*paths).createOrReplaceTempView("facts")
        session.sql(query).write.mode("overwrite").parquet(str(answers.resolve()))
    return _count(plan, answers, progress)


def _count(plan: Plan, answers: Path, progress: Progress) -> Counts:
    total = Counts()
    for path in sorted(answers.glob("*.parquet")):
        file = open_parquet(path)
        for group in range(file.num_row_groups):
            table: pa.Table = file.read_row_group(group)
            counts, _ = count_part(plan, table)
            total.add(counts)
            progress(table.num_rows)
    (answers.parent / "counts.json").write_text(json.dumps(total.to_value()), encoding="utf-8")
    return total
