"""Under which number each node goes in an epoch, and where it is (rules 2, 4).

Consensus speaks of numbers: those of the validators are the epoch's order, from 0. The others that
have a node follow as observers, numbered by their ids when the epoch begins; one that is added
later gets the next number, so that within an epoch no number changes its meaning. Numbers of
observers are this node's own affair. An observer may be in an epoch that its own chain has not
reached: the ids of such validators come with the proof of the epoch (`learn`), their addresses with
the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.chain.epochs import Validators
from ledger.errors import CreditLedgerError
from network.peers import PeerAddress
from network.runtime.membership import Membership
from network.runtime.settings import parse_address


class Roster:
    """Numbers, ids and addresses in one epoch, as one node uses them."""

    def __init__(self, own: str, overrides: Mapping[str, tuple[str, int]]) -> None:
        self.own = own
        self._overrides = overrides
        self._learned: dict[bytes, str] = {}
        self._numbers: dict[str, int] = {}
        self._addresses: dict[str, str] = {}
        self.keys: tuple[bytes, ...] = ()
        self.validators: tuple[str, ...] = ()

    @property
    def own_index(self) -> int:
        """The number of this node."""
        return self._numbers[self.own]

    def learn(self, validators: Validators) -> None:
        """Remember whose keys these are; they are proven."""
        self._learned.update({key: name for name, key in validators})

    def enter(self, keys: tuple[bytes, ...], membership: Membership) -> dict[int, int]:
        """Number the nodes of a new epoch; return the new number of each that had one before.

        A node that is gone is not in the answer.
        """
        before = {number: name for name, number in self._numbers.items()}
        known = {**self._learned, **membership.node_ids()}
        self.keys = keys
        self.validators = tuple(known.get(key, f"key-{key.hex()[:16]}") for key in keys)
        self._numbers = {name: number for number, name in enumerate(self.validators)}
        self.update(membership)
        return {
            number: self._numbers[name] for number, name in before.items() if name in self._numbers
        }

    def update(self, membership: Membership) -> None:
        """Take in who has a node now, and where; observers may come and go within an epoch.

        A validator that the last block of the epoch removes stays where it is until the next one:
        its vote on that block may be needed.
        """
        nodes = {item.id: item.node for item in membership.members.values() if item.node}
        kept = {name: at for name, at in self._addresses.items() if name in self.validators}
        self._addresses = {**kept, **{name: node.address for name, node in nodes.items()}}
        for name in [name for name in self._numbers if name not in nodes]:
            if name not in self.validators and name != self.own:
                del self._numbers[name]
        for name in sorted({*nodes, self.own} - set(self._numbers)):
            self._numbers[name] = max(len(self.keys) - 1, *self._numbers.values()) + 1

    def name(self, number: int) -> str:
        """Return the id of the node that has a number."""
        return next((name for name, own in self._numbers.items() if own == number), "nobody")

    def is_validator(self, number: int) -> bool:
        """Tell whether a number is a validator's in this epoch."""
        return 0 <= number < len(self.keys)

    def own_address(self) -> PeerAddress:
        """Return this node's entry; its address is for others."""
        return PeerAddress(self.own_index, self.own, "", 0)

    def addresses(self) -> tuple[PeerAddress, ...]:
        """Return where the other nodes are, as far as that is known."""
        found = []
        for name, number in self._numbers.items():
            place = self._overrides.get(name) or _parse(self._addresses.get(name))
            if name != self.own and place is not None:
                found.append(PeerAddress(number, name, *place))
        return tuple(found)


def _parse(address: str | None) -> tuple[str, int] | None:
    """Return (host, port), None for an address in the chain that is none."""
    try:
        return None if address is None else parse_address(address)
    except CreditLedgerError:
        return None
