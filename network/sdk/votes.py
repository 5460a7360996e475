"""Acts and questions about members, votes, rules, rates and settings.

What a proposal would change is a map with its `kind` (docs/OPERATING.md for members,
docs/adr for rules); the commands `member` and `rules` build them from files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class Ballot:
    """How a vote stands; the approvals only while it is open or carried."""

    proposal: bytes
    number: int
    state: str
    approvals: int | None = None
    needed: int | None = None
    active_from: int | None = None


@dataclass(frozen=True, slots=True)
class ProposeMember(Act[Ballot]):
    """By a validator: add, promote, demote, remove or change a member."""

    kind: ClassVar[str] = "member.propose"
    change: Mapping[str, Any]
    expires_ms: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ApproveMember(Act[Ballot]):
    """By a validator."""

    kind: ClassVar[str] = "member.approve"
    proposal: bytes


@dataclass(frozen=True, slots=True)
class WithdrawMember(Act[Ballot]):
    """By who proposed it."""

    kind: ClassVar[str] = "member.withdraw"
    proposal: bytes


@dataclass(frozen=True, slots=True)
class ProposeRule(Act[Ballot]):
    """By a validator: a rule, an end of an alert, a category, rates, a setting."""

    kind: ClassVar[str] = "rule.propose"
    change: Mapping[str, Any]
    expires_ms: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ApproveRule(Act[Ballot]):
    """By a validator."""

    kind: ClassVar[str] = "rule.approve"
    proposal: bytes


@dataclass(frozen=True, slots=True)
class WithdrawRule(Act[Ballot]):
    """By who proposed it."""

    kind: ClassVar[str] = "rule.withdraw"
    proposal: bytes


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal: what it would change, who approved, who has not."""

    id: bytes
    number: int
    kind: str
    member: str
    change: Any
    proposer: str
    height: int
    time_ms: int
    expires_ms: int
    note: str
    state: str
    active_from: int | None
    approved: tuple[str, ...]
    missing: tuple[str, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class Proposals:
    """Proposals, the newest first; go on from `cursor` unless it is None."""

    proposals: tuple[Proposal, ...]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class ListProposals(Ask[Proposals]):
    """All proposals, or those that are open."""

    name: ClassVar[str] = "proposals.list"
    is_open: bool | None = None
    cursor: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShowProposal(Ask[Proposal]):
    """One proposal."""

    name: ClassVar[str] = "proposals.show"
    proposal: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its role, its public key, its node where it runs one."""

    id: str
    name: str
    name_zh: str
    role: str
    kind: str
    capabilities: tuple[str, ...]
    public_key: bytes
    node: Any
    node_key: bytes | None
    validator: int | None
    standing: str
    ready_ms: int | None


@dataclass(frozen=True, slots=True)
class ListMembers(Ask[tuple[Member, ...]]):
    """All members."""

    name: ClassVar[str] = "members.list"


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A registered rule document."""

    kind: str
    ref: str
    owner: str
    height: int


@dataclass(frozen=True, slots=True)
class ListRules(Ask[tuple[RuleEntry, ...]]):
    """All rule documents, or those of one kind."""

    name: ClassVar[str] = "rules.list"
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A rule as its author registered it."""

    source: bytes
    owner: str
    height: int


@dataclass(frozen=True, slots=True)
class ShowRule(Ask[RuleSource]):
    """The source of one rule."""

    name: ClassVar[str] = "rules.show"
    kind: str
    ref: str


@dataclass(frozen=True, slots=True)
class RuleStanding:
    """A rule and its time: from which day, to which, and whether it is in force."""

    kind: str
    ref: str
    owner: str
    height: int
    effective_from: int | None
    last_day: int | None
    state: str
    records: Any = None


@dataclass(frozen=True, slots=True)
class RuleStandings:
    """How all rules stand."""

    rules: tuple[RuleStanding, ...]


@dataclass(frozen=True, slots=True)
class ShowRuleStandings(Ask[RuleStandings]):
    """How all rules stand today."""

    name: ClassVar[str] = "rules.status"


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of a currency by day; `today_ppm` millionths of a CNY for one unit."""

    currency: str
    rates: tuple[Any, ...]
    today_ppm: int | None


@dataclass(frozen=True, slots=True)
class ListRates(Ask[Rates]):
    """The rates that were voted."""

    name: ClassVar[str] = "rates.list"
    currency: str
    from_day: int
    to_day: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that may be changed by vote, its bounds and its changes."""

    name: str
    text: str
    lowest: int
    highest: int
    value: int
    changes: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class ListSettings(Ask[Settings]):
    """The settings that a vote may change."""

    name: ClassVar[str] = "settings.list"
