"""Groups: companies that stand or fall together, so that what they owe is added up.

Two companies are related when one holds half or more of the other, by the registrar's records of
outbound investments (C011, which name the other by its code), or when a regulator has declared them
one group (`group.declare`). Shareholders of record C008 are names and not codes, and two companies
may bear one name, so they relate nobody. A group is everything reached over such links, at most
MAX_GROUP companies: a larger one is cut there, and says so.

RELATED_COMPANIES holds every link in both directions: company ‖ what says so ‖ the other company,
and for declared groups the group's name and its members.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ledger.errors import Code, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import RELATED_COMPANIES

CONTROL_BP = 5_000
MAX_GROUP = 200
_OWNED, _OWNER, _DECLARED = b"o", b"p", b"g"
_MEMBERS = b"group:"  # no company's code begins with lower-case letters
_SEPARATOR = b"\x00"


def get_group(state: Overlay, company: str) -> tuple[tuple[str, ...], bool]:
    """Return (the companies of the group, itself included, in order; whether that is all)."""
    found = {company}
    queue = deque([company])
    while queue:
        for other in _get_related(state, queue.popleft()):
            if other in found:
                continue
            if len(found) >= MAX_GROUP:
                return tuple(sorted(found)), False
            found.add(other)
            queue.append(other)
    return tuple(sorted(found)), True


def get_links(state: Overlay, company: str) -> tuple[tuple[str, str], ...]:
    """Return (why, other company) of every link of a company: "holds", "held by", "declared"."""
    found: list[tuple[str, str]] = []
    for mark, why in ((_OWNED, "holds"), (_OWNER, "held by")):
        prefix = company.encode() + mark
        found += [
            (why, key[len(prefix) :].decode()) for key, _ in state.scan(RELATED_COMPANIES, prefix)
        ]
    group = state.get(RELATED_COMPANIES, company.encode() + _DECLARED)
    if group is not None:
        found += [("declared", other) for other in get_declared(state, group) if other != company]
    return tuple(found)


def get_declared(state: Overlay, group: str) -> tuple[str, ...]:
    """Return the members of a declared group, in order."""
    found: tuple[str, ...] = state.get(RELATED_COMPANIES, _group_key(group)) or ()
    return found


def put_holdings(state: Overlay, company: str, held: Iterable[str]) -> bool:
    """Let `held` be the companies that `company` controls; return whether that is another set."""
    prefix = company.encode() + _OWNED
    before = {key[len(prefix) :].decode() for key, _ in state.scan(RELATED_COMPANIES, prefix)}
    after = {other for other in held if other != company}
    for other in sorted(before ^ after):
        value = 1 if other in after else None
        state.put(RELATED_COMPANIES, prefix + other.encode(), value)
        state.put(RELATED_COMPANIES, other.encode() + _OWNER + company.encode(), value)
    return before != after


def declare_group(state: Overlay, company: str, group: str | None) -> None:
    """Put a company into a declared group, or (None) out of the one it is in; `Rejected` 2416."""
    key = company.encode() + _DECLARED
    before = state.get(RELATED_COMPANIES, key)
    if before is not None:
        left = tuple(other for other in get_declared(state, before) if other != company)
        state.put(RELATED_COMPANIES, _group_key(before), left or None)
    if group is None:
        state.delete(RELATED_COMPANIES, key)
        return
    members = get_declared(state, group)
    if len(members) >= MAX_GROUP:
        raise Rejected(Code.GROUP_TOO_LARGE, f"group {group} has {MAX_GROUP} companies already")
    state.put(RELATED_COMPANIES, key, group)
    state.put(RELATED_COMPANIES, _group_key(group), tuple(sorted((*members, company))))


def _get_related(state: Overlay, company: str) -> Iterable[str]:
    return (other for _, other in get_links(state, company))


def _group_key(group: str) -> bytes:
    return _MEMBERS + group.encode() + _SEPARATOR
