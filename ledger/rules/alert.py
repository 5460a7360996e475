"""Alerts: conditions over windows that are raised, repeated and cleared (RULES.md, "An alert").

An alert reads windows of its own (`w.now`), parameters, and, if it names a schema, features. It is
evaluated for one company on one day; the answer holds, does not hold, or cannot be told. What
follows is a small state machine:

    clear   holds, `raise_after` times in a row, and not within `repeat_days`   RAISED, raised
    raised  holds, `repeat_days` after the last time it was told                REPEATED, raised
    raised  does not hold, `clear_after` times in a row                         CLEARED, clear
    any     cannot be told                                                      nothing changes

Rules that ask the same question with thresholds of their own (sales down by three tenths, by half)
name one `group`: on the watch list they confirm each other no more than a rule confirms itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ledger.errors import Code, Refused
from ledger.rules.aggregates import (
    EventTypes,
    check_stream_cost,
    check_unit,
    find_conversion,
    find_fields,
    read_stream,
)
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.documents import MAX_VERSION, Table, hash_source, load_document, read_parameters
from ledger.rules.failures import EvalError
from ledger.rules.features import Computation, Feature, FeatureSource, streams_of
from ledger.rules.limits import MAX_WINDOWS
from ledger.rules.schema import Schema
from ledger.rules.units import DECLARABLE, FactValue, Unit
from ledger.rules.windows import AGGREGATES, MAX_WINDOW_DAYS, Stream, WindowReader

MAX_EVENTS = 1_000_000
_MAX_COUNT = 1000
_WINDOW_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STREAM_NAME = re.compile(r"[A-Z][0-9A-Z_]{1,15}(/[a-z][a-z0-9_]{0,31})?")


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
    error: str = ""


@dataclass(frozen=True, slots=True)
class AlertState:
    """What is remembered between evaluations of one alert for one company."""

    is_raised: bool = False
    held_count: int = 0  # consecutive evaluations that held
    clear_count: int = 0  # consecutive evaluations that did not
    told_day: int | None = None  # of the latest RAISED or REPEATED

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value."""
        return self.is_raised, self.held_count, self.clear_count, self.told_day

    @classmethod
    def from_value(cls, value: Any) -> AlertState:
        """Return the state of `to_value`; raise `Refused` if it is malformed."""
        if type(value) is not tuple or [type(item) for item in value[:3]] != [bool, int, int]:
            raise Refused(Code.ENCODING_MALFORMED, "not the value of an alert's state")
        if len(value) != 4 or type(value[3]) not in (int, type(None)):
            raise Refused(Code.ENCODING_MALFORMED, "not the value of an alert's state")
        return cls(*value)


@dataclass(frozen=True, slots=True)
class Alert:
    """A registered alert rule."""

    id: str
    version: int
    source_hash: bytes
    name: str
    severity: Severity
    group: str  # of rules that ask the same question; its own id when it names none
    reason: str
    text: str
    schema_ref: str  # "" when it uses no features
    when: Expression
    raise_after: int
    clear_after: int
    repeat_days: int
    windows: tuple[Feature, ...]
    features: Mapping[str, Feature]  # windows and features, by name
    streams: tuple[Stream, ...]  # of its windows and of the features it reads
    categories: frozenset[str]  # record schemas ("C044", "C044/line") that may change its outcome

    @property
    def ref(self) -> str:
        """The id and version."""
        return f"{self.id}/{self.version}"

    @property
    def inputs(self) -> frozenset[str]:
        """The names of the windows and features it reads."""
        return self.when.reads

    @property
    def cost(self) -> int:
        """The worst-case units of one evaluation."""
        return self.when.cost

    def evaluate(
        self, as_of: int, read: WindowReader, facts: Mapping[str, FactValue] | None = None
    ) -> AlertOutcome:
        """Return whether it holds on the day `as_of`; `facts` adds what no record gives."""
        computation = Computation(self.features, as_of, read)
        known: dict[str, FactValue] = {}
        names = sorted(self.when.reads)
        for name in names:
            feature = self.features[name]
            value = computation.get(name)
            if value is None and feature.source is not FeatureSource.RECORDS and facts is not None:
                given = facts.get(name)
                value = given if given is not None and feature.accepts(given) else None
            if value is not None:
                known[name] = value
        inputs = tuple((name, known.get(name)) for name in names)
        try:
            return AlertOutcome(self.when.evaluate(known), inputs)
        except EvalError as error:
            kind = computation.errors.get(error.name, error.kind)
            return AlertOutcome(None, inputs, str(kind))

    def advance(
        self, state: AlertState, outcome: AlertOutcome, day: int
    ) -> tuple[AlertState, AlertEvent | None]:
        """Return the state after this outcome on `day`, and what happened."""
        if outcome.holds is None:
            return state, None
        if outcome.holds:
            return self._advance_held(state, day)
        # Counts stop where they have said all, so that a quiet company's state stays as it is.
        clear_count = min(state.clear_count + 1, self.clear_after)
        state = replace(state, held_count=0, clear_count=clear_count)
        if state.is_raised and clear_count >= self.clear_after:
            return replace(state, is_raised=False), AlertEvent.CLEARED
        return state, None

    def _advance_held(self, state: AlertState, day: int) -> tuple[AlertState, AlertEvent | None]:
        held_count = min(state.held_count + 1, self.raise_after)
        state = replace(state, held_count=held_count, clear_count=0)
        is_silent = state.told_day is not None and day < state.told_day + self.repeat_days
        if not state.is_raised:
            if held_count < self.raise_after or is_silent:
                return state, None
            return replace(state, is_raised=True, told_day=day), AlertEvent.RAISED
        if is_silent or self.repeat_days == 0:
            return state, None
        return replace(state, told_day=day), AlertEvent.REPEATED


