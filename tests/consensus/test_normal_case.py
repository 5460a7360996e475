"""The normal case (OSDI 1999, section 4.2; rules 5 to 17, 36)."""

from __future__ import annotations

from dataclasses import replace

from consensus import effects as fx
from consensus.config import NS_PER_MS
from consensus.events import RequestRefused, Timer
from consensus.log import AcceptedRecord, PreparedRecord
from consensus.messages import Checkpoint, Commit, Prepare, PrePrepare, ViewChange
from ledger.chain.batch import Batch, null_batch
from tests.consensus.harness import EXPIRES_MS, WALL_MS, Bench, of_kind, reasons, said, tx


def test_backup_prepares_a_valid_proposal():  # rules 6 and 7
    bench = Bench()
    bench.add_bodies(1)
    batch = bench.make.batch(1, 1)
    prepares = said(bench.receive(bench.make.pre_prepare(0, batch)), Prepare)
    assert prepares == [bench.make.prepare(0, batch, 1)]


def test_batch_and_bodies_are_persisted_before_prepare():  # rule 43
    bench = Bench()
    bench.add_bodies(1, 2)
    message = bench.make.pre_prepare(0, bench.make.batch(1, 1, 2))
    effects = bench.receive(message)
    kinds = [type(item) for item in effects if isinstance(item, fx.Persist | fx.Broadcast)]
    assert kinds == [fx.Persist, fx.Broadcast]
    assert of_kind(effects, fx.Persist) == [fx.Persist(AcceptedRecord(message), (tx(1), tx(2)))]


def test_backup_rejects_conflicting_pre_prepare():  # rules 6 and 8, F4
    bench = Bench()
    bench.add_bodies(1, 2)
    first = bench.make.pre_prepare(0, bench.make.batch(1, 1))
    second = bench.make.pre_prepare(0, bench.make.batch(1, 2))
    bench.receive(first)
    effects = bench.receive(second)
    assert said(effects, Prepare) == []
    assert of_kind(effects, fx.ReportEvidence) == [fx.ReportEvidence(fx.Evidence(0, first, second))]


def test_backup_ignores_pre_prepare_that_is_not_from_the_primary():  # rule 7
    bench = Bench()
    bench.add_bodies(1)
    effects = bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1), by=2))
    assert reasons(effects) == ["pre-prepare is not from the primary of its view"]


def test_f08_f09_heights_outside_the_water_marks_are_ignored():  # rule 6, F8, F9
    bench = Bench()
    bench.add_bodies(1)
    window = bench.config.limits.window
    for height in (window + 1, 2**63 - 1):
        effects = bench.receive(bench.make.pre_prepare(0, bench.make.batch(height, 1)))
        assert reasons(effects) == ["height is above the high water mark"]
    assert said(bench.receive(bench.make.pre_prepare(0, bench.make.batch(window, 1))), Prepare)


def test_proposal_above_the_window_waits_for_its_checkpoints():  # rules 10, 28
    bench = Bench()
    window = bench.config.limits.window
    batches = [bench.make.batch(height) for height in range(1, window + 2)]
    for batch in batches[:window]:
        bench.commit_height(batch)
    early = bench.receive(bench.make.pre_prepare(0, batches[window]))
    assert reasons(early) == ["height is above the high water mark"]
    first = len(bench.effects)
    bench.certify_height(1)
    assert [vote.height for vote in said(bench.effects[first:], Prepare)] == [window + 1]


def test_pre_prepare_at_the_stable_height_is_ignored():  # rule 10, F8
    bench = Bench()
    batch = bench.make.batch(1)
    bench.commit_height(batch)
    bench.certify_height(1)
    assert bench.replica.stable_height == 1
    for message in (bench.make.prepare(0, batch, 2), bench.make.commit(0, batch, 2)):
        assert reasons(bench.receive(message)) == ["height is stable already"]


def test_withheld_body_is_fetched_and_not_voted_for():  # rule 6, F12
    bench = Bench()
    bench.add_bodies(1)
    effects = bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1, 2)))
    assert said(effects, Prepare) == []
    assert of_kind(effects, fx.FetchRequests) == [fx.FetchRequests((tx(2),), (0, 2, 3))]
    assert len(said(bench.add_bodies(2), Prepare)) == 1


def test_missing_body_is_asked_for_again():  # rule 28
    bench = Bench()
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    assert of_kind(bench.fire(Timer.STATUS), fx.FetchRequests)


def test_body_that_was_refused_makes_the_batch_invalid():  # rule 17, F10
    bench = Bench()
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    effects = bench.handle(RequestRefused(tx(1)))
    assert said(effects, Prepare) == []
    assert [change.view for change in said(effects, ViewChange)] == [1]


