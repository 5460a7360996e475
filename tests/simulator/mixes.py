"""Which members, faults and load a seed stands for, where no option says otherwise.

Runs with every fault take turns with benign ones and with calm ones: what a rule forbids in calm
(a view change without a cause, a transaction ordered twice) would be excused among faults.
"""

from __future__ import annotations

from tests.simulator.faults import KINDS
from tests.simulator.simulation import Options

SIZES = (4, 5, 6, 7)
ALL = frozenset(KINDS)
BENIGN = ALL - {"byzantine"}
LIARS = frozenset({"byzantine", "delay", "reorder", "crash"})
RIGHT_CLOCKS = BENIGN - {"clock"}
LIARS_ONLY = frozenset({"byzantine"})
CALM: frozenset[str] = frozenset()
OUTAGE = frozenset({"outage", "crash", "loss"})
SLOW = frozenset({"slow", "crash", "clock"})
MIXES = (BENIGN, LIARS, ALL, RIGHT_CLOCKS, LIARS_ONLY, CALM, OUTAGE, LIARS, SLOW)
BURST = 60


def options_of(seed: int) -> Options:
    """Return the mix of a seed: sizes 4 to 7 and nine mixes by turns, some in a burst."""
    faults = MIXES[seed % len(MIXES)]
    return Options(
        nodes=SIZES[seed % len(SIZES)],
        faults=faults,
        transactions=BURST if seed % 5 == 2 else 24,
        clump_ms=600 if seed % 5 in (2, 4) else 1,
        is_silent_at_end=seed % 2 == 0,
        is_tight=seed % 3 == 1 and "slow" not in faults,
    )
