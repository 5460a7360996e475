"""Steps 5 and 6: the primary is killed under load; copies of the data are audited and damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from commands.demo.stage import Stage, StepFailed, find
from commands.values import now_ms

_POLL_SECONDS = 0.02
_BEFORE_KILL = 100
_WAIT_SECONDS = 60


def kill_primary(stage: Stage, loads: list[tuple[str, Path, Path]]) -> None:
    """Kill the primary while single-record transactions go in; nothing acknowledged is lost.

    `loads` are (member, file, mapping); one of a member other than the primary's is taken.
    """
    before = _best(stage)
    primary = str(before["primary"])
    member, file, mapping = next(load for load in loads if load[0] != primary)
    ids = stage.net / "acknowledged.txt"
    options = ("--map", mapping, "--batch", "1", "--ids", ids, "--as", member)
    load = stage.start("submit", file, *options, log=stage.net / "load.log")
    try:
        _wait_for(lambda: _count(ids) >= _BEFORE_KILL, load, "transactions before the kill")
        killed_ms = now_ms()
        stage.run("devnet", "kill", primary)
        if load.wait(_WAIT_SECONDS * 2) != 0:
            raise StepFailed(f"the load ended badly: see {stage.net / 'load.log'}")
    finally:
        if load.poll() is None:
            load.kill()
    stage.say((stage.net / "load.log").read_text().rstrip())
    stage.run("status")
    stage.run("tx", "status", "--file", ids)
    after = _best(stage)
    if after["primary"] == primary:
        raise StepFailed(f"{primary} is still the primary, in view {after['view']}")
    gap_ms = _longest_gap_ms(ids, killed_ms)
    figure = f"longest time without an acknowledgement {gap_ms:,} ms"
    stage.note("primary killed (SIGKILL) under load", figure)
    views = f"view {before['view']} before, {after['view']} after"
    stage.note("acknowledged transactions, none lost", f"{_count(ids):,}; {views}")
    _restart(stage, primary)


def _longest_gap_ms(ids: Path, since_ms: int) -> int:
    """Return the longest time without an acknowledgement, from `since_ms` on."""
    times = [int(line.split()[1]) for line in ids.read_text().splitlines()]
    before = max((time for time in times if time <= since_ms), default=since_ms)
    after = [before, *(time for time in times if time > since_ms)]
    return max((later - time for time, later in pairwise(after)), default=0)


def _restart(stage: Stage, member: str) -> None:
    since = monotonic()
    stage.run("devnet", "restart", member)
    while True:
        nodes = {str(node["member"]): node for node in stage.ask("status")}
        top = max(node["height"] for node in nodes.values() if "height" in node)
        if nodes[member].get("height") == top:
            break
        if monotonic() - since > _WAIT_SECONDS:
            raise StepFailed(f"the node of {member} did not catch up with block {top}")
        sleep(_POLL_SECONDS)
    stage.run("status")
    stage.note("killed node restarted", f"caught up in {monotonic() - since:.1f} s")


def _best(stage: Stage) -> Mapping[str, Any]:
    """Return the status of the node that is furthest in views."""
    nodes = [node for node in stage.ask("status") if "view" in node]
    return max(nodes, key=lambda node: (node["view"], node["height"]))


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_for(condition: Any, load: subprocess.Popen[bytes], what: str) -> None:
    deadline = monotonic() + _WAIT_SECONDS
    while not condition():
        if load.poll() is not None:
            raise StepFailed(f"the load ended before there were {what}")
        if monotonic() > deadline:
            raise StepFailed(f"waited {_WAIT_SECONDS} s for {what}")
        sleep(_POLL_SECONDS)


def audit_copies(stage: Stage, home: Path, seed: int) -> None:
    """Audit a copy of a node's data; then two damaged ones, whose damage the audit must name."""
    folder = stage.net / "audit"
    whole = folder / "whole"
    stage.run("backup", "--home", home, "--out", whole)
    output = stage.run("audit", whole, "--trust", stage.net / "genesis.bin")
    if "VALID" not in output:
        raise StepFailed("the audit of the whole copy does not say VALID")
    stage.note("audit of a node's data", _first_figures(output))
    _tampered(stage, whole, folder, seed)
    _flipped(stage, whole, folder, seed)


def _copy(stage: Stage, whole: Path, folder: Path, name: str) -> Path:
    stage.say(f"$ cp -r {whole} {folder / name}")
    shutil.copytree(whole, folder / name)
    return folder / name


def _tampered(stage: Stage, whole: Path, folder: Path, seed: int) -> None:
    copy, note = _copy(stage, whole, folder, "rewritten"), folder / "rewritten.json"
    stage.run("devnet", "tamper", "--home", copy, "--seed", str(seed), "--note", note)
    output = stage.run("audit", copy, "--trust", stage.net / "genesis.bin", want=(1,))
    done = json.loads(note.read_text())
    place = f"block {done['height']}"
    if place not in output or f"transaction {done['position']}" not in output:
        raise StepFailed(f"the audit does not name {place}, transaction {done['position']}")
    what = f"{done['part']}, {done['change']}"
    stage.say(f"(what had been rewritten: {place}, transaction {done['position']}: {what})")
    stage.note(f"rewritten block ({done['part']})", f"found: {place}, tx {done['position']}")


def _flipped(stage: Stage, whole: Path, folder: Path, seed: int) -> None:
    copy, note = _copy(stage, whole, folder, "flipped"), folder / "flipped.json"
    stage.run("devnet", "flip", "--home", copy, "--seed", str(seed), "--note", note)
    # A few bytes of a file are padding: then the copy is VALID, and the audit says so by name.
    output = stage.run("audit", copy, "--trust", stage.net / "genesis.bin", want=(0, 1))
    done = json.loads(note.read_text())
    if done["file"] not in output or "lost: " not in output:
        raise StepFailed(f"the audit does not name the file {done['file']}")
    stage.say(f"(what had been flipped: {done['file']}, byte {done['offset']})")
    stage.note("flipped byte", f"found: {done['file']}, byte {done['offset']}")


def _first_figures(output: str) -> str:
    blocks = find(r"blocks +([0-9,]+)", output)
    transactions = find(r"transactions +([0-9,]+)", output)
    records = find(r"records +([0-9,]+)", output)
    took = find(r"time +([0-9.]+ s)", output)
    return f"VALID: {blocks} blocks, {transactions} transactions, {records} records in {took}"
