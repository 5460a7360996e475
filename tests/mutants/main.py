"""`scripts/mutants`: which seed of the simulator kills each mutant, and which checker sees it.

Each mutant is hunted in a process of its own, `--jobs` of them at once. The seed that killed it the
last time (`known_seeds.json`, written by `--record`) is tried first: a simulator that has changed
may need another one. A few need more at once than seeds bring about; for those the test that
`by_test` names is run instead. The last line counts; exit code 1 tells that one survived.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mutants.by_test import TESTS
from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.directed import order_seeds
from tests.mutants.mutant import ROOT
from tests.simulator.main import get_commit

SEEDS = 1000
HOW_SHOWN = 110
PYTEST_FAILED = 1
KNOWN_SEEDS = Path(__file__).with_name("known_seeds.json")


def load_known() -> dict[str, int]:
    """Return the seed that has killed each mutant before."""
    known: dict[str, int] = json.loads(KNOWN_SEEDS.read_text(encoding="ascii"))
    return known


def hunt_apart(name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what `hunt` says of a mutant, from a process of its own."""
    command = [sys.executable, "-m", "tests.mutants.hunt", name, json.dumps(list(seeds))]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no word"]
        return {"name": name, "seed": None, "how": f"does not run: {lines[-1]}", "seconds": 0.0}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def try_test(name: str) -> dict[str, Any]:
    """Return what the test of a mutant says of it, or all such tests of the original."""
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tests.mutants.by_test", name],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no word"]
    answer = {"name": name, "seed": None, "test": False, "seconds": time.perf_counter() - started}
    if done.returncode == PYTEST_FAILED:
        failed = next(line for line in lines if line.startswith("FAILED "))
        return answer | {"test": True, "how": failed.removeprefix("FAILED ")}
    return answer | {"how": "" if done.returncode == 0 else f"does not run: {lines[-1]}"}


def is_killed(answer: Mapping[str, Any]) -> bool:
    """Tell whether a seed or a test has killed this mutant."""
    return answer["seed"] is not None or bool(answer.get("test"))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="mutants",
        description="Break the consensus core line by line and see which seed tells.",
        epilog="example: mutants --only quorum-of-2f+1",
    )
    parser.add_argument("--only", action="append", help="hunt only this mutant (repeat for more)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds for each, from 0 up")
    parser.add_argument("--tries", type=int, default=0, help="give up after N seeds (0: never)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--list", action="store_true", help="list the mutants and the rules")
    parser.add_argument("--fresh", action="store_true", help="seeds in order, none first, no test")
    parser.add_argument("--record", action="store_true", help="remember the seeds that kill")
    parser.add_argument(
        "--original", action="store_true", help="run the seeds on the unchanged code instead"
    )
    arguments = parser.parse_args(argv)
    unknown = set(arguments.only or ()) - set(MUTANTS)
    if unknown:
        parser.error(f"no mutant {sorted(unknown)[0]}; --list shows all")
    return arguments


def _print_list() -> None:
    for mutant in MUTANTS.values():
        rules = ", ".join(map(str, mutant.rules))
        print(f"{mutant.name:<42} rule {rules:<10} {mutant.killed_by}")


def _hunt_all(
    names: Sequence[str], options: argparse.Namespace, known: Mapping[str, int]
) -> list[dict[str, Any]]:
    answers = []
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = []
        for name in names:
            if name in TESTS and not options.fresh:
                futures.append(pool.submit(try_test, name))
                continue
            order = order_seeds(options.seeds, name, known.get(name))
            futures.append(pool.submit(hunt_apart, name, order[: options.tries or None]))
        for future in futures:
            answer = future.result()
            answers.append(answer)
            fate = f"seed {answer['seed']}" if answer["seed"] is not None else "by test"
            fate = fate if is_killed(answer) else "SURVIVED"
            how = repr(answer["how"])[1 : HOW_SHOWN + 1]
            print(f"{answer['name']:<42} {fate:<9} {answer['seconds']:6.1f} s  {how}", flush=True)
            if options.record and answer["seed"] is not None:
                _record(answer)
    return answers


def _check_original(answers: Sequence[Mapping[str, Any]]) -> bool:
    """Run the unchanged code on every seed that has killed; tell whether it is well on all."""
    seeds = sorted({item["seed"] for item in answers if item["seed"] is not None})
    answer = hunt_apart(ORIGINAL.name, seeds)
    if answer["how"]:
        print(f"seed {answer['seed']} breaks the original too, it proves nothing: {answer['how']}")
        return False
    print(f"the original is well on all {len(seeds)} seeds that kill")
    return True


def _record(answer: Mapping[str, Any]) -> None:
    """Remember a seed that kills; forget mutants that are in the catalogue no more."""
    found = load_known() | {answer["name"]: answer["seed"]}
    kept = {name: seed for name, seed in found.items() if name in MUTANTS}
    text = json.dumps(kept, indent=0, sort_keys=True)
    KNOWN_SEEDS.write_text(text + "\n", encoding="ascii")


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse(argv)
    if arguments.list:
        _print_list()
        return 0
    names = [ORIGINAL.name] if arguments.original else arguments.only or list(MUTANTS)
    print(
        f"{len(names)} mutants, seeds 0..{arguments.seeds - 1}, commit {get_commit()}", flush=True
    )
    started = time.perf_counter()
    known = {} if arguments.fresh else load_known()
    answers = _hunt_all(names, arguments, known)
    survivors = [answer["name"] for answer in answers if not is_killed(answer)]
    print(
        f"{len(names) - len(survivors)} killed, {len(survivors)} survived, in "
        f"{time.perf_counter() - started:.0f} s"
    )
    if arguments.original:
        return 0 if survivors == [ORIGINAL.name] else 1
    return 0 if _check_original(answers) and not survivors else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
