"""Mutants of the view change: rules 22 to 36."""

from __future__ import annotations

from tests.mutants.mutant import one

_CHANGE = "consensus.view_change"
_NEW = "consensus.new_view"
_STATE = "consensus.state"
_NORMAL = "consensus.normal_case"
_WATCH = "consensus.watch"

OPENING = (
    one(
        "lowest-view-chosen",
        [30],
        (
            _NEW,
            "if known is None or known.view < other.view:",
            "if known is None or known.view > other.view:",
        ),
        "view begins with a wrong O (rule 30)",
    ),
    one(
        "lowest-checkpoint-chosen",
        [30],
        (_NEW, "top = max(ordered,", "top = min(ordered,"),
        "view begins with a wrong O (rule 30)",
    ),
    one(
        "null-for-what-was-prepared",
        [30],
        (
            _NEW,
            "best[height].digest if height in best else null",
            "best[height].digest if height not in best else null",
        ),
        "view begins with a wrong O (rule 30)",
    ),
    one(
        "last-prepared-left-out",
        [30],
        (
            _NEW,
            "for height in range(min_s + 1, max_s + 1)",
            "for height in range(min_s + 1, max_s)",
        ),
        "view begins with a wrong O (rule 30)",
    ),
    one(
        "opens-with-q-1",
        [29],
        (_CHANGE, "if len(named) < config.quorum:", "if len(named) < config.quorum - 1:"),
        "view is entered on Q−1 (rule 29)",
    ),
    one(
        "opens-with-changes-for-other-views",
        [29],
        (_CHANGE, "            if change.view == state.view\n", "            if change.view\n"),
        "view is entered on others' changes (rule 29)",
    ),
    one(
        "wrong-set-of-proposals-accepted",
        [32],
        (_CHANGE, "if proposed != opening.digests:", "if len(proposed) > 4096:"),
        "view begins with a wrong O (rule 30)",
    ),
    one(
        "new-view-of-anyone",
        [4, 29],
        (
            "consensus.verification",
            "isinstance(message, PrePrepare | NewView) and signer",
            "isinstance(message, PrePrepare) and signer",
        ),
        "view is opened by another member",
    ),
    one(
        "past-new-view-entered",
        [44],
        (
            _CHANGE,
            '        if message.view < state.view:\n            return "view is past"\n'
            "        if message.view == state.view and state.is_normal:",
            "        if message.view == state.view and state.is_normal:",
        ),
        "votes in a view that it left",
    ),
    one(
        "view-change-hash-without-proofs",
        [29],
        (
            "consensus.messages",
            "return tagged_hash(VIEW_CHANGE_TAG, view_change_payload(message))",
            "return tagged_hash(VIEW_CHANGE_TAG, encode((message.view, message.signer)))",
        ),
        "two view changes have one name (rule 29)",
    ),
    one(
        "heights-of-the-new-view-used-again",
        [35],
        (
            _NORMAL,
            "        for proposal in proposals:\n"
            "            self.next_height = proposal.height + 1",
            "        for proposal in proposals:\n            self.next_height = 0",
        ),
        "proposes against its new view (rule 35)",
    ),
    one(
        "slots-outlive-their-view",
        [10, 23],
        ("consensus.log", "        self.slots = {}\n", "        self.slots = dict(self.slots)\n"),
        "commits with too few, a wrong certificate (rules 9, 10)",
    ),
)

