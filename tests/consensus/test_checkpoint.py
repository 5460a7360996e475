"""Checkpoints, certificates, catch-up and STATUS (rules 18 to 21, 28, 41, 42)."""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.epochs import EpochView
from consensus.events import BlockInstalled, FetchFailed, PeerConnected, Timer
from consensus.messages import (
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SlotStatus,
    StableCertificate,
    Status,
    ViewChange,
)
from ledger.chain.certificate import fault_bound, quorum, weak_quorum
from tests.consensus.harness import (
    Bench,
    block_hash_of,
    of_kind,
    reasons,
    said,
)

HASH = b"\x31" * 32


def status(view: int = 0, stable: int = 0, *, is_normal: bool = True, slots=(), **more) -> Status:
    """Return what a peer says that holds nothing else."""
    fields = {"checkpoints": (), "view_changes": b"", "uncertified": ()} | more
    return Status(0, view, is_normal, stable, stable, slots, **fields)


@pytest.mark.parametrize("size", range(4, 200))
def test_quorums_intersect_in_an_honest_member(size):  # rule 1
    f, q = fault_bound(size), quorum(size)
    assert q <= size - f
    assert 2 * q - size >= f + 1
    assert weak_quorum(size) == f + 1
    assert q == -(-(size + f + 1) // 2)


@pytest.mark.parametrize(("size", "needed"), [(4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6)])
def test_certificate_holds_exactly_q_votes(size, needed):  # rules 1 and 18, F37, F88
    bench = Bench(size=size)
    bench.commit_height(bench.make.batch(1))
    block_hash = bench.blocks[0].block_hash
    others = [member for member in range(size) if member != 1]
    for by in others[: needed - 2]:
        bench.receive(bench.make.checkpoint(1, block_hash, by))
    assert bench.replica.stable_height == 0
    effects = bench.receive(*(bench.make.checkpoint(1, block_hash, by) for by in others))
    stored = of_kind(effects, fx.StoreCertificate)
    assert len(stored) == 1
    signers = [signer for signer, _ in stored[0].certificate.votes]
    assert signers == sorted(signers)
    assert len(signers) == needed


def test_certificate_is_stored_before_votes_are_pruned():  # rule 20
    bench = Bench()
    bench.add_bodies(1)
    bench.commit_height(bench.make.batch(1, 1))
    first = len(bench.effects)
    bench.certify_height(1)
    kinds = [type(item) for item in bench.effects[first:] if not isinstance(item, fx.ReportDrop)]
    assert kinds == [fx.StoreCertificate, fx.ForgetRequests, fx.PruneVotes]


def test_nothing_is_pruned_above_what_is_executed():  # rule 20
    bench = Bench(index=3)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1)))
    effects = bench.receive(*(bench.make.checkpoint(2, HASH, by) for by in (0, 1, 2)))
    assert bench.replica.stable_height == 2
    assert of_kind(effects, fx.PruneVotes) == []
    assert of_kind(effects, fx.StoreCertificate) == []


def test_f_wrong_checkpoints_are_ignored():  # F27
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    right = bench.blocks[0].block_hash
    votes = [bench.make.checkpoint(1, b"\x66" * 32, 0)]
    votes += [bench.make.checkpoint(1, right, by) for by in (1, 2)]
    bench.receive(*votes)
    assert bench.replica.stable_height == 1
    assert not bench.replica.is_halted


def test_differing_checkpoints_that_leave_no_quorum_halt():  # rule 21
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    effects = bench.receive(
        bench.make.checkpoint(1, b"\x66" * 32, 0), bench.make.checkpoint(1, b"\x67" * 32, 1)
    )
    assert of_kind(effects, fx.Halt)


