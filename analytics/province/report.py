"""How far the synthetic province is off the real data, and what scores and alerts find in it.

`compare` sets the quantiles of the province's facts beside those of the published invoices, with
the largest distance between the two distributions at the measured quantiles; `correlate` does the
same for rank correlations, `contrast` for the medians of companies that fail and the others.
`measure_scores` and `measure_alerts` hold the shipped scorecards and early warnings against who
fails. `measure_real` computes the constants of `analytics.province.calibration` from the data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analytics.early_warnings import Measure, measure
from analytics.province.calibration import CORRELATIONS, DEFAULTED, PROBABILITIES, QUANTILES
from analytics.province.draws import Bools, Floats
from analytics.province.events import Column
from analytics.province.facts import Province
from analytics.province.parquet import CHUNK
from analytics.scorecard.figures import compute_auc, compute_ks
from analytics.twelve_months import compute_from_files
from genesis.network import load_network
from ledger.credit.categories import compute_event_types
from ledger.errors import LocalError
from ledger.rules.alert import Alert, load_alert
from ledger.rules.failures import EvalError
from ledger.rules.schema import Schema, load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard
from ledger.rules.units import FactValue

REAL_DAY = date(2019, 12, 31)
SHOWN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
FIVE = ("EW05", "EW07", "EW09", "EW12", "EW13")  # whose joint figures DOMAIN.md has
# Measure: the feature above and the one below the line, or one alone, in the measure's unit.
_RATIOS = {
    "growth": ("co.sales_12m", "co.sales_prior_12m"),
    "void": ("co.void_count_12m", "co.invoice_count_12m"),
    "red": ("co.red_letter_count_12m", "co.invoice_count_12m"),
    "top": ("co.top_buyer_sales_12m", "co.sales_12m"),
    "purchases": ("co.purchases_12m", "co.sales_12m"),
    "top_supplier": ("co.top_supplier_purchases_12m", "co.purchases_12m"),
}
_PLAIN = {
    "sales": ("co.sales_12m", 0.01),
    "lines": ("co.invoice_count_12m", 1.0),
    "buyers": ("co.buyers_12m", 1.0),
    "idle": ("co.days_since_last_sale", 1.0),
    "suppliers": ("co.suppliers_12m", 1.0),
}
Facts = Mapping[str, Column]


class Compared(NamedTuple):
    """One measure: its quantiles at SHOWN in the data and here, and the largest distance."""

    measure: str
    real: tuple[float, ...]
    ours: tuple[float, ...]
    distance: float


class Sample(NamedTuple):
    """Companies of a province: their facts, chunk by chunk put together, and which fail."""

    province: Province
    facts: Facts
    fails: Bools

    @property
    def rows(self) -> Iterator[dict[str, FactValue]]:
        """The facts that are there, company by company."""
        lists = {name: _to_list(column) for name, column in self.facts.items()}
        names = list(lists)
        for values in zip(*lists.values(), strict=True):
            yield {
                name: value for name, value in zip(names, values, strict=True) if value is not None
            }


def take_sample(province: Province, companies: int) -> Sample:
    """Return the first companies of a province."""
    parts, fails = [], []
    for first in range(0, companies, CHUNK):
        chunk = province.chunk(first, min(CHUNK, companies - first))
        parts.append(province.facts(chunk))
        fails.append(chunk.latent.fails)
    return Sample(province, _concatenate(parts), np.concatenate(fails))


def _concatenate(parts: list[dict[str, Column]]) -> dict[str, Column]:
    return {
        name: Column(
            np.concatenate([part[name].values for part in parts]),
            np.concatenate([_present(part[name]) for part in parts]),
            parts[0][name].vocabulary,
        )
        for name in parts[0]
    }


def _present(column: Column) -> Bools:
    return np.ones(len(column.values), np.bool_) if column.present is None else column.present


def _to_list(column: Column) -> list[FactValue | None]:
    values = column.values.tolist()
    if column.vocabulary is not None:
        values = [column.vocabulary[value] for value in values]
    there = _present(column).tolist()
    return [value if is_there else None for value, is_there in zip(values, there, strict=True)]


def compute_measures(facts: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the measures of the calibration from facts by name, NaN where there is none."""
    found = {name: facts[feature] * unit for name, (feature, unit) in _PLAIN.items()}
    for name, (above, below) in _RATIOS.items():
        positive = np.where(facts[below] > 0, facts[below], np.nan)
        found[name] = facts[above] / positive
    return found


