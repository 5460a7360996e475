"""An observer: it follows an epoch by its certificates, and neither signs nor votes (rules 2, 46).

A node that is no validator, one that was removed, one that is not active yet, and a validator whose
home may not vote run as observers. An observer asks W members at a time, by turns, with STATUS;
they answer with certificates, and show it new ones as heights become stable. It fetches the blocks
up to the highest, as a replica that is behind does, and goes on to the next epoch when the last
block of this one is installed. One that is far behind is shown `EpochChanges`: it goes straight to
the last of those epochs, because its members are proven, and fetches towards their certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.checkpoint import Checkpoints
from consensus.config import OBSERVER, ReplicaConfig
from consensus.effects import Effect, EnterEpoch, ForgetRequests, PruneVotes, SetTimer
from consensus.epoch_end import EpochEnd
from consensus.events import (
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    FetchFailed,
    MessageReceived,
    PeerConnected,
    RequestReceived,
    StateInstalled,
    Timer,
    TimerExpired,
)
from consensus.log import MessageLog
from consensus.messages import EpochChanges, StableCertificate, Status
from consensus.requests import RequestPool
from consensus.state import Phase, State
from consensus.state_transfer import CatchUp
from ledger.chain.certificate import Certificate
from ledger.errors import Code, LocalError

# So many windows behind, an observer goes straight to a proven later epoch.
FAR_WINDOWS = 4


def _refuse_to_sign(data: bytes) -> bytes:
    raise LocalError(Code.CONSENSUS_MISUSE, f"an observer was to sign {len(data)} bytes")


class Observer:
    """A node that follows; deterministic, with the same `handle` as `Replica`.

    `config.index` is `OBSERVER`; or the own place among the members, for a validator of this epoch
    whose chain has not reached the epoch: it is done, with `EnterEpoch`, as soon as it has.
    """

    def __init__(self, config: ReplicaConfig, head: ChainHead, now: Clock) -> None:
        self._state = State.at_head(config, _refuse_to_sign, head, now)
        self._log = MessageLog()
        self._checkpoints = Checkpoints(self._state, self._log, RequestPool(config))
        self._catch_up = CatchUp(self._state, self._log)
        self._epoch_end = EpochEnd(self._state, self._log, head.height, head.epochs)
        self._is_member_here = config.index != OBSERVER
        self._has_reached = head.epochs.epoch >= config.epoch
        self._turn = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            MessageReceived: self._on_message_received,
            PeerConnected: self._on_peer_connected,
            TimerExpired: self._on_timer_expired,
            BlockInstalled: self._on_block_installed,
            StateInstalled: self._catch_up.on_state_installed,
            FetchFailed: self._catch_up.on_fetch_failed,
            RequestReceived: self._on_request_received,
        }

    @classmethod
    def start(
        cls, config: ReplicaConfig, head: ChainHead, now: Clock
    ) -> tuple[Observer, list[Effect]]:
        """Return an observer whose chain ends at `head`, and its first effects.

        The chain may end below the epoch of `config`, whose members `EpochChanges` have proven.
        """
        observer = cls(config, head, now)
        observer._on_status_timer()
        observer._settle()
        return observer, observer._take_effects()

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Process one event to completion and return what is to be done, in order.

        What is about voting (executed batches, refused bodies) is passed over.
        """
        self._state.now = now
        handler = self._handlers.get(type(event))
        if self._state.is_stopped or handler is None:
            return []
        handler(event)
        self._settle()
        return self._take_effects()

    def _take_effects(self) -> list[Effect]:
        """Return the effects so far; an observer has no votes that could be pruned."""
        effects, self._state.effects = self._state.effects, []
        return [effect for effect in effects if not isinstance(effect, PruneVotes)]

    def _settle(self) -> None:
        if self._state.is_stopped:
            return
        self._catch_up.advance()
        self._epoch_end.advance()
        state = self._state
        if not (self._is_member_here and self._has_reached) or state.is_stopped:
            return
        if state.certificate is not None:
            self._enter(state.config.epoch, state.config.members, state.certificate)

    def _enter(self, epoch: int, members: tuple[bytes, ...], certificate: Certificate) -> None:
        self._state.emit(EnterEpoch(epoch, members, certificate))
        self._state.phase = Phase.OVER

    # Events

    def _on_message_received(self, event: MessageReceived) -> None:
        state, message = self._state, event.message
        if message.epoch != state.config.epoch:
            self._epoch_end.on_other_epoch(event.sender, message, self._build_status)
        elif isinstance(message, StableCertificate):
            self._checkpoints.process_certificate(message.certificate)
        elif isinstance(message, EpochChanges):
            self._on_epoch_changes(message)
        else:
            state.drop(event.sender, message, "an observer has no use for votes")

    def _on_epoch_changes(self, message: EpochChanges) -> None:
        """Follow the end of this epoch, or go straight to the last epoch that is proven."""
        state, last = self._state, message.changes[-1]
        self._checkpoints.process_certificate(message.changes[0].certificate)
        far = state.executed_height + FAR_WINDOWS * state.config.limits.window
        if last.certificate.height > far and not state.is_stopped:
            members = tuple(key for _, key in last.validators)
            self._enter(last.epoch, members, last.certificate)

    def _on_block_installed(self, event: BlockInstalled) -> None:
        state = self._state
        if event.height <= state.executed_height:
            return
        if event.height != state.executed_height + 1:
            raise LocalError(
                Code.CONSENSUS_MISUSE,
                f"block {event.height} was installed, want block {state.executed_height + 1}",
            )
        state.executed_height = event.height
        state.progress_ns = state.now.monotonic_ns
        self._has_reached = event.epochs.epoch >= state.config.epoch
        self._epoch_end.process_block(event.height, event.epochs)
        self._checkpoints.process_installed(event.height, event.block_hash, event.certificate)

    def _on_request_received(self, event: RequestReceived) -> None:
        self._state.emit(ForgetRequests((event.request.hash,)))

    def _on_peer_connected(self, event: PeerConnected) -> None:
        if event.peer < self._state.config.size:
            self._state.send(event.peer, self._build_status())

    # Asking

    def _on_timer_expired(self, event: TimerExpired) -> None:
        if event.timer is Timer.STATUS:
            self._on_status_timer()
        elif event.timer is Timer.CATCH_UP:
            self._catch_up.on_timer()

    def _on_status_timer(self) -> None:
        """Ask the next W members, of whom at least one is honest."""
        state, config = self._state, self._state.config
        state.emit(SetTimer(Timer.STATUS, config.timers.status_ns))
        message = self._build_status()
        for step in range(config.weak_quorum):
            state.send((self._turn + step) % config.size, message)
        self._turn = (self._turn + config.weak_quorum) % config.size

    def _build_status(self) -> Status:
        state = self._state
        uncertified = self._checkpoints.get_uncertified()
        return Status(
            state.config.epoch,
            0,
            True,
            state.stable_height,
            state.executed_height,
            (),
            (),
            b"",
            uncertified,
        )

    # What the shell and the operator may look at

    @property
    def is_halted(self) -> bool:
        """Tell whether the observer has stopped for good: its chain differs from the certified."""
        return self._state.phase is Phase.HALTED

    @property
    def is_over(self) -> bool:
        """Tell whether `EnterEpoch` was the last effect."""
        return self._state.phase is Phase.OVER

    @property
    def executed_height(self) -> int:
        """Return the height of the last installed block."""
        return self._state.executed_height

    @property
    def stable_height(self) -> int:
        """Return the height of the highest certificate known."""
        return self._state.stable_height
