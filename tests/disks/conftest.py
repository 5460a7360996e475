"""One chain and one recorded run for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.disks.runs import Laboratory, Run


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A chain of 24 blocks of ten transactions."""
    return Laboratory(tmp_path_factory.mktemp("disks"), 24)


@pytest.fixture(scope="session")
def recorded(laboratory: Laboratory) -> Run:
    """The operations of a process that followed the whole script."""
    run = laboratory.run()
    assert run.code == 0, run.output
    return run
