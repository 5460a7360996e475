"""Blocking work goes on where the system gives no thread (F48)."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from network.runtime.threads import run_in_thread


def refuse(_work: object, *_arguments: object) -> Any:
    """Do as the interpreter does when the system gives no thread."""
    raise RuntimeError("can't start new thread")


def test_f48_work_is_done_here_where_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    assert trio.run(run_in_thread, divmod, 7, 5) == (1, 2)


def test_f48_errors_of_the_work_itself_are_its_own() -> None:
    def fail() -> None:
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        trio.run(run_in_thread, fail)