def test_digest_that_is_not_the_batchs_deposes_the_primary():  # rule 6
    bench = Bench()
    bench.add_bodies(1)
    message = bench.make.pre_prepare(0, bench.make.batch(1, 1))
    effects = bench.receive(replace(message, batch=bench.make.batch(1)))
    assert said(effects, Prepare) == []
    assert said(effects, ViewChange)


def test_request_that_expires_too_late_makes_the_batch_invalid():  # rules 17 and 51
    bench = Bench()
    bench.add_bodies(1)
    early_ms = EXPIRES_MS - bench.config.limits.max_ttl_ms - 1
    bench.clock = bench.clock._replace(wall_ms=early_ms)
    effects = bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1, time_ms=early_ms)))
    assert said(effects, Prepare) == []
    assert said(effects, ViewChange)


def test_null_batch_is_not_accepted_outside_a_new_view():  # rule 13
    bench = Bench()
    effects = bench.receive(bench.make.pre_prepare(0, null_batch(1)))
    assert reasons(effects) == ["null batch outside a new view"]


def test_early_batch_is_held_until_its_time():  # rule 15, F35
    bench = Bench()
    skew_ms = bench.config.limits.skew_ms
    message = bench.make.pre_prepare(0, bench.make.batch(1, time_ms=WALL_MS + skew_ms + 200))
    effects = bench.receive(message)
    assert said(effects, Prepare) == []
    assert of_kind(effects, fx.SetTimer) == [fx.SetTimer(Timer.HELD, 200 * NS_PER_MS)]
    bench.wait(200)
    assert len(said(bench.fire(Timer.HELD), Prepare)) == 1


def test_batch_at_the_edge_of_skew_is_accepted():  # rule 15, F36
    bench = Bench()
    time_ms = WALL_MS + bench.config.limits.skew_ms
    assert said(
        bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, time_ms=time_ms))), Prepare
    )


def test_stale_fresh_batch_is_dropped():  # rule 15
    bench = Bench()
    time_ms = WALL_MS - bench.config.limits.backlog_ms - 1
    effects = bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, time_ms=time_ms)))
    assert reasons(effects) == ["batch time is too far in the past"]


def test_primarys_own_prepare_is_never_counted():  # rules 7 and 9, F5
    bench = Bench()
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    effects = bench.receive(bench.make.prepare(0, batch, 0))
    assert reasons(effects) == ["prepare is from the primary"]
    assert said(effects, Commit) == []


def test_primary_sends_no_prepare():  # rule 7
    bench = Bench(index=0)
    effects = bench.add_bodies(1)
    assert len(said(effects, PrePrepare)) == 1
    assert said(effects, Prepare) == []


def test_repeated_prepare_counts_once():  # rule 3, F13
    bench = Bench(size=7)
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    vote = bench.make.prepare(0, batch, 2)
    effects = bench.receive(vote, vote, vote, vote)
    assert said(effects, Commit) == []
    assert reasons(effects) == ["vote is known"] * 3


def test_contradictory_prepare_is_evidence_and_not_counted():  # rules 3, 8 and 50
    bench = Bench()
    batch, other = bench.make.batch(1), bench.make.batch(1, 9)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, other, 2))
    effects = bench.receive(bench.make.prepare(0, batch, 2))
    assert said(effects, Commit) == []
    assert [item.evidence.signer for item in of_kind(effects, fx.ReportEvidence)] == [2]


def test_prepared_needs_q_minus_one_backups_at_n_5():  # rules 1 and 9
    bench = Bench(size=5)  # f = 1, Q = 4: with 2f + 1 = 3 it would fork
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    assert said(bench.receive(bench.make.prepare(0, batch, 2)), Commit) == []
    assert len(said(bench.receive(bench.make.prepare(0, batch, 3)), Commit)) == 1


def test_committed_needs_q_commits_at_n_6():  # rules 1 and 11
    bench = Bench(size=6)  # f = 1, Q = 4
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    bench.receive(*(bench.make.prepare(0, batch, by) for by in (2, 3)))
    effects = bench.receive(*(bench.make.commit(0, batch, by) for by in (0, 2)))
    assert of_kind(effects, fx.Execute) == []
    assert of_kind(bench.receive(bench.make.commit(0, batch, 4)), fx.Execute)


def test_commits_alone_do_not_commit():  # rule 11: prepared comes first
    bench = Bench()
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    effects = bench.receive(*(bench.make.commit(0, batch, by) for by in (0, 2, 3)))
    assert of_kind(effects, fx.Execute) == []
    assert of_kind(bench.receive(bench.make.prepare(0, batch, 2)), fx.Execute)


