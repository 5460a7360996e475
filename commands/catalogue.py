"""The categories of a chain as a node knows them now: those of genesis, and what was voted since.

`Catalogue` asks for a category when it is first wanted. What is submitted goes by the versions of
record schemas that are accepted today; what is shown may be of any version there ever was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from commands.session import Session
from ledger.errors import Code, CreditLedgerError
from ledger.membership.catalogue import Category, category_from_value

_MS_A_DAY = 86_400_000


class Catalogue(Mapping[str, Category]):
    """Categories by id; with the versions accepted today, or (`is_all`) with every one."""

    def __init__(self, session: Session, *, is_all: bool) -> None:
        self._session = session
        self._is_all = is_all
        self._known: dict[str, Category] = {}
        self._genesis = tuple(item.id for item in session.client.profile.genesis.categories)

    def __getitem__(self, name: str) -> Category:
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._genesis, *self._known)))

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def _ask(self, name: str) -> Category:
        try:
            (value,) = self._session.query("categories.list", category=name)
        except CreditLedgerError as error:
            if error.code in (Code.CATEGORY_UNKNOWN, Code.BODY_MALFORMED):
                raise KeyError(name) from None
            raise
        found = category_from_value(f"category {name}", value)
        if self._is_all:
            return found
        answer = self._session.query("categories.versions", category=name)
        today = self._session.client.head().clock_ms // _MS_A_DAY
        accepted = {
            (term["schema"], term["version"])
            for term in answer["versions"]
            if _is_accepted(term, today)
        }
        schemas = {key: schema for key, schema in found.schemas.items() if key in accepted}
        return replace(found, schemas=schemas)


def _is_accepted(term: Mapping[str, Any], day: int) -> bool:
    first, last = term["first_day"], term["last_day"]
    return (first is None or first <= day) and (last is None or day <= last)
