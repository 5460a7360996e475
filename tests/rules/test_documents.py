"""Documents: strict TOML, bounds, and the place of every character of an expression."""

from __future__ import annotations

import contextlib
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, RuleSourceError
from ledger.rules.documents import hash_source, load_document, load_kind, read_parameters
from ledger.rules.limits import MAX_FILE_PARTS
from ledger.rules.product import load_product
from ledger.rules.quantities import parse_quantity
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import load_scorecard
from ledger.rules.toml_places import find_places
from ledger.rules.units import Unit
from tests.rules.samples import ALERT, EVENTS, PRODUCT, SCHEMA, SCORECARD

_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
_SCORECARD = load_scorecard(SCORECARD.encode(), _SCHEMA)


def _product_refusal(text: str) -> RuleSourceError:
    with pytest.raises(RuleSourceError) as caught:
        load_product(text.encode(), _SCHEMA, _SCORECARD)
    return caught.value


@pytest.mark.parametrize(
    ("source", "kind"),
    [(SCHEMA, "schema"), (SCORECARD, "scorecard"), (PRODUCT, "product"), (ALERT, "alert")],
)
def test_tells_the_kind_of_a_document(source: str, kind: str) -> None:
    assert load_kind(source.encode()) == kind


def test_refuses_a_document_of_another_kind() -> None:
    with pytest.raises(RuleSourceError, match="a document of kind alert, want product"):
        load_document(ALERT.encode(), "product")


@pytest.mark.parametrize(
    ("when", "line", "column"),
    [
        ('"rv.confirmed && co.bad"', 18, 25),
        ("'rv.confirmed && co.bad'", 18, 25),
        ('"rv.confirmed \\u0026\\u0026 co.bad"', 18, 35),
        ('"""rv.confirmed &&\n  co.bad"""', 19, 3),
        ('"""\nrv.confirmed\n&& co.bad"""', 20, 4),
        ("'''\nrv.confirmed\n  && co.bad'''", 20, 6),
        ('"""\nrv.confirmed \\\n     && co.bad"""', 20, 9),
        ('"\\"\\" == co.bad"', 18, 17),
    ],
)
def test_an_expression_is_placed_in_the_file_whatever_its_quotes(
    when: str, line: int, column: int
) -> None:
    error = _product_refusal(PRODUCT.replace('"rv.confirmed"', when))
    assert "unknown feature co.bad" in error.message
    assert (error.line, error.column) == (line, column)
    text = str(error)
    assert text.startswith(f"E3004 line {line}, column {column}: ")


def test_columns_are_the_same_with_windows_line_ends() -> None:
    text = PRODUCT.replace("rv.confirmed", "co.bad").replace("\n", "\r\n")
    assert (_product_refusal(text).line, _product_refusal(text).column) == (18, 9)


@pytest.mark.parametrize(
    "source",
    [
        b"a = " + b"[" * 20_000,
        b"a = " + b"[" * 20 + b"]" * 20,
        b"a = " + b"{b=" * 5_000,
        b"a" + b".a" * 30_000 + b" = 1",
        b"[a" + b".a" * 30_000 + b"]",
        b"a = 1\n" * 20_000,
        b"a = " + b"9" * 5_000,
        b"a = 99999999999999999999",
        b"a = '''" + b"[" * 1000,
        b"\xff",
        b"a = 1\n\xe4\xbc",
        b"a = 1.5",
        b"a = inf",
        b"a = 12:30:00",
        b"a = 2020-01-01T00:00:00Z",
        b"a = 'x",
        b"a = 1\na = 2",
        b"",
        b"format = 'smartrule/2'\nkind = 'product'",
        b"format = 'smartrule/1'\nkind = 'rule'",
        b"format = 1",
    ],
    ids=lambda source: repr(source[:16]),
)
def test_refuses_what_is_no_sound_document(source: bytes) -> None:
    with pytest.raises(RuleSourceError) as caught:
        load_kind(source)
    assert caught.value.line >= 1
    assert caught.value.column >= 1


