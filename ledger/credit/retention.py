"""How long records are kept, and from when on they are shown no more.

A category without a time of its own is kept without end; its owner may erase a record three years
after the record's day (`KEPT_DAYS`, the time for which sharing is to be accounted for). A category
with a time (`ledger.membership.catalogue.Retention`) holds what must go: negative records of
persons, five years after the end of the conduct (Credit Reporting Regulation 16). From the day
after, such a record may be erased, and until somebody does it is shown to nobody but its owner, the
company it is about and regulators. While the conduct goes on the time does not begin.

No rule may look further back than a record is shown: a window that is longer than the time of its
category is refused when the rule is registered, so what is hidden counts in no decision either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Category
from ledger.membership.context import QueryContext, Role
from ledger.rules.features import Feature

KEPT_DAYS = 1096  # three years


def find_last_day(category: Category, day: int, fields: Mapping[str, Any] | None) -> int | None:
    """Return the last day on which a record of `day` is to be kept; None while it goes on.

    Without `fields`, those of a record that was corrected, the time runs from the record's day.
    """
    retention = category.retention
    if retention is None:
        return day + KEPT_DAYS - 1
    if fields is None:
        return day + retention.days
    end = fields.get(retention.ends) if retention.ends else None
    if end is not None:
        return max(day, int(end)) + retention.days
    if retention.field:
        return None if fields.get(retention.field) in retention.values else day + retention.days
    return None if retention.ends else day + retention.days


def is_shown_all(context: QueryContext, category: Category, company: str) -> bool:
    """Tell whether the caller is shown records whose time is over: owner, company, regulators."""
    caller = context.caller
    return caller.id in (category.owner, company) or caller.role is Role.REGULATOR


def is_hidden(
    context: QueryContext,
    category: Category,
    company: str,
    day: int,
    fields: Mapping[str, Any] | None,
) -> bool:
    """Tell whether the time of a record is over for the caller; `fields` as in `find_last_day`."""
    if category.retention is None or is_shown_all(context, category, company):
        return False
    last_day = find_last_day(category, day, fields)
    return last_day is not None and last_day < context.day


def check_windows(categories: Mapping[str, Category], features: Iterable[Feature]) -> None:
    """Raise `Rejected` (2501) for a window that reaches beyond what is shown of its category."""
    for feature in features:
        category = categories.get(feature.category)
        if feature.stream is None or category is None or category.retention is None:
            continue
        most = category.retention.days
        if feature.days == 0 or feature.days + feature.offset_days > most:
            raise Rejected(
                Code.RULE_INVALID,
                f"{feature.name} looks further back at {category.id} than the {most} days for "
                "which its records are shown: give fewer days",
            )
