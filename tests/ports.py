"""A range of ports for this test process alone.

Test processes run side by side, and a node that a test stops or kills takes the same port again:
until then it looks free to everybody. So each process claims a range by a name in the kernel's
abstract socket space, which goes with the process. The range lies where the system gives no port to
an outgoing connection: else a client could sit on the port of a node that is about to start.
"""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

PORTS = 64
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST, _END = 10_000, 65_000


@cache
def claim_ports() -> int:
    """Return the first of `PORTS` ports that no other test process uses while this one lives."""
    for first in _starts():
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0creditledger tests, ports from {first}")
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return first
    raise RuntimeError(f"every range of {PORTS} ports from {_FIRST} to {_END} is claimed")


_CLAIMS: list[socket.socket] = []  # kept open: a claim ends with its socket


def _starts() -> list[int]:
    """Return where ranges begin, those without a port of the system's own choosing first."""
    try:
        low, high = map(int, _EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        low, high = 32_768, 60_999
    starts = list(range(_FIRST, _END - PORTS, PORTS))
    return sorted(starts, key=lambda first: low - PORTS < first <= high)
