"""From a seed and options to an explicit schedule: who lies, what goes wrong and when.

At most f members are faulty for good: those that lie, that are twins, or whose disk loses what it
has promised. Everything else may happen to anybody, also at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tests.simulator.byzantine import BEHAVIOURS
from tests.simulator.dice import dice
from tests.simulator.faults import LONG_TTL_MS
from tests.simulator.schedule import LiarLine, Schedule, Step

# These change what a run is about, so they are asked for by name.
SPECIAL = ("outage", "slow", "members")
SPARES = 2
KINDS = (
    "crash",
    "loss",
    "delay",
    "reorder",
    "duplicate",
    "partition",
    "cut",
    "flap",
    "clog",
    "clock",
    "stall",
    "disk",
    "flood",
    "byzantine",
    "twins",
)
LASTING = ("byzantine", "twins", "disk")
DAY_MS = 86_400_000
SHORT_TTL_MS = 3_000
LATE_TTL_MS = 602_000  # above MAX_TTL: it waits two seconds before it may be ordered
WARM_UP_MS = 300
# Longer than a fresh batch may be old (rule 15).
OUTAGE_MS = 40_000
STALL_MS = 10_000
LIES_MAX = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made of; with the seed it is the whole input.

    `clump_ms`: transactions come at multiples of this, so that some wait while others are ordered.
    `is_tight`, `is_silent_at_end`, `has_real_signatures`, `is_real_ledger`, `has_snapshots`: the
    schedule's flags.
    `service_ms`: for so long, after faults, a client asks and is served every second. `chance`: of
    each kind of fault to be in the run.
    """

    nodes: int = 4
    faults: frozenset[str] = frozenset()
    fault_ms: int = 6_000
    transactions: int = 24
    clump_ms: int = 1
    has_real_signatures: bool = False
    is_silent_at_end: bool = False
    is_tight: bool = False
    is_real_ledger: bool = False
    has_snapshots: bool = False
    service_ms: int = 0
    chance: float = 0.6


def draw_schedule(seed: int, options: Options) -> Schedule:
    """Return the schedule of a seed."""
    return _Draw(seed, options).make()