@pytest.mark.parametrize("part", [b"[1],", b"1,\n", b"{a = 1},"])
def test_more_parts_than_a_rule_has_are_refused_before_they_are_read(part: bytes) -> None:
    """Within 64 KB, thousands of small values cost every replica a third of a second."""
    source = b"format = 'smartrule/1'\nx = [" + part * (MAX_FILE_PARTS + 1) + b"]"
    with pytest.raises(RuleSourceError, match="more than 2048 keys, list items") as caught:
        load_kind(source)
    assert caught.value.code is Code.RULE_LIMIT


def test_marks_inside_strings_and_comments_are_no_parts() -> None:
    text = b"'" + b"[,=" * MAX_FILE_PARTS + b"'"
    comment = b" # " + b"=" * MAX_FILE_PARTS
    source = b"format = 'smartrule/1'" + comment + b"\nkind = 'product'\nx = " + text
    assert load_kind(source) == "product"


def test_a_number_that_python_does_not_convert_is_refused_where_it_stands() -> None:
    with pytest.raises(RuleSourceError, match="does not fit in 64 bits") as caught:
        load_kind(b"format = 'smartrule/1'\nversion = " + b"9" * 5000 + b"\n")
    assert (caught.value.code, caught.value.line, caught.value.column) == (Code.RULE_LIMIT, 2, 11)


def test_the_place_of_a_toml_mistake_is_told() -> None:
    with pytest.raises(RuleSourceError) as caught:
        load_kind(b"format = 'smartrule/1'\nkind = product\n")
    assert (caught.value.code, caught.value.line) == (Code.RULE_SYNTAX, 2)


_STRINGS = st.text(alphabet="ab\"'\\\n\t é企", max_size=12)


@settings(max_examples=150, deadline=None)
@given(_STRINGS, st.integers(0, 3))
def test_every_character_of_a_string_is_found_where_it_stands(text: str, form: int) -> None:
    """A twin by brute force: change the character at the offset, and the value changes there."""
    written = {
        0: '"' + "".join(f"\\u{ord(c):04x}" if not c.isalpha() else c for c in text) + '"',
        1: '"""' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""',
        2: "'''\n" + text.replace("'", " ") + "'''",
        3: "'" + text.replace("'", " ").replace("\n", " ") + "'",
    }[form]
    document = f'x = {{ y = [1, {written}] }} # "comment"\n[t]\n"k" = 2'
    value = tomllib.loads(document)["x"]["y"][1]
    place = find_places(document)["x", "y", 1]
    assert len(place.characters) == len(value) + 1
    for index, character in enumerate(value):
        offset = place.characters[index]
        if character.isalpha() and document[offset] == character:
            changed = document[:offset] + "Z" + document[offset + 1 :]
            assert tomllib.loads(changed)["x"]["y"][1] == value[:index] + "Z" + value[index + 1 :]
        else:
            assert not character.isalpha() or document[offset] == "\\"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("CNY 3000000.00", (Unit.FEN, 300_000_000)),
        ("CNY 0.07", (Unit.FEN, 7)),
        ("80.00%", (Unit.BP, 8_000)),
        ("0.05%", (Unit.BP, 5)),
        ("365 days", (Unit.DAYS, 365)),
        ("1 day", (Unit.DAYS, 1)),
        ("CNY 1000", None),
        ("CNY 1,000.00", None),
        ("USD 1.00", None),
        ("5%", None),
        ("-5.00%", None),
        ("٣ days", None),
        ("CNY 1.00\n", None),
    ],
)
def test_quantities_are_read_digit_by_digit(text: str, want: object) -> None:
    assert parse_quantity(text) == want


def test_parameters_have_the_unit_of_their_text() -> None:
    text = PRODUCT.replace(
        'max_term     = "365 days"', 'max_term = "365 days"\nfloor = 6\nsince = 1970-02-01'
    )
    found = read_parameters(load_document(text.encode(), "product"))
    assert {name: (str(item.type.unit), item.constant) for name, item in found.items()} == {
        "p.max_limit": ("fen", 300_000_000),
        "p.advance_rate": ("bp", 8_000),
        "p.max_term": ("days", 365),
        "p.floor": ("number", 6),
        "p.since": ("date", 31),
    }


