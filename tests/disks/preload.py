"""The library of `shim.c`: built when a test first needs it, and the plans that it reads.

A process that runs with `environment(...)` has its file operations below one folder recorded, and
meets what the plan says. The plan file may change while the process runs. Where there is no C
compiler the tests that need the library are skipped with a word.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

import pytest

SOURCE = Path(__file__).with_name("shim.c")
EVER = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a plan; `shim.c` says what the words mean."""

    operation: str
    glob: str
    action: str
    number: int = 0
    first: int = 1
    count: int = 1

    def line(self) -> str:
        """Return the rule as the library reads it."""
        parts = (self.operation, self.glob, self.first, self.count, self.action, self.number)
        return " ".join(map(str, parts)) + "\n"


def failing_sync(glob: str, first: int = 1) -> Rule:
    """Return the rule of a sync that reports an error of the device, and of all after it."""
    return Rule("sync", glob, "fail", errno.EIO, first, EVER)


def full_disk(glob: str, first: int = 1) -> Rule:
    """Return the rule of a disk that takes no more bytes from the `first` write on."""
    return Rule("write", glob, "fail", errno.ENOSPC, first, EVER)


def library() -> Path:
    """Return the built library; skip the test where it cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here: the library that makes files fail cannot be built")
    name = sha256(SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(gettempdir()) / f"creditledger-shim-{os.getuid()}-{name}.so"
    if not built.exists():
        new = built.with_suffix(f".{os.getpid()}")
        options = ("-O1", "-Wall", "-Wextra", "-shared", "-fPIC")
        subprocess.run(  # noqa: S603  the machine's compiler, our own source
            [compiler, *options, "-o", str(new), str(SOURCE), "-ldl", "-lpthread"], check=True
        )
        new.rename(built)
    return built


def environment(
    folder: Path, *, plan: Path | None = None, log: Path | None = None
) -> dict[str, str]:
    """Return the variables with which a process comes under the library."""
    variables = {"LD_PRELOAD": str(library()), "DISKS_FOLDER": str(folder.resolve())}
    if plan is not None:
        variables["DISKS_PLAN"] = str(plan)
    if log is not None:
        variables["DISKS_LOG"] = str(log)
    return variables


def write_plan(path: Path, *rules: Rule) -> None:
    """Put a plan in place at once."""
    new = path.with_suffix(".new")
    new.write_text("".join(rule.line() for rule in rules))
    new.replace(path)
