"""Checkpoints: each executed block is voted on, Q votes make its certificate (rules 18 to 21).

Every block is a checkpoint (K = 1). Q matching CHECKPOINTs make height n stable, and n becomes the
low water mark at once, even at a replica that has not executed n yet; but a certificate is stored
only with its block, and nothing is discarded above the highest stored one (rule 20), because after
a crash that one is all that is left to show in a VIEW-CHANGE. Votes are collected for a window
below the low water mark too, so that each block gets a certificate of its own.
"""

from __future__ import annotations

from consensus.effects import ForgetRequests, PruneVotes, StoreCertificate
from consensus.log import MessageLog
from consensus.messages import Checkpoint
from consensus.quorum import certificate_of, leading_hash
from consensus.requests import RequestPool
from consensus.state import State
from ledger.chain.certificate import Certificate, checkpoint_signing_input
from ledger.errors import Code


class Checkpoints:
    """CHECKPOINT votes and certificates around the low water mark of one replica."""

    def __init__(self, state: State, log: MessageLog, pool: RequestPool) -> None:
        self._state = state
        self._log = log
        self._pool = pool
        self.votes: dict[int, dict[int, Checkpoint]] = {}
        self.certificates: dict[int, Certificate] = {}
        self._hashes: dict[int, bytes] = {}
        self._stored_height = state.stable_height if state.certificate else 0
        if state.certificate is not None:
            self.certificates[state.certificate.height] = state.certificate

    def vote(self, height: int, block_hash: bytes) -> Checkpoint:
        """Return the own CHECKPOINT for an executed block, counted (rule 42: never before)."""
        config = self._state.config
        signed = checkpoint_signing_input(
            config.chain_id, config.epoch, height, block_hash, config.index
        )
        vote = Checkpoint(config.epoch, height, block_hash, config.index, self._state.sign(signed))
        self._hashes[height] = block_hash
        self.votes.setdefault(height, {})[config.index] = vote
        return vote

    def process_executed(self, height: int, block_hash: bytes) -> None:
        """Vote on a block that this replica has executed, and see whether that makes it stable.

        A block that differs from the certified one is never voted for (rule 21).
        """
        self._hashes[height] = block_hash
        certificate = self.certificates.get(height)
        if certificate is not None:
            self._check_own(certificate)
        if self._state.is_stopped:
            return
        self._state.broadcast(self.vote(height, block_hash))
        if certificate is not None:
            self._store(certificate)
        self._count(height)
        self._forget_old()

    def process_installed(
        self, height: int, block_hash: bytes, certificate: Certificate | None
    ) -> None:
        """Note an installed block: others have certified it, no vote is needed from here."""
        self._hashes[height] = block_hash
        known = certificate or self.certificates.get(height)
        if known is not None:
            self.certificates[height] = known
            self._check_own(known)
            self._store(known)
        self._forget_old()

    def on_checkpoint(self, sender: int, message: Checkpoint) -> None:
        """Count a CHECKPOINT (rules 3 and 18)."""
        reason = self.ignore_checkpoint(message)
        if reason is not None:
            self._state.drop(sender, message, reason)
            return
        self.votes.setdefault(message.height, {})[message.signer] = message
        self._count(message.height)

    def ignore_checkpoint(self, message: Checkpoint) -> str | None:
        """Return why a CHECKPOINT is dropped, or None."""
        state = self._state
        if message.height <= max(0, state.stable_height - state.config.limits.window):
            return "checkpoint is below what is collected"
        if message.height > state.high_water:
            return "checkpoint is above the high water mark"
        known = self.votes.get(message.height, {}).get(message.signer)
        if known is not None and known.block_hash != message.block_hash:
            state.report_conflict(message.signer, known, message)
            return "contradicts an earlier checkpoint of its signer"
        if known is not None:
            return "checkpoint is known"
        if message.height in self.certificates:
            return "block is certified already"
        return None

    def _count(self, height: int) -> None:
        votes = self.votes.get(height)
        if not votes or height in self.certificates:
            return
        config = self._state.config
        certificate = certificate_of(votes, config.quorum)
        if certificate is not None:
            self.process_certificate(certificate)
        elif leading_hash(votes)[1] + config.size - len(votes) < config.quorum:
            self._state.halt(
                Code.CONSENSUS_DIVERGED,
                f"checkpoints of height {height} differ so that no quorum is left (rule 21)",
            )

    def process_certificate(self, certificate: Certificate) -> None:
        """Take a proven certificate, made here or shown by a peer: its height is stable."""
        state, height = self._state, certificate.height
        if height in self.certificates or height <= self._oldest():
            return
        self.certificates[height] = certificate
        self._check_own(certificate)
        if height > state.stable_height:
            state.stable_height = height
            state.certificate = certificate
        if height <= state.executed_height:
            self._store(certificate)
        self._forget_old()

    def _check_own(self, certificate: Certificate) -> None:
        own = self._hashes.get(certificate.height)
        if own is not None and own != certificate.block_hash:
            self._state.halt(
                Code.CONSENSUS_DIVERGED,
                f"own block {certificate.height} is {own.hex()}, "
                f"the certified one is {certificate.block_hash.hex()} (rule 21)",
            )

    def _store(self, certificate: Certificate) -> None:
        """Store a certificate with its block; what it covers may then be discarded (rule 20)."""
        state, height = self._state, certificate.height
        if state.is_stopped:
            return
        state.emit(StoreCertificate(certificate))
        if height <= self._stored_height:
            return
        self._stored_height = height
        self._log.discard(height)
        gone = self._pool.release(height)
        if gone:
            state.emit(ForgetRequests(tuple(gone)))
        state.emit(PruneVotes(height))

    def _oldest(self) -> int:
        """Return the height up to which votes and certificates are not kept any more."""
        state = self._state
        low = min(state.stable_height, max(state.executed_height, self._stored_height))
        return max(0, low - state.config.limits.window)

    def _forget_old(self) -> None:
        oldest = self._oldest()
        for table in (self.votes, self.certificates, self._hashes):
            for height in [item for item in table if item <= oldest]:
                del table[height]

    def get_uncertified(self) -> tuple[int, ...]:
        """Return the executed heights, still collected for, that have no certificate here."""
        heights = range(self._oldest() + 1, self._state.executed_height + 1)
        return tuple(
            height
            for height in heights
            if height in self._hashes and height not in self.certificates
        )
