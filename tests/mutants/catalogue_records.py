"""Mutants of what is made durable, discarded, and brought back by a restart: rules 20, 42 to 44."""

from __future__ import annotations

from tests.mutants.mutant import one

_VOTES = "consensus.votes"
_NORMAL = "consensus.normal_case"
_CHANGE = "consensus.view_change"
_LOG = "consensus.log"
_RECOVERY = "consensus.recovery"
_CHECKPOINT = "consensus.checkpoint"

_PERSIST_PREPARED = "        state.emit(Persist(PreparedRecord(config.epoch, proof), ()))\n"
_SEND_COMMIT = "        state.broadcast(self.vote_commit(slot))\n"
_PERSIST_ACCEPTED = "        state.emit(Persist(AcceptedRecord(message), bodies))\n"
_SEND_PROPOSAL = """        if message.signer == state.index:
            state.broadcast(message)
        else:
            state.broadcast(self._votes.vote_prepare(slot))
"""
_PERSIST_CHANGE = "        state.emit(Persist(ViewChangeRecord(change), ()))\n"
_SEND_CHANGE = "        state.broadcast(change)\n"
_PERSIST_NEW = "        state.emit(Persist(NewViewRecord(message, changes), ()))\n"
_SEND_NEW = """        if message.signer == state.index:
            state.broadcast(message)
"""

PERSISTENCE = (
    one(
        "commit-before-its-record",
        [43],
        (_VOTES, _PERSIST_PREPARED + _SEND_COMMIT, _SEND_COMMIT + _PERSIST_PREPARED),
        "commits before the certificate is durable (rule 43)",
    ),
    one(
        "certificate-not-recorded",
        [43],
        (_VOTES, _PERSIST_PREPARED, ""),
        "commits before the certificate is durable (rule 43)",
    ),
    one(
        "proposal-before-its-record",
        [43],
        (_NORMAL, _PERSIST_ACCEPTED + _SEND_PROPOSAL, _SEND_PROPOSAL + _PERSIST_ACCEPTED),
        "prepares before it is durable (rule 43)",
    ),
    one(
        "proposal-not-recorded",
        [43],
        (_NORMAL, _PERSIST_ACCEPTED, ""),
        "prepares before it is durable (rule 43)",
    ),
    one(
        "bodies-not-recorded",
        [43],
        (
            _NORMAL,
            "bodies = () if is_executed else message.batch.transactions",
            "bodies: tuple[bytes, ...] = ()",
        ),
        "does not keep a body (rule 43)",
    ),
    one(
        "view-change-before-its-record",
        [43],
        (_CHANGE, _PERSIST_CHANGE + _SEND_CHANGE, _SEND_CHANGE + _PERSIST_CHANGE),
        "changes the view before it is durable (rule 43)",
    ),
    one(
        "view-change-not-recorded",
        [43],
        (_CHANGE, _PERSIST_CHANGE, ""),
        "changes the view before it is durable (rule 43)",
    ),
    one(
        "new-view-before-its-record",
        [43],
        (_CHANGE, _PERSIST_NEW + _SEND_NEW, _SEND_NEW + _PERSIST_NEW),
        "opens a view before it is durable (rule 43)",
    ),
    one(
        "new-view-not-recorded",
        [43],
        (_CHANGE, _PERSIST_NEW, ""),
        "opens a view before it is durable (rule 43)",
    ),
)

DISCARDING = (
    one(
        "pruned-before-its-certificate",
        [20],
        (
            _CHECKPOINT,
            "        state.emit(StoreCertificate(certificate))\n",
            "        state.emit(PruneVotes(height))\n"
            "        state.emit(StoreCertificate(certificate))\n",
        ),
        "discards what is not stable and stored (rule 20)",
    ),
    one(
        "certificate-stored-before-its-block",
        [20],
        (
            _CHECKPOINT,
            "        if height <= state.executed_height:\n            self._store(certificate)\n",
            "        self._store(certificate)\n",
        ),
        "certifies a block it has not",
    ),
    one(
        "records-pruned-above-the-checkpoint",
        [20, 44],
        (
            _LOG,
            "            if record.pre_prepare.height <= stable_height:\n",
            "            if record.pre_prepare.height <= stable_height + 1:\n",
        ),
        "contradictory votes after a restart (rule 44)",
    ),
    one(
        "certificates-pruned-above-the-checkpoint",
        [20, 24],
        (
            _LOG,
            "            if record.proof.height <= stable_height:\n",
            "            if record.proof.height <= stable_height + 1:\n",
        ),
        "hides what it prepared, after a restart (rule 24)",
    ),
    one(
        "last-view-change-pruned",
        [44],
        (_LOG, "or place in (last_change, last_new)", "or place in (last_new,)"),
        "votes in a view that it left, after a restart (rule 44)",
    ),
    one(
        "last-new-view-pruned",
        [44],
        (_LOG, "or place in (last_change, last_new)", "or place in (last_change,)"),
        "leaves view for another, contradictory votes (rule 44)",
    ),
    one(
        "bodies-of-proposals-forgotten",
        [20],
        (
            "consensus.replica",
            "gone = tuple(digest for digest in expired if digest not in voted)",
            "gone = tuple(digest for digest in expired if digest not in voted or True)",
        ),
        "forgets a body (rule 20)",
    ),
    one(
        "old-checkpoints-never-forgotten",
        [48],
        (
            _CHECKPOINT,
            "return max(0, low - state.config.limits.window)",
            "return max(0, low - 1000 * state.config.limits.window)",
        ),
        "holds too much in checkpoints",
    ),
    one(
        "own-checkpoint-before-the-block",
        [42, 43],
        (
            _CHECKPOINT,
            "        self.certificates[height] = certificate\n"
            "        self._check_own(certificate)\n"
            "        if height > state.stable_height:\n",
            "        self.certificates[height] = certificate\n"
            "        self._check_own(certificate)\n"
            "        if height > state.executed_height:\n"
            "            state.broadcast(self.vote(height, certificate.block_hash))\n"
            "        if height > state.stable_height:\n",
        ),
        "votes for a block that it has not executed (rule 42)",
    ),
)

RESTART = (
    one(
        "restart-forgets-the-view",
        [44],
        (_RECOVERY, "    _recover_view(kept, state, view_changes)\n", ""),
        "votes in a view that it left (rule 44)",
    ),
    one(
        "restart-forgets-that-it-left",
        [44],
        (
            _RECOVERY,
            "            state.phase = Phase.VIEW_CHANGE\n",
            "            state.phase = Phase.NORMAL\n",
        ),
        "votes in a view whose NEW-VIEW is not durable (rule 43)",
    ),
    one(
        "restart-forgets-proposals",
        [8, 44],
        (
            _RECOVERY,
            "            normal.restore_accepted(record.pre_prepare)\n",
            "            pass\n",
        ),
        "contradictory votes (rule 8)",
    ),
    one(
        "restart-forgets-its-next-height",
        [8, 44],
        (_RECOVERY, "    normal.next_height = next_height\n", ""),
        "contradictory votes (rule 8)",
    ),
    one(
        "restart-forgets-certificates",
        [24, 44],
        (_RECOVERY, "            log.add_proof(record.proof)\n", "            pass\n"),
        "hides what it prepared (rule 24)",
    ),
    one(
        "restart-forgets-batches",
        [20, 44],
        (
            _RECOVERY,
            "                log.add_batch(record.pre_prepare.batch, record.pre_prepare.digest)\n",
            "                pass\n",
        ),
        "not done within the bound (rule 20)",
    ),
)

RECORDS = (*PERSISTENCE, *DISCARDING, *RESTART)
