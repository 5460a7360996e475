"""Processes of a local network: never the wrong one, never a zombie taken for a node."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from commands.local.processes import HOST, Process, _start_ticks, find_free_ports, send_signal, stop
from ledger.errors import Code, LocalError


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def _known(child: subprocess.Popen[bytes]) -> Process:
    return Process(child.pid, _start_ticks(child.pid))


def test_killed_process_is_not_running_before_it_is_reaped(
    child: subprocess.Popen[bytes],
) -> None:
    process = _known(child)
    assert process.is_running
    assert send_signal(process, signal.SIGKILL, 10)
    assert not process.is_running


def test_pid_of_another_process_is_left_alone(child: subprocess.Popen[bytes]) -> None:
    stranger = replace(_known(child), start_ticks=1)
    assert not stranger.is_running
    stop([stranger])
    assert _known(child).is_running


def test_stop_ends_what_ignores_sigterm() -> None:
    program = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    arguments = [sys.executable, "-c", program]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:  # noqa: S603
        assert child.stdout is not None
        child.stdout.readline()
        process = _known(child)
        stop([process], wait_seconds=0.1)
        assert not process.is_running


def test_ports_in_use_are_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = find_free_ports(3, port - 1)
    assert found > port


def test_no_free_ports_is_an_error_that_says_where_it_looked() -> None:
    with pytest.raises(LocalError, match="no 9 free ports from 64999") as caught:
        find_free_ports(9, 64_999)
    assert caught.value.code is Code.PORT_IN_USE
