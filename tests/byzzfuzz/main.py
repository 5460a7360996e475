"""`scripts/byzzfuzz`: runs seeds of small mutations; a failing one is shown with its faults.

It prints the commit first and at the end what was reached. Exit code 1 tells of a violation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from ledger.errors import CreditLedgerError
from tests.byzzfuzz.plan import draw_plan
from tests.byzzfuzz.world import World
from tests.simulator.checkers import ViolationError
from tests.simulator.main import get_commit
from tests.simulator.scheduler import NS_PER_S

CHUNK = 200
FAILURES_SHOWN = 10
# A replica that raises is as broken as one that lies.
BROKEN = (ViolationError, CreditLedgerError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Tally:
    """What came of seeds."""

    runs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    recovery_ns_max: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the tally of other seeds."""
        self.runs += other.runs
        self.counts.update(other.counts)
        self.recovery_ns_max = max(self.recovery_ns_max, other.recovery_ns_max)
        self.failures += other.failures


def run_seed(seed: int) -> World:
    """Return the world at the end of a seed; raise `ViolationError`."""
    world = World(draw_plan(seed), seed)
    world.run()
    return world


def run_chunk(seeds: Sequence[int]) -> Tally:
    """Run seeds one after the other, and go on after a failure."""
    tally = Tally()
    for seed in seeds:
        tally.runs += 1
        try:
            world = run_seed(seed)
        except BROKEN as error:
            tally.failures.append((seed, f"{type(error).__name__}: {error}"))
            continue
        tally.counts.update(world.counts)
        tally.recovery_ns_max = max(tally.recovery_ns_max, world.recovery_ns)
    return tally


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="byzzfuzz",
        description="Change messages of one member a little, at given rounds, and cut rounds.",
        epilog="example: byzzfuzz --seeds 0..9999",
    )
    parser.add_argument("--seeds", default="0..999", help="run seeds A to B inclusive, as A..B")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    first, _, last = arguments.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    print(f"byzzfuzz, seeds {seeds[0]}..{seeds[-1]}, commit {get_commit()}", flush=True)
    started = time.perf_counter()
    total = Tally()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
        for tally in pool.map(run_chunk, chunks):
            total.add(tally)
    for name, number in sorted(total.counts.items()):
        print(f"{number:>12,}  {name}")
    print(
        f"{total.runs:,} seeds in {time.perf_counter() - started:.0f} s, longest recovery "
        f"{total.recovery_ns_max / NS_PER_S:.2f} s, {len(total.failures)} failed"
    )
    for seed, text in total.failures[:FAILURES_SHOWN]:
        print(f"FAILED --seeds {seed}: {text}\n       {draw_plan(seed)}")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
