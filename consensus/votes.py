"""PREPARE and COMMIT: making, counting and refusing votes (OSDI 1999, section 4.2; rules 3 to 11).

A vote counts for the current view and a height between the water marks, once a signer. Votes of
views that are not entered yet are kept, the last ones of each sender. A proposal is prepared with
Q−1 PREPAREs of backups; its certificate is durable before COMMIT is sent (rule 43); with Q COMMITs
it is committed-local, and execution takes it in order of height.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from consensus.effects import Persist
from consensus.log import MessageLog, PreparedRecord, Slot
from consensus.messages import (
    COMMIT_KIND,
    PREPARE_KIND,
    Commit,
    Prepare,
    PreparedProof,
    PrePrepare,
    vote_input,
)
from consensus.quorum import matching_signers, prepared_proof
from consensus.state import State
from ledger.errors import Code

# Votes that come too early are kept per sender, the last ones (rule 10, F70).
LATER_FACTOR = 3

Vote: TypeAlias = PrePrepare | Prepare | Commit


class Votes:
    """The votes of the current view of one replica."""

    def __init__(self, state: State, log: MessageLog) -> None:
        self._state = state
        self._log = log
        self._later: dict[int, deque[Vote]] = {}
        self._above: dict[int, deque[Vote]] = {}
        self._above_of = 0

    def pop_later(self) -> dict[int, deque[Vote]]:
        """Return and forget, by signer, the votes that came before their view was entered."""
        later, self._later = self._later, {}
        return later

    def pop_above(self) -> dict[int, deque[Vote]]:
        """Return and forget the votes that came above the window, when that has moved up."""
        if not self._above or self._above_of == self._state.stable_height:
            return {}
        above, self._above = self._above, {}
        return above

    def sign(self, kind: str, height: int, digest: bytes) -> bytes:
        """Return the own signature under a vote of this view (rule 5)."""
        state, config = self._state, self._state.config
        signed = vote_input(
            config.chain_id, kind, config.epoch, state.view, height, digest, config.index
        )
        return state.sign(signed)

    def vote_prepare(self, slot: Slot) -> Prepare:
        """Return the own PREPARE for an accepted proposal, counted in its slot."""
        config, digest = self._state.config, slot.digest or b""
        signature = self.sign(PREPARE_KIND, slot.height, digest)
        vote = Prepare(config.epoch, self._state.view, slot.height, digest, config.index, signature)
        slot.prepares[config.index] = vote
        return vote

    def vote_commit(self, slot: Slot) -> Commit:
        """Return the own COMMIT for a prepared proposal, counted in its slot."""
        config, digest = self._state.config, slot.digest or b""
        signature = self.sign(COMMIT_KIND, slot.height, digest)
        vote = Commit(config.epoch, self._state.view, slot.height, digest, config.index, signature)
        slot.commits[config.index] = vote
        return vote

    def ignore_vote(self, message: Vote) -> str | None:
        """Return why a vote cannot count now; one of a later view is kept for it (rule 10)."""
        state = self._state
        if message.view < state.view:
            return "view is past"
        if message.view > state.view or not state.is_normal:
            self._keep(self._later, message)
            return "view is not entered yet"
        if message.height <= state.stable_height:
            return "height is stable already"
        if message.height > state.high_water:
            # The CHECKPOINTs that move the window may be on their way, behind it.
            if message.height <= state.high_water + state.config.limits.window:
                self._above_of = state.stable_height
                self._keep(self._above, message)
            return "height is above the high water mark"
        return None

    def _keep(self, table: dict[int, deque[Vote]], message: Vote) -> None:
        most = LATER_FACTOR * self._state.config.limits.window
        table.setdefault(message.signer, deque(maxlen=most)).append(message)

    def on_prepare(self, sender: int, message: Prepare) -> None:
        """Count a PREPARE of a backup (rules 3, 7, 10)."""
        reason = self.ignore_prepare(message)
        if reason is not None:
            self._state.drop(sender, message, reason)
            return
        slot = self._log.slot(message.height)
        slot.prepares[message.signer] = message
        self.check_prepared(slot)

    def ignore_prepare(self, message: Prepare) -> str | None:
        """Return why a PREPARE is dropped, or None."""
        if message.signer == self._state.config.primary(message.view):
            return "prepare is from the primary"
        reason = self.ignore_vote(message)
        if reason is not None:
            return reason
        return self._ignore_repeat(message, self._log.slot(message.height).prepares)

    def _ignore_repeat(
        self, message: Prepare | Commit, votes: dict[int, Prepare] | dict[int, Commit]
    ) -> str | None:
        known = votes.get(message.signer)
        if known is None:
            return None
        if known.digest != message.digest:
            self._state.report_conflict(message.signer, known, message)
            return "contradicts an earlier vote of its signer"
        return "vote is known"

    def check_prepared(self, slot: Slot) -> None:
        """Become prepared with Q−1 PREPAREs: make the certificate durable, send COMMIT (rule 9)."""
        state, config = self._state, self._state.config
        if not slot.is_accepted or slot.is_prepared or slot.height > state.high_water:
            return
        proof = prepared_proof(slot, state.view, state.primary, config.quorum)
        if proof is None:
            return
        slot.is_prepared = True
        self._log.add_proof(proof)
        state.emit(Persist(PreparedRecord(config.epoch, proof), ()))
        state.broadcast(self.vote_commit(slot))
        self.check_committed(slot)

    def on_commit(self, sender: int, message: Commit) -> None:
        """Count a COMMIT (rules 3, 10)."""
        reason = self.ignore_commit(message)
        if reason is not None:
            self._state.drop(sender, message, reason)
            return
        slot = self._log.slot(message.height)
        slot.commits[message.signer] = message
        self.check_committed(slot)

    def ignore_commit(self, message: Commit) -> str | None:
        """Return why a COMMIT is dropped, or None."""
        reason = self.ignore_vote(message)
        if reason is not None:
            return reason
        return self._ignore_repeat(message, self._log.slot(message.height).commits)

    def check_committed(self, slot: Slot) -> None:
        """Become committed-local: prepared, and Q matching COMMITs, own included (rule 11)."""
        if not slot.is_prepared or slot.is_committed or slot.digest is None:
            return
        if len(matching_signers(slot.commits, slot.digest)) < self._state.config.quorum:
            return
        slot.is_committed = True
        known = self._log.committed.setdefault(slot.height, slot.digest)
        executed = self._log.executed_digests.get(slot.height, known)
        if not known == executed == slot.digest:
            self._state.halt(
                Code.CONSENSUS_DIVERGED, f"two batches are committed at height {slot.height}"
            )

    def restore_prepared(self, proof: PreparedProof) -> None:
        """Be prepared again by the certificate of a record, and committed if the log says so."""
        if proof.height <= self._state.stable_height:
            return
        slot = self._log.slot(proof.height)
        epoch = self._state.config.epoch
        for signer, signature in proof.prepares:
            slot.prepares[signer] = Prepare(
                epoch, proof.view, proof.height, proof.digest, signer, signature
            )
        slot.is_prepared = True
        self.vote_commit(slot)
