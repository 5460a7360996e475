"""Acts and questions about early warnings, institutions' figures, limits and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert and its state."""

    alert: str
    state: str


@dataclass(frozen=True, slots=True)
class HandleAlert(Act[AlertState]):
    """By a regulator: acknowledge, escalate (`to` whom, `due_day`), dismiss or resolve."""

    kind: ClassVar[str] = "alert.ack"
    alert: str
    outcome: str | None = None
    note: str | None = None
    to: str | None = None
    due_day: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of an alert."""

    alert: str
    verdict: str


@dataclass(frozen=True, slots=True)
class JudgeAlert(Act[Verdict]):
    """Was the alert right or wrong? From this, precision is measured."""

    kind: ClassVar[str] = "alert.feedback"
    alert: str
    verdict: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How many companies were looked at; what happened: (rule, event) by company."""

    companies: int
    happened: Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class ReviewCompanies(Act[Reviewed]):
    """By a regulator: evaluate all rules of up to 200 companies as of today."""

    kind: ClassVar[str] = "alert.review"
    companies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutcomeTold:
    """Whether a company is known to be in trouble."""

    company: str
    is_troubled: bool


@dataclass(frozen=True, slots=True)
class TellOutcome(Act[OutcomeTold]):
    """By a regulator: what became of a company; from this, recall is measured."""

    kind: ClassVar[str] = "company.outcome"
    company: str
    is_troubled: bool
    day: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: its rule, why it was raised, and what was done with it."""

    alert: str
    rule: str
    rule_hash: bytes
    company: str
    severity: str
    reason: str
    text: str
    when: str
    inputs: tuple[tuple[str, Any], ...]
    day: int
    height: int
    is_repeat: bool
    state: str
    cleared_day: int | None
    handled_by: str
    handled_day: int | None
    note: str
    due_day: int | None = None
    escalated_to: str = ""
    feedback: str = ""
    is_late: bool = False
    institution: str = ""
    recipient: str = ""
    repeats: str = ""
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts in the order they were raised; `waiting` companies are not yet looked at."""

    alerts: tuple[Alert, ...]
    cursor: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ListAlerts(Ask[Alerts]):
    """Alerts from a block on or after a cursor; ask again with the answer's cursor to follow."""

    name: ClassVar[str] = "alerts.list"
    from_height: int | None = None
    cursor: int | None = None
    company: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShowAlert(Ask[Alert]):
    """One alert."""

    name: ClassVar[str] = "alert.show"
    alert: str


@dataclass(frozen=True, slots=True)
class Watched:
    """Which rules hold of a company now, and whether it is on the watch list."""

    company: str
    rules: tuple[str, ...]
    is_watched: bool


@dataclass(frozen=True, slots=True)
class WatchCompany(Ask[Watched]):
    """The rules that hold of a company."""

    name: ClassVar[str] = "alerts.watch"
    company: str


@dataclass(frozen=True, slots=True)
class RuleQuality:
    """How a rule did by what is known; shares in basis points, None where nothing is known."""

    rule: str
    alerts: int
    companies: int
    right: int
    wrong: int
    precision_bp: int | None
    troubled: int
    caught: int
    recall_bp: int | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Precision and recall of all rules, from feedback and outcomes."""

    rules: tuple[RuleQuality, ...]
    outcomes: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ShowQuality(Ask[Quality]):
    """How good the alerts are."""

    name: ClassVar[str] = "alerts.quality"


@dataclass(frozen=True, slots=True)
class Reported:
    """An institution's report, and how it meets the loans that the ledger knows."""

    institution: str
    day: int
    version: int
    reconciled: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportFigures(Act[Reported]):
    """By an institution: its net assets, total assets, capital, funds and balances on a day."""

    kind: ClassVar[str] = "institution.report"
    day: int
    net_assets_fen: int | None = None
    total_assets_fen: int | None = None
    registered_capital_fen: int | None = None
    funds_fen: int | None = None
    balances: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class GroupDeclared:
    """A group and how many companies were put in it."""

    group: str
    companies: int


@dataclass(frozen=True, slots=True)
class DeclareGroup(Act[GroupDeclared]):
    """By a regulator: these companies are one borrower."""

    kind: ClassVar[str] = "group.declare"
    companies: tuple[str, ...]
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Institution:
    """What an institution reported, and what the ledger knows beside it."""

    institution: str
    kind: str
    ledgered_fen: int
    ledgered_guarantees_fen: int
    latest: Any
    reconciled: Mapping[str, Any]
    reports: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ShowInstitution(Ask[Institution]):
    """One institution's figures."""

    name: ClassVar[str] = "institution.show"
    institution: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The prudential limits of an institution and how far each is used, each a map."""

    institution: str
    kind: str
    reported_day: int | None
    limits: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ShowLimits(Ask[Limits]):
    """How an institution stands against its limits."""

    name: ClassVar[str] = "exposure.limits"
    institution: str


@dataclass(frozen=True, slots=True)
class Group:
    """A company's group, and the links that make it one."""

    company: str
    companies: tuple[str, ...]
    is_complete: bool
    links: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ShowGroup(Ask[Group]):
    """Who stands or falls with a company."""

    name: ClassVar[str] = "exposure.group"
    company: str


@dataclass(frozen=True, slots=True)
class Circle:
    """Companies that guarantee one another; `cycle` is a shortest round through the first."""

    companies: tuple[str, ...]
    count: int
    links: int
    amount_fen: int
    cycle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Circles:
    """Guarantee circles and dense groups, those with most at stake first."""

    circles: tuple[Circle, ...]
    dense: tuple[Circle, ...]
    links: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ListCircles(Ask[Circles]):
    """By a regulator: every circle and dense group."""

    name: ClassVar[str] = "circles.list"


@dataclass(frozen=True, slots=True)
class GuaranteeLink:
    """One guarantee, the records it rests on, and the proof of its entry in the state."""

    guarantor: str
    debtor: str
    amount_fen: int
    is_self_declared: bool
    records: tuple[Any, ...]
    value: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class CircleShown:
    """The circle that a company is in, if any; `header` is the block that the proofs lead to."""

    company: str
    circle: Circle | None
    links: tuple[GuaranteeLink, ...]
    is_complete: bool
    header: bytes


@dataclass(frozen=True, slots=True)
class ShowCircle(Ask[CircleShown]):
    """By a regulator: a company's circle, with proofs."""

    name: ClassVar[str] = "circles.show"
    company: str
