"""The faults of one run: which rounds of one member are changed for whom, which rounds are cut."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from consensus.messages import (
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from tests.byzzfuzz.mutations import NAMES

SIZES = (4, 4, 5, 7)
VIEWS = 4
_PHASES: dict[type, int] = {
    ViewChange: 0,
    NewView: 1,
    PrePrepare: 2,
    Prepare: 3,
    Commit: 4,
    Checkpoint: 5,
}
PHASES = len(_PHASES)
ROUNDS = VIEWS * PHASES
PROCESS_FAULTS_MAX = 6
NETWORK_FAULTS_MAX = 3


def round_of(message: Any, view: int) -> int | None:
    """Return the round of a message of a member in `view`; None: it is in no round."""
    phase = _PHASES.get(type(message))
    if phase is None:
        return None
    return getattr(message, "view", view) * PHASES + phase


@dataclass(frozen=True, slots=True)
class Plan:
    """`changes`: round to (mutation, receivers); `cuts`: round to the members of one side."""

    size: int
    faulty: int
    changes: dict[int, tuple[str, frozenset[int]]]
    cuts: dict[int, frozenset[int]]

    def __str__(self) -> str:
        changes = "; ".join(
            f"round {number}: {name} to {sorted(to)}"
            for number, (name, to) in sorted(self.changes.items())
        )
        cuts = "; ".join(f"round {n}: cut {sorted(side)}" for n, side in sorted(self.cuts.items()))
        return f"{self.size} members, faulty {self.faulty}: {changes}; {cuts}"


def draw_plan(seed: int) -> Plan:
    """Return the faults of a seed; a third of them in view 0, where every run passes."""
    random = Random(seed)
    size = SIZES[seed % len(SIZES)]
    members = range(size)
    changes = {}
    for _ in range(random.randint(1, PROCESS_FAULTS_MAX)):
        receivers = frozenset(random.sample(members, random.randint(1, size)))
        changes[_draw_round(random)] = (random.choice(NAMES), receivers)
    cuts = {
        _draw_round(random): frozenset(random.sample(members, random.randint(1, size - 1)))
        for _ in range(random.randint(0, NETWORK_FAULTS_MAX))
    }
    return Plan(size, random.randrange(size) if random.random() < 0.6 else 0, changes, cuts)


def _draw_round(random: Random) -> int:
    return random.randrange(PHASES if random.random() < 0.35 else ROUNDS)
