"""The normal case: proposals from PRE-PREPARE to PREPARE (OSDI 1999, section 4.2; rules 6 to 17).

A proposal of a height goes through these steps, each at most once in a view; the last two are in
`consensus.votes`, and what the primary proposes and when is in `consensus.proposing`:

    logged     the digest is the one that the primary signed; no other is looked at (rules 6, 8)
    known      its batch is here and has that digest; a fresh one's time was checked (rule 15)
    accepted   the bodies are here, the batch is valid (rule 17), it is durable; PREPARE is sent
    prepared   with Q−1 PREPAREs of backups; the certificate is durable; COMMIT is sent
    committed  with Q COMMITs: committed-local; execution takes it in order of height

What a NEW-VIEW proposes starts at `logged`: its batch and its bodies are found or fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from consensus.config import NS_PER_MS
from consensus.effects import FetchRequests, Persist, SetTimer
from consensus.events import Timer
from consensus.log import AcceptedRecord, MessageLog, Slot
from consensus.messages import (
    PRE_PREPARE_KIND,
    BatchReply,
    BatchRequest,
    Prepare,
    PrePrepare,
    Proposal,
)
from consensus.requests import RequestPool
from consensus.state import State
from consensus.votes import Vote, Votes
from ledger.chain.batch import Batch, null_batch
from ledger.errors import Code


class NormalCase:
    """The proposals of the current view at one replica.

    `next_height` is the lowest height that this view has no proposal for, as far as is known.
    """

    def __init__(self, state: State, log: MessageLog, pool: RequestPool, votes: Votes) -> None:
        self._state = state
        self._log = log
        self._pool = pool
        self._votes = votes
        self._held: dict[int, PrePrepare] = {}
        self._held_due_ns: int | None = None
        self.next_height = 0

    # PRE-PREPARE

    def propose(self, batch: Batch) -> None:
        """Assign `batch` to its height as the primary of this view (rule 7)."""
        state, config = self._state, self._state.config
        digest = batch.digest(config.chain_id)
        signature = self._votes.sign(PRE_PREPARE_KIND, batch.height, digest)
        message = PrePrepare(config.epoch, state.view, digest, config.index, signature, batch)
        self.next_height = batch.height + 1
        slot = self._log.slot(batch.height)
        self._note_proposal(slot, message)
        self._accept(slot, message)

    def on_pre_prepare(self, sender: int, message: PrePrepare) -> None:
        """Accept a proposal, or hold it, or wait for its bodies (rule 6)."""
        reason = self.ignore_pre_prepare(message)
        if reason is not None:
            self._state.drop(sender, message, reason)
            return
        slot = self._log.slot(message.height)
        if message.batch.digest(self._state.config.chain_id) != message.digest:
            self._state.suspect("pre-prepare with a digest that is not its batch's")
        elif len(message.batch.transactions) > self._state.config.limits.batch_count:
            self._state.suspect("batch holds too many transactions")
        elif slot.digest is not None or self._is_timely(message):
            self._process_proposal(slot, message)

    def ignore_pre_prepare(self, message: PrePrepare) -> str | None:
        """Return why a PRE-PREPARE is dropped, or None (rules 6 to 8)."""
        state = self._state
        if message.signer != state.config.primary(message.view):
            return "pre-prepare is not from the primary of its view"
        reason = self._votes.ignore_vote(message)
        if reason is not None:
            return reason
        if message.signer == state.index:
            return "pre-prepare is our own"
        slot = self._log.slot(message.height)
        if slot.digest is not None and slot.digest != message.digest:
            if slot.pre_prepare is not None:
                state.report_conflict(message.signer, slot.pre_prepare, message)
            return "another proposal is logged for this height"
        if slot.pre_prepare is not None:
            return "pre-prepare is known"
        if slot.digest is None and message.batch.is_null:
            return "null batch outside a new view"
        if slot.digest is None and message.height <= state.executed_height:
            return "height is executed already"
        return None

    def _is_timely(self, message: PrePrepare) -> bool:
        """Check the time of a fresh proposal, once: hold an early one, drop a late (rule 15)."""
        state, limits = self._state, self._state.config.limits
        time_ms = message.batch.time_ms or 0
        early = time_ms - (state.now.wall_ms + limits.skew_ms)
        if early > 0:
            self._hold(message, early)
            return False
        if time_ms < state.now.wall_ms - limits.backlog_ms:
            state.drop(message.signer, message, "batch time is too far in the past")
            return False
        return True

    def _hold(self, message: PrePrepare, early_ms: int) -> None:
        state = self._state
        if message.height in self._held:
            state.drop(message.signer, message, "a proposal for this height is held already")
            return
        for height in [item for item in self._held if item <= state.stable_height]:
            del self._held[height]
        self._held[message.height] = message
        after_ns = min(early_ms * NS_PER_MS, state.timeout_ns)
        due_ns = state.now.monotonic_ns + after_ns
        # Never later than it was: under load something is held all the time.
        if self._held_due_ns is None or due_ns < self._held_due_ns:
            self._held_due_ns = due_ns
            state.emit(SetTimer(Timer.HELD, after_ns))

    def on_held_timer(self) -> None:
        """Look again at the proposals whose time was too far ahead."""
        held, self._held = self._held, {}
        self._held_due_ns = None
        for message in held.values():
            self.on_pre_prepare(message.signer, message)

    def _process_proposal(self, slot: Slot, message: PrePrepare) -> None:
        self._note_proposal(slot, message)
        self._check_bodies(slot)

    def _note_proposal(self, slot: Slot, message: PrePrepare) -> None:
        slot.digest = message.digest
        slot.pre_prepare_signature = message.signature
        slot.pre_prepare = message
        self._log.add_batch(message.batch, message.digest)
        if slot.height > self._state.executed_height:
            now_ns = self._state.now.monotonic_ns
            self._pool.mark_in_batch(message.batch.transactions, slot.height, now_ns)

    def _check_bodies(self, slot: Slot) -> None:
        """Accept the known proposal of `slot` if all bodies are here, else fetch them (F12)."""
        message, pool = slot.pre_prepare, self._pool
        if message is None or slot.is_accepted:
            return
        slot.missing = set()
        if slot.height > self._state.executed_height:
            missing = [item for item in message.batch.transactions if not pool.has_body(item)]
            if any(item in pool.refused for item in missing):
                self._state.suspect("proposal holds a transaction that was refused at the door")
                return
            slot.missing = set(missing)
            pool.wait_for(missing, slot.height)
        if slot.missing:
            wanted = tuple(sorted(slot.missing))
            self._state.emit(FetchRequests(wanted, self._state.others))
        else:
            self._accept(slot, message)

    def on_body(self, digest: bytes) -> None:
        """Go on with the proposals that waited for this body."""
        for height in self._pool.pop_waiters(digest):
            slot = self._log.slots.get(height)
            if slot is None or slot.is_accepted or slot.pre_prepare is None:
                continue
            slot.missing.discard(digest)
            if not slot.missing:
                self._accept(slot, slot.pre_prepare)

    def on_refused_body(self, digest: bytes) -> None:
        """A proposal that holds a refused transaction is invalid: its primary goes (rule 17)."""
        self._pool.refuse(digest)
        if self._pool.pop_waiters(digest):
            self._state.suspect("proposal holds a transaction that was refused at the door")

    def _invalid_reason(self, batch: Batch) -> str | None:
        """Return why a batch with its bodies at hand is invalid, or None (rule 17)."""
        limits, pending = self._state.config.limits, self._pool.pending
        requests = [pending[item] for item in batch.transactions if item in pending]
        size = sum(request.size for request in requests)
        if size > limits.batch_bytes and len(batch.transactions) > 1:
            return "batch holds too many bytes"
        latest = (batch.time_ms or 0) + limits.max_ttl_ms
        if any(request.expires_at_ms > latest for request in requests):
            return "batch holds a transaction that expires too late"
        return None

    def _accept(self, slot: Slot, message: PrePrepare) -> None:
        """Make the proposal durable and send PREPARE; the primary sends PRE-PREPARE (rule 43)."""
        state, is_executed = self._state, slot.height <= self._state.executed_height
        reason = None if is_executed else self._invalid_reason(message.batch)
        if reason is not None:
            state.suspect(reason)
            return
        slot.is_accepted = True
        bodies = () if is_executed else message.batch.transactions
        state.emit(Persist(AcceptedRecord(message), bodies))
        if message.signer == state.index:
            state.broadcast(message)
        else:
            state.broadcast(self._votes.vote_prepare(slot))
        self._votes.check_prepared(slot)

    # A view begins

    def enter_view(self, proposals: Iterable[Proposal]) -> None:
        """Log O, and prepare each height whose batch and bodies are here (rule 33)."""
        self._log.start_view()
        self._pool.start_view()
        self._held = {}
        self.next_height = 0
        for height, digest in self._log.committed.items():
            batch = self._log.get_batch(height, digest)
            if batch is not None and height > self._state.executed_height:
                self._pool.mark_in_batch(batch.transactions, height, 0)
        for proposal in proposals:
            self.next_height = proposal.height + 1
            if proposal.height > self._state.stable_height:
                self.log_proposal(proposal)
        for height in sorted(self._log.slots):
            self.continue_proposal(self._log.slots[height])

    def log_proposal(self, proposal: Proposal) -> None:
        """Take one entry of O as the only proposal of its height in this view."""
        slot = self._log.slot(proposal.height)
        slot.digest = proposal.digest
        slot.pre_prepare_signature = proposal.signature
        executed = self._log.executed_digests.get(proposal.height, proposal.digest)
        if executed != proposal.digest:
            self._state.halt(
                Code.CONSENSUS_DIVERGED,
                f"new view re-agrees height {proposal.height} on another batch than was executed",
            )

    def continue_proposal(self, slot: Slot) -> None:
        """Do what is missing for an entry of O: find its batch, then its bodies."""
        if slot.digest is None or slot.is_accepted or not self._state.is_normal:
            return
        if slot.pre_prepare is not None:
            self._check_bodies(slot)
            return
        config = self._state.config
        batch = self._log.get_batch(slot.height, slot.digest)
        if batch is None and null_batch(slot.height).digest(config.chain_id) == slot.digest:
            batch = null_batch(slot.height)
        if batch is None:
            self._state.broadcast(BatchRequest(config.epoch, slot.height, slot.digest))
        else:
            self._process_batch(slot, batch)

    def _process_batch(self, slot: Slot, batch: Batch) -> None:
        """Complete an entry of O with its batch: now it is a PRE-PREPARE like any other."""
        state, config = self._state, self._state.config
        message = PrePrepare(
            config.epoch,
            state.view,
            slot.digest or b"",
            state.primary,
            slot.pre_prepare_signature,
            batch,
        )
        self._process_proposal(slot, message)

    def replay_later(self) -> None:
        """Deliver the votes that came before their view was entered."""
        self._replay(self._votes.pop_later())

    def replay_above(self) -> None:
        """Deliver the votes that came above the window, when that has moved up (rule 10)."""
        self._replay(self._votes.pop_above())

    def _replay(self, votes: Mapping[int, Iterable[Vote]]) -> None:
        for signer in sorted(votes):
            for message in votes[signer]:
                if isinstance(message, PrePrepare):
                    self.on_pre_prepare(signer, message)
                elif isinstance(message, Prepare):
                    self._votes.on_prepare(signer, message)
                else:
                    self._votes.on_commit(signer, message)

    # After a restart (rule 44)

    def restore_accepted(self, message: PrePrepare) -> None:
        """Accept again what a record says was accepted in this view: bodies are durable."""
        if message.height <= self._state.stable_height:
            return
        slot = self._log.slot(message.height)
        self._note_proposal(slot, message)
        slot.is_accepted = True
        if message.signer != self._state.index:
            self._votes.vote_prepare(slot)

    # Missing batches and bodies

    def on_batch_request(self, sender: int, message: BatchRequest) -> None:
        """Answer with the batch behind a digest."""
        batch = self._log.get_batch(message.height, message.digest)
        if batch is None:
            self._state.drop(sender, message, "batch is not known here")
        else:
            self._state.send(sender, BatchReply(self._state.config.epoch, batch))

    def on_batch_reply(self, sender: int, message: BatchReply) -> None:
        """Take a batch that an entry of O waits for; its digest proves it."""
        slot = self._log.slots.get(message.batch.height)
        if slot is None or slot.digest is None or slot.pre_prepare is not None:
            self._state.drop(sender, message, "batch is not waited for")
        elif message.batch.digest(self._state.config.chain_id) != slot.digest:
            self._state.drop(sender, message, "batch has another digest")
        elif self._state.is_normal:
            self._process_batch(slot, message.batch)

    def ask_again(self) -> None:
        """Ask again for all that proposals of this view still lack (rule 28)."""
        for height in sorted(self._log.slots):
            slot = self._log.slots[height]
            if slot.digest is not None and not slot.is_accepted:
                self.continue_proposal(slot)
