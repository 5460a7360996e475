"""From offer to settlement, pledged once: loans and pledges through executed blocks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.lending.facts import get_loans
from ledger.lending.loans.loan import compute_owed_fen
from tests.lending.province import BUYER, OTHER, RECEIVABLE_FEN, SELLER, TODAY, Province

GRANTED_FEN = RECEIVABLE_FEN * 8 // 10


@pytest.fixture
def province() -> Province:
    return Province()


def offer(province: Province, bank: str, asset: str) -> str:
    province.consent(SELLER, bank)
    decision = province.apply(f"SCF-{bank}/1", asset=asset)
    assert decision["outcome"] == "GRANT"
    return str(decision["application"])


def drawn(province: Province, bank: str = "ICBC", asset: str | None = None) -> str:
    application = offer(province, bank, asset or province.receivable())
    province.do(SELLER, "loan.accept", application=application)
    return str(province.do(bank, "loan.disburse", application=application)["loan"])


def exposure(province: Province, who: str, **body: Any) -> int:
    shown: dict[str, int] = province.ask(who, "exposure.show", **body)
    return shown["outstanding_fen"]


def test_from_offer_to_settlement(province: Province) -> None:
    asset = province.receivable()
    application = offer(province, "ICBC", asset)
    accepted = province.do(SELLER, "loan.accept", application=application)
    assert accepted["stage"] == "ACCEPTED"
    loan = province.do("ICBC", "loan.disburse", application=application)
    assert (loan["principal_fen"], loan["rate_bp"]) == (GRANTED_FEN, 550)
    assert province.ask(SELLER, "asset.show", asset=asset)["lender"] == "ICBC"
    province.advance_days(90)
    due = province.ask("ICBC", "loan.show", loan=loan["loan"])
    # 1,120,000.00 at 5.50 % for 90 days over 360
    assert due["owed_fen"] == GRANTED_FEN + 1_540_000
    part = province.do("ICBC", "loan.repay", loan=loan["loan"], amount_fen=2_000_000)
    assert (part["interest_fen"], part["principal_fen"]) == (1_540_000, 460_000)
    rest = province.do("ICBC", "loan.repay", loan=loan["loan"], amount_fen=part["owed_fen"])
    assert (rest["state"], rest["outstanding_fen"]) == ("SETTLED", 0)
    shown = province.ask("ICBC", "loan.show", loan=loan["loan"])
    assert [line["what"] for line in shown["account"]] == ["draw", "repayment", "repayment"]
    assert sum(line["principal_fen"] for line in shown["account"][1:]) == GRANTED_FEN
    assert province.ask(SELLER, "asset.show", asset=asset)["is_pledged"] is False
    assert exposure(province, "ICBC", lender="ICBC") == 0


def test_a_receivable_pledged_to_one_bank_is_refused_to_another(province: Province) -> None:
    asset = province.receivable()
    first, second = offer(province, "ICBC", asset), offer(province, "CCB", asset)
    province.do("ICBC", "asset.pledge", asset=asset, application=first)
    province.do(SELLER, "loan.accept", application=second)
    body = {"company": SELLER, "product": "SCF-CCB/1", "amount_fen": 1, "term_days": 1}
    sentences = [
        province.refuse(
            Code.ASSET_ALREADY_PLEDGED, "CCB", "asset.pledge", asset=asset, application=second
        ),
        province.refuse(Code.ASSET_ALREADY_PLEDGED, "CCB", "asset.pledge", asset=asset),
        province.refuse(Code.ASSET_ALREADY_PLEDGED, "CCB", "loan.disburse", application=second),
        province.refuse(Code.ASSET_ALREADY_PLEDGED, SELLER, "loan.apply", asset=asset, **body),
    ]
    answers = [
        province.ask("CCB", "asset.show", asset=asset),
        province.ask("CCB", "application.show", application=second),
        province.ask("CCB", "exposure.show", company=SELLER),
    ]
    assert not any("ICBC" in sentence for sentence in sentences)
    assert b"ICBC" not in encode(answers)


@pytest.mark.parametrize("winner", ["ICBC", "CCB"])
def test_two_banks_race_in_one_block_and_the_order_decides(province: Province, winner: str) -> None:
    asset = province.receivable()
    offers = {bank: offer(province, bank, asset) for bank in ("ICBC", "CCB")}
    order = sorted(offers, key=lambda bank: bank != winner)
    executed = province.block(
        *(
            province.sign(bank, "asset.pledge", {"asset": asset, "application": offers[bank]})
            for bank in order
        )
    )
    codes = [Code(code) for code, _ in executed.results]
    assert codes == [Code.OK, Code.ASSET_ALREADY_PLEDGED]
    assert province.ask("D18", "asset.show", asset=asset)["lender"] == winner


def test_pledging_needs_the_lenders_own_open_offer(province: Province) -> None:
    asset, other = province.receivable(), province.receivable(5)
    application = offer(province, "ICBC", asset)
    pledge = {"asset": asset, "application": application}
    province.refuse(Code.NOT_PERMITTED, "CCB", "asset.pledge", **pledge)
    province.refuse(Code.NOT_PERMITTED, SELLER, "asset.pledge", **pledge)
    province.refuse(Code.APPLICATION_UNKNOWN, "ICBC", "asset.pledge", asset=asset)
    province.refuse(Code.ASSET_STATE, "ICBC", "asset.pledge", asset=other, application=application)
    province.refuse(
        Code.AMOUNT_TOO_LARGE, "ICBC", "asset.pledge", amount_fen=GRANTED_FEN + 1, **pledge
    )
    assert province.do("ICBC", "asset.pledge", amount_fen=1, **pledge)["pledged_fen"] == 1
    province.do("ICBC", "asset.release", **pledge)
    province.advance_days(31)
    province.refuse(Code.LOAN_STATE, "ICBC", "asset.pledge", **pledge)


def test_the_owner_gets_the_asset_back_from_a_lapsed_offer(province: Province) -> None:
    asset = province.receivable()
    pledge = {"asset": asset, "application": offer(province, "ICBC", asset)}
    province.refuse(Code.ASSET_STATE, "ICBC", "asset.release", **pledge)
    province.do("ICBC", "asset.pledge", **pledge)
    province.refuse(Code.LOAN_STATE, SELLER, "asset.release", **pledge)
    province.refuse(Code.NOT_PERMITTED, BUYER, "asset.release", **pledge)
    province.advance_days(31)
    assert province.do(SELLER, "asset.release", **pledge)["pledged_fen"] == 0


def test_an_offer_lapses_and_so_does_an_acceptance(province: Province) -> None:
    first = offer(province, "ICBC", province.receivable())
    province.advance_days(30)
    province.do(SELLER, "loan.accept", application=first)
    province.advance_days(30)
    province.advance_days(1)
    province.refuse(Code.OFFER_EXPIRED, "ICBC", "loan.disburse", application=first)
    province.refuse(Code.OFFER_EXPIRED, SELLER, "loan.accept", application=first)


def test_steps_out_of_turn_are_refused(province: Province) -> None:
    application = offer(province, "ICBC", province.receivable())
    named = {"application": application}
    province.refuse(Code.LOAN_STATE, "ICBC", "loan.disburse", **named)
    for stranger in ("ICBC", OTHER, "D18"):
        province.refuse(Code.NOT_PERMITTED, stranger, "loan.accept", **named)
    province.do("D01", "loan.accept", **named)
    province.refuse(Code.LOAN_STATE, SELLER, "loan.accept", **named)
    province.refuse(Code.NOT_PERMITTED, "CCB", "loan.disburse", **named)
    province.refuse(
        Code.AMOUNT_TOO_LARGE, "ICBC", "loan.disburse", amount_fen=GRANTED_FEN + 1, **named
    )
    province.do("ICBC", "loan.disburse", amount_fen=1_000_000, **named)
    province.refuse(Code.LOAN_STATE, "ICBC", "loan.disburse", **named)
    province.refuse(Code.APPLICATION_UNKNOWN, SELLER, "loan.accept", application="00" * 32)
    province.refuse(Code.LOAN_UNKNOWN, "ICBC", "loan.repay", loan="00" * 32, amount_fen=1)


def test_a_declined_application_is_no_offer(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable(is_confirmed=False)
    declined = province.apply("SCF-ICBC/1", asset=asset)["application"]
    province.refuse(Code.LOAN_STATE, SELLER, "loan.accept", application=declined)
    province.refuse(Code.LOAN_STATE, "ICBC", "asset.pledge", asset=asset, application=declined)


def test_repayments_that_are_refused(province: Province) -> None:
    loan = drawn(province)
    province.refuse(Code.NOT_PERMITTED, "CCB", "loan.repay", loan=loan, amount_fen=1)
    for amount_fen, code in (
        (0, Code.AMOUNT_NOT_POSITIVE),
        (-1, Code.AMOUNT_NOT_POSITIVE),
        (GRANTED_FEN + 1, Code.AMOUNT_TOO_LARGE),
    ):
        province.refuse(code, "ICBC", "loan.repay", loan=loan, amount_fen=amount_fen)
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=GRANTED_FEN)
    province.refuse(Code.LOAN_STATE, "ICBC", "loan.repay", loan=loan, amount_fen=1)


def test_arrears_are_read_off_the_day_and_decide_the_next_application(province: Province) -> None:
    loan = drawn(province)
    province.advance_days(90 + 31)
    province.attest_sales()
    shown = province.ask(SELLER, "loan.show", loan=loan)
    assert (shown["state"], shown["days_past_due"]) == ("OVERDUE", 31)
    assert shown["grade"] == "special mention"
    province.consent(SELLER, "ICBC")
    decision = province.apply("LINE/1", declared={"ap.seats": 1})
    assert [reason[0] for reason in decision["reasons"]] == ["R151"]
    assert dict(decision["reasons"][0][3]) == {"co.overdue_days": 31}
    facts = province.ask("ICBC", "application.show", application=decision["application"])["facts"]
    assert facts["co.debt_outstanding"] == GRANTED_FEN
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=shown["owed_fen"])
    again = province.apply("SCF-ICBC/1", asset=province.receivable(6, amount_fen=10_000_000))
    facts = province.ask("ICBC", "application.show", application=again["application"])["facts"]
    assert facts["co.overdue_days_max_24m"] == 31
    assert again["outcome"] == "DECLINE"
    province.advance_days(731)
    province.attest_sales()
    province.consent(SELLER, "ICBC")
    last = province.apply("SCF-ICBC/1", asset=province.receivable(7))
    facts = province.ask("ICBC", "application.show", application=last["application"])["facts"]
    assert facts["co.overdue_days_max_24m"] == 0


def test_who_may_see_loans_and_exposure(province: Province) -> None:
    loan = drawn(province)
    for who in (SELLER, "ICBC", "D18"):
        assert province.ask(who, "loan.show", loan=loan)["principal_fen"] == GRANTED_FEN
        assert len(province.ask(who, "loan.list", company=SELLER)["loans"]) == 1
        assert exposure(province, who, company=SELLER) == GRANTED_FEN
    for who in (OTHER, "CCB", "D02"):
        with pytest.raises(Rejected, match="2006"):
            province.ask(who, "loan.show", loan=loan)
        assert province.ask(who, "loan.list", company=SELLER)["loans"] == []
        shown = province.ask(who, "exposure.show", company=SELLER)
        assert shown == {"company": SELLER, "outstanding_fen": 0, "by_lender": {}}
        with pytest.raises(Rejected, match="2006"):
            province.ask(who, "exposure.show", lender="ICBC")
    with pytest.raises(Rejected, match="2008"):
        province.ask("D18", "exposure.show")
    assert exposure(province, "D18", lender="ICBC") == GRANTED_FEN


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["draw", "repay", "repay all", "wait"]),
        st.sampled_from(["ICBC", "CCB"]),
        st.integers(-10, 40_000_000),
    ),
    max_size=14,
)


@settings(max_examples=12, deadline=None)
@given(MOVES)
def test_totals_equal_the_sum_over_loans_after_any_sequence(
    moves: list[tuple[str, str, int]],
) -> None:
    province = Province()
    loans: list[tuple[str, str]] = []
    cash_fen = 0  # the dumb twin: what the banks paid out less principal that came back
    for number, (move, bank, amount_fen) in enumerate([("draw", "ICBC", 0), *moves]):
        if move == "wait":
            province.advance_days(abs(amount_fen) % 50)
            province.attest_sales()
        elif move == "draw":
            document = province.receivable(
                1 + number,
                amount_fen=10_000_000,
                day=TODAY - 30 * (1 + number),
                due_day=province.day + 120,
            )
            province.consent(SELLER, bank, from_day=province.day - 300 - number)
            decision = province.apply(f"SCF-{bank}/1", asset=document)
            if decision["outcome"] == "GRANT":
                named = {"application": decision["application"]}
                province.do(SELLER, "loan.accept", **named)
                loans.append((bank, province.do(bank, "loan.disburse", **named)["loan"]))
                cash_fen += decision["amount_fen"]
        elif loans:
            lender, loan = loans[number % len(loans)]
            owed_fen = province.ask(lender, "loan.show", loan=loan)["owed_fen"]
            pay_fen = owed_fen if move == "repay all" else amount_fen
            code, data = province.run(
                province.sign(lender, "loan.repay", {"loan": loan, "amount_fen": pay_fen})
            )
            assert (code == Code.OK) == (0 < pay_fen <= owed_fen)
            cash_fen -= data["principal_fen"] if code == Code.OK else 0
        books = [item for _, item in get_loans(province.state(), SELLER)]
        assert len(books) == len(loans) > 0
        assert sum(item.outstanding_fen for item in books) == cash_fen
        assert exposure(province, "D18", company=SELLER) == cash_fen
        for lender in ("ICBC", "CCB"):
            own = [item for item in books if item.lender == lender]
            total = province.ask("D18", "exposure.show", lender=lender)
            assert total["outstanding_fen"] == sum(item.outstanding_fen for item in own)
            assert total["loans_open"] == sum(not item.is_closed for item in own)
        assert all(compute_owed_fen(item, province.day) >= item.outstanding_fen for item in books)
