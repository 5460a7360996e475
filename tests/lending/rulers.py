"""A network whose members change the rules of credit by vote; each call is a block of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.errors import Code
from ledger.queries import QUERIES
from tests.ledger_harness import DAY_MS
from tests.lending.province import Province

VOTERS = ("D01", "D02", "D20", "D18")


class Rulers(Province):
    """A province with the words of the government of rules."""

    def act(self, sender: str, kind: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Execute a transaction in a block of its own; return (code, data)."""
        return self.run(self.sign(sender, kind, body))

    def propose(self, kind: str, sender: str = "D01", **fields: Any) -> tuple[int, Any]:
        """Propose a change of the rules that is open for a day."""
        body = {"change": {"kind": kind, **fields}, "expires_ms": self.head.time_ms + DAY_MS}
        return self.act(sender, "rule.propose", body)

    def decide(self, kind: str, **fields: Any) -> tuple[int, Any]:
        """Propose a change and approve it with the votes that a quorum needs."""
        code, data = self.propose(kind, **fields)
        if code != Code.OK:
            return code, data
        proposal = data["proposal"]
        for voter in VOTERS[1:3]:
            code, data = self.act(voter, "rule.approve", {"proposal": proposal})
        return code, data

    def adopt(self, source: bytes, in_days: int = 0) -> None:
        """Let a rule be adopted that must be accepted."""
        code, data = self.decide("rule", source=source, effective_from=self.day + in_days)
        assert (code, data.get("state")) == (Code.OK, "active"), data

    def status(self) -> dict[str, str]:
        """Return the state of each schema, scorecard and alert by its reference."""
        answer: Any = QUERIES["rules.status"](self.query_context("D02"), {})
        return {item["ref"]: item["state"] for item in answer["rules"]}
