"""An observer follows by certificates and never votes (rules 2, 41, 46)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import effects as fx
from consensus.config import OBSERVER, minimal
from consensus.effects import Effect
from consensus.epochs import EpochView, PreviousEpoch
from consensus.events import (
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    FetchFailed,
    MessageReceived,
    PeerConnected,
    Request,
    RequestReceived,
    RequestRefused,
    Timer,
    TimerExpired,
)
from consensus.messages import EpochChanges, StableCertificate, Status
from consensus.observer import FAR_WINDOWS, Observer
from consensus.verification import signature_items
from consensus.wire import decode_message, encode_message
from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange
from ledger.chain.hashes import ZERO_HASH
from ledger.errors import Code, LocalError, Refused
from ledger.keys import is_valid
from tests.chain.epoch_chain import CHAIN_ID as EPOCH_CHAIN_ID
from tests.chain.epoch_chain import change_of, validators
from tests.consensus.harness import (
    CHAIN_ID,
    EXPIRES_MS,
    WALL_MS,
    Bench,
    Maker,
    block_hash_of,
    of_kind,
    reasons,
    tx,
)
from tests.consensus.test_epochs import ACTIVE, FIVE, FOUR, LAST, pending

MAKE = Maker(4)
A, B, C = (tuple(f"{name}{number}" for number in range(4)) for name in "ABC")


class Watcher:
    """The observer under test, its effects, and its clock."""

    def __init__(self, config=None, head=None) -> None:
        self.config = config or minimal(CHAIN_ID, 0, FOUR, OBSERVER)
        self.clock = Clock(0, WALL_MS)
        start = head or ChainHead(0, ZERO_HASH, WALL_MS, None, (), EpochView(0, FOUR))
        self.observer, effects = Observer.start(self.config, start, self.clock)
        self.effects: list[Effect] = list(effects)

    def handle(self, event: Event) -> list[Effect]:
        """Deliver an event and return its effects."""
        effects = self.observer.handle(event, self.clock)
        self.effects += effects
        return effects

    def receive(self, message, sender: int = 0) -> list[Effect]:
        """Deliver a message."""
        return self.handle(MessageReceived(sender, message))

    def install(self, first: int, last: int, views=None, certificate=None) -> list[Effect]:
        """Deliver blocks; the last may bring its certificate. Return the last one's effects."""
        effects: list[Effect] = []
        for height in range(first, last + 1):
            view = (views or {}).get(height, EpochView(self.config.epoch, self.config.members))
            own = certificate if height == last else None
            block_hash = block_hash_of(height, b"")
            effects = self.handle(
                BlockInstalled(height, block_hash, b"\x01" * 32, 0, (), own, view)
            )
        return effects


def certificate_of(height: int, make: Maker = MAKE) -> Certificate:
    """Return the certificate of a block that `Watcher.install` installs."""
    return make.certificate(height, block_hash_of(height, b""), range(make.config.quorum))


def test_observer_asks_weak_quorum_by_turns():
    watcher = Watcher()
    asked = [[item.to for item in of_kind(watcher.effects, fx.Send)]]
    for _ in range(2):
        effects = watcher.handle(TimerExpired(Timer.STATUS))
        asked.append([item.to for item in of_kind(effects, fx.Send)])
        assert of_kind(effects, fx.SetTimer)[0].timer is Timer.STATUS
    assert asked == [[0, 1], [2, 3], [0, 1]]


def test_observer_fetches_up_to_the_certificate_it_is_shown():  # rule 41
    watcher = Watcher()
    certificate = certificate_of(9)
    fetch = of_kind(watcher.receive(StableCertificate(0, certificate)), fx.FetchBlocks)
    assert fetch == [fx.FetchBlocks(1, certificate, (0, 1, 2))]
    effects = watcher.install(1, 9, certificate=certificate)
    assert fx.StoreCertificate(certificate) in effects
    assert of_kind(watcher.effects, fx.PruneVotes) == []  # it has none
    assert (watcher.observer.executed_height, watcher.observer.stable_height) == (9, 9)


def test_observer_that_is_a_little_behind_fetches_after_a_moment():
    watcher = Watcher()
    assert of_kind(watcher.receive(StableCertificate(0, certificate_of(1))), fx.FetchBlocks) == []
    fetch = of_kind(watcher.handle(TimerExpired(Timer.CATCH_UP)), fx.FetchBlocks)
    assert [item.certificate.height for item in fetch] == [1]
    watcher.handle(FetchFailed(1))
    assert of_kind(watcher.handle(TimerExpired(Timer.CATCH_UP)), fx.FetchBlocks)


