"""`scripts/simulate`: runs seeds and says what they reached; a failure is a line to paste.

It prints seed, commit and options first. A single seed ends with the hash of its trace: the same
seed and options give the same hash on every machine. A seed that fails is shrunk to the shortest
schedule that fails alike and written as a scenario. Exit code 1 tells of a violation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tests.scenarios import runner
from tests.simulator.draw import KINDS, SPECIAL, Options, draw_schedule
from tests.simulator.mixes import options_of, size_of
from tests.simulator.scheduler import NS_PER_S
from tests.simulator.shrink import BROKEN, shrink
from tests.simulator.simulation import Result, Simulation
from tests.simulator.summary import summary_lines

CHUNK = 10
FAILURES_SHOWN = 10
LINE = 100
SHRUNK_MAX = 3
S_PER_HOUR = 3600
PROGRESS_S = 60


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of each seed; `nodes` 0 and `faults` None: the seed's own mix."""

    nodes: int = 0
    faults: frozenset[str] | None = None
    has_real_signatures: bool = False
    is_real_ledger: bool = False

    def options(self, seed: int) -> Options:
        """Return the options of a seed."""
        options = options_of(seed) if self.faults is None else Options(faults=self.faults)
        return replace(
            options,
            nodes=self.nodes or size_of(seed),
            has_real_signatures=self.has_real_signatures,
            is_real_ledger=self.is_real_ledger,
        )


@dataclass(slots=True)
class Outcome:
    """What came of a chunk of seeds."""

    runs: int = 0
    processor_s: float = 0.0
    simulated_ns: int = 0
    recovery_ns_max: int = 0
    share_max: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, int, str]] = field(default_factory=list)
    trace: str = ""

    def add(self, other: Outcome) -> None:
        """Add another chunk's outcome."""
        self.runs += other.runs
        self.processor_s += other.processor_s
        self.simulated_ns += other.simulated_ns
        self.recovery_ns_max = max(self.recovery_ns_max, other.recovery_ns_max)
        self.share_max = max(self.share_max, other.share_max)
        self.counts.update(other.counts)
        self.failures += other.failures
        self.trace = other.trace

    def add_run(self, result: Result) -> None:
        """Add one run."""
        self.simulated_ns += result.simulated_ns
        self.recovery_ns_max = max(self.recovery_ns_max, result.recovery_ns)
        self.share_max = max(self.share_max, result.recovery_ns / max(1, result.bound_ns))
        self.counts.update(result.counts)
        self.trace = result.trace


def run_requests(seeds: Sequence[int], request: Request) -> Outcome:
    """Run seeds one after the other, and go on after a failure."""
    outcome, started_s = Outcome(), time.process_time()
    for seed in seeds:
        options = request.options(seed)
        outcome.runs += 1
        try:
            outcome.add_run(Simulation(seed, options).run())
        except BROKEN as error:
            outcome.failures.append((seed, options.nodes, f"{type(error).__name__}: {error}"))
    outcome.processor_s = time.process_time() - started_s
    return outcome


def run_chunk(seeds: Sequence[int], nodes: int, faults: frozenset[str], is_real: bool) -> Outcome:
    """Run seeds with these faults."""
    return run_requests(seeds, Request(nodes, faults, is_real))


def _chunks(seeds: Iterator[int]) -> Iterator[list[int]]:
    while chunk := list(islice(seeds, CHUNK)):
        yield chunk


class Progress:
    """Says once in a while how far a long command has come."""

    def __init__(self) -> None:
        self._told_s = time.perf_counter()

    def tell(self, total: Outcome) -> None:
        """Print a line, if the last one is long enough ago; and at once what fails anew."""
        now_s = time.perf_counter()
        if now_s - self._told_s >= PROGRESS_S:
            self._told_s = now_s
            failed = f"{len(total.failures)} failed {total.failures[-1:] or ''}"
            print(f"... {total.runs} seeds, {failed}", file=sys.stderr, flush=True)


def run_seeds(seeds: Iterator[int], request: Request, jobs: int, hours: float) -> Outcome:
    """Run seeds in `jobs` processes: all of them, or as many as make so many simulated hours."""
    total, limit_ns = Outcome(), int(hours * S_PER_HOUR * NS_PER_S)
    chunks, progress = _chunks(seeds), Progress()
    if jobs <= 1:
        for chunk in chunks:
            total.add(run_requests(chunk, request))
            progress.tell(total)
            if limit_ns and total.simulated_ns >= limit_ns:
                break
        return total
    with ProcessPoolExecutor(jobs) as pool:
        while batch := list(islice(chunks, 4 * jobs)):
            for outcome in pool.map(run_requests, batch, [request] * len(batch)):
                total.add(outcome)
                progress.tell(total)
            if limit_ns and total.simulated_ns >= limit_ns:
                break
    return total


