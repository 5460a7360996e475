"""What an audit says: a verdict, the counts behind it, and the first thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ledger.audit.epochs import EpochSpan
from ledger.audit.files import FilesReport


class Verdict(Enum):
    """VALID: every check passed. INVALID: the chain or the state is not what was certified.
    DAMAGED: files are broken by their own checksums, nothing beyond was looked at.
    UNPROVEN: every check passed, but the chain ends before the block that is trusted: it may be an
    older copy of that chain, or another one that past members' keys could make (F89)."""

    VALID = "VALID"
    UNPROVEN = "UNPROVEN"
    INVALID = "INVALID"
    DAMAGED = "DAMAGED"


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: block, transaction where there is one, part, reason.

    `epoch` is that of the block where it is above 0.
    """

    part: str
    reason: str
    height: int | None = None
    position: int | None = None
    transaction_id: bytes | None = None
    epoch: int | None = None

    def __str__(self) -> str:
        place = []
        if self.height is not None:
            epoch = f" of epoch {self.epoch}" if self.epoch else ""
            place.append(f"block {self.height}{epoch}")
        if self.position is not None:
            place.append(f"transaction {self.position}")
        if self.transaction_id is not None:
            place.append(f"id {self.transaction_id.hex()}")
        return f"{', '.join([*place, self.part])}: {self.reason}"


class FoundError(Exception):
    """Ends a replay with its finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def fault(
    part: str,
    reason: str,
    height: int,
    position: int | None = None,
    transaction_id: bytes | None = None,
) -> FoundError:
    """Return the error that ends a replay at this place."""
    return FoundError(Finding(part, reason, height, position, transaction_id))


@dataclass(slots=True)
class AuditCounts:
    """What was checked. Signatures are those of transactions; each certificate has Q more."""

    blocks: int = 0
    transactions: int = 0
    records: int = 0
    signatures: int = 0
    certificates: int = 0
    state_entries: int = 0

    def to_value(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class AuditReport:
    """The verdict, and what it rests on.

    `chain_id` is the anchor: the hash of the genesis document that was trusted. `head` is the last
    block that is there, `certified` the last with a certificate: what lies above proves nothing,
    though it was replayed. `trusted` is the height of a later block that is trusted too, by its
    receipt. `epochs` are those that the chain went through, with their members. `finding` is set
    when INVALID or UNPROVEN, `files.damages` when DAMAGED.
    """

    verdict: Verdict = Verdict.VALID
    chain_id: bytes = b""
    is_anchor_given: bool = False
    head: int = 0
    certified: int = 0
    trusted: int | None = None
    epochs: tuple[EpochSpan, ...] = ()
    counts: AuditCounts = field(default_factory=AuditCounts)
    files: FilesReport = field(default_factory=FilesReport)
    finding: Finding | None = None

    @property
    def uncertified(self) -> int:
        """How many blocks at the end have no certificate yet."""
        return self.head - self.certified
