"""Who may fetch the receipt of a transaction: a receipt shows who sent it and what it says.

What concerns members and rules is for everybody, and so are records, whose bodies no receipt holds.
All else (authorisations, looks, objections, assets, loans, reports, alerts) is for its sender, for
the company and the institutions that it is about, for the counters that act for companies, and for
regulators. A lender that comes second learns from no receipt who came first, even if it was told
the id of the pledge (DOMAIN.md, Financing assets).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Query, QueryContext, Role
from ledger.membership.members import COUNTER
from ledger.state.overlay import Overlay
from ledger.state.tables import (
    APPLICATIONS,
    ASSETS,
    CONSENTS,
    GUARANTEES,
    LOANS,
    OBJECTIONS,
    Table,
)
from ledger.transactions.envelope import Transaction, transaction_from_parts
from ledger.transactions.fields import Fields

_OPEN_GROUPS = frozenset({"member", "protocol", "rule", "product", "records"})
_OPEN = frozenset({"company.bind", "company.accept_code"})
# What a body names by id, and which fields of that, as it is stored, are whom it concerns.
_REFERENCES: tuple[tuple[str, Table, tuple[int, ...]], ...] = (
    ("application", APPLICATIONS, (0, 1)),  # company, lender
    ("application", GUARANTEES, (0,)),  # guarantor; a loan has the id of its application
    ("loan", LOANS, (0, 1)),
    ("loan", GUARANTEES, (0,)),
    ("asset", ASSETS, (0,)),  # owner
    ("consent", CONSENTS, (0, 1)),  # company, recipient
    ("objection", OBJECTIONS, (0, 5)),  # company, supplier of the record
)
_NAMED = ("company", "recipient", "institution")


def get_concerned(state: Overlay, transaction: Transaction) -> frozenset[str]:
    """Return its sender, and the companies and members that a transaction's body is about."""
    body = transaction.body
    found = {transaction.sender}
    found.update(body[name] for name in _NAMED if type(body.get(name)) is str)
    found.update((state.get(APPLICATIONS, transaction.id) or ())[:2])  # it made this one
    for name, table, places in _REFERENCES:
        reference = body.get(name)
        stored = state.get(table, _as_key(reference)) if type(reference) is str else None
        if table is GUARANTEES and stored is not None and not stored[1]:
            continue  # who was only asked to stand for a loan is no party to it
        if stored is not None:
            found.update(stored[place] for place in places)
    return frozenset(found)


def _as_key(reference: str) -> bytes:
    try:
        return bytes.fromhex(reference)
    except ValueError:
        return b""


def query_check(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`receipt.check` {tx_id}: raise `Rejected` (2006, 5104) unless the caller may fetch it."""
    fields = Fields(params)
    tx_id = fields.bytes32("tx_id")
    fields.done()
    fate = context.chain.fate(tx_id)
    block = None if fate is None else context.chain.block(fate[0])
    if fate is None or block is None:
        raise Rejected(Code.NOT_FOUND, "this node does not know the transaction")
    stored = block.transactions[fate[1]]
    _check_caller(context, transaction_from_parts(stored.unsigned, stored.signature, ()))
    return {}


def _check_caller(context: QueryContext, transaction: Transaction) -> None:
    caller, kind = context.caller, transaction.kind
    if kind in _OPEN or kind.partition(".")[0] in _OPEN_GROUPS:
        return
    if caller.role is Role.REGULATOR or caller.has_capability(COUNTER):
        return
    if caller.id not in get_concerned(context.state, transaction):
        raise Rejected(
            Code.NOT_PERMITTED,
            f"{caller.id} may not fetch this receipt: whoever it is for can hand it on",
        )


QUERIES: Mapping[str, Query] = {"receipt.check": query_check}
