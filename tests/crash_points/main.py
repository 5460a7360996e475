"""`scripts/crash-points`: stops a machine at every operation on its disk, and looks what is left.

It prints the commit first, a line for each part that is done, and at the end what was tried. A
failing point is a line to paste after `--only`. Exit code 1 tells of a violation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.crash_points.explore import Point, Tally, explore, parse_point, run_point
from tests.crash_points.load import BATCH, TRANSACTIONS
from tests.crash_points.world import SIZE, World
from tests.simulator.main import get_commit

PARTS = 8
FAILURES_SHOWN = 10


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="crash-points",
        description=f"Crash at every disk operation of {TRANSACTIONS} transactions by {BATCH}.",
        epilog="example: crash-points --only 0:123:torn",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--member", type=int, choices=range(SIZE), help="crash only this member")
    parser.add_argument("--every", type=int, default=1, help="try only each N-th point of a part")
    parser.add_argument("--only", type=parse_point, help="try one MEMBER:OPERATION:MODE")
    return parser.parse_args(argv)


def try_all(members: Sequence[int], every: int, jobs: int) -> Tally:
    """Return the sum over all points of some members, with a line for each part."""
    total = Tally()
    with ProcessPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(explore, member, part, PARTS, every): (member, part)
            for member in members
            for part in range(PARTS)
        }
        for future in as_completed(futures):
            tally = future.result()
            total.add(tally)
            member, part = futures[future]
            print(
                f"member {member}, part {part + 1} of {PARTS}: {tally.points:,} points, "
                f"{len(tally.failures)} failed; {total.points:,} so far",
                flush=True,
            )
    return total


def _print_summary(tally: Tally, seconds: float) -> None:
    for what, counter in (
        ("mode", tally.by_mode),
        ("member", tally.by_member),
        ("highest view", tally.views),
    ):
        parts = ", ".join(f"{name}: {number:,}" for name, number in sorted(counter.items()))
        print(f"points by {what}: {parts}")
    print(f"{tally.points:,} points in {seconds:.0f} s, {len(tally.failures)} failed")
    for point, text in tally.failures[:FAILURES_SHOWN]:
        print(f"FAILED --only {point}: {text}")


def _run_one(point: Point) -> int:
    world = run_point(World(), point)
    print(f"{point}: {world.counts['blocks']} blocks, view {world.counts['highest view']}")
    return 0


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    print(f"crash points of {SIZE} members, commit {get_commit()}", flush=True)
    if arguments.only is not None:
        return _run_one(arguments.only)
    members = range(SIZE) if arguments.member is None else [arguments.member]
    started = time.perf_counter()
    tally = try_all(members, arguments.every, arguments.jobs)
    _print_summary(tally, time.perf_counter() - started)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
