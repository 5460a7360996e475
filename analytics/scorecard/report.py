"""What is known of a fitted scorecard, beside it: shares, evidence and figures, for later.

A scorecard on chain holds no statistics. This report is written next to it when it is fitted: how
many of the companies stood in each band, what the band's weight of evidence was, how the scores
were spread, and what the validation found. `measure_stability` compares other companies with it.

The population stability index is Σ (now − then) · ln(now / then) over the bands; below 0.10 the
population is as it was, from 0.25 on it is another one and the card should be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from analytics.scorecard.figures import Floats
from analytics.scorecard.points import Card, Characteristic
from analytics.scorecard.selection import compute_evidence
from analytics.scorecard.table import FactTable
from analytics.scorecard.validation import Validation
from ledger.errors import Code, LocalError
from ledger.rules.scorecard import Score, Scorecard

STABLE = 0.10
SHIFTED = 0.25
_SCORE_BANDS = 10
_SHARE_MIN = 0.5  # of a company, in a band that has none


def make_report(
    scorecard: Scorecard,
    card: Card,
    table: FactTable,
    validation: Validation,
    scores: Sequence[Score],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the report of a fit on the labelled companies of `table`, scored by the ledger."""
    labels = np.array(table.labels, dtype=float)
    points = np.array([score.points for score in scores])
    edges = sorted({int(edge) for edge in np.quantile(points, _cuts(), method="higher")})
    return {
        "scorecard": scorecard.ref,
        "hash": scorecard.source_hash.hex(),
        "schema": scorecard.schema_ref,
        "companies": len(table.rows),
        "bad": int(labels.sum()),
        "validation": asdict(validation),
        "notes": list(notes),
        "score_edges": edges,
        "score_shares": _shares(np.searchsorted(edges, points, side="right"), len(edges) + 1),
        "characteristics": [
            _describe(place, part, scorecard, scores, labels)
            for place, part in enumerate(card.characteristics)
        ],
    }


def _cuts() -> Floats:
    return np.arange(1, _SCORE_BANDS) / _SCORE_BANDS


def _describe(
    place: int,
    part: Characteristic,
    scorecard: Scorecard,
    scores: Sequence[Score],
    labels: Floats,
) -> dict[str, Any]:
    bands = _bands(place, scorecard, scores)
    count = _band_count(scorecard, place)
    evidence, value = compute_evidence(np.append(bands, count - 1), np.append(labels, 0.0))
    return {
        "id": part.input.candidate.id,
        "information_value": round(value, 4),
        "bands": [
            {
                "lower": lower,
                "points": points,
                "companies": int((bands == band).sum()),
                "bad": int(labels[bands == band].sum()),
                "evidence": round(float(evidence[band]), 4),
            }
            for band, (lower, points) in enumerate(_band_names(scorecard, place))
        ],
        "shares": _shares(bands, count),
    }


def _band_names(scorecard: Scorecard, place: int) -> list[tuple[int | str | None, int]]:
    """Return lower bound (or level) and points of each band, the one of missing last."""
    own = scorecard.characteristics[place]
    pairs: list[tuple[int | str | None, int]] = (
        list(own.table.items()) if own.table else list(zip(own.lowers, own.points, strict=True))
    )
    return [*pairs, (None, own.missing)]


def _band_count(scorecard: Scorecard, place: int) -> int:
    return len(_band_names(scorecard, place))


def _bands(place: int, scorecard: Scorecard, scores: Sequence[Score]) -> Any:
    """Return the band in which the ledger's evaluator put each company."""
    own = scorecard.characteristics[place]
    levels = list(own.table)
    lowers = np.array(own.lowers, dtype=float)
    found = []
    for score in scores:
        value = score.parts[place].value
        if value is None:
            found.append(_band_count(scorecard, place) - 1)
        elif levels:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found.append(levels.index(text))
        else:
            found.append(int(np.searchsorted(lowers, float(value), side="right")) - 1)
    return np.array(found, dtype=np.int64)


def _shares(bands: Any, count: int) -> list[float]:
    counted = np.bincount(bands, minlength=count) / len(bands)
    return [round(float(share), 6) for share in counted]


def measure_stability(
    report: Mapping[str, Any], scorecard: Scorecard, scores: Sequence[Score]
) -> dict[str, float]:
    """Return the population stability index of the score ("score") and of each characteristic.

    Raise `LocalError` (8001) for the report of another scorecard.
    """
    if report.get("hash") != scorecard.source_hash.hex():
        message = f"the report is of {report.get('scorecard')}, not of this file {scorecard.ref}"
        raise LocalError(Code.INPUT_FILE, message)
    edges = report["score_edges"]
    points = np.array([score.points for score in scores])
    now = _shares(np.searchsorted(edges, points, side="right"), len(edges) + 1)
    found = {"score": compute_stability(report["score_shares"], now, len(scores))}
    for place, part in enumerate(report["characteristics"]):
        now = _shares(_bands(place, scorecard, scores), len(part["shares"]))
        found[part["id"]] = compute_stability(part["shares"], now, len(scores))
    return found


def compute_stability(then: Sequence[float], now: Sequence[float], count: int) -> float:
    """Return the index of two lists of shares; an empty band counts as half a company."""
    least = _SHARE_MIN / count
    pairs = [(max(a, least), max(b, least)) for a, b in zip(then, now, strict=True) if a or b]
    return sum((b - a) * log(b / a) for a, b in pairs)


def read_report(path: Path) -> dict[str, Any]:
    """Return a report; raise `LocalError` (8001)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    if not isinstance(found, dict) or "characteristics" not in found:
        raise LocalError(Code.INPUT_FILE, f"{path} is no report of a scorecard")
    return found