def _measures_of(sample: Sample) -> dict[str, Floats]:
    names = {name for name, _ in _PLAIN.values()} | {n for pair in _RATIOS.values() for n in pair}
    floats = {
        name: np.where(_present(sample.facts[name]), sample.facts[name].values, np.nan)
        for name in names
    }
    return compute_measures(floats)


def compare(sample: Sample) -> list[Compared]:
    """Return each measure's quantiles beside those of the real data."""
    result = []
    for name, values in _measures_of(sample).items():
        ours = np.sort(values[~np.isnan(values)])
        real = np.interp(SHOWN, PROBABILITIES, QUANTILES[name])
        below = np.searchsorted(ours, QUANTILES[name], side="right") / len(ours)
        under = np.searchsorted(ours, QUANTILES[name], side="left") / len(ours)
        wanted = np.array(PROBABILITIES)
        # Where a value has weight of its own, its step may pass anywhere through the quantile.
        distance = np.maximum(np.maximum(wanted - below, under - wanted), 0.0)[1:-1].max()
        shown = tuple(float(value) for value in np.quantile(ours, SHOWN))
        result.append(Compared(name, tuple(map(float, real)), shown, float(distance)))
    return result


def correlate(sample: Sample) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (real, ours) of the rank correlations."""
    measures = _measures_of(sample)
    return {
        pair: (real, rank_correlation(measures[pair[0]], measures[pair[1]]))
        for pair, real in CORRELATIONS.items()
    }


def rank_correlation(left: Floats, right: Floats) -> float:
    """Return Spearman's correlation of what both have, ties in their order."""
    both = ~(np.isnan(left) | np.isnan(right))
    ranks = [np.argsort(np.argsort(side[both], kind="stable")) for side in (left, right)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def contrast(sample: Sample) -> dict[str, tuple[float, float, float, float]]:
    """Return medians (real paid, real defaulted, ours sound, ours failing) by measure."""
    measures = _measures_of(sample)
    return {
        name: (
            *real,
            float(np.nanmedian(measures[name][~sample.fails])),
            float(np.nanmedian(measures[name][sample.fails])),
        )
        for name, real in DEFAULTED.items()
    }


def _sources() -> list[bytes]:
    network = load_network("guangdong")
    files = [*network.rule_files(), *(network.folder / "rules" / "province").glob("*.toml")]
    return [file.read_bytes() for file in sorted(files)]


def _load_schemas(province: Province, sources: list[bytes]) -> dict[str, Schema]:
    events = compute_event_types(province.categories)
    loaded = [load_schema(item, events) for item in sources if _read(item, "kind") == "schema"]
    return {schema.ref: schema for schema in loaded}


def _read(source: bytes, key: str) -> str:
    return str(tomllib.loads(source.decode()).get(key, ""))


def measure_scores(sample: Sample) -> dict[str, tuple[float, float]]:
    """Return (AUC, KS) of each shipped scorecard against who fails, by its reference."""
    sources = _sources()
    schemas = _load_schemas(sample.province, sources)
    cards: list[Scorecard] = []
    for source in sources:
        if _read(source, "kind") == "scorecard":
            cards.append(load_scorecard(source, schemas[_read(source, "schema")]))
    scores: dict[str, list[int]] = {card.ref: [] for card in cards}
    for row in sample.rows:
        for card in cards:
            scores[card.ref].append(card.score(row).points)
    labels = sample.fails.astype(np.float64)
    found = {ref: np.array(points, dtype=np.float64) for ref, points in scores.items()}
    return {
        ref: (compute_auc(points, labels), compute_ks(points, labels))
        for ref, points in found.items()
    }


def measure_alerts(sample: Sample) -> tuple[dict[str, Measure], list[str]]:
    """Return how each early warning meets who fails, and those that cannot be measured here.

    "2 of 5" and "3 of 5" are at least so many of the five rules of `FIVE` together.
    """
    labels = {str(row): bool(fails) for row, fails in enumerate(sample.fails)}
    warned: dict[str, set[str]] = {}
    left_out = []
    for alert in _load_alerts(sample.province):
        try:
            warned[alert.id] = {str(row) for row in _find_warned(sample, alert)}
        except LocalError:
            left_out.append(alert.id)
    for least in (2, 3):
        counts = [company for name in FIVE for company in warned[name]]
        numbers, times = np.unique(np.array(counts), return_counts=True)
        warned[f"{least} of 5"] = set(numbers[times >= least].tolist())
    return {name: measure(found, labels) for name, found in warned.items()}, left_out


def _load_alerts(province: Province) -> list[Alert]:
    sources = _sources()
    schemas = _load_schemas(province, sources)
    events = compute_event_types(province.categories)
    alerts = []
    for source in sources:
        if _read(source, "kind") == "alert":
            schema = schemas.get(_read(source, "schema"))
            alerts.append(load_alert(source, events, schema))
    return alerts


def _find_warned(sample: Sample, alert: Alert) -> list[int]:
    """Return the companies for which an alert's condition holds on the day."""
    wanted = {name: alert.features[name] for name in alert.when.reads}
    missing = {name: item for name, item in wanted.items() if name not in sample.facts}
    parts = []
    if missing:
        for first in range(0, len(sample.fails), CHUNK):
            chunk = sample.province.chunk(first, min(CHUNK, len(sample.fails) - first))
            parts.append(sample.province.further_facts(chunk, missing))
    facts = {**sample.facts, **(_concatenate(parts) if parts else {})}
    lists = [_to_list(facts[name]) for name in wanted]
    found = []
    for row, values in enumerate(zip(*lists, strict=True)):
        known = {
            name: value for name, value in zip(wanted, values, strict=True) if value is not None
        }
        try:
            if alert.when.evaluate(known):
                found.append(row)
        except EvalError:
            continue
    return found


def measure_real(folder: Path) -> dict[str, tuple[float, ...]]:
    """Return the quantiles of the published invoices at PROBABILITIES, by measure.

    `LocalError` 8001 where the files are not in `folder`.
    """
    facts = compute_from_files(folder, lambda _: True, REAL_DAY)
    names = {name for row in facts.values() for name in row}
    floats = {
        name: np.array([float(row.get(name, np.nan)) for row in facts.values()]) for name in names
    }
    return {
        name: tuple(np.quantile(values[~np.isnan(values)], PROBABILITIES))
        for name, values in compute_measures(floats).items()
    }


def make_report(province: Province, companies: int, folder: Path | None) -> dict[str, Any]:
    """Return everything above of the first companies of a province, ready for JSON.

    With the folder of the published invoices, they are measured anew: `constants_off` is by which
    share a constant of the calibration is off, at most.
    """
    sample = take_sample(province, companies)
    alerts, left_out = measure_alerts(sample)
    return {
        "companies": companies,
        "seed": province.seed,
        "shown": list(SHOWN),
        "measures": {
            item.measure: {"data": item.real, "province": item.ours, "distance": item.distance}
            for item in compare(sample)
        },
        "constants_off": None if folder is None else _find_constants_off(measure_real(folder)),
        "ranks": {f"{one}, {other}": both for (one, other), both in correlate(sample).items()},
        "medians": contrast(sample),
        "failing": float(sample.fails.mean()),
        "scores": measure_scores(sample),
        "alerts": {
            name: {
                "warned": found.warned,
                "precision": found.precision,
                "recall": found.recall,
                "lift": found.lift,
            }
            for name, found in alerts.items()
        },
        "not_measured": left_out,
    }


def _find_constants_off(real: Mapping[str, tuple[float, ...]]) -> float:
    """Return the largest relative difference between the constants and the data, ends apart."""
    worst = 0.0
    for name, values in real.items():
        for constant, value in list(zip(QUANTILES[name], values, strict=True))[1:-1]:
            worst = max(worst, abs(constant - value) / max(abs(value), 0.01))
    return worst
