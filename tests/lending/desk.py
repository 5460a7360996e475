"""A desk for testing handlers alone: a state, a day, and parties that hand transactions in.

It does what execution does around one handler (an overlay transaction, committed or rolled back)
and nothing else: no signatures, no blocks. Scenarios that need those run through execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ledger.errors import Rejected
from ledger.membership.context import BlockNotes, Context, Handler, Query, QueryContext
from ledger.membership.members import CompanyKey, Member, Party, Role
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES, COMPANY_KEYS, MEMBERS
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import Transaction

MS_A_DAY = 86_400_000
TODAY = 18_271  # 2020-01-10
SELLER = "91440300192185379H"
BUYER = "914403001922038216"
OTHER = "91440300708461136T"
COMPANIES = (SELLER, BUYER, OTHER)
MEMBERS_OF_DESK = {
    "D01": (Role.DEPARTMENT, frozenset({"registrar", "counter"})),
    "D02": (Role.DEPARTMENT, frozenset[str]()),
    "D18": (Role.REGULATOR, frozenset[str]()),
    "icbc": (Role.BANK, frozenset[str]()),
    "ccb": (Role.BANK, frozenset[str]()),
}


class Desk:
    """A state with members, three companies and three categories, on a day of its own."""

    def __init__(self, handlers: Mapping[str, Handler], queries: Mapping[str, Query]) -> None:
        self.handlers = handlers
        self.queries = queries
        self.state = Overlay(MemoryStore())
        self.time_ms = TODAY * MS_A_DAY
        self.height = 1
        self.rules: Any = None
        self.notes = BlockNotes()
        self.state.begin()
        for name, (role, capabilities) in MEMBERS_OF_DESK.items():
            member = Member(name, name, name, role, capabilities, bytes(32), b"", None)
            self.state.put(MEMBERS, name.encode(), member.to_value())
        for company in COMPANIES:
            key = CompanyKey(bytes(32), "Company", "D01", 1)
            self.state.put(COMPANY_KEYS, company.encode(), key.to_value())
        for category, is_personal in (("C044", False), ("C028", False), ("C060", True)):
            value = {"id": category, "access": "AUT", "has_natural_person": is_personal}
            self.state.put(CATEGORIES, category.encode(), value)
        self.state.commit()

    @property
    def day(self) -> int:
        return self.time_ms // MS_A_DAY

    def party(self, name: str) -> Party:
        if name not in MEMBERS_OF_DESK:
            return Party(name, None, None, is_company=True)
        role, capabilities = MEMBERS_OF_DESK[name]
        member = Member(name, name, name, role, capabilities, bytes(32), b"", None)
        return Party(name, role, member, is_company=False)

    def pass_days(self, days: int) -> None:
        self.time_ms += days * MS_A_DAY
        self.height += 1

    def send(self, sender: str, kind: str, /, **body: Any) -> Any:
        """Run the handler of `kind`; return its data, or raise `Rejected` and leave no trace."""
        self.height += 1
        unsigned = sha256(f"{self.height}".encode()).digest()
        transaction = Transaction(
            bytes(32), sender, bytes(32), bytes(16), 1, kind, body, unsigned, bytes(64), ()
        )
        context = Context(
            self.state,
            transaction,
            self.party(sender),
            self.height,
            0,
            self.time_ms,
            None,  # type: ignore[arg-type]
            self.rules,
            self.notes,
        )
        self.state.begin()
        try:
            data = self.handlers[kind](context)
        except Rejected:
            self.state.rollback()
            raise
        self.state.commit()
        return data

    def ask(self, caller: str, name: str, /, **body: Any) -> Any:
        """Answer a query as `caller` would see it."""
        context = QueryContext(
            self.state,
            None,  # type: ignore[arg-type]
            self.party(caller),
            self.time_ms,
            self.rules,
        )
        return self.queries[name](context, body)
