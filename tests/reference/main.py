"""`scripts/reference`: holds seeds of the simulator, or traces of real nodes, against the model.

Exit code 1 tells of a breach. A node writes its trace when its config.toml has `trace = "FILE"`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.reference.files import check_traces
from tests.reference.model import BreachError
from tests.reference.recorder import Recorder
from tests.simulator.main import BROKEN, get_commit
from tests.simulator.mixes import options_of
from tests.simulator.simulation import Simulation


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="reference",
        description="Judge every vote of a trace by an independent model of the protocol.",
        epilog="example: reference --seeds 0..99",
    )
    parser.add_argument("--seeds", default="0..49", help="seeds of the mutants' mixes, as A..B")
    parser.add_argument("--trace", type=Path, action="append", help="a trace of a real node")
    parser.add_argument("--chain", type=bytes.fromhex, help="chain id of the traces, in hex")
    arguments = parser.parse_args(argv)
    if arguments.trace and arguments.chain is None:
        parser.error("--trace needs --chain")
    return arguments


def check_seeds(seeds: range) -> int:
    """Run seeds with the model beside them; return how many failed."""
    lines = votes = failed = 0
    started = time.perf_counter()
    for seed in seeds:
        simulation = Simulation(seed, options_of(seed))
        recorder = Recorder(simulation)
        try:
            simulation.run()
        except BROKEN as error:
            failed += 1
            print(f"FAILED seed {seed}: {type(error).__name__}: {error}")
        except BreachError as breach:
            failed += 1
            print(f"BREACH seed {seed}: {breach}")
        lines += recorder.reference.lines
        votes += recorder.reference.votes
    print(
        f"{len(seeds)} seeds, {lines:,} lines, {votes:,} messages judged in "
        f"{time.perf_counter() - started:.0f} s, {failed} failed"
    )
    return failed


def check_files(paths: Sequence[Path], chain_id: bytes) -> int:
    """Check traces of real nodes; return how many failed."""
    failed = 0
    for path in paths:
        try:
            reference = check_traces({path.name: path}, chain_id)
        except BreachError as breach:
            failed += 1
            print(f"BREACH {path}: {breach}")
        else:
            print(f"{path}: {reference.lines:,} lines, {reference.votes:,} messages judged")
    return failed


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    print(f"reference model, commit {get_commit()}", flush=True)
    if arguments.trace:
        return 1 if check_files(arguments.trace, arguments.chain) else 0
    first, _, last = arguments.seeds.partition("..")
    return 1 if check_seeds(range(int(first), int(last or first) + 1)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
