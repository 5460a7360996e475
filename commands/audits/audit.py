"""`creditledger audit`: replays a chain offline and says VALID, or what is wrong and where."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import click

from commands.audits.audit_evidence import judge_kept, show_kept
from commands.audits.evidence import SUFFIX, judge_file, show_proven
from commands.audits.trust import load_trust, trust_option
from commands.console import progress, say, show_facts, show_json, show_table
from commands.frame import Command, Exit, fail, json_option
from ledger.audit.files import REPAIR
from ledger.audit.replay import SignatureItem, Verifier, audit
from ledger.audit.report import AuditReport, Verdict
from ledger.keys import verify_many

_PATH = click.Path(path_type=Path)
_CHUNK = 64


@click.command(
    "audit", cls=Command, example="creditledger audit /backup/2020-01-10 --trust genesis.bin"
)
@click.argument("path", type=_PATH)
@trust_option
@click.option("--scratch", type=_PATH, help="Where to put the replay, about twice the database.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    path: Path,
    trust: tuple[Path, ...],
    scratch: Path | None,
    as_json: bool,
) -> None:
    """Judge the home, or the copy of one, at PATH; nothing in it is changed.

    Every file is checked by its own checksums; then every block is read, its certificate, order,
    signatures and records verified, and executed again from genesis: results and state must come
    out byte for byte. Whoever compares the chain id with another member trusts nobody else. Without
    --trust the folder's own genesis document is the anchor; with a receipt the chain must have that
    receipt's block, which no past member's stolen key can forge. Evidence that the home keeps is
    judged too. Exit code 1 when it is not VALID. A file of evidence is judged as `evidence verify`
    does.
    """
    trusted = load_trust(trust)
    if path.suffix == SUFFIX and not path.is_dir():
        show_proven(judge_file(context, path, trusted), as_json)
        return
    began = monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="creditledger-audit-", dir=scratch) as folder,
        progress("replaying", None, "blocks") as bar,
        _threads() as verifier,
    ):
        done = 0

        def advance(height: int, _last: int, _transactions: int) -> None:
            nonlocal done
            bar.advance(height - done)
            done = height

        report = audit(
            path,
            Path(folder),
            trusted.document,
            trusted=trusted.receipt,
            progress=advance,
            verifier=verifier,
        )
    seconds = max(monotonic() - began, 1e-9)
    evidence = judge_kept(path, report)
    if as_json:
        show_json(_value(report, seconds) | {"evidence": [item.to_value() for item in evidence]})
    else:
        _show(report, seconds)
        show_kept(evidence)
    if report.verdict is not Verdict.VALID:
        fail(Exit.REFUSED)


@contextmanager
def _threads() -> Iterator[Verifier]:
    """Give a verifier that uses other threads: libsodium releases the interpreter's lock."""
    with ThreadPoolExecutor() as pool:

        def verify(items: Sequence[SignatureItem]) -> Callable[[], list[bool]]:
            parts = [
                pool.submit(verify_many, items[at : at + _CHUNK])
                for at in range(0, len(items), _CHUNK)
            ]
            return lambda: [verdict for part in parts for verdict in part.result()]

        yield verify


def _show(report: AuditReport, seconds: float) -> None:
    say(click.style(report.verdict.value, bold=True))
    if report.finding is not None:
        say(f"  {report.finding}")
    if report.verdict is Verdict.DAMAGED:
        for damage in report.files.damages:
            say(f"  {damage}")
        say(f"  to repair: {REPAIR}")
        return
    counts = report.counts
    anchor = "as trusted" if report.is_anchor_given else "of the folder itself: compare it"
    rate = f"{counts.transactions / seconds:,.0f} transactions/s"
    show_facts(
        "",
        {
            "chain": f"{report.chain_id.hex()} ({anchor})",
            "last block": f"{report.head}, certified up to {report.certified}",
            "members": _members(report),
            "time": f"{seconds:.1f} s, {rate} and {counts.records / seconds:,.0f} records/s",
        },
    )
    rows = [[name.replace("_", " "), f"{count:,}"] for name, count in counts.to_value().items()]
    show_table("", ["checked", "count"], rows)
    for note in (*report.files.notes, *(str(item) for item in report.files.damages)):
        say(f"  note: {note}")


def _members(report: AuditReport) -> str:
    last = report.epochs[-1]
    changes = f", epoch {last.epoch} since block {last.first_height}" if last.epoch else ""
    trusted = "" if report.trusted is None else f"; block {report.trusted} as trusted"
    return f"{len(last.validators)} validators{changes}{trusted}"


def _value(report: AuditReport, seconds: float) -> dict[str, Any]:
    finding = report.finding
    return {
        "verdict": report.verdict.value,
        "chain_id": report.chain_id,
        "head": report.head,
        "certified": report.certified,
        "trusted": report.trusted,
        "epochs": [
            {
                "epoch": span.epoch,
                "first_height": span.first_height,
                "validators": span.validators,
            }
            for span in report.epochs
        ],
        "counts": report.counts.to_value(),
        "seconds_ms": int(seconds * 1000),
        "finding": None
        if finding is None
        else {name: getattr(finding, name) for name in finding.__slots__},
        "damages": [
            {name: getattr(item, name) for name in item.__slots__} for item in report.files.damages
        ],
        "notes": report.files.notes,
    }
