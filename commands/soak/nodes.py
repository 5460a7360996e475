"""The processes of a soak: started, asked, broken and watched, each by its own handle.

A `SoakNode` is one member's node. `may_be_down` says that whoever breaks things expects it to have
no process; a node that ends at any other time ended by itself, which is a finding. Each life of a
process has its own memory samples.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from commands.frame import Exit
from commands.local.processes import LOG_NAME, last_lines
from commands.session import CLIENTS, only_node
from commands.soak.stepped_node import set_offset
from ledger.errors import Code, CreditLedgerError, LocalError
from network.client import ClientPolicy, SyncClient
from network.profile import Profile

POLL_S = 0.1
START_S = 300.0
END_S = 60.0
ANSWER_S = 5
_POLICY = ClientPolicy(connect_s=ANSWER_S, answer_s=ANSWER_S)
WORDS_MAX = 400
_MIB = 1024


@dataclass(slots=True)
class Life:
    """One process from its start to its end: (seconds since its start, MiB of its own)."""

    began: float
    samples: list[tuple[float, float]] = field(default_factory=list)


class SoakNode:
    """One node: its home, its process, its client, its memory."""

    def __init__(self, member: str, home: Path, net: Path) -> None:
        self.member = member
        self.home = home
        self.may_be_down = True
        self.lives: list[Life] = []
        self._profile = only_node(Profile.load(net / CLIENTS / member), member)
        self._client: SyncClient | None = None
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._logger: threading.Thread | None = None
        set_offset(home, 0)

    @property
    def is_running(self) -> bool:
        """Tell whether the process runs, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        return 0 if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last process ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process on its home; `wait_until_up` tells when it answers."""
        process = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-m", "commands.soak.stepped_node", "run", "--home", self.home],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Not straight into a file: a disk that is full to the node still takes its last words.
        self._logger = threading.Thread(target=self._write_log, args=(process.stdout,), daemon=True)
        self._logger.start()
        self._process = process
        self.lives.append(Life(monotonic()))

    def _write_log(self, lines: IO[bytes]) -> None:
        with lines, (self.home / LOG_NAME).open("ab", buffering=0) as log:
            for line in lines:
                log.write(line)

    def wait_until_up(self) -> None:
        """Wait until the node answers; raise `LocalError` (5007, 5008) if it ends or does not."""
        deadline = monotonic() + START_S
        while self.ask() is None:
            if not self.is_running:
                raise LocalError(Code.CONNECT_FAILED, f"{self.member} ended: {self.last_words()}")
            if monotonic() > deadline:
                raise LocalError(Code.TIMED_OUT, f"{self.member} is silent after {START_S:.0f} s")
            sleep(POLL_S)
        self.may_be_down = False

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process and wait for its end, with SIGKILL at last; return its exit code."""
        self.may_be_down = True
        if self._process is None:
            return 0
        self.send(number)
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait_for_end(self, seconds: float) -> int | None:
        """Return the exit code of a process that is expected to end, None if it did not."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def fill_disk(self) -> None:
        """Let no file of the process grow any more, as on a full disk or at the end of a quota."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def ask(self) -> Mapping[str, Any] | None:
        """Return the node's status, None if it does not answer within `ANSWER_S`."""
        with self._asking:
            if self._client is None:
                self._client = SyncClient(self._profile, _POLICY).__enter__()
            try:
                return self._client.status()
            except CreditLedgerError:
                return None

    def is_back(self, target: int) -> bool:
        """Tell whether the node may vote and has certified a block above `target`."""
        status = self.ask()
        return status is not None and status["may_vote"] and status["certified_height"] > target

    def wait_for_refusal(self, seconds: float) -> bool:
        """Tell whether the node says that it must not vote; False once it votes (rule 46)."""
        deadline = monotonic() + seconds
        while monotonic() < deadline and self.is_running:
            status = self.ask()
            if status is not None and (status["refusal"] or status["may_vote"]):
                return bool(status["refusal"])
            sleep(POLL_S)
        return not self.is_running and self.exit_code == Exit.STORAGE

    def certified_height(self) -> int | None:
        """Return how far the node has certified blocks, None if it does not answer."""
        status = self.ask()
        return None if status is None else int(status["certified_height"])

    def sample_memory(self) -> None:
        """Note how much memory the process holds now, without the files that are mapped.

        LevelDB maps its tables, more of them as the database grows; the system takes those pages
        back when it wants to.
        """
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return
        for line in text.splitlines():
            if line.startswith("RssAnon:") and self.lives:
                life = self.lives[-1]
                life.samples.append((monotonic() - life.began, int(line.split()[1]) / _MIB))

    def last_words(self) -> str:
        """Return the end of the node's log."""
        if self._logger is not None and not self.is_running:
            self._logger.join(1)
        return last_lines(self.home, 2)[-WORDS_MAX:]

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """Return every line of the node's log that reports the event `name`."""
        found = []
        for line in (self.home / LOG_NAME).read_text(errors="replace").splitlines():
            if name in line and line.startswith("{"):
                value = json.loads(line)
                if value.get("event") == name:
                    found.append(value)
        return found

    def close(self) -> None:
        """End the process, paused or not, and its client."""
        self.send(signal.SIGCONT)
        self.end()
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None
