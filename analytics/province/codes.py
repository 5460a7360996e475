"""Codes of made-up companies, a chunk at a time: valid by both checks, and never given out.

Company number n has the organisation code of one letter and seven digits that `genesis.companies`
uses for made-up companies, with letters of this province's own: Q0000000 to Q9999999, then R, U and
so on. `ledger.credit.uscc.check_uscc` accepts every one (tested).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.province.draws import Ints
from analytics.province.sectors import REGIONS
from ledger.credit.uscc import ALPHABET, LENGTH
from ledger.errors import Code, LocalError

LETTERS = "QRUWXY"
_A_LETTER = 10_000_000
MAX_COMPANIES = len(LETTERS) * _A_LETTER
_WEIGHTS = np.array([3**power % 31 for power in range(17)])
_INNER_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_SYMBOLS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_INNER_A = 10  # what the letter A counts in an organisation code
_INNER_TEN = ALPHABET.index("X")


def make_codes(first: int, region: Ints) -> npt.NDArray[np.bytes_]:
    """Return the codes of companies from number `first` on; `LocalError` 8003 beyond 60 million."""
    count = len(region)
    if not 0 <= first <= first + count <= MAX_COMPANIES:
        message = f"companies {first} to {first + count}, want 0 to {MAX_COMPANIES}"
        raise LocalError(Code.INPUT_MAPPING, message)
    numbers = np.arange(first, first + count)
    values = np.empty((count, LENGTH), dtype=np.int64)
    values[:, :2] = (9, 1)
    digits = np.array([[int(digit) for digit in code] for code, _ in REGIONS])
    values[:, 2:8] = digits[region]
    letter = numbers // _A_LETTER
    values[:, 8] = np.array([ALPHABET.index(item) for item in LETTERS])[letter]
    for place in range(7):
        values[:, 9 + place] = numbers // 10 ** (6 - place) % 10
    inner = values[:, 8:16].copy()
    inner[:, 0] = np.array([ord(item) - ord("A") + _INNER_A for item in LETTERS])[letter]
    check = 11 - inner @ _INNER_WEIGHTS % 11
    values[:, 16] = np.where(check == 10, _INNER_TEN, np.where(check == 11, 0, check))
    values[:, 17] = (31 - values[:, :17] @ _WEIGHTS % 31) % 31
    codes: npt.NDArray[np.bytes_] = _SYMBOLS[values].view(f"S{LENGTH}")[:, 0]
    return codes
