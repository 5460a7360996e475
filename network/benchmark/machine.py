"""What the machine can do, and what the nodes use: the other half of every ratio.

The ceiling on transactions a second is `cores × verifications/s ÷ n`: each of n nodes on this one
machine checks each signature once, and does nothing else. It is measured in the same run as the
rest, with both libraries, on one core and before the load.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.keys import SigningKey, verify

_MESSAGE = bytes(250)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Verifications:
    """Ed25519 verifications a second on one core, of 250-byte messages."""

    libsodium: float
    openssl: float

    def ceiling(self, nodes: int, *, library: str) -> float:
        """Return the transactions a second that signature checks alone would allow."""
        cores = len(os.sched_getaffinity(0))
        one: float = getattr(self, library)
        return cores * one / nodes


def measure_verifications(seconds: float = 1.0) -> Verifications:
    """Measure both libraries, each for `seconds` of processor time."""
    key = SigningKey(bytes(32))
    signature = key.sign(_MESSAGE)
    openssl = Ed25519PublicKey.from_public_bytes(key.public_key)
    return Verifications(
        libsodium=_rate(lambda: verify(key.public_key, signature, _MESSAGE), seconds),
        openssl=_rate(lambda: openssl.verify(signature, _MESSAGE), seconds),
    )


def _rate(action: Callable[[], None], seconds: float) -> float:
    count, start = 0, time.process_time()
    while (used := time.process_time() - start) < seconds:
        for _ in range(100):
            action()
        count += 100
    return count / used


def processor_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that processes have used, in seconds; 0 for one that ended."""
    return sum(_processor_seconds(pid) for pid in pids)


def _processor_seconds(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> tuple[float, float]:
    """Return (now, peak) resident memory of a process in MiB."""
    values = {"VmRSS": 0.0, "VmHWM": 0.0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0]) / 1024
    return values["VmRSS"], values["VmHWM"]
