"""The changes of membership that can be proposed, and what each does to the members as they stand.

`read_change` takes a change from a body; `compute_outcome` says what it would make of a
`Standing`, or raises why it may not be: the same function judges a proposal when it is made, again
when it is decided, and carries it out. It is pure, alters one member and perhaps the list of
validators, and writes nothing. Who may propose and how many must approve is not asked here.

| kind | what it does |
| --- | --- |
| add_member | a new member without a node, or a removed one again, under a new key |
| add_observer | a member's node, which follows the chain and does not vote |
| promote | an observer becomes the last of the validators |
| demote | a validator becomes an observer |
| remove | membership and node end; the keys are revoked for ever |
| rotate_node_key | the node's votes are signed by a new key |
| rotate_key | the member's transactions and certificates are signed by a new key |
| set_address | where the node is found |
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

from ledger.chain.epochs import Validators
from ledger.errors import Code, Rejected
from ledger.keys import SIGNATURE_BYTES
from ledger.membership.limits import (
    MAX_MEMBERS,
    MAX_REVOKED_KEYS,
    MAX_VALIDATORS,
    MIN_VALIDATORS,
)
from ledger.membership.members import (
    ABROAD,
    COMPANY_CODE_LENGTH,
    COUNTER,
    REGISTRAR,
    Member,
    Node,
    Role,
)
from ledger.membership.possession import KeyRole, check_certificate_key, check_possession
from ledger.transactions.fields import Fields

MAX_CERTIFICATE_BYTES = 65_536
_CAPABILITIES = frozenset({ABROAD, COUNTER, REGISTRAR})
_HOST_CHARACTERS = frozenset(string.ascii_letters + string.digits + ".-_:[]")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a change is judged against: every member, removed ones too, and who votes, in order.

    `reserved` are keys of a decided change that is not yet active.
    """

    chain_id: bytes
    members: Mapping[str, Member]
    validators: tuple[str, ...]
    reserved: frozenset[bytes] = frozenset()

    def member(self, member_id: str) -> Member:
        """Return a member that was not removed; raise `Rejected` (2601)."""
        member = self.members.get(member_id)
        if member is None or member.is_removed:
            raise Rejected(Code.MEMBER_UNKNOWN, f"no member {member_id}")
        return member

    def with_node(self, member_id: str) -> tuple[Member, Node]:
        """Return a member with its node; raise `Rejected` (2601, 2609)."""
        member = self.member(member_id)
        if member.node is None:
            raise Rejected(Code.MEMBER_STATE, f"member {member_id} has no node: add_observer first")
        return member, member.node

    def voting(self) -> Validators:
        """Return (member id, node key) of the validators, in order."""
        return tuple((name, self.with_node(name)[1].public_key) for name in self.validators)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change makes: the entry of the one member that it alters, and who votes then."""

    member: Member
    validators: Validators


@dataclass(frozen=True, slots=True)
class AddMember:
    """A new member without a node; `certificate` is the DER of its self-signed CA certificate.

    `supervisory_class` is an institution's, as in genesis; empty for any other.
    """

    member: str
    name: str
    name_zh: str
    role: Role
    supervisory_class: str
    capabilities: frozenset[str]
    public_key: bytes
    certificate: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class AddObserver:
    """A node for a member that has none."""

    member: str
    public_key: bytes
    address: str
    proof: bytes


@dataclass(frozen=True, slots=True)
class Promote:
    """The member's node votes from now on."""

    member: str


@dataclass(frozen=True, slots=True)
class Demote:
    """The member's node follows and does not vote."""

    member: str


@dataclass(frozen=True, slots=True)
class Remove:
    """The member takes no part any more."""

    member: str


@dataclass(frozen=True, slots=True)
class RotateNodeKey:
    """A new key for the member's node."""

    member: str
    public_key: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class RotateKey:
    """A new key and CA certificate for the member itself."""

    member: str
    public_key: bytes
    certificate: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class SetAddress:
    """Another address for the member's node."""

    member: str
    address: str


Change: TypeAlias = (
    AddMember | AddObserver | Promote | Demote | Remove | RotateNodeKey | RotateKey | SetAddress
)

