"""Alerts: conditions over windows that are raised, repeated and cleared (RULES.md, "An alert")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.rules.schema import EventTypes, Schema
from ledger.rules.units import FactValue
from ledger.rules.windows import Stream, WindowReader


class Severity(StrEnum):
    """How urgent an alert is, in increasing order."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


class AlertEvent(StrEnum):
    """What an evaluation did to an alert."""

    RAISED = "RAISED"
    REPEATED = "REPEATED"
    CLEARED = "CLEARED"


@dataclass(frozen=True, slots=True)
class AlertOutcome:
    """Whether the condition holds (None: it cannot be told, `error` says why), and what it saw."""

    holds: bool | None
    inputs: tuple[tuple[str, FactValue | None], ...]
    error: str


@dataclass(frozen=True, slots=True)
class AlertState:
    """What is remembered between evaluations of one alert for one company."""

    is_raised: bool = False
    held_count: int = 0  # consecutive evaluations that held
    clear_count: int = 0  # consecutive evaluations that did not
    raised_day: int | None = None  # the latest RAISED or REPEATED

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value."""
        raise NotImplementedError

    @classmethod
    def from_value(cls, value: Any) -> AlertState:
        """Return the state of `to_value`; raise `Refused` if it is malformed."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Alert:
    """A registered alert rule."""

    id: str
    version: int
    source_hash: bytes
    name: str
    severity: Severity
    reason: str
    text: str
    schema_ref: str  # "" when it uses no features
    when_source: str
    raise_after: int
    clear_after: int
    repeat_days: int
    streams: tuple[Stream, ...]  # of its windows and of the features it reads
    categories: frozenset[str]  # record schemas ("C044", "C044/line") that may change its outcome
    inputs: frozenset[str]
    cost: int

    @property
    def ref(self) -> str:
        """The id and version."""
        return f"{self.id}/{self.version}"

    def evaluate(
        self, as_of: int, read: WindowReader, facts: Mapping[str, FactValue] | None = None
    ) -> AlertOutcome:
        """Return whether it holds on the day `as_of`; `facts` adds what no record gives."""
        raise NotImplementedError

    def advance(
        self, state: AlertState, outcome: AlertOutcome, day: int
    ) -> tuple[AlertState, AlertEvent | None]:
        """Return the state after this outcome, and what happened."""
        raise NotImplementedError


def load_alert(source: bytes, events: EventTypes, schema: Schema | None) -> Alert:
    """Return the alert that `source` declares; raise `RuleSourceError`."""
    raise NotImplementedError