def test_whole_certificate_is_persisted_before_commit():  # rule 43
    bench = Bench()
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch))
    effects = bench.receive(bench.make.prepare(0, batch, 2))
    proof = bench.make.proof(0, batch)
    assert effects[0] == fx.Persist(PreparedRecord(0, proof), ())
    assert said(effects[1:], Commit) == [bench.make.commit(0, batch, 1)]


def test_votes_before_their_pre_prepare_count():  # section 4.2: no order between senders
    bench = Bench()
    batch = bench.make.batch(1)
    bench.receive(bench.make.prepare(0, batch, 2), bench.make.commit(0, batch, 0))
    bench.receive(bench.make.commit(0, batch, 2))
    assert of_kind(bench.receive(bench.make.pre_prepare(0, batch)), fx.Execute)


def test_execution_is_in_order_and_one_at_a_time():  # rule 13
    bench = Bench()
    bench.is_executing_by_itself = False
    for height in (2, 1):
        bench.commit_height(bench.make.batch(height))
    executes = of_kind(bench.effects, fx.Execute)
    assert [effect.batch.height for effect in executes] == [1]
    bench.execute(executes[0])
    assert [item.batch.height for item in of_kind(bench.effects, fx.Execute)] == [1, 2]


def test_checkpoint_follows_each_executed_block():  # rule 18
    bench = Bench()
    bench.commit_height(bench.make.batch(1))
    expected = bench.make.checkpoint(1, bench.blocks[0].block_hash, 1)
    assert said(bench.effects, Checkpoint) == [expected]


def test_f70_votes_of_a_later_view_wait_for_it():  # rules 10 and 23, F70
    bench = Bench()
    batch = bench.make.batch(1)
    window = bench.config.limits.window
    flood = [bench.make.prepare(1, bench.make.batch(1, number), 2) for number in range(99)]
    effects = bench.receive(*flood, bench.make.pre_prepare(1, batch, by=1))
    assert set(reasons(effects)) == {"view is not entered yet"}
    kept = bench.replica._votes._later
    assert len(kept[2]) == 3 * window


def test_message_of_another_epoch_never_counts():  # rule 2
    bench = Bench()
    message = replace(bench.make.pre_prepare(0, bench.make.batch(1)), epoch=1)
    assert reasons(bench.receive(message)) == ["message of another epoch"]


def test_light_load_is_proposed_at_once_and_load_is_batched():  # DESIGN 3
    bench = Bench(index=0)
    assert len(said(bench.add_bodies(1), PrePrepare)) == 1
    assert said(bench.add_bodies(2), PrePrepare) == []
    bench.wait(5)
    second = said(bench.fire(Timer.BATCH), PrePrepare)
    assert [message.batch.transactions for message in second] == [(tx(2),)]
    assert said(bench.add_bodies(3, 4), PrePrepare) == []
    full = said(bench.add_bodies(5), PrePrepare)
    assert [set(message.batch.transactions) for message in full] == [{tx(3), tx(4), tx(5)}]


def test_primary_stops_at_the_high_water_mark():  # rules 6 and 35
    bench = Bench(index=0)
    bench.add_bodies(*range(8), origin=0)
    bench.add_bodies(*range(8, 16), origin=2)
    heights = [message.height for message in said(bench.effects, PrePrepare)]
    assert heights == [1, 2, 3, 4]


def test_primary_serves_members_in_turn():  # rule 22
    bench = Bench(index=0)
    bench.add_bodies(0, origin=1)
    bench.add_bodies(1, 2, origin=1)
    bench.wait(5)
    bench.add_bodies(3, origin=2)
    last = said(bench.effects, PrePrepare)[-1]
    assert last.batch.transactions == (tx(3), tx(1), tx(2))


def test_primary_proposes_an_empty_batch_after_the_idle_period():  # rule 36
    bench = Bench(index=0)
    bench.wait(9_999)
    assert said(bench.fire(Timer.IDLE), PrePrepare) == []
    bench.wait(1)
    empty = said(bench.fire(Timer.IDLE), PrePrepare)
    assert [message.batch for message in empty] == [Batch(1, WALL_MS + 10_000, ())]


def test_backup_deposes_a_primary_that_lets_time_stand():  # rules 22 and 36
    bench = Bench()
    bench.wait(10_999)
    assert said(bench.fire(Timer.IDLE), ViewChange) == []
    bench.wait(1)
    assert [change.view for change in said(bench.fire(Timer.IDLE), ViewChange)] == [1]
