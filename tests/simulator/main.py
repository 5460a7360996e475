"""`scripts/simulate`: runs seeds and says what they reached; a failure is a line to paste.

It prints seed, commit and options first. A single seed ends with the hash of its trace: the same
seed and options give the same hash on every machine. Exit code 1 tells of a violation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from ledger.errors import CreditLedgerError
from tests.simulator.checkers import ViolationError
from tests.simulator.faults import KINDS, SPECIAL
from tests.simulator.scheduler import NS_PER_S
from tests.simulator.simulation import Options, Result, Simulation

CHUNK = 25
SIZES = (4, 5, 6, 7)
FAILURES_SHOWN = 10
# A replica that raises is as broken as one that lies.
BROKEN = (ViolationError, CreditLedgerError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Outcome:
    """What came of a chunk of seeds."""

    runs: int = 0
    simulated_ns: int = 0
    recovery_ns_max: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, int, str]] = field(default_factory=list)
    trace: str = ""

    def add(self, other: Outcome) -> None:
        """Add another chunk's outcome."""
        self.runs += other.runs
        self.simulated_ns += other.simulated_ns
        self.recovery_ns_max = max(self.recovery_ns_max, other.recovery_ns_max)
        self.counts.update(other.counts)
        self.failures += other.failures
        self.trace = other.trace


def size_of(seed: int, nodes: int) -> int:
    """Return the number of members of a seed: `nodes`, or 4 to 7 by turns if that is 0."""
    return nodes or SIZES[seed % len(SIZES)]


def run_seed(seed: int, options: Options) -> Result:
    """Run one seed; raise `ViolationError`."""
    return Simulation(seed, options).run()


def run_chunk(seeds: Sequence[int], nodes: int, faults: frozenset[str], is_real: bool) -> Outcome:
    """Run seeds one after the other, and go on after a failure."""
    outcome = Outcome()
    for seed in seeds:
        size = size_of(seed, nodes)
        options = Options(nodes=size, faults=faults, has_real_signatures=is_real)
        outcome.runs += 1
        try:
            result = run_seed(seed, options)
        except BROKEN as error:
            outcome.failures.append((seed, size, f"{type(error).__name__}: {error}"))
            continue
        outcome.simulated_ns += result.simulated_ns
        outcome.recovery_ns_max = max(outcome.recovery_ns_max, result.recovery_ns)
        outcome.counts.update(result.counts)
        outcome.trace = result.trace
    return outcome


def _chunks(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(seeds), CHUNK):
        yield seeds[start : start + CHUNK]


def run_seeds(
    seeds: Sequence[int], nodes: int, faults: frozenset[str], is_real: bool, jobs: int
) -> Outcome:
    """Run seeds in `jobs` processes."""
    total = Outcome()
    if jobs <= 1:
        total.add(run_chunk(seeds, nodes, faults, is_real))
        return total
    with ProcessPoolExecutor(jobs) as pool:
        futures = [
            pool.submit(run_chunk, chunk, nodes, faults, is_real) for chunk in _chunks(seeds)
        ]
        for future in futures:
            total.add(future.result())
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
    parser.add_argument("--seed", type=int, help="run one seed and print the hash of its trace")
    parser.add_argument("--seeds", default="0..99", help="run seeds A to B inclusive, as A..B")
    parser.add_argument("--nodes", type=int, default=0, help="members; default 4 to 7 by turns")
    parser.add_argument(
        "--faults",
        default=",".join(KINDS),
        help="comma-separated, of: " + ", ".join(KINDS + SPECIAL),
    )
    parser.add_argument("--real-signatures", action="store_true", help="sign with Ed25519 (slow)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args(argv)
    unknown = set(filter(None, arguments.faults.split(","))) - {*KINDS, *SPECIAL}
    if unknown:
        parser.error(
            f"unknown fault {sorted(unknown)[0]}, want some of {', '.join(KINDS + SPECIAL)}"
        )
    return arguments


def _seeds_of(arguments: argparse.Namespace) -> range:
    if arguments.seed is not None:
        return range(arguments.seed, arguments.seed + 1)
    first, _, last = arguments.seeds.partition("..")
    return range(int(first), int(last or first) + 1)


def _print_summary(outcome: Outcome, seconds: float) -> None:
    for name, number in sorted(outcome.counts.items()):
        print(f"{number:>12,}  {name}")
    simulated_s = outcome.simulated_ns / NS_PER_S
    print(
        f"{outcome.runs} seeds in {seconds:.1f} s ({outcome.runs / seconds:.1f} a second), "
        f"{simulated_s:.0f} simulated seconds ({simulated_s / seconds:.0f} times real time), "
        f"longest recovery {outcome.recovery_ns_max / NS_PER_S:.2f} s, "
        f"{len(outcome.failures)} failed"
    )


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    seeds = _seeds_of(arguments)
    faults = frozenset(filter(None, arguments.faults.split(",")))
    print(
        f"seeds {seeds[0]}..{seeds[-1]}, commit {get_commit()}, "
        f"nodes {arguments.nodes or '4 to 7'}, faults {','.join(sorted(faults)) or 'none'}, "
        f"{'Ed25519' if arguments.real_signatures else 'fast'} signatures",
        flush=True,
    )
    started = time.perf_counter()
    outcome = run_seeds(seeds, arguments.nodes, faults, arguments.real_signatures, arguments.jobs)
    _print_summary(outcome, time.perf_counter() - started)
    if arguments.seed is not None and not outcome.failures:
        print(f"trace {outcome.trace}")
    for seed, size, text in outcome.failures[:FAILURES_SHOWN]:
        print(f"FAILED --seed {seed} --nodes {size}: {text}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
