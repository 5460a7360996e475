"""Numbers that look random and are a function of a seed, the same on every machine.

Made-up companies and their records must come out byte for byte the same for the same seed, so that
a run can be repeated from its seed alone. `Draws` reads SHA-256 of (seed, name, counter) as
integers; it has no floats, and a named branch is independent of how much another branch has drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

Item = TypeVar("Item")
_WORD = 8


class Draws:
    """A stream of draws; `branch` gives an independent one."""

    __slots__ = ("_counter", "_prefix", "_words")

    def __init__(self, name: str) -> None:
        self._prefix = sha256(name.encode()).digest()
        self._counter = 0
        self._words: list[int] = []

    @classmethod
    def of_seed(cls, seed: int) -> Draws:
        """Return the draws of a seed."""
        return cls(f"creditledger/synthetic/{seed}")

    def branch(self, name: str) -> Draws:
        """Return draws that depend on the seed and `name` alone."""
        return Draws(f"{self._prefix.hex()}/{name}")

    def below(self, limit: int) -> int:
        """Return 0 to `limit` − 1; the bias of the remainder is below 2**-40 for what we draw."""
        if not self._words:
            block = sha256(self._prefix + self._counter.to_bytes(8, "big")).digest()
            self._words = [
                int.from_bytes(block[at : at + _WORD], "big") for at in range(0, len(block), _WORD)
            ]
            self._counter += 1
        return self._words.pop() % limit

    def between(self, lowest: int, highest: int) -> int:
        """Return `lowest` to `highest`, both included."""
        return lowest + self.below(highest - lowest + 1)

    def chance(self, per_mille: int) -> bool:
        """Return true in `per_mille` of a thousand cases."""
        return self.below(1000) < per_mille

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def spread(self, amount: int, low_bp: int, high_bp: int) -> int:
        """Return `amount` times a factor between the two, in basis points."""
        return amount * self.between(low_bp, high_bp) // 10_000
