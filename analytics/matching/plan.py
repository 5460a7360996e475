"""One query for all products: what they share is computed once, the rest follows from columns.

A plan has a BOOLEAN column for each distinct condition (NULL: it has no value, for a fact is
missing unless a column of faults says otherwise), a score and a number of missing characteristics
for each scorecard, and three columns for each product: the result (`Result`), and of a grant its
limit and rate. Together they say all that `ledger.rules.product.Product.decide` says but the
inputs of the reasons, which are the facts themselves, and the reasons of the score.

Facts are taken as `accept_facts` takes them: what has not the declared range counts as missing.
A rule without SQL (`analytics.sql.values.Unsupported`) becomes an `Opaque`, two columns that the
runner has a node's evaluator compute row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from analytics.columns import COMPANY
from analytics.sql import dialect
from analytics.sql.expressions import ExpressionCompiler
from analytics.sql.nodes import Graph, Node, Stages, compute_stages
from analytics.sql.values import Fault, Unsupported, Value
from ledger.rules.compiler import Expression
from ledger.rules.decision import Outcome
from ledger.rules.features import Feature
from ledger.rules.limits import MAX_TEXT_CHARACTERS
from ledger.rules.product import AMOUNT, Band, Product
from ledger.rules.schema import Schema
from ledger.rules.scorecard import Characteristic, Scorecard
from ledger.rules.tree import Tree
from ledger.rules.types import Kind, type_of_unit
from ledger.rules.units import FactValue

PRESENT = "present."  # before the name of a fact: whether the row has it; for counting only


class Result(IntEnum):
    """What a product says; the numbers stand in the files and never change."""

    GRANT = 0
    DECLINE_CONDITION = 1  # at least one condition is false
    DECLINE_SCORE = 2  # the score lies in a band that declines
    DECLINE_LIMIT = 3  # the limit is below the minimum
    REFER_CONDITION = 4  # a condition is unknown, or too much of the score is
    REFER_LIMIT = 5  # the limit has no value
    REFER_AMOUNT = 6  # no amount was asked for

    @property
    def outcome(self) -> Outcome:
        """The outcome of the decision."""
        return Outcome(self.name.partition("_")[0])


@dataclass(frozen=True, slots=True)
class Column:
    """An expression that has become a column `name`; NULL where it has no value.

    `fault` says which error it then is: the fault itself, or the name of the column that tells.
    """

    name: str
    expression: Expression
    fault: Fault | str | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression that a node's evaluator computes into the columns `name` and `fault`."""

    name: str
    fault: str
    expression: Expression
    features: tuple[Feature, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A product and where the plan's columns speak of it."""

    product: Product
    conditions: tuple[Column, ...]
    limit_fault: Fault | str | None
    result: str
    limit: str
    rate: str
    score: str
    missing: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled plan; `columns` are the facts it reads, with what is declared of them."""

    offers: tuple[Offer, ...]
    conditions: tuple[Column, ...]
    columns: Mapping[str, Feature]
    constants: Mapping[str, FactValue]
    opaque: tuple[Opaque, ...]
    stages: Stages
    written: tuple[str, ...]  # the columns to keep, in their order

    def render(self, source: str) -> str:
        """Return the query over `source`, which has `columns`, those of `opaque` and a company."""
        return self.stages.render(source)


def compile_plan(
    products: Sequence[Product],
    schemas: Mapping[str, Schema],
    available: frozenset[str],
    constants: Mapping[str, FactValue],
) -> Plan:
    """Return the plan of products over a table with the columns `available` and a company.

    `constants` are facts that all companies have alike (the day, what is asked for). A fact that
    is in neither is missing for every company.
    """
    return _Compilation(schemas, available, constants).compile(products)


class _Compilation:
    """One compilation: a graph, and the columns found so far."""

    def __init__(
        self,
        schemas: Mapping[str, Schema],
        available: frozenset[str],
        constants: Mapping[str, FactValue],
    ) -> None:
        self._graph = Graph()
        self._available = available
        self._constants = constants
        self._columns: dict[str, Feature] = {}
        self._compilers = {ref: self._compiler(schema) for ref, schema in schemas.items()}
        self._outputs: dict[str, Node] = {COMPANY: self._graph.leaf(dialect.column(COMPANY))}
        self._counted: dict[str, Node] = {}
        self._conditions: dict[tuple[str, Tree], Column] = {}
        self._limits: dict[tuple[str, Tree], tuple[Value, Fault | str | None]] = {}
        self._scores: dict[str, tuple[Node, Node]] = {}
        self._opaque: dict[tuple[str, Tree], Opaque] = {}
        self._schemas = schemas

    def compile(self, products: Sequence[Product]) -> Plan:
        offers = tuple(self._compile_product(product) for product in products)
        read = {name for column in self._conditions.values() for name in column.expression.reads}
        for name in sorted(read | {name for item in products for name in item.inputs}):
            self._columns.setdefault(name, self._find_feature(name))
        return Plan(
            offers,
            tuple(self._conditions.values()),
            {name: self._columns[name] for name in sorted(self._columns)},
            self._constants,
            tuple(self._opaque.values()),
            compute_stages({**self._outputs, **self._counted}),
            tuple(self._outputs),
        )

    # Facts

    def _find_feature(self, name: str) -> Feature:
        return next(
            schema.features[name] for schema in self._schemas.values() if name in schema.features
        )

    def _compiler(self, schema: Schema) -> ExpressionCompiler:
        columns = {name: self._accept(feature) for name, feature in schema.features.items()}
        constants = {
            name: value for name, value in self._constants.items() if name in schema.features
        }
        return ExpressionCompiler(self._graph, columns, constants)

    def _accept(self, feature: Feature) -> Node:
        """Return the fact of a row, NULL where the schema does not accept it."""
        if feature.name in self._constants:
            return self._graph.leaf(dialect.literal(self._constants[feature.name]))
        kind = type_of_unit(feature.unit).kind
        if feature.name not in self._available:
            return self._graph.leaf(dialect.null(kind))
        column = self._graph.leaf(dialect.column(feature.name))
        tests = []
        if kind is Kind.STRING and feature.values is not None:
            listed = ", ".join(dialect.literal(item) for item in sorted(feature.values))
            tests.append(self._graph.make(f"{{0}} IN ({_plain(listed)})", column))
        elif kind is Kind.STRING:
            size = self._graph.make(dialect.TEXTS["size"], column)
            tests.append(self._graph.make(f"{{0}} <= {MAX_TEXT_CHARACTERS}", size))
        if kind is Kind.INT:
            bounds = ((">=", feature.minimum), ("<=", feature.maximum))
            for sign, bound in bounds:
                if bound is not None:
                    literal = self._graph.leaf(dialect.literal(bound))
                    tests.append(self._graph.make(f"{{0}} {sign} {{1}}", column, literal))
        if not tests:
            return column
        return self._graph.make(
            "CASE WHEN {0} THEN {1} END", self._graph.join("AND", tests), column
        )

    def _count_presence(self, schema_ref: str, expression: Expression) -> None:
        for name in sorted(expression.reads):  # an order that the next run has, too
            if name in self._constants or f"{PRESENT}{name}" in self._counted:
                continue
            column = self._accept(self._schemas[schema_ref].features[name])
            self._counted[f"{PRESENT}{name}"] = self._graph.make("({0} IS NOT NULL)", column)

    # Expressions

    def _compile_value(self, schema_ref: str, expression: Expression) -> Value:
        try:
            return self._compilers[schema_ref].compile(expression.tree)
        except Unsupported:
            return self._make_opaque(schema_ref, expression)

    def _make_opaque(self, schema_ref: str, expression: Expression) -> Value:
        key = schema_ref, expression.tree
        if key not in self._opaque:
            number = len(self._opaque)
            features = self._schemas[schema_ref].features
            read = tuple(features[name] for name in sorted(expression.reads))
            self._opaque[key] = Opaque(
                f"opaque.{number}", f"opaque.{number}.fault", expression, read
            )
        found = self._opaque[key]
        column, fault = (dialect.column(name) for name in (found.name, found.fault))
        return Value(self._graph.leaf(column), frozenset(Fault), self._graph.leaf(fault))

    def _keep_fault(self, schema_ref: str, name: str, value: Value) -> Fault | str | None:
        """Return which error `value` has where it is NULL: the one, or a column for several."""
        if len(value.kinds) < 2:
            return next(iter(value.kinds), None)
        fault = self._compilers[schema_ref].fault(value)
        if fault is None:
            return None
        self._outputs[f"{name}.fault"] = self._graph.make("CAST({0} AS TINYINT)", fault)
        return f"{name}.fault"

    def _compile_condition(self, schema_ref: str, expression: Expression) -> Column:
        key = schema_ref, expression.tree
        if key not in self._conditions:
            name = f"condition.{len(self._conditions):04}"
            value = self._compile_value(schema_ref, expression)
            self._outputs[name] = value.sql
            fault = self._keep_fault(schema_ref, name, value)
            self._conditions[key] = Column(name, expression, fault)
            if fault is not None:
                self._count_presence(schema_ref, expression)
        return self._conditions[key]

    def _compile_limit(
        self, schema_ref: str, expression: Expression
    ) -> tuple[Value, Fault | str | None]:
        key = schema_ref, expression.tree
        if key not in self._limits:
            value = self._compile_value(schema_ref, expression)
            fault = self._keep_fault(schema_ref, f"limit.{len(self._limits):04}", value)
            self._limits[key] = value, fault
            if fault is not None:
                self._count_presence(schema_ref, expression)
        return self._limits[key]

    # Scores

    def _compile_score(self, scorecard: Scorecard) -> tuple[Node, Node]:
        """Return the score and the number of characteristics that are missing."""
        if scorecard.ref not in self._scores:
            parts = [
                self._compile_characteristic(scorecard.schema_ref, item)
                for item in scorecard.characteristics
            ]
            first = self._graph.leaf(str(scorecard.initial))
            points = self._graph.join("+", [first, *(part[0] for part in parts)])
            missing = self._graph.join("+", [part[1] for part in parts])
            found = (
                self._graph.make("CAST({0} AS INTEGER)", points),
                self._graph.make("CAST({0} AS INTEGER)", missing),
            )
            self._scores[scorecard.ref] = found
            self._outputs[f"{scorecard.ref}.score"], self._outputs[f"{scorecard.ref}.missing"] = (
                found
            )
        return self._scores[scorecard.ref]

    def _compile_characteristic(
        self, schema_ref: str, characteristic: Characteristic
    ) -> tuple[Node, Node]:
        """Return the points of a characteristic, and 1 where it is missing, else 0."""
        value = self._compile_value(schema_ref, characteristic.input).sql
        self._count_presence(schema_ref, characteristic.input)
        if characteristic.lowers:
            steps = zip(characteristic.lowers, characteristic.points, strict=True)
            branches = [(f"{{0}} >= {self._int(lower)}", got) for lower, got in steps][::-1]
        elif characteristic.input.type.kind is Kind.BOOL:
            table = characteristic.table
            signs = {"true": "{0}", "false": "NOT {0}"}
            branches = [(signs[name], points) for name, points in table.items()]
        else:
            branches = [
                (f"{{0}} = {_plain(dialect.literal(name))}", points)
                for name, points in characteristic.table.items()
            ]
        known = " ".join(f"WHEN {test} THEN {points}" for test, points in branches)
        points = self._graph.make(f"CASE {known} ELSE {characteristic.missing} END", value)
        tests = " OR ".join(test for test, _ in branches)
        if characteristic.lowers:
            tests = branches[-1][0]
        return points, self._graph.make(f"CASE WHEN {tests} THEN 0 ELSE 1 END", value)

    def _int(self, value: int) -> str:
        return dialect.literal(value)

    def _compile_rate(self, score: Node, bands: Sequence[Band]) -> Node:
        """Return the rate of the score's band, NULL where that declines."""
        rates = ["NULL" if band.rate_bp is None else str(band.rate_bp) for band in bands]
        steps = list(zip(bands, rates, strict=True))[:0:-1]
        known = " ".join(f"WHEN {{0}} >= {band.lower} THEN {rate}" for band, rate in steps)
        text = f"CASE {known} ELSE {rates[0]} END" if known else rates[0]
        return self._graph.make(f"CAST({text} AS INTEGER)", score)

    # Products

    def _compile_product(self, product: Product) -> Offer:
        graph, ref = self._graph, product.schema_ref
        conditions = tuple(
            self._compile_condition(ref, condition.when) for condition in product.conditions
        )
        score, missing = self._compile_score(product.scorecard)
        tests = [self._outputs[column.name] for column in conditions]
        if product.scorecard.max_missing is not None:
            text = f"CASE WHEN {{0}} <= {product.scorecard.max_missing} THEN TRUE END"
            tests.append(graph.make(text, missing))
        rate = self._compile_rate(score, product.bands)
        value, fault = self._compile_limit(ref, product.limit.amount)
        step = graph.leaf(self._int(product.limit.step_fen))
        rounded = graph.make(
            "CASE WHEN {0} > 0 THEN {0} - {0} % {1} WHEN {0} <= 0 THEN CAST(0 AS BIGINT) END",
            value.sql,
            step,
        )
        result = self._compile_result(product, graph.join("AND", tests), rate, rounded)
        names = (f"{product.id}.result", f"{product.id}.limit", f"{product.id}.rate")
        granted = "CASE WHEN {0} = 0 THEN {1} END"
        self._outputs[names[0]] = result
        self._outputs[names[1]] = graph.make(granted, result, rounded)
        self._outputs[names[2]] = graph.make(granted, result, rate)
        card = product.scorecard.ref
        return Offer(product, conditions, fault, *names, f"{card}.score", f"{card}.missing")

    def _compile_result(self, product: Product, holds: Node, rate: Node, limit: Node) -> Node:
        """Return the result, asked in the order in which a decision is made."""
        asked = self._accept(self._schemas[product.schema_ref].features[AMOUNT])
        minimum = self._graph.leaf(self._int(product.limit.minimum_fen))
        text = (
            "CASE WHEN NOT {0} THEN 1 WHEN {0} IS NULL THEN 4 WHEN {1} IS NULL THEN 2 "
            "WHEN {2} IS NULL THEN 5 WHEN {2} < {3} THEN 3 WHEN {4} > 0 THEN 0 ELSE 6 END"
        )
        result = self._graph.make(text, holds, rate, limit, minimum, asked)
        return self._graph.make("CAST({0} AS TINYINT)", result)


def _plain(text: str) -> str:
    """Return text that a template may hold: its braces are no holes."""
    return text.replace("{", "{{").replace("}", "}}")
