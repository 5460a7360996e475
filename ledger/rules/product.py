"""Products: conditions, limit and rate of a loan, decided by rule (RULES.md, "A product")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.rules.decision import Decision
from ledger.rules.schema import Schema
from ledger.rules.scorecard import Scorecard
from ledger.rules.units import FactValue


@dataclass(frozen=True, slots=True)
class Product:
    """A registered product."""

    id: str
    version: int
    source_hash: bytes
    name: str
    lender: str
    line: str
    schema_ref: str
    scorecard_ref: str
    effective_from: int  # days since 1970-01-01
    effective_to: int | None
    requires: tuple[str, ...]
    asset: str  # the kind of asset an application must name, "" for none
    inputs: frozenset[str]
    params: Mapping[str, int]
    cost: int

    @property
    def ref(self) -> str:
        """The id and version."""
        return f"{self.id}/{self.version}"

    def is_effective(self, day: int) -> bool:
        """Return whether the product may be applied for on `day`."""
        end = day if self.effective_to is None else self.effective_to
        return self.effective_from <= day <= end

    def decide(self, facts: Mapping[str, FactValue]) -> Decision:
        """Return the decision on these facts; never fails: what is not known is referred."""
        raise NotImplementedError


def load_product(source: bytes, schema: Schema, scorecard: Scorecard) -> Product:
    """Return the product that `source` declares; raise `RuleSourceError`."""
    raise NotImplementedError
