"""Who is in the network, as the state after the last block says (rule 2).

The state is the only source: members with their certificates, nodes with keys and addresses, the
set that votes at the next height and the change that is pending. `MembershipWatch` reads it again
when a block has touched it, and tells whoever asked to be told; most blocks cost it a look at the
names of what they wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from consensus.epochs import EpochView
from ledger.chain.epochs import EpochSet
from ledger.chain.header import Header
from ledger.errors import Code, LocalError
from ledger.membership.epoch_state import get_change_window, get_epoch_set
from ledger.membership.limits import CHANGE_WINDOW
from ledger.membership.members import Member, get_members
from ledger.state.overlay import Overlay
from ledger.state.tables import EPOCHS, MEMBERS
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Store
from network.tls import usable_anchors

_PREFIXES = (MEMBERS.prefix, EPOCHS.prefix)


@dataclass(frozen=True, slots=True)
class Membership:
    """Members by id, and the epoch of the height after `header`'s.

    `change_window` is how many heights a change of the validators waits at least (rule 2).
    """

    header: Header
    epochs: EpochSet
    members: Mapping[str, Member]
    change_window: int = CHANGE_WINDOW

    @property
    def view(self) -> EpochView:
        """What consensus is told of it: keys only."""
        pending = self.epochs.pending
        return EpochView(
            self.epochs.epoch,
            self.epochs.keys,
            None if pending is None else (pending[0], tuple(key for _, key in pending[1])),
        )

    def node_ids(self) -> dict[bytes, str]:
        """Return whose each node key is that counts now or will after the pending change."""
        pairs = [(item.node.public_key, item.id) for item in self.members.values() if item.node]
        later = () if self.epochs.pending is None else self.epochs.pending[1]
        return {**dict(pairs), **{key: name for name, key in (*later, *self.epochs.validators)}}

    def anchors(self) -> dict[str, tuple[bytes, ...]]:
        """Return the certificates that may issue TLS leaves, of all who are members."""
        return usable_anchors(
            {item.id: item.certificate for item in self.members.values() if not item.is_removed}
        )

    def is_removed(self, member_id: str) -> bool:
        """Tell whether this was a member once and is none any more."""
        member = self.members.get(member_id)
        return member is not None and member.is_removed


def read_membership(store: Store) -> Membership:
    """Return who is in the network after the last block; raise `LocalError` (6103) without one."""
    header = ChainStore(store).head()
    if header is None:
        raise LocalError(Code.HOME_INCOMPLETE, "the store holds no genesis block")
    state = Overlay(store)
    members = {member.id: member for member in get_members(state)}
    return Membership(header, get_epoch_set(state), members, get_change_window(state))


class MembershipWatch:
    """The membership of one node's chain; `current` may be read from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Callable[[Membership], None]] = []
        self.current = read_membership(store)

    def listen(self, listener: Callable[[Membership], None]) -> None:
        """Call `listener` in the node's own thread whenever the membership has changed."""
        self._listeners.append(listener)

    def read(self, header: Header, written: Iterable[bytes]) -> bool:
        """Look at a stored block, in the thread that stored it; tell whether members changed."""
        is_touched = header.members_root != self.current.header.members_root
        if not is_touched and not any(key.startswith(_PREFIXES) for key in written):
            return False
        self.current = read_membership(self._store)
        return True

    def read_all(self) -> None:
        """Read everything anew, as after a state that was installed whole."""
        self.current = read_membership(self._store)

    def tell(self) -> None:
        """Tell the listeners, after `read` has found a change; in the node's own thread."""
        for listener in self._listeners:
            listener(self.current)
