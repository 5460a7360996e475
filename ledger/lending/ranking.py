"""Ranking: what every product says of one company, by what it costs and by how near it stands.

A `ProductBook` holds products compiled to be matched together (`ledger.rules.matching`). Grants
come by what they cost: one of all that is asked before one of less, then the cheaper by its own
schedule of repayment, then the greater limit. The others come by how much stands against them; of
the nearest the changes that would pass are sought (`ledger.rules.changes`), with what was computed
of the company for the decisions.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeAlias

from ledger.lending.loans.loan import TERM_DAYS_MAX
from ledger.lending.loans.schedule import (
    DayCount,
    ScheduleKind,
    Terms,
    compute_due_days,
    compute_interest,
    compute_plan,
)
from ledger.rules.changes import Change, ChangeFinder
from ledger.rules.features import Feature
from ledger.rules.matching import Finding, Look, Matcher
from ledger.rules.product import AMOUNT, Product, Repayment
from ledger.rules.situations import Situation
from ledger.rules.units import FactValue

FactsBySchema: TypeAlias = Mapping[str, Mapping[str, FactValue]]
TERM = "ap.term"
MAX_EVALUATIONS = 100_000  # of all changes of one answer: about half a second
_SOUGHT = 3
_SHORT_LOOK = 80  # evaluations: a change of one or two moves takes some tens
_FAR = 1 << 62  # the effort of what nothing is known to repair
_PER_MILLION = 1_000_000


class Match(NamedTuple):
    """One product's answer; `interest_fen` of a grant is what the whole loan costs."""

    found: Finding
    interest_fen: int | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What all products say of one company: the cheapest grant first, then what stands nearest.

    `facts` are those that were given, `looks` what was computed of them, for each schema.
    """

    grants: tuple[Match, ...]
    others: tuple[Finding, ...]
    facts: FactsBySchema
    looks: Mapping[str, Look]

    @property
    def all(self) -> Iterator[Finding]:
        """Everything found, in its order."""
        return chain((item.found for item in self.grants), self.others)

    def keep(self, refs: Container[str]) -> Ranking:
        """Return the same of some products only, given by reference."""
        return Ranking(
            tuple(item for item in self.grants if item.found.product.ref in refs),
            tuple(item for item in self.others if item.product.ref in refs),
            self.facts,
            self.looks,
        )


class ProductBook:
    """Products in force, compiled to be matched together, and the search for their changes."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.products = tuple(sorted(products, key=lambda product: product.id))
        by_schema: dict[str, list[Product]] = {}
        for product in self.products:
            by_schema.setdefault(product.schema_ref, []).append(product)
        self._matchers = {ref: Matcher(items) for ref, items in sorted(by_schema.items())}
        self._finders = {
            ref: ChangeFinder(items, self._matchers[ref]) for ref, items in by_schema.items()
        }
        read = [item for matcher in self._matchers.values() for item in matcher.features]
        self.units = {item.name: str(item.unit) for item in read}
        self.labels = {item.name: (item.text, item.text_zh) for item in read if item.text}
        self.measures = {
            item.name: (item.measure.decimals, item.measure.name, item.measure.name_zh)
            for item in read
            if item.measure is not None
        }

    def get_features(self) -> dict[str, tuple[Feature, ...]]:
        """Return, for each schema, the features that its products read."""
        return {ref: matcher.features for ref, matcher in self._matchers.items()}

    def rank(self, facts: FactsBySchema, day: int) -> Ranking:
        """Return every product's answer on a company's facts, ranked by what it costs."""
        grants: list[tuple[tuple[int, ...], Match]] = []
        others: list[Finding] = []
        looks: dict[str, Look] = {}
        for ref, matcher in self._matchers.items():
            known = facts[ref]
            asked, term = known.get(AMOUNT), known.get(TERM)
            asked_fen = asked if type(asked) is int else 0
            term_days = term if type(term) is int and 0 < term <= TERM_DAYS_MAX else None
            pricing = Pricing(day, term_days)
            looks[ref] = matcher.look(known)
            for found in matcher.explain(looks[ref]):
                terms = found.verdict.terms
                if terms is None:
                    others.append(found)
                    continue
                limit_fen, amount_fen, rate_bp = terms
                interest_fen = pricing.price(found.product.repayment, rate_bp, amount_fen)
                is_part = int(amount_fen < asked_fen)
                cost = (interest_fen or 0) * _PER_MILLION // max(amount_fen, 1)
                order = is_part, cost, rate_bp, -limit_fen
                grants.append((order, Match(found, interest_fen)))
        if len(self._matchers) > 1:
            others.sort(key=_product_id)
        grants.sort(key=lambda ranked: (ranked[0], _product_id(ranked[1].found)))
        others.sort(key=_standing_against)  # those that stand equal stay in the order of their ids
        return Ranking(tuple([match for _, match in grants]), tuple(others), facts, looks)

    def stand(self, ranking: Ranking) -> dict[str, Situation]:
        """Return where a company stands, for `find_change`."""
        facts, looks = ranking.facts, ranking.looks
        return {ref: item.stand(facts[ref], looks[ref]) for ref, item in self._finders.items()}

    def find_change(
        self,
        product: Product,
        situations: Mapping[str, Situation],
        evaluations: int | None = None,
    ) -> tuple[Change | None, int]:
        """Return the smallest change found with which the product would grant, and what it took.

        In evaluations, at most so many; None for those of one search.
        """
        ref = product.schema_ref
        return self._finders[ref].find(product, situations[ref], evaluations)

    def explain(self, ranking: Ranking, top: int) -> list[Match]:
        """Return the `top` nearest of what is no grant, each with its change.

        Changes are sought of those with the fewest reasons, some times as many as are wanted; of
        these where the first repair asks least at first, until no other can be nearer. Each gets a
        short look, for what takes long is of many moves and stands far; where that gives too few,
        the others are sought again, until all have taken MAX_EVALUATIONS: a node that answers has
        a chain to keep up.
        """
        sought = _Sought(self._finders, self.stand(ranking), top)
        return sought.find(ranking.others[: _SOUGHT * top])