def load_alert(source: bytes, events: EventTypes, schema: Schema | None) -> Alert:
    """Return the alert that `source` declares; raise `RuleSourceError`."""
    root = load_document(source, "alert")
    features = dict(_schema_features(root, schema))
    windows = _read_windows(root, events)
    for window in windows:
        if window.name in features:
            root.refuse("window", f"{window.name} is a feature of the schema already")
        features[window.name] = window
    variables = {name: feature.variable for name, feature in features.items()}
    note = "" if "schema" in root else ', for the alert names no schema = "ID/VERSION"'
    environment = Environment({**variables, **read_parameters(root)}, note=note)
    when = compile_expression(root.expression("when"), environment, Unit.FLAG)
    streams = streams_of(when.reads, features)
    check_stream_cost(root, streams)
    alert = Alert(
        id=root.id("id"),
        version=root.integer("version", 1, MAX_VERSION),
        source_hash=hash_source(source),
        name=root.text("name", ""),
        severity=Severity(root.choice("severity", tuple(Severity))),
        group=root.id("group", root.id("id")),
        reason=root.reason("reason"),
        text=root.text("text", ""),
        schema_ref=root.ref("schema", ""),
        when=when,
        raise_after=root.integer("raise_after", 1, _MAX_COUNT, 1),
        clear_after=root.integer("clear_after", 1, _MAX_COUNT, 1),
        repeat_days=root.integer("repeat_days", 0, MAX_WINDOW_DAYS, 30),
        windows=windows,
        features=features,
        streams=streams,
        categories=frozenset(stream.record_name for stream in streams),
    )
    root.text("name_zh", "")
    root.finish()
    return alert


def _schema_features(root: Table, schema: Schema | None) -> Mapping[str, Feature]:
    """Return the features that the alert may use: those of the schema it names."""
    ref = root.ref("schema", "")
    if not ref:
        return {}
    if schema is None or ref != schema.ref:
        want = "no schema" if schema is None else schema.ref
        root.refuse("schema", f"schema {ref}, want {want}")
    return schema.features


def _read_windows(root: Table, events: EventTypes) -> tuple[Feature, ...]:
    if "window" not in root:
        return ()
    tables = root.tables("window", MAX_WINDOWS)
    windows = tuple(_read_window(table, events) for table in tables)
    names = [window.name for window in windows]
    for index, name in enumerate(names):
        if name in names[:index]:
            tables[index].refuse("name", f"the window {name} is declared twice")
    return windows


def _read_window(table: Table, events: EventTypes) -> Feature:
    name = table.matching("name", _WINDOW_NAME, "name of a window", None)
    record_name = table.matching("stream", _STREAM_NAME, "stream such as C040", None)
    fields = find_fields(table, "stream", record_name, events)
    agg = table.choice("agg", AGGREGATES)
    unit = Unit(table.choice("unit", sorted(DECLARABLE)))
    stream, field = read_stream(table, agg, record_name, fields)
    check_unit(table, agg, field, unit)
    window = Feature(
        f"w.{name}",
        unit,
        FeatureSource.RECORDS,
        category=stream.category,
        record_schema=stream.record_schema,
        agg=agg,
        field=stream.field,
        by=stream.by,
        where_source=stream.where_source,
        days=table.integer("days", 0, MAX_WINDOW_DAYS),
        offset_days=table.integer("offset_days", 0, MAX_WINDOW_DAYS, 0),
        fresh_days=table.optional_integer("fresh_days", 0),
        values=field.values if field is not None and unit is Unit.TEXT else None,
        stream=stream,
        currency=find_conversion(agg, field, unit),
        max_events=table.integer("max_events", 1, MAX_EVENTS, MAX_EVENTS),
    )
    table.finish()
    return window
