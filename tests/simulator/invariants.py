"""The rules that one member's own conduct must keep, checked from its events, disk and sends.

`checkers` compare members with each other and with what clients were told; here each honest member
is held against what it has received and made durable: no COMMIT without a prepared certificate, no
vote before its record, no new view that its VIEW-CHANGEs do not make. A broken rule is thus seen in
the run where it is broken, not only in the rare one where a fork comes of it. The rules are written
out anew, with arithmetic of their own: nothing here asks `consensus` what a quorum is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from consensus import effects as fx
from consensus.config import ReplicaConfig
from consensus.effects import Effect
from consensus.events import ChainHead, Event, MessageReceived, Timer
from consensus.log import AcceptedRecord, NewViewRecord, PreparedRecord, ViewChangeRecord
from consensus.messages import (
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
    view_change_hash,
)
from ledger.chain.batch import null_batch
from ledger.chain.certificate import Certificate
from ledger.encoding import encode
from ledger.keys import VOTE_DOMAIN, signing_input
from tests.simulator.checkers import ViolationError
from tests.simulator.keys import Keyring
from tests.simulator.model_ledger import Body, ModelLedger

Key = tuple[int, int, bytes]
# Entries that a table of a replica may hold beside what the window allows: requests, mostly, and
# when they fall due, of a flood also those that are executed by now.
TABLE_MAX = 400
TIMED = (Timer.REQUEST, Timer.NEW_VIEW)


def compute_quorum(size: int) -> int:
    """Return Q = ⌈(n+f+1)/2⌉ (rule 1), written as the rule is."""
    faulty = (size - 1) // 3
    return -(-(size + faulty + 1) // 2)


class Member:
    """What the invariants look at of a simulated node; `SimNode` is one."""

    index: int
    config: ReplicaConfig
    replica: Any
    ledger: ModelLedger
    bodies: set[bytes]


@dataclass(slots=True)
class Conduct:
    """What one honest member has received, promised and said.

    `accepted_votes` and `changes` are of its present life, the rest of all: what was received
    before a crash may come back by a record. `stable_height` is the highest h of any life: a vote
    that is sent again after a crash may be above the window of a certificate that was lost.
    """

    accepted_votes: dict[tuple[Any, ...], bytes] = field(default_factory=dict)
    changes: dict[int, int] = field(default_factory=dict)
    view: int = 0
    proposals: dict[tuple[int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    opened: dict[tuple[int, int], bytes] = field(default_factory=dict)
    prepares: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    commits: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    durable: set[tuple[Any, ...]] = field(default_factory=set)
    prepared: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    bodies: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    first_wall_ms: dict[Key, int] = field(default_factory=dict)
    fresh: dict[int, dict[int, tuple[bytes, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    stored_height: int = 0
    stable_height: int = 0


class Invariants:
    """The conduct of all honest members of one run.

    `has_right_clocks`: no clock jumps in this run, so the times of batches can be judged.
    """

    def __init__(
        self,
        config: ReplicaConfig,
        keyring: Keyring,
        bodies: Mapping[bytes, Body],
        liars: Mapping[int, Any],
        *,
        has_right_clocks: bool,
    ) -> None:
        self._config = config
        self._keyring = keyring
        self._bodies = bodies
        self._liars = liars
        self._has_right_clocks = has_right_clocks
        self._quorum = compute_quorum(config.size)
        self._weak = (config.size - 1) // 3 + 1
        self._conduct: dict[int, Conduct] = defaultdict(Conduct)
        self._sent: set[tuple[str, bytes]] = set()
        self._batches: dict[bytes, tuple[bytes, ...]] = {}
        self._named: dict[bytes, ViewChange] = {}
        self._senders: dict[type, Callable[[Member, Conduct, Any], None]] = {
            PrePrepare: self._check_pre_prepare,
            Prepare: self._check_prepare,
            Commit: self._check_commit,
            Checkpoint: self._check_checkpoint,
            ViewChange: self._check_view_change_sent,
            NewView: self._check_new_view_sent,
        }

    def _primary(self, view: int) -> int:
        return view % self._config.size

    # A new life

    def on_start(self, member: Member, head: ChainHead) -> None:
        """Begin a life of a member: what it counted in memory is gone."""
        conduct = self._conduct[member.index]
        conduct.accepted_votes, conduct.changes = {}, {}
        conduct.stored_height = head.certificate.height if head.certificate else 0
        conduct.stable_height = max(conduct.stable_height, conduct.stored_height)
        conduct.view = 0
        executed = {item for block in member.ledger.blocks for item in block.transactions}
        for batches in conduct.fresh.values():
            for height in [item for item in batches if item <= head.height]:
                # Another batch was certified there: the view is over, and its votes are forgotten.
                batches[height] = tuple(item for item in batches[height] if item in executed)

    def after_start(self, member: Member) -> None:
        """Note the view in which a member has come back."""
        self._conduct[member.index].view = member.replica.view

    # Events and what a replica reports of them

    def on_event(self, member: Member, wall_ms: int, event: Event, effects: list[Effect]) -> None:
        """Hold the answer of a replica against the event."""
        conduct = self._conduct[member.index]
        if isinstance(event, MessageReceived) and event.message.epoch == self._config.epoch:
            self._note(member, conduct, wall_ms, event.message)
            self._check_one_vote(member, conduct, event.message, effects)
            self._check_unfit(member, wall_ms, event.message, effects)
        for effect in effects:
            if isinstance(effect, fx.ReportViewChange):
                self._check_departure(member, conduct, effect)
            elif isinstance(effect, fx.ReportNewView):
                conduct.view = effect.view
            elif isinstance(effect, fx.ReportEvidence):
                self._check_evidence(effect.evidence)
            elif isinstance(effect, fx.SetTimer):
                self._check_timer(member, conduct, effect)
        conduct.stable_height = max(conduct.stable_height, member.replica.stable_height)
        above = self._above(member, conduct, member.replica.view)
        if len(above) >= self._weak and not member.replica.is_halted:
            raise ViolationError(f"member {member.index} does not join views {above} (rule 26)")

    def _note(self, member: Member, conduct: Conduct, wall_ms: int, message: Any) -> None:
        """Remember a message that was delivered, whatever the replica makes of it."""
        if isinstance(message, Prepare | Commit | PrePrepare | Checkpoint | ViewChange):
            self._check_is_real(message)
        if isinstance(message, ViewChange):
            name = view_change_hash(message)
            if self._named.setdefault(name, message) != message:
                raise ViolationError("two view changes have one name (rule 29)")
        if isinstance(message, PrePrepare):
            if message.signer == self._primary(message.view):
                key = (message.view, message.height, message.digest)
                conduct.proposals[message.view, message.height].add(message.digest)
                conduct.first_wall_ms.setdefault(key, wall_ms)
        elif isinstance(message, Prepare | Commit):
            votes = conduct.prepares if isinstance(message, Prepare) else conduct.commits
            votes[message.view, message.height, message.digest].add(message.signer)
        elif isinstance(message, ViewChange) and message.signer != member.index:
            known = conduct.changes.get(message.signer, 0)
            conduct.changes[message.signer] = max(known, message.view)

    def _check_is_real(self, message: Any) -> None:
        """Rule 5: what bears the name of an honest member was said by it."""
        if message.signer in self._liars or not self._liars:
            return
        if (type(message).__name__, message.signature) not in self._sent:
            name = type(message).__name__
            raise ViolationError(f"a {name} of member {message.signer} that it never sent (rule 5)")

    def _check_one_vote(
        self, member: Member, conduct: Conduct, message: Any, effects: list[Effect]
    ) -> None:
        """Rules 3 and 50: of two votes of one signer at most one counts, and both are kept."""
        if isinstance(message, Prepare | Commit):
            key = (type(message), message.signer, message.view, message.height)
            content = message.digest
        elif isinstance(message, Checkpoint):
            key = (Checkpoint, message.signer, message.height)
            content = message.block_hash
        else:
            return
        drops = [effect.reason for effect in effects if isinstance(effect, fx.ReportDrop)]
        if drops:
            differs = conduct.accepted_votes.get(key, content) != content
            is_told = any(isinstance(effect, fx.ReportEvidence) for effect in effects)
            is_repeat = drops[0].endswith("is known") or drops[0].startswith("contradicts")
            if differs and is_repeat and not is_told:
                raise ViolationError(f"member {member.index} keeps no evidence {key} (rule 50)")
        elif conduct.accepted_votes.setdefault(key, content) != content:
            raise ViolationError(f"member {member.index} counts two votes {key} (rule 3)")

    def _check_unfit(
        self, member: Member, wall_ms: int, message: Any, effects: list[Effect]
    ) -> None:
        """Rule 17: a primary that proposes what is invalid is left at once; early is held (15)."""
        if not isinstance(message, PrePrepare) or any(
            isinstance(effect, fx.ReportDrop | fx.ReportViewChange | fx.SetTimer | fx.FetchRequests)
            for effect in effects
        ):
            return
        batch = message.batch
        if (batch.time_ms or 0) > wall_ms + self._config.limits.skew_ms:
            return
        is_whole = all(
            item in member.bodies or item in member.ledger.seen for item in batch.transactions
        )
        if is_whole and self._unfit_reason(member, message) and not member.replica.is_halted:
            raise ViolationError(f"member {member.index} keeps a primary that lies (rule 17)")

    def _above(self, member: Member, conduct: Conduct, view: int) -> list[int]:
        views = conduct.changes.items()
        return sorted(other for signer, other in views if other > view and signer != member.index)

    def _check_departure(
        self, member: Member, conduct: Conduct, effect: fx.ReportViewChange
    ) -> None:
        """Rules 24, 26 and 32: where a member may leave for."""
        above = self._above(member, conduct, conduct.view)
        is_blame = effect.cause.startswith(("batch holds", "proposal holds", "pre-prepare with"))
        if is_blame and self._primary(conduct.view) not in self._liars:
            raise ViolationError(f"an honest primary is blamed: {effect.cause} (rule 17)")
        if effect.cause.startswith("weak quorum"):
            if len(above) < self._weak:
                raise ViolationError(
                    f"member {member.index} joins view {effect.view} on {len(above)} (rule 26)"
                )
            want = above[0]
        elif effect.cause.startswith("new view with"):
            want = max(effect.view, conduct.view)
        else:
            want = conduct.view + 1
        if effect.view != want:
            raise ViolationError(
                f"member {member.index} leaves view {conduct.view} for {effect.view}, want {want}"
            )
        conduct.view = effect.view

    def _check_evidence(self, evidence: fx.Evidence) -> None:
        """Rule 50: evidence names a liar, by two different messages of its own."""
        if evidence.signer not in self._liars:
            raise ViolationError(f"evidence against the honest member {evidence.signer} (rule 50)")
        if evidence.first == evidence.second:
            raise ViolationError("evidence of two equal messages (rule 50)")

    def _check_timer(self, member: Member, conduct: Conduct, effect: fx.SetTimer) -> None:
        """Rule 27: no timer above T_max; a new view is timed when Q are on their way."""
        if effect.timer in TIMED and effect.after_ns > self._config.timers.request_max_ns:
            raise ViolationError(f"member {member.index} sets a timer above T_max (rule 27)")
        if effect.timer is Timer.NEW_VIEW:
            on_their_way = 1 + len(self._above(member, conduct, conduct.view - 1))
            if on_their_way < self._quorum:
                raise ViolationError(
                    f"member {member.index} times view {conduct.view} with {on_their_way} on "
                    "their way to it (rule 27)"
                )

    # What is durable

    def on_durable(self, member: Member, wall_ms: int, effect: fx.Persist) -> None:
        """Take a record that has reached the disk."""
        conduct, record = self._conduct[member.index], effect.record
        if isinstance(record, AcceptedRecord):
            self._note_accepted(member, conduct, wall_ms, record.pre_prepare)
        elif isinstance(record, PreparedRecord):
            proof = record.proof
            self._check_proof(proof, "is persisted")
            conduct.durable.add(("prepared", proof.view, proof.height, proof.digest))
            known = conduct.prepared.get(proof.height, (-1, b""))
            conduct.prepared[proof.height] = max(known, (proof.view, proof.digest))
        elif isinstance(record, ViewChangeRecord):
            self._check_view_change(member, conduct, record.view_change)
            conduct.durable.add(("view change", record.view_change.view))
        elif isinstance(record, NewViewRecord):
            self._check_new_view(record)
            conduct.durable.add(("new view", record.new_view.view))
            for item in record.new_view.proposals:
                place = (record.new_view.view, item.height)
                conduct.proposals[place].add(item.digest)
                conduct.opened[place] = item.digest

    def _note_accepted(
        self, member: Member, conduct: Conduct, wall_ms: int, message: PrePrepare
    ) -> None:
        key = (message.view, message.height, message.digest)
        conduct.durable.add(("accepted", *key))
        self._batches[message.digest] = message.batch.transactions
        conduct.bodies[message.height].update(message.batch.transactions)
        self._check_batch(member, message)
        if self._has_right_clocks and key[:2] not in conduct.opened:
            self._check_time(member, conduct, wall_ms, message)

    def _check_batch(self, member: Member, message: PrePrepare) -> None:
        """Rule 17: what a batch and its bodies must be, and that the digest is the batch's."""
        if message.batch.digest(self._config.chain_id) != message.digest:
            raise ViolationError(f"member {member.index} accepts another batch than the digest's")
        reason = self._unfit_reason(member, message)
        self._must(not reason, member, f"accepts {reason} (rule 17)")

    def _unfit_reason(self, member: Member, message: PrePrepare) -> str:
        limits, batch = self._config.limits, message.batch
        known = [
            self._bodies[item]
            for item in batch.transactions
            if item in self._bodies and item not in member.ledger.seen
        ]
        if len(batch.transactions) > limits.batch_count:
            return "too many transactions"
        if len(known) > 1 and sum(body.size for body in known) > limits.batch_bytes:
            return "too many bytes"
        latest = (batch.time_ms or 0) + limits.max_ttl_ms
        if any(body.expires_at_ms > latest for body in known):
            return "what expires too late"
        return ""

    def _check_time(
        self, member: Member, conduct: Conduct, wall_ms: int, message: PrePrepare
    ) -> None:
        """Rule 15: a fresh batch has a time, near the own clock when it came."""
        limits, time_ms = self._config.limits, message.batch.time_ms
        if time_ms is None:
            raise ViolationError(f"member {member.index} accepts a null batch outside a new view")
        key = (message.view, message.height, message.digest)
        first_ms = conduct.first_wall_ms.get(key, wall_ms)
        if not first_ms - limits.backlog_ms <= time_ms <= wall_ms + limits.skew_ms:
            raise ViolationError(f"member {member.index} accepts a batch of another time (rule 15)")

    def _check_proof(self, proof: PreparedProof, where: str) -> None:
        """Rule 9: PRE-PREPARE and Q−1 PREPAREs of distinct backups, each signed."""
        primary = self._primary(proof.view)
        backups = {signer for signer, _ in proof.prepares} - {primary}
        if len(backups) != self._quorum - 1 or len(proof.prepares) != self._quorum - 1:
            raise ViolationError(f"certificate of {len(backups)} backups {where} (rule 9)")
        vote = (proof.view, proof.height, proof.digest)
        signed = [(primary, PRE_PREPARE_KIND, proof.pre_prepare_signature)]
        signed += [(signer, PREPARE_KIND, signature) for signer, signature in proof.prepares]
        for signer, kind, signature in signed:
            payload = encode((self._config.epoch, *vote, signer))
            text = signing_input(VOTE_DOMAIN, self._config.chain_id, kind, payload)
            if not self._keyring.is_valid((self._config.members[signer], signature, text)):
                raise ViolationError(f"certificate with a forged signature {where} (rule 9)")

    def _check_view_change(self, member: Member, conduct: Conduct, change: ViewChange) -> None:
        """Rule 24: the highest-view certificate of all that was prepared, and a true h."""
        shown = {proof.height: proof for proof in change.prepared}
        best = member.ledger.get_best_certificate()
        if best is not None and change.stable_height < best.height:
            raise ViolationError(f"member {member.index} hides its checkpoint (rule 24)")
        for height, (view, digest) in conduct.prepared.items():
            if height <= change.stable_height or view >= change.view:
                continue
            proof = shown.get(height)
            if proof is None or (proof.view, proof.digest) != (view, digest):
                raise ViolationError(
                    f"member {member.index} hides what it prepared at height {height}, "
                    f"view {view} (rule 24)"
                )

    def _check_new_view(self, record: NewViewRecord) -> None:
        """Rules 29 to 32: a view is entered by its primary, Q VIEW-CHANGEs, and what they make."""
        message, changes = record.new_view, record.view_changes
        if message.signer != self._primary(message.view):
            raise ViolationError(f"view {message.view} is opened by member {message.signer}")
        signers = {change.signer for change in changes}
        if len(signers) != self._quorum or len(changes) != self._quorum:
            raise ViolationError(f"view {message.view} is entered on {len(signers)} (rule 29)")
        if any(change.view != message.view for change in changes):
            raise ViolationError(f"view {message.view} is entered on others' changes (rule 29)")
        for change, (_, name) in zip(changes, message.view_changes, strict=True):
            self._check_certificate(change.certificate, "in a view change")
            for proof in change.prepared:
                self._check_proof(proof, "in a view change")
            if name != view_change_hash(change):
                raise ViolationError("a view change has another name than in V (rule 29)")
        want = list(self._compute_opening(changes))
        if [(item.height, item.digest) for item in message.proposals] != want:
            raise ViolationError(f"view {message.view} begins with a wrong O (rule 30)")

    def _compute_opening(self, changes: tuple[ViewChange, ...]) -> Iterator[tuple[int, bytes]]:
        """Yield O as rule 30 says it."""
        low = max(change.stable_height for change in changes)
        proofs = [proof for change in changes for proof in change.prepared if proof.height > low]
        for height in range(low + 1, max((proof.height for proof in proofs), default=low) + 1):
            here = [proof for proof in proofs if proof.height == height]
            if here:
                yield height, max(here, key=lambda proof: proof.view).digest
            else:
                yield height, null_batch(height).digest(self._config.chain_id)

    # What is sent

    def on_send(self, member: Member, message: object) -> None:
        """Hold what an honest member says against its records (rule 43)."""
        if getattr(message, "signer", None) == member.index:
            conduct = self._conduct[member.index]
            self._senders[type(message)](member, conduct, message)
            self._sent.add((type(message).__name__, getattr(message, "signature", b"")))

    def _must(self, holds: bool, member: Member, what: str) -> None:
        if not holds:
            raise ViolationError(f"member {member.index} {what}")

    def _check_place(self, member: Member, conduct: Conduct, message: PrePrepare | Prepare) -> None:
        high = conduct.stable_height + self._config.limits.window
        self._must(message.height <= high, member, "votes above the high water mark (rule 6)")

    def _check_entered(self, member: Member, conduct: Conduct, view: int) -> None:
        is_entered = view == 0 or ("new view", view) in conduct.durable
        self._must(is_entered, member, "votes in a view whose NEW-VIEW is not durable (rule 43)")

    def _check_pre_prepare(self, member: Member, conduct: Conduct, message: PrePrepare) -> None:
        key = (message.view, message.height, message.digest)
        is_primary = member.index == self._primary(message.view)
        self._must(is_primary, member, "proposes without being the primary (rule 7)")
        is_durable = ("accepted", *key) in conduct.durable
        self._must(is_durable, member, "proposes before it is durable (rule 43)")
        self._check_place(member, conduct, message)
        self._check_entered(member, conduct, message.view)
        digest = conduct.opened.get(key[:2], message.digest)
        self._must(digest == message.digest, member, "proposes against its new view (rule 35)")
        conduct.proposals[key[:2]].add(message.digest)
        self._check_order(member, conduct, message)

    def _check_order(self, member: Member, conduct: Conduct, message: PrePrepare) -> None:
        """Rules 14 and 35: a primary orders nothing of its own choice twice in its view."""
        if (message.view, message.height) in conduct.opened:
            return
        conduct.fresh[message.view][message.height] = message.batch.transactions
        elsewhere = [
            item
            for height, items in conduct.fresh[message.view].items()
            for item in items
            if height != message.height
        ]
        for (view, height), digest in conduct.opened.items():
            if view == message.view and height != message.height:
                elsewhere += self._batches.get(digest, ())
        twice = set(elsewhere).intersection(message.batch.transactions)
        self._must(not twice, member, "orders a transaction twice in one view (rule 14)")

    def _check_prepare(self, member: Member, conduct: Conduct, message: Prepare) -> None:
        key = (message.view, message.height, message.digest)
        is_backup = member.index != self._primary(message.view)
        self._must(is_backup, member, "prepares as the primary (rule 7)")
        is_durable = ("accepted", *key) in conduct.durable
        self._must(is_durable, member, "prepares before it is durable (rule 43)")
        is_proposed = message.digest in conduct.proposals[key[:2]]
        self._must(is_proposed, member, "prepares what the primary did not propose (rule 6)")
        self._check_place(member, conduct, message)
        self._check_entered(member, conduct, message.view)

    def _check_commit(self, member: Member, conduct: Conduct, message: Commit) -> None:
        key = (message.view, message.height, message.digest)
        is_durable = ("prepared", *key) in conduct.durable
        self._must(is_durable, member, "commits before the certificate is durable (rule 43)")
        backups = set(conduct.prepares[key])
        if ("accepted", *key) in conduct.durable:
            backups.add(member.index)
        backups.discard(self._primary(message.view))
        is_prepared = len(backups) >= self._quorum - 1
        self._must(is_prepared, member, f"commits with {len(backups)} backups (rule 10)")
        self._check_entered(member, conduct, message.view)

    def _check_checkpoint(self, member: Member, conduct: Conduct, message: Checkpoint) -> None:
        del conduct
        blocks = member.ledger.blocks
        is_own = message.height <= len(blocks) and (
            blocks[message.height - 1].block_hash == message.block_hash
        )
        self._must(is_own, member, "votes for a block that it has not executed (rule 42)")

    def _check_view_change_sent(
        self, member: Member, conduct: Conduct, message: ViewChange
    ) -> None:
        is_durable = ("view change", message.view) in conduct.durable
        self._must(is_durable, member, "changes the view before it is durable (rule 43)")

    def _check_new_view_sent(self, member: Member, conduct: Conduct, message: NewView) -> None:
        is_durable = ("new view", message.view) in conduct.durable
        self._must(is_durable, member, "opens a view before it is durable (rule 43)")

    # What is executed, certified, discarded

    def on_execute(self, member: Member, effect: fx.Execute) -> None:
        """Rule 11: only what is committed-local is executed, and it is the batch of its digest."""
        conduct, height = self._conduct[member.index], effect.batch.height
        is_own = effect.batch.digest(self._config.chain_id) == effect.digest
        self._must(is_own, member, "executes another batch than the digest's (rule 16)")
        for key in [key for key in conduct.commits if key[1:] == (height, effect.digest)]:
            is_prepared = ("prepared", *key) in conduct.durable
            others = conduct.commits[key] - {member.index}
            if is_prepared and len(others) + 1 >= self._quorum:
                return
        raise ViolationError(
            f"member {member.index} executes height {height} before it is committed (rule 11)"
        )

    def on_certificate(self, member: Member, certificate: Certificate) -> None:
        """Rule 18: exactly Q CHECKPOINTs, all valid."""
        self._check_certificate(certificate, f"is stored by member {member.index}")
        conduct = self._conduct[member.index]
        conduct.stored_height = max(conduct.stored_height, certificate.height)

    def _check_certificate(self, certificate: Certificate | None, where: str) -> None:
        if certificate is None:
            return
        members, quorum = self._config.members, self._quorum
        previous = self._config.previous
        if previous is not None and certificate.height == previous.last_height:
            members, quorum = previous.members, compute_quorum(len(previous.members))
        if len({signer for signer, _ in certificate.votes}) != quorum:
            raise ViolationError(f"certificate of {len(certificate.votes)} votes {where} (rule 18)")
        for signer, signature in certificate.votes:
            payload = encode(
                (certificate.epoch, certificate.height, certificate.block_hash, signer)
            )
            text = signing_input(VOTE_DOMAIN, self._config.chain_id, "checkpoint", payload)
            if not self._keyring.is_valid((members[signer], signature, text)):
                raise ViolationError(f"certificate with a forged vote {where} (rule 18)")

    def on_prune(self, member: Member, stable_height: int) -> None:
        """Rule 20: nothing is discarded above the certificate that is stored."""
        conduct = self._conduct[member.index]
        is_stored = stable_height <= min(conduct.stored_height, member.ledger.height)
        self._must(is_stored, member, "discards what is not stable and stored (rule 20)")
        for height in [item for item in conduct.bodies if item <= stable_height]:
            del conduct.bodies[height]

    def on_forget(self, member: Member, hashes: tuple[bytes, ...]) -> None:
        """Rule 20: bodies behind a PREPARE are kept until their height is stable."""
        conduct = self._conduct[member.index]
        for height, kept in conduct.bodies.items():
            if height > conduct.stored_height:
                lost = kept.intersection(hashes) - member.ledger.seen
                self._must(not lost, member, f"forgets a body of height {height} (rule 20)")

    # At the end

    def check_end(self, member: Member) -> None:
        """Everything has a limit (rules 10, 48): no table of the replica has grown beyond it."""
        limits = self._config.limits
        per_height = 2 * limits.window + self._config.size + 2
        for name, table in _tables(member.replica, "replica", set()):
            is_by_number = isinstance(table, dict) and any(type(key) is int for key in table)
            most = per_height if is_by_number else TABLE_MAX
            if len(table) > most:
                raise ViolationError(
                    f"member {member.index} holds {len(table)} in {name}, want at most {most}"
                )


def _tables(value: Any, name: str, done: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield every container that a replica holds, with the way to it."""
    if id(value) in done:
        return
    done.add(id(value))
    if hasattr(value, "__len__") and not isinstance(value, str | bytes | tuple):
        yield name, value
        items = value.values() if isinstance(value, dict) else list(value)
        for item in items:
            yield from _tables(item, f"{name}[]", done)
    elif type(value).__module__.startswith("consensus."):
        for attribute in _attributes(value):
            yield from _tables(getattr(value, attribute, None), f"{name}.{attribute}", done)


def _attributes(value: Any) -> list[str]:
    if hasattr(value, "__dict__"):
        return sorted(vars(value))
    return [item for kind in type(value).__mro__ for item in getattr(kind, "__slots__", ())]
