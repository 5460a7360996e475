"""Applications end to end through executed blocks: granted, declined, referred, refused."""

from __future__ import annotations

import pytest

from ledger.encoding import decode, encode
from ledger.errors import Code, Rejected
from ledger.rules.decision import Decision
from ledger.transactions.records import Record
from tests.lending.documents import credit_line
from tests.lending.province import BUYER, OTHER, RECEIVABLE_FEN, SELLER, TODAY, Province, invoice

GRANTED_FEN = RECEIVABLE_FEN * 8 // 10


@pytest.fixture
def province() -> Province:
    return Province()


def test_the_rule_yields_the_amount_when_more_is_asked(province: Province) -> None:
    consent = province.consent(SELLER, "ICBC")
    asset = province.receivable()
    decision = province.apply("SCF-ICBC/1", asset=asset)
    assert decision["outcome"] == "GRANT"
    assert (decision["amount_fen"], decision["limit_fen"]) == (GRANTED_FEN, GRANTED_FEN)
    assert (decision["rate_bp"], decision["score"]) == (550, 570)
    shown = province.ask("ICBC", "application.show", application=decision["application"])
    assert shown["consents"] == (consent,)
    assert shown["facts"]["rv.amount"] == RECEIVABLE_FEN
    assert shown["facts"]["co.sales_12m"] == 12 * 10_000_000 + RECEIVABLE_FEN
    assert shown["facts"]["as_of"] == TODAY


