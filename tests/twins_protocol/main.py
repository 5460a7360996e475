"""`scripts/twins`: every Twins schedule of four members over four views, or one of them.

It prints the commit first, a line for each part that is done, and at the end what was reached. A
failing schedule is a line to paste after `--only`. Exit code 1 tells of a violation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulator.main import get_commit
from tests.simulator.scheduler import NS_PER_S
from tests.twins_protocol.explore import (
    SCHEDULES,
    Schedule,
    Tally,
    explore_from,
    parse_schedule,
    schedule_of,
)
from tests.twins_protocol.world import SIZE, SPLITS

FAILURES_SHOWN = 10


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="twins",
        description=f"Run {SCHEDULES:,} Twins schedules: 4 members, 4 views, 15 splits.",
        epilog="example: twins --only 0:3,7,12,1",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--twin", type=int, choices=range(SIZE), help="twin only this member")
    parser.add_argument("--only", type=parse_schedule, help="TWIN:a,b,c,d; shorter: all such")
    parser.add_argument("--every", type=int, default=0, help="run only each N-th schedule")
    return parser.parse_args(argv)


def _parts(arguments: argparse.Namespace) -> list[Schedule]:
    if arguments.only is not None:
        return [arguments.only]
    if arguments.every:
        return [schedule_of(number) for number in range(0, SCHEDULES, arguments.every)]
    twins = range(SIZE) if arguments.twin is None else [arguments.twin]
    return [Schedule(twin, (split,)) for twin in twins for split in range(SPLITS)]


def explore_parts(parts: Iterable[Schedule], jobs: int, is_told: bool) -> Tally:
    """Return the sum over the parts; `is_told`: with a line for each."""
    total = Tally()
    with ProcessPoolExecutor(jobs) as pool:
        futures = {pool.submit(explore_from, part): part for part in parts}
        for future in as_completed(futures):
            tally = future.result()
            total.add(tally)
            if is_told:
                print(
                    f"{futures[future]!s:<8} {tally.schedules:>6,} schedules in "
                    f"{tally.runs:>6,} runs, {len(tally.failures)} failed; "
                    f"{total.schedules:,} so far",
                    flush=True,
                )
    return total


def _print_counter(what: str, counter: Counter[int]) -> None:
    parts = ", ".join(f"{number}: {count:,}" for number, count in sorted(counter.items()))
    print(f"schedules by {what}: {parts}")


def _print_summary(tally: Tally, seconds: float) -> None:
    _print_counter("highest view entered", tally.views)
    _print_counter("blocks committed", tally.blocks)
    print(f"schedules with evidence against the twin: {tally.with_evidence:,}")
    print(
        f"{tally.schedules:,} schedules in {tally.runs:,} runs and {seconds:.0f} s, longest "
        f"recovery {tally.recovery_ns_max / NS_PER_S:.2f} s, {len(tally.failures)} failed"
    )
    for schedule, text in tally.failures[:FAILURES_SHOWN]:
        print(f"FAILED --only {schedule}: {text}")


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    parts = _parts(arguments)
    print(f"twins of {SIZE} members, commit {get_commit()}", flush=True)
    started = time.perf_counter()
    tally = explore_parts(parts, arguments.jobs, is_told=not arguments.every)
    _print_summary(tally, time.perf_counter() - started)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
