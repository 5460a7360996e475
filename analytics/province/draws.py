"""Draws that depend on a seed, a company's number and a name alone, a whole column at a time.

The same company comes out whatever the chunking and however many others there are: nothing is
drawn from a stream that somebody else advances. A word is a hash of (seed, company, name, event),
and everything else is that word read as a number. Only integer arithmetic, the four operations of
IEEE 754 and tables computed once in plain Python are used: vectorised exponentials and logarithms
may differ in the last bit between machines, and between the middle and the end of an array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_FIRST = np.uint64(0xBF58476D1CE4E5B9)  # the constants of splitmix64's finaliser
_SECOND = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TABLE_BITS = 12
_EXP_LIMIT, _EXP_STEPS = 12, 1024
_NORMAL = np.array(
    [NormalDist().inv_cdf((i + 0.5) / 2**_TABLE_BITS) for i in range(2**_TABLE_BITS)]
)
_EXP = np.array([math.exp(i / _EXP_STEPS) for i in range(-_EXP_LIMIT * _EXP_STEPS, 12_289)])
_GRID = 4096


@lru_cache(maxsize=4096)
def name_word(name: str) -> np.uint64:
    """Return 64 bits that stand for a name."""
    return np.uint64(int.from_bytes(sha256(name.encode()).digest()[:8], "big"))


def company_words(seed: int, first: int, count: int) -> Words:
    """Return a word for each of `count` companies from number `first` on."""
    start = name_word(f"creditledger/province/{seed}")
    return mix(np.arange(first, first + count, dtype=np.uint64) * _GOLDEN + start)


def mix(words: Words) -> Words:
    """Return words whose every bit depends on every bit of the given ones."""
    words = words ^ (words >> np.uint64(30))
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def derive(words: Words, name: str | Sequence[str]) -> Words:
    """Return words that are independent of `words` and of those of another name.

    Of several names, one row a name: `words` is then a row itself.
    """
    if isinstance(name, str):
        fresh = words ^ name_word(name)
    else:
        fresh = words ^ np.array([name_word(item) for item in name])[:, None]
    fresh *= _FIRST
    fresh ^= fresh >> np.uint64(32)
    fresh *= _SECOND
    fresh ^= fresh >> np.uint64(29)
    return fresh


def event_words(words: Words, ordinals: Ints) -> Words:
    """Return a word for each event of a company, from the company's and its ordinal."""
    return mix(words + ordinals.astype(np.uint64) * _GOLDEN)


def uniform(words: Words) -> Floats:
    """Return numbers of [0, 1), from the upper 53 bits."""
    scaled: Floats = (words >> np.uint64(11)).astype(np.float64)
    scaled *= 2.0**-53
    return scaled


def normal(words: Words) -> Floats:
    """Return standard normal numbers, of 4,096 values between -3.7 and 3.7."""
    found: Floats = _NORMAL[words >> np.uint64(64 - _TABLE_BITS)]
    return found


def exp(numbers: Floats) -> Floats:
    """Return e to the power of each number, in steps of 0.1 %, within e^-12 and e^12."""
    steps = numbers * _EXP_STEPS
    steps += _EXP_LIMIT * _EXP_STEPS
    found: Floats = _EXP.take(steps.astype(np.int64), mode="clip")
    return found


def pick(words: Words, weights: Sequence[float]) -> Ints:
    """Return an index for each word, with probability proportional to its weight."""
    bounds = np.cumsum(np.array(weights, dtype=np.float64))
    found: Ints = np.searchsorted(bounds[:-1] / bounds[-1], uniform(words), side="right")
    return found


class Quantiles:
    """A distribution by its quantiles: values at given probabilities, linear between them."""

    def __init__(self, probabilities: Sequence[float], values: Sequence[float]) -> None:
        grid = np.arange(_GRID + 1) / _GRID
        self._grid = np.interp(grid, probabilities, values)

    def at(self, probabilities: Floats) -> Floats:
        """Return the quantile of each probability of [0, 1)."""
        place = probabilities * _GRID
        below = place.astype(np.int64)
        low: Floats = self._grid.take(below, mode="clip")
        high: Floats = self._grid.take(below + 1, mode="clip")
        return low + (high - low) * (place - below)


_CDF = Quantiles(
    [(i + 4096) / 8192 for i in range(-4096, 4097)],
    [NormalDist().cdf(i / 1024) for i in range(-4096, 4097)],
)


def rank(normals: Floats) -> Floats:
    """Return the probability below each standard normal number, of [0, 1)."""
    return _CDF.at(np.clip((normals + 4.0) * 0.125, 0.0, 1.0 - 2.0**-53))


def as_ints(numbers: Any) -> Ints:
    """Return numbers rounded down to integers."""
    found: Ints = np.floor(numbers).astype(np.int64)
    return found
