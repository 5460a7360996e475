"""Runs the simulator seed by seed on one mutant, in a process of its own, until a seed kills it.

The seed that has killed it before comes first, then those of the mutant's mix, then all others
(`directed` says what a seed is made of). Beside the simulator's checkers the reference model judges
every vote. A run that takes too much processor time counts as killed: it does not end.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from types import FrameType

from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.mutant import install

SEED_CPU_SECONDS = 20


class EndlessError(Exception):
    """A run takes too much processor time."""


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise EndlessError(f"no end after {SEED_CPU_SECONDS} s of processor time")


def hunt(
    name: str, first: int, last: int, known: int | None = None, tries: int | None = None
) -> dict[str, object]:
    """Return what killed the mutant: `seed` and `how`, or `seed` None; and the time it took.

    Not more than `tries` seeds are run.
    """
    mutant = ORIGINAL if name == ORIGINAL.name else MUTANTS[name]
    install(mutant)
    from tests.mutants.directed import hunting_schedule, order_seeds  # with the mutant in place
    from tests.reference.model import BreachError
    from tests.reference.recorder import Recorder
    from tests.simulator.main import BROKEN
    from tests.simulator.simulation import Simulation

    signal.signal(signal.SIGVTALRM, _on_alarm)
    started = time.perf_counter()
    for seed in order_seeds(first, last, name, known)[:tries]:
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
    _first, _last, _known, _tries = json.loads(sys.argv[2])
    print(json.dumps(hunt(sys.argv[1], _first, _last, _known, _tries)))
