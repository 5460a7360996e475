"""Interest and schedules: what falls due when, to the fen. Pure arithmetic.

Interest is simple, on the principal outstanding, by a stated day count:

    ACT/360   actual days over a year of 360
    ACT/365   actual days over a year of 365
    30/360    months of 30 days over a year of 360 (the 31st counts as the 30th)

principal × rate × days / (10,000 × year). What does not make a whole fen is carried as a remainder,
so that no fen comes from nothing and none is lost by booking often. A schedule is a list of
instalments, computed with the same arithmetic by which interest accrues: who pays every instalment
on its day owes nothing after the last, and not a fen was rounded away.

    bullet              principal and interest at the end
    interest_first      interest each period, the principal at the end
    equal_instalments   the same sum each period; the last one is what is left (at most that sum)

Periods are whole months from the day of the draw, on the same day of the month or the month's last.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

_EPOCH = date(1970, 1, 1).toordinal()
_BP = 10_000
PERIOD_MONTHS_MAX = 12


class DayCount(StrEnum):
    """How days between two dates count; the values are stored and never change."""

    ACT_360 = "ACT/360"
    ACT_365 = "ACT/365"
    THIRTY_360 = "30/360"


class ScheduleKind(StrEnum):
    """How a loan is repaid; the values are stored and never change."""

    BULLET = "bullet"
    INTEREST_FIRST = "interest_first"
    EQUAL_INSTALMENTS = "equal_instalments"


YEAR_DAYS: Mapping[DayCount, int] = {
    DayCount.ACT_360: 360,
    DayCount.ACT_365: 365,
    DayCount.THIRTY_360: 360,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: rates in basis points a year, periods in months.

    `late_rate_bp` comes on top of `rate_bp`, on principal that is past due.
    """

    rate_bp: int
    kind: ScheduleKind
    period_months: int
    day_count: DayCount
    late_rate_bp: int

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value."""
        return (
            self.rate_bp,
            str(self.kind),
            self.period_months,
            str(self.day_count),
            self.late_rate_bp,
        )

    @classmethod
    def from_value(cls, value: Any) -> Terms:
        """Return the terms of `to_value`."""
        rate_bp, kind, period_months, day_count, late_rate_bp = value
        return cls(rate_bp, ScheduleKind(kind), period_months, DayCount(day_count), late_rate_bp)

    @property
    def year_units(self) -> int:
        """How many units of the interest remainder make one fen."""
        return _BP * YEAR_DAYS[self.day_count]


@dataclass(frozen=True, slots=True)
class Instalment:
    """What falls due on a day, in fen."""

    due_day: int
    principal_fen: int
    interest_fen: int

    @property
    def total_fen(self) -> int:
        """Principal and interest."""
        return self.principal_fen + self.interest_fen

    def to_value(self) -> tuple[int, int, int]:
        """Return it as a canonical value."""
        return self.due_day, self.principal_fen, self.interest_fen


def compute_days(day_count: DayCount, first_day: int, last_day: int) -> int:
    """Return how many days of interest lie between two days (days since 1970-01-01)."""
    if last_day <= first_day:
        return 0
    if day_count is not DayCount.THIRTY_360:
        return last_day - first_day
    return _month_days(last_day) - _month_days(first_day)


def _month_days(day: int) -> int:
    """Count the day in months of 30 days, so that differences add up however they are cut."""
    found = date.fromordinal(_EPOCH + day)
    return (found.year * 12 + found.month) * 30 + min(found.day, 30)


def compute_interest(
    terms: Terms, principal_fen: int, first_day: int, last_day: int, remainder: int
) -> tuple[int, int]:
    """Return (whole fen, remainder) of the interest between two days on top of `remainder`."""
    days = compute_days(terms.day_count, first_day, last_day)
    return divmod(principal_fen * terms.rate_bp * days + remainder, terms.year_units)


def compute_due_days(terms: Terms, drawn_day: int, due_day: int) -> tuple[int, ...]:
    """Return the days on which instalments fall due: each period's end, and `due_day` last."""
    if terms.kind is ScheduleKind.BULLET:
        return (due_day,)
    return (*_period_ends(drawn_day, due_day, terms.period_months), due_day)