class _Draw:
    """One drawing."""

    def __init__(self, seed: int, options: Options) -> None:
        self._seed = seed
        self._options = options
        self._size = options.nodes
        self._spares = SPARES if "members" in options.faults else 0
        self._total = options.nodes + self._spares
        self._fault_bound = (options.nodes - 1) // 3
        self._busy_ms = WARM_UP_MS + options.fault_ms
        self._end_ms = self._busy_ms
        self._random = dice(seed, "plan")
        self._steps: list[Step] = []
        self._liars: tuple[LiarLine, ...] = ()
        self._twins: tuple[int, ...] = ()

    def make(self) -> Schedule:
        """Draw everything."""
        options = self._options
        drawers: dict[str, Callable[[Random], Iterator[Step]]] = {
            "crash": self._crashes,
            "loss": self._loss,
            "delay": self._delay,
            "reorder": self._reordering,
            "duplicate": self._duplication,
            "partition": self._partitions,
            "cut": self._cuts,
            "flap": self._flaps,
            "clog": self._swizzle_clog,
            "clock": self._clocks,
            "stall": self._stalls,
            "flood": self._floods,
            "members": self._members,
            "outage": self._outage,
            "slow": self._slowness,
        }
        for kind, draw in drawers.items():
            if kind in options.faults and self._random.random() < options.chance:
                self._steps += draw(dice(self._seed, kind))
        self._steps += self._lasting()
        self._steps += self._submissions(dice(self._seed, "clients"))
        steps = tuple(sorted(self._steps, key=lambda step: step.at_ms))
        return Schedule(
            self._size,
            self._seed,
            self._end_ms,
            self._liars,
            self._twins,
            steps,
            self._flags(),
            options.service_ms,
            self._spares,
        )

    def _flags(self) -> frozenset[str]:
        options = self._options
        has_liars = bool(self._liars or self._twins)
        flags = {
            "tight": options.is_tight,
            "silent-at-end": options.is_silent_at_end,
            "real-signatures": options.has_real_signatures,
            "real-ledger": options.is_real_ledger,
            "calm": not options.faults,
            "snapshots": options.has_snapshots,
            "acts": not has_liars and not {"slow", "disk", "members"} & options.faults,
        }
        return frozenset(name for name, is_set in flags.items() if is_set)

    def _moment(self, random: Random) -> int:
        return int(random.random() * self._busy_ms)

    # Clients

    def _submissions(self, random: Random) -> Iterator[Step]:
        options, last_ms = self._options, self._busy_ms
        for number in range(options.transactions):
            at_ms = random.randint(WARM_UP_MS, last_ms) if number else self._end_ms + 1
            at_ms -= at_ms % options.clump_ms if number else 0
            chance = random.random() if number else 0.5
            ttl_ms = LONG_TTL_MS
            if chance < 0.1:
                ttl_ms = SHORT_TTL_MS
            elif chance > 0.85:
                ttl_ms = LATE_TTL_MS
            home, size = random.randrange(self._size), random.choice((200, 400, 1500, 2500))
            words = (f"t{number}", "to", str(home), "size", str(size), "ttl", str(ttl_ms))
            yield Step(at_ms, "submit", words)

    def _floods(self, random: Random) -> Iterator[Step]:
        home, every = random.randrange(self._size), random.choice((5, 20))
        words = (str(home), "every", str(every))
        yield Step(self._moment(random), "flood", words, random.randint(200, 1500))

    # Members

    def _members(self, random: Random) -> Iterator[Step]:
        """Change the members here and there, now and then twice at once, and once in calm."""
        for _ in range(random.randint(1, 4)):
            at_ms = self._moment(random)
            for _ in range(random.choice((1, 1, 2))):
                yield Step(at_ms, "change", self._draw_change(random))
        yield Step(self._busy_ms + 1, "change", self._draw_change(random))

    def _draw_change(self, random: Random) -> tuple[str, ...]:
        verb = random.choice(("add", "add", "add", "remove", "remove", "rotate", "rotate", "bad"))
        if verb == "bad":
            return (random.choice(("shrink", "again")),)
        if verb == "add":
            return (verb, str(random.randrange(self._total)))
        return (verb, random.choice(("primary", str(random.randrange(self._total)))))

    # The network

    def _loss(self, random: Random) -> Iterator[Step]:
        yield self._throughout("loss", str(random.choice((10, 50, 150, 300))))

    def _delay(self, random: Random) -> Iterator[Step]:
        yield self._throughout("delay", str(random.choice((20, 100, 300))), "upto", "4000")

    def _reordering(self, random: Random) -> Iterator[Step]:
        yield self._throughout("delay", str(random.choice((200, 500))), "upto", "80")

    def _duplication(self, random: Random) -> Iterator[Step]:
        yield self._throughout("duplicate", str(random.choice((50, 200))))

    def _throughout(self, verb: str, *words: str) -> Step:
        return Step(0, verb, words, self._busy_ms)

    def _group(self, random: Random, mark: str) -> str:
        group = sorted(random.sample(range(self._total), random.randint(1, self._total - 1)))
        rest = [member for member in range(self._total) if member not in group]
        return ",".join(map(str, group)) + mark + ",".join(map(str, rest))

    def _partitions(self, random: Random) -> Iterator[Step]:
        for _ in range(random.randint(1, 3)):
            start_ms = self._moment(random)
            yield Step(start_ms, "cut", (self._group(random, "|"),), self._length(random, start_ms))

    def _cuts(self, random: Random) -> Iterator[Step]:
        for _ in range(random.randint(1, 4)):
            start_ms = self._moment(random)
            yield Step(start_ms, "cut", (self._group(random, ">"),), self._length(random, start_ms))

    def _length(self, random: Random, start_ms: int) -> int:
        return max(1, min(int(random.random() * 4000), self._busy_ms - start_ms))

    def _flaps(self, random: Random) -> Iterator[Step]:
        for _ in range(random.randint(1, 2)):
            mark, every = random.choice("|>"), random.choice((60, 200, 700))
            start_ms = self._moment(random)
            words = (self._group(random, mark), "every", str(every))
            yield Step(start_ms, "flap", words, self._length(random, start_ms))

    def _swizzle_clog(self, random: Random) -> Iterator[Step]:
        """Clog some members one after the other, and unclog them in another order."""
        chosen = random.sample(range(self._size), random.randint(1, self._size))
        start_ms, step_ms = self._moment(random), random.randint(20, 400)
        open_ms = start_ms + step_ms * len(chosen) + random.randint(0, 1500)
        for place, (member, turn) in enumerate(
            zip(chosen, random.sample(range(len(chosen)), len(chosen)), strict=True)
        ):
            at_ms = min(start_ms + place * step_ms, self._busy_ms - 1)
            end_ms = min(open_ms + turn * step_ms, self._busy_ms)
            yield Step(at_ms, "clog", (str(member),), max(1, end_ms - at_ms))

    def _outage(self, random: Random) -> Iterator[Step]:
        """Cut every link for longer than a fresh batch may be old (rule 15)."""
        self._end_ms = max(self._end_ms, self._busy_ms + OUTAGE_MS)
        yield Step(self._moment(random), "cut", ("*|*",))

    def _slowness(self, random: Random) -> Iterator[Step]:
        """Make every message take longer than T leaves room for, for ever (F22)."""
        yield Step(0, "base", (str(random.randint(400, 900)),))

    # Machines

    def _crashes(self, random: Random) -> Iterator[Step]:
        for _ in range(random.randint(1, 5)):
            member = str(random.randrange(self._total))
            down_ms = int((0.02 + random.random() ** 3 * 4) * 1000)
            words: tuple[str, ...] = (member,)
            if random.random() < 0.6:
                how = random.choice(("before", "after", "torn", "failing"))
                what, most = random.choice(
                    (("sync", 12), ("sync", 12), ("block", 5), ("prune", 2), ("send", 30))
                )
                if what in ("block", "send") and how in ("torn", "failing"):
                    how = random.choice(("before", "after"))
                words = (member, how, what, str(random.randint(1, most)))
            yield Step(self._moment(random), "crash", words, down_ms)
        if random.random() < 0.15:
            at_ms = self._moment(random)
            for member in range(self._total):
                yield Step(at_ms, "crash", (str(member),), random.randint(20, 2000))

    def _clocks(self, random: Random) -> Iterator[Step]:
        for member in range(self._size):
            yield Step(0, "clock", (str(member), "by", str(random.randint(-900, 900))))
        for member in random.sample(range(self._size), self._fault_bound):
            at_ms = self._moment(random)
            way = random.choice((-DAY_MS, DAY_MS, 0))
            words = ("by", str(way)) if way else ("stopped",)
            yield Step(at_ms, "clock", (str(member), *words), max(1, self._busy_ms - at_ms))

    def _stalls(self, random: Random) -> Iterator[Step]:
        for member in random.sample(range(self._size), random.randint(1, self._fault_bound)):
            length_ms = random.choice((300, 1500, STALL_MS))
            at_ms = self._moment(random)
            self._end_ms = max(self._end_ms, at_ms + length_ms)
            yield Step(at_ms, "stall", (str(member),), length_ms)

    # What lasts: at most f members in all

    def _lasting(self) -> Iterator[Step]:
        kinds = [kind for kind in LASTING if kind in self._options.faults]
        if not kinds or self._random.random() >= self._options.chance + 0.2:
            return
        count = self._random.randint(1, self._fault_bound)
        chosen = self._random.sample(range(self._size), count)
        if 0 not in chosen and self._random.random() < 0.4:
            chosen[0] = 0  # the first primary is the worst to have
        # A liar more often than not, where liars may be.
        weighted = kinds + [kind for kind in kinds if kind == "byzantine"] * 3
        for member in sorted(chosen):
            kind = self._random.choice(weighted)
            if kind == "byzantine":
                self._liars += (self._liar(member, dice(self._seed, "liar", member)),)
            elif kind == "twins":
                self._twins += (member,)
            else:
                yield from self._bad_disk(member, dice(self._seed, "disk", member))

    def _liar(self, member: int, random: Random) -> LiarLine:
        names = random.sample(sorted(BEHAVIOURS), random.randint(1, LIES_MAX))
        return LiarLine(member, tuple(sorted(names)))

    def _bad_disk(self, member: int, random: Random) -> Iterator[Step]:
        """Lose synced writes by a lie and a crash within it, or flip a bit of the vote log."""
        at_ms, down_ms = self._moment(random), random.randint(20, 1500)
        if random.random() < 0.5:
            yield Step(at_ms, "damage", (str(member),), down_ms)
            return
        length_ms = random.randint(50, 2500)
        yield Step(at_ms, "lie", (str(member),), length_ms)
        crash_ms = min(at_ms + random.randint(1, length_ms), self._busy_ms - 1)
        yield Step(crash_ms, "crash", (str(member),), down_ms)
