"""Replays a scenario: a schedule with a story, what must come of it, and what came of it.

A file has three parts. Comments tell the story; the lines of a schedule (`simulator.schedule`) make
it happen; `want` lines, written by hand, say what must hold at the end. After `----` stands what
came of the run, line by line; a run that differs fails, and the rewrite mode writes it anew:

    ./scripts/simulate --scenario tests/scenarios/f04-equivocation.txt --rewrite

Every property of the checkers, and the bound B, hold in every scenario without being asked for, and
every lie of a liar must have been told: a fault that never happened proves nothing.

    want view V             every honest member ends in view V, in the normal case
    want no view change     nobody left the first view
    want cause TEXT         some member left a view for this reason, and for no other
    want evidence M         all evidence is against member M, and there is some; or `none`
    want down M             member M ends refused by its own home
    want count NAME OP N    a count of the summary, with OP one of = > <
    want within N           calm again in less than N ms after faults end
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.schedule import Schedule, ScheduleError, parse_schedule
from tests.simulator.scheduler import NS_PER_MS
from tests.simulator.simulation import Result, Simulation

FOLDER = Path(__file__).parent
RULE = "----"
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


class ScenarioError(AssertionError):
    """A scenario did not end as its file says."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file: `head` is its text up to the rule, `told` what came of it when it was written."""

    name: str
    head: str
    schedule: Schedule
    wants: tuple[str, ...]
    told: tuple[str, ...]


def load(path: Path) -> Scenario:
    """Read a scenario; raise `ScheduleError` with the line that cannot be read."""
    head, _, tail = path.read_text(encoding="utf-8").partition(f"{RULE}\n")
    lines = [line.strip() for line in head.splitlines()]
    wants = tuple(line.removeprefix("want ") for line in lines if line.startswith("want "))
    schedule = parse_schedule(line for line in lines if not line.startswith("want "))
    return Scenario(path.stem, head, schedule, wants, tuple(tail.splitlines()))


def tell(simulation: Simulation, result: Result) -> Iterator[str]:
    """Yield what came of a run: views, blocks, why views were left, evidence."""
    views = ", ".join(_describe(simulation, member) for member in range(simulation.size))
    yield f"views: {views}"
    for height, block in sorted(simulation.checkers.blocks.items()):
        names = [simulation.clients.name_of(digest) for digest in block.transactions]
        names = [name for name in names if not name.startswith("flood-")]
        if names:
            yield f"block {height}: {' '.join(names)}"
    yield f"blocks: {len(simulation.checkers.blocks)}"
    for name, number in sorted(result.counts.items()):
        if name.startswith("view changes: "):
            yield f"{name} {number}"
    for signer, number in sorted(simulation.evidence.items()):
        yield f"evidence: {number} against {signer}"


def _describe(simulation: Simulation, member: int) -> str:
    node = simulation.nodes[member]
    if not node.is_up:
        return "down"
    return f"{node.replica.view}" + ("" if node.replica.is_normal else " (view change)")


def play(scenario: Scenario) -> tuple[str, ...]:
    """Run a scenario, hold it to what it wants, and return what came of it."""
    simulation = Simulation(scenario.schedule.seed, schedule=scenario.schedule)
    result = simulation.run()
    for liar in scenario.schedule.liars:
        for name in liar.behaviours:
            _check(f"count lies: {name} > 0", simulation, result)
    for want in scenario.wants:
        _check(want, simulation, result)
    return tuple(tell(simulation, result))


def replay(name: str) -> None:
    """Run the scenario of a file in this folder, and compare with what it tells."""
    scenario = load(FOLDER / f"{name}.txt")
    came = play(scenario)
    if came != scenario.told:
        raise ScenarioError(f"{name} ended otherwise; look, then --rewrite:\n" + "\n".join(came))


def rewrite(path: Path) -> None:
    """Run a scenario and write what came of it below the rule."""
    scenario = load(path)
    text = scenario.head.rstrip("\n") + f"\n{RULE}\n" + "\n".join(play(scenario)) + "\n"
    path.write_text(text, encoding="utf-8")


# What a scenario may want


def _check(want: str, simulation: Simulation, result: Result) -> None:
    for beginning, check in _CHECKS.items():
        if want.startswith(beginning):
            holds, got = check(want.removeprefix(beginning).strip(), simulation, result)
            if not holds:
                raise ScenarioError(f"want {want}, got {got}")
            return
    raise ScheduleError(f"cannot read want {want!r}")


def _check_view(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    honest = [node for node in simulation.nodes if node.is_honest]
    views = [(node.index, node.replica.view, node.replica.is_normal) for node in honest]
    return all(view == int(words) and normal for _, view, normal in views), f"{views}"


def _causes(result: Result) -> set[str]:
    names = [name for name in result.counts if name.startswith("view changes: ")]
    return {name.removeprefix("view changes: ") for name in names}


def _check_no_view_change(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    causes = _causes(result)
    return not causes, f"{causes}"


def _check_cause(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    followers = {"weak quorum of view changes"}
    return _causes(result) - followers == {words}, f"{sorted(_causes(result))}"


def _check_evidence(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    wanted = set() if words == "none" else {int(words)}
    return set(simulation.evidence) == wanted, f"{dict(simulation.evidence)}"


def _check_down(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    down = [node.index for node in simulation.nodes if node.is_lost]
    return down == [int(words)], f"{down}"


def _check_count(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    name, sign, number = words.rsplit(" ", 2)
    got = result.counts[name]
    return _OPERATORS[sign](got, int(number)), f"{got}"


def _check_within(words: str, simulation: Simulation, result: Result) -> tuple[bool, str]:
    got_ms = result.recovery_ns // NS_PER_MS
    return got_ms < int(words), f"{got_ms} ms"


_CHECKS: dict[str, Callable[[str, Simulation, Result], tuple[bool, str]]] = {
    "view ": _check_view,
    "no view change": _check_no_view_change,
    "cause ": _check_cause,
    "evidence ": _check_evidence,
    "down ": _check_down,
    "count ": _check_count,
    "within ": _check_within,
}
