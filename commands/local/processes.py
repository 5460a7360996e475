"""Node processes of a local network: started, watched, killed, without mistaking one for another.

A process is remembered by its pid and its start time, so that a pid that the system gave to
somebody else is never signalled; signals and waits go through a pidfd, which cannot change its
meaning in between. Each node runs in a session of its own and writes to `log` in its home.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import Code, LocalError

HOST = "127.0.0.1"
LOG_NAME = "log"
_LAST_PORT = 65_000


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was started: its pid and when, in clock ticks since the system's boot."""

    pid: int
    start_ticks: int

    @property
    def is_running(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        return _start_ticks(self.pid) == self.start_ticks


def _start_ticks(pid: int) -> int:
    """Return when `pid` started (field 22 of /proc/PID/stat), 0 if it does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def find_free_ports(count: int, base: int) -> int:
    """Return the first port from `base` on that begins `count` free ones (`LocalError` 5009)."""
    first = base
    while first + count <= _LAST_PORT:
        taken = next((port for port in range(first, first + count) if not _is_free(port)), None)
        if taken is None:
            return first
        first = taken + 1
    raise LocalError(Code.PORT_IN_USE, f"no {count} free ports from {base} to {_LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the node's listener does: a connection that has just ended does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def start_node(home: Path) -> Process:
    """Start `creditledger run` on a home, in a session of its own, its output in the home's log."""
    with (home / LOG_NAME).open("ab") as log:
        child = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-m", "node", "run", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(child.pid, _start_ticks(child.pid))


def send_signal(process: Process, number: signal.Signals, wait_seconds: float) -> bool:
    """Signal a process and wait for its end; return whether it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return True
    try:
        # Opened first, compared second: from here on the descriptor is this very process.
        if not process.is_running:
            return True
        signal.pidfd_send_signal(descriptor, number)
        waiter = select.poll()
        waiter.register(descriptor, select.POLLIN)
        return bool(waiter.poll(wait_seconds * 1000))
    finally:
        os.close(descriptor)


def stop(processes: Sequence[Process], wait_seconds: float = 60) -> None:
    """End processes: SIGTERM to all, then SIGKILL for those that stay."""
    for process in processes:
        send_signal(process, signal.SIGTERM, 0)
    for process in processes:
        if not send_signal(process, signal.SIGTERM, wait_seconds):
            send_signal(process, signal.SIGKILL, wait_seconds)


def last_lines(home: Path, count: int = 5) -> str:
    """Return the end of a node's log, on one line."""
    try:
        data = (home / LOG_NAME).read_bytes()[-8192:]
    except OSError:
        return ""
    return " | ".join(data.decode(errors="replace").strip().splitlines()[-count:])
