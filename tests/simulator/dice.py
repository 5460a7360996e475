"""Dice for each thing that chance decides: the same name and seed, the same throws.

A stream for each link and each member, so that taking one fault out of a schedule leaves what
chance decides elsewhere as it was, and a shrunk schedule still fails for the same reason.
"""

from __future__ import annotations

from random import Random


def dice(seed: int, *name: object) -> Random:
    """Return the dice of a name: text is hashed by SHA-512 there, whatever the hash seed is."""
    return Random(f"{seed}/" + "/".join(map(str, name)))