def test_contradicting_checkpoints_of_one_member_are_evidence():  # rule 50
    bench = Bench(index=3)
    first, second = bench.make.checkpoint(1, HASH, 0), bench.make.checkpoint(1, b"\x32" * 32, 0)
    effects = bench.receive(first, second)
    assert of_kind(effects, fx.ReportEvidence) == [fx.ReportEvidence(fx.Evidence(0, first, second))]


def test_replica_that_is_behind_votes_no_checkpoint():  # rule 42
    bench = Bench(index=3)
    effects = bench.receive(*(bench.make.checkpoint(1, HASH, by) for by in (0, 1, 2)))
    assert said(effects, Checkpoint) == []


def test_far_behind_fetches_at_once_from_the_signers():  # rules 28 and 41, F25
    bench = Bench(index=3)
    certificate = bench.make.certificate(9, HASH, (0, 1, 2))
    effects = bench.receive(StableCertificate(0, certificate), sender=2)
    assert of_kind(effects, fx.FetchBlocks) == [fx.FetchBlocks(1, certificate, (0, 1, 2))]


def test_slightly_behind_waits_for_the_own_log_first():  # rule 28
    bench = Bench(index=3)
    certificate = bench.make.certificate(2, HASH, (0, 1, 2))
    effects = bench.receive(StableCertificate(0, certificate), sender=2)
    assert of_kind(effects, fx.FetchBlocks) == []
    effects = bench.fire(Timer.CATCH_UP)
    assert of_kind(effects, fx.FetchBlocks) == [fx.FetchBlocks(1, certificate, (0, 1, 2))]


def test_fetch_that_stalls_is_asked_of_another_source():  # rule 41, F26
    bench = Bench(index=3)
    certificate = bench.make.certificate(9, HASH, (0, 1, 2))
    bench.receive(StableCertificate(0, certificate), sender=2)
    again = of_kind(bench.fire(Timer.CATCH_UP), fx.FetchBlocks)
    assert [fetch.sources for fetch in again] == [(1, 2, 0)]
    # All sources were asked in vain: asking at once again would never end.
    assert of_kind(bench.handle(FetchFailed(9)), fx.FetchBlocks) == []
    again = of_kind(bench.fire(Timer.CATCH_UP), fx.FetchBlocks)
    assert [fetch.sources for fetch in again] == [(2, 0, 1)]


def test_installed_blocks_bring_the_replica_up():  # rules 20 and 41
    bench = Bench(index=3)
    digest = bench.make.digest(bench.make.batch(1))
    hashes = [block_hash_of(height, digest) for height in range(1, 10)]
    certificate = bench.make.certificate(9, hashes[8], (0, 1, 2))
    bench.receive(StableCertificate(0, certificate), sender=2)
    epochs = EpochView(0, bench.config.members)
    for height in range(1, 10):
        own = certificate if height == 9 else None
        event = BlockInstalled(height, hashes[height - 1], digest, 0, (), own, epochs)
        effects = bench.handle(event)
    assert of_kind(effects, fx.StoreCertificate) == [fx.StoreCertificate(certificate)]
    assert bench.replica.executed_height == bench.replica.stable_height == 9
    prepares = said(bench.receive(bench.make.pre_prepare(0, bench.make.batch(10))), Prepare)
    assert [vote.height for vote in prepares] == [10]


def test_own_block_that_differs_from_the_certified_one_halts():  # rule 21
    bench = Bench(index=3)
    bench.commit_height(bench.make.batch(1))
    certificate = bench.make.certificate(1, HASH, (0, 1, 2))
    effects = bench.receive(StableCertificate(0, certificate), sender=2)
    assert of_kind(effects, fx.Halt)


def test_block_that_differs_from_the_certified_one_is_never_voted_for():  # rule 21
    bench = Bench(index=3)
    bench.is_executing_by_itself = False
    bench.commit_height(bench.make.batch(1))
    bench.receive(*(bench.make.checkpoint(1, HASH, by) for by in (0, 1, 2)))
    bench.execute(of_kind(bench.effects, fx.Execute)[0])
    assert of_kind(bench.effects, fx.Halt)
    assert said(bench.effects, Checkpoint) == []