def test_observer_says_nothing_but_status():  # rule 46: it never signs, never votes
    watcher = Watcher()
    batch = MAKE.batch(1)
    for message in (
        MAKE.pre_prepare(0, batch),
        MAKE.prepare(0, batch, 2),
        MAKE.commit(0, batch, 2),
        MAKE.checkpoint(1, block_hash_of(1, b""), 2),
        *(MAKE.view_change(1, by) for by in (0, 1, 2)),
    ):
        assert reasons(watcher.receive(message)) == ["an observer has no use for votes"]
    watcher.install(1, 1)
    watcher.handle(PeerConnected(2))
    spoken = [item for item in watcher.effects if isinstance(item, fx.Send | fx.Broadcast)]
    assert {type(item.message) for item in spoken} == {Status}
    assert of_kind(watcher.effects, fx.Persist) == []


def test_observer_keeps_no_requests():
    watcher = Watcher()
    request = Request(tx(1), 100, EXPIRES_MS, 2)
    effects = watcher.handle(RequestReceived(request, is_local=True))
    assert effects == [fx.ForgetRequests((tx(1),))]
    assert watcher.handle(RequestRefused(tx(2))) == []


def test_observer_greets_validators_only():
    watcher = Watcher()
    assert [item.to for item in of_kind(watcher.handle(PeerConnected(3)), fx.Send)] == [3]
    assert watcher.handle(PeerConnected(4)) == []


def test_observer_whose_block_differs_from_the_certified_one_halts():  # rule 21
    watcher = Watcher()
    watcher.install(1, 1)
    effects = watcher.receive(StableCertificate(0, MAKE.certificate(1, b"\x09" * 32, (0, 1, 2))))
    assert [item.code for item in of_kind(effects, fx.Halt)] == [Code.CONSENSUS_DIVERGED]
    assert watcher.observer.is_halted
    assert watcher.handle(TimerExpired(Timer.STATUS)) == []


def test_blocks_come_one_by_one():
    watcher = Watcher()
    watcher.install(1, 2)
    assert watcher.install(2, 2) == []
    with pytest.raises(LocalError, match="block 4 was installed, want block 3"):
        watcher.install(4, 4)


# From epoch to epoch


def test_f82_observer_goes_on_to_the_next_epoch_with_its_last_block():  # rule 2
    watcher = Watcher()
    views = dict.fromkeys(range(1, LAST), pending()) | {LAST: EpochView(1, FIVE)}
    certificate = certificate_of(LAST)
    watcher.receive(StableCertificate(0, certificate))
    effects = watcher.install(1, LAST, views, certificate)
    assert effects[-1] == fx.EnterEpoch(1, FIVE, certificate)
    assert watcher.observer.is_over
    assert watcher.handle(TimerExpired(Timer.STATUS)) == []


def test_observer_asks_on_until_the_last_block_is_certified():
    watcher = Watcher()
    views = dict.fromkeys(range(1, LAST), pending()) | {LAST: EpochView(1, FIVE)}
    watcher.install(1, LAST, views)
    assert not watcher.observer.is_over
    effects = watcher.receive(StableCertificate(0, certificate_of(LAST)))
    assert isinstance(effects[-1], fx.EnterEpoch)


def test_message_of_a_later_epoch_makes_the_observer_ask_its_sender():
    watcher = Watcher()
    later = Maker(4, 1)
    effects = watcher.receive(later.prepare(0, later.batch(ACTIVE), 2), sender=2)
    assert [(item.to, item.message.epoch) for item in of_kind(effects, fx.Send)] == [(2, 0)]


def follower(height: int = 0) -> Watcher:
    """Return an observer of a chain whose members are A in epoch 0, with real keys."""
    keys = tuple(key for _, key in validators(*A))
    config = minimal(EPOCH_CHAIN_ID, 0, keys, OBSERVER)
    head = ChainHead(height, ZERO_HASH, WALL_MS, None, (), EpochView(0, keys))
    return Watcher(config, head)


def chain_of_changes(first: int = 50, second: int = 90) -> EpochChanges:
    """Return the changes from A to B and from B to C."""
    return EpochChanges(0, (change_of(0, first, A, B), change_of(1, second, B, C)))


def test_epoch_changes_travel():
    message = chain_of_changes()
    assert decode_message(encode_message(message)) == message


def test_every_signature_of_epoch_changes_is_listed_under_its_epochs_keys():  # rule 2
    config = follower().config
    items = signature_items(chain_of_changes(), config)
    assert len(items) == 6
    assert all(is_valid(*item) for item in items)
    assert {key for key, _, _ in items[3:]} <= {key for _, key in validators(*B)}


def _with(change: EpochChange, **header) -> EpochChange:
    return replace(change, header=replace(change.header, **header))


