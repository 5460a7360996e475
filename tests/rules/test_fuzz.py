"""Rule sources of any kind are accepted or refused with a place and a sentence (RULES.md)."""

from __future__ import annotations

import pytest

from ledger.errors import Code, RuleSourceError
from ledger.rules.documents import load_document
from tests.rules.fuzz import main
from tests.rules.fuzz.refusals import Tally, find_fault, judge, run_seeds
from tests.rules.samples import PRODUCT

_SOURCES = 5_000


def test_any_source_is_accepted_or_refused_with_a_place_and_a_sentence() -> None:
    tally = run_seeds(range(_SOURCES))
    assert tally.failures == []
    assert tally.cases == _SOURCES
    assert tally.accepted >= _SOURCES // 20
    assert set(tally.codes) == {f"E{code}" for code in range(3001, 3009)}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuleSourceError(Code.RULE_INVALID, "a sentence of some length", 1, 1), "code 2501"),
        (RuleSourceError(Code.RULE_TYPE, "a sentence of some length", 3, 1), "no such place"),
        (RuleSourceError(Code.RULE_TYPE, "a sentence of some length", 1, 5), "no such place"),
        (RuleSourceError(Code.RULE_TYPE, "short", 1, 1), "a message of 5 characters"),
        (RuleSourceError(Code.RULE_TYPE, "one line\nand another", 1, 1), "does not print"),
    ],
)
def test_a_bad_refusal_is_told(error: RuleSourceError, words: str) -> None:
    assert words in find_fault(b"abc\n", error)


def test_another_error_than_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: bytes) -> None:
        load_document(source, "product").check_integer(int("x"), "x", 0, 1)

    monkeypatch.setitem(judge.__globals__["_LOADERS"], "product", fail)
    assert "ValueError" in judge("product", PRODUCT.encode(), 0, Tally())


def test_the_command_says_what_it_ran_and_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["sources", "--cases", "30", "--seed", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fuzz-rules sources --cases 30 --seed 7, commit ")
    assert "30 cases in" in out
