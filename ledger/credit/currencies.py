"""Currencies other than the yuan, as the catalogue's units and the exchange rates name them."""

from __future__ import annotations

import re

from ledger.membership.catalogue import FieldSpec, FieldType

HOME_CURRENCY = "CNY"
# Digits of a currency's minor unit (ISO 4217) where they are not two.
_MINOR_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "KWD": 3, "BHD": 3, "OMR": 3, "TND": 3}
_UNIT = re.compile(r"([A-Z]{3})( 10k)?")


def get_minor_digits(currency: str) -> int:
    """Return how many digits a currency's minor unit has: 2 where a dollar has 100 cents."""
    return _MINOR_DIGITS.get(currency, 2)


def find_currency(spec: FieldSpec) -> str:
    """Return the foreign currency in whose minor units a field is stored, or "".

    "USD" with scale 2 and "USD 10k" with scale 6 are both in cents; another scale is another thing.
    """
    match = _UNIT.fullmatch(spec.unit)
    if spec.type is not FieldType.DECIMAL or match is None or match[1] == HOME_CURRENCY:
        return ""
    digits = get_minor_digits(match[1]) + (4 if match[2] else 0)
    return match[1] if spec.scale == digits else ""
