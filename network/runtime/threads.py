"""Worker threads for what blocks, and what becomes of the work where there is none (F48).

A system that is short of threads refuses a new one before any of the work is done. Votes and blocks
are then done in the loop's own thread: slowly, but consensus goes on. Clients are told BUSY.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import structlog
import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_NO_THREAD = "can't start new thread"

log = structlog.get_logger()


async def run_in_thread(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Run blocking work in a worker thread, or here where the system gives none."""
    try:
        return await trio.to_thread.run_sync(work, *arguments)
    except RuntimeError as error:
        if not is_thread_refused(error):
            raise
    log.warning("the system gives no thread, works without one")
    return work(*arguments)


def is_thread_refused(error: RuntimeError) -> bool:
    """Tell whether a thread could not be started, which is said before it does anything."""
    return _NO_THREAD in str(error)
