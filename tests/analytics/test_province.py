"""A synthetic province: the same company whatever the chunking, valid codes, plausible numbers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from analytics.province.codes import LETTERS, make_codes
from analytics.province.facts import Province
from analytics.province.parquet import make_tables
from ledger.credit.uscc import check_uscc
from ledger.errors import LocalError


@cache
def province() -> Province:
    return Province(7)


def test_a_company_is_the_same_whatever_the_chunking() -> None:
    whole, labels = make_tables(province(), 1000, 60)
    for first, count in ((1000, 1), (1017, 13), (1059, 1), (990, 30)):
        part, part_labels = make_tables(province(), first, count)
        low = max(first, 1000)
        shared = min(first + count, 1060) - low
        wanted = whole.slice(low - 1000, shared)
        assert part.slice(low - first, shared).to_pylist() == wanted.to_pylist()
        assert part_labels.slice(low - first, shared) == labels.slice(low - 1000, shared)


def test_another_seed_gives_other_companies() -> None:
    ours, theirs = make_tables(province(), 0, 20)[0], make_tables(Province(8), 0, 20)[0]
    assert ours["co.sales_12m"] != theirs["co.sales_12m"]


def test_codes_are_valid_and_differ() -> None:
    regions = np.arange(500) % 13
    for first in (0, 9_999_900, 10_999_600):
        codes = [code.decode() for code in make_codes(first, regions)]
        for code in codes:
            check_uscc(code)
            assert code[8] in LETTERS
        assert len(set(codes)) == 500


def test_more_companies_than_codes_are_refused() -> None:
    with pytest.raises(LocalError, match="want 0 to 60000000"):
        make_codes(59_999_999, np.zeros(2, dtype=np.int64))
