"""Scorecards: points for characteristics, reasons for the points lost (RULES.md, "A scorecard").

Each characteristic has an expression as its input and gives points by bands (lower bounds only, so
that neither a gap nor an overlap can be written) or by a table of texts. An input that is missing,
in error or below the first band has points and a reason of its own, so that "not known" is never
told as "bad". Reasons are ranked by their distance from the baseline, ties by order in the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger.errors import Code
from ledger.rules.checker import Environment
from ledger.rules.compiler import Checked, Expression, check_expression, compile_together
from ledger.rules.documents import MAX_VERSION, Table, hash_source, load_document, read_parameters
from ledger.rules.failures import EvalError
from ledger.rules.features import Feature, accept_facts
from ledger.rules.limits import MAX_BANDS, MAX_CHARACTERISTICS, MAX_DOCUMENT_COST
from ledger.rules.names import quoted
from ledger.rules.quantities import parse_quantity
from ledger.rules.schema import Schema
from ledger.rules.tree import Fact
from ledger.rules.types import Kind, Type, describe
from ledger.rules.units import INT_MAX, INT_MIN, FactValue, Unit

MAX_POINTS = 10_000
_FLAGS = {True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class Part:
    """What one characteristic gave: its input's value (None: missing) and its points."""

    id: str
    value: FactValue | None
    points: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """A score and its reasons; `is_referred` when more than `max_missing` were missing."""

    points: int
    reasons: tuple[str, ...]
    missing_count: int
    is_referred: bool


@dataclass(frozen=True, slots=True)
class Score(Tally):
    """A score with what each characteristic gave to it."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One input and its points; of `lowers` and `table` the one that applies is filled."""

    id: str
    text: str
    text_zh: str
    input: Expression
    baseline: int
    reason: str
    missing: int
    missing_reason: str
    lowers: tuple[int, ...]
    points: tuple[int, ...]
    table: Mapping[str, int]

    def measure(self, facts: Mapping[str, FactValue]) -> Part:
        """Return what these facts give; what cannot be known gives the points of missing."""
        value = self.find_value(facts)
        points = self.find_points(value)
        if points is None:
            return Part(self.id, None, self.missing, self.missing_reason)
        return Part(self.id, value, points, self.reason)

    def find_value(self, facts: Mapping[str, FactValue]) -> FactValue | None:
        """Return the input's value, None if it is missing or in error."""
        try:
            value: FactValue = self.input.evaluate(facts)
        except EvalError:
            return None
        return value

    def find_points(self, value: FactValue | None) -> int | None:
        """Return the points of an input's value, None where those of missing count."""
        if type(value) is int:
            index = bisect_right(self.lowers, value)
            return self.points[index - 1] if index else None
        if isinstance(value, str):
            return self.table.get(value)
        return None if value is None else self.table.get(_FLAGS[bool(value)])

    @property
    def lowest(self) -> int:
        """The fewest points it can give."""
        return min(self.missing, *self.points, *self.table.values())


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A registered scorecard; `ref` ("SME-RISK/2") is how products name it."""

    id: str
    version: int
    source_hash: bytes
    schema_ref: str
    initial: int
    max_reasons: int
    max_missing: int | None
    refer_reason: str
    characteristics: tuple[Characteristic, ...]
    features: tuple[Feature, ...]
    inputs: frozenset[str]
    cost: int

    @property
    def ref(self) -> str:
        """The id and version, as products write them."""
        return f"{self.id}/{self.version}"

    @property
    def lowest(self) -> int:
        """A score that no facts can fall below."""
        return self.initial + sum(item.lowest for item in self.characteristics)

    def score(self, facts: Mapping[str, FactValue]) -> Score:
        """Return the score of these facts; never fails: a missing input has points of its own."""
        return self.score_accepted(accept_facts(self.features, facts))

    def score_accepted(self, facts: Mapping[str, FactValue]) -> Score:
        """Return the score of facts that are known to have their declared types and ranges."""
        parts = tuple([item.measure(facts) for item in self.characteristics])
        tally = self.tally([part.value for part in parts])
        return Score(tally.points, tally.reasons, tally.missing_count, tally.is_referred, parts)

    def tally_accepted(self, facts: Mapping[str, FactValue]) -> Tally:
        """Return the points and reasons of accepted facts, as `score_accepted` has them."""
        return self.tally([item.find_value(facts) for item in self.characteristics])

    def tally(self, values: Iterable[FactValue | None]) -> Tally:
        """Return the points and reasons of the inputs' values, None for one that has none."""
        total = self.initial
        missing = 0
        lost: list[tuple[int, int, str]] = []
        for index, (item, value) in enumerate(zip(self.characteristics, values, strict=True)):
            points, reason = item.find_points(value), item.reason
            if points is None:
                missing += 1
                points, reason = item.missing, item.missing_reason
            total += points
            if points < item.baseline:
                lost.append((points - item.baseline, index, reason))
        lost.sort()
        reasons = tuple([reason for _, _, reason in lost[: self.max_reasons]])
        is_referred = self.max_missing is not None and missing > self.max_missing
        return Tally(total, reasons, missing, is_referred)


