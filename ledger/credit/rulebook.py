"""The rule book: what is registered on the chain, compiled, and what records must be kept for it.

RULES holds the sources of schemas, scorecards, products and alerts under "kind:reference"; the
catalogue is `CatalogueState`'s. Compiling is pure, so compiled things are cached by hashes of what
they come from: of their own source, of the catalogue, and of the index of all schemas and alerts,
which decides the streams. `RuleCache` lives as long as its owner; execution and queries have one
each (rule 53). `Rules` is the book of one state, made anew for each block or query.

A rule that the members adopted counts from its day, and once the windows of the past are built that
it alone needs (`ledger.credit.rule_terms`): until then its schema is refused, and an alert is not
among those in force. Its streams are kept from the block that registered it on.

A `RecordPlan` is all that the submission of records needs of one record schema.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from hashlib import sha256
from itertools import chain
from typing import Any, TypeVar

from ledger.credit.catalogue_state import CatalogueState, PureCache
from ledger.credit.categories import FieldChecks, compute_field_checks
from ledger.credit.retention import check_windows
from ledger.credit.rule_terms import (
    ALWAYS,
    Term,
    get_fill_jobs,
    get_term,
    get_version_term,
    put_term,
    put_version_term,
)
from ledger.encoding import encode
from ledger.errors import Code, Rejected, RuleSourceError
from ledger.membership.catalogue import Category, RecordSchema
from ledger.rules.alert import Alert, load_alert
from ledger.rules.documents import load_kind
from ledger.rules.names import suggest
from ledger.rules.product import Product, load_product
from ledger.rules.schema import EventTypes, FeatureSource, Schema, load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard
from ledger.rules.windows import Stream
from ledger.state.overlay import Overlay
from ledger.state.tables import RULES

T = TypeVar("T")

KINDS = ("schema", "scorecard", "product", "alert")
_INDEX_KEY = b"index"
_SOURCE_PREFIX = b"source:"
_EMPTY = bytes(32)
_UNKNOWN = {
    "schema": Code.SCHEMA_UNKNOWN,
    "scorecard": Code.SCORECARD_UNKNOWN,
    "product": Code.PRODUCT_UNKNOWN,
    "alert": Code.ALERT_UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """One record schema, ready for submissions: who owns it, its checks, streams and look-ups."""

    owner: str
    is_salted: bool
    schema: RecordSchema
    key: bytes
    checks: FieldChecks
    streams: tuple[Stream, ...]
    lookups: tuple[str, ...]  # fields by which assets find the latest record
    term: Term = ALWAYS

    def check_accepted(self, day: int) -> None:
        """Raise `Rejected` (2508) when records of this version are not accepted on a day."""
        if self.term.holds(day):
            return
        name = f"{self.schema.full_name} version {self.schema.version}"
        if self.term.is_before(day):
            raise Rejected(
                Code.RULE_DATE, f"{name} is accepted from day {self.term.first_day} on, not yet"
            )
        raise Rejected(
            Code.RULE_DATE, f"{name} was accepted until day {self.term.last_day}: use a later one"
        )


class RuleCache(PureCache):
    """What was compiled, of any state."""

    def over(self, state: Overlay) -> Rules:
        """Return the rule book of a state."""
        return Rules(state, self)


class RegisteredRules:
    """The sources and terms of the rules of one state, as RULES holds them."""

    def __init__(self, state: Overlay) -> None:
        self._state = state

    def references(self, kind: str) -> tuple[str, ...]:
        """Return the references of a kind in order."""
        prefix = f"{kind}:".encode()
        entries = self._state.scan(RULES, prefix)
        return tuple(key[len(prefix) :].decode() for key, _ in entries)

    def source(self, kind: str, ref: str) -> bytes:
        """Return the bytes the author registered; raise `Rejected` (24xx, 25xx)."""
        source: bytes = self._state.get(RULES, _SOURCE_PREFIX + self._entry(kind, ref)[0])
        return source

    def owner(self, kind: str, ref: str) -> tuple[str, int]:
        """Return (member, height) of a registration; raise `Rejected` (24xx, 25xx)."""
        entry = self._entry(kind, ref)
        return entry[1], entry[2]

    def filling(self) -> frozenset[tuple[str, str]]:
        """Return (kind, reference) of the rules whose windows of the past are being built."""
        return frozenset((job.kind, job.ref) for job in get_fill_jobs(self._state))

    def set_term(self, kind: str, ref: str, term: Term) -> None:
        """Say from when until when a registered rule counts."""
        put_term(self._state, kind, ref, term)
        self._note(f"{kind}:{ref}".encode(), bytes(repr(term), "ascii"))

    def _entry(self, kind: str, ref: str) -> Any:
        entry = self._state.get(RULES, f"{kind}:{ref}".encode())
        if entry is None:
            # Of schemas and scorecards there are few: to look through them costs nothing.
            near = suggest(ref, self.references(kind)) if kind in ("schema", "scorecard") else ""
            message = f"{kind} {ref or '(none named)'} is not registered{near}"
            raise Rejected(_UNKNOWN[kind], message)
        return entry

    def _index(self) -> bytes:
        found: bytes | None = self._state.get(RULES, _INDEX_KEY)
        return _EMPTY if found is None else found

    def _note(self, key: bytes, value: bytes) -> None:
        """Change the index: what was computed of all schemas, alerts and terms is computed anew."""
        index = sha256(self._index() + key + b"\x00" + value).digest()
        self._state.put(RULES, _INDEX_KEY, index)

    def _keep(self, kind: str, ref: str, source: bytes, owner: str, height: int) -> None:
        """Keep a source under its reference; raise `Rejected` (2502) where there is one."""
        key = f"{kind}:{ref}".encode()
        if self._state.get(RULES, key) is not None:
            raise Rejected(Code.RULE_EXISTS, f"{kind} {ref} is registered already")
        source_hash = sha256(source).digest()
        self._state.put(RULES, key, (source_hash, owner, height))
        self._state.put(RULES, _SOURCE_PREFIX + source_hash, source)
        if kind in ("schema", "alert"):
            self._note(key, source_hash)


class Rules(RegisteredRules):
    """The rule book of one state (`ledger.membership.context.RuleBook`)."""

    def __init__(self, state: Overlay, cache: RuleCache) -> None:
        super().__init__(state)
        self._cache = cache
        self._catalogue = CatalogueState(state, cache)

    def category(self, category_id: str) -> Category:
        """Return a category; raise `Rejected` (2101)."""
        return self._catalogue.category(category_id)

    def categories(self) -> tuple[Category, ...]:
        """Return every category, by id."""
        return self._catalogue.categories()

    def events(self) -> EventTypes:
        """Return the record schemas as rules see them."""
        return self._catalogue.events()

    def plan(self, category: str, schema: str, version: int) -> RecordPlan:
        """Return what submissions of a record schema need; raise `Rejected` (2101, 2109)."""
        key = ("plan", self._catalogue.digest(), self._index(), category, schema, version)
        return self._cache.get(key, lambda: self._make_plan(category, schema, version))

    def schema(self, ref: str) -> Schema:
        """Return the compiled schema; raise `Rejected` (2504, 2509 while windows are built)."""
        if ("schema", ref) in self.filling():
            raise Rejected(
                Code.RULE_FILLING, f"schema {ref}: records of the past are still being counted"
            )
        return self.registered_schema(ref)

    def registered_schema(self, ref: str) -> Schema:
        """Return the compiled schema, though its windows may not be built; `Rejected` (2504)."""
        return self._compiled("schema", ref, lambda source: load_schema(source, self.events()))

    def scorecard(self, ref: str) -> Scorecard:
        """Return the compiled scorecard; raise `Rejected` (2503)."""
        return self._compiled("scorecard", ref, self._load_scorecard)

    def product(self, ref: str) -> Product:
        """Return the compiled product; raise `Rejected` (2401)."""
        return self._compiled("product", ref, self._load_product)

    def alert(self, ref: str) -> Alert:
        """Return the compiled alert; raise `Rejected` (2505)."""
        return self._compiled("alert", ref, self._load_alert)

    def alerts(self, day: int | None = None) -> tuple[Alert, ...]:
        """Return the alerts in force on a day, or all that are registered, by their references.

        Of an id the highest version counts whose first day has come, if its windows are built.
        """
        key = ("alerts", self._catalogue.digest(), self._index())
        known = self._cache.get(
            key, lambda: tuple(self.alert(ref) for ref in self.references("alert"))
        )
        if day is None:
            return known
        filling = self.filling()
        in_force = (*key, day, filling)
        return self._cache.get(in_force, lambda: self._select_alerts(known, day, filling))

    def _select_alerts(
        self, known: tuple[Alert, ...], day: int, filling: frozenset[tuple[str, str]]
    ) -> tuple[Alert, ...]:
        latest: dict[str, Alert] = {}
        for alert in known:
            is_ready = ("alert", alert.ref) not in filling
            if not is_ready or get_term(self._state, "alert", alert.ref).is_before(day):
                continue
            if alert.id not in latest or latest[alert.id].version < alert.version:
                latest[alert.id] = alert
        return tuple(
            alert
            for alert in known
            if latest.get(alert.id) is alert
            and get_term(self._state, "alert", alert.ref).holds(day)
        )

    def streams(self, category: str, record_schema: str) -> tuple[Stream, ...]:
        """Return the streams to be kept of one record schema, each once, by id."""
        key = ("streams", self._catalogue.digest(), self._index())
        by_name = self._cache.get(key, self._collect_streams)
        return by_name.get((category, record_schema), ())

    def put_category(self, value: Mapping[str, Any], terms: Mapping[tuple[str, int], Term]) -> None:
        """Keep a new category, or a changed one, and the terms of versions of its schemas."""
        for (name, version), term in terms.items():
            put_version_term(self._state, value["id"], name, version, term)
        self._catalogue.put((value,))
        kept = (value["id"], tuple((*key, *astuple(term)) for key, term in terms.items()))
        self._note(b"category", encode(kept))

    def compile(self, kind: str, source: bytes) -> Any:
        """Return what `source` compiles to, kept nowhere; raise `Rejected` (2501)."""
        try:
            found = load_kind(source)
            if found != kind:
                raise Rejected(Code.RULE_INVALID, f"the document's kind is {found}, want {kind}")
            key = ("trial", kind, self._catalogue.digest(), sha256(source).digest())
            categories = self.categories()
            return self._cache.get(
                key, lambda: _check_retention(kind, self._load(kind, source), categories)
            )
        except RuleSourceError as error:
            raise Rejected(Code.RULE_INVALID, str(error)) from None

    def register(self, kind: str, source: bytes, owner: str, height: int) -> Any:
        """Compile `source`, keep it under its reference, return it; `Rejected` (2501, 2502)."""
        document = self.compile(kind, source)
        self._keep(kind, document.ref, source, owner, height)
        return document

    def derived(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return what `make` computes from registered rules alone, made once for a `key`.

        The key must name the hashes of their sources; the catalogue's is added here.
        """
        return self._cache.get(("derived", self._catalogue.digest(), *key), make)

    def _load(self, kind: str, source: bytes) -> Any:
        if kind == "schema":
            return load_schema(source, self.events())
        if kind == "scorecard":
            return self._load_scorecard(source)
        if kind == "product":
            return self._load_product(source)
        return self._load_alert(source)

    def _load_scorecard(self, source: bytes) -> Scorecard:
        return load_scorecard(source, self.registered_schema(_named(source, "schema")))

    def _load_product(self, source: bytes) -> Product:
        schema = self.registered_schema(_named(source, "schema"))
        return load_product(source, schema, self.scorecard(_named(source, "scorecard")))

    def _load_alert(self, source: bytes) -> Alert:
        ref = _named(source, "schema")
        return load_alert(source, self.events(), self.registered_schema(ref) if ref else None)

    def _compiled(self, kind: str, ref: str, load: Callable[[bytes], T]) -> T:
        key = (kind, self._catalogue.digest(), ref, self._entry(kind, ref)[0])
        return self._cache.get(key, lambda: load(self.source(kind, ref)))

    def _make_plan(self, category_id: str, name: str, version: int) -> RecordPlan:
        category = self.category(category_id)
        schema = category.schemas.get((name, version))
        if schema is None:
            full_name = f"{category_id}/{name}" if name else category_id
            raise Rejected(
                Code.SCHEMA_VERSION_UNKNOWN, f"record schema {full_name} has no version {version}"
            )
        return RecordPlan(
            category.owner,
            category.access.is_salted,
            schema,
            schema.key,
            compute_field_checks(schema),
            self.streams(category_id, name),
            tuple(sorted(compute_lookups(self._schemas()).get(schema.full_name, ()))),
            get_version_term(self._state, category_id, name, version),
        )

    def _schemas(self) -> list[Schema]:
        return [self.registered_schema(ref) for ref in self.references("schema")]

    def _collect_streams(self) -> dict[tuple[str, str], tuple[Stream, ...]]:
        kept = [schema.streams for schema in self._schemas()]
        kept += [alert.streams for alert in self.alerts()]
        found: dict[tuple[str, str], dict[bytes, Stream]] = {}
        for stream in chain.from_iterable(kept):
            name = (stream.category, stream.record_schema)
            found.setdefault(name, {})[stream.id] = stream
        return {
            name: tuple(streams[key] for key in sorted(streams)) for name, streams in found.items()
        }


def compute_lookups(schemas: Iterable[Schema]) -> dict[str, frozenset[str]]:
    """Return, by record schema, the fields by which asset features find the latest record."""
    found: dict[str, frozenset[str]] = {}
    for schema in schemas:
        for feature in schema.features.values():
            if feature.source is FeatureSource.ASSET and feature.key:
                name = feature.record_schema
                full_name = f"{feature.category}/{name}" if name else feature.category
                found[full_name] = found.get(full_name, frozenset()) | {feature.key}
    return found


def _check_retention(kind: str, document: Any, categories: Iterable[Category]) -> Any:
    """Return the document; raise `Rejected` (2501) when it looks back further than it may."""
    if kind in ("schema", "alert"):
        features = document.features.values() if kind == "schema" else document.windows
        check_windows({category.id: category for category in categories}, features)
    return document


def _named(source: bytes, key: str) -> str:
    """Return the reference that a document (whose kind was read already) names, or "" if none."""
    value = tomllib.loads(source.decode()).get(key, "")
    return value if isinstance(value, str) else ""
