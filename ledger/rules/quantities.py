"""Quantities as typed text: "CNY 3000000.00", "80.00%", "365 days" (RULES.md, "Expressions").

They are read digit by digit into integers of fen, basis points and days; no float is ever made.
"""

from __future__ import annotations

import re

from ledger.rules.units import Unit

_MONEY = re.compile(r"CNY ([0-9]{1,15})\.([0-9]{2})")
_RATE = re.compile(r"([0-9]{1,6})\.([0-9]{2})%")
_DAYS = re.compile(r"([0-9]{1,6}) days?")
FORMS = 'want "CNY 1000.00", "5.25%", "30 days" or a whole number'


def parse_quantity(text: str) -> tuple[Unit, int] | None:
    """Return the unit and the integer value of `text`, None if it is no quantity."""
    match = _MONEY.fullmatch(text)
    if match is not None:
        return Unit.FEN, int(match.group(1) + match.group(2))
    match = _RATE.fullmatch(text)
    if match is not None:
        return Unit.BP, int(match.group(1) + match.group(2))
    match = _DAYS.fullmatch(text)
    if match is not None:
        return Unit.DAYS, int(match.group(1))
    return None
