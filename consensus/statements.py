"""What members have signed, remembered within bounds, so that a contradiction is met (rule 50).

The sub-protocols compare votes where they count them: for the current view and window. A liar shows
its contradictions elsewhere too: in votes for views that nobody has entered, in a second NEW-VIEW
while the first waits for its VIEW-CHANGEs, in the certificates inside a VIEW-CHANGE or a STATUS
answer. `Statements` looks at every message of this epoch whose signatures the shell has verified,
takes it apart into what single members signed, and compares each with what the same member said
about the same subject before.

Of each signer the last `VOTES_PER_WINDOW` × L votes are kept, the last `PROPOSALS_KEPT`
PRE-PREPAREs, and the last `LARGE_KEPT` messages that may be large (VIEW-CHANGE, NEW-VIEW): a liar
can push out what it said itself, never what another did. Nothing here counts towards any quorum,
and nothing is dropped for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.effects import ReportEvidence
from consensus.evidence import Subject, compute_content, subject_of
from consensus.messages import (
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SignedMessage,
    StableCertificate,
    ViewChange,
)
from consensus.state import State
from ledger.chain.certificate import Certificate

VOTES_PER_WINDOW = 8
PROPOSALS_KEPT = 32
LARGE_KEPT = 4


class Statements:
    """The statements of each signer by their subjects, the oldest first."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._votes: dict[int, dict[Subject, SignedMessage]] = {}
        self._proposals: dict[int, dict[Subject, SignedMessage]] = {}
        self._large: dict[int, dict[Subject, SignedMessage]] = {}

    def look_at(self, message: Message) -> None:
        """Compare what `message` shows with what was said before; report what contradicts."""
        epoch = self._state.config.epoch
        for said in statements_in(message):
            if said.epoch == epoch and said.signer != self._state.config.index:
                self._compare(said)

    def _compare(self, said: SignedMessage) -> None:
        if isinstance(said, PrePrepare):
            table, most = self._proposals, PROPOSALS_KEPT
        elif isinstance(said, ViewChange | NewView):
            table, most = self._large, LARGE_KEPT
        else:
            table, most = self._votes, VOTES_PER_WINDOW * self._state.config.limits.window
        kept = table.setdefault(said.signer, {})
        subject = subject_of(said)
        known = kept.get(subject)
        if known is None:
            if len(kept) >= most:
                del kept[next(iter(kept))]
            kept[subject] = said
        elif self._differs(known, said) and not self._is_reported(said.signer, subject):
            self._state.report_conflict(said.signer, known, said)

    def _differs(self, known: SignedMessage, said: SignedMessage) -> bool:
        chain_id = self._state.config.chain_id
        return compute_content(known, chain_id) != compute_content(said, chain_id)

    def _is_reported(self, signer: int, subject: Subject) -> bool:
        """Tell whether a sub-protocol has met the same contradiction in this event."""
        return any(
            isinstance(effect, ReportEvidence)
            and effect.evidence.signer == signer
            and subject_of(effect.evidence.first) == subject
            for effect in self._state.effects
        )


def statements_in(message: Message) -> Iterator[SignedMessage]:
    """Yield everything in `message` that one member signed and that can stand as evidence.

    The PRE-PREPARE signatures in prepared certificates and NEW-VIEWs are left out: without its
    batch such a vote is no whole message.
    """
    if isinstance(message, Prepare | Commit | Checkpoint | PrePrepare | NewView | ViewChange):
        yield message
    if isinstance(message, StableCertificate):
        yield from _checkpoints_in(message.certificate)
    if isinstance(message, ViewChange):
        if message.certificate is not None:
            yield from _checkpoints_in(message.certificate)
        for proof in message.prepared:
            for signer, signature in proof.prepares:
                yield Prepare(
                    message.epoch, proof.view, proof.height, proof.digest, signer, signature
                )


def _checkpoints_in(certificate: Certificate) -> Iterator[Checkpoint]:
    for signer, signature in certificate.votes:
        yield Checkpoint(
            certificate.epoch, certificate.height, certificate.block_hash, signer, signature
        )
