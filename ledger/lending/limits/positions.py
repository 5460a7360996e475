"""Positions: what an institution has and owes, as it reports it, day by day.

`institution.report` is signed by the institution and says its net assets, total assets, registered
capital, funds at hand and balances by kind of asset as of a day. Reporting a day again corrects it:
the last word on a day counts, the earlier ones stay. Prudential limits are watched against these
figures (`ledger.lending.limits.watch`), and the loans that the ledger holds are reconciled with
what is reported: the ledger's own totals at the end of the day that the report speaks of (or as
they stand, when it speaks of today) are kept beside it, and the difference is shown. A difference
is no fault by itself, for an institution has loans that are not on this ledger; one that jumps is
worth a question.

INSTITUTION_REPORTS holds, by institution and day, every version of the report of that day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any

from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.limits.exposure import KEPT_DAYS, Side, get_day_total
from ledger.state.overlay import Overlay
from ledger.state.tables import INSTITUTION_REPORTS
from ledger.transactions.fields import MAX_AMOUNT_FEN, Fields

MAX_VERSIONS = 64
DAYS_BACK_MAX = KEPT_DAYS
YEAR_END = "net_assets_year_end"
_EPOCH = date(1970, 1, 1).toordinal()
_SEPARATOR = b"\x00"
_DAY_BASE = 1 << 31


class Balance(StrEnum):
    """Kinds of asset and of debt that a report may give, in fen; the values never change."""

    LOANS = "loans"
    GUARANTEES = "guarantees"
    LEASED_ASSETS = "leased_assets"
    RECEIVABLES = "receivables"
    FIXED_INCOME = "fixed_income"
    RISK_ASSETS = "risk_assets"
    RISK_RESERVE = "risk_reserve"
    EXTERNAL_FINANCING = "external_financing"
    BONDS_AND_ABS = "bonds_and_abs"
    RELATED_PARTY_LARGEST = "related_party_largest"
    RELATED_PARTIES = "related_parties"
    RELATED_RECEIVABLES = "related_receivables"


@dataclass(frozen=True, slots=True)
class Report:
    """One version of a report, in fen; `ledgered_*` is what the ledger held at the day's end."""

    day: int
    version: int
    net_assets_fen: int
    total_assets_fen: int
    registered_capital_fen: int
    funds_fen: int
    balances: Mapping[str, int]
    height: int
    ledgered_fen: int
    ledgered_guarantees_fen: int

    def to_value(self) -> dict[str, Any]:
        """Return it as a canonical map."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def get_figure(self, name: str) -> int | None:
        """Return a figure by the name that limits use, None where it was not reported."""
        own: Mapping[str, int] = {
            "net_assets": self.net_assets_fen,
            "total_assets": self.total_assets_fen,
            "registered_capital": self.registered_capital_fen,
            "funds": self.funds_fen,
        }
        return own[name] if name in own else self.balances.get(name)


def read_report(body: Fields, state: Overlay, institution: str, height: int) -> Report:
    """Return the report of a body, its version not yet numbered; raise `Rejected` (2008, 24xx)."""
    day = body.day("day")
    given = body.map("balances")
    balances = {name: given.amount(name, minimum=0) for name in Balance if given.has(name)}
    given.done()
    return Report(
        day=day,
        version=1,
        # Net assets of an institution in trouble are below zero.
        net_assets_fen=body.integer(
            "net_assets_fen", minimum=-MAX_AMOUNT_FEN, maximum=MAX_AMOUNT_FEN
        ),
        total_assets_fen=body.amount("total_assets_fen", minimum=0),
        registered_capital_fen=body.amount("registered_capital_fen", minimum=0),
        funds_fen=body.amount("funds_fen", minimum=0),
        balances={str(name): value for name, value in balances.items()},
        height=height,
        ledgered_fen=get_day_total(state, institution, Side.LENT, day),
        ledgered_guarantees_fen=get_day_total(state, institution, Side.GUARANTEED, day),
    )


def check_report_day(day: int, today: int) -> None:
    """Raise `Rejected` REPORT_DATE for a day to come or one too long ago."""
    if not today - DAYS_BACK_MAX <= day <= today:
        raise Rejected(
            Code.REPORT_DATE,
            f"day is {day}, want {today - DAYS_BACK_MAX} to {today}, the block's day",
        )


def put_report(state: Overlay, institution: str, report: Report) -> int:
    """Keep a report as the last word on its day; return its version. `Rejected` (2415)."""
    key = _key(institution, report.day)
    versions = state.get(INSTITUTION_REPORTS, key) or ()
    if len(versions) >= MAX_VERSIONS:
        raise Rejected(
            Code.REPORT_VERSIONS, f"day {report.day} was reported {MAX_VERSIONS} times already"
        )
    number = len(versions) + 1
    value = report.to_value() | {"version": number}
    state.put(INSTITUTION_REPORTS, key, (*versions, value))
    return number


def get_report(state: Overlay, institution: str, day: int) -> Report | None:
    """Return the last word of the latest day reported up to `day`, or None."""
    prefix = institution.encode() + _SEPARATOR
    found = state.scan(INSTITUTION_REPORTS, prefix, stop=_day_key(day + 1), reverse=True)
    return next((Report(**versions[-1]) for _, versions in found), None)


def get_reports(state: Overlay, institution: str, day: int) -> Iterator[Report]:
    """Yield every version of every report, the latest day first, versions in their order."""
    prefix = institution.encode() + _SEPARATOR
    found = state.scan(INSTITUTION_REPORTS, prefix, stop=_day_key(day + 1), reverse=True)
    for _, versions in found:
        yield from (Report(**value) for value in versions)


def get_figure(state: Overlay, institution: str, name: str, day: int) -> int | None:
    """Return a reported figure as of a day by the name that limits use, None if not reported.

    `net_assets_year_end` is the net assets of the last report dated in or before the year before:
    what the law on micro-loan companies measures against.
    """
    if name != YEAR_END:
        report = get_report(state, institution, day)
        return None if report is None else report.get_figure(name)
    year = date.fromordinal(_EPOCH + day).year
    report = get_report(state, institution, date(year - 1, 12, 31).toordinal() - _EPOCH)
    return None if report is None else report.net_assets_fen


def reconcile(report: Report) -> dict[str, Value]:
    """Return what was reported and what the ledger held that day, and the differences, in fen."""
    shown: dict[str, Value] = {}
    for name, ledgered_fen in (
        ("loans", report.ledgered_fen),
        ("guarantees", report.ledgered_guarantees_fen),
    ):
        reported_fen = report.balances.get(name)
        difference = None if reported_fen is None else reported_fen - ledgered_fen
        shown[name] = {
            "reported_fen": reported_fen,
            "ledgered_fen": ledgered_fen,
            "difference_fen": difference,
        }
    return shown


def _key(institution: str, day: int) -> bytes:
    return institution.encode() + _SEPARATOR + _day_key(day)


def _day_key(day: int) -> bytes:
    return (day + _DAY_BASE).to_bytes(4, "big")
