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


def test_a_few_companies_are_where_products_draw_the_line() -> None:
    """Else a condition could never fail: on loans, penalties and suits, and on old documents."""
    companies = Province(1)
    table = make_tables(companies, 0, 10_000)[0]
    most = {"co.loans_open": 7, "co.lenders": 6, "co.market_penalties_24m": 4, "co.sued_12m": 9}
    for name, least in most.items():
        assert max(value or 0 for value in table[name].to_pylist()) >= least, name
    ages = {"rv": 271, "iv": 181, "wr": 541, "ex": 241, "bl": 201, "eq": 8 * 365 + 1}
    for kind, least in ages.items():
        oldest = min(day for day in table[f"{kind}.dated"].to_pylist() if day is not None)
        assert companies.as_of - oldest >= least, kind
