"""Scorecards are fitted, validated, written and read back; on data whose truth is known."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.columns import Snapshot, SnapshotWriter, arrow_schema
from analytics.invoices import COLUMNS
from analytics.scorecard.design import INVOICES, Trend, read_design
from analytics.scorecard.figures import compute_auc, compute_ks, split_folds
from analytics.scorecard.fitting import Fitted, Plan, fit_scorecard
from analytics.scorecard.inputs import measure_inputs
from analytics.scorecard.invoice_facts import AS_OF, read_invoice_facts
from analytics.scorecard.report import compute_stability, measure_stability
from analytics.scorecard.selection import fit_card
from analytics.scorecard.settings import Settings
from analytics.scorecard.table import FactTable, read_table
from analytics.scorecard.validation import Procedure, validate, validate_permuted
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE, compute_from_files
from commands.scorecards.files import find_schema
from genesis.companies import made_up_code
from ledger.errors import Code, LocalError, RuleSourceError
from ledger.rules.units import Unit
from tests.analytics.scorecards import (
    design_of,
    make_candidate,
    make_design,
    make_noise,
    make_table,
    schema_of,
)

PLAN = Plan(Settings(), repeats=2)


def fit_made_up(table: FactTable, **trends: Trend) -> Fitted:
    return fit_scorecard(table, schema_of(table), design_of(table, **trends), PLAN)


def test_fit_finds_what_companies_are_like() -> None:
    table = make_table()
    found = fit_made_up(table)
    assert found.validation.auc.mean > 0.75
    assert found.validation.auc.low < found.validation.auc.mean < found.validation.auc.high
    assert found.own_auc >= found.validation.auc.mean
    swing = {item.id: max(item.points, default=0) for item in found.scorecard.characteristics}
    assert swing["SALES"] > 2 * swing.get("NOISE", 0)


def test_same_data_make_the_same_bytes() -> None:
    first, second = (fit_made_up(make_table(200, missing=0.1)) for _ in range(2))
    assert first.source == second.source
    assert first.report == second.report


def test_labels_at_random_are_not_told_apart() -> None:
    """Nothing is learnt from a company that is then judged: not its label, cuts or inputs."""
    table = make_table(150)
    inputs = measure_inputs(table, schema_of(table), design_of(table).candidates)
    labels = np.array(table.labels, dtype=float)
    procedure = Procedure(Settings(), tuple(range(len(inputs))))
    assert validate(procedure, inputs, labels, 5, 1).fold_auc > 0.7
    assert abs(validate_permuted(procedure, inputs, labels, 5, 10) - 0.5) < 0.06


def test_inputs_are_chosen_inside_the_folds() -> None:
    """Of many columns of noise the best few look good on the companies they were chosen on."""
    table = make_noise(90, 40, seed=5)
    inputs = measure_inputs(table, schema_of(table), design_of(table).candidates)
    labels = np.array(table.labels, dtype=float)
    bands = Settings(bands=6, inputs_max=5)
    procedure = Procedure(bands, tuple(range(len(inputs))))
    found = validate(procedure, inputs, labels, 5, 2)
    card = procedure.fit(inputs, labels)
    assert compute_auc(card.score(inputs), labels) > found.fold_auc + 0.1
    assert abs(found.fold_auc - 0.5) < 0.1


def test_forward_takes_what_helps_and_stops() -> None:
    table = make_table(150)
    inputs = measure_inputs(table, schema_of(table), design_of(table).candidates)
    procedure = Procedure(Settings(bands=6), (), forward=4)
    chosen = procedure.choose(inputs, np.array(table.labels, dtype=float))
    names = {inputs[place].candidate.id for place in chosen}
    assert "SALES" in names
    assert "NOISE" not in names


def test_points_go_the_way_they_were_told() -> None:
    """Even where the data say otherwise: then the input gives nothing."""
    found = fit_made_up(make_table(), sales=Trend.UP, void=Trend.DOWN)
    items = {item.id: item for item in found.scorecard.characteristics}
    assert list(items["SALES"].points) == sorted(items["SALES"].points)
    assert list(items["VOID"].points) == sorted(items["VOID"].points, reverse=True)
    table = make_table()
    wrong = make_design(
        make_candidate("SALES", "data.sales", Trend.DOWN),
        make_candidate("NOISE", "data.noise", Trend.FREE),
    )
    card = fit_scorecard(table, schema_of(table), wrong, PLAN).scorecard
    assert [item.id for item in card.characteristics] == ["NOISE"]


def test_missing_never_gives_more_than_the_mean_company_has() -> None:
    table = make_table(400, missing=0.2)
    blessed = [  # who has no sales never failed
        0 if label and "data.sales" not in row else label
        for row, label in zip(table.rows, table.labels, strict=True)
    ]
    found = fit_made_up(replace(table, labels=tuple(blessed)))
    item = next(item for item in found.scorecard.characteristics if item.id == "SALES")
    points = [found.scorecard.score(row).parts for row in table.rows]
    known = [part.points for parts in points for part in parts if part.id == "SALES" and part.value]
    assert item.missing <= np.mean(known) + 1
    assert item.missing_reason != item.reason


def test_what_is_hardly_ever_missing_counts_as_of_a_failed_company() -> None:
    table = make_table(300)
    found = fit_made_up(table)
    item = next(item for item in found.scorecard.characteristics if item.id == "SALES")
    rows = zip(table.rows, table.labels, strict=True)
    failed = [found.scorecard.score(row).parts[0].points for row, label in rows if label]
    assert found.scorecard.characteristics[0] is item
    assert item.missing == pytest.approx(np.mean(failed), abs=1.5)


def test_texts_become_tables_of_points() -> None:
    found = fit_made_up(make_table())
    item = next(item for item in found.scorecard.characteristics if item.id == "GRADE")
    assert item.table["A"] > item.table["C"]
    assert found.scorecard.score({"data.grade": "Z"}).parts[-1].value is None


def test_an_input_is_a_rule_and_told_where_it_is_not() -> None:
    table = make_table(100)
    schema = schema_of(table)
    design = make_design(make_candidate("A", "data.sale + 1", Trend.UP))
    with pytest.raises(RuleSourceError) as caught:
        fit_scorecard(table, schema, design, PLAN)
    assert caught.value.code is Code.RULE_NAME
    design = make_design(make_candidate("A", "data.sales / (data.void + 1)", Trend.UP))
    assert fit_scorecard(table, schema, design, PLAN).scorecard.ref == "MADE-UP/1"


def test_nothing_to_learn_is_refused() -> None:
    table = make_table(100)
    with pytest.raises(LocalError, match="both sorts"):
        replace(table, labels=(1,) * 100).labelled()
    with pytest.raises(LocalError, match="want at least 5 companies"):
        fit_made_up(replace(table, labels=(1, 1, *(0,) * 98)))
    constant = replace(table, rows=({"data.sales": 1},) * 100)
    with pytest.raises(LocalError, match="no input tells good from bad"):
        fit_made_up(constant)


LABELLED = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(LABELLED)
def test_auc_and_ks_are_what_they_are_said_to_be(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float)
    labels = np.array([label for _, label in rows], dtype=float)
    good = [score for score, label in rows if not label]
    bad = [score for score, label in rows if label]
    wins = sum((a > b) + (a == b) / 2 for a, b in product(good, bad))
    assert compute_auc(scores, labels) == pytest.approx(wins / len(good) / len(bad))
    distances = [
        abs(sum(b <= cut for b in bad) / len(bad) - sum(g <= cut for g in good) / len(good))
        for cut in range(10)
    ]
    assert compute_ks(scores, labels) == pytest.approx(max(distances))


@given(st.integers(5, 30), st.integers(5, 60), st.integers(2, 5), st.integers(0, 9))
@settings(max_examples=30)
def test_folds_hold_good_and_bad_evenly(bad: int, good: int, folds: int, seed: int) -> None:
    labels = np.array([1.0] * bad + [0.0] * good)
    fold_of = split_folds(labels, folds, np.random.default_rng(seed))
    for label in (0, 1):
        counts = Counter(fold_of[labels == label].tolist())
        assert set(counts) == set(range(folds))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_stability_tells_another_population() -> None:
    found = fit_made_up(make_table())
    then = [found.scorecard.score(row) for row in make_table().rows]
    same = measure_stability(found.report, found.scorecard, then)
    assert max(same.values()) == 0
    fewer = [{**row, "data.sales": int(row["data.sales"]) // 50} for row in make_table(seed=2).rows]
    moved = measure_stability(
        found.report, found.scorecard, [found.scorecard.score(row) for row in fewer]
    )
    assert moved["SALES"] > 0.25
    assert moved.get("GRADE", 0.0) < 0.1
    with pytest.raises(LocalError, match="report is of"):
        measure_stability({**found.report, "hash": "00"}, found.scorecard, then)


def test_stability_index_of_shares_worked_by_hand() -> None:
    assert compute_stability([0.5, 0.5], [0.5, 0.5], 100) == 0
    worked = 0.25 * np.log(1.5) - 0.25 * np.log(0.5)  # half and half becomes 3/4 and 1/4
    assert compute_stability([0.5, 0.5], [0.75, 0.25], 100) == pytest.approx(worked)


def test_report_counts_every_company_once_in_each_characteristic() -> None:
    table = make_table(300, missing=0.15)
    report = fit_made_up(table).report
    for item in report["characteristics"]:
        assert sum(band["companies"] for band in item["bands"]) == 300
        assert sum(band["bad"] for band in item["bands"]) == sum(map(bool, table.labels))
        assert sum(item["shares"]) == pytest.approx(1, abs=1e-4)


def test_table_without_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["id,X1,Attr 2,kind,bad", "a,1,0.12345,x,1", "b,,-3.5,,0", "c,9,nan,y,"]
    path.write_text("\n".join(lines), encoding="utf-8")
    table = read_table(path, "bad", id_column="id")
    assert table.ids == ("a", "b", "c")
    assert table.labels == (1, 0, None)
    assert table.rows == (
        {"data.x1": 1, "data.attr_2": 1234, "data.kind": "x"},
        {"data.attr_2": -35_000},
        {"data.x1": 9, "data.kind": "y"},
    )
    assert table.units["data.kind"] is Unit.TEXT
    assert set(schema_of(table).features) == {*table.units, "as_of"}


def test_table_in_parquet_is_that_in_csv(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {"company": ["a", "b"], "data.sales": [7, None], "data.grade": ["A", None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    schema = schema_of(make_table(20))
    table = read_table(tmp_path / "t.parquet", id_column="company", schema=schema)
    (tmp_path / "t.csv").write_text("company,data.sales,data.grade\na,7,A\nb,,\n", encoding="utf-8")
    again = read_table(tmp_path / "t.csv", id_column="company", schema=schema)
    assert table.rows == again.rows == ({"data.sales": 7, "data.grade": "A"}, {})


def test_snapshot_names_its_companies_and_its_day(tmp_path: Path) -> None:
    import pyarrow

    schema = find_schema("company/2", None)
    columns = arrow_schema(schema, Snapshot(schema.ref, 18_000), ["co.sales_12m", "co.status"])
    values = {"company": ["A", "B"], "co.sales_12m": [7, None], "co.status": [None, "active"]}
    with SnapshotWriter(tmp_path / "s.parquet", columns) as writer:
        writer.write(pyarrow.table(values, schema=columns))
    table = read_table(tmp_path / "s.parquet", schema=schema)
    assert table.ids == ("A", "B")
    assert table.rows == (
        {"as_of": 18_000, "co.sales_12m": 7},
        {"as_of": 18_000, "co.status": "active"},
    )
    less = read_table(tmp_path / "s.parquet", schema=schema, only={"co.status"})
    assert less.rows[0] == {"as_of": 18_000}
    (tmp_path / "t.parquet").write_text("x", encoding="utf-8")
    with pytest.raises(LocalError, match="no Parquet file"):
        read_table(tmp_path / "t.parquet", schema=schema)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("data.sales,bad\n", "empty"),
        ("data.sales,bad\n1,0,2\n", "row 2: 3 cells, want 2"),
        ("data.sales,bad\n1.5,0\n", "row 2: data.sales is '1.5', want a value in count"),
        ("data.sales,worse\n1,0\n", "no column bad, has data.sales, worse"),
    ],
)
def test_bad_tables_are_told_with_row_and_column(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LocalError, match=word):
        read_table(path, "bad", schema=schema_of(make_table(20)))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a,a,bad\n1,2,0\n", "has two columns a: rename one"),
        ("a b,a_b,bad\n1,2,0\n", "columns a b and a_b are both data.a_b: rename one"),
        ("a,bad\nsame,0\nsame,1\n", "nothing can be an input"),
    ],
)
def test_columns_that_can_be_no_inputs_are_told(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LocalError, match=word):
        read_table(path, "bad")


def test_design_that_ships_is_read_and_others_are_told(tmp_path: Path) -> None:
    design = read_design(INVOICES)
    assert [design.candidates[place].id for place in design.used] == [
        "SALES",
        "HISTORY",
        "RECENCY",
        "VOID",
    ]
    path = tmp_path / "d.toml"
    for text in ('id = "A"', '[[characteristic]]\nid = "A"\ninput = "x"\ntrend = "sideways"', "=["):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(LocalError):
            read_design(path)


def test_settings_outside_the_format_are_refused() -> None:
    for values in ({"bands": 1}, {"bands": 65}, {"inputs_max": 0}, {"ridge": 0.0}):
        with pytest.raises(LocalError, match="want"):
            Settings(**values)


def test_more_ridge_makes_smaller_steps() -> None:
    table = make_table(200)
    inputs = measure_inputs(table, schema_of(table), design_of(table).candidates)
    labels = np.array(table.labels, dtype=float)
    tops = [
        sum(item.best for item in fit_card(inputs, labels, Settings(ridge=ridge)).characteristics)
        for ridge in (0.5, 5.0, 50.0)
    ]
    assert tops == sorted(tops, reverse=True)


def _write_invoices(folder: Path, file: str, rows: str) -> None:
    with gzip.open(folder / file, "wt", encoding="utf-8") as out:
        out.write(",".join(COLUMNS) + "\n" + rows)


def test_invoices_count_once_and_in_their_window(tmp_path: Path) -> None:
    """What the query says is what the rows of each company say: twelve_months is the twin."""
    sales = (
        "E1,1,2020-02-21,B1,1000,130,1130,V\n"  # as_of itself
        "E1,1,2020-02-21,B1,1000,130,1130,V\n"  # the same again
        "E1,1,2020-02-21,B2,9000,130,9130,V\n"  # number and date known, content not: a conflict
        "E1,2,2019-02-22,B2,300,30,330,V\n"  # first day of the year
        "E1,3,2019-02-21,B2,5000,30,5030,V\n"  # the year before
        "E1,4,2019-06-01,B1,-200,-30,-230,V\n"
        "E1,5,2019-06-02,B1,700,30,730,X\n"
        "E1,6,2017-02-22,B1,70,3,73,V\n"  # first day of three years
        "E1,7,2017-02-21,B1,70,3,73,V\n"
        "E2,1,2017-05-01,D1,70,3,73,X\n"
        "E1,8,2020-02-22,B1,1,0,1,V\n"  # after as_of
    )
    purchases = "E1,1,2019-12-01,A1,400,30,430,V\nE1,2,2019-12-02,A2,-30,30,60,V\n"
    _write_invoices(tmp_path, SALES_FILE, sales)
    _write_invoices(tmp_path, PURCHASES_FILE, purchases)
    schema = find_schema("company/2", None)
    table = read_invoice_facts(tmp_path, schema)
    assert table.ids == ("E1", "E2")
    assert table.labels == (None, None)
    codes = {name: made_up_code(name) for name in table.ids}
    twin = compute_from_files(tmp_path, lambda _: True, AS_OF)
    for name, row in zip(table.ids, table.rows, strict=True):
        direct = twin[codes[name]]
        assert {key: row.get(key) for key in direct} == direct, name
    first, second = table.rows
    assert first["co.days_since_first_sale"] == 1094
    assert first["co.sales_12m"] == 1100
    assert first["co.sales_prior_12m"] == 5000
    assert "co.days_since_first_sale" not in second
    assert "co.void_rate_12m" not in second


def test_a_folder_without_invoices_is_told(tmp_path: Path) -> None:
    schema = find_schema("company/2", None)
    with pytest.raises(LocalError, match="cannot read the invoices"):
        read_invoice_facts(tmp_path, schema)
