"""What a PBFT replica may say: OSDI 1999 sections 4.2 to 4.4, with the project's rules 1 to 44.

One `Node` stands for one node of the trace, through all its lives. It keeps what was received (a
fact does not become untrue by a crash) apart from what is durable, and derives everything else
again at each vote. Nothing here is fast, and nothing is shared with the code that is judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

NULL = "null"
GENESIS = 0


class BreachError(AssertionError):
    """A node did what the rules do not allow."""


def compute_quorum(size: int) -> int:
    """Return the least Q of which any two of `size` members share more than f (rule 1)."""
    faulty = (size - 1) // 3
    quorum = 0
    while 2 * quorum - size < faulty + 1:
        quorum += 1
    return quorum


def compute_opening(changes: Iterable[Any]) -> tuple[int, dict[int, Any]]:
    """Return min-s, and the digest for each height from there to max-s (section 4.4, rule 30)."""
    changes = list(changes)
    low = max(change[3] for change in changes)
    best: dict[int, tuple[int, Any]] = {}
    for change in changes:
        for view, height, digest, _ in change[5]:
            if height > low and (height not in best or view > best[height][0]):
                best[height] = (view, digest)
    high = max(best, default=low)
    return low, {
        height: best[height][1] if height in best else NULL for height in range(low + 1, high + 1)
    }


class Epoch:
    """What one node knows and has said in one epoch."""

    def __init__(self, number: int, index: int, size: int, window: int) -> None:
        self.number, self.index, self.size, self.window = number, index, size, window
        self.quorum = compute_quorum(size)
        self.proposals: set[tuple[int, int, Any]] = set()
        self.prepares: dict[tuple[int, int, Any], set[int]] = defaultdict(set)
        self.commits: dict[tuple[int, int, Any], set[int]] = defaultdict(set)
        self.checkpoints: dict[tuple[int, Any], set[int]] = defaultdict(set)
        self.changes: dict[Any, Any] = {}
        self.new_views: set[Any] = set()
        self.accepted: dict[tuple[int, int], Any] = {}
        self.prepared: dict[tuple[int, int], Any] = {}
        self.own_changes: dict[Any, Any] = {}
        self.entered: dict[int, dict[int, Any]] = {0: {}}
        self.low_of_view: dict[int, int] = {0: 0}
        self.own_new_views: set[Any] = set()
        self.view = 0
        self.is_away = False
        self.left = 0
        self.said: dict[tuple[Any, ...], Any] = {}

    def primary(self, view: int) -> int:
        """Return who leads a view (rule 4)."""
        return view % self.size


class Node:
    """One node of the trace."""

    def __init__(self, name: Any) -> None:
        self.name = name
        self.epochs: dict[int, Epoch] = {}
        self.epoch: Epoch
        self.certified: dict[int, set[Any]] = defaultdict(set)
        self.blocks: dict[int, tuple[Any, Any]] = {}
        self.height = 0
        self.ends_at: dict[int, int] = {}
        self._verbs = {
            "start": self.on_start,
            "received": self.on_received,
            "restored": self.on_restored,
            "persisted": self.on_persisted,
            "executed": self.on_executed,
            "installed": self.on_installed,
            "state": self.on_state,
            "sent": self.on_sent,
        }

    def feed(self, verb: str, *content: Any) -> None:
        """Take the next line of this node; raise `BreachError`."""
        self._verbs[verb](*content)

    def demand(self, is_kept: bool, rule: str, what: Any) -> None:
        """Raise unless a rule is kept."""
        if not is_kept:
            raise BreachError(f"node {self.name}: {rule}: {what}")

    # Lives

    def on_start(
        self,
        epoch: int,
        index: int,
        size: int,
        window: int,
        height: int,
        certificate: Any,
        blocks: Any,
    ) -> None:
        """Begin a life, or an epoch, where the chain of the node ends."""
        if epoch not in self.epochs:
            self.epochs[epoch] = Epoch(epoch, index, size, window)
        self.epoch = self.epochs[epoch]
        self.height = height
        for number, digest, block_hash in blocks:
            self.blocks[number] = (digest, block_hash)
        if certificate is not None:
            self.note_certificate(certificate)

    # What comes in

    def on_received(self, message: Any) -> None:
        """Remember a message whose signatures are valid; of another epoch it never counts."""
        kind, epoch = message[0], message[1]
        if kind == "certificate":
            self.note_certificate(message)
        if epoch != self.epoch.number:
            return
        known = self.epoch
        if kind == "pre-prepare" and message[5] == known.primary(message[2]):
            known.proposals.add(message[2:5])
        elif kind == "prepare" and message[5] != known.primary(message[2]):
            known.prepares[message[2:5]].add(message[5])
        elif kind == "commit":
            known.commits[message[2:5]].add(message[5])
        elif kind == "checkpoint":
            self.note_checkpoint(message[2], message[3], message[4])
        elif kind == "view-change":
            known.changes[message[7]] = message
            if message[4] is not None:
                self.note_certificate(message[4])
        elif kind == "new-view":
            known.new_views.add(message)

    def note_checkpoint(self, height: int, block_hash: Any, signer: int) -> None:
        """Count a CHECKPOINT; Q of them certify (rule 18)."""
        voters = self.epoch.checkpoints[height, block_hash]
        voters.add(signer)
        if len(voters) >= self.epoch.quorum:
            self.certified[height].add(block_hash)

    def note_certificate(self, certificate: Any) -> None:
        """Remember a certificate; one of this epoch has exactly Q distinct signers (rule 18)."""
        _, epoch, height, block_hash, signers = certificate
        if epoch in self.epochs:
            is_exact = len(set(signers)) == len(signers) == self.epochs[epoch].quorum
            self.demand(is_exact, "a certificate has exactly Q votes (rule 18)", certificate)
        self.certified[height].add(block_hash)

    @property
    def stable(self) -> int:
        """Return the highest height that is certified as far as this node can know."""
        return max(self.certified, default=GENESIS)

    # What is durable

    def on_restored(self, record: Any) -> None:
        """Take a record that the vote log held at a start: it was judged when it was written."""
        kind, known, message = record[0], self.epoch, record[1]
        epoch = message[1] if kind in ("left", "entered") else message
        if epoch != known.number:
            return
        if kind == "accepted":
            known.accepted[record[2], record[3]] = record[4]
        elif kind == "prepared":
            known.prepared[record[2], record[3]] = record[4]
        elif kind == "left":
            known.own_changes[message[7]] = known.changes[message[7]] = message
            known.view, known.is_away = message[2], True
        else:
            self.take_view(message, record[2])

    def on_persisted(self, record: Any) -> None:
        """Judge a record: it is what a vote will rest on."""
        kind, known = record[0], self.epoch
        message = record[1]
        epoch = message[1] if kind in ("left", "entered") else message
        if epoch != known.number:
            return
        if kind == "accepted":
            self.judge_accepted(*record[2:])
        elif kind == "prepared":
            self.judge_prepared(*record[2:])
        elif kind == "left":
            self.judge_left(message)
        else:
            self.judge_entered(message, record[2])

    def judge_accepted(self, view: int, height: int, digest: Any) -> None:
        """Section 4.2: a proposal is accepted in its view, from its primary (rules 6 to 8)."""
        known, what = self.epoch, ("accepted", view, height, digest)
        self.demand(view in known.entered, "only in a view that was entered (rule 33)", what)
        self.demand(view == known.view and not known.is_away, "only in the own view (6)", what)
        other = known.accepted.get((view, height), digest)
        self.demand(other == digest, "one digest for (v, n) (rule 8)", what)
        self.demand(height <= self.stable + known.window, "not above H (rule 6)", what)
        self.demand_epoch_goes_on(height, what)
        opening = known.entered[view]
        if height in opening:
            self.demand(opening[height] == digest, "what O says (rules 32, 33)", what)
        else:
            self.demand(height > known.low_of_view[view], "above min-s (rule 30)", what)
            self.demand(digest != NULL, "a null batch only out of O (rule 30)", what)
            if known.primary(view) != known.index:
                has_come = (view, height, digest) in known.proposals
                self.demand(has_come, "a PRE-PREPARE of the primary came (rule 6)", what)
        known.accepted[view, height] = digest

    def judge_prepared(self, view: int, height: int, digest: Any, signers: Any) -> None:
        """Section 4.2: prepared by the proposal and Q−1 PREPAREs of backups (rules 7, 9)."""
        known, what = self.epoch, ("prepared", view, height, digest, signers)
        self.demand(known.accepted.get((view, height)) == digest, "accepted before (9)", what)
        backups = set(signers) - {known.primary(view)}
        is_exact = len(signers) == len(backups) == known.quorum - 1
        self.demand(is_exact, "Q−1 distinct backups (rules 7, 9)", what)
        for signer in backups - {known.index}:
            has_come = signer in known.prepares[view, height, digest]
            self.demand(has_come, f"a PREPARE of {signer} came (rule 9)", what)
        self.demand_epoch_goes_on(height, what)
        known.prepared[view, height] = digest

    def demand_epoch_goes_on(self, height: int, what: Any) -> None:
        """Rule 2: nothing at or above the activation of a change that was executed."""
        end = self.ends_at.get(self.epoch.number)
        self.demand(end is None or height < end, "not beyond the epoch's end (rule 2)", what)

    def judge_left(self, change: Any) -> None:
        """Section 4.4: a VIEW-CHANGE shows the checkpoint and all that is prepared (rule 24)."""
        known = self.epoch
        _, _, view, height, certificate, proofs, signer, name = change
        self.demand(signer == known.index, "in the own name (rule 5)", change)
        is_further = view > known.view or (view == known.view == 0)
        self.demand(is_further, "views only go up (rule 44)", change)
        if certificate is None:
            self.demand(height == GENESIS, "a checkpoint is proven (rule 24)", change)
        else:
            self.demand(certificate[2] == height, "C is of h (rule 25)", change)
            self.demand_certified(certificate, change)
        shown = {item[1]: (item[0], item[2]) for item in proofs}
        held: dict[int, tuple[int, Any]] = {}
        for (in_view, number), digest in known.prepared.items():
            if number > height and in_view >= held.get(number, (-1, None))[0]:
                held[number] = (in_view, digest)
        self.demand(shown == held, f"P is what was prepared, {held} (rule 24)", change)
        for in_view, number, _, signers in proofs:
            is_exact = len(set(signers) - {known.primary(in_view)}) == known.quorum - 1
            self.demand(is_exact and len(signers) == known.quorum - 1, "proofs (25)", change)
            self.demand(height < number <= height + known.window, "P in (h, H] (25)", change)
        known.own_changes[name] = known.changes[name] = change
        known.view, known.is_away = view, True

    def demand_certified(self, certificate: Any, what: Any) -> None:
        """Demand that a certificate is one that this node can have."""
        _, _, height, block_hash, _ = certificate
        self.note_certificate_size(certificate)
        is_known = block_hash in self.certified.get(height, ())
        self.demand(is_known, "a certificate of what came (rule 24)", what)

    def note_certificate_size(self, certificate: Any) -> None:
        """Demand exactly Q distinct signers of the certificate's epoch, where that is known."""
        _, epoch, _, _, signers = certificate
        if epoch in self.epochs:
            is_exact = len(set(signers)) == len(signers) == self.epochs[epoch].quorum
            self.demand(is_exact, "a certificate has exactly Q votes (rule 18)", certificate)

    def judge_entered(self, message: Any, changes: Any) -> None:
        """Section 4.4: a view begins with Q VIEW-CHANGEs and the O that they make (29 to 33)."""
        known = self.epoch
        _, _, view, names, opening, signer = message
        self.demand(signer == known.primary(view), "the primary opens a view (rule 4)", message)
        is_further = view > known.view or (view == known.view and known.is_away)
        self.demand(is_further, "views only go up (rule 44)", message)
        distinct = {who for who, _ in names}
        is_exact = len(distinct) == len(names) == known.quorum
        self.demand(is_exact, "V has Q distinct members (rule 29)", message)
        found = [(change[6], change[7]) for change in changes]
        self.demand(sorted(found) == sorted(names), "V is what is named (rule 29)", message)
        for change in changes:
            self.demand(change[2] == view, "V is for this view (rule 29)", message)
            self.demand(known.changes.get(change[7]) == change, "V has come (rule 29)", message)
        if signer != known.index:
            self.demand(message in known.new_views, "the NEW-VIEW has come (rule 33)", message)
        _, wanted = compute_opening(changes)
        self.demand(dict(opening) == wanted, f"O is {wanted} (rules 30, 32)", message)
        self.take_view(message, changes)

    def take_view(self, message: Any, changes: Any) -> None:
        """Be in the view that a NEW-VIEW begins."""
        known, view = self.epoch, message[2]
        low, opening = compute_opening(changes)
        known.entered[view], known.low_of_view[view] = opening, low
        known.view, known.is_away = view, False
        known.new_views.add(message)
        for change in changes:
            known.changes.setdefault(change[7], change)
        if message[5] == known.index:
            known.own_new_views.add(message)

    # Blocks

    def on_executed(self, height: int, digest: Any, block_hash: Any, pending: Any) -> None:
        """Section 4.2: executed in order, when committed-local (rules 11, 13)."""
        known, what = self.epoch, ("executed", height, digest)
        self.demand(height == self.height + 1, "in order (rule 13)", what)
        is_committed = any(
            len(known.commits[view, height, digest] | {known.index}) >= known.quorum
            for (view, number), held in known.prepared.items()
            if number == height and held == digest
        )
        self.demand(is_committed, "prepared, and Q COMMITs (rule 11)", what)
        self.take_block(height, digest, block_hash, pending)

    def on_installed(self, height: int, digest: Any, block_hash: Any, pending: Any) -> None:
        """Catching up: blocks below a certified height, in order (rules 28, 41)."""
        what = ("installed", height, digest)
        self.demand(height == self.height + 1, "in order (rule 13)", what)
        self.demand(height <= self.stable, "only what is certified (rule 41)", what)
        self.take_block(height, digest, block_hash, pending)

    def on_state(self, certificate: Any, pending: Any) -> None:
        """Begin again at the block of a snapshot; what was executed before is gone (rule 41)."""
        height = certificate[2]
        self.demand_certified(certificate, ("state", certificate))
        self.demand(height > self.height, "a state is ahead (rule 41)", certificate)
        self.blocks = {height: (None, certificate[3])}
        self.height = height
        if pending is not None:
            self.ends_at[self.epoch.number] = pending

    def take_block(self, height: int, digest: Any, block_hash: Any, pending: Any) -> None:
        """Note a block, and what it says of the members."""
        known = self.certified.get(height, {block_hash})
        self.demand(block_hash in known, "the certified block (rule 21)", (height, block_hash))
        self.blocks[height] = (digest, block_hash)
        self.height = height
        if pending is not None:
            self.ends_at[self.epoch.number] = pending

    # What is said

    def on_sent(self, message: Any) -> None:
        """Judge what goes out: own votes by what they rest on, others' by having come."""
        kind, epoch, known = message[0], message[1], self.epoch
        if kind == "certificate":
            self.demand_certified(message, message)
            return
        if epoch != known.number:
            raise BreachError(f"node {self.name}: a message of another epoch (rule 2): {message}")
        if kind in ("pre-prepare", "prepare", "commit"):
            self.judge_vote(kind, *message[2:])
        elif kind == "checkpoint":
            self.judge_checkpoint(*message[2:])
        elif kind == "view-change":
            self.judge_view_change(message)
        else:
            self.judge_new_view(message)

    def say(self, key: tuple[Any, ...], content: Any) -> None:
        """Demand that nothing is said in two ways (rules 8, 44)."""
        said = self.epoch.said.setdefault(key, content)
        self.demand(said == content, "one content for one subject (rules 8, 44)", (key, content))

    def judge_vote(self, kind: str, view: int, height: int, digest: Any, signer: int) -> None:
        """PRE-PREPARE, PREPARE and COMMIT rest on a record and on a view (rules 7, 10, 43)."""
        known, what = self.epoch, (kind, view, height, digest)
        self.demand(signer == known.index, "in the own name (rule 5)", what)
        is_primary = known.primary(view) == known.index
        if kind != "commit":
            self.demand(is_primary == (kind == "pre-prepare"), "by its role (rule 7)", what)
            is_durable = known.accepted.get((view, height)) == digest
        else:
            is_durable = known.prepared.get((view, height)) == digest
        self.demand(is_durable, "durable before it is sent (rule 43)", what)
        self.demand(view in known.entered, "in a view that was entered (rule 33)", what)
        self.demand(view >= known.left, "not below the own VIEW-CHANGE (rule 44)", what)
        self.say((kind, view, height), digest)

    def judge_checkpoint(self, height: int, block_hash: Any, signer: int) -> None:
        """A CHECKPOINT is about a block that this node holds (rules 18, 42, 43)."""
        what = ("checkpoint", height, block_hash)
        self.demand(signer == self.epoch.index, "in the own name (rule 5)", what)
        held = self.blocks.get(height, (None, None))[1]
        self.demand(held == block_hash, "of a durable block (rules 42, 43)", what)
        self.say(("checkpoint", height), block_hash)
        self.note_checkpoint(height, block_hash, signer)

    def judge_view_change(self, message: Any) -> None:
        """An own VIEW-CHANGE is durable; another's is handed on as it came (rules 29, 43)."""
        known = self.epoch
        if message[6] != known.index:
            has_come = known.changes.get(message[7]) == message
            self.demand(has_come, "what is handed on has come (rule 29)", message)
            return
        is_durable = known.own_changes.get(message[7]) == message
        self.demand(is_durable, "durable before it is sent (rule 43)", message)
        self.say(("view-change", message[2]), message)
        known.left = max(known.left, message[2])

    def judge_new_view(self, message: Any) -> None:
        """An own NEW-VIEW is durable; another's is handed on as it came (rules 28, 43)."""
        known = self.epoch
        if message[5] != known.index:
            has_come = message in known.new_views
            self.demand(has_come, "what is handed on has come (rule 28)", message)
            return
        is_durable = message in known.own_new_views
        self.demand(is_durable, "durable before it is sent (rule 43)", message)
        self.say(("new-view", message[2]), message)


class Reference:
    """The model of all nodes of a trace."""

    def __init__(self) -> None:
        self.nodes: dict[Any, Node] = {}
        self.lines = 0
        self.votes = 0

    def feed(self, line: tuple[Any, ...]) -> None:
        """Take the next line; raise `BreachError`."""
        name, verb, *content = line
        self.lines += 1
        self.votes += verb == "sent"
        if name not in self.nodes:
            self.nodes[name] = Node(name)
        self.nodes[name].feed(verb, *content)

    def check(self, lines: Iterable[tuple[Any, ...]]) -> None:
        """Take a whole trace."""
        for line in lines:
            self.feed(line)
