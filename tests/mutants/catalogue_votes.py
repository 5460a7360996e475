"""Mutants of quorums, proposals and votes: rules 1 to 18."""

from __future__ import annotations

from tests.mutants.mutant import Edit, Mutant, one

_CERTIFICATE = "ledger.chain.certificate"
_QUORUM = "consensus.quorum"
_VOTES = "consensus.votes"
_NORMAL = "consensus.normal_case"
_VERIFY = "consensus.verification"
_MESSAGES = "consensus.messages"

QUORUMS = (
    one(
        "quorum-of-2f+1",
        [1],
        (
            _CERTIFICATE,
            "return (members + fault_bound(members) + 2) // 2",
            "return 2 * fault_bound(members) + 1",
        ),
        "certificate of n backups, at n = 5 and 6",
    ),
    one(
        "weak-quorum-of-f",
        [26],
        (_CERTIFICATE, "return fault_bound(members) + 1", "return fault_bound(members)"),
        "joins view on f (rule 26)",
    ),
    one(
        "weak-quorum-of-f+2",
        [26],
        (_CERTIFICATE, "return fault_bound(members) + 1", "return fault_bound(members) + 2"),
        "does not join (rule 26)",
    ),
    one(
        "prepared-with-q-2",
        [9],
        (_QUORUM, "if len(signers) < quorum - 1:", "if len(signers) < quorum - 2:"),
        "certificate of Q−2 backups (rule 9)",
    ),
    Mutant(
        "primarys-own-prepare-counted",
        (7, 9),
        (
            Edit(
                _QUORUM,
                "signers = [item for item in matching_signers(slot.prepares, slot.digest) "
                "if item != primary]",
                "signers = matching_signers(slot.prepares, slot.digest)",
            ),
            Edit(
                _VOTES,
                "if message.signer == self._state.config.primary(message.view):",
                "if message.signer < 0:",
            ),
            Edit(
                _VERIFY,
                "if isinstance(message, Prepare) and signer == config.primary(message.view):",
                "if signer < 0:",
            ),
        ),
        "certificate of Q−2 backups (rule 9)",
    ),
    one(
        "primary-sends-prepare",
        [7],
        (
            _NORMAL,
            "            state.broadcast(message)\n        else:",
            "            state.broadcast(message)\n"
            "            state.broadcast(self._votes.vote_prepare(slot))\n        else:",
        ),
        "prepares as the primary (rule 7)",
    ),
    one(
        "votes-of-other-digests-counted",
        [9, 11],
        (_QUORUM, "if vote.digest == digest)", "if vote.digest)"),
        "certificate with a forged signature (rule 9)",
    ),
    one(
        "committed-with-q-1",
        [11],
        (
            _VOTES,
            "< self._state.config.quorum:",
            "< self._state.config.quorum - 1:",
        ),
        "executes before it is committed (rule 11)",
    ),
    one(
        "committed-without-prepared",
        [11],
        (
            _VOTES,
            "if not slot.is_prepared or slot.is_committed or slot.digest is None:",
            "if slot.is_committed or slot.digest is None:",
        ),
        "executes before it is committed (rule 11)",
    ),
    one(
        "commit-on-proposal",
        [10],
        (
            _VOTES,
            "        if proof is None:\n            return\n",
            "        if proof is None:\n"
            "            state.broadcast(self.vote_commit(slot))\n            return\n",
        ),
        "commits before the certificate is durable (rule 43)",
    ),
    one(
        "executed-when-prepared",
        [11, 13],
        (
            _VOTES,
            "        self._log.add_proof(proof)\n",
            "        self._log.add_proof(proof)\n"
            "        self._log.committed[slot.height] = proof.digest\n",
        ),
        "executes before it is committed (rule 11)",
    ),
    one(
        "certificate-of-q-1",
        [18],
        (_QUORUM, "    if count < quorum:", "    if count < quorum - 1:"),
        "certificate of Q−1 votes (rule 18)",
    ),
)

