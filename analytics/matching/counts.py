"""Counts over the answers: per product, per reason, per fact that was missing; parts add up.

A company is counted once for each product. Of a product that declines by its conditions every
failing one is counted, as every one is told; of a referral every fact that lacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analytics.matching.plan import PRESENT, Offer, Plan, Result
from analytics.sql.values import Fault
from ledger.rules.product import AMOUNT

K = TypeVar("K")
Bits = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Counts:
    """What a part, or the whole, comes to. Keys are columns of the plan and ids of products."""

    companies: int = 0
    results: dict[str, list[int]] = field(default_factory=dict)  # by product, in order of `Result`
    failed: dict[str, int] = field(default_factory=dict)  # by column of a condition
    lacking: dict[str, dict[str, int]] = field(default_factory=dict)  # by product, by fact
    limits_fen: dict[str, int] = field(default_factory=dict)  # by product, of what it grants
    grants: dict[int, int] = field(default_factory=dict)  # how many companies have so many grants

    def add(self, other: Counts) -> None:
        """Add the counts of another part."""
        self.companies += other.companies
        for name, values in other.results.items():
            held = self.results.setdefault(name, [0] * len(Result))
            self.results[name] = [a + b for a, b in zip(held, values, strict=True)]
        _add(self.failed, other.failed)
        _add(self.limits_fen, other.limits_fen)
        _add(self.grants, other.grants)
        for name, facts in other.lacking.items():
            _add(self.lacking.setdefault(name, {}), facts)

    def to_value(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "companies": self.companies,
            "results": self.results,
            "failed": self.failed,
            "lacking": self.lacking,
            "limits_fen": self.limits_fen,
            "grants": {str(key): count for key, count in sorted(self.grants.items())},
        }

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Counts:
        """Return what `to_value` gave."""
        grants = {int(key): count for key, count in value["grants"].items()}
        return cls(**{**value, "grants": grants})


def _add(held: dict[K, int], more: Mapping[K, int]) -> None:
    for key, count in more.items():
        held[key] = held.get(key, 0) + count


def count_part(plan: Plan, table: pa.Table) -> tuple[Counts, npt.NDArray[np.int16]]:
    """Return the counts of a part, and of each company how many products grant."""
    reader = _Reader(table)
    found = Counts(companies=table.num_rows)
    granted = np.zeros(table.num_rows, np.int16)
    for column in plan.conditions:
        false = sum(
            len(chunk) - chunk.null_count - chunk.true_count for chunk in table[column.name].chunks
        )
        found.failed[column.name] = int(false)
    for offer in plan.offers:
        results = table[offer.result].to_numpy()
        name = offer.product.id
        grants = results == Result.GRANT
        granted += grants
        found.results[name] = [int(np.count_nonzero(results == result)) for result in Result]
        found.limits_fen[name] = pc.sum(table[offer.limit]).as_py() or 0
        found.lacking[name] = _count_lacking(plan, offer, results, reader)
    sizes, counts = np.unique(granted, return_counts=True)
    found.grants = dict(zip(sizes.tolist(), counts.tolist(), strict=True))
    return found, granted


def _pack(flags: npt.NDArray[np.bool_]) -> Bits:
    """Return flags as words of 64 bits; what is over at the end is zero."""
    padded = np.zeros(-(-len(flags) // 64) * 8, np.uint8)
    packed = np.packbits(flags)
    padded[: len(packed)] = packed
    return padded.view(np.uint64)


def _count(bits: Bits) -> int:
    return int(np.bitwise_count(bits).sum())


class _Reader:
    """The flags of a table as bits, each made once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._names = frozenset(table.column_names)
        self._known: dict[str, Bits] = {}

    def absent(self, fact: str) -> Bits | None:
        """Return where a fact is absent, None where it never is: a constant of the plan."""
        name = f"{PRESENT}{fact}"
        if name not in self._names:
            return None
        if name not in self._known:
            self._known[name] = _pack(~self._table[name].to_numpy())
        return self._known[name]

    def lacking(self, name: str, fault: Fault | str | None) -> Bits | None:
        """Return where the column has the error MISSING; None where it never has."""
        if fault is not Fault.MISSING and not isinstance(fault, str):
            return None
        if name not in self._known:
            if isinstance(fault, str):
                codes = pc.fill_null(self._table[fault], 0)
                flags = codes.to_numpy() == int(Fault.MISSING)
            else:
                flags = pc.is_null(self._table[name]).to_numpy()
            self._known[name] = _pack(flags)
        return self._known[name]

    def above(self, name: str, most: int) -> Bits:
        """Return where an integer column is greater than `most`."""
        key = f"{name}>{most}"
        if key not in self._known:
            self._known[key] = _pack(self._table[name].to_numpy() > most)
        return self._known[key]


def _count_lacking(
    plan: Plan, offer: Offer, results: npt.NDArray[np.int8], reader: _Reader
) -> dict[str, int]:
    """Return for each fact how many companies the product refers that lack it."""
    referred = _pack(results == Result.REFER_CONDITION)
    masks: dict[str, Bits] = {}
    if referred.any():
        for condition, column in zip(offer.product.conditions, offer.conditions, strict=True):
            unknown = reader.lacking(column.name, column.fault)
            if unknown is not None:
                _note(masks, referred & unknown, condition.when.reads, reader)
        card = offer.product.scorecard
        if card.max_missing is not None:
            mask = referred & reader.above(offer.missing, card.max_missing)
            _note(masks, mask, card.inputs, reader)
    without_limit = results == Result.REFER_LIMIT
    if without_limit.any():
        _note(masks, _pack(without_limit), offer.product.limit.amount.reads, reader)
    found = {name: _count(mask) for name, mask in masks.items()}
    if AMOUNT not in plan.constants:
        found[AMOUNT] = int(np.count_nonzero(results == Result.REFER_AMOUNT))
    return {name: count for name, count in sorted(found.items()) if count}


def _note(masks: dict[str, Bits], mask: Bits, facts: Iterable[str], reader: _Reader) -> None:
    if not mask.any():
        return
    for fact in facts:
        absent = reader.absent(fact)
        if absent is not None:
            hit = mask & absent
            masks[fact] = masks[fact] | hit if fact in masks else hit
