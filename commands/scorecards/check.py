"""`creditledger scorecard check` and `explain`: what a card gives, what would change a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from analytics.scorecard.changes import Change, apply_changes, find_changes, find_way
from analytics.scorecard.review import Review, review
from commands.console import say, show_facts, show_json, show_table
from commands.frame import Command, json_option, reader_option
from commands.loans.decisions import fact_text
from commands.scorecards.files import find_schema_file, load_card, read_companies, read_scored
from commands.scorecards.fit import data_options, day_of, table_options
from commands.session import any_identity, net_of, open_session
from commands.values import COMPANY
from ledger.errors import Code, LocalError
from ledger.rules.schema import Schema
from ledger.rules.scorecard import Characteristic, Scorecard
from ledger.rules.units import FactValue

_PATH = click.Path(path_type=Path)


@click.command("check", cls=Command, example="creditledger scorecard check sme-2.toml")
@click.argument("file", type=_PATH)
@click.option("--schema", type=_PATH, help="The schema it names, where it is not shipped.")
@click.option(
    "--facts", type=_PATH, help="Score the companies of this TOML file: [[company]] tables."
)
@json_option
def check(file: Path, schema: Path | None, facts: Path | None, as_json: bool) -> None:
    """Check the scorecard of FILE as every node would, and tell its author what it gives.

    Nothing is sent. A mistake is told with its line and column. Then: from where to where scores
    go, what each characteristic can move, what a company of which nothing is known scores, and what
    is allowed but hardly meant, such as points that reward withholding a record.
    """
    card, _ = load_card(file, schema)
    found = review(card)
    samples = [] if facts is None else read_companies(facts, card.features)
    scored = [(name, card.score(known)) for name, known in samples]
    if as_json:
        rows = [{"company": name, **asdict(score)} for name, score in scored]
        show_json({"scorecard": card.ref, "is_valid": True, **asdict(found), "samples": rows})
        return
    _show_review(file, card, found)
    if scored:
        say("")
        cells = [
            [name, str(score.points), " ".join(score.reasons) or "-", _refer(score.is_referred)]
            for name, score in scored
        ]
        show_table("", ["company", "score", "reasons", "referred"], cells)


def _refer(is_referred: bool) -> str:
    return "yes" if is_referred else "no"


def _show_review(file: Path, card: Scorecard, found: Review) -> None:
    referred = " and is referred" if found.unknown.is_referred else ""
    facts = {
        "scorecard": f"{card.ref}, over schema {card.schema_ref}",
        "scores": f"{found.lowest} to {found.highest}",
        "nothing known": f"{found.unknown.points}{referred}",
        "reads": ", ".join(sorted(card.inputs)),
        "cost": f"{card.cost} units at most",
    }
    show_facts(f"{file} is a scorecard that every node takes", facts)
    say("")
    rows = [
        [
            item.id,
            f"{item.lowest} to {item.highest}",
            f"{item.swing} %",
            str(item.missing),
            _direction(card, item.id, item.is_monotone),
        ]
        for item in found.ranges
    ]
    show_table("", ["characteristic", "points", "of all", "missing", "goes"], rows)
    for warning in found.warnings:
        say(f"look again: {warning}")


def _direction(card: Scorecard, name: str, is_monotone: bool) -> str:
    item = next(item for item in card.characteristics if item.id == name)
    if item.table:
        return "by value"
    if not is_monotone:
        return "up and down"
    return "up" if item.points[0] <= item.points[-1] else "down"


@click.command(
    "explain",
    cls=Command,
    example="creditledger scorecard explain sme-2.toml --facts company.toml --reach 520",
)
@click.argument("file", type=_PATH)
@click.option("--facts", type=_PATH, help="Companies to explain (TOML): [[company]] tables.")
@click.option("--company", type=COMPANY, help="A company of the network, as far as you may read.")
@click.option("--data", type=_PATH, help="A table or the invoices' folder that has the company.")
@click.option("--id", "name", help="Which company of --data.")
@data_options
@click.option("--reach", "wanted", type=int, help="A score to reach.", metavar="POINTS")
@reader_option
@json_option
@click.pass_context
def explain(context: click.Context, /, file: Path, as_json: bool, **values: Any) -> None:
    """Explain a score: points per characteristic, reasons, and what would change it.

    FILE is the scorecard (print one that is registered: scorecard show ID/VERSION --source). The
    company comes from --facts, --company or --data. For each characteristic the nearest band with
    more points is named, and with --reach the fewest changes that reach that score; each was tried
    with the ledger's evaluator before it is shown.
    """
    card, schema = load_card(file, values["schema"])
    answers = []
    for name, facts in _companies(context, card, schema, {**values, "file": file}):
        answer = _explain(card, name, facts, values["wanted"])
        answers.append(answer)
        if not as_json:
            _show_explanation(card, schema, answer, values["wanted"])
    if as_json:
        show_json({"scorecard": card.ref, "companies": answers})


def _companies(
    context: click.Context, card: Scorecard, schema: Schema, values: Mapping[str, Any]
) -> Sequence[tuple[str, Mapping[str, FactValue]]]:
    """Return names and facts from the one source that was named; `LocalError` (8004) for others."""
    sources = [values[name] for name in ("facts", "company", "data")]
    if sum(source is not None for source in sources) != 1:
        message = "name one source of facts: --facts, --company or --data"
        raise LocalError(Code.INPUT_USAGE, message)
    if values["facts"] is not None:
        return read_companies(values["facts"], card.features)
    if values["company"] is not None:
        with open_session(context, values["identity"] or any_identity(net_of(context))) as session:
            code, ref = values["company"], card.schema_ref
            answer = session.query("company.features", company=code, schema=ref)
        return [(values["company"], answer["facts"])]
    place = find_schema_file(schema.ref, values["schema"], values["file"])
    table = read_scored(values["data"], card, place, day_of(values), table_options(values))
    places = [place for place, name in enumerate(table.ids) if name == values["name"]]
    if not places:
        found = "no company is named" if values["name"] is None else f"no company {values['name']}"
        message = f"{values['data']}: {found}: name one with --id, as in --id {table.ids[0]}"
        raise LocalError(Code.INPUT_USAGE, message)
    return [(table.ids[place], table.rows[place]) for place in places]


def _explain(
    card: Scorecard, name: str, facts: Mapping[str, FactValue], target: int | None
) -> dict[str, Any]:
    score = card.score(facts)
    way = None if target is None else find_way(card, facts, target)
    is_tried = bool(way) and all(change.fact for change in way or ())
    reached = card.score(apply_changes(facts, way or ())).points if is_tried else None
    return {
        "company": name,
        "score": asdict(score),
        "changes": [asdict(change) for change in find_changes(card, facts)],
        "way": None if way is None else [asdict(change) for change in way],
        "way_tried": reached,
    }


def _show_explanation(
    card: Scorecard, schema: Schema, answer: Mapping[str, Any], target: int | None
) -> None:
    score = answer["score"]
    say("")
    show_facts(
        answer["company"],
        {
            "score": f"{score['points']} ({card.ref}, from {card.initial})",
            "referred": _refer(score["is_referred"]),
        },
    )
    rows = []
    for item, part in zip(card.characteristics, score["parts"], strict=True):
        unit = str(item.input.type.unit or "")
        best = max(item.missing, *item.points, *item.table.values())
        lost = part["reason"] in score["reasons"]
        shown = fact_text(unit, part["value"])
        told = item.text if part["value"] is not None else "not known"
        text = f"{part['reason']} {told}" if lost else "-"
        rows.append([item.id, shown, f"{part['points']}", f"{best}", text])
    show_table("", ["characteristic", "value", "points", "at most", "reason"], rows)
    say("")
    changes = [Change(**change) for change in answer["changes"]]
    cells = [_change_row(card, schema, change) for change in changes]
    show_table("the next better band", ["characteristic", "gain", "needs", "such as"], cells)
    if target is not None:
        _show_way(card, schema, answer, target)


def _show_way(card: Scorecard, schema: Schema, answer: Mapping[str, Any], target: int) -> None:
    way = answer["way"]
    say("")
    if way is None:
        say(f"no four characteristics together reach {target} points")
    elif not way:
        say(f"the score reaches {target} points as it is")
    else:
        cells = [_change_row(card, schema, Change(**change)) for change in way]
        show_table(f"to reach {target}", ["characteristic", "gain", "needs", "such as"], cells)
        if all(change["fact"] for change in way):
            say(f"tried: {answer['way_tried']} points")
        else:
            say("not tried: no fact by itself brings each of these about")


def _change_row(card: Scorecard, schema: Schema, change: Change) -> list[str]:
    item = next(item for item in card.characteristics if item.id == change.id)
    feature = schema.features.get(change.fact or "")
    shown = "-"
    if feature is not None:
        shown = f"{feature.name} = {fact_text(str(feature.unit), change.value)}"
    return [change.id, f"+{change.gain}", _needs(item, change), shown]


def _needs(item: Characteristic, change: Change) -> str:
    unit = str(item.input.type.unit or "")
    if change.level is not None:
        return change.level
    parts = []
    if change.lower is not None:
        parts.append(f"at least {fact_text(unit, change.lower)}")
    if change.below is not None:
        parts.append(f"below {fact_text(unit, change.below)}")
    return ", ".join(parts) or "any value"
