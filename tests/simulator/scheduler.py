"""The one queue of a simulation: simulated time in ns, ties in order of entry."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
# When nothing happens for so long, it is asked whether all is done.
PAUSE_NS = 20 * NS_PER_MS


class Scheduler:
    """Runs actions in order of time."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Run `action(*arguments)` at `time_ns`, or now if that is past."""
        self._sequence += 1
        heappush(self._heap, (max(time_ns, self.now_ns), self._sequence, action, arguments))

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Run `action(*arguments)` in `delay_ns`."""
        self._sequence += 1
        heappush(self._heap, (self.now_ns + delay_ns, self._sequence, action, arguments))

    def run_until(self, end_ns: int, is_done: Callable[[], bool]) -> None:
        """Run until `end_ns`, or until `is_done` (asked now and then) says so."""
        heap, steps = self._heap, 0
        while heap and heap[0][0] <= end_ns:
            time_ns, _, action, arguments = heappop(heap)
            self.now_ns = time_ns
            action(*arguments)
            steps += 1
            is_asked = steps % 64 == 0 or not heap or heap[0][0] - time_ns > PAUSE_NS
            if is_asked and is_done():
                return
        if not is_done():
            self.now_ns = end_ns
