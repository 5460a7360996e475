"""Mutants of epochs, of what is watched, and of evidence: rules 2, 22, 44, 50."""

from __future__ import annotations

from tests.mutants.mutant import Edit, Mutant, one

_STATE = "consensus.state"
_END = "consensus.epoch_end"
_EXECUTION = "consensus.execution"
_LOG = "consensus.log"
_PROPOSING = "consensus.proposing"
_RECOVERY = "consensus.recovery"
_VERIFY = "consensus.verification"
_WATCH = "consensus.watch"
_STATUS = "consensus.status"
_STATEMENTS = "consensus.statements"

ENDS = (
    one(
        "window-beyond-the-epoch",
        [2],
        (
            _STATE,
            "return high if self.last_height is None else min(high, self.last_height)",
            "return high",
        ),
        "beyond the epoch's end (rule 2)",
    ),
    one(
        "change-not-seen-in-executed-blocks",
        [2],
        (
            _EXECUTION,
            "        self._epoch_end.process_block(event.height, event.epochs)\n"
            "        self._checkpoints.process_executed",
            "        self._checkpoints.process_executed",
        ),
        "beyond the epoch's end (rule 2)",
    ),
    one(
        "change-not-seen-in-installed-blocks",
        [2],
        (
            _EXECUTION,
            "        self._epoch_end.process_block(event.height, event.epochs)\n"
            "        self._checkpoints.process_installed",
            "        self._checkpoints.process_installed",
        ),
        "beyond the epoch's end (rule 2), or not done within the bound",
    ),
    one(
        "epoch-over-with-any-certificate",
        [2],
        (
            _END,
            "if certificate.height == state.last_height and not state.is_executing:",
            "if not state.is_executing:",
        ),
        "leaves by the certificate of another height",
    ),
    one(
        "epoch-never-over",
        [2],
        (
            _END,
            "if certificate.height == state.last_height and not state.is_executing:",
            "if certificate.height < 0:",
        ),
        "not done within the bound",
    ),
    Mutant(
        "end-of-an-epoch-left-to-the-clients",
        (2, 36),
        (
            Edit(
                _PROPOSING,
                "return state.is_primary and state.last_height is not None "
                "and not self._is_blocked()",
                "return False",
            ),
            Edit(
                _WATCH,
                "return timers.idle_ns if self._state.last_height is None else timers.status_ns",
                "return timers.idle_ns",
            ),
        ),
        "not done within the bound",
    ),
    one(
        "nobody-is-shown-out-of-an-old-epoch",
        [2],
        (
            _END,
            "state.emit(ShowEpochs(sender, message.epoch))",
            "state.drop(sender, message, 'no way out')",
        ),
        "not done within the bound",
    ),
)

CHANGES = (
    one(
        "votes-of-an-earlier-epoch-bind",
        [2, 44],
        (
            _RECOVERY,
            "    return epoch == want\n\n\ndef _epoch_of",
            "    return True\n\n\ndef _epoch_of",
        ),
        "a vote of another epoch",
    ),
    one(
        "last-certificate-under-the-new-keys",
        [2, 24],
        (
            _VERIFY,
            "is_previous = config.previous is not None and certificate.epoch < config.epoch",
            "is_previous = False",
        ),
        "not done within the bound",
    ),
    one(
        "last-certificate-held-against-the-new-quorum",
        [2, 24],
        (
            _VERIFY,
            "_check_votes(certificate, previous.members)",
            "_check_votes(certificate, config.members)",
        ),
        "not done within the bound",
    ),
    one(
        "observers-not-shown-what-is-stable",
        [2, 28],
        (
            _STATUS,
            "        if message.stable_height < state.stable_height:\n"
            "            self._send_stable(sender)\n",
            "        if message.stable_height < state.stable_height and sender < 4:\n"
            "            self._send_stable(sender)\n",
        ),
        "an observer does not follow",
    ),
)

WATCHED = (
    one(
        "contradictions-elsewhere-not-met",
        [50],
        (
            _STATEMENTS,
            "elif self._differs(known, said) and not self._is_reported(said.signer, subject):",
            "elif self._is_reported(said.signer, subject) and said.signer < 0:",
        ),
        "keeps no evidence (rule 50)",
    ),
)

EPOCHS: tuple[Mutant, ...] = (*ENDS, *CHANGES, *WATCHED)
