"""Any sequence of transactions, good and bad ones: money adds up and the first pledge stands.

Two banks, a guarantor, a seller and its debtor do what comes to their minds, some of it signed by
the wrong party or with a field that is wrong. After each block the loan book is counted by hand
against the totals of exposure, every pledge is the one that the order of the chain gave, and what
was rejected has left nothing in the state.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ledger.credit.assets import get_asset, get_pledge
from ledger.errors import Code
from ledger.lending.facts import get_loans
from ledger.lending.limits.exposure import get_lender_exposure
from ledger.lending.loans.guarantees import get_guarantor_exposure
from ledger.lending.loans.loan import Loan, compute_owed_fen
from ledger.lending.loans.states import LoanState
from tests.lending.province import BUYER, SELLER, TODAY, Province

BANKS = ("ICBC", "CCB")
PARTIES = (*BANKS, "PAB", SELLER, BUYER, "D01", "D18")
KINDS = ("receivable", "invoice")
WRONG = st.sampled_from([None, -1, 0, 2**62, "", "00" * 32, b"", (), True])
CHOICE = st.integers(0, 10**6)


class Sequences(RuleBasedStateMachine):
    """One province; `pledged_by` is the model of who has which document."""

    @initialize()
    def begin(self) -> None:
        self.province = Province()
        self.assets: list[str] = []
        self.papers: dict[str, int] = {}
        self.offers: list[tuple[str, str, str]] = []
        self.loans: list[tuple[str, str]] = []
        self.pledged_by: dict[int, str] = {}
        for bank in BANKS:
            self.province.consent(SELLER, bank, is_onward_allowed=True)
        for number in (1, 2, 3):
            self.register(0, number, KINDS[0])
            self.apply(number - 1, BANKS[number % 2], 20_000_000)
        self.lend(0, 10_000_000, is_guaranteed=True)

    def _send(self, who: str, kind: str, body: dict[str, Any]) -> tuple[bool, Any]:
        """Execute one transaction; what is rejected must leave the state as it was."""
        before = self.province.head.state_root
        executed = self.province.block(self.province.sign(who, kind, body))
        code, data = executed.results[0]
        assert code != Code.INTERNAL, data
        assert executed.notes.failures == []
        if code != Code.OK:
            assert executed.header.state_root == before
        return code == Code.OK, data

    @rule(choice=CHOICE, number=st.integers(1, 3), kind=st.sampled_from(KINDS))
    def register(self, choice: int, number: int, kind: str) -> None:
        body = {
            "company": SELLER,
            "kind": kind,
            "document_no": f"INV-{number}",
            "day": TODAY - 30 * number,
            "counterparty": BUYER,
            "amount_fen": 10_000_000,
            "due_day": self.province.day + 120,
        }
        done, data = self._send(SELLER, "asset.register", body)
        if done:
            self.assets.append(data["asset"])
            self.papers[data["asset"]] = number
            self._send(BUYER, "asset.confirm", {"asset": data["asset"]})
        del choice

    @precondition(lambda self: self.assets)
    @rule(choice=CHOICE, bank=st.sampled_from(BANKS), amount_fen=st.integers(1, 12_000_000))
    def apply(self, choice: int, bank: str, amount_fen: int) -> None:
        asset = self.assets[choice % len(self.assets)]
        body = {
            "company": SELLER,
            "product": f"SCF-{bank}/1",
            "amount_fen": amount_fen,
            "term_days": 1 + choice % 40,
            "asset": asset,
        }
        done, data = self._send(SELLER, "loan.apply", body)
        if done and data["outcome"] == "GRANT":
            self.offers.append((bank, data["application"], asset))

    @precondition(lambda self: self.offers)
    @rule(choice=CHOICE, who=st.sampled_from(BANKS))
    def pledge(self, choice: int, who: str) -> None:
        bank, application, asset = self.offers[choice % len(self.offers)]
        body = {"asset": asset, "application": application}
        done, _ = self._send(who, "asset.pledge", body)
        if done:
            assert who == bank
            self._took(asset, bank)

    def _took(self, asset: str, bank: str) -> None:
        """Note who holds a paper; nobody may take what another holds."""
        paper = self.papers[asset]
        assert self.pledged_by.get(paper, bank) == bank
        self.pledged_by[paper] = bank

    @precondition(lambda self: self.offers)
    @rule(choice=CHOICE, amount_fen=st.integers(1, 50_000_000), is_guaranteed=st.booleans())
    def lend(self, choice: int, amount_fen: int, is_guaranteed: bool) -> None:
        bank, application, asset = self.offers[choice % len(self.offers)]
        if is_guaranteed:
            asked = {"application": application, "guarantor": "PAB"}
            self._send(bank, "loan.ask_guarantee", asked)
            body = {"application": application, "amount_fen": amount_fen}
            self._send("PAB", "loan.guarantee", body)
        self._send(SELLER, "loan.accept", {"application": application})
        done, data = self._send(bank, "loan.disburse", {"application": application})
        if done:
            self._took(asset, bank)
            self.loans.append((bank, data["loan"]))

    @precondition(lambda self: self.loans)
    @rule(choice=CHOICE, step=st.sampled_from(["repay", "recover", "claim", "pay_claim"]))
    def move_money(self, choice: int, step: str) -> None:
        bank, loan = self.loans[choice % len(self.loans)]
        who = "PAB" if step == "pay_claim" else bank
        owed_fen = self.province.ask(bank, "loan.show", loan=loan)["owed_fen"]
        amount_fen = owed_fen if choice % 3 == 0 else 1 + choice % 9_000_000
        self._send(who, f"loan.{step}", {"loan": loan, "amount_fen": amount_fen})

    @precondition(lambda self: self.loans)
    @rule(
        choice=CHOICE, step=st.sampled_from(["default", "accelerate", "write_off", "accept_terms"])
    )
    def turn(self, choice: int, step: str) -> None:
        bank, loan = self.loans[choice % len(self.loans)]
        if choice % 4 == 0:
            self.wait(50)
            self._send(bank, "loan.default", {"loan": loan})
        body: dict[str, Any] = {"loan": loan}
        body |= {"reason": "gone"} if step == "write_off" else {}
        self._send(SELLER if step == "accept_terms" else bank, f"loan.{step}", body)

    @precondition(lambda self: self.loans)
    @rule(
        choice=CHOICE, schedule=st.sampled_from(["bullet", "interest_first", "equal_instalments"])
    )
    def offer_terms(self, choice: int, schedule: str) -> None:
        bank, loan = self.loans[choice % len(self.loans)]
        terms = {"loan": loan, "term_days": 1 + choice % 400, "rate_bp": choice % 900}
        self._send(bank, "loan.restructure", terms | {"schedule": schedule})

    @rule(days=st.integers(5, 60))
    def wait(self, days: int) -> None:
        self.province.advance_days(days)
        self.province.attest_sales()
        for bank in BANKS:
            self.province.consent(SELLER, bank, is_onward_allowed=True)

    @rule(choice=CHOICE, who=st.sampled_from(PARTIES), wrong=WRONG)
    def do_wrong(self, choice: int, who: str, wrong: object) -> None:
        """Send something with a field that is wrong, or by whoever it may be."""
        loan = self.loans[choice % len(self.loans)][1] if self.loans else "00" * 32
        offer = self.offers[choice % len(self.offers)][1] if self.offers else "00" * 32
        asset = self.assets[choice % len(self.assets)] if self.assets else "00" * 16
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("loan.repay", {"loan": loan, "amount_fen": wrong}),
            ("loan.recover", {"loan": loan, "amount_fen": wrong}),
            ("loan.disburse", {"application": wrong}),
            ("loan.ask_guarantee", {"application": offer, "guarantor": wrong}),
            ("loan.guarantee", {"application": offer, "amount_fen": wrong}),
            ("loan.restructure", {"loan": loan, "term_days": wrong, "rate_bp": 1}),
            ("asset.pledge", {"asset": asset, "application": wrong}),
            ("asset.release", {"asset": asset, "application": wrong}),
            ("loan.write_off", {"loan": loan, "reason": wrong}),
        ]
        kind, body = bodies[choice % len(bodies)]
        done, _ = self._send(who, kind, body)
        assert not done or wrong is True

    @invariant()
    def money_adds_up(self) -> None:
        if not hasattr(self, "province"):
            return
        state = self.province.state()
        books = [loan for _, loan in get_loans(state, SELLER)]
        for bank in BANKS:
            own = [loan for loan in books if loan.lender == bank]
            total = get_lender_exposure(state, bank)
            assert total.outstanding_fen == sum(loan.outstanding_fen for loan in own)
            assert total.drawn_fen == sum(loan.principal_fen for loan in own)
            assert total.repaid_fen == sum(loan.principal_paid_fen for loan in own)
            assert total.written_off_fen == sum(loan.written_off_fen for loan in own)
            assert total.loans_open == sum(not loan.is_closed for loan in own)
        for loan in books:
            _check_loan(loan, self.province.day)
        stood = [loan for loan in books if loan.guarantor]
        stood_fen = sum(_stood_for(loan) for loan in stood)
        exposure = get_guarantor_exposure(state, "PAB")
        assert exposure.outstanding_fen == stood_fen
        assert exposure.loans_open == sum(not loan.is_closed for loan in stood)

    @invariant()
    def the_first_pledge_stands(self) -> None:
        if not hasattr(self, "province"):
            return
        state = self.province.state()
        held: dict[int, str] = {}
        for asset_id, paper in self.papers.items():
            pledge = get_pledge(state, get_asset(state, bytes.fromhex(asset_id)))
            if pledge is not None:
                assert held.get(paper, pledge.lender) == pledge.lender
                held[paper] = pledge.lender
        for paper, lender in held.items():
            assert self.pledged_by[paper] == lender
        self.pledged_by = held  # what was released is anybody's again


def _stood_for(loan: Loan) -> int:
    if loan.state is LoanState.CLAIMED:
        return min(loan.claimed_fen - loan.guarantee_paid_fen, loan.outstanding_fen)
    return min(loan.guaranteed_fen, loan.outstanding_fen)


def _check_loan(loan: Loan, day: int) -> None:
    assert loan.outstanding_fen >= 0
    assert loan.outstanding_fen + loan.principal_paid_fen + loan.written_off_fen == (
        loan.principal_fen
    )
    assert (compute_owed_fen(loan, day) == 0) or not loan.is_closed
    assert loan.state is not LoanState.OVERDUE  # read off the day, never stored


TestSequences = Sequences.TestCase
TestSequences.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
