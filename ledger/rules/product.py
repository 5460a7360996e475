"""Products: conditions, limit and rate of a loan, decided by rule (RULES.md, "A product").

A condition that is false declines, whatever else is unknown; one that is missing or in error
refers; only when all hold are score, limit and rate looked at. The bands of the rate give lower
bounds only, and a product is refused whose bands leave a score without an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ledger.encoding import encode
from ledger.rules.checker import Environment
from ledger.rules.compiler import Checked, Expression, check_expression, compile_together
from ledger.rules.decision import FAIL, Decision, Outcome, Reason, join_missing
from ledger.rules.documents import (
    MAX_VERSION,
    REASON,
    Table,
    hash_source,
    load_document,
    read_parameters,
)
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.features import AS_OF, Feature, FeatureSource, accept_facts
from ledger.rules.limits import MAX_BANDS, MAX_CONDITIONS
from ledger.rules.names import quoted, suggest
from ledger.rules.quantities import explain_quantity, parse_quantity
from ledger.rules.schema import Schema
from ledger.rules.scorecard import (
    Scorecard,
    Tally,
    check_cost,
    check_schema_ref,
    check_unique,
)
from ledger.rules.units import INT_MAX, INT_MIN, FactValue, Unit

AMOUNT = "ap.amount"
DECLINE_WORD = "DECLINE"
_MAX_REQUIRED = 32
_MAX_RATE_BP = 1_000_000
_MAX_LATE_RATE_BP = 10_000
SCHEDULES = ("bullet", "interest_first", "equal_instalments")
DAY_COUNTS = ("ACT/360", "ACT/365", "30/360")
MAX_PERIOD_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition and the code of its failure; `text_zh` may be empty."""

    id: str
    when: Expression
    reason: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Band:
    """From which score on what rate holds, or which reason declines."""

    lower: int
    rate_bp: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Limit:
    """How much may be lent: rounded down to a step, and not below a minimum (fen)."""

    amount: Expression
    step_fen: int
    minimum_fen: int
    reason: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Repayment:
    """How a loan is paid back, in the words of `ledger.lending.loans.schedule`.

    `late_rate_bp` comes on top of the rate, on principal that is past due.
    """

    schedule: str
    period_months: int
    day_count: str
    late_rate_bp: int


