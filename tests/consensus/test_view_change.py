"""The view change (OSDI 1999, section 4.4; rules 22 to 35)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import effects as fx
from consensus.config import NS_PER_S
from consensus.events import Timer
from consensus.log import NewViewRecord, ViewChangeRecord
from consensus.messages import (
    BatchReply,
    BatchRequest,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
    ViewChangeRequest,
    view_change_hash,
)
from consensus.new_view import ProofConflictError, compute_opening
from consensus.verification import check_message, signature_items
from ledger.chain.batch import null_batch
from ledger.errors import Code, Refused
from tests.consensus.harness import CHAIN_ID, Bench, Maker, make_config, of_kind, reasons, said, tx


def in_view_change(size: int = 4, index: int = 3) -> Bench:
    """Return a bench whose replica has left view 0 (its idle timer ran out)."""
    bench = Bench(size=size, index=index)
    bench.wait(11_000)
    bench.fire(Timer.IDLE)
    return bench


def enter_view_1(bench: Bench, *proofs) -> list:
    """Let the others bring the bench into view 1 by the NEW-VIEW of member 1."""
    changes = [bench.make.view_change(1, by, proofs) for by in (0, 1, 2)]
    effects = bench.receive(*changes[:2])
    return effects + bench.receive(changes[2], bench.make.new_view(1, changes))


def test_view_change_shows_what_is_prepared():  # rule 24
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 1))
    bench.wait(11_000)
    effects = bench.fire(Timer.IDLE)
    expected = replace(bench.make.view_change(1, 3, [bench.make.proof(0, batch)]))
    shown = said(effects, ViewChange)[0]
    assert [(proof.height, proof.view, proof.digest) for proof in shown.prepared] == [
        (1, 0, bench.make.digest(batch))
    ]
    assert shown.stable_height == expected.stable_height == 0


def test_view_change_shows_the_stable_certificate():  # rule 24
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    bench.certify_height(1)
    bench.wait(11_000)
    shown = said(bench.fire(Timer.IDLE), ViewChange)[0]
    assert shown.stable_height == 1
    assert shown.certificate is not None
    assert len(shown.certificate.votes) == bench.config.quorum


def test_view_change_is_persisted_before_it_is_sent():  # rule 43
    bench = in_view_change()
    kinds = [type(item) for item in bench.effects if isinstance(item, fx.Persist | fx.Broadcast)]
    assert kinds[-2:] == [fx.Persist, fx.Broadcast]
    assert isinstance(bench.records[-1], ViewChangeRecord)


def test_replica_in_view_change_takes_no_votes():  # rule 23
    bench = in_view_change()
    batch = bench.make.batch(1)
    effects = bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 1))
    assert set(reasons(effects)) == {"view is past"}
    assert said(effects, Prepare) == []


def test_body_that_comes_in_a_view_change_completes_no_old_proposal():  # rule 23, seed 42 of n = 6
    bench = Bench(index=3)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    bench.wait(11_000)
    bench.fire(Timer.IDLE)
    assert said(bench.add_bodies(1), Prepare) == []


def test_checkpoints_count_in_a_view_change():  # rule 23
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    bench.wait(11_000)
    bench.fire(Timer.IDLE)
    bench.certify_height(1)
    assert bench.replica.stable_height == 1


def test_f_view_changes_move_nobody():  # rule 26, F21
    bench = Bench(size=7, index=3)
    effects = bench.receive(*(bench.make.view_change(10**6, by) for by in (1, 2)))
    assert said(effects, ViewChange) == []
    assert bench.replica.view == 0


def test_weak_quorum_moves_to_the_smallest_view_above():  # rule 26
    bench = Bench(size=7, index=3)
    views = {1: 9, 2: 4, 4: 10**6}
    effects = bench.receive(*(bench.make.view_change(view, by) for by, view in views.items()))
    assert [change.view for change in said(effects, ViewChange)] == [4]


def test_repeated_view_change_of_one_member_counts_once():  # rule 3
    bench = Bench(size=7, index=3)
    bench.receive(*(bench.make.view_change(view, 1) for view in (1, 2, 3, 4)))
    assert bench.replica.view == 0


def test_new_view_timer_starts_after_a_quorum():  # rule 27
    bench = in_view_change()
    effects = bench.receive(bench.make.view_change(1, 0))
    assert of_kind(effects, fx.SetTimer) == []
    effects = bench.receive(bench.make.view_change(1, 2))
    assert of_kind(effects, fx.SetTimer) == [fx.SetTimer(Timer.NEW_VIEW, NS_PER_S)]


def test_new_view_timer_counts_members_that_are_further_ahead():  # rule 27, F24
    bench = in_view_change()
    bench.receive(bench.make.view_change(7, 0))
    effects = bench.receive(bench.make.view_change(1, 2))
    assert of_kind(effects, fx.SetTimer) == [fx.SetTimer(Timer.NEW_VIEW, NS_PER_S)]


def test_new_view_timeout_doubles_to_its_cap():  # rule 27, F22
    bench = in_view_change(size=7, index=0)
    waits = []
    for view in range(1, 7):
        effects = bench.receive(*(bench.make.view_change(view, by) for by in (1, 2, 3, 4)))
        waits += [item.after_ns for item in of_kind(effects, fx.SetTimer)]
        bench.fire(Timer.NEW_VIEW)
    assert waits == [NS_PER_S * factor for factor in (1, 2, 4, 8, 8, 8)]


def test_timeout_is_reset_by_a_new_transaction():  # rule 27
    bench = in_view_change()
    bench.receive(*(bench.make.view_change(1, by) for by in (0, 2)))
    bench.fire(Timer.NEW_VIEW)
    changes = [bench.make.view_change(2, by) for by in (0, 1, 2)]
    bench.receive(*changes, bench.make.new_view(2, changes))
    assert bench.replica._state.timeout_ns == 2 * NS_PER_S
    bench.add_bodies(1)
    bench.commit_height(bench.make.batch(1, 1), view=2)
    assert bench.replica._state.timeout_ns == NS_PER_S


def test_primary_opens_the_view_with_a_quorum():  # rules 29 and 30
    bench = Bench(index=1)
    batch = bench.make.batch(2)
    changes = [bench.make.view_change(1, 0, [bench.make.proof(0, batch)])]
    changes.append(bench.make.view_change(1, 2))
    opened = said(bench.receive(*changes), NewView)
    assert len(opened) == 1
    null = null_batch(1).digest(CHAIN_ID)
    assert [(p.height, p.digest) for p in opened[0].proposals] == [
        (1, null),
        (2, bench.make.digest(batch)),
    ]
    assert [signer for signer, _ in opened[0].view_changes] == [0, 1, 2]
    check_message(opened[0], bench.config)


def test_new_view_is_persisted_with_all_of_v_before_it_is_sent():  # rule 43
    bench = Bench(index=1)
    bench.receive(bench.make.view_change(1, 0), bench.make.view_change(1, 2))
    record = bench.records[-1]
    assert isinstance(record, NewViewRecord)
    assert [change.signer for change in record.view_changes] == [0, 1, 2]


def test_primary_proposes_after_max_s():  # rule 35
    bench = Bench(index=1)
    batch = bench.make.batch(2, 5)
    bench.add_bodies(5, 6)
    proof = bench.make.proof(0, batch)
    bench.receive(bench.make.view_change(1, 0, [proof]), bench.make.view_change(1, 2))
    bench.receive(BatchReply(0, batch), sender=2)
    for agreed in (null_batch(1), batch):
        bench.commit_height(agreed, view=1)
    assert said(bench.effects, PrePrepare)[-1].batch.transactions == (tx(6),)
    assert said(bench.effects, PrePrepare)[-1].height == 3


def test_primary_waits_for_what_the_view_began_with():  # else it would order it twice
    bench = Bench(index=1)
    batch = bench.make.batch(1, 5)
    bench.add_bodies(5)
    proof = bench.make.proof(0, batch)
    effects = bench.receive(bench.make.view_change(1, 0, [proof]), bench.make.view_change(1, 2))
    assert said(effects, PrePrepare) == []
    assert said(effects, BatchRequest) == [BatchRequest(0, 1, bench.make.digest(batch))]
    bench.receive(BatchReply(0, batch), sender=2)
    assert all(
        tx(5) not in m.batch.transactions or m.height == 1 for m in said(bench.effects, PrePrepare)
    )


def test_opening_takes_the_digest_of_the_highest_view():  # rule 30
    make = Maker(4)
    old, new = make.batch(1, 1), make.batch(1, 2)
    changes = [
        make.view_change(6, 0, [make.proof(5, new)]),
        make.view_change(6, 1, [make.proof(2, old)]),
        make.view_change(6, 3),
    ]
    for order in (changes, changes[::-1]):
        assert compute_opening(order, CHAIN_ID).digests == ((1, make.digest(new)),)


def test_f17_opening_begins_at_the_highest_proven_checkpoint():  # rule 30, F17
    make = Maker(4)
    certificate = make.certificate(2, b"\x05" * 32, (0, 1, 2))
    proofs = [make.proof(0, make.batch(height)) for height in (1, 2, 3)]
    changes = [
        make.view_change(1, 0, proofs),
        make.view_change(1, 1, [], certificate),
        make.view_change(1, 3),
    ]
    opening = compute_opening(changes, CHAIN_ID)
    assert opening.stable_height == 2
    assert opening.certificate == certificate
    assert opening.digests == ((3, make.digest(make.batch(3))),)


def test_two_digests_of_the_same_highest_view_are_proof_of_too_many_faults():  # rule 31
    make = Maker(4)
    changes = [
        make.view_change(1, 0, [make.proof(0, make.batch(1, 1))]),
        make.view_change(1, 1, [make.proof(0, make.batch(1, 2))]),
        make.view_change(1, 2),
    ]
    with pytest.raises(ProofConflictError):
        compute_opening(changes, CHAIN_ID)
    bench = Bench(index=1)
    effects = bench.receive(changes[0], make.view_change(1, 2, changes[1].prepared))
    assert [item.code for item in of_kind(effects, fx.Halt)] == [Code.CONSENSUS_TOO_MANY_FAULTS]


def test_conflict_below_the_highest_view_is_no_fault():  # rule 31 says: the same highest view
    make = Maker(4)
    changes = [
        make.view_change(3, 0, [make.proof(0, make.batch(1, 1))]),
        make.view_change(3, 1, [make.proof(1, make.batch(1, 2))]),
        make.view_change(3, 2, [make.proof(2, make.batch(1, 1))]),
    ]
    assert compute_opening(changes, CHAIN_ID).digests == ((1, make.digest(make.batch(1, 1))),)


def test_backup_enters_and_prepares_what_was_prepared():  # rules 32 and 33
    bench = Bench(index=3)
    bench.add_bodies(1)
    batch = bench.make.batch(1, 1)
    bench.receive(bench.make.pre_prepare(0, batch))
    effects = enter_view_1(bench, bench.make.proof(0, batch))
    assert [prepare.view for prepare in said(effects, Prepare)] == [1]
    assert bench.replica.is_normal
    assert isinstance(bench.records[-2], NewViewRecord)


def test_backup_enters_without_the_batch_and_fetches_it():  # rule 33
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    effects = enter_view_1(bench, bench.make.proof(0, batch))
    assert bench.replica.is_normal
    assert said(effects, Prepare) == []
    effects = bench.receive(BatchReply(0, bench.make.batch(1, 7)), sender=2)
    assert reasons(effects) == ["batch has another digest"]
    assert len(said(bench.receive(BatchReply(0, batch), sender=2), Prepare)) == 1


def test_re_proposal_is_not_checked_for_freshness():  # rule 15; indy-plenum #1488
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    bench.wait(3_600_000)
    effects = enter_view_1(bench, bench.make.proof(0, batch))
    assert len(said(effects, Prepare)) == 1


def test_null_request_fills_a_gap_and_is_executed_without_transactions():  # rules 13 and 30, F7
    bench = Bench(index=3)
    batch = bench.make.batch(2)
    bench.receive(bench.make.pre_prepare(0, batch))
    enter_view_1(bench, bench.make.proof(0, batch))
    null = null_batch(1)
    bench.receive(
        bench.make.prepare(1, null, 0), *(bench.make.commit(1, null, by) for by in (0, 1))
    )
    executes = of_kind(bench.effects, fx.Execute)
    assert [effect.batch for effect in executes] == [null]


def test_executed_height_is_re_agreed_and_not_executed_again():  # rule 34
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    bench.commit_height(batch)
    effects = enter_view_1(bench, bench.make.proof(0, batch))
    assert [prepare.view for prepare in said(effects, Prepare)] == [1]
    effects = bench.receive(bench.make.prepare(1, batch, 0))
    assert [commit.view for commit in said(effects, Commit)] == [1]
    effects += bench.receive(*(bench.make.commit(1, batch, by) for by in (0, 1)))
    assert of_kind(effects, fx.Execute) == []


def test_re_agreement_on_another_batch_than_was_executed_halts():  # rules 21 and 34
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1, time_ms=1_600_000_000_001))
    effects = enter_view_1(bench, bench.make.proof(0, bench.make.batch(1)))
    assert [item.code for item in of_kind(effects, fx.Halt)] == [Code.CONSENSUS_DIVERGED]


def test_new_view_with_a_wrong_o_is_rejected_and_the_view_advanced():  # rule 32, F18
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    changes = [bench.make.view_change(1, by, [bench.make.proof(0, batch)]) for by in (0, 1, 2)]
    bench.receive(*changes)
    effects = bench.receive(bench.make.new_view(1, changes, digests=[]))
    assert [change.view for change in said(effects, ViewChange)] == [2]


def test_missing_view_changes_of_a_new_view_are_fetched():  # rule 29
    bench = Bench(index=3)
    changes = [bench.make.view_change(1, by) for by in (0, 1, 2)]
    effects = bench.receive(bench.make.new_view(1, changes))
    names = tuple((change.signer, view_change_hash(change)) for change in changes)
    assert said(effects, ViewChangeRequest) == [ViewChangeRequest(0, 1, names)]
    bench.receive(*changes[:2], sender=1)
    bench.receive(changes[2], sender=0)
    assert bench.replica.view == 1
    assert bench.replica.is_normal


def test_view_changes_of_the_entered_view_are_handed_on():  # rule 29, F20
    bench = Bench(index=3)
    enter_view_1(bench)
    change = bench.make.view_change(1, 0)
    wanted = ((0, view_change_hash(change)),)
    assert said(bench.receive(ViewChangeRequest(0, 1, wanted), sender=2), ViewChange) == [change]


def test_a_liars_new_view_for_a_far_view_does_not_block_the_right_one():  # F21
    bench = Bench(index=3)
    fake = [bench.make.view_change(102, by) for by in (0, 1, 2)]
    bench.receive(bench.make.new_view(102, fake))
    enter_view_1(bench)
    assert bench.replica.view == 1


def test_new_view_below_the_own_view_change_is_ignored():  # rule 44
    bench = in_view_change()
    bench.receive(*(bench.make.view_change(1, by) for by in (0, 1)))
    bench.fire(Timer.NEW_VIEW)
    assert bench.replica.view == 2
    changes = [bench.make.view_change(1, by) for by in (0, 1, 2)]
    assert reasons(bench.receive(bench.make.new_view(1, changes))) == ["view is past"]


def _bad_view_changes() -> list[tuple[str, ViewChange]]:
    make = Maker(4)
    good = make.proof(0, make.batch(1))
    short = replace(good, prepares=good.prepares[:1])
    by_primary = replace(good, prepares=((0, good.prepares[0][1]), good.prepares[1]))
    far = make.proof(0, make.batch(5))
    certificate = make.certificate(1, b"\x01" * 32, (0, 1))
    foreign = replace(make.certificate(1, b"\x01" * 32, (0, 1, 2)), epoch=1)
    return [
        ("proof has 1 prepares, want 2", make.view_change(1, 0, [short])),
        ("prepare in a proof is not from a backup", make.view_change(1, 0, [by_primary])),
        ("proof in a view change is outside the window", make.view_change(1, 0, [far])),
        ("certificate has 2 votes, want 3", make.view_change(1, 0, [], certificate)),
        ("certificate is not of this epoch", make.view_change(1, 0, [], foreign)),
        ("view change to view 0", make.view_change(0, 0)),
        (
            "checkpoint height of a view change differs",
            replace(make.view_change(1, 0), stable_height=3),
        ),
    ]


@pytest.mark.parametrize(("reason", "message"), _bad_view_changes())
def test_view_change_that_proves_nothing_is_refused(reason, message):  # rule 25, F15
    with pytest.raises(Refused, match=reason) as refused:
        check_message(message, make_config(4, 1))
    assert refused.value.code is Code.CONSENSUS_MALFORMED


def test_every_signature_inside_is_listed():  # rules 25 and 29
    make = Maker(4)
    proof = make.proof(0, make.batch(3))
    certificate = make.certificate(2, b"\x05" * 32, (0, 1, 2))
    change = make.view_change(1, 2, [proof], certificate)
    assert len(signature_items(change, make.config)) == 1 + 3 + 3
    opened = make.new_view(1, [make.view_change(1, by, [proof]) for by in (0, 1, 2)])
    assert len(signature_items(opened, make.config)) == 1 + 3


def test_late_request_is_relayed_then_the_primary_deposed():  # rule 22, F29
    bench = Bench(index=1)
    bench.add_bodies(1, origin=1)
    bench.wait(500)
    assert of_kind(bench.fire(Timer.REQUEST), fx.RelayRequests) == [fx.RelayRequests((tx(1),), 0)]
    bench.wait(500)
    effects = bench.fire(Timer.REQUEST)
    assert [item.cause for item in of_kind(effects, fx.ReportViewChange)] == ["request timeout"]


def test_request_shown_to_some_only_is_brought_to_the_primary_first():  # rule 22, F30
    bench = Bench(index=1)
    bench.add_bodies(1, origin=2)
    bench.wait(500)
    assert of_kind(bench.fire(Timer.REQUEST), fx.RelayRequests) == [fx.RelayRequests((tx(1),), 0)]
    bench.wait(999)
    assert said(bench.fire(Timer.REQUEST), ViewChange) == []


def test_f05_proposal_that_is_never_prepared_is_watched_whoever_brought_its_requests():  # rule 22
    bench = Bench(index=1)
    bench.add_bodies(1, origin=2)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    bench.wait(500)
    assert of_kind(bench.fire(Timer.REQUEST), fx.RelayRequests) == []
    bench.wait(1000)
    assert said(bench.fire(Timer.REQUEST), ViewChange)


def test_expired_request_deposes_nobody():  # rule 22
    bench = Bench(index=1)
    bench.add_bodies(1, origin=1)
    bench.wait(300_000)
    assert said(bench.fire(Timer.REQUEST), ViewChange) == []


def test_pre_prepared_backlog_that_is_worked_off_deposes_nobody():  # rules 22 and 49
    bench = Bench(index=1)
    bench.add_bodies(1, 2, origin=1)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(2, 2)))
    bench.wait(900)
    bench.commit_height(bench.make.batch(1, 1))
    bench.wait(200)
    assert said(bench.fire(Timer.REQUEST), ViewChange) == []
    bench.wait(800)
    assert said(bench.fire(Timer.REQUEST), ViewChange)


def test_primary_that_serves_this_node_slowly_is_kept_but_not_for_ever():  # rules 22, 49, F29
    bench = Bench(index=1)
    bench.add_bodies(*range(20, 29), origin=1)
    starved = tx(20)
    for height in range(1, 9):
        bench.wait(900)
        assert said(bench.fire(Timer.REQUEST), ViewChange) == []
        bench.commit_height(bench.make.batch(height, 20 + height, time_ms=bench.clock.wall_ms))
        bench.certify_height(height)
    assert starved in bench.replica._pool.watched
    bench.wait(900)
    causes = of_kind(bench.fire(Timer.REQUEST), fx.ReportViewChange)
    assert [item.cause for item in causes] == ["request timeout"]


def test_own_requests_are_relayed_at_the_entry_into_a_view():  # rule 22
    bench = Bench(index=3)
    bench.add_bodies(1, 2, origin=3)
    bench.add_bodies(4, origin=2)
    effects = enter_view_1(bench)
    assert of_kind(effects, fx.RelayRequests) == [fx.RelayRequests((tx(1), tx(2)), 1)]


def test_at_most_r_places_are_watched_at_once():  # rule 22
    bench = Bench(index=3)
    places = bench.config.limits.places
    bench.add_bodies(*range(places + 3), origin=3)
    relayed = of_kind(enter_view_1(bench), fx.RelayRequests)[0].hashes
    assert len(relayed) == places


def test_checkpoint_of_a_diverged_replica_is_not_hidden():  # rule 21, F27
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    wrong = [bench.make.checkpoint(1, b"\x66" * 32, by) for by in (0, 1, 2)]
    effects = bench.receive(*wrong)
    assert [item.code for item in of_kind(effects, fx.Halt)] == [Code.CONSENSUS_DIVERGED]
    assert bench.replica.is_halted
    assert said(effects, Checkpoint) == []
    assert bench.receive(bench.make.prepare(0, bench.make.batch(2), 2)) == []
