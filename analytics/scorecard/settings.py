"""What a fit may be told, with the bounds that keep a scorecard readable and within the format.

The defaults were found on the published invoices (docs/SCORECARDS.md): many narrow bands whose
steps are held back by a strong ridge do better on 82 companies than few wide ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from ledger.errors import Code, LocalError
from ledger.rules.limits import MAX_BANDS, MAX_CHARACTERISTICS


@dataclass(frozen=True, slots=True)
class Scale:
    """How odds become points: `points` at `odds` good to one bad, `double` more for twice that."""

    points: int = 500
    odds: int = 10
    double: int = 40

    @property
    def factor(self) -> float:
        """Points for one unit of log-odds."""
        return self.double / log(2)

    @property
    def offset(self) -> float:
        """Points at even odds."""
        return self.points - self.factor * log(self.odds)


@dataclass(frozen=True, slots=True)
class Settings:
    """`ridge` pulls every step between two bands towards none; `missing_min` rows without a value
    are needed before "missing" gets an effect of its own."""

    bands: int = 16
    ridge: float = 2.0
    inputs_max: int = 16
    missing_min: int = 20
    level_min: int = 10
    related_max: float = 0.9
    scale: Scale = Scale()

    def __post_init__(self) -> None:
        if not 2 <= self.bands <= MAX_BANDS:
            raise LocalError(Code.INPUT_USAGE, f"{self.bands} bands, want 2 to {MAX_BANDS}")
        if not 1 <= self.inputs_max <= MAX_CHARACTERISTICS:
            message = f"{self.inputs_max} characteristics, want 1 to {MAX_CHARACTERISTICS}"
            raise LocalError(Code.INPUT_USAGE, message)
        if self.ridge <= 0:
            raise LocalError(Code.INPUT_USAGE, f"ridge {self.ridge}, want more than 0")