LEAVING = (
    one(
        "joins-on-one",
        [26],
        (_CHANGE, "if len(above) >= config.weak_quorum:", "if len(above) >= 1:"),
        "joins view on 1 (rule 26)",
    ),
    one(
        "joins-on-a-quorum-only",
        [26],
        (
            _CHANGE,
            "if len(above) >= config.weak_quorum:",
            "if len(above) >= config.quorum:",
        ),
        "does not join (rule 26)",
    ),
    one(
        "joins-the-highest",
        [26],
        (_CHANGE, "self.start(above[0],", "self.start(above[-1],"),
        "leaves for another view (rule 26)",
    ),
    one(
        "skips-a-view",
        [24],
        (
            "consensus.replica",
            "self._view_changes.start(state.view + 1, state.suspicion)",
            "self._view_changes.start(state.view + 2, state.suspicion)",
        ),
        "leaves for another view (rule 24)",
    ),
    one(
        "never-goes-on-to-the-next-view",
        [27],
        (
            _CHANGE,
            'self.start(self._state.view + 1, "new-view timeout")',
            'self._state.suspect("new-view timeout")',
        ),
        "not done within the bound (rule 27)",
    ),
    one(
        "new-view-timer-never-set",
        [27],
        (
            _CHANGE,
            "if on_their_way >= config.quorum and",
            "if on_their_way > config.size and",
        ),
        "not done within the bound (rule 27)",
    ),
    one(
        "new-view-timer-before-a-quorum",
        [27],
        (_CHANGE, "if on_their_way >= config.quorum and", "if on_their_way >= 1 and"),
        "times view with too few on their way (rule 27)",
    ),
    one(
        "timer-never-doubled",
        [27],
        (_CHANGE, "        state.failed_views += 1\n", ""),
        "not done within the bound, when delays are longer than T (rule 27, F22)",
    ),
    one(
        "timer-without-cap",
        [27],
        (
            _STATE,
            "return min(timers.request_ns << doublings, timers.request_max_ns)",
            "return timers.request_ns << doublings",
        ),
        "sets a timer above T_max (rule 27)",
    ),
    one(
        "timer-never-reset",
        [27],
        (
            "consensus.execution",
            "        if self._pool.process_executed(executed, height):\n"
            "            state.failed_views = 0\n",
            "        self._pool.process_executed(executed, height)\n",
        ),
        "not served in time after the primary has crashed (rule 27)",
    ),
    one(
        "proofs-left-out",
        [24],
        (
            _CHANGE,
            "            if height > state.stable_height\n",
            "            if height > state.stable_height + 1\n",
        ),
        "hides what it prepared (rule 24)",
    ),
    one(
        "checkpoint-left-out",
        [24],
        (
            _CHANGE,
            "certificate, height = state.certificate, state.stable_height",
            "certificate, height = None, 0",
        ),
        "hides its checkpoint (rule 24)",
    ),
    one(
        "lowest-view-certificate-kept",
        [24],
        (
            "consensus.log",
            "if known is None or known.view < proof.view:",
            "if known is None:",
        ),
        "hides what it prepared (rule 24)",
    ),
    one(
        "proofs-dropped-above-the-checkpoint",
        [20, 24],
        (
            "consensus.log",
            "for known in [number for number in table if number <= height]:",
            "for known in [number for number in table if number <= height + 1]:",
        ),
        "hides what it prepared (rule 24)",
    ),
)

WATCHING = (
    one(
        "primary-never-suspected",
        [22],
        (
            _WATCH,
            'state.suspect("request timeout")',
            "self._is_timer_set = False",
        ),
        "not served in time after the primary has crashed (rule 22)",
    ),
    one(
        "primary-suspected-at-once",
        [22, 49],
        (
            _WATCH,
            "heappush(self._deadlines, (now_ns + timeout_ns, digest))",
            "heappush(self._deadlines, (now_ns + timeout_ns // 500, digest))",
        ),
        "a view change in calm (rule 49)",
    ),
    one(
        "nothing-watched-in-a-new-view",
        [22],
        (
            _WATCH,
            "        if state.primary == state.index:\n            return\n        relayed = []",
            "        if state.view:\n            return\n        relayed = []",
        ),
        "not done within the bound (rule 22)",
    ),
    one(
        "proposed-requests-not-watched",
        [22],
        (
            _WATCH,
            "if digest not in pool.watched and (is_ready or digest in pool.in_batch):",
            "if digest not in pool.watched and is_ready:",
        ),
        "not done within the bound (rule 22)",
    ),
    one(
        "requests-forgotten-in-a-new-view",
        [22],
        (
            "consensus.requests",
            "        self.ready = set(self.pending)\n",
            "        self.ready = set()\n",
        ),
        "not done within the bound (rule 22)",
    ),
    one(
        "invalid-proposal-forgiven",
        [17],
        (
            _NORMAL,
            "            state.suspect(reason)\n            return\n        slot.is_accepted",
            "            return\n        slot.is_accepted",
        ),
        "keeps a primary that proposed what is invalid (rule 17)",
    ),
    one(
        "no-empty-batch",
        [36],
        (
            "consensus.proposing",
            "        if state.is_primary and self._in_flight() == 0 and not self._is_blocked():\n"
            "            self._propose(())",
            "        if state.is_primary and self._in_flight() > 9:\n            self._propose(())",
        ),
        "chain time stands still, or a view change in calm (rules 36, 49)",
    ),
    one(
        "silence-never-suspected",
        [36],
        (
            _WATCH,
            'state.suspect("no batch, not even an empty one")',
            "state.suspicion = None",
        ),
        "chain time stands still (rule 36)",
    ),
)

VIEWS = (*OPENING, *LEAVING, *WATCHING)
