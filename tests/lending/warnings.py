"""The thirty early warnings of Guangdong as they stand, on records and loans of a small network.

`Watched` is a network of the harness whose one department supplies every category that the warnings
read, with the fields of the province's tables. `Borrowing` has products and loans besides, and the
warnings that read the ledger itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

from genesis.network import NETWORKS, load_network
from ledger.errors import Code
from ledger.membership.context import QueryContext
from ledger.queries import QUERIES
from ledger.storage.memory import MemoryStore
from ledger.transactions.records import Record, Reference, encode_record, record_digest
from tests.ledger_harness import CATEGORIES, DAY_MS, SALT, Harness, company_code, key_of
from tests.lending.documents import SALES_ALERT, SCHEMA, SCORECARD
from tests.lending.province import Province

RULES = NETWORKS / "guangdong/rules"
COMPANY, NEIGHBOUR = company_code(11), company_code(12)
_NOTHING: Mapping[str, Any] = {
    "bool": False,
    "list": (),
    "string": "x",
    "text": "x",
    "code": "x",
    "uscc": company_code(99),
}


def read_rules(*names: str) -> tuple[bytes, ...]:
    """Return the sources of rule files, "company-1" or "province/ew18"."""
    return tuple((RULES / f"{name}.toml").read_bytes() for name in names)


def all_rules() -> tuple[bytes, ...]:
    """Return the feature schemas that the warnings name, and all thirty of them."""
    files = sorted(RULES.rglob("ew*.toml"), key=lambda path: path.name)
    return (*read_rules("company-1", "book-1"), *(path.read_bytes() for path in files))


def read_categories(owner: str, *ids: str) -> tuple[Any, ...]:
    """Return categories of the province (none named: all), as one member's."""
    categories = load_network("guangdong").categories
    return tuple(item | {"owner": owner} for item in categories if not ids or item["id"] in ids)


@lru_cache(maxsize=1)
def watched_categories() -> tuple[Any, ...]:
    """Return the categories that some rule reads, as one member's."""
    named = {name.decode() for name in re.findall(rb'"(C[0-9]{3})', b"".join(all_rules()))}
    return read_categories("D02", *named)


class _OneCache(Harness):
    """A network whose queries use what execution compiled: thirty rules are compiled once."""

    def query_context(self, caller: str) -> QueryContext:
        context = super().query_context(caller)
        return replace(context, rules=self.caches.rules.over(context.state))


@lru_cache(maxsize=1)
def _untouched() -> Watched:
    return Watched()


def watched() -> Watched:
    """Return a network of which no record says anything yet, its own copy of one that was made."""
    network = copy(_untouched())
    network.store = MemoryStore()
    network.store.write(dict(_untouched().store.scan(b"", b"\xff")), sync=True)
    return network


class Watched(_OneCache):
    """One company that records are told of, and what the warnings say of it."""

    def __init__(self) -> None:
        super().__init__(all_rules(), watched_categories())
        self.schemas = {
            value["id"]: schema
            for value in watched_categories()
            for schema in value["schemas"]
            if schema["name"] == ""
        }
        for company in (COMPANY, NEIGHBOUR):
            body = {"company": company, "public_key": key_of(company).public_key, "name": "it"}
            self.must("D01", "company.bind", body)

    def must(self, sender: str, kind: str, body: Mapping[str, Any]) -> Any:
        code, data = self.run(self.sign(sender, kind, body))
        assert code == Code.OK, data
        return data

    def tell(
        self, category: str, day: int, corrects: Reference | None = None, /, **fields: Any
    ) -> Reference:
        """Submit a record of a day, fields that are not given made up; return what names it."""
        schema = self.schemas[category]
        known = {
            field["name"]: self._made_up(field, day)
            for field in schema["fields"]
            if not field["is_optional"]
        }
        dated = {schema["date_field"]: day} if schema["date_field"] else {}
        given = {name: value for name, value in fields.items() if value is not None}
        record = Record(COMPANY, day, known | dated | given, supersedes=corrects, salt=SALT)
        code, data = self.run(self.submit("D02", category, [record]))
        assert (code, data.get("conflicts"), data.get("duplicates")) == (Code.OK, (), ()), data
        return day, record_digest(encode_record(record))

    @staticmethod
    def _made_up(field: Mapping[str, Any], day: int) -> Any:
        if field["type"] == "enum":
            return field["values"][0]
        if field["type"] in ("date", "month", "quarter"):
            return day
        return _NOTHING.get(field["type"], 2019 if field["type"] == "year" else 0)

    def review(self) -> None:
        """Let a regulator ask for all warnings to be looked at."""
        self.must("D18", "alert.review", {"companies": (COMPANY,)})

    def alerts(self, company: str = COMPANY) -> list[Any]:
        """Return the alerts on the company in their order, as a regulator sees them."""
        answer: Any = QUERIES["alerts.list"](self.query_context("D18"), {"company": company})
        return list(answer["alerts"])

    def watch(self, company: str = COMPANY) -> Any:
        """Return which rules hold of the company, and whether it is watched."""
        return QUERIES["alerts.watch"](self.query_context("D18"), {"company": company})

    def quality(self) -> dict[str, Any]:
        """Return the measured quality of each rule that warned."""
        answer: Any = QUERIES["alerts.quality"](self.query_context("D18"), {})
        return {item["rule"]: item for item in answer["rules"]}

    def standing(self, company: str = COMPANY) -> list[str]:
        """Return the ids of the rules that hold of the company."""
        return [ref.partition("/")[0] for ref in self.watch(company)["rules"]]


class Borrowing(_OneCache, Province):
    """The province of the tests of lending, with the warnings that read the ledger itself."""

    rules = (
        SCHEMA,
        SCORECARD,
        *read_rules("book-1", "ew01", "ew02", "ew03", "ew04", "ew26", "ew27", "ew28"),
        SALES_ALERT,
    )
    categories = (
        *(item for item in CATEGORIES if item["id"] != "C028"),
        *read_categories("D01", "C005", "C028", "C030"),
    )

    def warnings(self, company: str) -> list[tuple[str, str, bool]]:
        """Return (rule, state, whether it repeats) of the alerts on a company, in order."""
        found = self.ask("D18", "alerts.list", company=company)["alerts"]
        return [
            (item["rule"].partition("/")[0], item["state"], item["is_repeat"]) for item in found
        ]

    def standing(self, company: str) -> list[str]:
        """Return the ids of the rules that hold of the company."""
        rules = self.ask("D18", "alerts.watch", company=company)["rules"]
        return [ref.partition("/")[0] for ref in rules]

    def pass_to(self, day: int) -> None:
        """Let time go on to a day, with one block on it."""
        self.block(time_ms=self.head.time_ms + (day - self.day) * DAY_MS)

    def tell(self, category: str, records: Iterable[Record]) -> None:
        """Submit records of the registrar."""
        self.succeed(self.submit("D01", category, records))
