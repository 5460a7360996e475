"""Runs the simulator seed by seed on one mutant, in a process of its own, until a seed kills it.

The mix of faults and the number of members of a seed follow from the seed alone, so that calm runs,
benign faults and liars take turns. A run that takes too much processor time counts as killed: it
does not end.
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


def hunt(name: str, first: int, last: int) -> dict[str, object]:
    """Return what killed the mutant: `seed` and `how`, or `seed` None; and the time it took."""
    mutant = ORIGINAL if name == ORIGINAL.name else MUTANTS[name]
    install(mutant)
    from tests.simulator.main import BROKEN  # after the mutant is in place
    from tests.simulator.mixes import options_of
    from tests.simulator.simulation import Simulation

    signal.signal(signal.SIGVTALRM, _on_alarm)
    started = time.perf_counter()
    for seed in range(first, last + 1):
        signal.setitimer(signal.ITIMER_VIRTUAL, SEED_CPU_SECONDS)
        try:
            Simulation(seed, options_of(seed)).run()
        except (*BROKEN, EndlessError, ArithmeticError, RecursionError) as error:
            how = f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - started
            return {"name": name, "seed": seed, "how": how, "seconds": seconds}
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return {"name": name, "seed": None, "how": "", "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(hunt(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
