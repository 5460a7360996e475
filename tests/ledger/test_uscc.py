"""Unified social credit codes against published ones (GB 32100-2015, GB 11714)."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.credit.uscc import ALPHABET, check_uscc, make_uscc
from ledger.errors import Code, Rejected

VECTORS = Path(__file__).parents[2] / "../shared/data/uscc_vectors.csv"
EXPECTED = {
    "bad_check": Code.USCC_CHECK_DIGIT,
    "bad_char": Code.USCC_CHARACTER,
    "bad_length": Code.USCC_LENGTH,
    "legacy_exception": Code.USCC_CHECK_DIGIT,
}


def test_published_codes():
    if not VECTORS.exists():
        pytest.skip("../shared/data is not here")
    with VECTORS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 20
    for row in rows:
        if row["expect"] == "valid":
            check_uscc(row["code"])
        else:
            with pytest.raises(Rejected) as caught:
                check_uscc(row["code"])
            assert caught.value.code is EXPECTED[row["expect"]], row


@given(st.text(ALPHABET, min_size=16, max_size=16))
def test_made_codes_are_valid(body):
    code = make_uscc(body)
    assert code.startswith(body)
    check_uscc(code)


@given(st.text("0123456789", min_size=16, max_size=16), st.integers(0, 17), st.integers(1, 30))
def test_one_changed_character_is_found(body, position, shift):
    code = make_uscc(body)
    changed = ALPHABET[(ALPHABET.index(code[position]) + shift) % 31]
    with pytest.raises(Rejected) as caught:
        check_uscc(code[:position] + changed + code[position + 1 :])
    assert caught.value.code is Code.USCC_CHECK_DIGIT


def test_sentence_names_what_is_wrong():
    with pytest.raises(Rejected) as caught:
        check_uscc("914403001922038217")
    assert str(caught.value) == "E2203 check character of 914403001922038217: got 7, want 6"
