"""What would change a score is tried before it is shown; what an author is told of his card."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.scorecard.changes import apply_changes, find_changes, find_way
from analytics.scorecard.review import review
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard
from ledger.rules.units import FactValue

SCHEMA = """
format = "smartrule/1"
kind = "schema"
id = "data"
version = 1
[feature."data.sales"]
unit = "count"
source = "ledger"
[feature."data.prior"]
unit = "count"
source = "ledger"
min = 0
[feature."data.void"]
unit = "bp"
source = "ledger"
min = 0
max = 10_000
[feature."data.grade"]
unit = "text"
source = "ledger"
values = ["A", "B", "C"]
[feature."data.listed"]
unit = "flag"
source = "ledger"
"""
CARD = """
format = "smartrule/1"
kind = "scorecard"
id = "CARD"
version = 1
schema = "data/1"
initial = 100
max_reasons = 4
max_missing = 1
[[characteristic]]
id = "SALES"
input = "data.sales + data.prior"
baseline = 60
reason = "S01"
missing_reason = "S51"
text = "Low sales"
bands = [[0, 0], [10, 20], [100, 60]]
missing = 5
[[characteristic]]
id = "VOID"
input = "data.void"
baseline = 40
reason = "S02"
missing_reason = "S52"
text = "Many void"
bands = [[0, 40], [500, 30], [2000, 0]]
missing = 0
[[characteristic]]
id = "SHARE"
input = "data.sales * 100 / (data.sales + data.prior)"
baseline = 10
reason = "S03"
missing_reason = "S53"
text = "Falling"
bands = [[0, 0], [30, 10]]
missing = 0
[[characteristic]]
id = "GRADE"
input = "data.grade"
baseline = 30
reason = "S04"
missing_reason = "S54"
text = "Grade"
table = { A = 30, B = 15, C = 0 }
missing = 0
[[characteristic]]
id = "LISTED"
input = "data.listed"
baseline = 9
reason = "S05"
missing_reason = "S55"
text = "Not listed"
table = { true = 9, false = 0 }
missing = 0
"""


def load(card: str = CARD) -> Scorecard:
    return load_scorecard(card.encode(), load_schema(SCHEMA.encode(), {}))


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "data.sales": st.integers(0, 200),
        "data.prior": st.integers(0, 200),
        "data.void": st.integers(0, 10_000),
        "data.grade": st.sampled_from("ABC"),
        "data.listed": st.booleans(),
    },
)


def test_changes_of_one_company_by_hand() -> None:
    facts: dict[str, FactValue] = {
        "data.sales": 4,
        "data.prior": 6,
        "data.void": 2500,
        "data.grade": "B",
        "data.listed": False,
    }
    changes = {item.id: item for item in find_changes(load(), facts)}
    assert (changes["SALES"].gain, changes["SALES"].lower) == (40, 100)
    assert (changes["SALES"].fact, changes["SALES"].value) == (
        "data.sales",
        94,
    )  # prior: SHARE falls
    assert (changes["VOID"].gain, changes["VOID"].value) == (30, 1999)
    assert (changes["GRADE"].gain, changes["GRADE"].value) == (15, "A")
    assert (changes["LISTED"].gain, changes["LISTED"].value) == (9, True)
    assert "SHARE" not in changes


@given(FACTS)
def test_a_change_that_names_a_fact_brings_its_points(facts: dict[str, FactValue]) -> None:
    card = load()
    before = {part.id: part.points for part in card.score(facts).parts}
    for change in find_changes(card, facts):
        assert change.gain > 0
        if change.fact is not None:
            after = {
                part.id: part.points for part in card.score(apply_changes(facts, [change])).parts
            }
            assert after[change.id] >= before[change.id] + change.gain
            assert sum(after.values()) >= sum(before.values()) + change.gain


@given(FACTS, st.integers(90, 260))
def test_a_way_whose_facts_are_named_was_tried_as_a_whole(
    facts: dict[str, FactValue], target: int
) -> None:
    """SALES and SHARE read the same facts: each change alone may hold, and not both."""
    card = load()
    way = find_way(card, facts, target)
    if way and all(change.fact for change in way):
        assert card.score(apply_changes(facts, way)).points >= target


@given(FACTS, st.integers(90, 260))
def test_a_way_is_the_shortest_there_is(facts: dict[str, FactValue], target: int) -> None:
    """Twin: of every set of characteristics, all at their best, the smallest that suffices."""
    card = load()
    score = card.score(facts)
    most = [
        max(*item.points, *item.table.values(), part.points) - part.points
        for item, part in zip(card.characteristics, score.parts, strict=True)
    ]
    need = target - score.points
    sizes = [
        size for size in range(5) if any(sum(chosen) >= need for chosen in combinations(most, size))
    ]
    way = find_way(card, facts, target)
    if not sizes:
        assert way is None
        return
    assert way is not None
    assert len(way) == sizes[0]
    assert sum(change.gain for change in way) >= need or need <= 0


def test_a_card_without_faults_has_no_warnings() -> None:
    found = review(load())
    assert found.warnings == ()
    assert (found.lowest, found.highest) == (100, 249)
    assert found.unknown.points == 105
    assert found.unknown.is_referred
    assert sum(item.swing for item in found.ranges) in range(96, 101)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("missing = 5", "missing = 60", "SALES: missing gives 60 points, no known value more"),
        ("missing = 5", "missing = 40", "SALES: missing gives 40 of at most 60"),
        ("max_missing = 1", "", "no max_missing: a company of which nothing is known scores 105"),
        ("max_reasons = 4", "max_reasons = 0", "told no reason"),
        ('"S02"', '"S01"', "SALES and VOID give the same reason S01"),
        ("baseline = 40", "baseline = 0", "its reason is never given"),
        ("baseline = 40", "baseline = 41", "above its best points 40"),
        ("[500, 30]", "[500, 45]", "rise and fall again"),
        ("[2000, 0]", "[20000, 0]", "the last band is never reached"),
        ("[[0, 40], [500", "[[100, 40], [500", "what is below counts as missing"),
        ('text = "Grade"', "", "GRADE: no text"),
        ("A = 30, B = 15, C = 0", "A = 5, B = 5, C = 5", "every value gives the same points"),
    ],
)
def test_what_is_allowed_but_hardly_meant_is_told(old: str, new: str, word: str) -> None:
    assert CARD.count(old) == 1
    assert any(word in warning for warning in review(load(CARD.replace(old, new))).warnings)