class Verdict(NamedTuple):
    """An outcome and what it rests on; `missing` are facts, in order.

    `terms` of a grant are limit and amount (fen) and rate (bp).
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    terms: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """A registered product."""

    id: str
    version: int
    source_hash: bytes
    name: str
    name_zh: str
    text: str
    lender: str
    line: str
    schema_ref: str
    scorecard_ref: str
    effective_from: int  # days since 1970-01-01
    effective_to: int | None
    requires: tuple[str, ...]
    asset: str  # the kind of asset an application must name, "" for none
    params: Mapping[str, int]
    conditions: tuple[Condition, ...]
    limit: Limit
    bands: tuple[Band, ...]
    score_text: str  # what a decline by a band says, "" for nothing
    score_text_zh: str
    repayment: Repayment
    scorecard: Scorecard
    features: tuple[Feature, ...]
    inputs: frozenset[str]
    cost: int

    @property
    def ref(self) -> str:
        """The id and version."""
        return f"{self.id}/{self.version}"

    def is_effective(self, day: int) -> bool:
        """Return whether the product may be applied for on `day`."""
        end = day if self.effective_to is None else self.effective_to
        return self.effective_from <= day <= end

    def decide(self, facts: Mapping[str, FactValue]) -> Decision:
        """Return the decision on these facts; never fails: what is not known is referred."""
        known = accept_facts(self.features, facts)
        score = self.scorecard.tally_accepted(known)
        verdict = self.conclude(known, score, self._check_conditions(known))
        return self.record(known, score, verdict, hashlib.sha256(encode(known)).digest())

    def conclude(
        self, known: Mapping[str, FactValue], score: Tally, reasons: Sequence[Reason]
    ) -> Verdict:
        """Return what follows once the conditions were looked at.

        `known` are accepted facts, at least those of `features`; `reasons` what the conditions
        gave.
        """
        why = tuple(reasons)
        for reason in why:
            if reason.result == FAIL:
                return Verdict(Outcome.DECLINE, why, join_missing(why))
        missing = join_missing(why)
        if score.is_referred:
            inputs = (("missing", score.missing_count),)
            code = self.scorecard.refer_reason
            why = (*why, Reason(code, "score", str(ErrorKind.MISSING), inputs))
            lacks = self.scorecard.inputs - known.keys()
            missing = tuple(sorted(lacks.union(missing)))
        if why:
            return Verdict(Outcome.REFER, why, missing)
        return self.find_terms(known, score.points)

    def _check_conditions(self, known: Mapping[str, FactValue]) -> list[Reason]:
        """Return a reason for each condition that does not hold."""
        reasons: list[Reason] = []
        for condition in self.conditions:
            try:
                if condition.when.evaluate(known):
                    continue
                result = FAIL
            except EvalError as error:
                result = str(error.kind)
            inputs = inputs_of(condition.when, known)
            reasons.append(Reason(condition.reason, condition.id, result, inputs))
        return reasons

    def find_terms(self, known: Mapping[str, FactValue], points: int) -> Verdict:
        """Return what score, limit and amount say, all conditions holding and none referring."""
        band = self.find_band(points)
        if band.rate_bp is None:
            reason = Reason(band.reason, "score", FAIL, (("score", points),))
            return Verdict(Outcome.DECLINE, (reason,), ())
        limit = self._compute_limit(known)
        if isinstance(limit, Reason):
            if limit.result == FAIL:
                return Verdict(Outcome.DECLINE, (limit,), ())
            missing = tuple(sorted(self.limit.amount.reads - known.keys()))
            return Verdict(Outcome.REFER, (limit,), missing)
        asked = known.get(AMOUNT)
        if asked is None or int(asked) <= 0:
            kind = ErrorKind.MISSING if asked is None else ErrorKind.RANGE
            reason = Reason(self.limit.reason, "amount", str(kind), ((AMOUNT, asked),))
            return Verdict(Outcome.REFER, (reason,), (AMOUNT,) if asked is None else ())
        terms = (limit, min(int(asked), limit), band.rate_bp)
        return Verdict(Outcome.GRANT, (), (), terms)

    def find_band(self, points: int) -> Band:
        """Return the band of a score; the first one's is what no score falls below."""
        for band in reversed(self.bands):
            if band.lower <= points:
                return band
        return self.bands[0]

    def _compute_limit(self, known: Mapping[str, FactValue]) -> int | Reason:
        """Return the limit in fen, or the reason why there is none."""
        result = FAIL
        try:
            raw: int = self.limit.amount.evaluate(known)
            limit = max(raw, 0) // self.limit.step_fen * self.limit.step_fen
            if limit >= self.limit.minimum_fen:
                return limit
        except EvalError as error:
            result = str(error.kind)
        return Reason(self.limit.reason, "limit", result, inputs_of(self.limit.amount, known))

    def record(
        self, known: Mapping[str, FactValue], score: Tally, verdict: Verdict, digest: bytes
    ) -> Decision:
        """Return the decision that a verdict makes; `digest` is of the facts among `features`."""
        limit_fen, amount_fen, rate_bp = verdict.terms or (None, None, None)
        as_of = known.get(AS_OF)
        return Decision(
            outcome=verdict.outcome,
            reasons=verdict.reasons,
            missing=verdict.missing,
            score=score.points,
            score_reasons=score.reasons,
            limit_fen=limit_fen,
            amount_fen=amount_fen,
            rate_bp=rate_bp,
            product=self.ref,
            rule_hash=self.source_hash,
            schema=self.schema_ref,
            scorecard=self.scorecard_ref,
            as_of=None if as_of is None else int(as_of),
            features_digest=digest,
        )


def inputs_of(
    expression: Expression, known: Mapping[str, FactValue]
) -> tuple[tuple[str, FactValue | None], ...]:
    """Return what an expression reads, by name, with None for what is not known."""
    return tuple((name, known.get(name)) for name in sorted(expression.reads))


