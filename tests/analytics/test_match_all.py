"""Matching a snapshot: parts, counts, going on after an interruption, the sample, the command.

The snapshot of the last tests is exported from the home of a chain, and what the bulk answer says
of a company is what its own node says to it.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analytics import columns
from analytics.columns import COMPANY, Snapshot, SnapshotWriter, arrow_schema, read_snapshot
from analytics.export.facts import export_facts
from analytics.matching import run
from analytics.matching.bulk import Prepared, prepare
from analytics.matching.counts import Counts
from analytics.matching.plan import Result
from analytics.matching.run import GRANTED, Options, match_all
from analytics.matching.sample import check_sample
from analytics.matching.summary import summarise
from commands.cli import cli
from commands.frame import Exit
from ledger.errors import Code, LocalError
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore
from tests.analytics.random_facts import find_edges, make_near
from tests.analytics.test_sql_products import DAY, ODD_PRODUCT, features_of, odd_rules
from tests.lending.province import OTHER, SELLER, Province

COMPANIES = 230
WISH = {"ap.amount": 50_000_000, "ap.term": 180}


def write_snapshot(path: Path, rules: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Write facts as a snapshot; the company is the row's number."""
    schema = rules.schemas[rules.products[0].schema_ref]
    columns = arrow_schema(schema, Snapshot(schema.ref, DAY))
    arrays = [pa.array([f"{index:018}" for index in range(len(rows))])]
    for field in list(columns)[1:]:
        arrays.append(pa.array([row.get(field.name) for row in rows], field.type))
    with SnapshotWriter(path, columns) as writer:
        writer.write(pa.Table.from_arrays(arrays, schema=columns))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `rules/` and the snapshot `facts.parquet`."""
    folder = tmp_path_factory.mktemp("bulk")
    (folder / "rules").mkdir()
    rules = odd_rules(folder / "rules")
    features, edges = features_of(rules), find_edges(rules.products)
    rows = make_near(rules.products, features, edges, 8, COMPANIES)
    write_snapshot(folder / "facts.parquet", rules, rows)
    return folder


@pytest.fixture
def prepared(place: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """The plan, with parts of a hundred companies."""
    monkeypatch.setattr(run, "ROWS_A_PART", 100)
    return prepare(place / "facts.parquet", place / "rules", WISH)


def match(prepared: Prepared, out: Path, **changes: Any) -> Counts:
    """Match on one thread."""
    return match_all(prepared.plan, Options(prepared.files, out, 1, **changes), lambda _: None)


def read_answers(out: Path) -> pa.Table:
    """Return the answers of all parts."""
    return pa.concat_tables(pq.read_table(path) for path in sorted(out.glob("part-*.parquet")))


def test_parts_hold_every_company_once_and_counts_are_of_them(
    prepared: Prepared, tmp_path: Path
) -> None:
    counts = match(prepared, tmp_path / "out")
    answers = read_answers(tmp_path / "out")
    assert answers[COMPANY].to_pylist() == [f"{index:018}" for index in range(COMPANIES)]
    (offer,) = prepared.plan.offers
    results = answers[offer.result].to_pylist()
    assert counts.results["ODD-1"] == [results.count(result) for result in Result]
    assert counts.results["ODD-1"][Result.GRANT] > 0
    assert counts.limits_fen["ODD-1"] == pc.sum(answers[offer.limit]).as_py()
    for column in prepared.plan.conditions:
        assert counts.failed[column.name] == answers[column.name].to_pylist().count(False)
    assert counts.grants == {0: COMPANIES - results.count(0), 1: results.count(0)}
    assert answers[GRANTED].to_pylist() == [int(result == 0) for result in results]


def test_what_lacked_is_what_the_decisions_name(prepared: Prepared, tmp_path: Path) -> None:
    counts = match(prepared, tmp_path / "out")
    facts = pq.read_table(prepared.files[0]).to_pylist()
    (offer,) = prepared.plan.offers
    found: dict[str, int] = {}
    for row in facts:
        known = {name: value for name, value in row.items() if value is not None}
        decision = offer.product.decide(known | dict(prepared.plan.constants))
        if decision.outcome == "REFER":
            for name in decision.missing:
                found[name] = found.get(name, 0) + 1
    assert found
    assert counts.lacking["ODD-1"] == dict(sorted(found.items()))


def test_an_interrupted_run_goes_on_with_what_is_left(prepared: Prepared, tmp_path: Path) -> None:
    whole = match(prepared, tmp_path / "whole")
    out = tmp_path / "out"
    match(prepared, out)
    (out / "part-00001.json").unlink()
    kept = (out / "part-00000.parquet").stat().st_mtime_ns
    assert match(prepared, out) == whole
    assert (out / "part-00000.parquet").stat().st_mtime_ns == kept
    assert read_answers(out).equals(read_answers(tmp_path / "whole"))


_RENDER = """
import hashlib, sys
from pathlib import Path
from analytics.matching.bulk import prepare
prepared = prepare(Path(sys.argv[1]), Path(sys.argv[2]), {"ap.amount": 50_000_000, "ap.term": 180})
print(hashlib.sha256(prepared.plan.render("chunk").encode()).hexdigest())
"""


def test_the_next_process_asks_the_same_question(place: Path) -> None:
    """Sets of names have another order in each process; a run that goes on needs one query."""
    arguments = [sys.executable, "-c", _RENDER, str(place / "facts.parquet"), str(place / "rules")]
    found = {
        subprocess.run(  # noqa: S603 - this interpreter, on a text of this test
            arguments,
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_answers_to_another_question_are_not_mixed(
    prepared: Prepared, place: Path, tmp_path: Path
) -> None:
    match(prepared, tmp_path / "out")
    other = prepare(place / "facts.parquet", place / "rules", WISH | {"ap.amount": 1})
    with pytest.raises(LocalError, match="answers to other rules or facts"):
        match(other, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(LocalError, match="is not empty"):
        match(prepared, tmp_path / "full")


def test_a_run_without_room_goes_on_when_there_is(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half is left, not even of the plan, and another's files are not touched."""
    whole, out = match(prepared, tmp_path / "whole"), tmp_path / "out"

    def fill(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[:9])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fill)
        with pytest.raises(LocalError, match="No space left on device; once it can, the same"):
            match(prepared, out)
    assert not list(out.iterdir())
    (out / f"plan.{'0' * 32}.partial").write_bytes(b"killed here")
    assert match(prepared, out) == whole
    assert not list(out.glob("*.partial"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "film.partial").write_bytes(b"not ours")
    with pytest.raises(LocalError, match="is not empty"):
        match(prepared, other)
    assert (other / "film.partial").exists()


@pytest.mark.parametrize("error", [MemoryError(), duckdb.OutOfMemoryException("Out of Memory")])
def test_too_little_memory_is_told_in_a_line(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(run, "run_chunk", fail)
        with pytest.raises(LocalError, match="not enough memory for 100 companies at once") as told:
            match(prepared, tmp_path / "out")
    assert told.value.code is Code.INPUT_USAGE
    assert match(prepared, tmp_path / "out").results


def test_small_tables_are_gathered_into_groups(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain is exported in batches; each row group is a part that is planned anew."""
    monkeypatch.setattr(columns, "ROWS_A_GROUP", 100)
    table = pq.read_table(place / "facts.parquet")
    with columns.SnapshotWriter(tmp_path / "facts.parquet", table.schema) as writer:
        for first in range(0, COMPANIES, 7):
            writer.write(table.slice(first, 7))
    metadata = pq.read_metadata(tmp_path / "facts.parquet")
    groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert groups == [100, 100, 30]
    assert pq.read_table(tmp_path / "facts.parquet").equals(table)

    def stop() -> None:
        with columns.SnapshotWriter(tmp_path / "b.parquet", table.schema) as writer:
            writer.write(table)
            raise LocalError(Code.INPUT_FILE, "stop")

    with pytest.raises(LocalError, match="stop"):
        stop()
    assert [path.name for path in tmp_path.iterdir()] == ["facts.parquet"]


def test_a_sample_finds_an_answer_that_is_wrong(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    match(prepared, out)
    options = Options(prepared.files, out, 1)
    check = check_sample(prepared.plan, options, COMPANIES, lambda _: None)
    assert (check.companies, check.answers, check.difference) == (COMPANIES, COMPANIES, "")
    path = out / "part-00002.parquet"
    table = pq.read_table(path)
    index = table.column_names.index("SME-RISK/1.score")
    wrong = pc.add(table.column(index), 1)
    pq.write_table(table.set_column(index, "SME-RISK/1.score", wrong), path)
    check = check_sample(prepared.plan, options, COMPANIES, lambda _: None)
    assert check.difference.startswith("000000000000000200 ODD-1/1: score: ")


def test_a_snapshot_must_have_the_columns_of_its_schema(
    prepared: Prepared, place: Path, tmp_path: Path
) -> None:
    table = pq.read_table(place / "facts.parquet")
    index = table.column_names.index("co.staff")
    text = table.column("co.staff").cast(pa.string())
    pq.write_table(table.set_column(index, "co.staff", text), tmp_path / "odd.parquet")
    odd = prepare(tmp_path / "odd.parquet", place / "rules", WISH)
    with pytest.raises(LocalError, match=r"co\.staff is string, want int64"):
        match(odd, tmp_path / "out")
    without = table.drop_columns(["co.staff"])
    pq.write_table(without, tmp_path / "without.parquet")
    lacking = prepare(tmp_path / "without.parquet", place / "rules", WISH)
    assert lacking.absent == ("co.staff",)
    counts = match(lacking, tmp_path / "lacking")
    assert counts.results["ODD-1"][Result.GRANT] == 0
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "bare.parquet")
    with pytest.raises(LocalError, match="does not say its schema and day"):
        prepare(tmp_path / "bare.parquet", place / "rules", WISH)
    with pytest.raises(LocalError, match=r"ap\.term is 9999, outside"):
        prepare(place / "facts.parquet", place / "rules", WISH | {"ap.term": 9999})


def test_a_damaged_snapshot_is_named(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    content = bytearray((place / "facts.parquet").read_bytes())
    column = pq.ParquetFile(place / "facts.parquet").metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    for index in range(start, start + column.total_compressed_size):
        content[index] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(LocalError, match=r"facts\.parquet is damaged in row group 0, make it anew"):
        match(prepare(path, place / "rules", WISH), tmp_path / "out")


def test_every_row_names_its_company(place: Path, tmp_path: Path) -> None:
    table = pq.read_table(place / "facts.parquet")
    companies = [None, *table[COMPANY].to_pylist()[1:]]
    columns = table.set_column(0, pa.field(COMPANY, pa.string()), pa.array(companies))
    pq.write_table(columns.replace_schema_metadata(table.schema.metadata), tmp_path / "a.parquet")
    with pytest.raises(LocalError, match=r"a\.parquet has a row without a company"):
        match(prepare(tmp_path / "a.parquet", place / "rules", WISH), tmp_path / "out")


@pytest.mark.parametrize("is_one_file", [True, False])
def test_a_company_that_is_there_twice_is_refused(
    place: Path, tmp_path: Path, is_one_file: bool
) -> None:
    table = pq.read_table(place / "facts.parquet")
    if is_one_file:
        pq.write_table(pa.concat_tables([table, table.slice(7, 1)]), tmp_path / "facts.parquet")
    else:
        pq.write_table(table, tmp_path / "facts-0.parquet")
        pq.write_table(table.slice(7, 1), tmp_path / "facts-1.parquet")
    twice = prepare(tmp_path, place / "rules", WISH)
    with pytest.raises(LocalError, match=rf"company {7:018} has 2 rows in the snapshot, want one"):
        match(twice, tmp_path / "out")
    assert not list((tmp_path / "out").glob("part-*"))


def test_files_of_a_snapshot_have_the_same_columns(place: Path, tmp_path: Path) -> None:
    table = pq.read_table(place / "facts.parquet")
    pq.write_table(table, tmp_path / "facts-0.parquet")
    pq.write_table(table.drop_columns(["co.staff"]), tmp_path / "facts-1.parquet")
    with pytest.raises(LocalError, match=r"facts-1\.parquet has not the .*: co\.staff is in one"):
        prepare(tmp_path, place / "rules", WISH)


def test_a_snapshot_of_no_company_has_a_summary(place: Path, tmp_path: Path) -> None:
    table = pq.read_table(place / "facts.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    empty = prepare(tmp_path / "empty.parquet", place / "rules", WISH)
    summary = summarise(empty.plan, match(empty, tmp_path / "out"))
    assert (summary["companies"], summary["grants"], summary["median_grants"]) == (0, 0, 0)
    assert check_sample(empty.plan, Options(empty.files, tmp_path / "out"), 9, print).answers == 0


def test_the_command_matches_compares_and_tells(place: Path, tmp_path: Path) -> None:
    arguments = ["match", "--all", "--facts", str(place / "facts.parquet")]
    arguments += ["--rules", str(place / "rules"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, [*arguments, "--sample", "50", "--threads", "1"])
    assert result.exit_code == Exit.OK, result.output
    assert "230 companies in" in result.output
    assert "equal: 50 companies decided again, 50 answers" in result.output
    result = CliRunner().invoke(cli, [*arguments, "--json", "--product", "ODD-1"])
    assert result.exit_code == Exit.OK, result.output
    summary = json.loads(result.output)
    assert summary == json.loads((tmp_path / "out/summary.json").read_text("utf-8")) | {
        "seconds": summary["seconds"],
        "megabytes": summary["megabytes"],
    }
    assert summary["products"][0]["product"] == "ODD-1/1"
    assert summary["products"][0]["reasons"][0]["companies"] > 0
    result = CliRunner().invoke(cli, arguments[:4])
    assert result.exit_code == Exit.USAGE
    result = CliRunner().invoke(cli, [*arguments, "--product", "ODD-9"])
    assert (result.exit_code, "no product ODD-9" in result.output) == (Exit.USAGE, True)


@pytest.fixture(scope="module")
def chain() -> Province:
    """A chain with companies, sales, receivables and four products."""
    province = Province()
    province.receivable(5, amount_fen=900_000_000, is_confirmed=False)
    province.receivable()
    return province


def test_the_bulk_answer_is_what_the_node_says_to_the_company(
    chain: Province, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    layout = HomeLayout(home)
    home.mkdir()
    layout.genesis.write_bytes(b"read from the database")
    store = LevelStore(layout.database)
    store.write(dict(chain.store.scan(b"", b"\xff" * 8)), sync=True)
    store.close()
    facts = tmp_path / "facts.parquet"
    arguments = ["export", "facts", "--home", str(home), "--schema", "company/1"]
    result = CliRunner().invoke(cli, [*arguments, "--out", str(facts), "--json"])
    assert result.exit_code == Exit.OK, result.output
    assert json.loads(result.output)["companies"] == pq.read_metadata(facts).num_rows
    assert facts.stat().st_mode & 0o777 == 0o600  # it holds everybody's data
    assert read_snapshot(facts) == Snapshot("company/1", chain.day, chain.head.height)
    prepared = prepare(facts, home, {"ap.amount": 20_000_000, "ap.term": 90})
    match(prepared, tmp_path / "out")
    answers = {row[COMPANY]: row for row in read_answers(tmp_path / "out").to_pylist()}
    for company in (SELLER, OTHER):
        said = chain.ask(
            company, "company.match", company=company, amount_fen=20_000_000, term_days=90
        )
        row = answers[company]
        outcomes = [Result(row[offer.result]).outcome for offer in prepared.plan.offers]
        assert {key: outcomes.count(key) for key in set(outcomes)} == said["counts"]
        granted = {
            offer.product.ref: (row[offer.limit], row[offer.rate])
            for offer in prepared.plan.offers
            if row[offer.result] == Result.GRANT
        }
        assert granted == {
            item["product"]: (item["limit_fen"], item["rate_bp"]) for item in said["eligible"]
        }
    assert answers[SELLER][GRANTED] == 2


def test_an_export_needs_a_registered_schema_and_a_home(chain: Province, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="company/9") as refused:
        export_facts(chain.store, "company/9", None, tmp_path / "x.parquet", lambda _: None)
    assert refused.value.code is Code.SCHEMA_UNKNOWN  # type: ignore[attr-defined]
    arguments = ["export", "facts", "--home", str(tmp_path), "--schema", "company/1"]
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "x.parquet")])
    assert result.exit_code == Exit.STORAGE
    assert not (tmp_path / "x.parquet").exists()


def test_a_summary_ranks_products_and_names_what_stood_against_them(
    prepared: Prepared, tmp_path: Path
) -> None:
    summary = summarise(prepared.plan, match(prepared, tmp_path / "out"))
    (product,) = summary["products"]
    assert product["granted"] + product["declined"] + product["referred"] == COMPANIES
    counted = [item["companies"] for item in product["reasons"]]
    assert counted == sorted(counted, reverse=True)
    assert summary["grants"] == product["granted"] == summary["companies_granted"]
    assert ODD_PRODUCT.count("[[condition]]") >= len(product["reasons"]) - 2
