"""The schedule of a run, made explicit: who is there, who lies, what happens when.

A seed is drawn into a schedule (`draw`), a failing schedule is shrunk to fewer lines (`shrink`),
and a story is written as one by hand (`tests/scenarios`); the simulator runs all three alike. The
text has one line for each thing:

    nodes 4
    seed 7
    calm-after 6300
    liar 0 with equivocate, vote twice half 1 2
    at 300 submit t1 to 2 size 400 ttl 500000
    at 812 crash 3 for 1200

Times are simulated milliseconds. `seed` gives the delays of messages and the sizes of torn writes;
each link and each member has dice of its own, so that a line taken out leaves the others' alone.
`#` begins a comment. What each verb of an `at` line means stands in `faults.VERBS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FLAGS = ("tight", "silent-at-end", "real-signatures", "real-ledger", "calm", "acts", "snapshots")


class ScheduleError(Exception):
    """A line of a schedule cannot be read."""


@dataclass(frozen=True, slots=True)
class Step:
    """One `at` line: from `at_ms`, for `for_ms` (0: at once, or without an end)."""

    at_ms: int
    verb: str
    words: tuple[str, ...] = ()
    for_ms: int = 0

    @property
    def end_ms(self) -> int:
        """Return when it is over."""
        return self.at_ms + self.for_ms

    def __str__(self) -> str:
        end = f" for {self.for_ms}" if self.for_ms else ""
        return " ".join((f"at {self.at_ms} {self.verb}", *self.words)) + end


@dataclass(frozen=True, slots=True)
class LiarLine:
    """A Byzantine member: what it does, and to which half or victim, where that is fixed."""

    member: int
    behaviours: tuple[str, ...]
    half: tuple[int, ...] = ()
    victim: int | None = None

    def __str__(self) -> str:
        text = f"liar {self.member} with {', '.join(self.behaviours)}"
        if self.half:
            text += " half " + " ".join(map(str, self.half))
        return text if self.victim is None else f"{text} victim {self.victim}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The whole input of a run. Faults are over at `calm_after_ms`; liars and twins stay.

    Flags: `tight` (T_max is reached at once and idle batches come late, so that neither hides a
    fault of the timers behind the bound), `acts` and `silent-at-end` (see `acts`), `calm` (nothing
    is wrong, so nothing may be ordered twice), `real-signatures`, `real-ledger`, `snapshots` (who
    is far behind takes a state, rule 41). `spares` are nodes that are no members at first: their
    numbers follow those of the members.
    """

    nodes: int
    seed: int
    calm_after_ms: int
    liars: tuple[LiarLine, ...] = ()
    twins: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    flags: frozenset[str] = frozenset()
    service_ms: int = 0
    spares: int = 0

    @property
    def lasting(self) -> frozenset[int]:
        """Return who may be faulty for good: liars, twins, and those with bad disks."""
        bad = (int(step.words[0]) for step in self.steps if step.verb in ("lie", "damage"))
        return frozenset((*(liar.member for liar in self.liars), *self.twins, *bad))

    def is_set(self, flag: str) -> bool:
        """Tell whether a flag is set."""
        return flag in self.flags

    def has(self, *verbs: str) -> bool:
        """Tell whether any step has one of these verbs."""
        return any(step.verb in verbs for step in self.steps)

    def lines(self) -> list[str]:
        """Return the text, line by line."""
        lines = [f"nodes {self.nodes}", f"seed {self.seed}", f"calm-after {self.calm_after_ms}"]
        if self.service_ms:
            lines.append(f"service {self.service_ms}")
        if self.spares:
            lines.append(f"spares {self.spares}")
        lines += [f"option {flag}" for flag in sorted(self.flags)]
        lines += [str(liar) for liar in self.liars]
        lines += [f"twin {member}" for member in self.twins]
        return lines + [str(step) for step in self.steps]


def parse_step(text: str) -> Step:
    """Return the step of one `at` line."""
    words = text.split()
    if len(words) < 3 or words[0] != "at" or not words[1].isdecimal():
        raise ScheduleError(f"cannot read {text!r}, want: at MS VERB ...")
    for_ms = 0
    if len(words) > 4 and words[-2] == "for":
        for_ms, words = int(words[-1]), words[:-2]
    return Step(int(words[1]), words[2], tuple(words[3:]), for_ms)


def _parse_liar(text: str) -> LiarLine:
    head, _, rest = text.partition(" with ")
    rest, _, victim = rest.partition(" victim ")
    names, _, half = rest.partition(" half ")
    return LiarLine(
        int(head.split()[1]),
        tuple(name.strip() for name in names.split(",")),
        tuple(map(int, half.split())),
        int(victim) if victim else None,
    )


def parse_schedule(lines: Iterable[str]) -> Schedule:
    """Return the schedule that a text describes; raise `ScheduleError` with the line."""
    numbers = {"nodes": 4, "seed": 0, "calm-after": 0, "service": 0, "spares": 0}
    liars: list[LiarLine] = []
    twins: list[int] = []
    steps: list[Step] = []
    flags: set[str] = set()
    for line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        word, _, rest = text.partition(" ")
        try:
            if word in numbers:
                numbers[word] = int(rest)
            elif word == "option" and rest in FLAGS:
                flags.add(rest)
            elif word == "liar":
                liars.append(_parse_liar(text))
            elif word == "twin":
                twins.append(int(rest))
            elif word == "at":
                steps.append(parse_step(text))
            else:
                raise ScheduleError(f"cannot read {text!r}")
        except (ValueError, IndexError):
            raise ScheduleError(f"cannot read {text!r}") from None
    last_ms = max([step.end_ms for step in steps], default=0)
    return Schedule(
        numbers["nodes"],
        numbers["seed"],
        numbers["calm-after"] or last_ms,
        tuple(liars),
        tuple(twins),
        tuple(steps),
        frozenset(flags),
        numbers["service"],
        numbers["spares"],
    )
