"""The evidence that an audited home keeps: each piece judged with the members of its epoch.

The members are those that the replay of the chain came to, so nothing beside the chain is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.audits.evidence import SUFFIX, Proven, judge
from commands.console import say
from commands.files import read_bytes
from ledger.audit.report import AuditReport
from ledger.chain.epochs import Validators
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.storage.home import HomeLayout


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of the home: what it proves, or why it proves nothing."""

    file: str
    proven: Proven | None
    reason: str = ""

    def to_value(self) -> dict[str, Any]:
        """Return it for JSON."""
        if self.proven is None:
            return {"file": self.file, "verdict": "PROVES NOTHING", "reason": self.reason}
        return {"file": self.file} | self.proven.to_value()


def judge_kept(home: Path, report: AuditReport) -> list[Kept]:
    """Judge every piece of evidence in a home's folder, by name; none where it keeps none."""
    files = sorted(HomeLayout(home).evidence.glob(f"*{SUFFIX}"))
    return [_judge(file, report) for file in files]


def _judge(file: Path, report: AuditReport) -> Kept:
    def validators_of(epoch: int) -> Validators:
        for span in report.epochs:
            if span.epoch == epoch:
                return span.validators
        raise Refused(Code.EPOCH_INVALID, f"the chain here does not reach epoch {epoch}")

    try:
        proven = judge(read_bytes(file), report.chain_id, validators_of, lambda _: "")
    except CreditLedgerError as error:
        return Kept(file.name, None, str(error))
    return Kept(file.name, proven)


def show_kept(kept: Sequence[Kept]) -> None:
    """Print a line for each piece."""
    for item in kept:
        if item.proven is None:
            say(f"  evidence {item.file} proves nothing: {item.reason}")
        else:
            statement = item.proven.contradiction.statement
            say(f"  evidence {item.file}: {item.proven.member} {statement}")
