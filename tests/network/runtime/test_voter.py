"""Leave to vote: asked of the others once, refused by whatever knows better (rules 46, 47, F45)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from consensus import messages as m
from consensus.log import AcceptedRecord, PreparedRecord, encode_record
from consensus.verification import signed_bytes
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate, checkpoint_signing_input
from ledger.errors import Code
from ledger.execution import execute_genesis
from ledger.keys import SigningKey
from ledger.storage.chain_store import certificate_writes
from ledger.storage.home import HomeLayout, OpenHome, add_vote_log, create_home, open_home
from network.certificates import save_key
from network.runtime.history import EpochHistory
from network.runtime.own_votes import REFUSED_KEY, anchor_write, check_refused, encode_shown
from network.runtime.performer import VOTE_ENTRY
from network.runtime.voter import Voter
from network.wire import GetVotes, KnownVotes, PeerFrame
from tests.ledger_harness import Harness, key_of

KEY = key_of("node:D01")
QUORUM, SIZE = 3, 4
DIGEST = bytes(32)


@dataclass
class Links:
    """Links to three other validators and an observer; what is sent stays in `sent`."""

    connected: frozenset[int] = frozenset((1, 2, 3, 4))
    sent: list[tuple[int, PeerFrame]] = field(default_factory=list)
    charged: list[int] = field(default_factory=list)

    def send(self, number: int, frame: PeerFrame) -> bool:
        self.sent.append((number, frame))
        return True

    def member(self, number: int) -> str:
        return f"member {number}"

    def charge(self, number: int, _code: Code, _reason: str) -> None:
        self.charged.append(number)


@dataclass
class Stage:
    """A home of D01's node on its genesis block, and its voter."""

    folder: Path
    harness: Harness = field(default_factory=Harness)
    links: Links = field(default_factory=Links)
    changes: int = 0
    height: int = 0

    def make(self) -> None:
        keys = self.folder.parent / "made"
        save_key(keys / "node.key", self.seed("node:D01"))
        create_home(
            self.folder,
            config="member = 'D01'\n",
            genesis=self.harness.genesis.data,
            keys={"node.key": (keys / "node.key").read_bytes()},
            node_public_key=KEY.public_key,
            database=execute_genesis(self.harness.genesis).writes,
        )
        (self.folder / "keys" / "node.key").chmod(0o600)

    def seed(self, name: str) -> bytes:
        return sha256(name.encode()).digest()

    def open(self) -> tuple[OpenHome, Voter]:
        home = open_home(self.folder)
        history = EpochHistory(home.store, self.harness.genesis.validator_keys())
        voter = Voter(home, None, history, self.links)  # type: ignore[arg-type]
        voter.bind(self._changed, lambda: self.height)
        voter.renumber(SIZE)
        return home, voter

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path / "home")
    stage.make()
    return stage


@pytest.fixture
def opened(stage: Stage) -> Iterator[tuple[OpenHome, Voter]]:
    home, voter = stage.open()
    yield home, voter
    voter.close()
    home.close()


def answer(voter: Voter, number: int, *items: bytes) -> None:
    voter.take_answer(number, KnownVotes(KEY.public_key, items))


def prepare(chain_id: bytes, height: int, key: SigningKey = KEY) -> bytes:
    """Return a PREPARE of the own key, as a peer shows it."""
    message = m.Prepare(0, 0, height, DIGEST, 0, bytes(64))
    signature = key.sign(signed_bytes(message, chain_id))
    (shown,) = encode_shown([m.Prepare(0, 0, height, DIGEST, 0, signature)])
    return shown


