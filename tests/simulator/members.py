"""Who sits where in which epoch: the nodes of a run, their keys, and the changes made to them.

A node has one number for the whole run; the network, clients and faults know it by that. In an
epoch it has a peer number: its place among the members, or behind them as an observer. For epoch 0
both are the same. `Seating` gives a node its configuration when it starts and when an epoch ends,
checks that all honest nodes pass the same way, and makes the changes that a schedule asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consensus import effects as fx
from consensus.config import OBSERVER, ReplicaConfig
from consensus.epochs import PreviousEpoch
from consensus.messages import Checkpoint, Commit, Prepare, PrePrepare
from tests.simulator.checkers import ViolationError
from tests.simulator.invariants import Invariants
from tests.simulator.keys import Keyring
from tests.simulator.model_members import MEMBERS_MIN, Change
from tests.simulator.schedule import ScheduleError

if TYPE_CHECKING:
    from tests.simulator.node import SimNode
    from tests.simulator.simulation import Simulation

SPARE_KEYS = 16


@dataclass(frozen=True, slots=True)
class Roster:
    """The node behind each peer number of an epoch: its `size` members, then the observers."""

    seats: tuple[int, ...]
    size: int

    def node_of(self, peer: int) -> int:
        """Return the number of the node that is `peer`."""
        return self.seats[peer]

    def peer_of(self, node: int) -> int:
        """Return the peer number of a node."""
        return self.seats.index(node)

    def others(self, node: int) -> list[int]:
        """Return the nodes of all members but `node`."""
        return [seat for seat in self.seats[: self.size] if seat != node]

    @property
    def observers(self) -> tuple[int, ...]:
        """Return the nodes that are no members."""
        return self.seats[self.size :]


class Seating:
    """The seats of one run in all its epochs."""

    def __init__(self, run: Simulation, keyring: Keyring) -> None:
        self._run = run
        self._keyring = keyring
        keys = keyring.public_keys
        self._signers = {key: keyring.signer(place) for place, key in enumerate(keys)}
        self._owners = {key: node for node, key in enumerate(keys[: run.total])}
        self._keys = {node: key for key, node in self._owners.items()}
        self._spare = list(keys[run.total :])
        self._configs: dict[int, ReplicaConfig] = {}
        self._entered: dict[int, tuple[int, bytes, tuple[bytes, ...]]] = {}
        self._voted_in: dict[int, int] = {}
        self._changes = 0

    # Seats

    def roster_of(self, members: tuple[bytes, ...]) -> Roster:
        """Return the seats of an epoch."""
        seated = [self._owners[key] for key in members]
        rest = [node for node in range(self._run.total) if node not in seated]
        return Roster((*seated, *rest), len(seated))

    def seat(self, node: SimNode) -> None:
        """Give a node its place in the epoch in which its home is (`EnterEpoch`)."""
        epoch, members, previous = _choose_epoch(node)
        owned = [place for place, key in enumerate(members) if self._owners[key] == node.index]
        index = owned[0] if owned else OBSERVER
        if (epoch, index) != (node.config.epoch, node.config.index) or not node.roster.seats:
            node.config = self._run.make_config(index, epoch, members, previous)
            node.roster = self.roster_of(members)
            if owned:
                node.sign = self._signers[members[index]]
            self._move_liar(node)
        self._configs.setdefault(epoch, node.config)

    def _move_liar(self, node: SimNode) -> None:
        liar = self._run.liars.get(node.index)
        if liar is not None and node.is_voter and liar.config != node.config:
            liar.enter(node.config, node.sign)

    def config_of(self, epoch: int) -> ReplicaConfig:
        """Return the configuration of some node in `epoch`; of epoch 0 where nobody is there."""
        return self._configs.get(epoch, self._configs[0])

    def faulty_in(self, epoch: int) -> FaultyIn:
        """Return the faulty members of an epoch by their places."""
        return FaultyIn(self._run.faulty, self.roster_of(self.config_of(epoch).members))

    # What must hold

    def on_enter(self, node: SimNode, effect: fx.EnterEpoch) -> None:
        """All honest nodes pass to the same members by the same block, the agreed one (F82)."""
        certificate = effect.certificate
        where = (certificate.height, certificate.block_hash, effect.members)
        if self._entered.setdefault(effect.epoch, where) != where:
            raise ViolationError(f"node {node.index} enters epoch {effect.epoch} otherwise (F82)")
        ledger = node.ledger.members
        end = ledger.ends[effect.epoch - 1]
        if end.last_height != certificate.height or certificate.epoch != effect.epoch - 1:
            raise ViolationError(f"epoch {effect.epoch} begins at another height (F82)")
        if len(effect.members) < MEMBERS_MIN:
            raise ViolationError(f"epoch {effect.epoch} has too few members (F84)")
        self._run.count("epochs entered")

    def check_send(self, node: SimNode, message: Any) -> None:
        """No honest node votes at or above an activation that it knows of (rule 2)."""
        if not isinstance(message, PrePrepare | Prepare | Commit | Checkpoint):
            return
        if message.epoch < self._voted_in.get(node.index, 0):
            raise ViolationError(f"node {node.index} went back to epoch {message.epoch} (rule 44)")
        self._voted_in[node.index] = message.epoch
        members = node.ledger.members
        if message.epoch < len(members.ends):
            last: int | None = members.ends[message.epoch].last_height
        else:
            last = None if members.view.pending is None else members.view.pending[0] - 1
        if last is not None and message.height > last:
            raise ViolationError(
                f"node {node.index} votes for height {message.height} in epoch {message.epoch}, "
                f"which ends at {last} (rule 2)"
            )
        if message.epoch and message.height <= members.ends[message.epoch - 1].last_height:
            raise ViolationError(f"node {node.index} votes in epoch {message.epoch} too early")

    # Changes

    def change(self, words: tuple[str, ...]) -> None:
        """Submit the change that a schedule asks for, as the chain stands now."""
        nodes = [node for node in self._run.nodes if node.is_honest]
        best = max(nodes, key=lambda node: node.ledger.height)
        view = best.ledger.members.view
        members = self._compute(words, best, view.members)
        if members is None or not self._is_safe(members):
            self._run.count("changes: left out")
            return
        self._changes += 1
        home = self._find_home(best)
        self._run.submit_change(f"change-{self._changes}", home, Change(view.epoch, members))
        self._run.count(f"changes: {words[0]}")

    def _find_home(self, best: SimNode) -> int:
        """Return an honest member that is up, if there is one, to take a change."""
        nodes = (best, *self._run.nodes)
        homes = (node for node in nodes if node.is_honest and node.is_up and node.is_voter)
        return next(homes, best).index

    def _compute(
        self, words: tuple[str, ...], best: SimNode, members: tuple[bytes, ...]
    ) -> tuple[bytes, ...] | None:
        verb, *rest = words
        if verb == "shrink":
            return members[: MEMBERS_MIN - 1]
        if verb == "again":
            revoked = sorted(best.ledger.members.revoked)
            return (*members, revoked[0]) if revoked else None
        node = self._pick(rest[0], best, members)
        key = next((item for item in members if self._owners[item] == node), None)
        if verb == "add" and key is None:
            return (*members, self._fresh_key(node, best))
        if verb == "remove" and key is not None and len(members) > MEMBERS_MIN:
            return tuple(item for item in members if item != key)
        if verb == "rotate" and key is not None and self._spare:
            new = self._new_key(node)
            return tuple(new if item == key else item for item in members)
        if verb not in ("add", "remove", "rotate"):
            raise ScheduleError(f"no change {verb!r}, want add, remove, rotate, shrink or again")
        return None

    def _pick(self, word: str, best: SimNode, members: tuple[bytes, ...]) -> int:
        if word != "primary":
            return int(word)
        view = best.replica.view if best.is_voter else 0
        return self._owners[members[view % len(members)]]

    def _fresh_key(self, node: int, best: SimNode) -> bytes:
        """Return the node's key, or a new one if it has been a member under that."""
        key = self._keys[node]
        return self._new_key(node) if key in best.ledger.members.revoked else key

    def _new_key(self, node: int) -> bytes:
        if not self._spare:
            return self._keys[node]
        key = self._spare.pop(0)
        self._owners[key] = node
        self._keys[node] = key
        return key

    def _is_safe(self, members: tuple[bytes, ...]) -> bool:
        """Tell whether the faulty are still few enough; a refused change harms nobody."""
        if len(members) < MEMBERS_MIN:
            return True
        faulty = sum(self._owners[key] in self._run.may_fail for key in members)
        return faulty <= (len(members) - 1) // 3


