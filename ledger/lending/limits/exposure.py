"""Exposure: what is owed to each lender by each borrower, as totals kept while loans are booked.

Two entries are kept for each move of principal: one of the borrower with the lender (a company
entry) and one of the lender over all borrowers. Both are sums of principal in fen and counts; they
equal the sums over the loans at any height, which the tests hold against a naive count.

Beside them LARGEST_EXPOSURES ranks, for each institution, whom it is exposed to most: borrowers,
debtors of the receivables that secure its loans, parties that it guarantees. Limits on one party
are then looked at from the top down, however many parties there are. Keys are institution, kind,
amount with its bits turned so that the largest comes first, and the party; beside each rank, under
the kind in lower case, stands the party's amount.

EXPOSURE_DAYS holds, by institution and day, what its total was when the day was over, for what it
lends and for what it guarantees: a report that comes late is held against the day it speaks of. A
day on which nothing moved has no entry; what is older than KEPT_DAYS goes, but for the last of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from itertools import islice
from typing import Any

from ledger.credit.day_keys import day_key
from ledger.errors import Code, LocalError
from ledger.state.overlay import Overlay
from ledger.state.tables import (
    COMPANY_EXPOSURES,
    EXPOSURE_DAYS,
    LARGEST_EXPOSURES,
    LENDER_EXPOSURES,
)

KEPT_DAYS = 730
_SEPARATOR = b"\x00"
_AMOUNT_BYTES = 8
_AMOUNT_TOP = (1 << (8 * _AMOUNT_BYTES)) - 1


class Party(Enum):
    """What a ranked party is to the institution."""

    BORROWER = b"B"
    DEBTOR = b"D"
    GUARANTEED = b"G"


class Side(Enum):
    """Whether an institution's total is of what it lends or of what it guarantees."""

    LENT = b"L"
    GUARANTEED = b"G"


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
    day: int,
    drawn_fen: int = 0,
    repaid_fen: int = 0,
    loans: int = 0,
    written_off_fen: int = 0,
    debtor: str = "",
) -> None:
    """Book principal drawn, repaid or written off on `day`, loans opened (1) or closed (−1).

    `debtor` owes the receivable that secures the loan, "" where there is none.
    """
    move = (drawn_fen, repaid_fen, loans, written_off_fen)
    own = get_company_exposure(state, company, lender).moved(*move)
    total = get_lender_exposure(state, lender).moved(*move)
    state.put(COMPANY_EXPOSURES, company.encode() + lender.encode(), own.to_value())
    state.put(LENDER_EXPOSURES, lender.encode(), total.to_value())
    process_day_total(state, lender, Side.LENT, day, total.outstanding_fen)
    delta_fen = drawn_fen - repaid_fen - written_off_fen
    process_ranked(state, lender, Party.BORROWER, company, delta_fen)
    if debtor:
        process_ranked(state, lender, Party.DEBTOR, debtor, delta_fen)


def process_day_total(
    state: Overlay, institution: str, side: Side, day: int, outstanding_fen: int
) -> None:
    """Keep what an institution's total is on `day` now; drop days that nobody can ask about."""
    prefix = _days(institution, side)
    if state.get(EXPOSURE_DAYS, prefix + day_key(day)) is None:
        old = state.scan(EXPOSURE_DAYS, prefix, stop=day_key(day - KEPT_DAYS + 1))
        for key in [key for key, _ in old][:-1]:
            state.delete(EXPOSURE_DAYS, key)
    state.put(EXPOSURE_DAYS, prefix + day_key(day), outstanding_fen)


def get_day_total(state: Overlay, institution: str, side: Side, day: int) -> int:
    """Return an institution's total in fen when `day` was over (or as it is now, if it is today).

    `day` is at most KEPT_DAYS ago.
    """
    prefix = _days(institution, side)
    found = state.scan(EXPOSURE_DAYS, prefix, stop=day_key(day + 1), reverse=True)
    return next((int(fen) for _, fen in found), 0)


def process_ranked(
    state: Overlay, institution: str, party: Party, name: str, delta_fen: int
) -> None:
    """Move a party's amount with an institution, and its rank; raise `LocalError` below zero."""
    if delta_fen == 0:
        return
    before_fen = get_party_fen(state, institution, party, name)
    after_fen = before_fen + delta_fen
    if after_fen < 0:
        raise LocalError(Code.INTERNAL, "an exposure to a party below zero")
    prefix = _ranks(institution, party)
    if before_fen:
        state.delete(LARGEST_EXPOSURES, prefix + _inverted(before_fen) + name.encode())
    if after_fen:
        state.put(LARGEST_EXPOSURES, prefix + _inverted(after_fen) + name.encode(), 1)
    state.put(LARGEST_EXPOSURES, _amount_key(institution, party, name), after_fen or None)


def get_party_fen(state: Overlay, institution: str, party: Party, name: str) -> int:
    """Return what the institution is exposed to a party, in fen."""
    return int(state.get(LARGEST_EXPOSURES, _amount_key(institution, party, name)) or 0)


def get_largest(
    state: Overlay, institution: str, party: Party, count: int
) -> Iterator[tuple[str, int]]:
    """Yield (party, fen) of the at most `count` largest exposures, the largest first."""
    prefix = _ranks(institution, party)
    for key, _ in islice(state.scan(LARGEST_EXPOSURES, prefix), count):
        rank = key[len(prefix) :]
        fen = _AMOUNT_TOP - int.from_bytes(rank[:_AMOUNT_BYTES], "big")
        yield rank[_AMOUNT_BYTES:].decode(), fen


def _days(institution: str, side: Side) -> bytes:
    return institution.encode() + _SEPARATOR + side.value


def _ranks(institution: str, party: Party) -> bytes:
    return institution.encode() + _SEPARATOR + party.value


def _amount_key(institution: str, party: Party, name: str) -> bytes:
    return institution.encode() + _SEPARATOR + party.value.lower() + name.encode()


def _inverted(amount_fen: int) -> bytes:
    return (_AMOUNT_TOP - amount_fen).to_bytes(_AMOUNT_BYTES, "big")
