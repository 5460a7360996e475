"""The end of an epoch at a node, replica or observer (rule 2; why it is safe: `consensus.epochs`).

    known    the change is decided: `State.last_height` is a − 1, and H goes no further
    drained  a − 1 is executed or installed here; the next members are known
    over     a − 1 is stable too: `EnterEpoch`, and nothing after it

Who is in another epoch is told the way, now and then at most: one that is behind gets the
certificate of its epoch's last block, one that is ahead gets a STATUS and answers the same way.
Votes of a later epoch that come early are dropped; STATUS brings them again (rule 28).
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.effects import EnterEpoch, ShowEpochs
from consensus.epochs import EpochView
from consensus.log import MessageLog
from consensus.messages import Message, Status
from consensus.state import Phase, State
from ledger.errors import Code, LocalError

ANSWERS_PER_PERIOD = 2  # an answer may hold many certificates (F69)


class EpochEnd:
    """Leads one node out of its epoch, and others into it."""

    def __init__(self, state: State, log: MessageLog, head_height: int, view: EpochView) -> None:
        self._state = state
        self._log = log
        self._next: tuple[bytes, ...] | None = None
        self._answered_ns: dict[int, int] = {}
        self.process_state(head_height, view)

    def process_block(self, height: int, view: EpochView) -> None:
        """Take in what an executed or installed block says of the height after it."""
        state, pending = self._state, view.pending
        is_new = view.epoch == state.config.epoch and state.last_height is None
        high = height + state.config.limits.window
        if is_new and pending is not None and pending[0] <= high:
            raise LocalError(
                Code.CONSENSUS_MISUSE,
                f"change decided at height {height} is active from {pending[0]}, "
                f"want more than {high} (rule 2)",
            )
        self.process_state(height, view)

    def process_state(self, height: int, view: EpochView) -> None:
        """Take in where the chain stands at its start, or after a state was installed."""
        state = self._state
        epoch = state.config.epoch
        if view.epoch == epoch and view.pending is not None:
            state.last_height = view.pending[0] - 1
            self._log.forget_above(state.last_height)
        elif view.epoch == epoch + 1:
            state.last_height = height
            self._next = view.members
        elif view.epoch > epoch:
            raise LocalError(
                Code.CONSENSUS_MISUSE, f"block {height} leads to epoch {view.epoch}, not {epoch}"
            )

    def advance(self) -> None:
        """End this epoch if its last block is executed or installed here, and stable."""
        state, certificate = self._state, self._state.certificate
        if self._next is None or state.is_stopped or certificate is None:
            return
        if certificate.height == state.last_height and not state.is_executing:
            state.emit(EnterEpoch(state.config.epoch + 1, self._next, certificate))
            state.phase = Phase.OVER

    def on_other_epoch(self, sender: int, message: Message, build: Callable[[], Status]) -> None:
        """Drop a message of another epoch, and help its sender or let it help (rule 2).

        `build` makes the STATUS of this node.
        """
        state, now_ns = self._state, self._state.now.monotonic_ns
        state.drop(sender, message, "message of another epoch")
        pause_ns = state.config.timers.status_ns // ANSWERS_PER_PERIOD
        if sender in self._answered_ns and now_ns - self._answered_ns[sender] < pause_ns:
            return
        self._answered_ns[sender] = now_ns
        if message.epoch < state.config.epoch:
            state.emit(ShowEpochs(sender, message.epoch))
        else:
            state.send(sender, build())
