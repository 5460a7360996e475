"""Cases an auditor tried on the platform in memory: each was a way around a rule, or is not one.

They run whole transactions through execution, as `tests.lending.province` does; what needs real
nodes is in `test_platform.py`.
"""

from __future__ import annotations

from typing import Any

import click
import pytest

from commands.cli import cli
from ledger.errors import Code, Rejected
from ledger.execution import HANDLERS
from ledger.lending.limits.exposure import Party, get_largest
from tests.lending.documents import patent_loan
from tests.lending.province import BUYER, OTHER, RECEIVABLE_FEN, SELLER, TODAY, Province, invoice

LINES = {"company": SELLER, "category": "C044", "schema": "line"}


@pytest.fixture
def province() -> Province:
    return Province()


def granted(province: Province, asset: str) -> str:
    """Return an accepted application of SELLER to ICBC for all that the asset gives."""
    applied = province.apply("SCF-ICBC/1", asset=asset)
    assert applied["outcome"] == "GRANT", applied
    province.do(SELLER, "loan.accept", application=applied["application"])
    return str(applied["application"])


def pledged_fen(province: Province, asset: str) -> int:
    return int(province.ask("ICBC", "asset.show", asset=asset)["pledged_fen"])


def test_what_is_drawn_is_what_is_pledged_whatever_was_pledged_before(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    application = granted(province, asset)
    province.do("ICBC", "asset.pledge", asset=asset, application=application, amount_fen=1)
    assert pledged_fen(province, asset) == 1
    drawn = province.do("ICBC", "loan.disburse", application=application)["principal_fen"]
    assert pledged_fen(province, asset) == drawn
    again = province.apply("SCF-ICBC/1", asset=asset)
    assert again["outcome"] == "DECLINE", "four fifths of the receivable are lent already"


def test_a_pledge_is_never_raised_beyond_the_claim(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    first = granted(province, asset)
    province.do("ICBC", "asset.pledge", asset=asset, application=first, amount_fen=1)
    province.do("ICBC", "loan.disburse", application=first, amount_fen=1)
    second = granted(province, asset)
    province.do("ICBC", "loan.disburse", application=second)
    assert pledged_fen(province, asset) <= RECEIVABLE_FEN


def test_a_look_shows_what_stood_on_the_chain_when_it_was_logged(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    access = province.do("ICBC", "access.open", **look)["access"]
    before = province.ask("ICBC", "company.records", **LINES, access=access)["records"]
    province.succeed(province.submit("D02", "C044", [invoice(777, TODAY - 1)], "line"))
    after = province.ask("ICBC", "company.records", **LINES, access=access)["records"]
    assert [item["number"] for item in after] == [item["number"] for item in before]
    own = province.ask(SELLER, "company.records", **LINES)["records"]
    assert own[-1]["fields"]["invoice_no"] == "INV-777"


def objected(province: Province, day: int, digest: bytes) -> str:
    body = {**LINES, "day": day, "digest": digest, "text": "the goods came back"}
    return str(province.do(SELLER, "objection.open", **body)["objection"])


def mark(province: Province) -> Any:
    return province.ask(SELLER, "company.records", **LINES)["records"][0]["objection"]


@pytest.mark.parametrize("end", ["rejected", "withdrawn"])
def test_an_annotation_outlives_another_objection_to_the_record(
    province: Province, end: str
) -> None:
    record = province.ask(SELLER, "company.records", **LINES)["records"][0]
    first = objected(province, record["day"], record["digest"])
    province.do("D02", "objection.decide", objection=first, outcome="annotated", text="noted")
    second = objected(province, record["day"], record["digest"])
    assert mark(province)[:2] == (second, "OPEN")
    if end == "rejected":
        province.do("D02", "objection.decide", objection=second, outcome="rejected")
    else:
        province.do(SELLER, "objection.withdraw", objection=second)
    assert mark(province) == (first, "ANNOTATED", "the goods came back")


def test_an_annotation_outlives_a_complaint_that_is_dismissed(province: Province) -> None:
    record = province.ask(SELLER, "company.records", **LINES)["records"][0]
    objection = objected(province, record["day"], record["digest"])
    province.do("D02", "objection.decide", objection=objection, outcome="annotated", text="noted")
    province.do(SELLER, "objection.complain", objection=objection, text="noted is not enough")
    assert mark(province) == (objection, "COMPLAINED", "the goods came back")
    province.do("D18", "objection.rule", objection=objection, outcome="dismissed")
    assert mark(province) == (objection, "ANNOTATED", "the goods came back")


def receipt_of(province: Province, sender: str, kind: str, body: dict[str, Any]) -> bytes:
    transaction = province.sign(sender, kind, body)
    province.succeed(transaction)
    return transaction.id


def may_fetch(province: Province, tx_id: bytes) -> set[str]:
    found = set()
    for caller in ("ICBC", "CCB", "PAB", "D01", "D02", "D18", SELLER, BUYER, OTHER):
        code, text = Code.OK, ""
        try:
            province.ask(caller, "receipt.check", tx_id=tx_id)
            found.add(caller)
        except Rejected as error:
            code, text = error.code, error.message
        assert code in (Code.OK, Code.NOT_PERMITTED)
        assert "ICBC" not in text
    return found


def test_a_second_lender_fetches_no_receipt_of_the_first(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    application = granted(province, asset)
    pledge = {"asset": asset, "application": application}
    of_pledge = receipt_of(province, "ICBC", "asset.pledge", pledge)
    of_loan = receipt_of(province, "ICBC", "loan.disburse", {"application": application})
    concerned = {"ICBC", "D18", "D01", SELLER}
    assert may_fetch(province, of_pledge) == concerned
    assert may_fetch(province, of_loan) == concerned
    assert may_fetch(province, bytes.fromhex(application)) == concerned


def test_the_guarantor_of_a_loan_fetches_its_receipts_and_everybody_those_of_rules(
    province: Province,
) -> None:
    province.sell(OTHER)
    loan = province.lend(guaranteed_fen=500_000)
    paid = receipt_of(province, "ICBC", "loan.repay", {"loan": loan, "amount_fen": 5})
    assert may_fetch(province, paid) == {"ICBC", "PAB", "D18", "D01", OTHER}
    product = patent_loan().replace(b'"IPP"', b'"IPQ"')
    rule = receipt_of(province, "CCB", "product.register", {"source": product})
    assert len(may_fetch(province, rule)) == 9
    with pytest.raises(Rejected) as caught:
        province.ask("ICBC", "receipt.check", tx_id=bytes(32))
    assert caught.value.code is Code.NOT_FOUND


def test_a_lender_is_warned_of_its_borrower_without_figures_it_may_not_read(
    province: Province,
) -> None:
    lines = [invoice(1, TODAY - 100, 900_000_000, company=OTHER)]
    lines += [invoice(n, TODAY - 10 * n, company=OTHER) for n in range(2, 9)]
    province.succeed(province.submit("D02", "C044", lines, "line"))
    province.attest_sales(OTHER)
    province.consent(OTHER, "ICBC")
    province.lend()
    for who in ("D18", OTHER, "ICBC"):
        (alert,) = province.ask(who, "alerts.list", company=OTHER)["alerts"]
        assert alert["rule"] == "EW05/1"
        is_shown = all(value is not None for _, value in alert["inputs"])
        assert is_shown == (who != "ICBC")


def drawn_on(province: Province, number: int, **changes: Any) -> None:
    province.succeed(
        province.submit("D02", "C044", [invoice(number, TODAY - 20, 50_000_000)], "line")
    )
    asset = province.receivable(number, amount_fen=50_000_000, is_confirmed=False, **changes)
    confirmed = {"asset": asset}
    province.do("D01", "asset.confirm", **confirmed)
    province.do("ICBC", "loan.disburse", application=granted(province, asset))


def test_a_debtor_written_in_two_ways_is_one_debtor(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    drawn_on(province, 500)
    drawn_on(province, 501, counterparty=f" {BUYER[:9].lower()}-{BUYER[9:]}")
    (largest,) = get_largest(province.state(), "ICBC", Party.DEBTOR, 9)
    assert largest == (BUYER, 80_000_000)


def test_a_lender_does_not_decide_again_and_again_under_one_look(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    wish = {"company": SELLER, "product": "LINE/1", "amount_fen": 1_000_000, "term_days": 9}
    wish |= {"declared": {"ap.seats": 9}}
    assert province.apply(who=SELLER, **wish)["outcome"] == "DECLINE"  # its own wish, no look
    assert province.apply(who="ICBC", **wish)["outcome"] == "DECLINE"
    province.refuse(Code.CONSENT_USED, "ICBC", "loan.apply", **wish)
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    assert province.do("ICBC", "access.open", **look)["code"] == Code.CONSENT_USED
    assert province.apply(who=SELLER, **wish)["outcome"] == "DECLINE"


def test_a_loan_that_was_written_off_is_a_loss(province: Province) -> None:
    province.sell(OTHER)
    loan = province.lend()
    assert province.ask("ICBC", "loan.show", loan=loan)["grade"] == "pass"
    province.advance_days(40)
    assert province.ask("ICBC", "loan.show", loan=loan)["grade"] == "special mention"
    province.do("ICBC", "loan.default", loan=loan)
    province.do("ICBC", "loan.write_off", loan=loan, reason="insolvent")
    shown = province.ask("ICBC", "loan.show", loan=loan)
    assert (shown["state"], shown["grade"], shown["owed_fen"]) == ("WRITTEN_OFF", "loss", 0)


@pytest.mark.parametrize("step", ["loan.default", "loan.accelerate"])
def test_what_a_lender_does_after_its_offer_of_new_terms_ends_the_offer(
    province: Province, step: str
) -> None:
    province.sell(OTHER)
    loan = province.lend()
    province.advance_days(40)
    if step == "loan.accelerate":
        province.do("ICBC", "loan.default", loan=loan)
    province.do("ICBC", "loan.restructure", loan=loan, term_days=90, rate_bp=500)
    province.do("ICBC", step, loan=loan)
    province.refuse(Code.LOAN_STATE, OTHER, "loan.accept_terms", loan=loan)
    province.do("ICBC", "loan.restructure", loan=loan, term_days=90, rate_bp=500)
    assert province.do(OTHER, "loan.accept_terms", loan=loan)["state"] == "RESTRUCTURED"


def test_the_clock_of_a_debtors_confirmation_runs_thirty_days(province: Province) -> None:
    asset = province.receivable(is_confirmed=False)

    def clock() -> tuple[int, bool]:
        shown = province.ask(BUYER, "asset.show", asset=asset)
        return shown["confirm_due_day"], shown["is_confirm_late"]

    assert clock() == (TODAY + 30, False)
    province.advance_days(30)
    assert clock() == (TODAY + 30, False)
    province.advance_days(1)
    assert clock() == (TODAY + 30, True)
    province.do(BUYER, "asset.confirm", asset=asset)
    assert clock() == (TODAY + 30, False)
    title = {"company": SELLER, "kind": "patent", "document_no": "ZL 1", "day": TODAY}
    patent = province.do(SELLER, "asset.register", **title)["asset"]
    assert province.ask(SELLER, "asset.show", asset=patent)["confirm_due_day"] is None


# What a kind of transaction is typed as, where that is not its own two words.
TYPED = {
    "access.deleted": "consent deleted",
    "access.share": "consent share",
    "access.open": "company records",  # and whatever else shows authorised data
    "alert.ack": "alerts ack",
    "alert.feedback": "alerts feedback",
    "alert.review": "alerts review",
    "company.outcome": "alerts outcome",
    "group.declare": "exposure declare-group",
    "protocol.approve": "member protocol",
    "records.attest": "submit",
    "records.declare": "company declare",
    "records.erase": "company erase",
    "records.submit": "submit",
}
BY_NODES = {"member.ready"}


@pytest.mark.parametrize("kind", sorted(set(HANDLERS) - BY_NODES))
def test_whatever_the_chain_takes_can_be_typed(kind: str) -> None:
    words = TYPED.get(kind, kind.replace(".", " ").replace("_", "-")).split()
    group = click.Context(cli)
    for word in words:
        assert isinstance(group.command, click.Group), words
        command = group.command.get_command(group, word)
        assert command is not None, f"no command {' '.join(words)}"
        group = click.Context(command)


def test_features_end_with_the_days_that_are_authorised(province: Province) -> None:
    last_day = province.day
    province.consent(SELLER, "ICBC", from_day=last_day - 400, to_day=last_day)
    look = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}
    asked = {"company": SELLER, "schema": "company/1"}
    before = province.ask(SELLER, "company.features", **asked)["facts"]["co.sales_12m"]
    province.advance_days(9)
    late = [invoice(888, last_day + 5)]
    province.succeed(province.submit("D02", "C044", late, "line"))
    access = province.do("ICBC", "access.open", **look)["access"]
    shown = province.ask("ICBC", "company.features", **asked, access=access)
    assert (shown["as_of"], shown["facts"]["co.sales_12m"]) == (last_day, before)
    assert shown["withheld"] == ("co.sales_prior_12m",)  # reaches back two years
    assert province.ask(SELLER, "company.features", **asked)["as_of"] == last_day + 9
