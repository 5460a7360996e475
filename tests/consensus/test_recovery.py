"""Restart without contradiction: byte-identical votes or none (rules 43 and 44, F41)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import effects as fx
from consensus.epochs import EpochView
from consensus.events import ChainHead, Request, RequestReceived, Timer
from consensus.log import (
    AcceptedRecord,
    PreparedRecord,
    ViewChangeRecord,
    decode_record,
    encode_record,
    retained,
)
from consensus.messages import Checkpoint, Commit, Prepare, PrePrepare, Status, ViewChange
from ledger.encoding import encode
from ledger.errors import Code, LocalError, Refused
from tests.consensus.harness import EXPIRES_MS, WALL_MS, Bench, Maker, of_kind, said, tx
from tests.consensus.test_checkpoint import status
from tests.simulator.draw import Options, draw_schedule
from tests.simulator.schedule import Step
from tests.simulator.simulation import Simulation


def restarted(bench: Bench, head: ChainHead | None = None) -> Bench:
    """Return the same member after a crash, from its encoded records."""
    records = [decode_record(encode_record(record)) for record in bench.records]
    return Bench(bench.make.size, bench.index, records, head)


def head_of(bench: Bench) -> ChainHead:
    """Return where the chain of a bench ends, nothing of it certified."""
    blocks, epochs = tuple(bench.blocks), EpochView(0, bench.config.members)
    return ChainHead(len(blocks), blocks[-1].block_hash, WALL_MS, None, blocks, epochs)


def test_prepare_and_commit_are_byte_identical_after_a_restart():  # rule 44
    bench = Bench()
    bench.add_bodies(1)
    batch = bench.make.batch(1, 1)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 2))
    before = said(bench.effects, Prepare | Commit)
    again = restarted(bench).receive(status(), sender=3)
    assert said(again, Prepare | Commit) == before


def test_restarted_backup_prepares_no_other_batch():  # rule 8
    bench = Bench()
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1)))
    after = restarted(bench)
    after.add_bodies(1)
    other = bench.make.pre_prepare(0, bench.make.batch(1, 1))
    assert said(after.receive(other), Prepare) == []


def test_restarted_primary_sends_the_same_pre_prepare_and_goes_on_above_it():  # rules 8 and 44
    bench = Bench(index=0)
    bench.add_bodies(1)
    before = said(bench.effects, PrePrepare)
    after = restarted(bench)
    assert said(after.receive(status(), sender=3), PrePrepare) == before
    after.add_bodies(2)
    after.wait(5)
    heights = [message.height for message in said(after.fire(Timer.BATCH), PrePrepare)]
    assert heights == [2]


def test_checkpoint_is_byte_identical_after_a_restart():  # rule 44
    bench = Bench()
    bench.commit_height(bench.make.batch(1))
    before = said(bench.effects, Checkpoint)
    again = restarted(bench, head_of(bench)).receive(status(), sender=3)
    assert said(again, Checkpoint) == before


def test_view_change_is_byte_identical_after_a_restart():  # rule 44
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 1))
    bench.wait(11_000)
    bench.fire(Timer.IDLE)
    after = restarted(bench)
    assert said(after.effects, ViewChange) == said(bench.effects, ViewChange)
    assert (after.replica.view, after.replica.is_normal) == (1, False)
    effects = after.receive(bench.make.commit(0, batch, 2))
    assert said(effects, Commit) == []


def test_prepared_certificates_of_old_views_survive_a_restart():  # rule 24
    bench = Bench(index=3)
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 1))
    changes = [bench.make.view_change(1, by) for by in (0, 1, 2)]
    bench.receive(*changes, bench.make.new_view(1, changes))
    after = restarted(bench)
    assert (after.replica.view, after.replica.is_normal) == (1, True)
    after.wait(11_000)
    shown = said(after.fire(Timer.IDLE), ViewChange)[0]
    assert [(proof.view, proof.height) for proof in shown.prepared] == [(0, 1)]


def test_entries_of_o_are_still_logged_after_a_restart():  # rules 33 and 44
    bench = Bench(index=3)
    batch = bench.make.batch(1, 1)
    proof = bench.make.proof(0, batch)
    changes = [bench.make.view_change(1, by, [proof]) for by in (0, 1, 2)]
    bench.receive(*changes, bench.make.new_view(1, changes))
    after = restarted(bench)
    after.add_bodies(1, 2)
    other = bench.make.pre_prepare(1, bench.make.batch(1, 2))
    assert said(after.receive(other), Prepare) == []
    assert len(said(after.receive(bench.make.pre_prepare(1, batch)), Prepare)) == 1


def test_new_home_starts_in_view_0_and_tells_where_it_is():
    bench = Bench()
    assert (bench.replica.view, bench.replica.is_normal) == (0, True)
    assert len(said(bench.effects, Status)) == 1


def test_records_of_another_member_are_refused():  # rule 46
    make = Maker(4)
    record = ViewChangeRecord(make.view_change(1, 2))
    with pytest.raises(LocalError) as refused:
        Bench(index=1, records=[record])
    assert refused.value.code is Code.CONSENSUS_MISUSE


def test_retained_keeps_what_is_above_and_the_last_views():  # rules 20 and 44
    make = Maker(4)
    low, high = make.batch(1), make.batch(2)
    change, later = make.view_change(1, 1), make.view_change(2, 1)
    records = [
        AcceptedRecord(make.pre_prepare(0, low)),
        PreparedRecord(0, make.proof(0, low)),
        ViewChangeRecord(change),
        AcceptedRecord(make.pre_prepare(0, high)),
        ViewChangeRecord(later),
        PreparedRecord(0, make.proof(0, high)),
    ]
    assert retained(records, 1) == records[3:]


@pytest.mark.parametrize("value", [(1,), (9, ()), 5, (2, "a", ()), (1, (3, 0, 0, 1)), (3, (7,))])
def test_malformed_record_is_refused(value):  # F57
    with pytest.raises(Refused):
        decode_record(encode(value))


@pytest.mark.parametrize("moment", ["before", "after", "torn"])
@pytest.mark.parametrize("member", [0, 1])
def test_crash_at_every_persistence_point_of_a_small_run(member, moment):  # rules 43 and 44, F41
    drawn, reached = draw_schedule(7, Options(nodes=4, fault_ms=1500, transactions=12)), 0
    while True:
        crash = Step(0, "crash", (str(member), moment, "sync", str(reached + 1)), 500)
        steps = (crash, *drawn.steps)
        run = Simulation(7, schedule=replace(drawn, steps=steps, flags=frozenset()))
        if not run.run().counts[f"crashes: {moment} a sync"]:
            break
        reached += 1
    assert reached > 12


def test_request_of_an_accepted_proposal_is_watched_after_a_restart():  # rule 22, F4
    bench = Bench()
    bench.add_bodies(1, origin=1)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    after = restarted(bench)
    after.handle(RequestReceived(Request(tx(1), 100, EXPIRES_MS, origin=1), is_local=False))
    after.wait(500)
    assert of_kind(after.fire(Timer.REQUEST), fx.RelayRequests) == []
    after.wait(1000)
    assert said(after.fire(Timer.REQUEST), ViewChange)
