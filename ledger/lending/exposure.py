"""Exposure: what is owed to each lender by each borrower, as totals kept while loans are booked.

Two entries are kept for each move of principal: one of the borrower with the lender (a company
entry) and one of the lender over all borrowers. Both are sums of principal in fen and counts; they
equal the sums over the loans at any height, which the tests hold against a naive count.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ledger.errors import Code, LocalError
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_EXPOSURES, LENDER_EXPOSURES


@dataclass(frozen=True, slots=True)
class Exposure:
    """Totals in fen: drawn, repaid and written off ever, and how many loans are open."""

    drawn_fen: int = 0
    repaid_fen: int = 0
    loans_open: int = 0
    written_off_fen: int = 0

    @property
    def outstanding_fen(self) -> int:
        """Principal that is still owed."""
        return self.drawn_fen - self.repaid_fen - self.written_off_fen

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def moved(self, drawn_fen: int, repaid_fen: int, loans: int, written_off_fen: int) -> Exposure:
        """Return the totals after a move; raise `LocalError` if one would be negative."""
        after = Exposure(
            self.drawn_fen + drawn_fen,
            self.repaid_fen + repaid_fen,
            self.loans_open + loans,
            self.written_off_fen + written_off_fen,
        )
        if after.outstanding_fen < 0 or after.loans_open < 0:
            raise LocalError(Code.INTERNAL, "an exposure below zero")
        return after


def get_company_exposure(state: Overlay, company: str, lender: str) -> Exposure:
    """Return what the company owes to the lender."""
    value = state.get(COMPANY_EXPOSURES, company.encode() + lender.encode())
    return Exposure() if value is None else Exposure(*value)


def get_company_exposures(state: Overlay, company: str) -> dict[str, Exposure]:
    """Return what the company owes, by lender."""
    return {
        key[len(company) :].decode(): Exposure(*value)
        for key, value in state.scan(COMPANY_EXPOSURES, company.encode())
    }


def get_lender_exposure(state: Overlay, lender: str) -> Exposure:
    """Return what all borrowers owe to the lender."""
    value = state.get(LENDER_EXPOSURES, lender.encode())
    return Exposure() if value is None else Exposure(*value)


def process_move(
    state: Overlay,
    company: str,
    lender: str,
    *,
    drawn_fen: int = 0,
    repaid_fen: int = 0,
    loans: int = 0,
    written_off_fen: int = 0,
) -> None:
    """Book principal drawn, repaid or written off, and loans opened (1) or closed (−1)."""
    move = (drawn_fen, repaid_fen, loans, written_off_fen)
    own = get_company_exposure(state, company, lender).moved(*move)
    total = get_lender_exposure(state, lender).moved(*move)
    state.put(COMPANY_EXPOSURES, company.encode() + lender.encode(), own.to_value())
    state.put(LENDER_EXPOSURES, lender.encode(), total.to_value())
