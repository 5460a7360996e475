"""Members and the parties that sign: who a sender is, and whether the key is his (rule 17).

A member is a department, a financial institution, a regulator or an observer; its entry in MEMBERS
holds the key that signs its transactions and, if it runs a node, the key that signs its votes. A
company signs under its own code with the key that the registrar bound to it (COMPANY_KEYS). Keys
that were replaced are remembered, so that an old key is told apart from a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.chain.epochs import EpochSet, PendingSet
from ledger.errors import Code, LocalError, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_KEYS, MEMBERS, SETTINGS

COMPANY_CODE_LENGTH = 18
REGISTRAR = "registrar"  # may bind company keys and accept legacy codes
COUNTER = "counter"  # may act for a company that stands at its counter
# It is abroad: it sees only what a company lets leave the country, and runs no node, because every
# node holds every record.
ABROAD = "abroad"
VALIDATORS_KEY = b"~validators"


class Role(StrEnum):
    """What a member is; BANK stands for any financial institution."""

    DEPARTMENT = "department"
    BANK = "institution"
    REGULATOR = "regulator"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Node:
    """A member's node: the key that signs its votes, and where its peers find it."""

    public_key: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Member:
    """One member; `certificate` is the DER of the self-signed CA certificate of `public_key`.

    `kind` is an institution's supervisory class, by which prudential limits apply; else empty.
    `revoked_keys` are those that signed for it or its node before. A member that was removed stays
    on record, for what it said still stands: it has no node, and all its keys are revoked.
    """

    id: str
    name: str
    name_zh: str
    role: Role
    capabilities: frozenset[str]
    public_key: bytes
    certificate: bytes
    node: Node | None
    revoked_keys: tuple[bytes, ...] = ()
    kind: str = ""
    is_removed: bool = False

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that MEMBERS holds."""
        value = (
            self.id,
            self.name,
            self.name_zh,
            self.role.value,
            tuple(sorted(self.capabilities)),
            self.public_key,
            self.certificate,
            None if self.node is None else (self.node.public_key, self.node.address),
            self.revoked_keys,
            self.kind,
        )
        return (*value, True) if self.is_removed else value


def member_from_value(value: Any) -> Member:
    """Return the member of a MEMBERS entry."""
    member_id, name, name_zh, role, capabilities, public_key, certificate = value[:7]
    node, revoked, kind = value[7:10]
    return Member(
        member_id,
        name,
        name_zh,
        Role(role),
        frozenset(capabilities),
        public_key,
        certificate,
        None if node is None else Node(*node),
        revoked,
        kind,
        len(value) > 10,
    )


@dataclass(frozen=True, slots=True)
class Party:
    """Who signed: a member, or a company (whose id is its code)."""

    id: str
    role: Role | None
    member: Member | None
    is_company: bool

    def has_capability(self, capability: str) -> bool:
        """Tell whether this is a member that holds `capability`."""
        return self.member is not None and capability in self.member.capabilities


@dataclass(frozen=True, slots=True)
class CompanyKey:
    """The key bound to a company's code, by whom and when."""

    public_key: bytes
    name: str
    registrar: str
    height: int
    revoked_keys: tuple[bytes, ...] = ()

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that COMPANY_KEYS holds."""
        return (self.public_key, self.name, self.registrar, self.height, self.revoked_keys)


def get_member(state: Overlay, member_id: str) -> Member | None:
    """Return the member of that id, or None."""
    value = state.get(MEMBERS, member_id.encode())
    return None if value is None else member_from_value(value)


def get_members(state: Overlay) -> Iterator[Member]:
    """Yield every member, by id."""
    for _, value in state.scan(MEMBERS, b""):
        yield member_from_value(value)


def get_company_key(state: Overlay, company: str) -> CompanyKey | None:
    """Return the key bound to the company, or None."""
    value = state.get(COMPANY_KEYS, company.encode())
    return None if value is None else CompanyKey(*value)


class Senders:
    """Who signs in one state; entries that did not change are decoded once."""

    __slots__ = ("_known", "_state")

    def __init__(self, state: Overlay) -> None:
        self._state = state
        self._known: dict[str, tuple[Any, Member]] = {}

    def resolve(self, sender: str, public_key: bytes) -> Party:
        """Return who `sender` is; raise `Rejected` (2003–2005) unless the key is its own now."""
        member = self._member(sender)
        if member is not None:
            current = None if member.is_removed else member.public_key
            _check_key(f"member {sender}", public_key, current, member.revoked_keys)
            return Party(sender, member.role, member, False)
        if len(sender) == COMPANY_CODE_LENGTH:
            bound = get_company_key(self._state, sender)
            if bound is not None:
                _check_key(f"company {sender}", public_key, bound.public_key, bound.revoked_keys)
                return Party(sender, None, None, True)
        raise Rejected(
            Code.SENDER_UNKNOWN, f"sender {sender} is neither a member nor a bound company"
        )

    def resolve_node(self, sender: str, public_key: bytes) -> Party:
        """Return who `sender` is when the key may also be that of the member's own node.

        For what a node says for itself (`member.ready`); raises as `resolve` does.
        """
        member = self._member(sender)
        node = None if member is None else member.node
        if member is not None and node is not None and public_key == node.public_key:
            return Party(sender, member.role, member, False)
        return self.resolve(sender, public_key)

    def _member(self, sender: str) -> Member | None:
        value = self._state.get(MEMBERS, sender.encode())
        if value is None:
            return None
        known = self._known.get(sender)
        # The overlay gives the same object until the entry changes.
        if known is None or known[0] is not value:
            known = (value, member_from_value(value))
            self._known[sender] = known
        return known[1]


def _check_key(who: str, given: bytes, current: bytes | None, revoked: Sequence[bytes]) -> None:
    if given == current:
        return
    if given in revoked:
        raise Rejected(Code.KEY_REVOKED, f"key of {who} was revoked")
    raise Rejected(Code.KEY_NOT_SENDERS, f"key is not that of {who}")


def get_validators(state: Overlay) -> tuple[tuple[str, bytes], ...]:
    """Return (member id, node public key) of the validators in force, in their order (rule 4)."""
    pairs = []
    for member_id in state.get(SETTINGS, VALIDATORS_KEY) or ():
        member = get_member(state, member_id)
        if member is None or member.node is None:
            raise LocalError(Code.INTERNAL, f"validator {member_id} has no node")
        pairs.append((member_id, member.node.public_key))
    return tuple(pairs)


def compute_members_root(
    epoch: int, validators: Sequence[tuple[str, bytes]], pending: PendingSet | None = None
) -> bytes:
    """Return the header's `members_root`: the set in force and the pending change (rule 2).

    All three are those of the height after the header's.
    """
    return EpochSet(epoch, tuple(validators), pending).root()
