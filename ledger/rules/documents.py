"""Documents of the rule language: TOML read strictly, with the place of every word (RULES.md)."""

from __future__ import annotations


def load_kind(source: bytes) -> str:
    """Return "schema", "scorecard", "product" or "alert"; raise `RuleSourceError`."""
    raise NotImplementedError
