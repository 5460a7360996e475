"""Mutants of execution, requests, re-sending and catching up: rules 13, 14, 22, 28, 41 and 50."""

from __future__ import annotations

from tests.mutants.mutant import one

_EXECUTION = "consensus.execution"
_REQUESTS = "consensus.requests"
_PROPOSING = "consensus.proposing"
_STATUS = "consensus.status"
_TRANSFER = "consensus.state_transfer"
_CHECKPOINT = "consensus.checkpoint"

EXECUTION = (
    one(
        "executed-out-of-order",
        [13],
        (
            _EXECUTION,
            "        height = state.executed_height + 1\n        digest",
            "        height = max(log.committed, default=state.executed_height + 1)\n"
            "        digest",
        ),
        "executes out of order",
    ),
    one(
        "two-executions-at-once",
        [13],
        (_EXECUTION, "if state.is_executing or state.fetch_target", "if state.fetch_target"),
        "executes out of order, or a height twice",
    ),
    one(
        "executed-while-fetching",
        [13, 41],
        (
            _EXECUTION,
            "if state.is_executing or state.fetch_target or",
            "if state.is_executing or",
        ),
        "a block executed twice",
    ),
    one(
        "executed-requests-stay",
        [14, 48],
        (
            _REQUESTS,
            "            self._waiters.pop(digest, None)\n            self._remove(digest)\n",
            "            self._waiters.pop(digest, None)\n",
        ),
        "orders a transaction twice in calm, or is not done",
    ),
    one(
        "taken-requests-stay-ready",
        [14],
        (
            _REQUESTS,
            "            if digest in self.watched:\n                self.served_ns = now_ns\n"
            "            self.ready.discard(digest)\n",
            "            if digest in self.watched:\n                self.served_ns = now_ns\n",
        ),
        "orders a transaction twice",
    ),
    one(
        "proposes-before-it-knows-o",
        [35],
        (
            _PROPOSING,
            "return any(slot.digest and not slot.pre_prepare for slot in self._log.slots.values())",
            "return False",
        ),
        "orders a transaction twice",
    ),
    one(
        "proposes-above-the-window",
        [6],
        (
            _PROPOSING,
            "if state.is_behind or self._get_next_height() > state.high_water:",
            "if state.is_behind:",
        ),
        "votes above the high water mark (rule 6)",
    ),
    one(
        "done-requests-never-forgotten",
        [48],
        (
            _REQUESTS,
            "if item <= height - self._limits.window]:",
            "if item <= height - 1000 * self._limits.window]:",
        ),
        "holds too much in _done_at",
    ),
    one(
        "waited-for-bodies-refused",
        [20, 22],
        (
            _REQUESTS,
            "if is_full and not is_local and digest not in self._waiters and digest not in "
            "self.in_batch:",
            "if is_full and not is_local:",
        ),
        "not done within the bound",
    ),
)

CHECKPOINTS = (
    one(
        "halts-on-a-lying-checkpoint",
        [21],
        (
            _CHECKPOINT,
            "elif leading_hash(votes)[1] + config.size - len(votes) < config.quorum:",
            "elif leading_hash(votes)[1] < len(votes):",
        ),
        "honest member halted",
    ),
    one(
        "window-never-moves",
        [19],
        (
            _CHECKPOINT,
            "        if height > state.stable_height:\n            state.stable_height = height\n",
            "        if height > state.high_water:\n            state.stable_height = height\n",
        ),
        "not done within the bound (rule 19)",
    ),
    one(
        "contradictions-not-reported",
        [50],
        (
            "consensus.state",
            "        self.effects.append(ReportEvidence(Evidence(signer, first, second)))",
            "        del signer, first, second",
        ),
        "a contradiction without evidence (rule 50)",
    ),
    one(
        "evidence-of-one-message",
        [50],
        (
            "consensus.state",
            "ReportEvidence(Evidence(signer, first, second))",
            "ReportEvidence(Evidence(signer, first, first))",
        ),
        "evidence of two equal messages (rule 50)",
    ),
)

