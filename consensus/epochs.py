"""Epochs: which members vote at which height, and how a replica passes from one to the next.

A change of members that is executed at height g becomes active at a height a ≥ g + L + 1 (rule 2).
The ledger decides both; consensus is told by the `EpochView` of each block, which is what the
block's `members_root` commits to. From then on nothing at or above a is proposed, accepted or
prepared in this epoch, H is at most a − 1, and the primary proposes empty batches until a − 1 is
executed, so that an idle network gets there too. When a − 1 is stable and executed the replica has
done its work: `EnterEpoch` is its last effect, and the shell makes the next one, in view 0.

Why none of the two epochs can decide what the other does: a − 1 is certified by Q members of the
old one, so W honest ones had executed g before anybody could know a stable height above g; each of
them accepts nothing at or above a in the old epoch. A replica that has not executed g yet and
learns of a stable height above it might prepare such a height for a Byzantine primary, but it finds
no quorum: 2Q − n ≥ f + 1, so one of those honest members is in each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochView:
    """What the `members_root` of a block says of the height after it, in keys.

    `members` are the ordered node keys of `epoch`. `pending` is a decided change: the height from
    which it is active, and the members from there; None while there is none.
    """

    epoch: int
    members: tuple[bytes, ...]
    pending: tuple[int, tuple[bytes, ...]] | None = None


@dataclass(frozen=True, slots=True)
class PreviousEpoch:
    """The members of the epoch before, in order, and the height of its last block, a − 1.

    The certificate of that block is theirs; a VIEW-CHANGE with h = a − 1 shows it (rule 24).
    """

    members: tuple[bytes, ...]
    last_height: int