class _Sought:
    """The changes of one answer, with the evaluations that are left for them."""

    def __init__(
        self, finders: Mapping[str, ChangeFinder], situations: Mapping[str, Situation], top: int
    ) -> None:
        self._finders = finders
        self._situations = situations
        self._top = top
        self._left = MAX_EVALUATIONS
        self._efforts: list[int] = []  # of the changes found, the least first

    def find(self, others: Sequence[Finding]) -> list[Match]:
        """Return the nearest, `top` or all there are, with changes as far as some were found."""
        matches: list[Match] = []
        later: list[Finding] = []
        estimates = [self._estimate(found.product) for found in others]
        for place in sorted(range(len(others)), key=lambda place: estimates[place]):
            found = others[place]
            if self._is_enough(estimates[place]):
                break
            most = min(self._left, _SHORT_LOOK)
            change, spent = self._seek(found.product, most)
            if change is None and spent >= most:
                later.append(found)
            else:
                matches.append(Match(found, None, change))
        for found in later:
            is_wanted = len(self._efforts) < self._top
            change = self._seek(found.product, self._left)[0] if is_wanted else None
            matches.append(Match(found, None, change))
        return sorted(matches, key=_nearness)[: self._top]

    def _is_enough(self, estimate: int) -> bool:
        efforts, top = self._efforts, self._top
        return len(efforts) >= top and estimate > efforts[top - 1]

    def _estimate(self, product: Product) -> int:
        """Return about how much a change asks at least."""
        ref = product.schema_ref
        most = min(self._left, _SHORT_LOOK)
        found, spent = self._finders[ref].estimate(product, self._situations[ref], most)
        self._left -= spent
        return _FAR if found is None else found

    def _seek(self, product: Product, evaluations: int) -> tuple[Change | None, int]:
        if evaluations <= 0:
            return None, 0
        ref = product.schema_ref
        efforts, top = self._efforts, self._top
        most = efforts[top - 1] if len(efforts) >= top else None
        change, spent = self._finders[ref].find(product, self._situations[ref], evaluations, most)
        self._left -= spent
        if change is not None:
            insort(self._efforts, change.effort)
        return change, spent


def _product_id(found: Finding) -> str:
    return found.product.id


def _standing_against(found: Finding) -> tuple[int, int]:
    """Order what is no grant by how much stands against it."""
    verdict = found.verdict
    return len(verdict.reasons), len(verdict.missing)


def _nearness(match: Match) -> tuple[int, ...]:
    """Order what would not be lent: by what the change asks, then by the rate there would be."""
    change = match.change
    if change is None or change.verdict is None or change.verdict.terms is None:
        return 1, len(match.found.verdict.reasons)
    return 0, change.effort, change.verdict.terms[2]


class Pricing:
    """What loans cost that are drawn on one day for one term; many products come to the same."""

    def __init__(self, day: int, term_days: int | None) -> None:
        self._day = day
        self._term_days = term_days
        self._known: dict[tuple[str, int, str, int, int], int] = {}

    def price(self, repayment: Repayment, rate_bp: int, amount_fen: int) -> int | None:
        """Return the interest in fen of the whole loan, were it paid in time; None without a term.

        In the product's own schedule; where nothing is paid back before the end, all of it bears
        interest from the first day to the last.
        """
        if self._term_days is None:
            return None
        kind, months = repayment.schedule, repayment.period_months
        key = kind, months, repayment.day_count, rate_bp, amount_fen
        found = self._known.get(key)
        if found is None:
            terms = Terms(rate_bp, ScheduleKind(kind), months, DayCount(repayment.day_count), 0)
            found = self._known[key] = self._compute(terms, amount_fen, self._term_days)
        return found

    def _compute(self, terms: Terms, amount_fen: int, term_days: int) -> int:
        day, due_day = self._day, self._day + term_days
        if terms.kind is not ScheduleKind.EQUAL_INSTALMENTS:
            return compute_interest(terms, amount_fen, day, due_day, 0)[0]
        due_days = compute_due_days(terms, day, due_day)
        return sum(item.interest_fen for item in compute_plan(terms, amount_fen, day, due_days))
