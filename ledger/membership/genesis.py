"""The genesis document: everything a chain starts from; its hash is the chain id.

A canonical map (format `creditledger/genesis/1`) of members, validators, categories, rule sources,
settings and time. `parse_genesis` is strict: an unknown key, a wrong type, a key that stands twice
or a category without an owner is refused with its place (7001, 7002), because nothing of it can be
changed once the first block stands. That the rules compile is checked by
`ledger.execution.execute_genesis`, which stands above the rule language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.encoding import decode
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.keys import PUBLIC_KEY_BYTES, check_public_key
from ledger.membership.catalogue import (
    SELF_DECLARED,
    Category,
    category_from_value,
    read_name,
)
from ledger.membership.limits import (
    CHANGE_WINDOW_SETTING,
    MAX_CHANGE_WINDOW,
    MAX_MEMBERS,
    MAX_VALIDATORS,
    MIN_CHANGE_WINDOW,
    MIN_VALIDATORS,
)
from ledger.membership.members import ABROAD, COUNTER, REGISTRAR, Member, Node, Role
from ledger.membership.reading import Reading, invalid, malformed
from ledger.membership.settings import SNAPSHOT_BLOCKS, SNAPSHOT_BLOCKS_MAX
from ledger.transactions.envelope import check_name
from ledger.transactions.fields import name_type

FORMAT = "creditledger/genesis/1"
MAX_CATEGORIES = 4_096
MAX_RULES = 4_096
MAX_RULE_BYTES = 65_536
CAPABILITIES = frozenset({ABROAD, REGISTRAR, COUNTER})
_KEYS = (
    "format",
    "name",
    "time_ms",
    "clock_offset_ms",
    "members",
    "validators",
    "categories",
    "rules",
    "settings",
)
_MEMBER_KEYS = (
    "id",
    "name",
    "name_zh",
    "role",
    "capabilities",
    "public_key",
    "certificate",
    "node",
    "kind",
)


@dataclass(frozen=True, slots=True)
class Genesis:
    """The parsed document; `data` are its bytes, `category_values` its categories as they stand."""

    chain_id: bytes
    data: bytes
    name: str
    time_ms: int
    clock_offset_ms: int
    members: tuple[Member, ...]
    validators: tuple[str, ...]
    categories: tuple[Category, ...]
    category_values: tuple[Mapping[str, Any], ...]
    rules: tuple[bytes, ...]
    settings: Mapping[str, int | str | bool | bytes]

    def member(self, member_id: str) -> Member | None:
        """Return the member of that id, or None."""
        return next((item for item in self.members if item.id == member_id), None)

    def validator_keys(self) -> tuple[tuple[str, bytes], ...]:
        """Return (member id, node public key) of the validators, in their order (rule 4)."""
        nodes = {item.id: item.node.public_key for item in self.members if item.node is not None}
        return tuple((member_id, nodes[member_id]) for member_id in self.validators)


def parse_genesis(data: bytes) -> Genesis:
    """Return the document of canonical bytes; raise `Refused` 7001 or 7002 with the place."""
    try:
        value = decode(data)
    except Refused as error:
        raise Refused(Code.GENESIS_MALFORMED, f"genesis does not decode: {error}") from None
    if isinstance(value, Mapping) and value.get("format", FORMAT) != FORMAT:
        raise Refused(Code.GENESIS_MALFORMED, f"format: got another, want {FORMAT}")
    reading = Reading("", value, _KEYS)
    members = _members(reading)
    categories = tuple(
        category_from_value(place, item)
        for place, item in reading.items("categories", maximum=MAX_CATEGORIES)
    )
    _check_categories(categories, members)
    return Genesis(
        tagged_hash(GENESIS_TAG, data),
        data,
        reading.text("name"),
        reading.integer("time_ms", minimum=0, maximum=2**53),
        reading.integer("clock_offset_ms", minimum=-(2**53), maximum=2**53),
        members,
        _validators(reading, members),
        categories,
        tuple(reading.raw("categories")),
        tuple(_rule(place, item) for place, item in reading.items("rules", maximum=MAX_RULES)),
        _settings(reading),
    )


def _members(reading: Reading) -> tuple[Member, ...]:
    members: list[Member] = []
    seen: dict[str | bytes, str] = {}
    for place, item in reading.items("members", minimum=MIN_VALIDATORS, maximum=MAX_MEMBERS):
        member = _member(place, item)
        unique_items: list[str | bytes] = [member.id, member.public_key]
        if member.node is not None:
            unique_items.append(member.node.public_key)
        for unique in unique_items:
            if unique in seen:
                what = f"id {unique}" if isinstance(unique, str) else f"key {unique.hex()}"
                invalid(place, f"{what} stands already at {seen[unique]}")
            seen[unique] = place
        members.append(member)
    return tuple(members)


def _member(place: str, value: object) -> Member:
    reading = Reading(place, value, _MEMBER_KEYS)
    role = reading.text("role", maximum=64)
    if role not in {item.value for item in Role}:
        invalid(reading.at("role"), f"got {role}, want one of {', '.join(Role)}")
    capabilities = reading.texts("capabilities", maximum=len(CAPABILITIES))
    for capability in capabilities:
        if capability not in CAPABILITIES:
            wanted = ", ".join(sorted(CAPABILITIES))
            invalid(reading.at("capabilities"), f"got {capability}, want one of {wanted}")
    member_id = read_name(reading, "id")
    if len(member_id) == 18:
        invalid(reading.at("id"), "18 characters are the length of a company's code")
    if ABROAD in capabilities and reading.raw("node") is not None:
        invalid(reading.at("node"), "a member abroad runs no node: a node holds every record")
    if member_id == SELF_DECLARED:
        invalid(reading.at("id"), f"{SELF_DECLARED} stands for what companies declare themselves")
    return Member(
        member_id,
        reading.text("name"),
        reading.text("name_zh", minimum=0),
        Role(role),
        frozenset(capabilities),
        _public_key(reading),
        reading.data("certificate", minimum=1, maximum=65_536),
        _node(reading.at("node"), reading.raw("node")),
        kind=_kind(reading, role),
    )


def _kind(reading: Reading, role: str) -> str:
    """Return the supervisory class of an institution; no other member has one."""
    kind = reading.text("kind", minimum=0, maximum=64)
    if kind and role != Role.BANK:
        invalid(reading.at("kind"), f"got {kind}, but only an institution has a supervisory class")
    return kind


def _node(place: str, value: object) -> Node | None:
    if value is None:
        return None
    reading = Reading(place, value, ("public_key", "address"))
    return Node(_public_key(reading), reading.text("address"))


def _public_key(reading: Reading) -> bytes:
    key = reading.data("public_key", minimum=PUBLIC_KEY_BYTES, maximum=PUBLIC_KEY_BYTES)
    try:
        check_public_key(key)
    except CreditLedgerError as error:
        invalid(reading.at("public_key"), error.message)
    return key


def _validators(reading: Reading, members: tuple[Member, ...]) -> tuple[str, ...]:
    validators = reading.texts("validators", maximum=MAX_VALIDATORS)
    if len(validators) < MIN_VALIDATORS:
        invalid("validators", f"got {len(validators)}, want at least {MIN_VALIDATORS}")
    with_node = {member.id for member in members if member.node is not None}
    for index, member_id in enumerate(validators):
        if member_id not in with_node:
            invalid(f"validators[{index}]", f"{member_id} is no member with a node")
    return validators


def _check_categories(categories: tuple[Category, ...], members: tuple[Member, ...]) -> None:
    owners = {member.id for member in members}
    seen: set[str] = set()
    for index, category in enumerate(categories):
        if category.id in seen:
            invalid(f"categories[{index}].id", f"{category.id} stands twice")
        if category.owner not in owners and not category.is_self_declared:
            invalid(f"categories[{index}].owner", f"{category.owner} is no member")
        seen.add(category.id)


def _rule(place: str, value: object) -> bytes:
    if type(value) is not bytes:
        malformed(place, name_type(value), "bytes")
    if not 1 <= len(value) <= MAX_RULE_BYTES:
        malformed(place, f"{len(value)} bytes", f"1 to {MAX_RULE_BYTES}")
    return value


def _settings(reading: Reading) -> Mapping[str, int | str | bool | bytes]:
    value = reading.raw("settings")
    if not isinstance(value, Mapping) or len(value) > 256:
        malformed("settings", name_type(value), "map of at most 256 keys")
    settings = Reading("settings", value, tuple(value))
    for key, item in value.items():
        try:
            check_name("it", key)
        except Refused:
            invalid("settings", "a key is not a name of A-Z a-z 0-9 . _ -")
        if type(item) is str:
            settings.text(key, minimum=0)
        elif type(item) not in (int, bool, bytes):
            malformed(f"settings.{key}", name_type(item), "int, str, bool or bytes")
    if SNAPSHOT_BLOCKS in value:
        settings.integer(SNAPSHOT_BLOCKS, minimum=1, maximum=SNAPSHOT_BLOCKS_MAX)
    if CHANGE_WINDOW_SETTING in value:
        settings.integer(
            CHANGE_WINDOW_SETTING, minimum=MIN_CHANGE_WINDOW, maximum=MAX_CHANGE_WINDOW
        )
    return dict(value)
