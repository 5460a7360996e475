"""Epochs: which members certify at which height, and how that is followed from an anchor (rule 2).

The members that vote stand in epochs. A change that is executed at height g is pending until it
becomes active at a height a beyond the window; block a − 1 is the last of the old epoch. Each
header's `members_root` commits to the `EpochSet` of the height after it: the epoch, its ordered
members with the keys of their nodes, and the pending change. So the header of block a − 1, which
the old epoch certifies, names the whole new one, and header, certificate and new members together
are an `EpochChange`: who trusts one epoch follows such changes to every later one (`follow_epochs`)
and needs nothing in between. Consensus, clients, receipts and auditors all follow by this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.chain.certificate import (
    MAX_MEMBERS,
    Certificate,
    certificate_from_value,
    verify_certificate,
)
from ledger.chain.hashes import MEMBERS_TAG, tagged_hash
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.keys import PUBLIC_KEY_BYTES

# The certifying members of an epoch, in order (rule 4): (member id, public key of its node).
Validators: TypeAlias = tuple[tuple[str, bytes], ...]
# The height from which a decided change is active, and the members that are in force from there.
PendingSet: TypeAlias = tuple[int, Validators]

# Certificate and members of the largest set that rule 29 allows, with room to spare.
MAX_CHANGE_BYTES = 512 * 1024
CHANGES_FORMAT = "creditledger/epochs/1"
MAX_CHANGES_BYTES = 8 * 1024 * 1024
_MAX_ID_BYTES = 64


@dataclass(frozen=True, slots=True)
class EpochSet:
    """What a header commits to for the height after it: members in force, and what is pending.

    Raises `Refused` (1306) for what no chain can hold.
    """

    epoch: int
    validators: Validators
    pending: PendingSet | None = None

    def __post_init__(self) -> None:
        if type(self.epoch) is not int or not 0 <= self.epoch < 2**63:
            raise _invalid("epoch is not a number from 0 to 2^63 - 1")
        check_validators(self.validators)
        if self.pending is not None:
            if type(self.pending) is not tuple or len(self.pending) != 2:
                raise _invalid("pending change is not a height and members")
            _check_height(self.pending[0])
            check_validators(self.pending[1])

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The node keys of the members in force, in order."""
        return tuple(key for _, key in self.validators)

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode; it is also what `root` hashes."""
        return (self.epoch, self.validators, self.pending)

    def root(self) -> bytes:
        """Return the `members_root` that commits to this set (rule 2)."""
        return tagged_hash(MEMBERS_TAG, encode(self.to_value()))

    def after(self, height: int) -> EpochSet:
        """Return the set of height `height` + 1 when this is that of `height`.

        The pending change comes into force at its height and never at another.
        """
        if self.pending is None or self.pending[0] != height + 1:
            return self
        return EpochSet(self.epoch + 1, self.pending[1])


@dataclass(frozen=True, slots=True)
class EpochChange:
    """The end of one epoch: the header of its last block, its certificate, the next members."""

    header: Header
    certificate: Certificate
    validators: Validators

    def __post_init__(self) -> None:
        check_validators(self.validators)

    @property
    def epoch(self) -> int:
        """The epoch that begins."""
        return self.header.epoch + 1

    @property
    def first_height(self) -> int:
        """The first height of the epoch that begins, a."""
        return self.header.height + 1

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        return (self.header.encoded(), self.certificate.to_value(), self.validators)

    def encoded(self) -> bytes:
        """Return the canonical bytes."""
        return encode(self.to_value())


def epoch_set_from_value(value: object) -> EpochSet:
    """Return the set of a decoded value; raise `Refused` (1306)."""
    if type(value) is not tuple or len(value) != 3:
        raise _invalid("epoch set is not a list of 3 fields")
    return EpochSet(*value)


def change_from_value(value: object) -> EpochChange:
    """Return the change of a decoded value, form checked (`Refused` 10xx, 13xx)."""
    if type(value) is not tuple or len(value) != 3 or type(value[0]) is not bytes:
        raise _invalid("epoch change is not a header, a certificate and members")
    header, certificate, validators = value
    return EpochChange(decode_header(header), certificate_from_value(certificate), validators)


def decode_change(data: bytes) -> EpochChange:
    """Return the change of canonical bytes, form checked (`Refused` 10xx, 13xx)."""
    return change_from_value(decode(data, max_bytes=MAX_CHANGE_BYTES))


def encode_changes(chain_id: bytes, changes: Sequence[EpochChange]) -> bytes:
    """Return the bytes of a file of changes, all from genesis on, for whoever works offline."""
    values = tuple(change.to_value() for change in changes)
    return encode({"format": CHANGES_FORMAT, "chain_id": chain_id, "changes": values})


def decode_changes(data: bytes) -> tuple[bytes, tuple[EpochChange, ...]]:
    """Return (chain id, changes) of a file's bytes, form checked (`Refused` 10xx, 13xx)."""
    value = decode(data, max_bytes=MAX_CHANGES_BYTES)
    is_map = type(value) is dict and set(value) == {"format", "chain_id", "changes"}
    if not is_map or value["format"] != CHANGES_FORMAT:
        raise _invalid(f"not a file of changes: format is not {CHANGES_FORMAT}")
    chain_id, changes = value["chain_id"], value["changes"]
    if type(chain_id) is not bytes or type(changes) is not tuple:
        raise _invalid("file of changes has no chain id or no list")
    return chain_id, tuple(change_from_value(change) for change in changes)


