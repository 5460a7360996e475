"""What an author says of a scorecard before it is fitted: its inputs, and which way each may turn.

A design is a TOML file:

    id = "SME-INVOICES"
    version = 1
    schema = "company/2"
    name = "..."
    [scale]                     # 500 points at 10 good to 1 bad, 40 more for twice as good
    points = 500
    odds = 10
    double = 40
    [[characteristic]]
    id = "SALES"
    input = "math.greatest(co.sales_12m, yuan(0))"   # as in a scorecard
    trend = "up"                # up: more is safer; down; auto: as the data say; free: either way
    use = true                  # false: only a candidate, for `fit --forward`
    text = "Low sales"
    text_zh = "…"
    reason = "S01"
    missing_reason = "S51"

A table without a design is given one: each column is an input, and the data say which way it turns.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from analytics.scorecard.settings import Scale
from analytics.scorecard.table import FactTable
from ledger.errors import Code, LocalError
from ledger.rules.units import Unit

INVOICES = Path(__file__).parent / "sme-invoices.toml"


class Trend(StrEnum):
    """Which way the points of an input may go as it grows."""

    UP = "up"
    DOWN = "down"
    AUTO = "auto"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input that a scorecard may have; `use` false: only `--forward` may take it."""

    id: str
    input: str
    trend: Trend
    text: str
    text_zh: str
    reason: str
    missing_reason: str
    use: bool


@dataclass(frozen=True, slots=True)
class Design:
    """What a scorecard is to be made of."""

    id: str
    version: int
    schema: str
    name: str
    scale: Scale
    candidates: tuple[Candidate, ...]

    @property
    def used(self) -> tuple[int, ...]:
        """The places of the candidates that are to be taken."""
        return tuple(place for place, item in enumerate(self.candidates) if item.use)


def read_design(path: Path) -> Design:
    """Return the design of a file; raise `LocalError` (8001) saying which key is wrong."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    try:
        scale = Scale(**values.pop("scale", {}))
        tables = values.pop("characteristic")
        candidates = tuple(_read_candidate(place, table) for place, table in enumerate(tables, 1))
        return Design(**{"name": "", **values}, scale=scale, candidates=candidates)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path} is no design of a scorecard: {error} (see docs/SCORECARDS.md)"
        raise LocalError(Code.INPUT_FILE, message) from None


def _read_candidate(place: int, table: Mapping[str, Any]) -> Candidate:
    known = {
        "text": "",
        "text_zh": "",
        "use": True,
        "reason": f"S{place:02}",
        "missing_reason": f"S{place + 50}",
        **table,
    }
    return Candidate(**{**known, "trend": Trend(known.get("trend", Trend.AUTO))})


def design_table(table: FactTable, name: str = "DATA") -> Design:
    """Return a design in which every column is an input."""
    candidates = tuple(
        Candidate(
            feature.removeprefix("data.").upper(),
            feature,
            Trend.FREE if unit in (Unit.TEXT, Unit.FLAG) else Trend.AUTO,
            f"Column {table.columns.get(feature, feature.removeprefix('data.'))}",
            "",
            f"S{place:03}",
            f"M{place:03}",
            True,
        )
        for place, (feature, unit) in enumerate(table.units.items(), 1)
    )
    return Design(name, 1, "data/1", "", Scale(), candidates)
