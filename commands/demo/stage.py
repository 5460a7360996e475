"""Running `creditledger` commands in front of an audience: each is printed, run and shown.

A `Stage` runs commands as processes of their own, exactly as somebody would type them, prints
their output, and keeps it for the steps that need an id out of it. A command that leaves with
another exit code than was expected ends the demonstration with `StepFailed`, which names the step.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

_BOLD, _DIM, _RESET = "\033[1m", "\033[2m", "\033[0m"
TIMEOUT_SECONDS = 180


class StepFailed(Exception):
    """A step of the demonstration did not come out; `str()` says which command and why."""


@dataclass(slots=True)
class Stage:
    """Where commands run: the network's folder, and what was found out for the summary."""

    net: Path
    step: str = ""
    figures: list[tuple[str, str]] = field(default_factory=list)
    started: float = field(default_factory=monotonic)
    timeout_seconds: float = TIMEOUT_SECONDS

    @contextmanager
    def part(self, number: int, title: str) -> Iterator[None]:
        """Announce a step, and time it."""
        self.step = f"step {number}: {title}"
        began = monotonic()
        self.say(f"\n{self._bold(self.step)}")
        yield
        self.say(self._dim(f"({monotonic() - began:.1f} s)"))

    def say(self, text: str) -> None:
        """Print a line at once."""
        print(text, flush=True)

    def note(self, what: str, figure: str) -> None:
        """Keep a figure for the summary."""
        self.figures.append((what, figure))

    def run(self, *arguments: str | Path, want: tuple[int, ...] = (0,), quiet: bool = False) -> str:
        """Run one command, show it with its output, and return what it printed.

        It must leave with one of the exit codes in `want`, else `StepFailed`.
        """
        self.say(self._bold(f"$ creditledger {shlex.join(str(item) for item in arguments)}"))
        # stderr stays the terminal's: progress is drawn there.
        done = subprocess.run(  # noqa: S603  our own interpreter, our own module
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=None if want == (0,) else subprocess.PIPE,
            env=self.environment(),
            timeout=self.timeout_seconds,
            check=False,
        )
        output = done.stdout.decode() + (done.stderr or b"").decode()
        if not quiet and output.strip():
            self.say(output.rstrip())
        if done.returncode not in want:
            if quiet:
                self.say(output.rstrip())
            raise StepFailed(
                f"`creditledger {arguments[0]} {arguments[1]}` left with exit code "
                f"{done.returncode}, want {' or '.join(str(code) for code in want)}"
            )
        return output

    def ask(self, *arguments: str | Path) -> Any:
        """Run one command with --json, unseen, and return what it says."""
        done = subprocess.run(  # noqa: S603  our own interpreter, our own module
            self.command(*arguments, "--json"),
            stdout=subprocess.PIPE,
            env=self.environment(),
            timeout=self.timeout_seconds,
            check=False,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:
            text = shlex.join(str(item) for item in arguments)
            raise StepFailed(f"`creditledger {text} --json` gave no JSON") from None

    def start(self, *arguments: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start one command in the background, its output in a file."""
        self.say(self._bold(f"$ creditledger {shlex.join(str(item) for item in arguments)} &"))
        with log.open("wb") as file:
            return subprocess.Popen(  # noqa: S603  our own interpreter, our own module
                self.command(*arguments), stdout=file, stderr=file, env=self.environment()
            )

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the process that `creditledger ARGUMENTS` is."""
        return [sys.executable, "-m", "commands", *(str(item) for item in arguments)]

    def environment(self) -> dict[str, str]:
        """Return the environment of every command: the network stands in CREDITLEDGER_NET."""
        return {**os.environ, "CREDITLEDGER_NET": str(self.net)}

    def _bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_RESET}" if sys.stdout.isatty() else text

    def _dim(self, text: str) -> str:
        return f"{_DIM}{text}{_RESET}" if sys.stdout.isatty() else text


def find(pattern: str, output: str) -> str:
    """Return the first group of `pattern` in a command's output; raise `StepFailed`."""
    match = re.search(pattern, output)
    if match is None:
        raise StepFailed(f"nothing like {pattern!r} in the command's output")
    return match[1]