def load_product(source: bytes, schema: Schema, scorecard: Scorecard) -> Product:
    """Return the product that `source` declares; raise `RuleSourceError`."""
    root = load_document(source, "product")
    check_schema_ref(root, schema)
    _check_scorecard_ref(root, scorecard, schema)
    if AMOUNT not in schema.features or schema.features[AMOUNT].unit is not Unit.FEN:
        root.refuse("schema", f"{schema.ref} has no {AMOUNT} in fen, which a grant needs")
    params = read_parameters(root)
    environment = Environment({**schema.variables, **params})
    tables = root.tables("condition", MAX_CONDITIONS)
    limit_table, rate_table = root.table("limit"), root.table("rate")
    checked = [
        check_expression(table.expression("when"), environment, Unit.FLAG) for table in tables
    ]
    checked.append(check_expression(limit_table.expression("amount"), environment, Unit.FEN))
    check_cost(root, checked)
    *when, amount = compile_together(checked)
    conditions = tuple(map(_read_condition, tables, when))
    check_unique(tables, [condition.id for condition in conditions])
    inputs = _compute_inputs(checked, schema, scorecard)
    effective_from, effective_to = _read_period(root)
    _check_asset(root, frozenset().union(*(item.reads for item in checked)), schema)
    product = Product(
        id=root.id("id"),
        version=root.integer("version", 1, MAX_VERSION),
        source_hash=hash_source(source),
        name=root.text("name", ""),
        name_zh=root.text("name_zh", ""),
        text=root.text("text", ""),
        lender=root.id("lender"),
        line=root.id("line", ""),
        schema_ref=schema.ref,
        scorecard_ref=scorecard.ref,
        effective_from=effective_from,
        effective_to=effective_to,
        requires=tuple(root.texts("requires", _MAX_REQUIRED, ())),
        asset=root.id("asset", ""),
        params={name: int(variable.constant or 0) for name, variable in params.items()},
        conditions=conditions,
        limit=_read_limit(limit_table, amount),
        score_text=rate_table.text("text", ""),
        score_text_zh=rate_table.text("text_zh", ""),
        bands=_read_rate(rate_table, scorecard),
        repayment=_read_repayment(root),
        scorecard=scorecard,
        features=tuple(schema.features[name] for name in sorted(inputs)),
        inputs=inputs,
        cost=sum(item.cost for item in checked) + scorecard.cost,
    )
    root.finish()
    return product


def _check_scorecard_ref(root: Table, scorecard: Scorecard, schema: Schema) -> None:
    ref = root.ref("scorecard")
    if ref != scorecard.ref:
        root.refuse("scorecard", f"scorecard {ref}, want {scorecard.ref}")
    if scorecard.schema_ref != schema.ref:
        root.refuse("scorecard", f"{ref} is for schema {scorecard.schema_ref}, not {schema.ref}")


def _compute_inputs(checked: list[Checked], schema: Schema, scorecard: Scorecard) -> frozenset[str]:
    """Return all facts a decision rests on; the day and the amount asked are always among them."""
    always = {AS_OF, AMOUNT} & schema.features.keys()
    return frozenset(always).union(scorecard.inputs, *(item.reads for item in checked))


def _check_asset(root: Table, reads: frozenset[str], schema: Schema) -> None:
    """Refuse facts of an asset that no application would name: they would always be missing."""
    asset = root.id("asset", "")
    kinds = sorted({item.kind for item in schema.features.values() if _is_of_asset(item)})
    if asset and kinds and asset not in kinds:
        known = f"want one of {', '.join(kinds)}"
        root.refuse("asset", f"no {quoted(asset)} in {schema.ref}, {known}{suggest(asset, kinds)}")
    for feature in (schema.features[name] for name in sorted(reads & schema.features.keys())):
        if _is_of_asset(feature) and feature.kind != asset:
            meant = f'write asset = "{feature.kind}"'
            if asset:
                meant = f'an application names one asset, here asset = "{asset}"'
            message = f"{feature.name} is a fact of a {feature.kind}: {meant}"
            root.refuse("asset" if asset else None, message)