def test_rule_46_a_key_votes_when_enough_others_have_been_asked(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    _, voter = opened
    assert voter.use(KEY.public_key, QUORUM) is None
    assert [(number, type(frame)) for number, frame in sorted(stage.links.sent, key=str)] == [
        (number, GetVotes) for number in (1, 2, 3)
    ]
    answer(voter, 1)
    answer(voter, 1)
    answer(voter, 4)  # an observer's word counts for nothing
    assert voter.answers_missing == 1
    assert voter.use(KEY.public_key, QUORUM) is None
    answer(voter, 3)
    assert (voter.answers_missing, stage.changes) == (0, 1)
    ballot = voter.use(KEY.public_key, QUORUM)
    assert ballot is not None
    assert ballot.key.public_key == KEY.public_key
    # Asked once in the life of a process: the next epoch begins at once.
    voter.renumber(SIZE)
    assert voter.use(KEY.public_key, QUORUM) is ballot


def test_f46_a_vote_that_is_not_in_the_log_refuses_the_home(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    home, voter = opened
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1, prepare(home.chain_id, 5))
    assert voter.refusal is not None
    assert voter.refusal.code is Code.VOTES_FORGOTTEN
    for number in (1, 2, 3):
        answer(voter, number)
    assert voter.use(KEY.public_key, QUORUM) is None
    assert voter.anchor(9) == {}


def test_rule_46_a_refused_key_stays_refused_when_the_home_has_caught_up(stage: Stage) -> None:
    """After a restart the chain here would reach as far as what the others can show."""
    home, voter = stage.open()
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1, prepare(home.chain_id, 5))
    before = str(voter.refusal)
    voter.close()
    home.close()
    stage.links.sent.clear()
    home, voter = stage.open()
    assert voter.use(KEY.public_key, QUORUM) is None
    assert str(voter.refusal) == before
    assert stage.links.sent == []
    # Another key of the same home is not concerned.
    check_refused(home.store.get(REFUSED_KEY + KEY.public_key[:8]), key_of("next").public_key)
    voter.close()
    home.close()


def test_f60_blocks_taken_in_while_following_speak_for_nothing(stage: Stage) -> None:
    """A home rolled back to block 2 has caught up with block 6 before anybody was asked."""
    home, voter = stage.open()
    chain_id = home.chain_id
    home.store.write(anchor_write(KEY.public_key, 0, 2), sync=True)
    for _ in range(6):
        executed = stage.harness.block()
        home.store.write(executed.writes, sync=True)
        home.store.write(certificate_writes(stage.harness.certify(executed.header)), sync=False)
    voter.close()
    home.close()
    for height, is_known in ((2, True), (3, False)):
        home, voter = stage.open()
        voter.use(KEY.public_key, QUORUM)
        answer(voter, 1, prepare(chain_id, height))
        assert (voter.refusal is None) == is_known
        voter.close()
        home.close()


def test_a_vote_that_stands_in_the_log_speaks_for_the_home(stage: Stage) -> None:
    home, voter = stage.open()
    chain_id = home.chain_id
    votes = home.open_votes(KEY.public_key)
    record = AcceptedRecord(m.PrePrepare(0, 0, DIGEST, 1, bytes(64), Batch(5, 1_000, ())))
    votes.append([VOTE_ENTRY + encode_record(record)])
    votes.close()
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1, prepare(chain_id, 5))
    assert (voter.refusal, voter.answers_missing) == (None, 1)
    voter.close()
    home.close()


def test_nobody_lies_a_member_out_of_its_votes(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    home, voter = opened
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1, prepare(home.chain_id, 5, key_of("node:D02")))
    assert (voter.refusal, stage.links.charged, voter.answers_missing) == (None, [1], 2)


def test_f45_a_certificate_with_a_vote_it_has_not_given_ends_its_voting(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    home, voter = opened
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1)
    answer(voter, 2)
    stage.height = 7
    for height in (7, 8):
        voter.look_at(certificate(stage, home, height))
        assert (voter.refusal is None) == (height == 7)
    assert "another process uses the same key" in str(voter.refusal)
    assert voter.use(KEY.public_key, QUORUM) is None