def _choose_epoch(node: SimNode) -> tuple[int, tuple[bytes, ...], PreviousEpoch | None]:
    """Return the epoch in which a node starts: the chain's, once its beginning is certified."""
    members = node.ledger.members
    epoch, keys = members.view.epoch, members.view.members
    best = node.ledger.get_best_certificate()
    stable = best.height if best else 0
    if epoch and stable < members.ends[-1].last_height:
        epoch, keys = epoch - 1, members.ends[-1].members
    return epoch, keys, members.ends[epoch - 1] if epoch else None


class FaultyIn(Mapping[int, str]):
    """The faulty members of one epoch by their places, as they become known."""

    def __init__(self, faulty: Mapping[int, str], roster: Roster) -> None:
        self._faulty = faulty
        self._roster = roster

    def __getitem__(self, place: int) -> str:
        if not 0 <= place < self._roster.size:
            raise KeyError(place)
        return self._faulty[self._roster.node_of(place)]

    def __iter__(self) -> Iterator[int]:
        for place in range(self._roster.size):
            if self._roster.node_of(place) in self._faulty:
                yield place

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Seat:
    """A node as the invariants of one epoch see it: a member with its place."""

    def __init__(self, node: SimNode) -> None:
        self.index = node.config.index
        self.config = node.config
        self.ledger = node.ledger
        self.bodies = node.bodies
        self._node = node

    @property
    def replica(self) -> Any:
        """Return the node's replica."""
        return self._node.replica


class EpochInvariants:
    """The invariants of each epoch apart; what an observer does is none of their business."""

    def __init__(self, make: Callable[[ReplicaConfig], Invariants]) -> None:
        self._make = make
        self._by_epoch: dict[int, Invariants] = {}

    def _of(self, node: SimNode) -> Invariants:
        epoch = node.config.epoch
        known = self._by_epoch.get(epoch)
        if known is None:
            known = self._by_epoch[epoch] = self._make(replace(node.config))
        return known

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(node: SimNode, *arguments: Any) -> None:
            if node.is_voter:
                getattr(self._of(node), name)(Seat(node), *arguments)

        return call
