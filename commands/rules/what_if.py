"""`rule what-if`, `product what-if`: a rule replayed over the history before anybody adopts it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from commands.answers import text_of
from commands.audits.trust import load_trust, trust_option
from commands.console import progress, say, show_facts, show_json, show_table
from commands.files import read_bytes
from commands.frame import Command, json_option
from commands.values import AMOUNT, amount, day, rate
from ledger.audit.what_if import Case, Options, Verdict, WhatIfReport, replay_home
from ledger.errors import Code, LocalError
from ledger.rules.units import FactValue

_PATH = click.Path(path_type=Path)
_OCCASIONS = {
    "application": "at each application",
    "month": "every company, each month",
    "alert": "alerts raised",
}
_SHOWN = 20


def what_if_command(noun: str, example: str) -> click.Command:
    """Return the command of a group; `noun` is what the group is about."""
    made = Command(
        "what-if",
        callback=_run,
        params=[click.Argument(("file",), type=_PATH)],
        example=example,
        help=f"""Replay the history of a HOME with the {noun} of FILE beside those of the chain.

        At each past application, or wherever and whenever alerts were looked at, it is asked too;
        the table says what it would have granted, declined or raised, against what was. An alert is
        asked at no other times than those, but for --monthly. The home is only read: stop its node
        first, or take a backup. Every result of the past must come out as it is stored, so that the
        facts are those of then.""",
    )
    for option in _OPTIONS:
        option(made)
    return made


_OPTIONS: tuple[Any, ...] = (
    click.option("--home", required=True, type=_PATH, help="A node's home, or a copy of one."),
    click.option(
        "--with",
        "beside",
        multiple=True,
        type=_PATH,
        help="A schema or scorecard that FILE names and the chain has not.",
    ),
    click.option("--monthly", is_flag=True, help="Ask about every company each month, too."),
    click.option(
        "--ask",
        "asked",
        type=AMOUNT,
        default="1,000,000.00",
        help="Amount for --monthly.",
        show_default=True,
    ),
    click.option(
        "--term", default=180, help="Days for --monthly.", show_default=True, type=click.IntRange(1)
    ),
    click.option(
        "--declare", multiple=True, metavar="NAME=VALUE", help="Another ap.* fact for --monthly."
    ),
    click.option(
        "--from",
        "start",
        type=_PATH,
        help="An earlier copy of a home: go on from its last block instead of block 1.",
    ),
    click.option("--until", type=click.IntRange(0), help="The last block to replay."),
    click.option("--all", "is_all", is_flag=True, help="Show every case, not the changed ones."),
    click.option("--scratch", type=_PATH, help="Where to put the replay, twice the database."),
    trust_option,
    json_option,
)


def _run(
    file: Path,
    home: Path,
    beside: tuple[Path, ...],
    monthly: bool,
    asked: int,
    term: int,
    declare: tuple[str, ...],
    start: Path | None,
    until: int | None,
    is_all: bool,
    scratch: Path | None,
    trust: tuple[Path, ...],
    as_json: bool,
) -> None:
    options = Options(
        read_bytes(file),
        tuple(read_bytes(path) for path in beside),
        monthly,
        asked,
        term,
        dict(_declared(item) for item in declare),
        until,
    )
    genesis = load_trust(trust).document
    with (
        tempfile.TemporaryDirectory(prefix="creditledger-what-if-", dir=scratch) as folder,
        progress("replaying", None, "blocks") as bar,
    ):
        found = replay_home(
            home, Path(folder), options, genesis, lambda _height, _last: bar.advance(1), start
        )
    if as_json:
        show_json(_value(found))
    else:
        _show(found, is_all)


def _declared(text: str) -> tuple[str, FactValue]:
    name, found, value = text.partition("=")
    if not found or not name.startswith("ap."):
        raise LocalError(Code.INPUT_USAGE, f"--declare {text!r}, want ap.NAME=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.lstrip("-").isdigit() else value


def _show(found: WhatIfReport, is_all: bool) -> None:
    show_facts(
        f"what if {found.kind} {found.ref}",
        {
            "replayed": f"{found.blocks:,} blocks after block {found.start:,},"
            f" {found.transactions:,} transactions",
            "came out as stored": f"{found.applications:,} applications, {found.alerts:,} alerts",
        },
    )
    for occasion, title in _OCCASIONS.items():
        counts = found.counts(occasion)
        if counts:
            rows = [[old, new, f"{count:,}"] for (old, new), count in counts.items()]
            show_table(title, ["it was", "it would be", "times"], rows)
    cases = [case for case in found.cases if is_all or _is_changed(case)]
    if cases:
        rows = [_row(case) for case in cases[: None if is_all else _SHOWN]]
        headers = ["day", "block", "company", "it was", "it would be", "because"]
        show_table("cases" if is_all else "changed", headers, rows)
    if not is_all and len(cases) > _SHOWN:
        say(f"  {len(cases) - _SHOWN:,} more: --all or --json")
    if not cases:
        say("nothing would have been otherwise")


def _is_changed(case: Case) -> bool:
    old, new = case.old, case.new
    return (old.outcome, old.limit_fen, old.rate_bp) != (new.outcome, new.limit_fen, new.rate_bp)


def _row(case: Case) -> list[str]:
    because = ", ".join(case.new.reasons) or ", ".join(case.old.reasons) or "-"
    place = [day(case.day), str(case.height), case.company]
    return [*place, _words(case.old), _words(case.new), text_of("", because)]


def _words(verdict: Verdict) -> str:
    words = verdict.outcome
    if verdict.limit_fen is not None and verdict.outcome == "GRANT":
        words += f" limit {amount(verdict.limit_fen)} at {rate(verdict.rate_bp)}"
    if verdict.score is not None:
        words += f", score {verdict.score}"
    return words


def _value(found: WhatIfReport) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "ref": found.ref,
        "start": found.start,
        "blocks": found.blocks,
        "transactions": found.transactions,
        "applications": found.applications,
        "alerts": found.alerts,
        "counts": {
            occasion: [[*pair, count] for pair, count in found.counts(occasion).items()]
            for occasion in _OCCASIONS
        },
        "cases": [
            {
                "occasion": case.occasion,
                "height": case.height,
                "day": case.day,
                "company": case.company,
                "old": _verdict(case.old),
                "new": _verdict(case.new),
            }
            for case in found.cases
        ],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in verdict.__slots__}
