"""Breaks one thing after another and waits each time until the network is whole again.

There are f tracks, each a thread that strikes one member at a time that no other track holds; so at
most f members are faulty at once. A fault that strikes more (or all) waits until the tracks have
let go, and then has the network to itself. A fault is drawn, begun, held for a while, mended; the
track then waits until each struck member has certified what the others had when it was mended, and
writes down how long that took. What every kind strikes follows from the seed; when does not, since
processes take the time they take.

One member, the witness, keeps its process: what ends a process strikes the others, and what ends
all of them comes in the first part of the run. So there is one whose memory is watched for long.

A track that meets a member that does not come back, or a node that ended by itself, ends the run:
the failure stands in the report, beside everything that was reached.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic

from commands.soak.faults import FAULTS, Kind, Place, Strike
from ledger.chain.certificate import fault_bound
from ledger.errors import CreditLedgerError
from network.soak.load import Load

WATCH_S = 1.0
RESTART_SHARE = 0.3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault that was: seconds it lasted, until its members were back, without an answer."""

    kind: str
    text: str
    at_s: float
    held_s: float
    back_s: float
    gap_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: how long a fault is held, a pause in particular, and the rest between two."""

    hold_s: tuple[float, float]
    pause_s: tuple[float, float]
    rest_s: tuple[float, float]

    @classmethod
    def of(cls, minutes: float) -> Pace:
        """Return the pace of a run: pauses of a minute want a run of more than some."""
        longest = min(60.0, minutes * 4)
        held = min(10.0, max(1.0, minutes * 2))
        return cls((0.3, held), (0.5, max(1.0, longest)), (0.5, min(4.0, max(0.6, minutes))))


@dataclass(slots=True)
class Engine:
    """Runs the tracks until `seconds` are over, and until there were `strikes` of them.

    `struck` and `failures` tell what was.
    """

    place: Place
    load: Load
    seed: int
    pace: Pace
    kinds: Sequence[str]
    seconds: float
    say: Say
    strikes: int = 0
    began: float = field(default_factory=monotonic)
    struck: list[Struck] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _held: set[str] = field(default_factory=set)
    _free: threading.Condition = field(default_factory=threading.Condition)

    @property
    def faulty_max(self) -> int:
        """How many members may be faulty at once: f."""
        return fault_bound(len(self.place.nodes))

    @property
    def witness(self) -> str:
        """The member whose process is spared."""
        everybody = sorted(self.place.nodes)
        return everybody[self.seed % len(everybody)]

    def run(self) -> None:
        """Break and mend; every fault that was begun is mended at the end."""
        randoms = [
            Random(f"{self.seed}/{number}")  # noqa: S311  what to break, not a secret
            for number in range(self.faulty_max)
        ]
        threads = [threading.Thread(target=self._track, args=(random,)) for random in randoms]
        watcher = threading.Thread(target=self._watch)
        for thread in (*threads, watcher):
            thread.start()
        try:
            self._over.wait(self.seconds)
            while len(self.struck) < self.strikes and not self._over.is_set():
                self._over.wait(WATCH_S)
        finally:
            self._over.set()
            for thread in (*threads, watcher):
                thread.join()

    def _watch(self) -> None:
        """Look after the processes: memory, and those that ended by themselves."""
        while not self._over.wait(WATCH_S):
            if self.place.field.failure is not None:
                self._fail(f"links or load ended: {self.place.field.failure!r}")
            for node in self.place.nodes.values():
                node.sample_memory()
                if not node.may_be_down and not node.is_running:
                    self._fail(f"{node.member} ended by itself: {node.last_words()}")

    def _fail(self, text: str) -> None:
        if not self._over.is_set():
            self.failures.append(text)
            self.say(f"FAILED: {text}")
        self._over.set()

    def _track(self, random: Random) -> None:
        try:
            while not self._over.wait(random.uniform(*self.pace.rest_s)):
                self._strike(self._draw(random), random)
        except CreditLedgerError as error:
            self._fail(str(error))

    def _draw(self, random: Random) -> Kind:
        is_late = monotonic() - self.began > RESTART_SHARE * self.seconds
        kinds = [
            kind
            for kind in (FAULTS[name] for name in self.kinds)
            if kind.members or not (kind.ends_process and is_late)
        ]
        met = {item.kind for item in self.struck}
        fresh = [kind for kind in kinds if kind.name not in met]
        # Each kind once before chance decides: a fault that never happened proves nothing.
        chosen = fresh if fresh and random.random() < 0.5 else kinds
        return random.choices(chosen, [kind.weight for kind in chosen])[0]

    def _strike(self, kind: Kind, random: Random) -> None:
        members = self._take(kind, random)
        if not members:
            return
        try:
            self._break_and_mend(kind, members, random)
        finally:
            with self._free:
                # What strikes more than one track may has held everybody.
                self._held.difference_update(members if kind.members else tuple(self._held))
                self._free.notify_all()

    def _take(self, kind: Kind, random: Random) -> list[str]:
        """Wait until the members to strike are free, and hold them."""
        everybody = sorted(self.place.nodes)
        with self._free:
            if kind.members:
                spared = self._held | ({self.witness} if kind.ends_process else set())
                free = [member for member in everybody if member not in spared]
                chosen = random.sample(free, kind.members)
                self._held.update(chosen)
                return chosen
            # More than f: the track that holds nothing waits for the others to let go.
            while self._held:
                if self._over.is_set():
                    return []
                self._free.wait(WATCH_S)
            self._held.update(everybody)
        if kind.name.endswith("all"):
            return everybody
        return random.sample(everybody, self.faulty_max + 1)

    def _break_and_mend(self, kind: Kind, members: Sequence[str], random: Random) -> None:
        bounds = self.pace.pause_s if kind.name == "pause" else self.pace.hold_s
        started = monotonic()
        with kind.make(Strike(self.place, members, random)) as text:
            self._over.wait(random.uniform(*bounds))
        mended = monotonic()
        self.place.wait_until_back(members)
        back = monotonic()
        gap_s = self.load.longest_gap_s(started, back)
        struck = Struck(
            kind.name, text, started - self.began, mended - started, back - mended, gap_s
        )
        self.struck.append(struck)
        self.say(
            f"{struck.at_s:6.0f} s  {kind.name}: {text}; {struck.held_s:.1f} s, back after "
            f"{struck.back_s:.1f} s, longest silence {gap_s:.1f} s "
            f"({len(self.load.acknowledged):,} acknowledged)"
        )
