"""Members change by epochs: rules 2, 42 and 44 in the replica, F82 to F84 and F86.

The minimal preset's window is 4, so a change that block 1 decides is active from height 6. The
replica under test is member 1 of four (or five) unless a test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import effects as fx
from consensus.config import OBSERVER, minimal
from consensus.epochs import EpochView, PreviousEpoch
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    FetchFailed,
    MessageReceived,
    PeerConnected,
    Timer,
)
from consensus.log import AcceptedRecord, ViewChangeRecord
from consensus.messages import (
    Checkpoint,
    Commit,
    Prepare,
    PrePrepare,
    StableCertificate,
    Status,
    ViewChange,
)
from consensus.verification import check_message, signature_items
from ledger.errors import Code, LocalError, Refused
from tests.consensus.harness import (
    CHAIN_ID,
    WALL_MS,
    Bench,
    Maker,
    block_hash_of,
    make_config,
    of_kind,
    reasons,
    said,
)
from tests.consensus.test_checkpoint import status
from tests.simulator.keys import FastKeyring

FOUR, FIVE = (FastKeyring(size).public_keys for size in (4, 5))
ACTIVE = 6  # decided by block 1, window 4
LAST = ACTIVE - 1


def pending(old=FOUR, new=FIVE) -> EpochView:
    """Return what the blocks say from the decision on."""
    return EpochView(0, old, (ACTIVE, new))


def changing(index: int = 1, old=FOUR, new=FIVE, **more) -> Bench:
    """Return a bench whose block 1 decides a change, and whose block 5 ends the epoch."""
    bench = Bench(len(old), index, **more)
    bench.views = dict.fromkeys(range(1, LAST), pending(old, new)) | {LAST: EpochView(1, new)}
    return bench


def commit_up_to(bench: Bench, height: int, *, certified: bool = True) -> None:
    """Let the others agree on empty batches up to a height, each certified at once."""
    for number in range(bench.replica.executed_height + 1, height + 1):
        bench.commit_height(bench.make.batch(number))
        if certified:
            bench.certify_height(number)


def drained(index: int = 1, **more) -> Bench:
    """Return a bench that has executed the last block of its epoch, not certified yet."""
    bench = changing(index, **more)
    commit_up_to(bench, LAST - 1)
    commit_up_to(bench, LAST, certified=False)
    return bench


def first_of_next(index: int = 1, old=FOUR, new=FIVE, records=()) -> Bench:
    """Return a bench of epoch 1, as the shell makes it where epoch 0 has ended."""
    block_hash = block_hash_of(LAST, b"")
    certificate = Maker(len(old)).certificate(LAST, block_hash, range(3 if len(old) == 4 else 4))
    head = ChainHead(LAST, block_hash, WALL_MS, certificate, (), EpochView(1, new))
    config = minimal(CHAIN_ID, 1, new, index, PreviousEpoch(old, LAST))
    return Bench(len(new), index, records, head, config)


# The old epoch: nothing at or above the activation height (rule 2)


def test_f82_heights_from_the_activation_on_are_not_accepted():  # rules 2 and 6
    bench = changing()
    commit_up_to(bench, 2)
    assert bench.replica.stable_height == 2  # without the change H would be 6
    last, next_epochs = bench.make.batch(LAST), bench.make.batch(ACTIVE)
    assert len(said(bench.receive(bench.make.pre_prepare(0, last)), Prepare)) == 1
    effects = bench.receive(
        bench.make.pre_prepare(0, next_epochs), bench.make.prepare(0, next_epochs, 2)
    )
    assert reasons(effects) == ["height is above the high water mark"] * 2
    assert said(effects, Prepare) == []


def test_f82_what_was_accepted_in_ignorance_comes_to_nothing():  # rule 2
    bench = changing()
    certificate = bench.make.certificate(2, block_hash_of(2, b"theirs"), (0, 2, 3))
    early = bench.make.batch(ACTIVE)
    # Behind the others: height 2 is stable, block 1 is not executed here, so H is 6.
    bench.receive(StableCertificate(0, certificate), sender=0)
    assert len(said(bench.receive(bench.make.pre_prepare(0, early)), Prepare)) == 1
    head = EpochView(0, FOUR, (ACTIVE, FIVE))
    hashes = block_hash_of(1, b"theirs"), block_hash_of(2, b"theirs")
    bench.handle(BlockInstalled(1, hashes[0], b"\x01" * 32, 0, (), None, head))
    effects = bench.receive(*(bench.make.prepare(0, early, by) for by in (2, 3)))
    assert said(effects, Commit) == []
    assert set(reasons(effects)) == {"height is above the high water mark"}


def test_f82_primary_leads_an_idle_network_to_the_end_by_empty_batches():
    bench = changing(index=0)
    bench.add_bodies(1)
    first = said(bench.effects, PrePrepare)[0].batch
    bench.receive(
        *(bench.make.prepare(0, first, by) for by in (1, 2)),
        *(bench.make.commit(0, first, by) for by in (1, 2)),
    )
    proposed = [message.batch for message in said(bench.effects, PrePrepare)[1:]]
    assert [(batch.height, batch.transactions) for batch in proposed] == [(2, ()), (3, ())]
    for batch in proposed:
        bench.receive(
            *(bench.make.prepare(0, batch, by) for by in (1, 2)),
            *(bench.make.commit(0, batch, by) for by in (1, 2)),
        )
        bench.certify_height(batch.height)
    heights = [message.height for message in said(bench.effects, PrePrepare)]
    assert heights == [1, 2, 3, 4, LAST]  # and never the next epoch's


def test_f82_primary_that_lets_the_end_wait_is_replaced():  # rule 22
    bench = changing()
    commit_up_to(bench, 2)
    timers = bench.config.timers
    settings = [item for item in of_kind(bench.effects, fx.SetTimer) if item.timer is Timer.IDLE]
    assert settings[-1].after_ns == timers.status_ns  # and not the idle period
    bench.wait(1500)
    bench.fire(Timer.IDLE)
    assert bench.replica.is_normal
    bench.wait(500)
    assert said(bench.fire(Timer.IDLE), ViewChange)[0].view == 1


def test_f82_change_that_is_active_too_soon_is_a_fault_of_the_ledger():  # rule 2
    bench = Bench()
    bench.views = {1: EpochView(0, FOUR, (LAST, FIVE))}
    with pytest.raises(LocalError, match="active from 5, want more than 5") as raised:
        bench.commit_height(bench.make.batch(1))
    assert raised.value.code is Code.CONSENSUS_MISUSE


def test_f82_block_that_skips_an_epoch_is_a_fault_of_the_ledger():
    bench = Bench()
    bench.views = {1: EpochView(2, FIVE)}
    with pytest.raises(LocalError, match="leads to epoch 2, not 0"):
        bench.commit_height(bench.make.batch(1))


# The switch


def test_f82_epoch_ends_when_its_last_block_is_executed_and_stable():
    bench = drained()
    assert of_kind(bench.effects, fx.EnterEpoch) == []
    bench.certify_height(LAST)
    assert bench.replica.is_over
    entered = bench.effects[-1]
    assert isinstance(entered, fx.EnterEpoch)
    assert (entered.epoch, entered.members) == (1, FIVE)
    assert (entered.certificate.epoch, entered.certificate.height) == (0, LAST)
    stored = of_kind(bench.effects, fx.StoreCertificate)[-1]
    assert stored.certificate == entered.certificate  # performed before
    assert said(bench.effects, Checkpoint)[-1].height == LAST  # the others need it too
    assert bench.receive(bench.make.view_change(1, 2), sender=2) == []


def test_f82_epoch_does_not_end_before_its_last_block_is_executed():  # rule 42
    bench = changing()
    commit_up_to(bench, LAST - 1)
    batch = bench.make.batch(LAST)
    bench.is_executing_by_itself = False
    bench.commit_height(batch)
    block_hash = block_hash_of(LAST, bench.make.digest(batch))
    bench.receive(*(bench.make.checkpoint(LAST, block_hash, by) for by in (0, 2, 3)))
    assert bench.replica.stable_height == LAST
    assert not bench.replica.is_over
    bench.handle(BatchExecuted(LAST, block_hash, WALL_MS, (), EpochView(1, FIVE)))
    assert bench.replica.is_over


def test_f82_epoch_ends_in_the_middle_of_a_view_change():
    bench = drained()
    bench.receive(*(bench.make.view_change(3, by) for by in (2, 3)))
    assert not bench.replica.is_normal
    bench.certify_height(LAST)
    assert isinstance(bench.effects[-1], fx.EnterEpoch)


def test_f82_last_block_that_does_not_become_stable_changes_the_view():
    bench = drained()
    bench.wait(2000)
    assert said(bench.fire(Timer.IDLE), ViewChange)[0].view == 1


def test_f82_member_left_behind_follows_by_the_certificate_of_the_last_block():  # rule 2
    bench = changing(index=3)
    hashes = [block_hash_of(height, b"theirs") for height in range(1, LAST + 1)]
    certificate = bench.make.certificate(LAST, hashes[-1], (0, 1, 2))
    fetch = of_kind(bench.receive(StableCertificate(0, certificate), sender=2), fx.FetchBlocks)
    assert [(item.from_height, item.certificate.height) for item in fetch] == [(1, LAST)]
    for height in range(1, LAST + 1):
        own = certificate if height == LAST else None
        view = bench.views[height]
        bench.handle(BlockInstalled(height, hashes[height - 1], b"\x01" * 32, 0, (), own, view))
    assert bench.effects[-1] == fx.EnterEpoch(1, FIVE, certificate)


def test_f86_crash_between_decision_and_switch_changes_nothing():  # all or nothing
    for height in range(1, LAST + 1):
        bench = changing()
        commit_up_to(bench, height - 1)
        commit_up_to(bench, height, certified=False)
        stored = of_kind(bench.effects, fx.StoreCertificate)
        certificate = stored[-1].certificate if stored else None
        last = bench.blocks[-1]
        view = bench.views[height]
        head = ChainHead(height, last.block_hash, WALL_MS, certificate, (last,), view)
        again = Bench(4, 1, bench.records, head)
        again.views, again.blocks = bench.views, list(bench.blocks)
        asked = again.receive(status(stable=height - 1), sender=2)
        assert [vote.height for vote in said(asked, Checkpoint)] == [height]
        again.certify_height(height)
        commit_up_to(again, LAST)
        assert isinstance(again.effects[-1], fx.EnterEpoch)
        assert again.effects[-1].members == FIVE


def test_f86_restart_with_the_last_block_certified_ends_the_epoch_at_once():
    bench = drained()
    bench.certify_height(LAST)
    certificate = bench.effects[-1].certificate
    head = ChainHead(
        LAST, bench.blocks[-1].block_hash, WALL_MS, certificate, (), EpochView(1, FIVE)
    )
    assert isinstance(Bench(4, 1, bench.records, head).effects[-1], fx.EnterEpoch)


# The new epoch


def test_f82_new_epoch_begins_at_view_0_whatever_the_records_of_the_old_say():  # rule 44
    old = Bench(4, 1)
    old.receive(*(old.make.view_change(7, by) for by in (2, 3)))
    assert any(isinstance(record, ViewChangeRecord) for record in old.records)
    bench = first_of_next(records=old.records)
    assert (bench.replica.view, bench.replica.is_normal) == (0, True)
    assert said(bench.effects, ViewChange) == []
    assert [item.epoch for item in said(bench.effects, Status)] == [1]
    proposal = bench.make.pre_prepare(0, bench.make.batch(ACTIVE))
    votes = said(bench.receive(proposal), Prepare)
    assert [(vote.epoch, vote.view, vote.height) for vote in votes] == [(1, 0, ACTIVE)]


def test_records_of_a_later_epoch_show_that_the_chain_was_set_back():  # rule 44
    later = first_of_next()
    later.receive(later.make.pre_prepare(0, later.make.batch(ACTIVE)))
    assert isinstance(later.records[0], AcceptedRecord)
    with pytest.raises(LocalError, match="record is of epoch 1, want at most 0"):
        Bench(4, 1, later.records)


def test_f82_view_change_of_the_new_epoch_shows_the_certificate_of_the_old():  # rule 24
    bench = first_of_next()
    effects = bench.receive(*(bench.make.view_change(1, by) for by in (2, 3)))
    change = said(effects, ViewChange)[0]
    assert change.certificate is not None
    assert (change.epoch, change.stable_height, change.certificate.epoch) == (1, LAST, 0)
    items = signature_items(change, bench.config)
    assert len(items) == 1 + 3
    assert all(FastKeyring(5).is_valid(item) for item in items)
    assert {key for key, _, _ in items[1:]} == set(FOUR[:3])  # the old epoch's keys


@pytest.mark.parametrize(
    ("reason", "height", "epoch", "signers"),
    [
        ("not of this epoch", LAST - 1, 0, (0, 1, 2)),
        ("is of another epoch", LAST, 1, (0, 1, 2)),
        ("has 4 votes, want 3", LAST, 0, (0, 1, 2, 3)),
        ("signer is no member", LAST, 0, (0, 1, 4)),
        ("not of this epoch", ACTIVE, 0, (0, 1, 2, 3)),
    ],
)
def test_view_change_with_another_certificate_of_the_old_epoch_is_refused(
    reason, height, epoch, signers
):  # rules 2 and 25
    bench = first_of_next()
    certificate = Maker(5, epoch).certificate(height, b"\x05" * 32, signers)
    change = bench.make.view_change(1, 2, certificate=certificate)
    with pytest.raises(Refused, match=reason):
        check_message(change, bench.config)


def test_view_change_that_hides_where_its_epoch_began_is_refused():  # rule 25
    bench = first_of_next()
    with pytest.raises(Refused, match="without the certificate of the last block"):
        check_message(bench.make.view_change(1, 2), bench.config)


def test_f82_new_view_of_the_new_epoch_begins_above_the_old():  # rule 30
    bench = first_of_next()
    certificate = Maker(4).certificate(LAST, block_hash_of(LAST, b""), (0, 1, 2))
    changes = [bench.make.view_change(2, by, certificate=certificate) for by in (0, 2, 3, 4)]
    effects = bench.receive(*changes, bench.make.new_view(2, changes))
    assert [item.view for item in of_kind(effects, fx.ReportNewView)] == [2]
    votes = said(bench.receive(bench.make.pre_prepare(2, bench.make.batch(ACTIVE))), Prepare)
    assert [(vote.epoch, vote.view, vote.height) for vote in votes] == [(1, 2, ACTIVE)]


# Messages across epochs


def test_message_of_an_earlier_epoch_is_answered_with_the_way_out():  # rule 2
    bench = first_of_next()
    old = Maker(4)
    effects = bench.receive(old.view_change(1, 2), old.prepare(0, old.batch(ACTIVE), 2))
    assert reasons(effects) == ["message of another epoch"] * 2
    assert of_kind(effects, fx.ShowEpochs) == [fx.ShowEpochs(2, 0)]  # once in a while
    bench.wait(500)
    assert len(of_kind(bench.receive(status(), sender=2), fx.ShowEpochs)) == 1


def test_message_of_a_later_epoch_is_answered_with_a_status():  # rule 2
    bench = Bench()
    later = Maker(4, 3)
    effects = bench.receive(later.prepare(0, later.batch(ACTIVE), 2), sender=2)
    assert reasons(effects) == ["message of another epoch"]
    answers = [item for item in of_kind(effects, fx.Send) if isinstance(item.message, Status)]
    assert [(item.to, item.message.epoch) for item in answers] == [(2, 0)]


def test_signer_of_a_larger_epoch_is_not_charged_with_it():  # rules 2 and 48
    later = Maker(5, 1)
    vote = later.prepare(0, later.batch(ACTIVE), 4)
    assert signature_items(vote, make_config(4, 1)) == []


def test_f83_votes_of_a_removed_member_never_count():
    bench = first_of_next(old=FIVE, new=FOUR)
    batch = bench.make.batch(ACTIVE)
    bench.receive(bench.make.pre_prepare(0, batch), bench.make.prepare(0, batch, 2))
    prepared = said(bench.effects, Commit)
    assert len(prepared) == 1  # Q = 3 of four: two backups and the primary
    removed = Maker(5, 1)
    for vote in (removed.commit(0, batch, 4), removed.view_change(1, 4)):
        with pytest.raises(Refused, match="signer 4 of 4 members"):
            check_message(vote, bench.config)
    as_before = Maker(5).commit(0, batch, 4)
    effects = bench.receive(as_before, bench.make.commit(0, batch, 2))
    assert of_kind(effects, fx.Execute) == []  # two of three
    assert len(of_kind(bench.receive(bench.make.commit(0, batch, 0)), fx.Execute)) == 1


def test_f83_signature_under_an_old_key_does_not_serve_in_the_new_epoch():  # rules 5 and 47
    rotated = (*FOUR[:2], FIVE[4], FOUR[3])
    config = minimal(CHAIN_ID, 1, rotated, 1, PreviousEpoch(FOUR, LAST))
    vote = Maker(4, 1).prepare(0, Maker(4, 1).batch(ACTIVE), 2)  # member 2 by its old key
    key, signature, signed = signature_items(vote, config)[0]
    assert key == FIVE[4]
    assert not FastKeyring(5).is_valid((key, signature, signed))


def test_f84_no_epoch_of_three():
    with pytest.raises(LocalError, match="3 members, want 4") as refused:
        minimal(CHAIN_ID, 1, FOUR[:3], 0, PreviousEpoch(FOUR, LAST))
    assert refused.value.code is Code.CONFIG_INVALID


def test_f84_removed_primary_leads_to_the_end_and_the_next_member_goes_on():
    bench = changing(index=1, old=FIVE, new=FIVE[1:])
    commit_up_to(bench, LAST)
    entered = bench.effects[-1]
    assert entered.members == FIVE[1:]
    config = minimal(CHAIN_ID, 1, entered.members, 0, PreviousEpoch(FIVE, LAST))
    assert config.primary(0) == 0  # member 1 of the old epoch


@pytest.mark.parametrize("index", [-2, 4, 5])
def test_own_place_is_a_members_or_an_observers(index):
    with pytest.raises(LocalError, match=f"own index {index} of 4 members"):
        replace(make_config(4, OBSERVER), index=index)


def test_certificate_of_the_old_epoch_is_not_shown_as_one_of_the_new():  # rule 2
    bench = first_of_next()
    batch = bench.make.batch(ACTIVE)
    bench.commit_height(batch)
    block_hash = block_hash_of(ACTIVE, bench.make.digest(batch))
    bench.receive(*(bench.make.checkpoint(ACTIVE, block_hash, by) for by in (0, 2, 3)))
    assert bench.replica.stable_height == ACTIVE
    asked = replace(status(stable=ACTIVE, uncertified=(LAST,)), epoch=1)
    effects = bench.receive(asked, sender=2)
    assert said(effects, StableCertificate) == []


# Observers, as a validator sees them: peers from n upward


def test_observer_gets_certificates_and_no_votes():
    bench = Bench()
    commit_up_to(bench, 2)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(3)))
    effects = bench.receive(status(), sender=4)
    sent = [item for item in of_kind(effects, fx.Send) if item.to == 4]
    assert [type(item.message) for item in sent] == [StableCertificate]
    assert sent[0].message.certificate.height == 2


def test_observer_is_not_counted_whatever_it_says():
    bench = Bench()
    batch = bench.make.batch(1)
    said_by_observer = (
        bench.make.pre_prepare(0, batch),
        bench.make.prepare(0, batch, 2),
        bench.make.view_change(1, 2),
    )
    effects = bench.receive(*said_by_observer, sender=4)
    assert set(reasons(effects)) == {"an observer has nothing to say but a status"}
    assert said(effects, Prepare) == []


def test_new_stable_height_is_shown_to_observers_by_weak_quorum_in_turn():
    shown = {}
    for index in (1, 2, 3):
        bench = Bench(4, index)
        bench.handle(PeerConnected(4))
        for height in (1, 2, 3):
            bench.wait(200)
            first = len(bench.effects)
            bench.commit_height(bench.make.batch(height))
            bench.certify_height(height)
            sent = [item for item in of_kind(bench.effects[first:], fx.Send) if item.to == 4]
            if sent:
                shown.setdefault(height, []).append(index)
    assert shown == {1: [3], 2: [2, 3], 3: [1, 2]}  # member 0's turns are not asked for


def test_stable_heights_are_not_shown_more_often_than_an_observer_could_ask():
    bench = Bench(4, 2)
    bench.handle(PeerConnected(4))
    commit_up_to(bench, 3)  # at one moment
    assert [item for item in of_kind(bench.effects, fx.Send) if item.to == 4] == []
    bench.wait(200)
    commit_up_to(bench, 4)
    assert bench.replica.stable_height == 4


def test_failed_fetch_of_an_ended_epoch_is_passed_over():
    bench = drained()
    bench.certify_height(LAST)
    assert bench.handle(FetchFailed(LAST)) == []
    assert bench.handle(MessageReceived(2, status())) == []