def get_commit() -> str:
    """Return the short hash of the commit that runs, with a mark if files are changed."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="simulate",
        description="Run the replicas through seeded faults and check every property.",
        epilog="example: simulate --seeds 0..999 --jobs 2",
    )
    names = ", ".join(KINDS + SPECIAL)
    parser.add_argument("--seed", type=int, help="run one seed and print the hash of its trace")
    parser.add_argument("--seeds", default="0..99", help="run seeds A to B inclusive, as A..B")
    parser.add_argument("--hours", type=float, default=0.0, help="run seeds from A on until so "
                        "many hours are simulated")  # fmt: skip
    parser.add_argument("--nodes", type=int, default=0, help="members; default 4 to 26 by turns")
    parser.add_argument("--faults", help=f"comma-separated, of: {names}; default: mixes by turns")
    parser.add_argument("--real-signatures", action="store_true", help="sign with Ed25519 (slow)")
    parser.add_argument("--real-ledger", action="store_true", help="execute and store real blocks")
    parser.add_argument("--story", action="store_true", help="print the schedule of --seed")
    parser.add_argument("--no-shrink", action="store_true", help="do not shrink what fails")
    parser.add_argument("--scenario", type=Path, nargs="+", help="replay scenario files instead")
    parser.add_argument("--rewrite", action="store_true", help="write what came of --scenario")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args(argv)
    unknown = set(filter(None, (arguments.faults or "").split(","))) - {*KINDS, *SPECIAL}
    if unknown:
        parser.error(f"unknown fault {sorted(unknown)[0]}, want some of {names}")
    return arguments


def _seeds_of(arguments: argparse.Namespace) -> tuple[int, int]:
    if arguments.seed is not None:
        return arguments.seed, arguments.seed
    first, _, last = arguments.seeds.partition("..")
    return int(first), 10**9 if arguments.hours else int(last or first)


def _request_of(arguments: argparse.Namespace) -> Request:
    faults = arguments.faults
    return Request(
        arguments.nodes,
        None if faults is None else frozenset(filter(None, faults.split(","))),
        arguments.real_signatures,
        arguments.real_ledger,
    )


def _print_first(arguments: argparse.Namespace, request: Request, first: int, last: int) -> None:
    faults = "mixes" if request.faults is None else ",".join(sorted(request.faults)) or "none"
    until = f"..{last}" if not arguments.hours else f" on for {arguments.hours:g} simulated hours"
    print(
        f"seeds {first}{until}, commit {get_commit()}, nodes {request.nodes or '4 to 26'}, "
        f"faults {faults}, {'Ed25519' if request.has_real_signatures else 'fast'} signatures, "
        f"{'real' if request.is_real_ledger else 'model'} ledger",
        flush=True,
    )


def _print_summary(outcome: Outcome, request: Request, seconds: float) -> None:
    faults = frozenset(KINDS) if request.faults is None else request.faults
    for line in summary_lines(outcome.counts, faults):
        print(line)
    simulated_s = outcome.simulated_ns / NS_PER_S
    print(
        f"{outcome.runs} seeds in {seconds:.1f} s ({outcome.runs / seconds:.1f} a second), "
        f"{simulated_s:.0f} simulated seconds ({simulated_s / seconds:.0f} times real time, "
        f"{simulated_s / outcome.processor_s:.0f} times its processor time), "
        f"longest recovery {outcome.recovery_ns_max / NS_PER_S:.2f} s, at most "
        f"{outcome.share_max:.0%} of its bound, {len(outcome.failures)} failed"
    )


def write_found(seed: int, options: Options, folder: Path) -> Path | None:
    """Shrink a seed that fails and write it as a scenario; None if it does not fail."""
    drawn = draw_schedule(seed, options)
    found = shrink(drawn)
    if found is None:
        return None
    schedule, failure, runs = found
    path = folder / f"seed-{seed}.txt"
    story = [
        f"# Found by seed {seed} with {options.nodes} members, commit {get_commit()}:",
        f"#   {failure.text}"[:LINE],
        f"# Shrunk from {len(drawn.lines())} lines to {len(schedule.lines())} in {runs} runs.",
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*story, *schedule.lines(), runner.RULE, ""]), encoding="utf-8")
    return path


def _replay(paths: Sequence[Path], is_rewritten: bool) -> int:
    """Play scenario files; say which end otherwise than they tell, or write them anew."""
    failed = 0
    for path in paths:
        scenario = runner.load(path)
        came = runner.play(scenario)
        if is_rewritten:
            runner.rewrite(path)
        is_told = is_rewritten or came == scenario.told
        failed += not is_told
        print(f"{path.stem}: {'as told' if is_told else 'otherwise'}", *came, sep="\n    ")
    return 1 if failed else 0


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    if arguments.scenario is not None:
        return _replay(arguments.scenario, arguments.rewrite)
    (first, last), request = _seeds_of(arguments), _request_of(arguments)
    _print_first(arguments, request, first, last)
    if arguments.story:
        print("\n".join(draw_schedule(first, request.options(first)).lines()), flush=True)
    started = time.perf_counter()
    seeds = iter(range(first, last + 1))
    outcome = run_seeds(seeds, request, arguments.jobs, arguments.hours)
    _print_summary(outcome, request, time.perf_counter() - started)
    if arguments.seed is not None and not outcome.failures:
        print(f"trace {outcome.trace}")
    for seed, size, text in outcome.failures[:FAILURES_SHOWN]:
        print(f"FAILED --seed {seed} --nodes {size}: {text}", flush=True)
    for seed, _, _ in outcome.failures[: 0 if arguments.no_shrink else SHRUNK_MAX]:
        path = write_found(seed, request.options(seed), runner.FOLDER / "found")
        print(f"shrunk to {path}" if path else f"seed {seed} does not fail again")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
