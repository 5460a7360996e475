"""The node's own keys and vote logs, and leave to vote with them (rules 45, 46, 47).

A home may hold several node keys: the one in force, the next one, earlier ones. Which is in force
the chain says, epoch by epoch; each has a vote log of its own, made together with the key. `ballot`
gives the log of the key in force once it may vote: what may speak against it stands in
`network.runtime.own_votes`. Until the others have been asked the node follows as an observer; after
a refusal it stays one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from consensus.log import VoteRecord, decode_record
from consensus.messages import SignedMessage
from ledger.chain.certificate import Certificate
from ledger.errors import Code, CreditLedgerError, LocalError, RemoteError
from ledger.keys import SigningKey
from ledger.storage.chain_store import ChainStore
from ledger.storage.home import OpenHome
from ledger.storage.vote_log import VoteLog
from network.certificates import load_key
from network.peers import PeerNetwork
from network.runtime.history import EpochHistory
from network.runtime.own_votes import (
    ANCHOR_KEY,
    REFUSED_KEY,
    HeardVotes,
    Remembered,
    anchor_write,
    certified_vote,
    check_anchor,
    check_refused,
    encode_shown,
    forgotten,
    read_shown,
    refusal_write,
    vote_in,
)
from network.runtime.performer import describe, split_entries
from network.runtime.threads import run_in_thread
from network.wire import GetVotes, KnownVotes

ASK_SECONDS = 1.0
ANSWER_SECONDS = 0.2

log = structlog.get_logger()


@dataclass(slots=True)
class Ballot:
    """A key that may vote: its signature, its log, and what the log held when it was opened."""

    key: SigningKey
    votes: VoteLog
    records: list[VoteRecord]
    bodies: list[bytes]
    remembered: Remembered


class Voter:
    """Owns keys and vote logs, and says when leave to vote was given or taken (`bind`)."""

    def __init__(
        self,
        home: OpenHome,
        password: bytes | None,
        history: EpochHistory,
        peers: PeerNetwork,
    ) -> None:
        chain = ChainStore(home.store)
        head, certificate = chain.head(), chain.last_certificate()
        self._home = home
        self._password = password
        self._chain = chain
        self._history = history
        self._peers = peers
        self._changed: Callable[[], None] = lambda: None
        self._began = (
            0 if head is None else head.height,
            0 if certificate is None else certificate.height,
        )
        self._ballots: dict[bytes, Ballot] = {}
        self._refusals: dict[bytes, CreditLedgerError] = {}
        self._cleared: set[bytes] = set()
        self._key: bytes | None = None
        self._validators = 0
        self._needed = 0
        self._answered: set[int] = set()
        self._shown_at: dict[int, float] = {}
        self._voted_height: Callable[[], int] = lambda: self._began[0]
        self.heard = HeardVotes()

    @property
    def refusal(self) -> CreditLedgerError | None:
        """Why the key in force may not vote from this home, if that is so."""
        return None if self._key is None else self._refusals.get(self._key)

    @property
    def voting_key(self) -> SigningKey | None:
        """The key that votes from this home now, or None."""
        if self._key is None or self._key not in self._cleared:
            return None
        return self._ballots[self._key].key

    @property
    def answers_missing(self) -> int:
        """How many other members must still say what they know of the own votes."""
        if self._key is None or self._key in self._cleared or self.refusal is not None:
            return 0
        return max(0, self._needed - len(self._answered))

    def use(self, key: bytes | None, quorum: int) -> Ballot | None:
        """Say which own key votes in the epoch; return its ballot if it may vote at once.

        None: this node does not vote in the epoch. Without an answer so far the others are asked.
        """
        if key != self._key:
            self._answered.clear()
        self._key, self._needed = key, quorum - 1
        if key is None:
            return None
        ballot = self._open(key)
        if ballot is None or key not in self._cleared:
            self.ask()
            return None
        return ballot

    def _open(self, key: bytes) -> Ballot | None:
        """Open the log of a key, once; what speaks against it is logged and kept."""
        if key in self._refusals:
            return None
        if key not in self._ballots:
            try:
                self._ballots[key] = self._read(key)
            except CreditLedgerError as error:
                self._refuse(key, error)
                return None
        return self._ballots[key]

    def _read(self, key: bytes) -> Ballot:
        check_refused(self._home.store.get(REFUSED_KEY + key[:8]), key)
        signer = self._find_key(key)
        votes = self._home.open_votes(key)
        try:
            anchor = self._home.store.get(ANCHOR_KEY + key[:8])
            voted = check_anchor(anchor, key, votes.number)
            entries, bodies = split_entries(votes.read())
            records = [decode_record(entry) for entry in entries]
        except CreditLedgerError:
            votes.close()
            raise
        remembered = Remembered.of(records, *self._reach(voted, votes.number))
        return Ballot(signer, votes, records, bodies, remembered)

    def _reach(self, voted: int | None, number: int) -> tuple[int, int]:
        """Return the last height, and the last certified one, that were stored while voting."""
        height, certified = self._began
        if voted is not None:
            return voted, min(voted, certified)
        # A home of before there were anchors has votes and none; without votes it is a new key's.
        return (height, certified) if number else (0, 0)

    def _find_key(self, public_key: bytes) -> SigningKey:
        for path in self._home.layout.node_keys():
            key = SigningKey(load_key(path, self._password))
            if key.public_key == public_key:
                return key
        raise LocalError(
            Code.NODE_KEY_MISSING,
            f"the node key in force is {public_key.hex()[:16]}…, and no keys/node*.key holds it",
        )

    def _refuse(self, key: bytes, error: CreditLedgerError) -> None:
        if key in self._refusals:
            return
        self._refusals[key] = error
        self._cleared.discard(key)
        if error.code == Code.VOTES_FORGOTTEN:
            self._home.store.write(refusal_write(key, error.message), sync=True)
        log.error("this node does not vote, it follows as an observer", **describe(error))
        self._changed()

    def anchor(self, height: int) -> dict[bytes, bytes | None]:
        """Return what the stored block `height` says of the vote log in use (rule 46)."""
        ballot = self._ballots.get(self._key) if self._key is not None else None
        if ballot is None or self._key not in self._cleared:
            return {}
        return anchor_write(ballot.key.public_key, ballot.votes.number, height)

    def close(self) -> None:
        """Close the logs."""
        for ballot in self._ballots.values():
            ballot.votes.close()

    # Asking and answering

    async def run(self) -> None:
        """Ask again while answers are missing, until cancelled."""
        while True:
            await trio.sleep(ASK_SECONDS)
            self.ask()

    def ask(self) -> None:
        """Ask every member in reach that has not answered."""
        if self._key is not None and self.answers_missing:
            for number in self._peers.connected - self._answered:
                if number < self._validators:
                    self._peers.send(number, GetVotes(self._key))

    async def answer(self, number: int, frame: GetVotes) -> None:
        """Show a member what it has signed: the furthest that came in, and the last certified.

        Looking costs more than asking, so one that asks too often is not answered (F69).
        """
        now = trio.current_time()
        if now - self._shown_at.get(number, -ANSWER_SECONDS) < ANSWER_SECONDS:
            return
        self._shown_at[number] = now
        certified = await run_in_thread(certified_vote, self._chain, self._history, frame.key)
        shown: list[SignedMessage] = self.heard.of(frame.key)
        if certified is not None:
            shown.append(certified)
        self._peers.send(number, KnownVotes(frame.key, encode_shown(shown)))

    def take_answer(self, number: int, frame: KnownVotes) -> None:
        """Hold what a member shows against what this home remembers."""
        key = self._key
        if key is None or frame.key != key or not self.answers_missing:
            return
        if number >= self._validators:
            return
        ballot = self._open(key)
        if ballot is None:
            return
        sender = self._peers.member(number) or str(number)
        try:
            for item in frame.items:
                message = read_shown(item, self._home.chain_id, key, sender)
                ballot.remembered.check(message)
        except RemoteError as error:
            self._peers.charge(number, error.code, error.message)
            return
        except CreditLedgerError as error:
            self._refuse(key, error)
            return
        self._answered.add(number)
        if not self.answers_missing:
            self._cleared.add(key)
            self._home.store.write(self.anchor(self._voted_height()), sync=True)
            log.info("this node may vote", key=key.hex()[:16], answers=len(self._answered))
            self._changed()

    def renumber(self, validators: int) -> None:
        """Begin to ask anew under the numbers of another epoch, of so many validators."""
        self._answered.clear()
        self._validators = validators

    def look_at(self, certificate: Certificate) -> None:
        """Refuse the own key if it signed a block that is not here: somebody else uses it (F45)."""
        key = self._key
        if key is None or key not in self._cleared:
            return
        vote = vote_in(certificate, self._history, key)
        given = max(self._voted_height(), self._ballots[key].remembered.prepared_height)
        if vote is not None and vote.height > given:
            self._refuse(
                key,
                forgotten(
                    f"block {vote.height} is certified with its vote, which it has not given: "
                    "another process uses the same key"
                ),
            )

    def bind(self, changed: Callable[[], None], voted_height: Callable[[], int]) -> None:
        """Say whom to call when leave to vote has changed, and how far the own chain goes.

        Above that height nothing of the own key can be certified.
        """
        self._changed = changed
        self._voted_height = voted_height
