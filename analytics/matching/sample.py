"""Some companies of a matched snapshot decided again, by the evaluator that every node runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from analytics.columns import COMPANY, open_parquet
from analytics.matching.answers import from_decision, read_answer
from analytics.matching.plan import Plan
from analytics.matching.run import Options, Part, read_facts, split
from ledger.errors import Code, LocalError

_PARTS_MAX = 16  # reading a part costs far more than deciding a company


@dataclass(frozen=True, slots=True)
class Check:
    """How many answers were compared, and the first that differs: "" where all are equal."""

    companies: int
    answers: int
    difference: str


def check_sample(
    plan: Plan, options: Options, count: int, progress: Callable[[int], None]
) -> Check:
    """Decide about `count` companies again, spread evenly over the snapshot, and compare.

    Raise `LocalError` 8001 where the answers are not all there.
    """
    companies = answers = 0
    for facts, row in _read_rows(plan, options, count):
        companies += 1
        progress(1)
        if facts[COMPANY] != row[COMPANY]:
            message = f"row of {facts[COMPANY]} answers for {row[COMPANY]}"
            return Check(companies, answers, message)
        known = {name: value for name, value in facts.items() if value is not None}
        known |= plan.constants
        for offer in plan.offers:
            answers += 1
            want = from_decision(offer.product.decide(known))
            difference = read_answer(offer, row, known).difference(want)
            if difference:
                message = f"{facts[COMPANY]} {offer.product.ref}: {difference}"
                return Check(companies, answers, message)
    return Check(companies, answers, "")


def _read_rows(
    plan: Plan, options: Options, count: int
) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield (facts, answers) of the companies of the sample."""
    parts = list(split(options.facts))
    chosen = [parts[index] for index in _spread(len(parts), _PARTS_MAX)]
    places = _spread(sum(part.rows for part in chosen), count)
    first = 0
    for part in chosen:
        rows = pa.array(
            [place - first for place in places if first <= place < first + part.rows], pa.int64()
        )
        first += part.rows
        if not len(rows):
            continue
        facts = read_facts(plan, part).take(rows)
        answers = _read_answers(options.out, part, rows)
        yield from zip(facts.to_pylist(), answers, strict=True)


def _read_answers(out: Path, part: Part, rows: pa.Array) -> list[Mapping[str, Any]]:
    """Return the answers for some rows of a part."""
    path = part.answers(out)
    if not path.exists():
        raise LocalError(Code.INPUT_FILE, f"{path} is not there: match the whole snapshot first")
    answers: list[Mapping[str, Any]] = open_parquet(path).read().take(rows).to_pylist()
    return answers


def _spread(total: int, count: int) -> list[int]:
    """Return `count` different places among `total`, evenly apart; all where there are fewer."""
    wanted = min(total, count)
    return [index * total // wanted for index in range(wanted)]
