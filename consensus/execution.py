"""Handing committed batches to the ledger, in order of height, one at a time (rules 13, 34).

Execution does not care for views: what is committed-local is executed even while the view changes,
and a height that a new view agrees on again is not executed again. The next height follows when
the block of the last is durable, because its CHECKPOINT says so.
"""

from __future__ import annotations

from consensus.checkpoint import Checkpoints
from consensus.effects import Execute
from consensus.epoch_end import EpochEnd
from consensus.events import BatchExecuted, BlockInstalled
from consensus.log import MessageLog
from consensus.requests import RequestPool
from consensus.state import State
from ledger.errors import Code, LocalError


class Execution:
    """The chain of one replica as consensus sees it: how far it is, and what comes next."""

    def __init__(
        self,
        state: State,
        log: MessageLog,
        pool: RequestPool,
        checkpoints: Checkpoints,
        epoch_end: EpochEnd,
    ) -> None:
        self._state = state
        self._log = log
        self._pool = pool
        self._checkpoints = checkpoints
        self._epoch_end = epoch_end

    def advance(self) -> None:
        """Execute the next height if it is committed-local and nothing else is under way."""
        state, log = self._state, self._log
        if state.is_executing or state.fetch_target or state.is_stopped:
            return
        height = state.executed_height + 1
        digest = log.committed.get(height)
        batch = log.get_batch(height, digest) if digest is not None else None
        if batch is not None and digest is not None:
            state.is_executing = True
            state.emit(Execute(batch, digest))

    def on_batch_executed(self, event: BatchExecuted) -> None:
        """Vote on the block that the ledger made of the batch (rule 18)."""
        state = self._state
        self._check_next(event.height)
        state.is_executing = False
        self._log.executed_digests[event.height] = self._log.committed[event.height]
        self._process_block(event.height, event.executed)
        self._epoch_end.process_block(event.height, event.epochs)
        self._checkpoints.process_executed(event.height, event.block_hash)

    def on_block_installed(self, event: BlockInstalled) -> None:
        """Count a fetched block as executed; the certificate that proves it is known."""
        if event.height <= self._state.executed_height:
            return
        self._check_next(event.height)
        self._log.executed_digests[event.height] = event.batch_digest
        self._process_block(event.height, event.executed)
        self._epoch_end.process_block(event.height, event.epochs)
        self._checkpoints.process_installed(event.height, event.block_hash, event.certificate)

    def _check_next(self, height: int) -> None:
        want = self._state.executed_height + 1
        if height != want:
            raise LocalError(
                Code.CONSENSUS_MISUSE, f"block {height} was executed, want block {want}"
            )

    def _process_block(self, height: int, executed: tuple[bytes, ...]) -> None:
        state = self._state
        state.executed_height = height
        state.progress_ns = state.now.monotonic_ns
        if self._pool.process_executed(executed, height):
            state.failed_views = 0