def load_scorecard(source: bytes, schema: Schema) -> Scorecard:
    """Return the scorecard that `source` declares; raise `RuleSourceError`."""
    root = load_document(source, "scorecard")
    scorecard_id = root.id("id")
    version = root.integer("version", 1, MAX_VERSION)
    for key in ("name", "name_zh", "text"):
        root.text(key, "")
    check_schema_ref(root, schema)
    initial = root.integer("initial", -MAX_POINTS, MAX_POINTS)
    max_reasons = root.integer("max_reasons", 0, MAX_CHARACTERISTICS)
    max_missing = root.optional_integer("max_missing", 0)
    refer_reason = root.reason("refer_reason", "S99")
    environment = Environment({**schema.variables, **read_parameters(root)})
    tables = root.tables("characteristic", MAX_CHARACTERISTICS)
    root.finish()
    checked = [check_expression(table.expression("input"), environment) for table in tables]
    check_cost(root, checked)
    expressions = compile_together(checked)
    characteristics = tuple(
        _read_characteristic(table, item, expression)
        for table, item, expression in zip(tables, checked, expressions, strict=True)
    )
    check_unique(tables, [item.id for item in characteristics])
    inputs = frozenset().union(*(item.reads for item in checked))
    return Scorecard(
        scorecard_id,
        version,
        hash_source(source),
        schema.ref,
        initial,
        max_reasons,
        max_missing,
        refer_reason,
        characteristics,
        tuple(schema.features[name] for name in sorted(inputs)),
        inputs,
        sum(item.cost for item in checked),
    )


def check_schema_ref(root: Table, schema: Schema) -> None:
    """Refuse a document written for another schema."""
    ref = root.ref("schema")
    if ref != schema.ref:
        root.refuse("schema", f"schema {ref}, want {schema.ref}")


def check_cost(root: Table, checked: list[Checked]) -> None:
    """Refuse a document whose expressions together may cost too much."""
    cost = sum(item.cost for item in checked)
    if cost > MAX_DOCUMENT_COST:
        message = f"may cost {cost} units in the worst case, want at most {MAX_DOCUMENT_COST}"
        raise root.refusal(Code.RULE_COST, None, message)


def check_unique(tables: list[Table], ids: list[str]) -> None:
    """Refuse the first id that was used before."""
    for index, (table, name) in enumerate(zip(tables, ids, strict=True)):
        if name in ids[:index]:
            table.refuse("id", f"the id {name} is used twice")


def _read_characteristic(table: Table, checked: Checked, expression: Expression) -> Characteristic:
    lowers: tuple[int, ...] = ()
    points: tuple[int, ...] = ()
    by_text: dict[str, int] = {}
    _check_form(table, checked.type)
    if checked.type.kind is Kind.INT:
        lowers, points = _read_bands(table, checked.type.unit or Unit.NUMBER)
    elif checked.type.kind in (Kind.STRING, Kind.BOOL):
        by_text = _read_points_table(table, checked)
    else:
        table.refuse("input", f"a {checked.type} has no points, want a number, a text or a flag")
    characteristic = Characteristic(
        table.id("id"),
        table.text("text", ""),
        table.text("text_zh", ""),
        expression,
        table.integer("baseline", -MAX_POINTS, MAX_POINTS),
        table.reason("reason"),
        table.integer("missing", -MAX_POINTS, MAX_POINTS),
        table.reason("missing_reason"),
        lowers,
        points,
        by_text,
    )
    if characteristic.missing_reason == characteristic.reason:
        code = characteristic.reason
        message = (
            f"{code} is told for points that are lost: what is not known needs a code of its own"
        )
        table.refuse("missing_reason", message)
    table.finish()
    return characteristic


def _check_form(table: Table, kind: Type) -> None:
    """Refuse bands for what is no number and a table for what is no text or flag."""
    wrong, right = ("table", "bands") if kind.kind is Kind.INT else ("bands", "table")
    if wrong in table and kind.kind in (Kind.INT, Kind.STRING, Kind.BOOL):
        table.refuse(wrong, f"the input is {describe(kind)}: give its points by {right}")


def _read_bands(table: Table, unit: Unit) -> tuple[tuple[int, ...], tuple[int, ...]]:
    lowers: list[int] = []
    points: list[int] = []
    for index, row in enumerate(table.rows("bands", MAX_BANDS)):
        if len(row) != 2:
            table.refuse("bands", "a band is [lower bound, points]", index)
        lowers.append(_read_lower(table, row[0], unit, index))
        points.append(table.check_integer(row[1], "bands", -MAX_POINTS, MAX_POINTS, index, 1))
        if index and lowers[-1] <= lowers[-2]:
            table.refuse("bands", "lower bounds must increase from band to band", index)
    return tuple(lowers), tuple(points)


def _read_lower(table: Table, value: object, unit: Unit, index: int) -> int:
    """Return a lower bound: typed text of the input's unit, or a whole number but for money."""
    if isinstance(value, str):
        parsed = parse_quantity(value)
        if parsed is None or parsed[0] is not unit:
            table.refuse("bands", f"{quoted(value)} is no bound in {unit}", index, 0)
        return parsed[1]
    if unit is Unit.FEN:
        table.refuse("bands", 'the input is money: write the bound as "CNY 1000.00"', index, 0)
    return table.check_integer(value, "bands", INT_MIN, INT_MAX, index, 0)


def _read_points_table(table: Table, checked: Checked) -> dict[str, int]:
    points = table.table("table")
    values: frozenset[str] | None = None
    if checked.type.kind is Kind.BOOL:
        values = frozenset(_FLAGS.values())
    elif isinstance(checked.tree, Fact):
        values = checked.tree.values
    found = {name: points.integer(name, -MAX_POINTS, MAX_POINTS) for name in points.names()}
    if not found:
        table.refuse("table", "a table needs points for one value at least")
    if values is not None:
        for name in found:
            if name not in values:
                points.refuse(name, f"the input is never {quoted(name)}")
        left = sorted(values - found.keys())
        if left:
            table.refuse("table", f"no points for {', '.join(left[:8])}")
    return found
