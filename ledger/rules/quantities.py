"""Quantities as typed text: "CNY 3000000.00", "80.00%", "365 days" (RULES.md, "Expressions").

They are read digit by digit into integers of fen, basis points and days; no float is ever made.
"""

from __future__ import annotations

import re

from ledger.rules.units import Unit

_MONEY = re.compile(r"CNY ([0-9]{1,15})\.([0-9]{2})")
_RATE = re.compile(r"([0-9]{1,6})\.([0-9]{2})%")
_DAYS = re.compile(r"([0-9]{1,6}) days?")
_LOOSE_MONEY = re.compile(
    r"(?:CNY|RMB|¥|￥)? ?([0-9][0-9,]{0,18})(?:\.([0-9]{1,2}))? ?(?:CNY|RMB|元)?"
)
_LOOSE_RATE = re.compile(r"([0-9]{1,6})(?:\.([0-9]?))? ?[%％]")
_LOOSE_DAYS = re.compile(r"([0-9]{1,6}) ?(?:d|D|day|天|日)s?")
_NEGATIVE = re.compile(r"^(?:CNY|RMB)? ?-[0-9]")
_CALL = re.compile(r"(?:p|co|ap|[a-z]{2})\.[a-z0-9_]+|[a-z_.]+\(.*\)")
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


def explain_quantity(text: str) -> str:
    """Return what `text`, which is no quantity, should be: the nearest form, or all of them."""
    match = _LOOSE_RATE.fullmatch(text)
    if match is not None:
        return f'write "{match.group(1)}.{(match.group(2) or "").ljust(2, "0")}%"'
    match = _LOOSE_MONEY.fullmatch(text)
    if match is not None:
        whole = match.group(1).replace(",", "")
        return f'write "CNY {whole}.{(match.group(2) or "").ljust(2, "0")}"'
    match = _LOOSE_DAYS.fullmatch(text)
    if match is not None:
        return f'write "{match.group(1)} days"'
    if _NEGATIVE.search(text) is not None:
        return "a quantity is not negative: write it without the sign, and subtract it in the rule"
    if _CALL.fullmatch(text) is not None:
        return "a parameter is one fixed value: write the expression where it is used"
    if re.search("month|year|week|月|年|周", text.lower()):
        return 'write days, such as "90 days", for a month or a year has no fixed length'
    if re.search("[万亿]", text):
        return 'write the amount out in digits, such as "CNY 1000000.00"'
    if re.fullmatch(r"[A-Z]{3} [0-9.,]+", text):
        return "rules count in CNY"
    return FORMS