_REFUSED = [
    ('max_limit    = "CNY 3000000.00"', 'max_limit = "3000000"', 13, 13, "is no quantity"),
    ('max_limit    = "CNY 3000000.00"', "Max = 1", 13, 7, "is no parameter name"),
    ("version = 3", "version = true", 4, 11, "version must be a whole number"),
    ("lender =", "lendr =", 1, 1, "the key 'lender' is missing"),
    ("requires =", "require =", 10, 1, "unknown key 'require'"),
    ('schema = "company/7"', 'schema = "company/6"', 7, 10, "schema company/6, want company/7"),
    ('"SME-RISK/2"', '"SME-RISK/1"', 8, 13, "want SME-RISK/2"),
    ("2020-01-01", '"2020-01-01"', 9, 18, "must be a date without quotes"),
    ('"CNY 1000.00"', "100000", 33, 8, 'step must be written as "CNY 1000.00"'),
    ('"CNY 1000.00"', '"1000"', 33, 8, 'step must be written as "CNY 1000.00"'),
    ('id = "arrears"', 'id = "confirmed"', 22, 6, "the id confirmed is used twice"),
    ('reason = "R201"', 'reason = "r 201"', 24, 10, "is no reason code"),
    ("[500, ", "[400, ", 38, 50, "lower bounds must increase"),
    ('[0, "DECLINE", "R301"], ', "", 38, 10, "can give 300: start with"),
    ('"DECLINE", "R301"', '"REFUSE", "R301"', 38, 10, "a band is"),
    ('"7.20%"', '"CNY 7.20"', 38, 40, "a band is"),
    ('"DECLINE", "R301"', '"DECLINE", "no way"', 38, 10, "a band is"),
    ('on = "score"', 'on = "grade"', 37, 6, "is none of score"),
    ("co.overdue_days_max_24m <= days(30)", "ap.term", 23, 9, "want a flag"),
    ('"math.least(', '"1 + math.least(', 32, 13, "1 is a bare number and least(…) is money"),
]


@pytest.mark.parametrize(("old", "new", "line", "column", "words"), _REFUSED)
def test_refuses_a_product_with_the_place_of_the_mistake(
    old: str, new: str, line: int, column: int, words: str
) -> None:
    error = _product_refusal(PRODUCT.replace(old, new, 1))
    assert words in error.message
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize(
    ("character", "words"),
    [
        ("\u202e", "cannot be seen, '\\u202e'"),
        ("\u200b", "cannot be seen"),
        ("\0", "cannot be seen"),
        ("\r", "carriage return"),
    ],
)
def test_refuses_characters_that_a_voter_would_not_see(character: str, words: str) -> None:
    """CVE-2021-42574: text that reads in another order than it is compiled."""
    error = _product_refusal(PRODUCT.replace("The loan", f"The{character} loan"))
    assert words in error.message
    assert (error.line, error.column, error.code) == (30, 12, Code.RULE_SYNTAX)


def test_refuses_a_byte_order_mark_in_so_many_words() -> None:
    error = _product_refusal("\ufeff" + PRODUCT)
    assert "save it as UTF-8 without one" in error.message
    assert (error.line, error.column) == (1, 1)


def test_the_conditions_on_one_event_are_bounded_together() -> None:
    numbers = "[" + ",".join("1" for _ in range(40)) + "]"
    features = "".join(
        f"""[feature."co.f{index}"]
unit = "count"
category = "C040"
agg = "count"
where = "{numbers}.all(a, {numbers}.exists(b, a == b)) || e.tax_type == '{index}'"
"""
        for index in range(16)
    )
    with pytest.raises(RuleSourceError, match="units an event") as caught:
        load_schema((SCHEMA + features).encode(), EVENTS)
    assert caught.value.code is Code.RULE_COST


def test_the_hash_is_that_of_the_bytes_as_written() -> None:
    product = load_product(PRODUCT.encode(), _SCHEMA, _SCORECARD)
    assert product.source_hash == hash_source(PRODUCT.encode())
    assert product.source_hash != hash_source(PRODUCT.encode() + b"\n")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PRODUCT) - 1), st.text(max_size=4), st.integers(0, 6))
def test_a_damaged_product_is_accepted_or_refused_and_nothing_else(
    at: int, inserted: str, removed: int
) -> None:
    damaged = PRODUCT[:at] + inserted + PRODUCT[at + removed :]
    with contextlib.suppress(RuleSourceError):
        load_product(damaged.encode("utf-8", "surrogatepass"), _SCHEMA, _SCORECARD)
