"""`scripts/fuzz-rules`: expressions against the oracle, or mutated sources, as many as asked for.

It prints what it runs and the commit first, then progress, then what was reached. A failure is one
line with its seed; exit code 1 tells of one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.rules.fuzz import agreement, refusals
from tests.rules.fuzz.oracle import Oracle
from tests.simulator.main import get_commit

CHUNK = 1000
FAILURES_SHOWN = 20
PROGRESS_SECONDS = 10.0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="fuzz-rules",
        description="Hold the evaluators against the oracle, or damage rule sources.",
        epilog="example: fuzz-rules expressions --cases 500000",
    )
    parser.add_argument("what", choices=("expressions", "sources"))
    parser.add_argument("--cases", type=int, default=20_000, help="how many cases at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    shown = f"fuzz-rules {arguments.what} --cases {arguments.cases} --seed {arguments.seed}"
    print(f"{shown}, commit {get_commit()}", flush=True)
    started, cpu = time.perf_counter(), time.process_time()
    total: agreement.Tally | refusals.Tally
    if arguments.what == "expressions":
        total = run_expressions(arguments.seed, arguments.cases)
    else:
        total = run_sources(arguments.seed, arguments.cases)
    elapsed = time.perf_counter() - started
    used = time.process_time() - cpu
    print(f"{total.cases:,} cases in {elapsed:.0f} s, {used:.0f} s of a processor, ", end="")
    print(f"{len(total.failures)} failed")
    for text in total.failures[:FAILURES_SHOWN]:
        print(f"FAILED {text}")
    return 1 if total.failures else 0


def run_expressions(seed: int, cases: int) -> agreement.Tally:
    """Hold the evaluators against the oracle from `seed` on, until `cases` were compared."""
    total, oracle = agreement.Tally(), Oracle()
    progress = _Progress(cases)
    while total.cases < cases:
        total.add(agreement.run_seeds(range(seed, seed + CHUNK), oracle))
        seed += CHUNK
        progress.tell(total.cases)
    for name, number in sorted(total.reached.items()):
        print(f"{number:>12,}  {name}")
    print(f"{total.refused:,} expressions refused for their size or cost, next seed {seed}")
    return total


def run_sources(seed: int, cases: int) -> refusals.Tally:
    """Judge the sources of `cases` seeds from `seed` on."""
    total = refusals.Tally()
    progress = _Progress(cases)
    end = seed + cases
    for start in range(seed, end, CHUNK):
        total.add(refusals.run_seeds(range(start, min(start + CHUNK, end))))
        progress.tell(total.cases)
    for code, number in sorted(total.codes.items()):
        print(f"{number:>12,}  refused {code}")
    print(f"{total.accepted:>12,}  accepted")
    print(f"the slowest took {total.slowest_s * 1000:.0f} ms, seed {total.slowest_seed}")
    return total


class _Progress:
    """A line every ten seconds."""

    def __init__(self, cases: int) -> None:
        self._cases = cases
        self._told = time.perf_counter()

    def tell(self, done: int) -> None:
        """Print how far it is, if it is time to."""
        now = time.perf_counter()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            print(f"{done:>12,} of {self._cases:,}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
