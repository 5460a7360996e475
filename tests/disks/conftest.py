"""One chain and one recorded run for all tests of this folder, on a disk of memory if there is one.

Thousands of homes are written, synced and opened, and no real disk is lost in between: what a crash
leaves is computed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.disks.runs import Laboratory, Run

MEMORY = Path("/dev/shm")  # noqa: S108  folders of our own with names nobody can foresee


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[Path]:
    """A folder in memory, where the system has it; else in the usual place."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="creditledger-disks-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def fast_path(fast_folder: Path) -> Iterator[Path]:
    """A folder in memory for one test."""
    with TemporaryDirectory(dir=fast_folder) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def laboratory(fast_folder: Path) -> Laboratory:
    """A chain of 24 blocks of ten transactions."""
    return Laboratory(fast_folder, 24)


@pytest.fixture(scope="session")
def recorded(laboratory: Laboratory) -> Run:
    """The operations of a process that followed the whole script."""
    run = laboratory.run()
    assert run.code == 0, run.output
    # The next run has a home of its own.
    return replace(run, home=run.home.rename(run.home.with_name("recorded")))
