"""Rule 50: contradictions are met wherever members show them, within bounded memory."""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.evidence import contradicting_checkpoints, make_evidence, verify_evidence
from consensus.messages import Message, StableCertificate
from consensus.statements import VOTES_PER_WINDOW
from tests.consensus.harness import CHAIN_ID, Bench, block_hash_of, of_kind
from tests.simulator.keys import FastKeyring, verifier_of

FAR = 40  # a view that nobody is in


def found(bench: Bench, *messages: Message) -> list[tuple[int, str]]:
    """Give messages to the replica; return (signer, kind) of each piece of evidence, proven."""
    verify = verifier_of(FastKeyring(bench.config.size))
    pieces = []
    for effect in of_kind(bench.receive(*messages), fx.ReportEvidence):
        record = make_evidence(effect.evidence, CHAIN_ID, bench.config.members)
        proven = verify_evidence(record, CHAIN_ID, bench.config.members, verify)
        pieces.append((proven.signer, proven.subject.kind))
    return pieces


def test_rule_50_votes_of_views_not_entered_are_compared() -> None:
    bench = Bench()
    first, second = bench.make.batch(1, 1), bench.make.batch(1, 2)
    prepares = [bench.make.prepare(FAR + 1, batch, 2) for batch in (first, second)]
    commits = [bench.make.commit(FAR + 1, batch, 2) for batch in (first, second)]
    assert found(bench, *prepares, *commits) == [(2, "PREPARE"), (2, "COMMIT")]


def test_rule_50_vote_in_a_view_change_against_one_sent_before() -> None:
    bench = Bench()
    first, second = bench.make.batch(1, 1), bench.make.batch(1, 2)
    change = bench.make.view_change(FAR, 3, (bench.make.proof(2, second),))
    assert found(bench, bench.make.prepare(2, first, 0), change) == [(0, "PREPARE")]


def test_rule_50_two_certificates_name_who_signed_both() -> None:
    bench = Bench()
    certificates = [
        bench.make.certificate(1, block_hash_of(1, bytes([number]) * 32), signers)
        for number, signers in ((1, (0, 1, 2)), (2, (0, 2, 3)))
    ]
    shown = [StableCertificate(0, item) for item in certificates]
    # What concerns the replica itself (index 1) is no evidence to it; 0 and 2 signed both.
    assert found(bench, *shown) == [(0, "CHECKPOINT"), (2, "CHECKPOINT")]
    pieces = contradicting_checkpoints(*certificates)
    assert [piece.signer for piece in pieces] == [0, 2]
    assert contradicting_checkpoints(certificates[0], certificates[0]) == []


def test_rule_50_one_message_twice_is_no_contradiction() -> None:
    bench = Bench()
    batch = bench.make.batch(1, 1)
    messages: list[Message] = [
        bench.make.prepare(FAR + 1, batch, 2),
        bench.make.commit(FAR + 1, batch, 2),
        bench.make.checkpoint(1, bytes(32), 2),
        bench.make.view_change(FAR, 2),
    ]
    assert found(bench, *messages, *messages) == []


@pytest.mark.parametrize("is_flooded", [False, True])
def test_rule_50_memory_is_bounded_for_each_signer(is_flooded: bool) -> None:
    """A liar may push out its own statements, but not those of another."""
    bench = Bench()
    first, second = bench.make.batch(1, 1), bench.make.batch(1, 2)
    most = VOTES_PER_WINDOW * bench.config.limits.window
    found(bench, *(bench.make.commit(FAR + 1, first, by) for by in (2, 3)))
    count = most if is_flooded else most - 1
    found(bench, *(bench.make.commit(FAR + 2 + n, first, 2) for n in range(count)))
    again = [bench.make.commit(FAR + 1, second, by) for by in (2, 3)]
    assert found(bench, *again) == [(s, "COMMIT") for s in ((3,) if is_flooded else (2, 3))]


def test_f4_contradiction_inside_the_window_is_reported_once() -> None:
    bench = Bench()
    first, second = bench.make.batch(1, 1), bench.make.batch(1, 2)
    proposals = [bench.make.pre_prepare(0, batch) for batch in (first, second)]
    assert found(bench, *proposals) == [(0, "PRE-PREPARE")]
    commits = [bench.make.commit(0, batch, 2) for batch in (first, second)]
    assert found(bench, *commits) == [(2, "COMMIT")]


def test_rule_50_pending_new_views_are_compared() -> None:
    """The first NEW-VIEW still waits for its VIEW-CHANGEs when the second comes (F19)."""
    bench = Bench()
    changes = [bench.make.view_change(2, by) for by in (0, 2, 3)]
    other = [bench.make.view_change(2, by, (bench.make.proof(0, bench.make.batch(1, 1)),))
             for by in (0, 2, 3)]  # fmt: skip
    new_views = [bench.make.new_view(2, named) for named in (changes, other)]
    assert found(bench, *new_views) == [(2, "NEW-VIEW")]
