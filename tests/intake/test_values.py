"""Cells become stored values exactly, or are refused with what came and what was wanted."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.intake.values import (
    CellError,
    make_converter,
    parse_date,
    parse_decimal,
    parse_month,
    parse_quarter,
    parse_year_day,
)
from ledger.membership.catalogue import FieldSpec, FieldType


def spec(kind: FieldType, unit: str = "", scale: int = 0) -> FieldSpec:
    return FieldSpec("x", kind, unit, False, ("a",) if kind is FieldType.ENUM else (), scale, None)


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


MONEY = spec(FieldType.DECIMAL, "CNY", 2)
MONEY_10K = spec(FieldType.DECIMAL, "CNY 10k", 6)


@pytest.mark.parametrize(
    ("field", "form", "cell", "want"),
    [
        (MONEY, "catalogue", "12.5", 1250),
        (MONEY, "catalogue", "-0.01", -1),
        (MONEY, "catalogue", "1,120,000.00", 112_000_000),
        (MONEY, "catalogue", "7", 700),
        (MONEY, "catalogue", "3.5000", 350),
        (MONEY, "catalogue", Decimal("3.50"), 350),
        (MONEY, "fen", "940171", 940171),
        (MONEY, "fen", 940171, 940171),
        (MONEY_10K, "catalogue", "500", 500_000_000),
        (MONEY_10K, "catalogue", "0.000001", 1),
        (MONEY_10K, "yuan", "12.34", 1234),
        (spec(FieldType.RATIO, "%", 2), "catalogue", "7.25", 725),
        (spec(FieldType.INT), "catalogue", "-12", -12),
        (spec(FieldType.YEAR), "catalogue", "2019", 2019),
        (spec(FieldType.DATE), "catalogue", "2020-01-31", day("2020-01-31")),
        (spec(FieldType.DATE), "catalogue", date(2020, 1, 31), day("2020-01-31")),
        (spec(FieldType.DATE), "DD.MM.YYYY", "31.01.2020", day("2020-01-31")),
        (spec(FieldType.DATE), "YYYYMMDD", "20200131", day("2020-01-31")),
        (spec(FieldType.MONTH), "catalogue", "2020-02", day("2020-02-01")),
        (spec(FieldType.MONTH), "catalogue", "202002", day("2020-02-01")),
        (spec(FieldType.MONTH), "catalogue", "2020-02-29", day("2020-02-01")),
        (spec(FieldType.QUARTER), "catalogue", "2020-Q4", day("2020-10-01")),
        (spec(FieldType.QUARTER), "catalogue", "2020-06", day("2020-04-01")),
        (spec(FieldType.BOOL), "catalogue", "Yes", True),
        (spec(FieldType.BOOL), "catalogue", False, False),
        (spec(FieldType.LIST), "catalogue", "a| b |", ("a", "b")),
        (spec(FieldType.STRING), "catalogue", " 恒瑞 ", "恒瑞"),
    ],
)
def test_cell_becomes_stored_value(field: FieldSpec, form: str, cell: Any, want: Any) -> None:
    value = make_converter(field, form, "|")(cell)
    assert value == want
    assert type(value) is type(want)


@pytest.mark.parametrize(
    ("field", "form", "cell", "want"),
    [
        (MONEY, "catalogue", "1.005", "a decimal number with at most 2 places"),
        (MONEY, "catalogue", 0.1, "a decimal number"),
        (MONEY, "catalogue", True, "a decimal number"),
        (MONEY, "catalogue", "1e3", "a decimal number"),
        (MONEY, "catalogue", "1,12.0", "a decimal number"),
        (MONEY, "catalogue", "NaN", "a decimal number"),
        (MONEY, "catalogue", "١٢", "a decimal number"),
        (MONEY, "catalogue", "9" * 16, "a decimal number"),
        (MONEY, "fen", "1.0", "a whole number"),
        (spec(FieldType.INT), "catalogue", "1.0", "a whole number"),
        (spec(FieldType.DATE), "catalogue", "2020-02-30", "a date like 2020-01-31"),
        (spec(FieldType.DATE), "catalogue", "20200131", "a date like 2020-01-31"),
        (spec(FieldType.DATE), "DD.MM.YYYY", "2020-01-31", "a date like DD.MM.YYYY"),
        (spec(FieldType.DATE), "DD.MM.YYYY", "31.02.2020", "a day that exists"),
        (spec(FieldType.MONTH), "catalogue", "2020-13", "a day that exists"),
        (spec(FieldType.BOOL), "catalogue", "perhaps", "true or false"),
    ],
)
def test_wrong_cell_says_what_was_wanted(field: FieldSpec, form: str, cell: Any, want: str) -> None:
    with pytest.raises(CellError, match=f"want {want}"):
        make_converter(field, form, "|")(cell)


def test_forms_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no amount in CNY"):
        make_converter(spec(FieldType.DECIMAL, "USD", 2), "fen", "|")
    with pytest.raises(ValueError, match="want YYYY, MM and DD once each"):
        make_converter(spec(FieldType.DATE), "MM/YYYY", "|")
    with pytest.raises(ValueError, match="has no form"):
        make_converter(spec(FieldType.BOOL), "fen", "|")


@given(st.integers(-(10**13), 10**13), st.integers(0, 6))
def test_decimal_text_is_read_exactly(number: int, scale: int) -> None:
    text = str(Decimal(number).scaleb(-scale).quantize(Decimal(1).scaleb(-scale)))
    assert parse_decimal(text, scale) == number


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_months_quarters_and_years_are_first_days(moment: date) -> None:
    text = moment.isoformat()
    quarter = moment.replace(month=(moment.month - 1) // 3 * 3 + 1, day=1)
    assert parse_date(text) == day(text)
    assert parse_month(text[:7]) == day(f"{text[:7]}-01")
    assert parse_quarter(text) == day(quarter.isoformat())
    assert parse_year_day(text[:4]) == day(f"{text[:4]}-01-01")
