"""Answers for people: units by name, tables in a pipe without frames or cut cells."""

from __future__ import annotations

import pytest

from commands.answers import show_answer, text_of
from commands.console import Progress, show_table
from commands.loans.decisions import fact_text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount_fen", 112_000_000, "1,120,000.00"),
        ("rate_bp", 550, "5.50%"),
        ("due_day", 18_271, "2020-01-10"),
        ("expires_ms", 1_578_646_800_123, "2020-01-10 09:00:00.123"),
        ("round_trip_ms", 12, "12"),
        ("height", 7, "7"),
        ("is_open", False, "no"),
        ("name", "", "-"),
        ("id", b"\x01\xff", "01ff"),
        ("categories", ("C035", "C044"), "C035, C044"),
    ],
)
def test_a_name_says_its_unit(name: str, value: object, text: str) -> None:
    assert text_of(name, value) == text


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("fen", 1_662_617_109, "16,626,171.09"),
        ("bp", 2_856, "28.56%"),
        ("days", 23, "23 days"),
        ("date", 18_271, "2020-01-10"),
        ("count", 1_200, "1,200"),
        ("flag", True, "yes"),
        ("fen", None, "missing"),
    ],
)
def test_a_fact_is_shown_in_its_unit(unit: str, value: object, text: str) -> None:
    assert fact_text(unit, value) == text


def test_table_in_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("t", ["name", "sum"], [["国家税务", "1,120.00"], ["x" * 90, "7"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "t"
    # A wide character fills two columns of a terminal; numbers stand to the right.
    assert lines[2] == "国家税务" + " " * 82 + "  1,120.00"
    assert lines[3] == "x" * 90 + "         7"


def test_answer_with_lists_and_maps_of_maps_becomes_tables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_answer("a", {"total_fen": 5, "by_lender": {"b1": {"owed_fen": 5}}, "loans": []})
    shown = " ".join(capsys.readouterr().out.split())
    assert shown == "a total 0.05 loans - by lender of owed b1 0.05"


def test_progress_counts_without_a_terminal() -> None:
    work = Progress()
    work.advance(3)
    work.advance()
    assert work.done == 4
    assert work.rate > 0
