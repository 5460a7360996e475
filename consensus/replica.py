"""One replica: the single entry through which events go in and effects come out (DESIGN 2).

`handle` runs one event to completion: it goes to the sub-protocol that it concerns, and then
`_settle` does what has become possible, until nothing more is: start a view change if the primary
is suspected, begin the view that was entered, execute, catch up, propose. The sub-protocols share
`State`, the log and the pool, and do not know each other's owner. What is legal in which phase is
the table in `consensus.state`; the steps of a height are the table in `consensus.normal_case`.

`restore` is the only way to make one. It rebuilds from the vote records what this member has said
(rule 44): the view is that of the last VIEW-CHANGE sent or NEW-VIEW entered, accepted proposals of
that view give back the same PREPARE, prepared certificates the same COMMIT, executed blocks the
same CHECKPOINT, because the same bytes are signed alike.

A replica lives in one epoch (rule 2). When its last block is executed and stable the replica is
over; `EnterEpoch` asks the shell for the next one. A node without a vote has an `Observer` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from consensus.checkpoint import Checkpoints
from consensus.config import ReplicaConfig
from consensus.effects import Effect, ForgetRequests, SetTimer
from consensus.epoch_end import EpochEnd
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    FetchFailed,
    MessageReceived,
    PeerConnected,
    Request,
    RequestReceived,
    RequestRefused,
    StateInstalled,
    Timer,
    TimerExpired,
)
from consensus.execution import Execution
from consensus.floor import Floor
from consensus.log import MessageLog, VoteRecord
from consensus.messages import (
    BatchReply,
    BatchRequest,
    Checkpoint,
    Commit,
    EpochChanges,
    NewView,
    Prepare,
    PrePrepare,
    StableCertificate,
    Status,
    ViewChange,
    ViewChangeRequest,
)
from consensus.normal_case import NormalCase
from consensus.proposing import Proposing
from consensus.recovery import recover
from consensus.requests import RequestPool
from consensus.state import Phase, Signer, State
from consensus.state_transfer import CatchUp
from consensus.statements import Statements
from consensus.status import StatusExchange
from consensus.view_change import ViewChanges
from consensus.votes import Votes
from consensus.waiting import Waiting, compute_waiting
from consensus.watch import Watch

# In a view change only these are listened to (rule 23); STATUS and its answers belong to catch-up.
_IN_NORMAL_ONLY = (BatchReply,)


class Replica:
    """A member's replica. Deterministic: same events and clocks, same effects, byte for byte.

    `sign` returns the 64-byte Ed25519 signature of its argument under the member's key; it is
    called only for bytes that begin with the vote domain (rule 5).
    """

    def __init__(self, config: ReplicaConfig, sign: Signer, head: ChainHead, now: Clock) -> None:
        self._state = State.at_head(config, sign, head, now)
        self._log = MessageLog()
        self._pool = RequestPool(config)
        self._votes = Votes(self._state, self._log)
        self._normal = NormalCase(self._state, self._log, self._pool, self._votes)
        self._proposing = Proposing(self._state, self._log, self._pool, self._normal)
        self._watch = Watch(self._state, self._pool)
        self._floor = Floor(self._state, self._pool)
        self._checkpoints = Checkpoints(self._state, self._log, self._pool)
        self._view_changes = ViewChanges(self._state, self._log)
        self._epoch_end = EpochEnd(self._state, self._log, head.height, head.epochs)
        self._execution = Execution(
            self._state, self._log, self._pool, self._checkpoints, self._epoch_end
        )
        self._catch_up = CatchUp(self._state, self._log)
        self._status = StatusExchange(self._state, self._log, self._checkpoints, self._view_changes)
        self._statements = Statements(self._state)
        self._handlers: dict[type, Callable[[Any], None]] = {
            RequestReceived: self._on_request_received,
            RequestRefused: self._on_request_refused,
            MessageReceived: self._on_message_received,
            PeerConnected: self._on_peer_connected,
            TimerExpired: self._on_timer_expired,
            BatchExecuted: self._execution.on_batch_executed,
            BlockInstalled: self._execution.on_block_installed,
            StateInstalled: self._catch_up.on_state_installed,
            FetchFailed: self._catch_up.on_fetch_failed,
        }
        self._receivers: dict[type, Callable[[int, Any], None]] = {
            PrePrepare: self._normal.on_pre_prepare,
            Prepare: self._votes.on_prepare,
            Commit: self._votes.on_commit,
            Checkpoint: self._checkpoints.on_checkpoint,
            ViewChange: self._view_changes.on_view_change,
            NewView: self._view_changes.on_new_view,
            Status: self._status.on_status,
            StableCertificate: self._on_stable_certificate,
            ViewChangeRequest: self._view_changes.on_view_change_request,
            BatchRequest: self._normal.on_batch_request,
            BatchReply: self._normal.on_batch_reply,
            EpochChanges: self._on_epoch_changes,
        }

    @classmethod
    def restore(
        cls,
        config: ReplicaConfig,
        sign: Signer,
        records: Iterable[VoteRecord],
        head: ChainHead,
        now: Clock,
    ) -> tuple[Replica, list[Effect]]:
        """Return the replica of a home and its first effects; no records: a new home.

        The epoch of `config` is that of `head.epochs`; or the one before, while the certificate of
        its last block is not stored here, because the replica has to bring it about.

        It can contradict nothing that follows from `records` (rule 44). The shell then delivers
        `RequestReceived` for every body that it holds and that is not in a block.
        """
        replica = cls(config, sign, head, now)
        for block in head.recent:
            replica._log.executed_digests[block.height] = block.batch_digest
            replica._checkpoints.vote(block.height, block.block_hash)
        recover(
            records,
            replica._state,
            replica._log,
            replica._normal,
            replica._votes,
            replica._view_changes,
        )
        replica._start()
        return replica, replica._take_effects()

    def _start(self) -> None:
        state, timers = self._state, self._state.config.timers
        state.emit(SetTimer(Timer.STATUS, timers.status_ns))
        self._watch.start_idle()
        own_change = self._view_changes.by_signer.get(state.index)
        if own_change is not None:
            state.broadcast(own_change[0])
        state.broadcast(self._status.build())
        self._settle()

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Process one event to completion and return what is to be done, in order."""
        self._state.now = now
        if self._state.is_stopped:
            return []
        self._handlers[type(event)](event)
        self._settle()
        return self._take_effects()

    def _take_effects(self) -> list[Effect]:
        effects, self._state.effects = self._state.effects, []
        return effects

    def _settle(self) -> None:
        """Do what the event has made possible."""
        state = self._state
        if state.is_stopped:
            return
        self._normal.replay_above()
        if state.suspicion is not None and state.phase is Phase.NORMAL:
            self._view_changes.start(state.view + 1, state.suspicion)
        opened = self._view_changes.pop_opened()
        if opened is not None:
            message, opening = opened
            if opening.certificate is not None:
                self._checkpoints.process_certificate(opening.certificate)
            self._normal.enter_view(message.proposals)
            self._watch.start_view()
            self._floor.start_view()
            self._watch.start_idle()
            self._normal.replay_later()
            self._settle()
            return
        self._execution.advance()
        self._catch_up.advance()
        self._watch.advance()
        self._proposing.advance()
        self._status.show_observers()
        self._epoch_end.advance()

    # Requests

    def _on_request_received(self, event: RequestReceived) -> None:
        state, request = self._state, event.request
        digest = request.hash
        is_known = digest in self._pool.pending
        if not self._pool.add(request, event.is_local) and not self._keep_voted(request):
            state.emit(ForgetRequests((digest,)))
            return
        self._normal.on_body(digest)
        if not is_known:
            self._watch.process_request(digest, event.is_local)

    def _keep_voted(self, request: Request) -> bool:
        """Take in a body behind a vote of this member though there is no place (rule 20)."""
        if request.hash in self._pool.done:
            return False
        if request.hash not in self._log.get_voted_transactions():
            return False
        return self._pool.add(request, is_local=True)

    def _on_request_refused(self, event: RequestRefused) -> None:
        self._normal.on_refused_body(event.hash)

    # Messages

    def _on_message_received(self, event: MessageReceived) -> None:
        state, message = self._state, event.message
        if message.epoch != state.config.epoch:
            self._epoch_end.on_other_epoch(event.sender, message, self._status.build)
            return
        if event.sender >= state.config.size and not isinstance(message, Status):
            state.drop(event.sender, message, "an observer has nothing to say but a status")
            return
        if isinstance(message, _IN_NORMAL_ONLY) and not state.is_normal:
            state.drop(event.sender, message, "not in the normal case")
            return
        self._receivers[type(message)](event.sender, message)
        self._statements.look_at(message)

    def _on_stable_certificate(self, sender: int, message: StableCertificate) -> None:
        del sender
        self._checkpoints.process_certificate(message.certificate)

    def _on_epoch_changes(self, sender: int, message: EpochChanges) -> None:
        """Take the end of this epoch; those after it are the business of the next replica."""
        del sender
        self._checkpoints.process_certificate(message.changes[0].certificate)

    def _on_peer_connected(self, event: PeerConnected) -> None:
        if event.peer >= self._state.config.size:
            self._status.add_observer(event.peer)
            return
        self._state.send(event.peer, self._status.build())

    # Timers

    def _on_timer_expired(self, event: TimerExpired) -> None:
        if event.timer is Timer.BATCH:
            self._proposing.on_batch_timer()
        elif event.timer is Timer.REQUEST:
            self._watch.on_request_timer()
        elif event.timer is Timer.NEW_VIEW:
            self._view_changes.on_new_view_timer()
        elif event.timer is Timer.STATUS:
            self._on_status_timer()
        elif event.timer is Timer.IDLE:
            if self._watch.on_idle_timer():
                self._proposing.propose_empty()
        elif event.timer is Timer.HELD:
            self._normal.on_held_timer()
        else:
            self._catch_up.on_timer()

    def _on_status_timer(self) -> None:
        state, pool = self._state, self._pool
        state.emit(SetTimer(Timer.STATUS, state.config.timers.status_ns))
        state.broadcast(self._status.build())
        self._floor.look()
        if state.is_normal:
            self._normal.ask_again()
        else:
            self._watch.offer_again()
        self._view_changes.ask_again()
        expired = pool.get_expired(state.now.wall_ms)
        if expired:
            voted = self._log.get_voted_transactions()
            gone = tuple(digest for digest in expired if digest not in voted)
            pool.remove(gone)
            state.emit(ForgetRequests(gone))

    # What the shell and the operator may look at

    @property
    def view(self) -> int:
        """Return the current view, or the one that a view change is for."""
        return self._state.view

    @property
    def primary(self) -> int:
        """Return the member that leads `view`."""
        return self._state.primary

    @property
    def is_normal(self) -> bool:
        """Tell whether the replica is in the normal case of its view."""
        return self._state.is_normal

    @property
    def is_halted(self) -> bool:
        """Tell whether the replica has stopped for good."""
        return self._state.phase is Phase.HALTED

    @property
    def is_over(self) -> bool:
        """Tell whether the epoch has ended here: `EnterEpoch` was the last effect."""
        return self._state.phase is Phase.OVER

    @property
    def executed_height(self) -> int:
        """Return the height of the last executed or installed block."""
        return self._state.executed_height

    @property
    def stable_height(self) -> int:
        """Return the height of the last stable checkpoint."""
        return self._state.stable_height

    @property
    def pending_count(self) -> int:
        """Return how many requests are held and not executed."""
        return len(self._pool.pending)

    @property
    def waiting(self) -> Waiting:
        """Return what the next height waits for, and for whom."""
        return compute_waiting(
            self._state,
            self._log,
            self._checkpoints,
            self._view_changes,
            has_requests=bool(self._pool.ready),
        )

    def free_places(self, member: int) -> int:
        """Return how many places `member` has left; the gateway answers BUSY at none (rule 22)."""
        return self._pool.free_places(member)