@pytest.mark.parametrize(
    ("reason", "break_it"),
    [
        ("epoch change 0 does not follow", lambda a, b: (b,)),
        ("epoch change 0 does not follow", lambda a, b: (_with(a, chain_id=b"\x02" * 32), b)),
        ("epoch change 0 does not follow", lambda a, b: (replace(a, validators=b.validators), b)),
        ("epoch change 0 does not follow", lambda a, b: (_with(a, time_ms=7), b)),
        ("epoch change 1 does not follow", lambda a, b: (a, a)),
        ("epoch change 1 does not follow", lambda a, b: (a, change_of(1, 50, B, C))),
        (
            "certificate has 2 votes, want 3",
            lambda a, b: (
                a,
                replace(b, certificate=replace(b.certificate, votes=b.certificate.votes[:2])),
            ),
        ),
        (
            "certificate signer is no member",
            lambda a, b: (
                a,
                replace(
                    b,
                    certificate=replace(
                        b.certificate, votes=(*b.certificate.votes[:2], (4, bytes(64)))
                    ),
                ),
            ),
        ),
    ],
)
def test_epoch_changes_that_prove_nothing_are_refused(reason, break_it):  # rule 2, F83
    changes = break_it(*chain_of_changes().changes)
    with pytest.raises(Refused, match=reason):
        signature_items(EpochChanges(0, changes), follower().config)


def test_observer_far_behind_goes_straight_to_the_last_proven_epoch():  # rule 41
    watcher, message = follower(), chain_of_changes()
    last = message.changes[-1]
    effects = watcher.receive(message)
    members = tuple(key for _, key in last.validators)
    assert effects[-1] == fx.EnterEpoch(2, members, last.certificate)


def test_observer_near_the_change_walks_there_by_blocks():
    window = follower().config.limits.window
    watcher = follower(height=90 - FAR_WINDOWS * window)
    message = chain_of_changes(first=80)
    effects = watcher.receive(message)
    assert of_kind(effects, fx.EnterEpoch) == []
    fetch = of_kind(effects, fx.FetchBlocks)
    assert [item.certificate for item in fetch] == [message.changes[0].certificate]


def test_observer_below_its_epoch_fetches_towards_its_certificates():
    last = 90
    certificate = Maker(5, 1).certificate(last, block_hash_of(last, b""), (0, 1, 2, 4))
    config = minimal(CHAIN_ID, 2, FOUR, OBSERVER, PreviousEpoch(FIVE, last))
    head = ChainHead(3, ZERO_HASH, WALL_MS, certificate, (), EpochView(0, FIVE))
    watcher = Watcher(config, head)
    fetch = of_kind(watcher.effects, fx.FetchBlocks)
    assert fetch == [fx.FetchBlocks(4, certificate, (0, 1, 2, 3))]  # this epoch's members
    views = {4: EpochView(0, FIVE, (7, FOUR)), 5: EpochView(0, FIVE, (7, FOUR))}
    assert of_kind(watcher.install(4, 5, views), fx.EnterEpoch) == []  # earlier epochs' changes
    assert of_kind(watcher.install(6, last, {6: EpochView(1, FOUR)}), fx.EnterEpoch) == []
    assert watcher.observer.executed_height == last


def test_validator_goes_on_as_a_replica_when_its_chain_reaches_the_epoch():
    last = 90
    certificate = certificate_of(last)
    config = minimal(CHAIN_ID, 2, FOUR, 1, PreviousEpoch(FOUR, last))
    head = ChainHead(last - 2, ZERO_HASH, WALL_MS, certificate, (), EpochView(1, FOUR))
    watcher = Watcher(config, head)
    assert of_kind(watcher.install(89, 89, {89: EpochView(1, FOUR)}), fx.EnterEpoch) == []
    effects = watcher.install(90, 90)
    assert effects[-1] == fx.EnterEpoch(2, FOUR, certificate)
    assert fx.StoreCertificate(certificate) in effects


def test_replica_takes_the_end_of_its_epoch_from_epoch_changes():  # rule 2
    bench = Bench(
        4,
        1,
        config=minimal(EPOCH_CHAIN_ID, 0, tuple(k for _, k in validators(*A)), 1),
    )
    message = chain_of_changes()
    fetch = of_kind(bench.receive(message, sender=2), fx.FetchBlocks)
    assert [item.certificate for item in fetch] == [message.changes[0].certificate]


def test_an_observer_cannot_sign():  # rule 46
    watcher = Watcher()
    with pytest.raises(LocalError, match="an observer was to sign 3 bytes"):
        watcher.observer._state.sign(b"abc")
