"""Who voted in which epoch, out of the chain or proven ahead of it (rule 2)."""

from __future__ import annotations

from dataclasses import replace

from consensus.epochs import PreviousEpoch
from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange
from network.runtime.history import EpochHistory
from tests.ledger_harness import Harness, key_of

CHAIN = Harness()
GENESIS = CHAIN.genesis.validator_keys()
LATER = tuple((name, key_of(f"later {name}").public_key) for name, _ in GENESIS)


def change(epoch: int, height: int) -> EpochChange:
    """Return a change to `epoch` after block `height`; whoever learns it has verified it."""
    header = replace(CHAIN.head, epoch=epoch - 1, height=height)
    certificate = Certificate(epoch - 1, height, header.hash(), ((0, bytes(64)),))
    return EpochChange(header, certificate, LATER)


def test_epoch_0_is_that_of_genesis_and_has_none_before_it() -> None:
    history = EpochHistory(CHAIN.store, GENESIS)
    assert history.validators(0) == GENESIS
    assert history.previous(0) is None
    assert history.validators(1) == ()
    assert history.last_certificate(0) is None
    assert history.changes(0) == ()


def test_an_epoch_ahead_of_the_chain_is_known_by_its_proof() -> None:
    history = EpochHistory(CHAIN.store, GENESIS)
    history.learn([change(1, 40), change(2, 90)])
    assert history.validators(2) == LATER
    assert history.previous(1) == PreviousEpoch(tuple(key for _, key in GENESIS), 40)
    assert history.previous(2) == PreviousEpoch(tuple(key for _, key in LATER), 90)
    # The blocks are not here, so there is nothing to show to others.
    assert history.changes(0) == ()
    assert history.last_certificate(0) is None


def test_nothing_is_said_of_an_epoch_that_nobody_has_proven() -> None:
    history = EpochHistory(CHAIN.store, GENESIS)
    history.learn([change(2, 90)])
    assert history.previous(2) is None
    assert history.previous(3) is None