PROPOSALS = (
    Mutant(
        "second-digest-accepted",
        (6, 8),
        (
            Edit(
                _NORMAL,
                "if slot.digest is not None and slot.digest != message.digest:",
                "if slot.digest is None and slot.pre_prepare is not None:",
            ),
            Edit(
                _NORMAL,
                '        if slot.pre_prepare is not None:\n            return "pre-prepare',
                '        if slot.pre_prepare == message:\n            return "pre-prepare',
            ),
            Edit(
                _NORMAL,
                "if message is None or slot.is_accepted:",
                "if message is None:",
            ),
        ),
        "contradictory votes",
    ),
    one(
        "digest-not-compared-with-batch",
        [6],
        (
            _NORMAL,
            "if message.batch.digest(self._state.config.chain_id) != message.digest:\n"
            "            self._state.suspect",
            "if not message.digest:\n            self._state.suspect",
        ),
        "accepts another batch than the digest's",
    ),
    Mutant(
        "anyone-may-propose",
        (7,),
        (
            Edit(
                _NORMAL,
                "if message.signer != state.config.primary(message.view):",
                "if message.signer < 0:",
            ),
            Edit(
                _VERIFY,
                "isinstance(message, PrePrepare | NewView) and signer",
                "isinstance(message, NewView) and signer",
            ),
        ),
        "prepares what the primary did not propose (rule 6)",
    ),
    one(
        "votes-of-past-views-counted",
        [10],
        (_VOTES, "if message.view < state.view:", "if message.view < 0:"),
        "prepares what the primary did not propose, commits with too few (rules 6, 10)",
    ),
    one(
        "votes-while-the-view-changes",
        [10, 23],
        (
            _VOTES,
            "if message.view > state.view or not state.is_normal:",
            "if message.view > state.view:",
        ),
        "votes in a view whose NEW-VIEW is not durable (rule 43)",
    ),
    one(
        "no-high-water-mark-for-votes",
        [6, 10],
        (_VOTES, "if message.height > state.high_water:", "if message.height < 0:"),
        "votes above the high water mark (rule 6)",
    ),
    one(
        "window-off-by-one",
        [6],
        (
            "consensus.state",
            "high = self.stable_height + self.config.limits.window\n",
            "high = self.stable_height + self.config.limits.window + 1\n",
        ),
        "votes above the high water mark (rule 6)",
    ),
    one(
        "later-votes-unbounded",
        [10],
        (_VOTES, "deque(maxlen=most)", "deque(maxlen=10_000 * most)"),
        "holds too much in _later",
    ),
    one(
        "votes-not-compared",
        [3],
        (
            _VOTES,
            "        known = votes.get(message.signer)\n        if known is None:",
            "        known = votes.get(message.signer)\n        if known != message:",
        ),
        "counts two votes of one signer (rule 3)",
    ),
    one(
        "second-checkpoint-counted",
        [3, 18],
        (
            "consensus.checkpoint",
            """            return "contradicts an earlier checkpoint of its signer"
        if known is not None:
""",
            """            return None
        if known is not None:
""",
        ),
        "counts two votes (rule 3)",
    ),
    one(
        "bodies-not-waited-for",
        [6, 9],
        (
            _NORMAL,
            "missing = [item for item in message.batch.transactions if not pool.has_body(item)]",
            "missing: list[bytes] = []",
        ),
        "votes without a body",
    ),
    one(
        "too-many-transactions-accepted",
        [17],
        (
            _NORMAL,
            "elif len(message.batch.transactions) > self._state.config.limits.batch_count:",
            "elif len(message.batch.transactions) > 4096:",
        ),
        "accepts too many transactions (rule 17)",
    ),
    one(
        "too-many-bytes-accepted",
        [17],
        (_NORMAL, "if size > limits.batch_bytes and len", "if size < 0 and len"),
        "accepts too many bytes (rule 17)",
    ),
    one(
        "too-late-expiry-accepted",
        [17, 51],
        (
            _NORMAL,
            "if any(request.expires_at_ms > latest for request in requests):",
            "if any(request.expires_at_ms < 0 for request in requests):",
        ),
        "accepts what expires too late (rule 17)",
    ),
    one(
        "too-late-expiry-proposed",
        [17, 51],
        (
            "consensus.requests",
            "if request.expires_at_ms > late:",
            "if request.expires_at_ms < 0:",
        ),
        "accepts what expires too late, or a view change in calm (rules 17, 49)",
    ),
    one(
        "early-batch-accepted",
        [15],
        (_NORMAL, "        if early > 0:\n", "        if early > 10**12:\n"),
        "accepts a batch of another time (rule 15)",
    ),
    one(
        "late-batch-accepted",
        [15],
        (
            _NORMAL,
            "if time_ms < state.now.wall_ms - limits.backlog_ms:",
            "if time_ms < 0:",
        ),
        "accepts a batch of another time (rule 15)",
    ),
    one(
        "freshness-checked-on-re-proposal",
        [15],
        (
            _NORMAL,
            "            batch,\n        )\n        self._process_proposal(slot, message)",
            "            batch,\n        )\n"
            "        if batch.is_null or self._is_timely(message):\n"
            "            self._process_proposal(slot, message)",
        ),
        "not done within the bound, after an outage",
    ),
    one(
        "block-names-its-view",
        [16],
        (
            "consensus.execution",
            "state.emit(Execute(batch, digest))",
            "state.emit(Execute(batch, bytes([state.view % 251]) + digest[1:]))",
        ),
        "executes another batch than the digest's (rule 16)",
    ),
    one(
        "wrong-batch-for-a-digest-taken",
        [6, 32],
        (
            _NORMAL,
            "elif message.batch.digest(self._state.config.chain_id) != slot.digest:",
            "elif message.batch.height != slot.height:",
        ),
        "accepts another batch than the digest's",
    ),
)

