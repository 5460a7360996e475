"""Tables as strangers bring them: what is read, what is left out and told, what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from analytics.scorecard.figures import _auc_of_counts, _ks_of_counts, compute_auc, compute_ks
from analytics.scorecard.fitting import Plan, fit_scorecard
from analytics.scorecard.invoice_facts import COMPANIES_FILE, read_invoice_facts
from analytics.scorecard.leaks import find_gaps
from analytics.scorecard.settings import Settings
from analytics.scorecard.table import feature_name, make_schema, read_scaled, read_table
from analytics.twelve_months import PURCHASES_FILE, SALES_FILE
from commands.scorecards.files import find_schema
from ledger.errors import Code, LocalError
from ledger.rules.schema import load_schema
from ledger.rules.units import FactValue, Unit
from tests.analytics.scorecards import design_of, make_table, schema_of

PLAN = Plan(Settings(), repeats=1)
NAMES = ("data.void", "data.noise", "data.grade")
HEADER = "id,sales,rate,kind,failed"
ROWS = ("a,1000,0.5,x,1", "b,2500,1.25,y,0", "c,70,-3,x,")
PLAIN = "\n".join((HEADER, *ROWS)) + "\n"
FACTS = (
    {"data.sales": 1000, "data.rate": 5000, "data.kind": "x"},
    {"data.sales": 2500, "data.rate": 12_500, "data.kind": "y"},
    {"data.sales": 70, "data.rate": -30_000, "data.kind": "x"},
)


def _write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8-sig"),
        (lambda text: text, "utf-16"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace("\n", "\r"), "utf-8"),
        (lambda text: text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace(",", "\t"), "utf-8"),
        (lambda text: text.replace(HEADER, " id ,sales, rate,kind , failed"), "utf-8"),
        (lambda text: text.replace("1000,0.5", '"1,000",0.5'), "utf-8"),
        (lambda text: text.replace("2500,", '"¥2,500",'), "utf-8"),
        (lambda text: text.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n"), "utf-8"),
        (lambda text: text.replace("x,\n", "x,N/A\n"), "utf-8"),
        (lambda text: text.replace("x,\n", "x,\n\n\n"), "utf-8"),
        (lambda text: "\n".join(",".join(line.split(",")[::-1]) for line in text.split()), "utf-8"),
    ],
)
def test_the_same_table_written_otherwise(
    tmp_path: Path, change: Callable[[str], str], encoding: str
) -> None:
    table = read_table(_write(tmp_path, change(PLAIN), encoding), "failed", id_column="id")
    assert table.ids == ("a", "b", "c")
    assert table.rows == FACTS
    assert table.labels == (1, 0, None)
    assert table.notes == ()


def test_gbk_is_read_and_said(tmp_path: Path) -> None:
    text = PLAIN.replace("sales", "销售额").replace("x", "甲")
    table = read_table(_write(tmp_path, text, "gbk"), "failed", id_column="id")
    assert table.rows[0] == {"data.u9500u552eu989d": 1000, "data.rate": 5000, "data.kind": "甲"}
    assert "read as GB18030" in table.notes[0]
    source = make_schema(table)
    assert 'text = "column 销售额"' in source
    assert read_scaled(source.encode()) == {"data.rate"}
    assert set(load_schema(source.encode(), {}).features) == {*table.units, "as_of"}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,failed\n\xff\xff\xff,1\n")
    with pytest.raises(LocalError, match="neither UTF-8 nor GB18030"):
        read_table(path, "failed")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"sales": list(range(900)), "failed": [0, 1] * 450}), path)
    content = bytearray(path.read_bytes())
    content[20:600] = bytes(byte ^ 0x55 for byte in content[20:600])
    path.write_bytes(content)
    with pytest.raises(LocalError, match=r"t\.parquet is damaged, make it anew"):
        read_table(path, "failed")


def test_a_grade_alone_is_no_input_and_the_refusal_says_why(tmp_path: Path) -> None:
    rows = (f"{'AD'[place % 2]},{place // 2 % 2},{place % 2}" for place in range(40))
    lines = ("rating,same,failed", *rows)
    table = read_table(_write(tmp_path, "\n".join(lines)), "failed")
    with pytest.raises(LocalError, match=r"good from bad; .*--keep rating takes it"):
        fit_scorecard(table, schema_of(table), design_of(table), PLAN)


def test_long_names_stay_apart() -> None:
    first, second = (feature_name("x" * 60 + end) for end in "ab")
    assert first != second
    assert len(first) == len(second) == 48
    assert feature_name("销售") != feature_name("采购")


@pytest.mark.parametrize(
    ("column", "cells", "told"),
    [
        ("rating", "ABD", "a grade that somebody gave"),
        ("Credit Rating", "ABD", "a grade that somebody gave"),
        ("信誉评级", "ABD", "a grade that somebody gave"),
        ("c", "777", "has only '7'"),
        ("c", ("", "NA", "-"), "has no value"),
    ],
)
def test_columns_left_out_are_told(
    tmp_path: Path, column: str, cells: tuple[str, ...], told: str
) -> None:
    lines = [f"{HEADER},{column}"] + [f"{row},{c}" for row, c in zip(ROWS, cells, strict=True)]
    path = _write(tmp_path, "\n".join(lines))
    table = read_table(path, "failed", id_column="id")
    assert table.rows == FACTS
    assert len(table.notes) == 1
    assert table.notes[0].startswith(f"column {column} was left out")
    assert told in table.notes[0]


def test_a_grade_is_taken_when_it_is_asked_for(tmp_path: Path) -> None:
    lines = [f"{HEADER},rating"] + [f"{row},{c}" for row, c in zip(ROWS, "ABD", strict=True)]
    path = _write(tmp_path, "\n".join(lines))
    table = read_table(path, "failed", id_column="id", keep=("rating",))
    assert table.units["data.rating"] is Unit.TEXT
    assert table.notes == ()


def test_dates_and_other_long_lists_of_texts_are_told(tmp_path: Path) -> None:
    lines = ["since,size,failed"] + [f"2031-01-{day:02},{day},0" for day in range(1, 31)]
    table = read_table(_write(tmp_path, "\n".join(lines)), "failed")
    assert table.notes == ("column since was left out: 30 different texts, such as '2031-01-01'",)
    lines = ["mixed,size,failed"] + [f"{day}{'%' * (day % 2)},{day},0" for day in range(1, 31)]
    table = read_table(_write(tmp_path, "\n".join(lines)), "failed")
    assert table.notes[0].startswith("column mixed was left out: 30 different texts")


def test_numbers_beyond_the_format_are_told(tmp_path: Path) -> None:
    path = _write(tmp_path, PLAIN.replace("1000", "1" + "0" * 19))
    table = read_table(path, "failed", id_column="id")
    assert table.rows[0]["data.sales"] == 10**15
    assert table.notes == ("column sales: 1 values beyond 1,000,000,000,000,000 count as that",)


def test_a_company_named_twice_counts_once_or_is_refused(tmp_path: Path) -> None:
    """In two rows it would be learnt from in one fold and judged in another."""
    path = _write(tmp_path, PLAIN + ROWS[1] + "\n")
    table = read_table(path, "failed", id_column="id")
    assert table.ids == ("a", "b", "c")
    assert table.notes == ("1 rows repeat another (the first is row 5): each company counts once",)
    without = read_table(path, "failed", drop=("id",))
    assert len(without.rows) == 4
    assert "name it with --id-column" in without.notes[0]
    path = _write(tmp_path, PLAIN + "b,2500,1.25,y,1\n")
    with pytest.raises(LocalError, match="row 5: b stands in row 3 already") as caught:
        read_table(path, "failed", id_column="id")
    assert caught.value.code is Code.INPUT_LINE


@pytest.mark.parametrize("unknown", ["NA", "n/a", "NULL", "nan", "?", "-", " "])
def test_a_label_that_is_not_known_is_not_good(tmp_path: Path, unknown: str) -> None:
    path = _write(tmp_path, PLAIN.replace("x,\n", f"x,{unknown}\n"))
    assert read_table(path, "failed", id_column="id").labels == (1, 0, None)


def test_other_words_for_failed_are_asked_for(tmp_path: Path) -> None:
    path = _write(tmp_path, PLAIN.replace(",1\n", ",Yes\n").replace(",0\n", ",no\n"))
    with pytest.raises(LocalError, match=r"column failed, 'Yes' \(1\), 'no' \(1\); --bad VALUE"):
        read_table(path, "failed", id_column="id").labelled()
    assert read_table(path, "failed", bad="yes", id_column="id").labels == (1, 0, None)


def test_a_column_that_knows_the_outcome_is_named() -> None:
    table = make_table(200)
    clean = fit_scorecard(table, schema_of(table), design_of(table), PLAN)
    assert clean.notes == ()
    rows = tuple(
        {**row, "data.written_off": 5 + place % 3} if label else row
        for place, (row, label) in enumerate(zip(table.rows, table.labels, strict=True))
    )
    units = {**table.units, "data.written_off": Unit.COUNT}
    leaky = replace(table, rows=rows, units=units, notes=("read as GB18030",))
    found = fit_scorecard(leaky, schema_of(leaky), design_of(leaky), PLAN)
    assert [note.split(":")[0] for note in found.notes] == [
        "read as GB18030",
        "WRITTEN_OFF alone has AUC 1.000",
    ]
    assert found.report["notes"] == list(found.notes)


def test_facts_that_are_missing_to_the_ledger_are_told() -> None:
    """Of a table with other columns every company would have the score of nothing known."""
    table = make_table(200)
    card = fit_scorecard(table, schema_of(table), design_of(table), PLAN).scorecard
    assert list(find_gaps(table, card.features)) == []
    rows: tuple[dict[str, FactValue], ...] = ({"data.sales": 2**63}, {"data.sales": 5}, {})
    other = replace(table, rows=rows, units={"data.sales": Unit.COUNT})
    absent = ", ".join(feature.name for feature in card.features if feature.name in NAMES)
    assert list(find_gaps(other, card.features)) == [
        f"no column {absent}: missing for every company",
        "data.sales: 1 values outside its range count as missing",
    ]


def test_many_companies_need_fewer_repeats() -> None:
    plan = Plan(Settings())
    assert [plan.repeats_of(count) for count in (82, 1000, 2000, 20_000, 500_000)] == [
        20,
        20,
        10,
        1,
        1,
    ]
    assert Plan(Settings(), repeats=3).fits(500_000) == 15


SALES = (
    "company_id,invoice_no,issue_date,counterparty_id,net_fen,tax_fen,gross_fen,status",
    "E1,1,2020-01-02,B1,1000,130,1130,V",
    "E1,2,2019-01-02,B1,500,65,565,X",
    "E2,1,2018-05-01,D1,70,3,73,V",
)
COMPANIES = ("company_id,name_zh,has_credit_record,rating,defaulted", "E1,甲,1,A,0", "E2,乙,1,D,1")


def _write_folder(
    folder: Path, sales: tuple[str, ...] = SALES, companies: tuple[str, ...] = COMPANIES
) -> Path:
    (folder / SALES_FILE).write_bytes(gzip.compress("\n".join(sales).encode()))
    (folder / PURCHASES_FILE).write_bytes(gzip.compress("\n".join(SALES).encode()))
    (folder / COMPANIES_FILE).write_text("\n".join(companies), encoding="utf-8")
    return folder


def _turn(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(",".join(line.split(",")[::-1]) for line in lines)


@pytest.mark.parametrize(
    ("sales", "companies"),
    [
        (_turn(SALES), _turn(COMPANIES)),
        (tuple(f"{line},more" for line in SALES), COMPANIES),
        (("\ufeff" + SALES[0], *SALES[1:]), ("\ufeff" + COMPANIES[0], *COMPANIES[1:])),
        (tuple(f"{line}\r" for line in SALES), tuple(f"{line}\r" for line in COMPANIES)),
        (SALES, (COMPANIES[0], "E1,甲,1,A,0.0", "E2,乙,1,D,1.0")),
        ((*SALES, SALES[1]), (*COMPANIES, COMPANIES[1])),
    ],
)
def test_invoices_written_otherwise_are_the_same_facts(
    tmp_path: Path, sales: tuple[str, ...], companies: tuple[str, ...]
) -> None:
    schema = find_schema("company/2", None)
    (tmp_path / "plain").mkdir()
    plain = read_invoice_facts(_write_folder(tmp_path / "plain"), schema)
    assert plain.rows[0]["co.sales_12m"] == 1000
    other = read_invoice_facts(_write_folder(tmp_path, sales, companies), schema)
    assert other.rows == plain.rows
    assert other.labels == (0, 1)
    assert other.notes == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("E1,9,2020-13-02,B1,1000,130,1130,V", "row 5: issue_date is no day"),
        ("E1,9,,B1,1000,130,1130,V", "row 5: issue_date is no day"),
        ("E1,9,2020-01-02,B1,12.5,130,1130,V", "row 5: net_fen is no whole number of fen"),
        ("E1,9,2020-01-02,B1,,130,1130,V", "row 5: net_fen is no whole number of fen"),
        ("E1,9,2020-01-02,B1,1000,130,1130,valid", "row 5: status is neither V nor X"),
    ],
)
def test_an_invoice_that_is_none_is_told_by_its_row(tmp_path: Path, line: str, told: str) -> None:
    _write_folder(tmp_path, (*SALES, line))
    with pytest.raises(LocalError, match=told) as caught:
        read_invoice_facts(tmp_path, find_schema("company/2", None))
    assert caught.value.code is Code.INPUT_LINE


def test_a_folder_tells_what_counted_nowhere(tmp_path: Path) -> None:
    schema = find_schema("company/2", None)
    late = "E1,9,2031-01-02,B1,9,1,10,V"
    _write_folder(tmp_path, (*SALES, late), (*COMPANIES, "E3,丙,1,A,0", "E4,丁,0,,"))
    table = read_invoice_facts(tmp_path, schema)
    assert table.rows[0]["co.sales_12m"] == 1000
    assert table.notes == (
        f"{SALES_FILE}: 1 invoices after 2020-02-21 count nowhere",
        "1 companies with a label have no invoices",
    )
    _write_folder(tmp_path, SALES, (*COMPANIES, "E1,甲,1,D,1"))
    with pytest.raises(LocalError, match="row 4: E1 stands above already, with another label"):
        read_invoice_facts(tmp_path, schema)


def test_figures_of_counts_are_those_of_companies() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        labels = np.array([0.0, 1.0, *generator.integers(0, 2, size=30)])
        scores = generator.integers(0, 9, size=32).astype(float)
        good, bad = (
            np.bincount(scores[labels == side].astype(int), minlength=9) for side in (0, 1)
        )
        assert _auc_of_counts(good, bad) == compute_auc(scores, labels)
        assert _ks_of_counts(good, bad) == compute_ks(scores, labels)