KINDS: Mapping[str, type[Change]] = {
    "add_member": AddMember,
    "add_observer": AddObserver,
    "promote": Promote,
    "demote": Demote,
    "remove": Remove,
    "rotate_node_key": RotateNodeKey,
    "rotate_key": RotateKey,
    "set_address": SetAddress,
}


def read_change(fields: Fields) -> Change:
    """Return the change of a body's map, its form checked; raise `Rejected` (2008)."""
    kind = KINDS[fields.choice("kind", KINDS)]
    values: dict[str, Any] = {"member": fields.identifier("member")}
    names = kind.__dataclass_fields__
    if kind is AddMember:
        values |= {
            "name": fields.text("name"),
            "name_zh": fields.text("name_zh", minimum=0),
            "role": Role(fields.choice("role", [role.value for role in Role])),
            "supervisory_class": fields.optional_text("supervisory_class", maximum=64) or "",
            "capabilities": frozenset(fields.texts("capabilities", minimum=0, maximum=2)),
        }
    if "public_key" in names:
        values["public_key"] = fields.bytes32("public_key")
        values["proof"] = fields.bytes_("proof", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES)
    if "certificate" in names:
        values["certificate"] = fields.bytes_(
            "certificate", minimum=1, maximum=MAX_CERTIFICATE_BYTES
        )
    if "address" in names:
        values["address"] = _read_address(fields.text("address"))
    fields.done()
    change: Change = kind(**values)
    if isinstance(change, AddMember):
        _check_new_member(change)
    return change


def _read_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536
    if not host or not _HOST_CHARACTERS.issuperset(host) or not is_port:
        raise Rejected(
            Code.BODY_MALFORMED, "field change.address: got another text, want host:port"
        )
    return text


def _check_new_member(change: AddMember) -> None:
    if len(change.member) == COMPANY_CODE_LENGTH:
        raise Rejected(
            Code.BODY_MALFORMED,
            f"field change.member: {COMPANY_CODE_LENGTH} characters are a company's code",
        )
    if change.supervisory_class and change.role is not Role.BANK:
        raise Rejected(
            Code.BODY_MALFORMED,
            "field change.supervisory_class: only an institution has a supervisory class",
        )
    if not change.capabilities <= _CAPABILITIES:
        wanted = ", ".join(sorted(_CAPABILITIES))
        raise Rejected(Code.BODY_MALFORMED, f"field change.capabilities: want of {wanted}")


def compute_outcome(standing: Standing, change: Change) -> Outcome:
    """Return what the change makes of `standing`; raise `Rejected` (1102, 26xx) if it may not."""
    voting = standing.voting()
    match change:
        case AddMember():
            return Outcome(_added(standing, change), voting)
        case AddObserver():
            return Outcome(_observing(standing, change), voting)
        case Promote(member_id):
            return _promoted(standing, member_id)
        case Demote(member_id):
            _check_validator(standing, member_id)
            return Outcome(standing.member(member_id), _without(voting, member_id))
        case Remove(member_id):
            return Outcome(_removed(standing.member(member_id)), _without(voting, member_id))
        case RotateNodeKey():
            return _node_key_rotated(standing, change)
        case RotateKey():
            return Outcome(_key_rotated(standing, change), voting)
        case SetAddress(member_id, address):
            member, node = standing.with_node(member_id)
            if node.address == address:
                _refuse(f"the node of {member_id} has the address {address} already")
            return Outcome(replace(member, node=replace(node, address=address)), voting)


def _added(standing: Standing, change: AddMember) -> Member:
    before = standing.members.get(change.member)
    if before is not None and not before.is_removed:
        raise Rejected(Code.MEMBER_EXISTS, f"member {change.member} exists")
    if before is None and len(standing.members) >= MAX_MEMBERS:
        _refuse(f"there are {MAX_MEMBERS} members already, removed ones included")
    _check_new_key(standing, change.member, KeyRole.MEMBER, change.public_key, change.proof)
    check_certificate_key(change.member, change.certificate, change.public_key)
    return Member(
        change.member,
        change.name,
        change.name_zh,
        change.role,
        change.capabilities,
        change.public_key,
        change.certificate,
        None,
        () if before is None else before.revoked_keys,
        change.supervisory_class,
    )