def check_validators(value: object) -> None:
    """Raise `Refused` (1306) unless this is a list of distinct ids with distinct 32-byte keys."""
    if type(value) is not tuple or not 1 <= len(value) <= MAX_MEMBERS:
        raise _invalid(f"members are not a list of 1 to {MAX_MEMBERS}")
    for item in value:
        if type(item) is not tuple or tuple(type(part) for part in item) != (str, bytes):
            raise _invalid("members are not ids with keys")
        if not 1 <= len(item[0]) <= _MAX_ID_BYTES:
            raise _invalid(f"a member's id is not of 1 to {_MAX_ID_BYTES} characters")
        if len(item[1]) != PUBLIC_KEY_BYTES:
            raise _invalid(f"key of member {item[0]} is {len(item[1])} bytes, want 32")
    for part in (0, 1):
        if len({item[part] for item in value}) != len(value):
            raise _invalid("a member's id or key stands twice")


def verify_change(chain_id: bytes, before: EpochSet, change: EpochChange) -> EpochSet:
    """Return the set that `change` brings; raise `Refused` (1306) unless `before` certified it.

    The certificate must be exactly one quorum of the epoch before (rule 18), and the header must
    commit to the new members with nothing pending. What is pending in `before` is not compared.
    """
    header, certificate = change.header, change.certificate
    where = f"change to epoch {before.epoch + 1}"
    if header.chain_id != chain_id:
        raise _invalid(f"{where}: is of chain {header.chain_id.hex()}, want {chain_id.hex()}")
    if header.epoch != before.epoch or certificate.epoch != before.epoch:
        raise _invalid(f"{where}: ends epoch {header.epoch}, want {before.epoch}")
    if certificate.height != header.height or certificate.block_hash != header.hash():
        raise _invalid(f"{where}: the certificate is not of block {header.height} as it stands")
    try:
        verify_certificate(certificate, chain_id, before.keys)
    except Refused as error:
        raise _invalid(f"{where}: {error.message}") from None
    after = EpochSet(before.epoch + 1, change.validators)
    if header.members_root != after.root():
        raise _invalid(f"{where}: block {header.height} commits to other members")
    return after


