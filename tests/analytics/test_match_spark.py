"""A snapshot matched by a local Spark: the same files as on one machine, where Java is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from analytics.matching import run
from analytics.matching.bulk import Prepared, prepare
from analytics.matching.counts import Counts
from analytics.matching.run import Options, match_all
from analytics.matching.sample import check_sample
from ledger.errors import LocalError
from tests.analytics.random_facts import find_edges, make_near
from tests.analytics.test_match_all import WISH, write_snapshot
from tests.analytics.test_sql_products import features_of, odd_rules

COMPANIES = 250
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    """A local Spark of one thread."""
    if shutil.which("java") is None:
        pytest.skip("there is no Java to run Spark on")
    pytest.importorskip("pyspark", reason="pyspark, the extra spark, is not installed")
    from analytics.matching.spark import open_context

    with pytest.MonkeyPatch.context() as environment:
        # A short life: optimising machine code would take longer than running it.
        environment.setenv("JDK_JAVA_OPTIONS", _QUICK)
        found = open_context(1)
    found.setLogLevel("OFF")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot, and beside it `rules/` of a product with every kind of rule, one without SQL."""
    folder = tmp_path_factory.mktemp("spark")
    (folder / "rules").mkdir()
    rules = odd_rules(folder / "rules")
    rows = make_near(rules.products, features_of(rules), find_edges(rules.products), 9, COMPANIES)
    write_snapshot(folder / "facts.parquet", rules, rows)
    return folder / "facts.parquet"


@pytest.fixture
def prepared(facts: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """The plan, with parts of a hundred companies."""
    monkeypatch.setattr(run, "ROWS_A_PART", 100)
    return prepare(facts, facts.parent / "rules", WISH)


def match(prepared: Prepared, out: Path, told: list[int]) -> Counts:
    """Match on Spark."""
    from analytics.matching.spark import match_all_on_spark

    return match_all_on_spark(prepared.plan, Options(prepared.files, out, 1), told.append)


def test_a_cluster_writes_what_one_machine_writes(
    context: Any, prepared: Prepared, tmp_path: Path
) -> None:
    assert context is not None
    assert prepared.plan.opaque  # a task has the evaluator of the nodes, too
    alone, out = tmp_path / "alone", tmp_path / "out"
    want = match_all(prepared.plan, Options(prepared.files, alone, 1), lambda _: None)
    told: list[int] = []
    assert match(prepared, out, told) == want
    assert sum(told) == COMPANIES
    names = sorted(path.name for path in alone.iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        if name.endswith(".parquet"):
            assert pq.read_table(out / name).equals(pq.read_table(alone / name))
        else:
            assert (out / name).read_bytes() == (alone / name).read_bytes()
    check = check_sample(prepared.plan, Options(prepared.files, out, 1), 50, lambda _: None)
    assert (check.companies, check.difference) == (50, "")


def test_a_cluster_goes_on_with_what_one_machine_left(
    context: Any, prepared: Prepared, tmp_path: Path
) -> None:
    assert context is not None
    want = match_all(prepared.plan, Options(prepared.files, tmp_path, 1), lambda _: None)
    (tmp_path / "part-00001.json").unlink()
    (tmp_path / "part-00001.0.partial").write_bytes(b"killed while it wrote")
    kept = (tmp_path / "part-00000.parquet").stat().st_mtime_ns
    told: list[int] = []
    assert match(prepared, tmp_path, told) == want
    assert sorted(filter(None, told)) == [50, 100, 100]
    assert (tmp_path / "part-00000.parquet").stat().st_mtime_ns == kept
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_snapshot_is_named_by_the_task_that_reads_it(
    context: Any, prepared: Prepared, tmp_path: Path
) -> None:
    assert context is not None
    path = tmp_path / "facts.parquet"
    content = bytearray(prepared.files[0].read_bytes())
    column = pq.read_metadata(prepared.files[0]).row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    for index in range(start, start + column.total_compressed_size):
        content[index] ^= 0x55
    path.write_bytes(content)
    damaged = prepare(path, prepared.files[0].parent / "rules", WISH)
    with pytest.raises(LocalError, match=r"facts\.parquet is damaged in row group 0, make it anew"):
        match(damaged, tmp_path / "out", [])
