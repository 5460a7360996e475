"""Files of every kind become the same records; a bad line has its number, column, got and want."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.intake import OnError, parse_mapping, read, read_all
from commands.intake.mapping import FileMapping
from commands.intake.reader import Attestation, InputError
from genesis.companies import made_up_code
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import Category
from ledger.transactions.records import Record, decode_record, encode_record

HEAD = 'format = "creditledger/mapping/1"\n'
LINES = (
    HEAD
    + """
category = "C044"
schema = "line"
company = { column = "company_id", code = "made-up" }
[only]
company_id = "E1..E20"
[fields]
issued_on = "issue_date"
counterparty = "counterparty_id"
net = { column = "net_fen", as = "fen" }
tax = { column = "tax_fen", as = "fen" }
gross = { column = "gross_fen", as = "fen" }
"""
)
COLUMNS = "company_id,invoice_no,issue_date,counterparty_id,net_fen,tax_fen,gross_fen,status"
GOOD = "E1,11459356,2017-08-04,B03711,940171,159829,1100000,V"
Categories = Mapping[str, Category]


def bind(text: str, categories: Categories) -> FileMapping:
    mapping = parse_mapping(text.encode(), categories)
    assert isinstance(mapping, FileMapping)
    return mapping


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_csv_line_becomes_a_record(tmp_path: Path, categories: Categories) -> None:
    file = write(tmp_path / "a.csv", COLUMNS, GOOD, GOOD.replace("E1,", "E21,"))
    (line,) = read(file, bind(LINES, categories))
    assert line.number == 2
    assert line.item == Record(
        made_up_code("E1"),
        17382,
        {
            "invoice_no": "11459356",
            "issued_on": 17382,
            "counterparty": "B03711",
            "net": 940171,
            "tax": 159829,
            "gross": 1100000,
            "status": "V",
        },
    )


def test_made_up_codes_are_stated_and_valid() -> None:
    assert made_up_code("E1") == "91440000E00000010Y"
    with pytest.raises(LocalError, match="want a name like E12"):
        made_up_code("I1")


def test_json_lines_gzip_and_parquet_give_the_same_records(
    tmp_path: Path, categories: Categories
) -> None:
    rows = [
        dict(zip(COLUMNS.split(","), GOOD.split(","), strict=True)),
        dict(zip(COLUMNS.split(","), GOOD.replace("-04", "-05").split(","), strict=True)),
    ]
    texts = [json.dumps(row) for row in rows]
    texts[1] = texts[1].replace('"940171"', "940171")  # a JSON number is read as written
    mapping = bind(LINES, categories)
    csv_file = write(tmp_path / "a.csv", COLUMNS, *(",".join(row.values()) for row in rows))
    want = [line.item for line in read(csv_file, mapping)]
    jsonl = write(tmp_path / "a.jsonl", *texts)
    assert [line.item for line in read(jsonl, mapping)] == want
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(csv_file.read_bytes()))
    assert [line.item for line in read(packed, mapping)] == want
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["net_fen"] = [int(value) for value in columns["net_fen"]]
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert [line.item for line in read(tmp_path / "a.parquet", mapping)] == want


@pytest.mark.parametrize(
    ("line", "want"),
    [
        (GOOD.replace("940171", "9401.71"), "line 3, column net_fen: got '9401.71', want a whole"),
        (GOOD.replace(",V", ",W"), "line 3: field status: got another text, want one of V, X"),
        (GOOD.replace(",V", ""), "line 3: got 7 columns, want 8"),
        (GOOD.replace("2017-08-04", "04/08/17"), "column issue_date: got '04/08/17', want a date"),
        (GOOD.replace("11459356", ""), "line 3: field invoice_no is missing"),
        (GOOD.replace("940171", "9" * 17), "line 3: field net: got 99999999999999999, want -1"),
        (GOOD.replace("B03711", "B\u202e03711"), "field counterparty: got character U+202E"),
        (GOOD.replace("B03711", '"B'), "line 4: not a row of CSV"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, categories: Categories, line: str, want: str) -> None:
    file = write(tmp_path / "a.csv", COLUMNS, GOOD, line, GOOD)
    mapping = bind(LINES, categories)
    with pytest.raises(LocalError) as caught:
        read_all(file, mapping, OnError.ABORT)
    assert caught.value.code is Code.INPUT_LINE
    assert want in caught.value.message
    assert caught.value.message.endswith("nothing was submitted")
    intake = read_all(file, mapping, OnError.SKIP)
    assert intake.lines[0][0] == 2
    assert want in str(intake.errors[0])


def test_bad_codes_of_companies_are_refused(tmp_path: Path, categories: Categories) -> None:
    mapping = bind(HEAD + 'category = "C182"', categories)
    head = "company,credit_class,certified_on"
    file = write(
        tmp_path / "a.csv",
        head,
        "914403001922038217,general,2019-01-01",
        "91440300192203821,general,2019-01-01",
        "91440300192185379I,general,2019-01-01",
        ",general,2019-01-01",
    )
    errors = [str(line.item) for line in read(file, mapping)]
    assert errors == [
        "line 2, column company: check character of 914403001922038217: got 7, want 6",
        "line 3, column company: company code of 17 characters, want 18",
        "line 4, column company: character 18 of the company code is none of "
        "0123456789ABCDEFGHJKLMNPQRTUWXY",
        "line 5, column company: got '', want a company's code",
    ]
    legacy = HEAD + 'category = "C182"\ncompany = { column = "company", code = "legacy" }'
    kinds = [type(line.item) for line in read(file, bind(legacy, categories))]
    assert kinds == [Record, InputError, InputError, InputError]


def test_negative_amount_is_refused_where_it_would_be_a_mistake(
    tmp_path: Path, categories: Categories
) -> None:
    head = "company,tax_type,arrears_balance,current_arrears,announced_on,announcing_authority"
    row = f"{made_up_code('E1')},VAT,-5.00,0,2019-10-01,x"
    file = write(tmp_path / "a.csv", head, row)
    (line,) = read(file, bind(HEAD + 'category = "C048"', categories))
    assert str(line.item) == ("line 2: field arrears_balance: got -500, want 0 to 1000000000000000")


def test_optional_columns_may_be_absent_and_required_ones_not(
    tmp_path: Path, categories: Categories
) -> None:
    mapping = bind(HEAD + 'category = "C018"', categories)
    company = made_up_code("E1")
    file = write(
        tmp_path / "a.csv",
        "company,listed_on,listing_reason,listing_authority",
        f"{company},2019-10-01,no_contact,x",
    )
    (line,) = read(file, mapping)
    assert isinstance(line.item, Record)
    assert set(line.item.fields) == {"listed_on", "listing_reason", "listing_authority"}
    file = write(tmp_path / "b.csv", "company,listed_on", f"{company},2019-10-01")
    (line,) = read(file, mapping)
    assert str(line.item) == "line 2, column listing_reason: there is no such column"


def test_year_gives_the_day_and_the_file_its_digest(tmp_path: Path, categories: Categories) -> None:
    mapping = bind(
        HEAD
        + """