def test_less_is_granted_when_less_is_asked(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    decision = province.apply("SCF-ICBC", asset=asset, amount_fen=1_234_567)
    assert decision["amount_fen"] == 1_234_567


def test_a_decision_can_be_computed_again_from_what_is_kept(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    decision = province.apply("SCF-ICBC/1", asset=province.receivable())
    province.block()
    context = province.query_context("D18")
    shown = province.ask("D18", "application.show", application=decision["application"])
    again = context.rules.product(shown["product"]).decide(shown["facts"])
    assert again.features_digest == shown["features_digest"]
    assert again.rule_hash == shown["rule_hash"]
    assert (again.amount_fen, again.rate_bp) == (decision["amount_fen"], decision["rate_bp"])
    assert Decision.from_value(decode(encode(again.to_value()))) == again


def test_a_decline_names_every_failing_code_with_its_inputs(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable(101, is_confirmed=False)
    decision = province.apply("SCF-ICBC/1", asset=asset, term_days=365)
    assert decision["outcome"] == "DECLINE"
    assert decision["amount_fen"] is None
    assert [reason[0] for reason in decision["reasons"]] == ["R101", "R104"]
    inputs = dict(decision["reasons"][0][3])
    assert inputs == {"rv.confirmed": False, "rv.invoice_verified": False}


def test_a_missing_record_is_referred_and_never_granted(province: Province) -> None:
    province.consent(SELLER, "CCB")
    body = {"kind": "patent", "document_no": "ZL1", "day": TODAY - 900}
    asset = province.do(SELLER, "asset.register", company=SELLER, **body)["asset"]
    referred = province.apply("IPP/1", asset=asset)
    assert referred["outcome"] == "REFER"
    assert referred["missing"] == ("pt.legal_status",)
    record = {"patent_no": "ZL1", "title": "a", "granted_on": TODAY - 900, "legal_status": "valid"}
    province.succeed(province.submit("D01", "C028", [Record(SELLER, TODAY - 900, record)]))
    granted = province.apply("IPP/1", asset=asset)
    assert (granted["outcome"], granted["amount_fen"]) == ("GRANT", 20_000_000)


def test_a_patent_of_somebody_else_is_no_security(province: Province) -> None:
    record = {"patent_no": "ZL1", "title": "a", "granted_on": TODAY - 900, "legal_status": "valid"}
    province.succeed(province.submit("D01", "C028", [Record(OTHER, TODAY - 900, record)]))
    province.consent(SELLER, "CCB")
    body = {"kind": "patent", "document_no": "ZL1", "day": TODAY - 900}
    asset = province.do(SELLER, "asset.register", company=SELLER, **body)["asset"]
    assert province.apply("IPP/1", asset=asset)["outcome"] == "REFER"


def test_a_void_or_smaller_invoice_verifies_nothing(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    lines = [
        invoice(201, TODAY - 20, RECEIVABLE_FEN, status="X"),
        invoice(202, TODAY - 20, RECEIVABLE_FEN - 1),
        invoice(203, TODAY - 20, RECEIVABLE_FEN, company=OTHER),
    ]
    province.succeed(province.submit("D02", "C044", lines, "line"))
    for number in (201, 202, 203):
        decision = province.apply("SCF-ICBC/1", asset=province.receivable(number))
        assert decision["outcome"] == "DECLINE"
        assert dict(decision["reasons"][0][3])["rv.invoice_verified"] is False


def test_without_authorisation_nothing_is_decided(province: Province) -> None:
    asset = province.receivable()
    body = {"company": SELLER, "product": "SCF-ICBC/1", "amount_fen": 1, "term_days": 1}
    sentence = province.refuse(Code.CONSENT_MISSING, SELLER, "loan.apply", asset=asset, **body)
    assert "C044" in sentence
    province.consent(SELLER, "CCB")
    province.refuse(Code.CONSENT_MISSING, SELLER, "loan.apply", asset=asset, **body)
    consent = province.consent(SELLER, "ICBC")
    province.do(SELLER, "consent.pause", consent=consent)
    province.refuse(Code.CONSENT_MISSING, SELLER, "loan.apply", asset=asset, **body)
    province.do(SELLER, "consent.resume", consent=consent)
    province.do(SELLER, "loan.apply", asset=asset, **body)


def test_an_application_carries_only_its_own_facts(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    body = {"company": SELLER, "product": "LINE/1", "amount_fen": 100, "term_days": 9}
    for declared in (
        {"co.sales_12m": 10**14},
        {"ap.seats": 10},
        {"ap.seats": "2"},
        {"ap.unheard": 1},
        [1],
    ):
        province.refuse(Code.BODY_MALFORMED, SELLER, "loan.apply", declared=declared, **body)
    declined = province.do(SELLER, "loan.apply", declared={"ap.seats": 6}, **body)
    assert [reason[0] for reason in declined["reasons"]] == ["R150"]
    lied = province.do(SELLER, "loan.apply", declared={"ap.seats": 5, "ap.amount": 10**13}, **body)
    assert (lied["outcome"], lied["amount_fen"]) == ("GRANT", 100)


@pytest.mark.parametrize(
    ("who", "changes", "code"),
    [
        (OTHER, {}, Code.NOT_PERMITTED),
        ("CCB", {}, Code.NOT_PERMITTED),
        ("D02", {}, Code.NOT_PERMITTED),
        (SELLER, {"amount_fen": 0}, Code.AMOUNT_NOT_POSITIVE),
        (SELLER, {"amount_fen": -5}, Code.AMOUNT_NOT_POSITIVE),
        (SELLER, {"amount_fen": 10**15 + 1}, Code.AMOUNT_TOO_LARGE),
        (SELLER, {"amount_fen": "5"}, Code.BODY_MALFORMED),
        (SELLER, {"term_days": 0}, Code.BODY_MALFORMED),
        (SELLER, {"product": "SCF-ICBC/9"}, Code.PRODUCT_UNKNOWN),
        (SELLER, {"product": "nothing"}, Code.PRODUCT_UNKNOWN),
        (SELLER, {"asset": "00" * 16}, Code.ASSET_UNKNOWN),
        (SELLER, {"asset": None}, Code.ASSET_REQUIRED),
        (SELLER, {"product": "LINE/1"}, Code.ASSET_KIND),
        (SELLER, {"product": "IPP/1"}, Code.ASSET_KIND),
        (SELLER, {"unknown": 1}, Code.BODY_MALFORMED),
    ],
)
def test_applications_that_are_refused(
    province: Province, who: str, changes: dict[str, object], code: Code
) -> None:
    for bank in ("ICBC", "CCB"):
        province.consent(SELLER, bank)
    body = {"company": SELLER, "product": "SCF-ICBC/1", "amount_fen": 100, "term_days": 30}
    body |= {"asset": province.receivable()} | changes
    province.refuse(code, who, "loan.apply", **body)
    assert province.ask("D18", "application.list", company=SELLER)["applications"] == []


def test_an_asset_of_another_company_is_refused(province: Province) -> None:
    province.consent(OTHER, "ICBC")
    asset = province.receivable()
    body = {"company": OTHER, "product": "SCF-ICBC", "amount_fen": 1, "term_days": 1}
    province.refuse(Code.ASSET_NOT_OWNER, OTHER, "loan.apply", asset=asset, **body)


def test_a_counter_and_the_lender_may_apply_for_a_company(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    first = province.apply("SCF-ICBC/1", who="D01", asset=asset, term_days=365)
    assert first["outcome"] == "DECLINE"
    assert province.apply("SCF-ICBC/1", who="ICBC", asset=asset)["outcome"] == "GRANT"


def test_one_open_offer_at_a_time_for_a_product_and_an_asset(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    asset = province.receivable()
    first = province.apply("SCF-ICBC/1", asset=asset)
    body = {"company": SELLER, "product": "SCF-ICBC", "amount_fen": 1, "term_days": 1}
    sentence = province.refuse(Code.APPLICATION_EXISTS, SELLER, "loan.apply", asset=asset, **body)
    assert first["application"] in sentence
    province.advance_days(31)
    province.attest_sales()
    assert province.apply("SCF-ICBC/1", asset=asset)["outcome"] == "GRANT"


def test_who_may_see_an_application(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    application = province.apply("SCF-ICBC/1", asset=province.receivable())["application"]
    for who in (SELLER, "ICBC", "D18"):
        shown = province.ask(who, "application.show", application=application)
        assert shown["stage"] == "OFFERED"
        listed = province.ask(who, "application.list", company=SELLER)
        assert len(listed["applications"]) == 1
    for who in (BUYER, "CCB", "D02", "D01"):
        with pytest.raises(Rejected) as caught:
            province.ask(who, "application.show", application=application)
        assert caught.value.code is Code.NOT_PERMITTED
        assert province.ask(who, "application.list", company=SELLER)["applications"] == []


def test_old_decisions_keep_their_version(province: Province) -> None:
    province.consent(SELLER, "ICBC")
    declared = {"ap.seats": 1}
    old = province.apply("LINE/1", declared=declared)
    province.do("ICBC", "product.register", source=credit_line("2020-02-01", 2, 900_000))
    body = {"company": SELLER, "amount_fen": 10**9, "term_days": 9, "declared": declared}
    province.refuse(Code.PRODUCT_NOT_EFFECTIVE, SELLER, "loan.apply", product="LINE/1", **body)
    province.advance_days(31)
    province.attest_sales()
    new = province.do(SELLER, "loan.apply", product="LINE", **body)
    assert (old["amount_fen"], new["amount_fen"]) == (30_000_000, 90_000_000)
    shown = province.ask("ICBC", "application.show", application=old["application"])
    assert (shown["product"], shown["stage"]) == ("LINE/1", "LAPSED")
