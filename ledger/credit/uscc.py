"""Unified social credit codes: GB 32100-2015, with the organisation code of GB 11714 inside.

Eighteen characters of an alphabet of 31 (no I, O, S, V, Z): registering authority, kind of body,
six digits of region, nine of organisation code, a check character. Position 17 is the check
character of the inner organisation code, position 18 that of the whole. A few codes of the first
years fail their check; they are accepted only when the registrar attested them
(`company.accept_code`).
"""

from __future__ import annotations

from functools import lru_cache
from operator import mul

from ledger.errors import Code, Rejected

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
LENGTH = 18
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_INNER_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_SYMBOLS = frozenset(ALPHABET)
_INNER_VALUES = {
    symbol: value for value, symbol in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}


def compute_check_character(body: str) -> str:
    """Return character 18 for the first 17 (GB 32100-2015)."""
    total = sum(map(mul, map(_VALUES.__getitem__, body), _WEIGHTS))
    return ALPHABET[(31 - total % 31) % 31]


def compute_inner_check_character(organisation: str) -> str:
    """Return the check character for the 8 characters of an organisation code (GB 11714)."""
    total = sum(map(mul, map(_INNER_VALUES.__getitem__, organisation), _INNER_WEIGHTS))
    check = 11 - total % 11
    return {10: "X", 11: "0"}.get(check, str(check))


def make_uscc(body16: str) -> str:
    """Return the valid code that begins with these 16 characters; raise as `check_uscc` does."""
    _check_characters(body16, 16)
    body = body16 + compute_inner_check_character(body16[8:16])
    return body + compute_check_character(body)


def check_uscc(code: str) -> None:
    """Raise `Rejected` (2201–2203) unless `code` is well formed and both checks hold."""
    problem = _find_problem(code)
    if problem is not None:
        raise Rejected(*problem)


@lru_cache(maxsize=65_536)
def _find_problem(code: str) -> tuple[Code, str] | None:
    """Return the code and the sentence of what is wrong; memory for codes that come often."""
    try:
        _check_characters(code, LENGTH)
    except Rejected as error:
        return error.code, error.message
    want = compute_check_character(code[:17])
    if code[17] != want:
        return Code.USCC_CHECK_DIGIT, f"check character of {code}: got {code[17]}, want {want}"
    want = compute_inner_check_character(code[8:16])
    if code[16] != want:
        return Code.USCC_CHECK_DIGIT, f"character 17 of {code}: got {code[16]}, want {want}"
    return None


def check_form(code: str) -> None:
    """Raise `Rejected` (2201, 2202) unless `code` has the length and the characters of a USCC."""
    _check_characters(code, LENGTH)


def _check_characters(code: str, length: int) -> None:
    if len(code) != length:
        raise Rejected(Code.USCC_LENGTH, f"company code of {len(code)} characters, want {length}")
    if _SYMBOLS.issuperset(code):
        return
    for position, symbol in enumerate(code, 1):
        if symbol not in _VALUES:
            raise Rejected(
                Code.USCC_CHARACTER,
                f"character {position} of the company code is none of {ALPHABET}",
            )
