"""Blocks or a snapshot (rule 41, F25): when each is fetched, and what comes after a snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import effects as fx
from consensus.config import OBSERVER
from consensus.epochs import EpochView
from consensus.events import ChainHead, Clock, FetchFailed, MessageReceived, StateInstalled, Timer
from consensus.messages import Commit, Prepare, StableCertificate
from consensus.observer import Observer
from consensus.replica import Replica
from ledger.chain.hashes import ZERO_HASH
from tests.consensus.harness import WALL_MS, Bench, Maker, make_config, of_kind, said
from tests.simulator.keys import FastKeyring

HASH = b"\x31" * 32
FAR = 20


def far_bench(stable: int, far: int = FAR) -> Bench:
    """Return a replica that has just learned that `stable` is certified."""
    bench = Bench(index=3, config=replace(make_config(4, 3), far_blocks=far))
    certificate = bench.make.certificate(stable, HASH, (0, 1, 2))
    bench.receive(StableCertificate(0, certificate), sender=2)
    return bench


def fetches(effects):
    return [item for item in effects if isinstance(item, fx.FetchBlocks | fx.FetchState)]


@pytest.mark.parametrize(
    ("stable", "far", "kind"),
    [
        (FAR, FAR, fx.FetchBlocks),
        (FAR + 1, FAR, fx.FetchState),
        (10**6, 0, fx.FetchBlocks),  # a chain without snapshots
    ],
)
def test_f25_the_distance_decides_between_blocks_and_a_snapshot(stable, far, kind):
    """Rule 41."""
    assert [type(item) for item in fetches(far_bench(stable, far).effects)] == [kind]


def test_each_way_is_tried_when_the_other_has_failed():
    """Rule 41: nobody may hold the blocks any more, or offer a snapshot yet."""
    bench = far_bench(9)
    bench.handle(FetchFailed(9))
    assert [type(item) for item in fetches(bench.effects)] == [fx.FetchBlocks, fx.FetchState]
    bench.handle(FetchFailed(9))
    assert len(fetches(bench.effects)) == 2  # with patience: nothing is asked at once
    bench.fire(Timer.CATCH_UP)
    assert type(fetches(bench.effects)[-1]) is fx.FetchBlocks
    assert len(fetches(bench.effects)) == 3


def test_no_timer_replaces_a_fetch_of_a_snapshot_that_runs():
    """Rule 41: it may take long, and it is always answered."""
    bench = far_bench(FAR + 1)
    bench.fire(Timer.CATCH_UP)
    assert len(fetches(bench.effects)) == 1


def test_nothing_is_executed_while_a_snapshot_is_fetched():
    """Rules 13 and 41: one chain is written at a time."""
    bench = far_bench(FAR + 1)
    batch = bench.make.batch(FAR + 2)
    bench.commit_height(batch)
    assert said(bench.effects, Prepare)  # rule 42: voting needs no state
    assert said(bench.effects, Commit)
    assert of_kind(bench.effects, fx.Execute) == []


def installed(bench: Bench, epoch: int = 0) -> StateInstalled:
    certificate = bench.make.certificate(FAR, HASH, (0, 1, 2))
    return StateInstalled(certificate, EpochView(epoch, bench.config.members))


def test_replica_is_over_when_a_state_was_installed():
    """Rule 41: the next one begins from the chain, whatever epoch that has reached."""
    bench = far_bench(FAR + 1)
    event = installed(bench, epoch=7)
    effects = bench.handle(event)
    assert effects == [fx.EnterEpoch(7, bench.config.members, event.certificate)]
    assert bench.replica.is_over
    assert bench.handle(FetchFailed(FAR + 1)) == []


def test_next_replica_says_nothing_else_about_what_it_voted_for():
    """Rules 8, 41 and 44: the vote log outlives the state."""
    bench = far_bench(FAR + 1)
    batch = bench.make.batch(FAR + 2)
    bench.commit_height(batch)
    event = installed(bench)
    bench.handle(event)
    head = ChainHead(FAR, HASH, WALL_MS, event.certificate, (), event.epochs)
    again = Bench(index=3, config=bench.config, head=head, records=bench.records)
    other = bench.make.batch(FAR + 2, 5)
    again.add_bodies(5)
    again.receive(bench.make.pre_prepare(0, other))
    assert {item.digest for item in said(again.effects, Prepare)} <= {bench.make.digest(batch)}
    assert fetches(again.effects) == []


def test_observer_that_is_far_behind_fetches_a_snapshot():
    """Rules 41 and 46: a new node begins so."""
    config = replace(make_config(4, 0), index=OBSERVER, far_blocks=FAR)
    head = ChainHead(0, ZERO_HASH, WALL_MS, None, (), EpochView(0, config.members))
    clock = Clock(0, WALL_MS)
    observer, _ = Observer.start(config, head, clock)
    certificate = Maker(4).certificate(FAR + 1, HASH, (0, 1, 2))
    effects = observer.handle(MessageReceived(2, StableCertificate(0, certificate)), clock)
    assert fetches(effects) == [fx.FetchState(0, certificate, (0, 1, 2))]
    event = StateInstalled(certificate, head.epochs)
    assert observer.handle(event, clock) == [fx.EnterEpoch(0, config.members, certificate)]


def test_replica_may_begin_at_a_snapshot():
    """Rule 41: with no block below it."""
    config, keys = make_config(4, 3), FastKeyring(4)
    certificate = Maker(4).certificate(FAR, HASH, (0, 1, 2))
    head = ChainHead(FAR, HASH, WALL_MS, certificate, (), EpochView(0, config.members))
    replica, _ = Replica.restore(config, keys.signer(3), (), head, Clock(0, WALL_MS))
    assert (replica.executed_height, replica.stable_height) == (FAR, FAR)
