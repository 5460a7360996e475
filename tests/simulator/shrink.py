"""From a schedule that fails to the shortest that fails alike (delta debugging).

Lines are taken out, half of them at once, then fewer and fewer, as long as what is left breaks the
same property; then liars lose lies, durations are halved, the run gets smaller. Since each link and
member has dice of its own, most of what is left happens as before. Two failures are alike when
their texts are, numbers apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ledger.errors import CreditLedgerError
from tests.simulator.checkers import ViolationError
from tests.simulator.schedule import LiarLine, Schedule, ScheduleError, Step
from tests.simulator.simulation import Simulation

T = TypeVar("T")

RUNS_MAX = 600
# A replica that raises is as broken as one that lies.
BROKEN = (ViolationError, CreditLedgerError, AttributeError, LookupError, TypeError, ValueError)
_NUMBER = re.compile(r"[0-9]+|b'.*?'")


@dataclass(frozen=True, slots=True)
class Failure:
    """How a run failed: its text, and what of it makes two failures alike."""

    text: str
    kind: str


def play(schedule: Schedule) -> Failure | None:
    """Run a schedule; return how it fails, or None."""
    try:
        Simulation(schedule.seed, schedule=schedule).run()
    except ScheduleError:
        return None
    except BROKEN as error:
        text = f"{type(error).__name__}: {error}"
        kind = _NUMBER.sub("#", ":".join(text.split(":")[:2]))
        return Failure(text, kind)
    return None


class Shrinker:
    """Shrinks one schedule; `runs` counts the tries, at most `RUNS_MAX`."""

    def __init__(self, schedule: Schedule, failure: Failure) -> None:
        self.schedule = schedule
        self.failure = failure
        self.runs = 0

    def run(self) -> Schedule:
        """Return the shortest schedule found."""
        before = 0
        while before != _measure(self.schedule) and self.runs < RUNS_MAX:
            before = _measure(self.schedule)
            self._shrink_flags()
            self._shrink_list(self.schedule.steps, lambda items: {"steps": items})
            self._shrink_list(self.schedule.liars, lambda items: {"liars": items})
            self._shrink_list(self.schedule.twins, lambda items: {"twins": items})
            self._shrink_lies()
            self._shrink_times()
            self._shrink_members()
        return self.schedule

    def _try(self, schedule: Schedule) -> bool:
        """Take a smaller schedule if it fails alike."""
        if self.runs >= RUNS_MAX:
            return False
        self.runs += 1
        failure = play(schedule)
        if failure is None or failure.kind != self.failure.kind:
            return False
        self.schedule, self.failure = schedule, failure
        return True

    def _shrink_list(
        self, items: Sequence[T], change: Callable[[tuple[T, ...]], dict[str, tuple[T, ...]]]
    ) -> None:
        """Take out parts of a list: halves, quarters, …, single ones."""
        left, size = tuple(items), max(1, len(items) // 2)
        while left:
            start, is_smaller = 0, False
            while start < len(left):
                fewer = left[:start] + left[start + size :]
                if self._try(replace(self.schedule, **change(fewer))):  # type: ignore[arg-type]
                    left, is_smaller = fewer, True
                else:
                    start += size
            if size == 1 and not is_smaller:
                return
            size = max(1, size // 2)

    def _shrink_flags(self) -> None:
        if self.schedule.service_ms:
            self._try(replace(self.schedule, service_ms=0))
        for flag in sorted(self.schedule.flags):
            self._try(replace(self.schedule, flags=self.schedule.flags - {flag}))

    def _shrink_lies(self) -> None:
        for place, liar in enumerate(self.schedule.liars):
            for name in liar.behaviours:
                now = self.schedule.liars[place]
                kept = tuple(item for item in now.behaviours if item != name)
                if kept:
                    self._change_liar(place, replace(now, behaviours=kept))

    def _change_liar(self, place: int, liar: LiarLine) -> None:
        liars = list(self.schedule.liars)
        liars[place] = liar
        self._try(replace(self.schedule, liars=tuple(liars)))

    def _shrink_times(self) -> None:
        """End earlier, and let what lasts last less long."""
        last_ms = max([step.end_ms for step in self.schedule.steps], default=0)
        for end_ms in (last_ms + 1, self.schedule.calm_after_ms // 2):
            if end_ms < self.schedule.calm_after_ms:
                self._try(replace(self.schedule, calm_after_ms=end_ms))
        for place in range(len(self.schedule.steps)):
            for shorter in _shorter(self.schedule.steps[place]):
                steps = list(self.schedule.steps)
                steps[place] = shorter
                if not self._try(replace(self.schedule, steps=tuple(steps))):
                    break

    def _shrink_members(self) -> None:
        while self.schedule.nodes > 4:
            if not self._try(replace(self.schedule, nodes=self.schedule.nodes - 1)):
                return


def _shorter(step: Step) -> Iterator[Step]:
    for_ms = step.for_ms
    while for_ms > 50:
        for_ms //= 2
        yield replace(step, for_ms=for_ms)


def _measure(schedule: Schedule) -> int:
    lies = sum(len(liar.behaviours) for liar in schedule.liars)
    return len(schedule.lines()) + lies + sum(step.for_ms for step in schedule.steps)


def shrink(schedule: Schedule) -> tuple[Schedule, Failure, int] | None:
    """Return the shortest schedule that fails alike, how, and after how many runs; None: it holds.

    What was planned for after the failure is taken out first of all.
    """
    failure = play(schedule)
    if failure is None:
        return None
    shrinker = Shrinker(schedule, failure)
    return shrinker.run(), shrinker.failure, shrinker.runs
