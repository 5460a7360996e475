"""How much of what no correct client sends is borne, and how long its sender then waits (F68).

Each bad item costs one of an allowance that fills up again at a steady rate. It may be overdrawn,
since many items come in one frame; whoever has overdrawn is barred until the debt is paid: nothing
more of it is read. So in the long run a sender costs `rate` checks a second, whatever it sends, and
one that made a mistake is served again after a moment. Nobody is barred for what another sent.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ledger.errors import Code, LocalError

SENDERS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class AllowanceLimits:
    """Bad items that are borne at once, and those for a second; the longest bar in seconds."""

    burst: float = 1000.0
    rate: float = 50.0
    bar_s: float = 60.0

    def __post_init__(self) -> None:
        if not (self.burst > 0 and self.rate > 0 and self.bar_s > 0):
            raise LocalError(Code.CONFIG_INVALID, "a limit of an allowance is not positive")


@dataclass(slots=True)
class _Account:
    left: float
    at: float


class Allowances:
    """The allowances of senders; one that is full again is forgotten."""

    def __init__(self, limits: AllowanceLimits | None = None) -> None:
        self._limits = limits or AllowanceLimits()
        self._accounts: dict[Hashable, _Account] = {}

    def charge(self, sender: Hashable, count: int, now: float) -> bool:
        """Take `count` off the allowance of `sender`; tell whether that has barred it just now."""
        if len(self._accounts) >= SENDERS_KEPT:
            self._forget_full(now)
        account = self._accounts.setdefault(sender, _Account(self._limits.burst, now))
        was_barred = self._fill(account, now) < 0
        account.left = max(account.left - count, -self._limits.bar_s * self._limits.rate)
        return account.left < 0 and not was_barred

    def barred_s(self, sender: Hashable, now: float) -> float:
        """Return for how many seconds from now `sender` is barred; 0 if it is not."""
        account = self._accounts.get(sender)
        if account is None:
            return 0.0
        return max(0.0, -self._fill(account, now) / self._limits.rate)

    def _fill(self, account: _Account, now: float) -> float:
        gained = (now - account.at) * self._limits.rate
        account.left = min(self._limits.burst, account.left + gained)
        account.at = now
        return account.left

    def _forget_full(self, now: float) -> None:
        full = [
            sender
            for sender, account in self._accounts.items()
            if self._fill(account, now) >= self._limits.burst
        ]
        for sender in full:
            del self._accounts[sender]