category = "C017"
source = "file"
day = { column = "report_year", as = "year" }
supersedes = { day = "old_day", digest = "old" }
[fields]
cumulative_arrears = { value = "0" }
""",
        categories,
    )
    names = [name for name in mapping.schema.fields if name != "cumulative_arrears"]
    row = [made_up_code("E1"), "2018", *["1"] * (len(names) - 1), "2018-01-01", "ab" * 32]
    file = write(tmp_path / "a.csv", ",".join(["company", *names, "old_day", "old"]), ",".join(row))
    (line,) = read(file, mapping)
    assert isinstance(line.item, Record)
    assert line.item.day == 17532
    assert line.item.supersedes == (17532, bytes.fromhex("ab" * 32))
    assert line.item.source_digest is not None
    assert line.item.fields["cumulative_arrears"] == 0


def test_attestations(tmp_path: Path, categories: Categories) -> None:
    mapping = parse_mapping((HEAD + 'kind = "attest"').encode(), categories)
    company = made_up_code("E1")
    file = write(
        tmp_path / "a.csv",
        "category,schema,company,from,to",
        f"C044,line,{company},2018-01-01,2020-01-10",
        f"C044,line,{company},2020-01-10,2018-01-01",
    )
    good, bad = read(file, mapping)
    assert good.item == Attestation("C044", "line", company, 17532, 18271)
    assert str(bad.item) == "line 3, column to: it lies before the first day"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("format = 1", "format: got 1"),
        (HEAD + 'category = "C999"', "category 'C999' is none of this network's 213"),
        (HEAD + 'category = "C044"\nschema = "x"', "has no schema 'x', want one of '', 'line'"),
        (HEAD + 'category = "C044"\nversion = 9', "schema C044 has no version 9"),
        (HEAD + 'category = "C036"', "day is needed"),
        (HEAD + 'category = "C044"\nday = "x"', "day is given, but it is the field period"),
        (HEAD + 'category = "C044"\ncolour = 1', "unknown key 'colour'"),
        (HEAD + 'category = "C044"\n[fields]\nx = "y"', "fields.x is no field of C044"),
        (
            HEAD + 'category = "C044"\n[fields]\nnet_amount = {column="x", as="mm"}',
            "fields.net_amount: form 'mm', want one of catalogue, fen, yuan, scaled",
        ),
        (HEAD + 'category = "C044"\n[fields]\nnet_amount = {value="x"}', "got 'x', want a decimal"),
        (HEAD + 'category = "C044"\n[only]\nx = "E9..E1"', "'E9..E1' is no range like E1..E20"),
        (HEAD + 'category = "C044"\ncompany = {column="x", code="y"}', "company.code: got 'y'"),
        (HEAD + "[", "not TOML"),
    ],
)
def test_wrong_mapping_is_refused(categories: Categories, text: str, want: str) -> None:
    with pytest.raises(LocalError) as caught:
        parse_mapping(text.encode(), categories)
    assert caught.value.code is Code.INPUT_MAPPING
    assert want in caught.value.message


@pytest.mark.parametrize(
    ("name", "data", "want"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"a,a\n1,2\n", "a column name stands twice"),
        ("a.csv", COLUMNS.encode() + b"\n\xff\xfe", "is not UTF-8"),
        ("a.csv.gz", b"no gzip", "cannot read"),
        ("a.csv.gz", gzip.compress(b"x" * 1000, mtime=0)[:-20], "cannot read"),
        ("a.xls", b"", "its name ends in none of"),
        ("a.csv", b"x" * ((1 << 20) + 2), "a line is longer than"),
        ("a.parquet", b"no parquet", "not a Parquet file"),
    ],
)
def test_unreadable_file_is_refused(
    tmp_path: Path, categories: Categories, name: str, data: bytes, want: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LocalError) as caught:
        read_all(tmp_path / name, bind(LINES, categories), OnError.SKIP)
    assert caught.value.code is Code.INPUT_FILE
    assert want in caught.value.message


def test_missing_file_is_refused(tmp_path: Path, categories: Categories) -> None:
    with pytest.raises(LocalError, match="No such file"):
        read_all(tmp_path / "none.csv", bind(LINES, categories), OnError.SKIP)


CELLS = st.one_of(st.sampled_from(GOOD.split(",")), st.text(max_size=12))


@given(st.lists(st.lists(CELLS, min_size=7, max_size=9), max_size=5))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_any_csv_gives_one_answer_a_line_or_one_error(
    tmp_path: Path, categories: Categories, rows: list[list[str]]
) -> None:
    mapping = bind(LINES.replace('[only]\ncompany_id = "E1..E20"', ""), categories)
    file = tmp_path / "any.csv"
    with file.open("w", encoding="utf-8", errors="replace", newline="") as target:
        target.write(COLUMNS + "\n")
        csv.writer(target).writerows(rows)
    intake = read_all(file, mapping, OnError.SKIP)
    assert len(intake.lines) + len(intake.errors) == len(rows)
    for _, record in intake.lines:
        assert isinstance(record, Record)
        mapping.checks.check(record.fields)
        assert decode_record(encode_record(record)) == record
    if intake.errors:
        with pytest.raises(LocalError, match="line"):
            read_all(file, mapping, OnError.ABORT)