def follow_epochs(
    chain_id: bytes,
    validators: Validators,
    changes: Sequence[EpochChange],
    *,
    epoch: int = 0,
    height: int = 0,
) -> tuple[int, Validators]:
    """Return the epoch and the members that `changes` lead to from a trusted set of members.

    `validators` are in force for `epoch` at `height`: of the genesis document for the default 0,
    or of a block that is trusted otherwise. Raises `Refused` (1306) naming the first change that
    is wrong: each must be certified by exactly a quorum of the epoch before it and commit to the
    members it brings; epochs go up by one, heights go up.
    """
    follower = EpochFollower(chain_id, validators, epoch=epoch, height=height)
    for change in changes:
        follower.append(change)
    return follower.last.epoch, follower.last.validators


class EpochFollower:
    """Follows epochs from a trusted set, and remembers: each change is verified once.

    Two changes that end the same epoch can both verify only if a quorum's keys contradicted
    themselves, past members' stolen ones for example; the second is refused (F89).
    """

    def __init__(
        self, chain_id: bytes, validators: Validators, *, epoch: int = 0, height: int = 0
    ) -> None:
        """Trust `validators` for `epoch`, at `height`: of genesis, or of a later trusted block."""
        self.chain_id = chain_id
        self.height = height
        self._sets = [EpochSet(epoch, validators)]
        self._changes: list[EpochChange] = []

    @property
    def first_epoch(self) -> int:
        """The epoch that is trusted without proof: the anchor's."""
        return self._sets[0].epoch

    @property
    def last(self) -> EpochSet:
        """The newest epoch that is known."""
        return self._sets[-1]

    def follow(self, changes: Sequence[EpochChange]) -> None:
        """Take in changes, oldest first; those of epochs before the anchor's are left out.

        Raises `Refused` (1306) for the first that is wrong or contradicts one that was followed.
        """
        for change in changes:
            if change.epoch <= self.first_epoch:
                continue
            known = self._known(change.epoch)
            if known is None:
                self.append(change)
            elif known.header.hash() != change.header.hash():
                raise _invalid(
                    f"change to epoch {change.epoch}: ends epoch {change.epoch - 1} with block "
                    f"{change.header.height}, {change.header.hash().hex()}; another block, "
                    f"{known.header.height}, {known.header.hash().hex()}, is known to end it"
                )

    def validators(self, epoch: int) -> Validators:
        """Return the members of an epoch; raise `Refused` (1306) where they are not known."""
        if epoch < self.first_epoch:
            raise _invalid(
                f"epoch {epoch} ended before what is trusted here, a block of epoch "
                f"{self.first_epoch}: its members' keys prove nothing any more"
            )
        if epoch > self.last.epoch:
            raise _invalid(f"epoch {epoch} is not known, changes lead to {self.last.epoch}")
        return self._sets[epoch - self.first_epoch].validators

    def check_height(self, epoch: int, height: int) -> None:
        """Raise `Refused` (1306) unless `height` belongs to `epoch`, as far as is known."""
        begin, end = self._known(epoch), self._known(epoch + 1)
        if begin is not None and height < begin.first_height:
            raise _invalid(f"block {height} is before epoch {epoch}, from {begin.first_height} on")
        if end is not None and height >= end.first_height:
            raise _invalid(f"block {height} is after epoch {epoch}, over at {end.first_height}")

    def append(self, change: EpochChange) -> None:
        """Take in the change that follows the newest epoch; raise `Refused` (1306)."""
        least = self._changes[-1].first_height if self._changes else self.height
        if change.header.height < least:
            raise _invalid(
                f"change to epoch {self.last.epoch + 1}: at height {change.header.height}, "
                f"want {least} or more"
            )
        self._sets.append(verify_change(self.chain_id, self.last, change))
        self._changes.append(change)

    def _known(self, epoch: int) -> EpochChange | None:
        at = epoch - self.first_epoch - 1
        return self._changes[at] if 0 <= at < len(self._changes) else None


def _check_height(height: object) -> None:
    if type(height) is not int or not 1 <= height < 2**63:
        raise _invalid("activation height is not a number from 1 to 2^63 - 1")


def _invalid(text: str) -> Refused:
    return Refused(Code.EPOCH_INVALID, text)