def _observing(standing: Standing, change: AddObserver) -> Member:
    member = standing.member(change.member)
    if member.node is not None:
        _refuse(f"member {change.member} has a node already: rotate_node_key or set_address")
    if ABROAD in member.capabilities:
        _refuse(f"member {change.member} is abroad: a node holds every record, so it runs none")
    _check_new_key(standing, change.member, KeyRole.NODE, change.public_key, change.proof)
    return replace(member, node=Node(change.public_key, change.address))


def _promoted(standing: Standing, member_id: str) -> Outcome:
    member, node = standing.with_node(member_id)
    if member_id in standing.validators:
        _refuse(f"member {member_id} is a validator already")
    if len(standing.validators) >= MAX_VALIDATORS:
        raise Rejected(
            Code.VALIDATORS_BOUNDS,
            f"{len(standing.validators)} validators, want at most {MAX_VALIDATORS}: demote one",
        )
    return Outcome(member, (*standing.voting(), (member_id, node.public_key)))


def _node_key_rotated(standing: Standing, change: RotateNodeKey) -> Outcome:
    member, node = standing.with_node(change.member)
    _check_new_key(standing, change.member, KeyRole.NODE, change.public_key, change.proof)
    after = replace(
        member,
        node=replace(node, public_key=change.public_key),
        revoked_keys=_revoked(member, node.public_key),
    )
    voting = tuple(
        (name, change.public_key if name == change.member else key)
        for name, key in standing.voting()
    )
    return Outcome(after, voting)


def _key_rotated(standing: Standing, change: RotateKey) -> Member:
    member = standing.member(change.member)
    _check_new_key(standing, change.member, KeyRole.MEMBER, change.public_key, change.proof)
    check_certificate_key(change.member, change.certificate, change.public_key)
    return replace(
        member,
        public_key=change.public_key,
        certificate=change.certificate,
        revoked_keys=_revoked(member, member.public_key),
    )


def _removed(member: Member) -> Member:
    keys = [member.public_key] + ([] if member.node is None else [member.node.public_key])
    return replace(member, node=None, revoked_keys=(*member.revoked_keys, *keys), is_removed=True)


def _revoked(member: Member, key: bytes) -> tuple[bytes, ...]:
    if len(member.revoked_keys) >= MAX_REVOKED_KEYS:
        _refuse(f"member {member.id} had {MAX_REVOKED_KEYS} keys already")
    return (*member.revoked_keys, key)


def _check_validator(standing: Standing, member_id: str) -> None:
    standing.member(member_id)
    if member_id not in standing.validators:
        _refuse(f"member {member_id} is no validator")


def _without(voting: Validators, member_id: str) -> Validators:
    after = tuple(item for item in voting if item[0] != member_id)
    if len(after) < len(voting) and len(after) < MIN_VALIDATORS:
        raise Rejected(
            Code.VALIDATORS_BOUNDS,
            f"{len(after)} validators would be left without {member_id}, want at least "
            f"{MIN_VALIDATORS}: promote another member first",
        )
    return after


def _check_new_key(
    standing: Standing, member_id: str, role: KeyRole, key: bytes, proof: bytes
) -> None:
    """Raise unless the key is sound, proven, and never was anybody's (F83, F85)."""
    check_possession(standing.chain_id, member_id, role, key, proof)
    if key in standing.reserved:
        raise Rejected(Code.KEY_IN_USE, "key is that of a change that is not yet active")
    for member in standing.members.values():
        node_key = None if member.node is None else member.node.public_key
        if key in (member.public_key, node_key, *member.revoked_keys):
            was = "was once" if key in member.revoked_keys else "is"
            raise Rejected(Code.KEY_IN_USE, f"key {was} that of {member.id}: make a new one")


def _refuse(text: str) -> NoReturn:
    raise Rejected(Code.MEMBER_STATE, text)
