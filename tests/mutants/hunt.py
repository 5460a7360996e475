"""Runs the simulator seed by seed on one mutant, in a process of its own, until a seed kills it.

`directed` says what a seed is made of, and `main` in which order they come. Beside the simulator's
checkers the reference model judges every vote. A run that takes too much processor time counts as
killed: it does not end.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.mutant import install

SEED_CPU_SECONDS = 20


class EndlessError(Exception):
    """A run takes too much processor time."""


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise EndlessError(f"no end after {SEED_CPU_SECONDS} s of processor time")


def hunt(name: str, seeds: Sequence[int]) -> dict[str, object]:
    """Return what killed the mutant: `seed` and `how`, or `seed` None; and the time it took."""
    mutant = ORIGINAL if name == ORIGINAL.name else MUTANTS[name]
    install(mutant)
    from tests.mutants.directed import hunting_schedule  # with the mutant in place
    from tests.reference.model import BreachError
    from tests.reference.recorder import Recorder
    from tests.simulator.main import BROKEN
    from tests.simulator.simulation import Simulation

    signal.signal(signal.SIGVTALRM, _on_alarm)
    started = time.perf_counter()
    for seed in seeds:
        signal.setitimer(signal.ITIMER_VIRTUAL, SEED_CPU_SECONDS)
        try:
            simulation = Simulation(seed, schedule=hunting_schedule(seed))
            Recorder(simulation)
            simulation.run()
        except (*BROKEN, BreachError, EndlessError, ArithmeticError, RecursionError) as error:
            how = f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - started
            return {"name": name, "seed": seed, "how": how, "seconds": seconds}
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return {"name": name, "seed": None, "how": "", "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(hunt(sys.argv[1], json.loads(sys.argv[2]))))
