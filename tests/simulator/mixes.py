"""Which members, faults and load a seed stands for, where no option says otherwise.

Runs with every fault take turns with benign ones and with calm ones: what a rule forbids in calm
(a view change without a cause, a transaction ordered twice) would be excused among faults. Most
runs have 4 to 7 members, some 8 to 13, and a few 26: more members, more messages, less time.
"""

from __future__ import annotations

from dataclasses import replace

from tests.simulator.draw import KINDS, Options

SIZES = (4, 5, 6, 7)
LARGER = (8, 9, 10, 13)
LARGEST = 26
ALL = frozenset(KINDS)
BENIGN = ALL - {"byzantine", "twins", "disk"}
LIARS = frozenset({"byzantine", "delay", "reorder", "crash"})
RIGHT_CLOCKS = BENIGN - {"clock"}
LIARS_ONLY = frozenset({"byzantine"})
DISKS = frozenset({"disk", "crash", "stall", "twins", "loss"})
CALM: frozenset[str] = frozenset()
OUTAGE = frozenset({"outage", "crash", "loss"})
SLOW = frozenset({"slow", "crash", "clock"})
MIXES = (BENIGN, LIARS, ALL, RIGHT_CLOCKS, LIARS_ONLY, CALM, OUTAGE, LIARS, SLOW, DISKS, LIARS)
BURST = 60
SERVICE_MS = 6_000


def size_of(seed: int) -> int:
    """Return the number of members of a seed."""
    if seed % 500 == 403:
        return LARGEST
    if seed % 16 == 7:
        return LARGER[seed // 16 % len(LARGER)]
    return SIZES[seed % len(SIZES)]


def options_of(seed: int) -> Options:
    """Return the mix of a seed: sizes, eleven mixes by turns, some in a burst."""
    faults, size = MIXES[seed % len(MIXES)], size_of(seed)
    options = Options(
        nodes=size,
        faults=faults,
        transactions=BURST if seed % 5 == 2 else 24,
        clump_ms=600 if seed % 5 in (2, 4) else 1,
        is_silent_at_end=seed % 2 == 0,
        is_tight=seed % 3 == 1 and "slow" not in faults,
        has_snapshots=seed % 4 == 1,
        service_ms=SERVICE_MS,
    )
    if size == LARGEST:  # eight liars that forge for everybody would take minutes
        options = replace(options, transactions=6, fault_ms=2_000, faults=RIGHT_CLOCKS - {"flood"})
        return replace(options, service_ms=0, is_silent_at_end=False)
    return replace(options, transactions=12, service_ms=2_000) if size > SIZES[-1] else options
