"""What the runs of a command have reached, in groups, and what never happened.

A fault that never happened proves nothing, so all that could have happened is listed here by name,
and the last line of the summary says what of it did not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.simulator.byzantine import BEHAVIOURS
from tests.simulator.draw import KINDS, LASTING

LINE = 100
# Title of a group, and how the names of its counts begin; the rest is "other".
GROUPS = (
    ("views", ("views ", "view changes: ", "highest view")),
    ("faults begun", ("faults: ",)),
    ("crashes", ("crashes: ", "restarts", "vote logs ", "damaged: ")),
    ("faulty members", ("faulty members: ",)),
    ("lies told", ("lies: ",)),
    ("evidence", ("evidence ",)),
    ("members", ("epochs", "members: ")),
    ("transfer", ("catch-ups", "snapshots", "fetches ", "relays")),
    ("messages", ("messages ", "refused before")),
    ("work", ("transactions", "acknowledged", "blocks", "kinds: ")),
    ("acts", ("acts: ",)),
    ("dropped", ("dropped: ",)),
)
CAUSES = ("request timeout", "new-view timeout", "weak quorum of view changes")
CRASHES = (
    "at any time",
    *(f"{how} a sync" for how in ("before", "after", "torn", "failing")),
    *(f"{how} a prune" for how in ("torn", "failing")),
    *(f"{how} a block" for how in ("before", "after")),
    *(f"{how} a send" for how in ("before", "after")),
)
STEPS = {
    "crash": ("crash", "crash at a point"),
    "loss": ("loss",),
    "delay": ("delay",),
    "reorder": ("delay",),
    "duplicate": ("duplicate",),
    "partition": ("partition",),
    "cut": ("cut one way",),
    "flap": ("flap",),
    "clog": ("clog",),
    "clock": ("clock off", "clock stopped"),
    "stall": ("stall",),
    "disk": ("lie", "damage"),
    "flood": ("flood",),
}


def wanted(faults: frozenset[str]) -> Iterator[str]:
    """Yield the names of all that runs with these faults ought to have reached."""
    yield from ("views entered", "catch-ups", "acknowledged")
    yield from (f"view changes: {cause}" for cause in CAUSES)
    for kind in KINDS:
        if kind in faults:
            yield from (f"faults: {name}" for name in STEPS.get(kind, ()))
    if "crash" in faults:
        yield from (f"crashes: {name}" for name in CRASHES)
    if "byzantine" in faults:
        yield from (f"lies: {name}" for name in sorted(BEHAVIOURS))
    if faults & set(LASTING):
        yield "evidence found"
    if "twins" in faults:
        yield "faulty members: twins"
    if "disk" in faults:
        yield "vote logs refused"
        yield "faulty members: its disk lost what it had synced"


def _group_of(name: str) -> str:
    for title, beginnings in GROUPS:
        if name.startswith(beginnings):
            return title
    return "other"


def _wrap(title: str, parts: list[str]) -> Iterator[str]:
    line = f"{title}: "
    for place, part in enumerate(parts):
        piece = part + (", " if place < len(parts) - 1 else "")
        if len(line) + len(piece) > LINE and line.strip():
            yield line.rstrip()
            line = "    "
        line += piece
    yield line.rstrip()


def summary_lines(counts: Counter[str], faults: frozenset[str]) -> Iterator[str]:
    """Yield the lines of the summary."""
    groups: dict[str, list[str]] = {title: [] for title, _ in GROUPS} | {"other": []}
    for name, number in sorted(counts.items()):
        title = _group_of(name)
        short = name.split(": ", 1)[1] if ": " in name else name
        groups[title].append(f"{short} {number:,}")
    for title, parts in groups.items():
        if parts:
            yield from _wrap(title, parts)
    never = [name for name in dict.fromkeys(wanted(faults)) if not counts[name]]
    yield from _wrap("never", never or ["nothing: all of it happened"])