RESENDING = (
    one(
        "status-never-answered",
        [28],
        (
            _STATUS,
            "        self._answered_ns[sender] = now_ns\n",
            "        self._answered_ns[sender] = now_ns\n"
            "        if now_ns >= 0:\n            return\n",
        ),
        "not done within the bound (rule 28)",
    ),
    one(
        "status-never-sent",
        [28],
        (
            "consensus.replica",
            "        state.broadcast(self._status.build())\n        self._floor.look()\n",
            "        self._floor.look()\n",
        ),
        "not done within the bound (rule 28)",
    ),
    one(
        "votes-never-sent-again",
        [28],
        (
            _STATUS,
            "                if height > message.stable_height:\n"
            "                    self._answer_slot(sender, slot, known.get(height))\n",
            "                del height, slot\n",
        ),
        "a height is not decided though the network is whole (rule 28)",
    ),
    one(
        "checkpoints-never-sent-again",
        [28],
        (
            _STATUS,
            "        self._answer_checkpoints(sender, message)\n",
            "",
        ),
        "not done within the bound (rule 28)",
    ),
    one(
        "new-view-never-sent-again",
        [28],
        (
            _STATUS,
            "        if message.view < self._state.view:\n"
            "            self._answer_old_view(sender)\n        elif",
            "        if",
        ),
        "not done within the bound (rule 28)",
    ),
    one(
        "named-view-changes-not-answered",
        [29],
        (
            "consensus.view_change",
            "            if digest in held:\n",
            "            if digest in held and message.view < 0:\n",
        ),
        "not done within the bound (rule 29)",
    ),
    one(
        "batches-of-o-not-asked-for",
        [28, 33],
        (
            "consensus.normal_case",
            "self._state.broadcast(BatchRequest(config.epoch, slot.height, slot.digest))",
            "self.next_height = max(self.next_height, slot.height + 1)",
        ),
        "not done within the bound (rule 33)",
    ),
    one(
        "missing-bodies-not-asked-for",
        [20],
        (
            "consensus.normal_case",
            "self._state.emit(FetchRequests(wanted, self._state.others))",
            "slot.missing = set(slot.missing)",
        ),
        "not done within the bound (rule 20)",
    ),
    one(
        "never-catches-up",
        [41],
        (
            _TRANSFER,
            "        state.emit(FetchBlocks(state.executed_height + 1, certificate, sources))\n",
            "        del sources\n",
        ),
        "not done within the bound (rule 41)",
    ),
    one(
        "fetches-from-the-wrong-height",
        [41],
        (
            _TRANSFER,
            "FetchBlocks(state.executed_height + 1, certificate",
            "FetchBlocks(state.executed_height + 2, certificate",
        ),
        "not done within the bound (rule 41)",
    ),
    one(
        "fetches-once-only",
        [41],
        (
            _TRANSFER,
            "        else:\n            self._attempt += state.fetch_target > 0\n"
            "            self._fetch()\n",
            "        elif not state.fetch_target:\n            self._fetch()\n",
        ),
        "not done within the bound (rule 41)",
    ),
    one(
        "who-left-a-view-waits-for-its-log",
        [23, 28],
        (
            _TRANSFER,
            "gap >= state.config.limits.window or state.phase is Phase.VIEW_CHANGE",
            "gap >= state.config.limits.window",
        ),
        "nothing: it is only slow",
    ),
    one(
        "who-left-a-view-offers-nothing",
        [22, 23],
        (
            "consensus.replica",
            "            self._watch.offer_again()\n",
            "            self._watch.advance()\n",
        ),
        "nothing: clients ask other members in time",
    ),
    one(
        "asks-in-vain-without-end",
        [28, 48],
        (
            _TRANSFER,
            "return is_other_way_due or self._state.executed_height != self._fetched_at",
            "return True",
        ),
        "no end after so much processor time",
    ),
    one(
        "stays-with-a-silent-source",
        [41],
        (
            _TRANSFER,
            "            self._attempt += state.fetch_target > 0\n",
            "",
        ),
        "not done within the bound (rule 41)",
    ),
)

SERVICE = (*EXECUTION, *CHECKPOINTS, *RESENDING)
