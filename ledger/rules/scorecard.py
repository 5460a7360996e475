"""Scorecards: points for characteristics, reasons for the points lost (RULES.md, "A scorecard")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.rules.schema import Schema
from ledger.rules.units import FactValue


@dataclass(frozen=True, slots=True)
class Part:
    """What one characteristic gave: its input's value (None: missing) and its points."""

    id: str
    value: FactValue | None
    points: int
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """A score and where it comes from; `is_referred` when more than `max_missing` were missing."""

    points: int
    reasons: tuple[str, ...]
    parts: tuple[Part, ...]
    missing_count: int
    is_referred: bool


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A registered scorecard; `ref` ("SME-RISK/2") is how products name it."""

    id: str
    version: int
    source_hash: bytes
    schema_ref: str
    inputs: frozenset[str]
    cost: int

    @property
    def ref(self) -> str:
        """The id and version, as products write them."""
        return f"{self.id}/{self.version}"

    def score(self, facts: Mapping[str, FactValue]) -> Score:
        """Return the score of these facts; never fails: a missing input has points of its own."""
        raise NotImplementedError


def load_scorecard(source: bytes, schema: Schema) -> Scorecard:
    """Return the scorecard that `source` declares; raise `RuleSourceError`."""
    raise NotImplementedError