def _period_ends(drawn_day: int, due_day: int, months: int) -> Iterator[int]:
    start = date.fromordinal(_EPOCH + drawn_day)
    count = start.year * 12 + start.month - 1
    while True:
        count += months
        year, month = count // 12, count % 12 + 1
        day = min(start.day, monthrange(year, month)[1])
        end_day = date(year, month, day).toordinal() - _EPOCH
        if end_day >= due_day:
            return
        yield end_day


def compute_months_begun(first_day: int, last_day: int) -> int:
    """Return how many months, the last one perhaps not whole, lie between two days; at least 1."""
    return 1 + sum(1 for _ in _period_ends(first_day, last_day, 1))


def compute_plan(
    terms: Terms, principal_fen: int, from_day: int, due_days: Sequence[int], remainder: int = 0
) -> tuple[Instalment, ...]:
    """Return what falls due on each of `due_days` for a principal outstanding on `from_day`.

    The principals sum to `principal_fen`, the interests to what accrues when all is paid in time. A
    day on which nothing falls due is left out.
    """
    # Without equal sums nothing of the principal falls due before the end.
    level_fen = 0
    if terms.kind is ScheduleKind.EQUAL_INSTALMENTS:
        level_fen = _find_level_fen(terms, principal_fen, from_day, due_days, remainder)
    found = _amortise(terms, principal_fen, from_day, due_days, remainder, level_fen)
    return tuple(item for item in found if item.total_fen)


def _amortise(
    terms: Terms,
    principal_fen: int,
    from_day: int,
    due_days: Sequence[int],
    remainder: int,
    level_fen: int,
) -> Iterator[Instalment]:
    """Yield the instalments of `level_fen` each, or the interest if that is more; the rest last."""
    left_fen, since = principal_fen, from_day
    for day in due_days:
        interest_fen, remainder = compute_interest(terms, left_fen, since, day, remainder)
        part_fen = min(max(0, level_fen - interest_fen), left_fen)
        if day == due_days[-1]:
            part_fen = left_fen
        yield Instalment(day, part_fen, interest_fen)
        left_fen, since = left_fen - part_fen, day


def _find_level_fen(
    terms: Terms, principal_fen: int, from_day: int, due_days: Sequence[int], remainder: int
) -> int:
    """Return the smallest equal sum with which the last instalment is no more than the others.

    Sought between two sums of which one is too small, where a straight line through what both leave
    would end: what is left is nearly one. Halving in between keeps it short where it is not.
    """
    spans = [
        compute_days(terms.day_count, since, day)
        for since, day in zip((from_day, *due_days), due_days, strict=False)
    ]
    too_low, high = -1, principal_fen // len(due_days)
    over_low, over_high = 0, _find_excess_fen(terms, principal_fen, spans, remainder, high)
    while over_high > 0:
        # A fen more each time leaves at least a fen less for each of them, or nearly.
        too_low, over_low = high, over_high
        high += over_high // len(due_days) + len(due_days)
        over_high = _find_excess_fen(terms, principal_fen, spans, remainder, high)
    if too_low < 0:
        return high
    is_halved = False
    while high - too_low > 1:
        width = high - too_low
        part = width // 2 if is_halved else over_low * width // (over_low - over_high)
        middle = min(max(too_low + part, too_low + 1), high - 1)
        over = _find_excess_fen(terms, principal_fen, spans, remainder, middle)
        if over > 0:
            too_low, over_low = middle, over
        else:
            high, over_high = middle, over
        is_halved = not is_halved and (high - too_low) * 2 > width
    return high


def _find_excess_fen(
    terms: Terms, principal_fen: int, spans: Sequence[int], remainder: int, level_fen: int
) -> int:
    """Return by how much the last instalment is more than the others of `level_fen` each."""
    left_fen, rate_bp, units = principal_fen, terms.rate_bp, terms.year_units
    for days in spans[:-1]:
        interest_fen, remainder = divmod(left_fen * rate_bp * days + remainder, units)
        if level_fen > interest_fen:
            left_fen -= min(level_fen - interest_fen, left_fen)
    return left_fen + (left_fen * rate_bp * spans[-1] + remainder) // units - level_fen
