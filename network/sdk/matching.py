"""Questions about what could be: every product for one company, and what a decision rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from network.sdk.reading import Ask


@dataclass(frozen=True, slots=True)
class FailedCondition:
    """A condition that did not hold: `result` FAIL, or why it could not be known."""

    code: str
    condition: str
    result: str
    text: str
    text_zh: str
    inputs: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One fact that would have to be otherwise; `others` are texts that would do as well."""

    feature: str
    unit: str
    before: Any
    after: Any
    others: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change found with which a product would grant, and on which terms."""

    moves: tuple[Move, ...]
    limit_fen: int | None
    amount_fen: int | None
    rate_bp: int | None


@dataclass(frozen=True, slots=True)
class ProductMatch:
    """What one product would decide; `interest_fen` is what the whole loan would cost."""

    product: str
    name: str
    name_zh: str
    lender: str
    line: str
    asset: str
    requires: tuple[str, ...]
    outcome: str
    limit_fen: int | None
    amount_fen: int | None
    rate_bp: int | None
    interest_fen: int | None
    score: int | None
    reasons: tuple[FailedCondition, ...]
    missing: tuple[str, ...]
    change: Change | None


@dataclass(frozen=True, slots=True)
class Matches:
    """The cheapest grants, the nearest of the others, and how many products said what.

    `labels` are what facts are called, in English and Chinese; `measures` what they are counted in:
    decimals, and its name in both.
    """

    company: str
    as_of: int
    asked_fen: int
    term_days: int
    assets: Mapping[str, str]
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    eligible: tuple[ProductMatch, ...]
    others: tuple[ProductMatch, ...]
    units: Mapping[str, str]
    labels: Mapping[str, tuple[str, str]]
    measures: Mapping[str, tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class MatchCompany(Ask[Matches]):
    """For the company or a counter: what every product in force would decide; nobody is told."""

    name: ClassVar[str] = "company.match"
    company: str
    amount_fen: int | None = None
    term_days: int | None = None
    declared: Mapping[str, Any] | None = None
    products: tuple[str, ...] | None = None
    top: int | None = None


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record that an input was made from, with its standing of today."""

    number: int
    day: int
    digest: bytes
    height: int
    status: str


@dataclass(frozen=True, slots=True)
class SourceWindow:
    """The records of one schema in one window: how many there were then, and the latest."""

    category: str
    schema: str
    aggregate: str
    field: str
    from_day: int | None
    to_day: int
    count: int
    is_more: bool
    latest: tuple[SourceRecord, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One fact that a decision saw, and what it was made from."""

    input: str
    value: Any
    source: str
    records: tuple[SourceWindow, ...]
    unit: str = ""
    asset: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """What every input of an application's decision was made from."""

    application: str
    company: str
    schema: str
    day: int
    height: int
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class TraceApplication(Ask[Sources]):
    """For whom an application concerns: where the inputs of its decision came from."""

    name: ClassVar[str] = "application.sources"
    application: str