def certificate(stage: Stage, home: OpenHome, height: int) -> Certificate:
    """Return a certificate that only the own key has signed."""
    own = [key for _, key in stage.harness.genesis.validator_keys()].index(KEY.public_key)
    signed = checkpoint_signing_input(home.chain_id, 0, height, DIGEST, own)
    return Certificate(0, height, DIGEST, ((own, KEY.sign(signed)),))


def test_f62_a_repaired_database_that_ends_below_the_whole_log_does_not_end_its_voting(
    stage: Stage,
) -> None:
    """The vote was given before the repair: the log has what came before it."""
    home, voter = stage.open()
    votes = home.open_votes(KEY.public_key)
    proof = m.PreparedProof(0, 8, DIGEST, bytes(64), ((1, bytes(64)), (2, bytes(64))))
    votes.append([VOTE_ENTRY + encode_record(PreparedRecord(0, proof))])
    votes.close()
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1)
    answer(voter, 2)
    assert stage.height == 0
    for height in (8, 9):
        voter.look_at(certificate(stage, home, height))
        assert (voter.refusal is None) == (height == 8)
    voter.close()
    home.close()


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda layout: shutil.rmtree(layout.votes), Code.VOTE_LOG_MISSING),
        (lambda layout: (layout.votes / "guard").unlink(), Code.VOTE_LOG_MISSING),
        (lambda layout: (layout.votes / "guard").write_bytes(b""), Code.VOTE_LOG_CORRUPT),
        (lambda layout: (layout.keys / "node.key").rename(layout.keys / "x"), None),
    ],
)
def test_rule_46_what_the_home_lacks_is_named(
    stage: Stage, harm: Callable[[HomeLayout], object], code: Code | None
) -> None:
    home, voter = stage.open()
    harm(HomeLayout(stage.folder))
    assert voter.use(KEY.public_key, QUORUM) is None
    assert voter.refusal is not None
    assert voter.refusal.code is (code or Code.NODE_KEY_MISSING)
    assert stage.links.sent == []
    home.close()


def test_rule_46_a_log_that_was_made_anew_is_refused_by_the_database(stage: Stage) -> None:
    home, voter = stage.open()
    home.store.write(anchor_write(KEY.public_key, 3, 2), sync=True)
    voter.use(KEY.public_key, QUORUM)
    assert "ends with record 0, the database has seen record 3" in str(voter.refusal)
    home.close()


def test_rule_47_the_next_key_has_a_log_of_its_own(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    _, voter = opened
    layout, fresh = HomeLayout(stage.folder), key_of("next")
    save_key(layout.keys / "node-next.key", stage.seed("next"))
    add_vote_log(layout, fresh.public_key)
    voter.use(KEY.public_key, QUORUM)
    answer(voter, 1)
    answer(voter, 2)
    voter.renumber(SIZE)
    assert voter.use(fresh.public_key, QUORUM) is None
    for number in (1, 2):
        voter.take_answer(number, KnownVotes(fresh.public_key, ()))
    ballot = voter.use(fresh.public_key, QUORUM)
    assert ballot is not None
    assert ballot.key.public_key == fresh.public_key
    assert voter.anchor(9) == anchor_write(fresh.public_key, 0, 9)


def test_members_are_shown_what_they_have_signed(
    stage: Stage, opened: tuple[OpenHome, Voter]
) -> None:
    _, voter = opened
    other = key_of("node:D02")
    voter.heard.add(other.public_key, m.Prepare(0, 0, 4, DIGEST, 1, bytes(64)))

    async def ask() -> None:
        await voter.answer(1, GetVotes(other.public_key))
        await voter.answer(1, GetVotes(other.public_key))  # too soon to be answered again
        await voter.answer(2, GetVotes(KEY.public_key))

    trio.run(ask)
    (first, shown), (second, nothing) = stage.links.sent
    assert (first, second) == (1, 2)
    assert isinstance(shown, KnownVotes)
    assert len(shown.items) == 1
    assert nothing == KnownVotes(KEY.public_key, ())
