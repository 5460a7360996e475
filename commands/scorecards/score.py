"""`creditledger scorecard score`: every company of a table, by the ledger's own evaluator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from commands.console import say, show_facts, show_json
from commands.files import replace
from commands.frame import Command, json_option
from commands.scorecards.files import find_schema_file, load_card, need_analytics, read_scored
from commands.scorecards.fit import data_options, day_of, table_options
from ledger.rules.scorecard import Score, Scorecard

_PATH = click.Path(path_type=Path)


@click.command(
    "score",
    cls=Command,
    example="creditledger scorecard score ../shared/data --scorecard sme-1.toml --out scores.csv",
)
@click.argument("data", type=_PATH)
@click.option("--scorecard", required=True, type=_PATH, help="The scorecard (TOML).")
@data_options
@click.option("--report", type=_PATH, help="The fit's report: tells how stable the shares are.")
@click.option("--out", required=True, type=_PATH, help="CSV file to write.")
@json_option
def score(
    data: Path, scorecard: Path, report: Path | None, out: Path, as_json: bool, **values: Any
) -> None:
    """Score the companies of DATA, labelled or not: a CSV or Parquet file, or the invoices' folder.

    The scores are those that every node would compute. OUT has a line a company: its score, whether
    it is referred, the reasons, and the points of each characteristic. Where DATA has labels, AUC
    and KS are printed; a scorecard does better on companies it was fitted on than on others.
    """
    need_analytics()
    from analytics.scorecard.leaks import find_gaps

    card, schema = load_card(scorecard, values["schema"])
    place = find_schema_file(schema.ref, values["schema"], scorecard)
    table = read_scored(data, card, place, day_of(values), table_options(values))
    scores = [card.score(row) for row in table.rows]
    replace(out, _write(card, table, scores))
    notes = [*table.notes, *find_gaps(table, card.features)]
    answer = _measure(card, table, scores) | {"notes": notes}
    if report is not None:
        from analytics.scorecard.report import measure_stability, read_report

        found = measure_stability(read_report(report), card, scores)
        answer["stability"] = {name: round(value, 4) for name, value in found.items()}
    if as_json:
        show_json(answer)
    else:
        _show(answer, out)


def _write(card: Scorecard, table: Any, scores: Sequence[Score]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = [item.id for item in card.characteristics]
    writer.writerow(["company", "label", "score", "referred", "missing", "reasons", *parts])
    for name, label, found in zip(table.ids, table.labels, scores, strict=True):
        known = "" if label is None else label
        reasons = " ".join(found.reasons)
        points = [part.points for part in found.parts]
        shown = (name, known, found.points, int(found.is_referred), found.missing_count, reasons)
        writer.writerow([*shown, *points])
    return text.getvalue().encode()


def _measure(card: Scorecard, table: Any, scores: Sequence[Score]) -> dict[str, Any]:
    import numpy as np

    from analytics.scorecard.figures import compute_auc, compute_ks

    points = np.array([float(found.points) for found in scores])
    answer: dict[str, Any] = {
        "scorecard": card.ref,
        "companies": len(scores),
        "referred": sum(found.is_referred for found in scores),
        "quartiles": [round(float(value)) for value in np.quantile(points, (0.25, 0.5, 0.75))],
    }
    known = [place for place, label in enumerate(table.labels) if label is not None]
    labels = np.array([float(table.labels[place]) for place in known])
    if len(set(labels.tolist())) == 2:
        answer |= {
            "labelled": len(known),
            "bad": int(labels.sum()),
            "auc": round(compute_auc(points[known], labels), 4),
            "ks": round(compute_ks(points[known], labels), 4),
        }
    return answer


def _show(answer: Mapping[str, Any], out: Path) -> None:
    low, middle, high = answer["quartiles"]
    facts = {
        "scorecard": answer["scorecard"],
        "companies": f"{answer['companies']:,}, of which {answer['referred']:,} would be referred",
        "scores": f"a quarter below {low}, half below {middle}, a quarter above {high}",
    }
    if "auc" in answer:
        facts["labelled"] = f"{answer['labelled']:,}, of which {answer['bad']:,} failed"
        facts["AUC, KS"] = f"{answer['auc']:.3f}, {answer['ks']:.3f}"
    show_facts("", facts)
    if "stability" in answer:
        say("")
        named = {name: _stability_text(value) for name, value in answer["stability"].items()}
        show_facts("population stability index", named)
    for note in answer["notes"]:
        say(f"look again: {note}")
    say(f"written to {out}")


def _stability_text(value: float) -> str:
    from analytics.scorecard.report import SHIFTED, STABLE

    word = "as it was" if value < STABLE else "another population" if value >= SHIFTED else "moved"
    return f"{value:.3f}  {word}"
