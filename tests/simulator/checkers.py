"""What must hold in every run, whatever the scenario (rules 8, 12, 14, 38, 44; S, N and B).

Checkers see every message an honest member sends, every block it makes durable, and every
acknowledgement to a client, across crashes. A breach raises `Violation` at the moment it happens.
"""

from __future__ import annotations

from typing import Any

from consensus.config import ReplicaConfig
from consensus.effects import Evidence
from consensus.evidence import (
    VerifySignature,
    decode_evidence,
    encode_evidence,
    make_evidence,
    verify_evidence,
)
from consensus.messages import Checkpoint, Commit, NewView, Prepare, PrePrepare, ViewChange
from ledger.errors import Refused
from tests.simulator.model_ledger import DUPLICATE, ModelBlock


class ViolationError(AssertionError):
    """A property of the protocol does not hold."""


class Checkers:
    """The checkers of one run. `is_strict`: all is calm, so nothing is ordered twice.

    Among faults it may be, with no effect: heights of two views, each prepared, can share requests.
    """

    def __init__(self, *, is_strict: bool = False) -> None:
        self._is_strict = is_strict
        self._votes: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}
        self.blocks: dict[int, ModelBlock] = {}
        self._effects: dict[bytes, int] = {}
        self.acknowledged: dict[bytes, tuple[int, bytes]] = {}
        self.submitted: set[bytes] = set()
        self._left_for: dict[tuple[int, int], int] = {}

    def on_honest_send(self, sender: int, message: object) -> None:
        """No contradictory votes, ever: per (type, epoch, view, height) one content, one signature.

        Rule 8, rule 44; and no vote in a view below the last VIEW-CHANGE sent (rule 23).
        """
        key: tuple[Any, ...]
        if isinstance(message, PrePrepare | Prepare | Commit):
            if message.signer != sender:
                raise ViolationError(f"member {sender} sent a vote of member {message.signer}")
            key = (type(message), sender, message.epoch, message.view, message.height)
            self._check_vote(key, message.digest, message.signature)
            if message.view < self._left_for.get((message.epoch, sender), 0):
                raise ViolationError(f"member {sender} votes in view {message.view}, it left that")
        elif isinstance(message, Checkpoint):
            key = (Checkpoint, sender, message.epoch, message.height)
            self._check_vote(key, message.block_hash, message.signature)
        elif isinstance(message, ViewChange | NewView) and message.signer == sender:
            key = (type(message), sender, message.epoch, message.view)
            if isinstance(message, ViewChange) and key not in self._votes:
                self._check_view(sender, message.epoch, message.view)
            self._check_vote(key, message.signature, message.signature)

    def _check_view(self, sender: int, epoch: int, view: int) -> None:
        """Views only go up in an epoch, across restarts too (rule 44)."""
        if view < self._left_for.get((epoch, sender), 0):
            raise ViolationError(f"member {sender} went back to view {view}")
        self._left_for[epoch, sender] = view

    def _check_vote(self, key: tuple[Any, ...], content: bytes, signature: bytes) -> None:
        known = self._votes.setdefault(key, (content, signature))
        if known[0] != content:
            raise ViolationError(f"contradictory votes {key}")
        if known[1] != signature:
            raise ViolationError(f"one vote signed in two ways {key}")

    def on_block(self, member: int, block: ModelBlock) -> None:
        """Agreement: at each height one block hash; validity: only what clients submitted."""
        known = self.blocks.setdefault(block.height, block)
        if known.block_hash != block.block_hash:
            raise ViolationError(f"member {member} forked at height {block.height}")
        if known is block:
            self._check_new_block(block)

    def _check_new_block(self, block: ModelBlock) -> None:
        for digest, result in zip(block.transactions, block.results, strict=True):
            if digest not in self.submitted:
                raise ViolationError(f"height {block.height} holds what nobody submitted")
            if result == 0 and self._effects.setdefault(digest, block.height) != block.height:
                raise ViolationError(f"a transaction had effect twice, at height {block.height}")
            if self._is_strict and result == DUPLICATE:
                raise ViolationError(f"a transaction is ordered again at height {block.height}")

    def on_evidence(
        self,
        found: Evidence,
        config: ReplicaConfig,
        verify_signature: VerifySignature,
        liars: frozenset[int],
    ) -> None:
        """Evidence, as it would be kept, proves its case and names nobody honest (rule 50)."""
        try:
            record = make_evidence(found, config.chain_id, config.members)
            kept = decode_evidence(encode_evidence(record))
            proven = verify_evidence(kept, config.chain_id, config.members, verify_signature)
        except Refused as refused:
            raise ViolationError(f"evidence proves nothing: {refused.message}") from None
        if proven.signer not in liars:
            raise ViolationError(f"evidence against honest member {proven.signer}")

    def on_acknowledged(self, digest: bytes, block: ModelBlock) -> None:
        """Remember what a client was told; it is certified, so it must never change (N)."""
        known = self.acknowledged.setdefault(digest, (block.height, block.block_hash))
        if known != (block.height, block.block_hash):
            raise ViolationError("two acknowledgements of one transaction differ")

    def check_end(self, chains: dict[int, list[ModelBlock]], submitted: int) -> None:
        """At the end all honest chains are equal and hold all that was acknowledged."""
        heights = {member: len(chain) for member, chain in chains.items()}
        if len(set(heights.values())) != 1:
            raise ViolationError(f"honest members end at different heights {heights}")
        for member, chain in chains.items():
            for height, block_hash in self.acknowledged.values():
                if height > len(chain) or chain[height - 1].block_hash != block_hash:
                    raise ViolationError(f"member {member} lost an acknowledged block {height}")
        if submitted and not self.blocks:
            raise ViolationError("nothing was ever committed")
