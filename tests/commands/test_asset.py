"""Amounts of assets in other money, as they are typed and shown: in the currency's own units."""

from __future__ import annotations

import pytest

from commands.asset import amount_text, to_minor_units
from commands.values import parse_amount
from ledger.errors import Code, LocalError


@pytest.mark.parametrize(
    ("typed", "currency", "units", "shown"),
    [
        ("1,400,000.00", "CNY", 140_000_000, "1,400,000.00"),
        ("1,400,000.5", "USD", 140_000_050, "1,400,000.50 USD"),
        ("1,000,000", "JPY", 1_000_000, "1,000,000 JPY"),
        ("12.34", "KWD", 12_340, "12.340 KWD"),
    ],
)
def test_an_amount_is_in_the_units_of_its_currency(
    typed: str, currency: str, units: int, shown: str
) -> None:
    assert to_minor_units(parse_amount(typed), currency) == units
    assert amount_text(units, currency) == shown


def test_a_part_of_a_yen_is_refused() -> None:
    with pytest.raises(LocalError, match="JPY has no hundredths") as caught:
        to_minor_units(parse_amount("100.50"), "JPY")
    assert caught.value.code is Code.INPUT_USAGE