def _is_of_asset(feature: Feature) -> bool:
    return feature.source is FeatureSource.ASSET and bool(feature.kind)


def _read_condition(table: Table, when: Expression) -> Condition:
    condition = Condition(
        table.id("id"),
        when,
        table.reason("reason"),
        table.text("text"),
        table.text("text_zh", ""),
    )
    table.finish()
    return condition


def _read_period(root: Table) -> tuple[int, int | None]:
    start = root.day("effective_from")
    if "effective_to" not in root:
        return start, None
    end = root.day("effective_to")
    if end < start:
        root.refuse("effective_to", "effective_to is before effective_from")
    return start, end


def _read_limit(table: Table, amount: Expression) -> Limit:
    limit = Limit(
        amount,
        table.quantity("step", Unit.FEN),
        table.quantity("minimum", Unit.FEN),
        table.reason("reason"),
        table.text("text", ""),
        table.text("text_zh", ""),
    )
    if limit.step_fen == 0:
        table.refuse("step", "the step is zero")
    if limit.minimum_fen == 0:
        table.refuse("minimum", "the minimum is zero: a grant must be of something")
    table.finish()
    return limit


def _read_repayment(root: Table) -> Repayment:
    """Return the [repayment] table; without one a loan is repaid at its end, ACT/360."""
    if "repayment" not in root:
        return Repayment(SCHEDULES[0], 1, DAY_COUNTS[0], 0)
    table = root.table("repayment")
    repayment = Repayment(
        table.choice("schedule", SCHEDULES),
        table.integer("period_months", 1, MAX_PERIOD_MONTHS) if "period_months" in table else 1,
        table.choice("day_count", DAY_COUNTS, DAY_COUNTS[0]),
        table.quantity("late_rate", Unit.BP) if "late_rate" in table else 0,
    )
    if repayment.late_rate_bp > _MAX_LATE_RATE_BP:
        table.refuse("late_rate", "the late rate is above 100 %")
    table.finish()
    return repayment


def _read_rate(table: Table, scorecard: Scorecard) -> tuple[Band, ...]:
    """Return the bands; refuse them if the scorecard can give a score below a first rate."""
    table.choice("on", ("score",))
    bands: list[Band] = []
    for index, row in enumerate(table.rows("bands", MAX_BANDS)):
        bands.append(_read_band(table, row, index))
        if index and bands[-1].lower <= bands[-2].lower:
            lowers = f"{bands[-1].lower} after {bands[-2].lower}"
            table.refuse("bands", f"lower bounds must increase, not {lowers}", index)
    first = bands[0]
    if first.rate_bp is not None and scorecard.lowest < first.lower:
        message = (
            f"the bands start at {first.lower} and {scorecard.ref} can give {scorecard.lowest}: "
            f'start with [{scorecard.lowest}, "DECLINE", "R301"]'
        )
        table.refuse("bands", message, 0)
    table.finish()
    return tuple(bands)


def _read_band(table: Table, row: list[object], index: int) -> Band:
    form = 'a band is [score, "7.20%"] or [score, "DECLINE", "R301"]'
    if len(row) not in (2, 3) or not all(isinstance(item, str) for item in row[1:]):
        table.refuse("bands", form, index)
    if type(row[0]) is not int:
        table.refuse("bands", f"{form}, where score is the lowest of the band", index, 0)
    lower = table.check_integer(row[0], "bands", INT_MIN, INT_MAX, index, 0)
    if len(row) == 3:
        if row[1] != DECLINE_WORD or REASON.fullmatch(str(row[2])) is None:
            table.refuse("bands", form, index)
        return Band(lower, None, str(row[2]))
    if row[1] == DECLINE_WORD:
        table.refuse("bands", form, index)
    parsed = parse_quantity(str(row[1]))
    if parsed is None or parsed[0] is not Unit.BP or parsed[1] > _MAX_RATE_BP:
        hint = explain_quantity(str(row[1])) if parsed is None else form
        table.refuse("bands", f"{quoted(str(row[1]))} is no rate: {hint}", index, 1)
    return Band(lower, parsed[1], "")
