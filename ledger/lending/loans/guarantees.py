"""Guarantees: a guarantee company stands for a loan, or for part of it, before it is drawn.

One guarantor can stand for an application, and only who was asked to, by the company or the lender:
nobody is bound to a stranger, whose own limits would then decide on the draw. GUARANTEES leads from
the application's id to (guarantor, fen), with 0 fen while it is only asked. When the loan is drawn
the guarantee is part of it, at most its principal. What a guarantor stands for is
kept as totals like a lender's (GUARANTOR_EXPOSURES), so that its own supervisory limits can be
watched: what it guarantees of a loan, at most the principal that is still outstanding; once it was
claimed, what was claimed and is not paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ledger.credit.consent import Consent, get_consent
from ledger.credit.looks import check_onward
from ledger.credit.notices import NoticeKind, notify
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import (
    Application,
    compute_stage,
    read_application,
)
from ledger.lending.limits.exposure import (
    Exposure,
    Party,
    Side,
    process_day_total,
    process_ranked,
)
from ledger.lending.loans.loan import Loan, check_amount, compute_guaranteed_fen
from ledger.lending.loans.states import Stage
from ledger.lending.pledges import get_offer_fen
from ledger.membership.context import Context, Handler, Role, check_acts_for, check_role
from ledger.membership.members import get_member
from ledger.state.overlay import Overlay
from ledger.state.tables import GUARANTEES, GUARANTOR_EXPOSURES
from ledger.transactions.fields import Fields

GUARANTOR_KINDS = frozenset({"guarantee", "guarantee_sme_agri"})
_OPEN = frozenset({Stage.OFFERED, Stage.ACCEPTED})


def get_guarantee(state: Overlay, application_id: bytes) -> tuple[str, int]:
    """Return (guarantor, fen) of an application; ("", 0) where nobody stands for it."""
    asked, fen = _get_asked(state, application_id)
    return (asked, fen) if fen else ("", 0)


def _get_asked(state: Overlay, application_id: bytes) -> tuple[str, int]:
    """Return who was asked to stand for an application, "" if nobody, and for how much it does."""
    value = state.get(GUARANTEES, application_id)
    return ("", 0) if value is None else (value[0], value[1])


def get_guarantor_exposure(state: Overlay, guarantor: str) -> Exposure:
    """Return what the guarantor stands for; `drawn_fen` is guaranteed ever, `repaid_fen` free."""
    value = state.get(GUARANTOR_EXPOSURES, guarantor.encode())
    return Exposure() if value is None else Exposure(*value)


def process_ask(context: Context) -> Value:
    """Ask a guarantee company to stand for an open offer; by the company, or the lender.

    Another may be asked while nobody stands for it. Who is asked is told what it is about, and
    nothing that the decision has read; where the lender tells it of its own accord, the company's
    authorisations under the decision have to allow passing on.
    """
    body = Fields(context.body)
    application_id, application = read_application(context.state, body, "application")
    guarantor = body.identifier("guarantor")
    body.done()
    if context.sender.id != application.lender:
        check_acts_for(context.sender, application.company)
    else:
        check_onward(context.state, guarantor, _get_consents(context.state, application))
    member = get_member(context.state, guarantor)
    if member is None or member.is_removed:
        raise Rejected(Code.MEMBER_UNKNOWN, f"guarantor {guarantor} is not a member")
    if member.kind not in GUARANTOR_KINDS:
        raise Rejected(Code.NOT_PERMITTED, f"{guarantor} is no guarantee company")
    _check_open(context, application_id, application)
    context.state.put(GUARANTEES, application_id, (guarantor, 0))
    about: dict[str, Value] = {
        "application": application_id.hex(),
        "company": application.company,
        "lender": application.lender,
        "product": application.product,
        "amount_fen": get_offer_fen(application),
        "term_days": application.term_days,
        "expires_day": application.expires_day,
    }
    notify(context.state, guarantor, context.height, NoticeKind.GUARANTEE_ASKED, about)
    return {"application": application_id.hex(), "guarantor": guarantor}


def _get_consents(state: Overlay, application: Application) -> Iterator[tuple[str, Consent]]:
    for consent_id in application.consents:
        consent = get_consent(state, bytes.fromhex(consent_id))
        if consent is not None:
            yield consent_id, consent


def _check_open(context: Context, application_id: bytes, application: Application) -> None:
    """Raise `Rejected` (2408) unless somebody may still stand for the application."""
    stage = compute_stage(application, context.day)
    if stage not in _OPEN:
        raise Rejected(Code.LOAN_STATE, f"cannot guarantee an application that is {stage}")
    if get_guarantee(context.state, application_id)[0]:
        raise Rejected(Code.LOAN_STATE, "somebody stands for this application already")


def process_guarantee(context: Context) -> Value:
    """Stand for an open offer with `amount_fen`; by the guarantee company that was asked, once."""
    body = Fields(context.body)
    application_id, application = read_application(context.state, body, "application")
    amount_fen = body.amount("amount_fen")
    body.done()
    sender = context.sender
    check_role(sender, Role.BANK)
    if sender.member is None or sender.member.kind not in GUARANTOR_KINDS:
        raise Rejected(Code.NOT_PERMITTED, f"{sender.id} is no guarantee company")
    check_amount(amount_fen)
    if _get_asked(context.state, application_id)[0] != sender.id:
        raise Rejected(
            Code.NOT_PERMITTED,
            f"nobody asked {sender.id} to stand for this application: the company or the lender"
            " does (loan.ask_guarantee)",
        )
    _check_open(context, application_id, application)
    context.state.put(GUARANTEES, application_id, (sender.id, amount_fen))
    return {"application": application_id.hex(), "guaranteed_fen": amount_fen}


def process_drawn(state: Overlay, loan: Loan, day: int) -> None:
    """Count what the guarantor of a loan now stands for."""
    if loan.guarantor:
        _move(state, loan, day, drawn_fen=compute_guaranteed_fen(loan), freed_fen=0, loans=1)


def process_lowered(state: Overlay, before: Loan, after: Loan, day: int) -> None:
    """Free the guarantor of what it stands for no more, now that the loan is as `after`."""
    if after.guarantor:
        freed_fen = compute_guaranteed_fen(before) - compute_guaranteed_fen(after)
        loans = -1 if after.is_closed else 0
        _move(state, after, day, drawn_fen=0, freed_fen=freed_fen, loans=loans)


def _move(
    state: Overlay, loan: Loan, day: int, *, drawn_fen: int, freed_fen: int, loans: int
) -> None:
    guarantor = loan.guarantor
    after = get_guarantor_exposure(state, guarantor).moved(drawn_fen, freed_fen, loans, 0)
    state.put(GUARANTOR_EXPOSURES, guarantor.encode(), after.to_value())
    process_day_total(state, guarantor, Side.GUARANTEED, day, after.outstanding_fen)
    process_ranked(state, guarantor, Party.GUARANTEED, loan.company, drawn_fen - freed_fen)


HANDLERS: Mapping[str, Handler] = {
    "loan.ask_guarantee": process_ask,
    "loan.guarantee": process_guarantee,
}
