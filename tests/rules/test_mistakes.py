"""A credit officer mends his rule from the message alone (tests/rules/mistakes.txt)."""

from __future__ import annotations

import re

import pytest

from tests.rules.mistakes import Mistake, read_mistakes, tell

_HEAD, _MISTAKES = read_mistakes()


@pytest.mark.parametrize("mistake", _MISTAKES, ids=lambda mistake: mistake.title)
def test_a_mistake_is_told_as_the_file_says(mistake: Mistake) -> None:
    """Look at what changed, then `python -m tests.rules.mistakes` writes it."""
    assert tell(mistake) == mistake.told


def test_every_mistake_is_refused_with_a_place_and_a_sentence() -> None:
    assert len(_MISTAKES) >= 60
    assert len({mistake.title for mistake in _MISTAKES}) == len(_MISTAKES)
    place = re.compile(r"E300[1-8] line [1-9]\d*, column [1-9]\d*: .{12,}")
    assert [item.title for item in _MISTAKES if not place.fullmatch(item.told)] == []


def test_a_mistake_that_is_not_made_is_told() -> None:
    with pytest.raises(ValueError, match="found 0 times"):
        tell(Mistake("", "product", "no such line", "", ""))
