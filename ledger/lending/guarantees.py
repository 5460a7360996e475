"""Guarantees: a guarantee company stands for a loan, or for part of it, before it is drawn.

One guarantor can stand for an application (GUARANTEES: application id → (guarantor, fen)); when the
loan is drawn the guarantee is part of it, at most its principal. What a guarantor stands for is
kept as totals like a lender's (GUARANTOR_EXPOSURES), so that its own supervisory limits can be
watched: what it guarantees of a loan, at most the principal that is still outstanding.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import compute_stage, read_application
from ledger.lending.exposure import Exposure, Party, process_ranked
from ledger.lending.loan import Loan, check_amount
from ledger.lending.loan_states import Stage
from ledger.membership.context import Context, Handler, Role, check_role
from ledger.state.overlay import Overlay
from ledger.state.tables import GUARANTEES, GUARANTOR_EXPOSURES
from ledger.transactions.fields import Fields

GUARANTOR_KINDS = frozenset({"guarantee", "guarantee_sme_agri"})
_OPEN = frozenset({Stage.OFFERED, Stage.ACCEPTED})


def get_guarantee(state: Overlay, application_id: bytes) -> tuple[str, int]:
    """Return (guarantor, fen) of an application; ("", 0) where nobody stands for it."""
    value = state.get(GUARANTEES, application_id)
    return ("", 0) if value is None else (value[0], value[1])


def get_guarantor_exposure(state: Overlay, guarantor: str) -> Exposure:
    """Return what the guarantor stands for; `drawn_fen` is guaranteed ever, `repaid_fen` free."""
    value = state.get(GUARANTOR_EXPOSURES, guarantor.encode())
    return Exposure() if value is None else Exposure(*value)


def process_guarantee(context: Context) -> Value:
    """Stand for an open offer with `amount_fen`; by a guarantee company, once an application."""
    body = Fields(context.body)
    application_id, application = read_application(context.state, body, "application")
    amount_fen = body.amount("amount_fen")
    body.done()
    sender = context.sender
    check_role(sender, Role.BANK)
    if sender.member is None or sender.member.kind not in GUARANTOR_KINDS:
        raise Rejected(Code.NOT_PERMITTED, f"{sender.id} is no guarantee company")
    check_amount(amount_fen)
    stage = compute_stage(application, context.day)
    if stage not in _OPEN:
        raise Rejected(Code.LOAN_STATE, f"cannot guarantee an application that is {stage}")
    guarantor, _ = get_guarantee(context.state, application_id)
    if guarantor:
        raise Rejected(Code.LOAN_STATE, "somebody stands for this application already")
    context.state.put(GUARANTEES, application_id, (sender.id, amount_fen))
    return {"application": application_id.hex(), "guaranteed_fen": amount_fen}


def process_drawn(state: Overlay, loan: Loan) -> None:
    """Count what the guarantor of a loan now stands for."""
    if loan.guarantor:
        _move(state, loan, drawn_fen=loan.guaranteed_fen, freed_fen=0, loans=1)


def process_lowered(state: Overlay, loan: Loan, principal_fen: int) -> None:
    """Free the guarantor of what it stands for no more, now that so much less is outstanding."""
    if loan.guarantor:
        before_fen = min(loan.guaranteed_fen, loan.outstanding_fen + principal_fen)
        freed_fen = before_fen - min(loan.guaranteed_fen, loan.outstanding_fen)
        _move(state, loan, drawn_fen=0, freed_fen=freed_fen, loans=-1 if loan.is_closed else 0)


def _move(state: Overlay, loan: Loan, *, drawn_fen: int, freed_fen: int, loans: int) -> None:
    after = get_guarantor_exposure(state, loan.guarantor).moved(drawn_fen, freed_fen, loans, 0)
    state.put(GUARANTOR_EXPOSURES, loan.guarantor.encode(), after.to_value())
    process_ranked(state, loan.guarantor, Party.GUARANTEED, loan.company, drawn_fen - freed_fen)


HANDLERS: Mapping[str, Handler] = {"loan.guarantee": process_guarantee}