def test_nothing_is_executed_while_blocks_are_fetched():  # one source of blocks at a time
    bench = Bench(index=3)
    bench.receive(StableCertificate(0, bench.make.certificate(9, HASH, (0, 1, 2))), sender=2)
    bench.effects.clear()
    assert of_kind(bench.receive(bench.make.commit(0, bench.make.batch(1), 0)), fx.Execute) == []


def test_status_is_sent_every_period_and_on_connection():  # rule 28
    bench = Bench()
    assert len(said(bench.fire(Timer.STATUS), Status)) == 1
    effects = bench.handle(PeerConnected(2))
    assert [effect.to for effect in of_kind(effects, fx.Send)] == [2]


def test_status_is_answered_with_the_own_missing_votes():  # rule 28
    bench = Bench()
    batch = bench.make.batch(1)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 2))
    votes = [bench.make.prepare(0, batch, 1), bench.make.commit(0, batch, 1)]
    effects = bench.receive(status(), sender=3)
    assert said(effects, Prepare | Commit) == votes
    bench.wait(1000)
    known = (SlotStatus(1, True, b"\x02", b"\x00"),)
    effects = bench.receive(status(slots=known), sender=3)
    assert said(effects, Prepare | Commit) == votes[1:]


def test_primary_sends_its_pre_prepare_again():  # rule 28, F6
    bench = Bench(index=0)
    bench.add_bodies(1)
    sent = said(bench.effects, PrePrepare)
    assert said(bench.receive(status(), sender=3), PrePrepare) == sent
    bench.wait(1000)
    known = (SlotStatus(1, True, b"", b""),)
    assert said(bench.receive(status(slots=known), sender=3), PrePrepare) == []


def test_checkpoints_are_sent_again_until_stable():  # rule 28
    bench = Bench()
    bench.commit_height(bench.make.batch(1))
    own = bench.make.checkpoint(1, bench.blocks[0].block_hash, 1)
    assert said(bench.receive(status(), sender=3), Checkpoint) == [own]
    bench.wait(1000)
    effects = bench.receive(status(checkpoints=((1, b"\x02"),)), sender=3)
    assert said(effects, Checkpoint) == []


def test_peer_behind_is_shown_the_certificate():  # rule 28
    bench = Bench()
    bench.commit_height(bench.make.batch(1))
    bench.certify_height(1)
    shown = said(bench.receive(status(), sender=3), StableCertificate)
    assert [message.certificate.height for message in shown] == [1]


def test_peer_in_an_old_view_is_shown_the_new_view():  # rule 28, F20
    bench = Bench(index=1)
    bench.receive(bench.make.view_change(1, 0), bench.make.view_change(1, 2))
    opened = said(bench.effects, NewView)
    assert said(bench.receive(status(view=0), sender=3), NewView) == opened
    bench.wait(1000)
    assert said(bench.receive(status(view=1, is_normal=False), sender=3), NewView) == opened


def test_view_change_is_sent_again_until_superseded():  # rule 28
    bench = Bench(index=3)
    bench.wait(11_000)
    bench.fire(Timer.IDLE)
    own = said(bench.effects, ViewChange)
    assert said(bench.receive(status(view=0), sender=2), ViewChange) == own
    bench.wait(1000)
    asked = status(view=1, is_normal=False, view_changes=b"\x08")
    assert said(bench.receive(asked, sender=2), ViewChange) == []
    bench.wait(1000)
    asked = status(view=1, is_normal=False, view_changes=b"\x04")
    assert said(bench.receive(asked, sender=2), ViewChange) == own


def test_status_that_comes_too_often_is_not_answered():  # F69
    bench = Bench()
    bench.receive(status(), sender=3)
    assert reasons(bench.receive(status(), sender=3)) == ["status was answered a moment ago"]
