"""`./scripts/disks`: every crash, every failure, many lies, on the real database and vote log.

Prints what it does and how often each outcome came; exit code 1 at the first wrong one, with the
operation and the state that show it. The suite takes a sample of the same.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic

import click

from tests.disks.lies import lying_states
from tests.disks.preload import Rule, failing_sync, full_disk
from tests.disks.recording import Kind, Operation
from tests.disks.runs import Laboratory, Run, Tally
from tests.disks.workload import FAILED, judge, promises_of, verdicts

PARTS = ("crashes", "holes", "lies", "syncs", "room", "kills")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def crashes(laboratory: Laboratory, run: Run, step: int, *, has_holes: bool) -> None:
    """Judge every crash of one run (F53, F56)."""
    tally: Tally = laboratory.crashes(run.start, run.operations, step=step, has_holes=has_holes)
    for name, counts in (("whole", tally.judged), ("refused with a number", tally.refused)):
        kinds = Counter[str]()
        for words, count in counts.items():
            kinds[words] += count
        shown = ", ".join(f"{words} {count:,}" for words, count in sorted(kinds.items()))
        say(f"  {name}: {counts.total():,}" + (f" ({shown})" if shown else ""))


def lies(laboratory: Laboratory, run: Run, seed: int, count: int) -> None:
    """Judge writes that were lost or misdirected (F58)."""
    found: Counter[str] = Counter()
    for lie in lying_states(run, Random(seed), count):
        with TemporaryDirectory(dir=laboratory.folder) as folder:
            home = lie.state.write(Path(folder))
            try:
                database, votes = verdicts(home, laboratory.digests, lie.promises)
            except AssertionError as error:
                error.add_note(f"{lie.path}: {lie.state.words}")
                raise
        found[f"{lie.how}: database {database.name}, votes {votes.name}"] += 1
    for words, number in sorted(found.items()):
        say(f"  {number:6,}  {words}")


def failures(laboratory: Laboratory, rules: Sequence[Rule]) -> None:
    """Run once for each rule; the process must stop with a number or not notice, and go on."""
    stopped = 0
    for rule in rules:
        run = laboratory.run(rule)
        is_killed = rule.action.startswith("kill") or rule.action == "tear"
        assert run.code in (0, FAILED) or is_killed, f"{rule}: exit code {run.code}: {run.output}"
        stopped += run.code != 0
        judge(run.home, laboratory.digests, promises_of(run.operations))
        again = laboratory.run(home=run.home)
        assert again.code == 0, f"{rule}: not again: {again.output}"
        judge(again.home, laboratory.digests, promises_of(again.operations))
    say(f"  {len(rules):,} runs, {stopped:,} stopped, all went on whole")


def count_of(operations: Sequence[Operation], kind: Kind) -> int:
    """Return how many operations of a kind a whole run has."""
    return sum(item.kind is kind and not item.is_mark for item in operations)


@click.command()
@click.option("--blocks", default=40, show_default=True, help="Blocks of ten transactions.")
@click.option("--step", default=1, show_default=True, help="Take every so manieth of all.")
@click.option("--seed", default=1, show_default=True, help="For the lies.")
@click.option("--lies", "lie_count", default=1000, show_default=True, help="How many lies.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only these.")
def main(blocks: int, step: int, seed: int, lie_count: int, parts: tuple[str, ...]) -> None:
    """Fail the disk at each of its operations, and judge what is left."""
    say(f"blocks {blocks}, step {step}, seed {seed}, lies {lie_count}")
    with TemporaryDirectory(prefix="creditledger-disks-") as folder:
        laboratory = Laboratory(Path(folder), blocks)
        whole = laboratory.run()
        assert whole.code == 0, whole.output
        done = whole.operations
        say(f"{len(done):,} operations recorded, {len(whole.left)} files")
        syncs, writes = count_of(done, Kind.SYNC), count_of(done, Kind.WRITE)
        everything = syncs + writes + count_of(done, Kind.RENAME) + count_of(done, Kind.UNLINK)
        work = {
            "crashes": lambda: crashes(laboratory, whole, step, has_holes=False),
            "holes": lambda: crashes(laboratory, whole, step, has_holes=True),
            "lies": lambda: lies(laboratory, whole, seed, lie_count),
            "syncs": lambda: failures(
                laboratory, [failing_sync("*", first) for first in range(1, syncs + 1, step)]
            ),
            "room": lambda: failures(
                laboratory, [full_disk("*", first) for first in range(1, writes + 1, step)]
            ),
            "kills": lambda: failures(
                laboratory,
                [Rule("any", "*", "kill", first=at) for at in range(1, everything + 1, step)],
            ),
        }
        for part in parts or PARTS:
            began = monotonic()
            say(f"{part}:")
            work[part]()
            say(f"  {monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