SIGNATURES = (
    one(
        "kind-not-signed",
        [5],
        (
            _MESSAGES,
            "return signing_input(VOTE_DOMAIN, chain_id, kind, payload)",
            "return signing_input(VOTE_DOMAIN, chain_id, PREPARE_KIND if kind == COMMIT_KIND "
            "else kind, payload)",
        ),
        "a Commit that its member never sent (rule 5)",
    ),
    one(
        "view-not-signed",
        [5],
        (
            _MESSAGES,
            "payload = encode((epoch, view, height, digest, signer))",
            "payload = encode((epoch, 0, height, digest, signer))",
        ),
        "a vote that its member never sent, a forged certificate (rules 5, 9)",
    ),
    one(
        "signatures-of-votes-not-checked",
        [5, 48],
        (
            _VERIFY,
            "return [(keys[message.signer], message.signature, signed_bytes(message, chain_id))]",
            "return []",
        ),
        "a vote that its member never sent (rule 5)",
    ),
    one(
        "signatures-in-proofs-not-checked",
        [25],
        (_VERIFY, "        items += _proof_items(proof, config)\n", "        pass\n"),
        "certificate with a forged signature in a view change (rule 9)",
    ),
    one(
        "size-of-proofs-not-checked",
        [9, 25],
        (
            _VERIFY,
            "if len(proof.prepares) != config.quorum - 1:",
            "if len(proof.prepares) < 1:",
        ),
        "certificate of too few backups in a view change (rule 9)",
    ),
    one(
        "signatures-of-certificates-not-checked",
        [18, 25],
        (
            _VERIFY,
            "return certificate_items(message.certificate, config)",
            "return []",
        ),
        "certificate with a forged vote, or not done (rule 18)",
    ),
    one(
        "size-of-certificates-not-checked",
        [18],
        (
            _VERIFY,
            "if len(certificate.votes) != want:",
            "if len(certificate.votes) < 1:",
        ),
        "certificate of too few votes, or not done (rule 18)",
    ),
    one(
        "other-epochs-counted",
        [2],
        (
            "consensus.replica",
            "if message.epoch != state.config.epoch:",
            "if message.epoch < 0:",
        ),
        "commits with too few, executes before it is committed (rules 2, 10, 11)",
    ),
)

VOTES = (*QUORUMS, *PROPOSALS, *SIGNATURES)
