"""More cases an auditor tried on the platform in memory, where the first did not look.

Like `test_platform_cases.py` they run whole transactions through execution, as
`tests.lending.province` does.
"""

from __future__ import annotations

from typing import Any

import pytest

from genesis.limits import load_limits
from genesis.network import NETWORKS
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.lending.limits.limits import GENESIS_SETTING, Limit, Status, Use, read_genesis_limits
from ledger.transactions.records import Record
from tests.ledger_harness import SALT
from tests.lending.province import OTHER, SELLER, Province
from tests.lending.test_limits import Supervised

LINES = {"company": SELLER, "category": "C044", "schema": "line"}
LIMITS = read_genesis_limits({GENESIS_SETTING: encode(load_limits(NETWORKS / "guangdong"))})
LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}


@pytest.fixture
def province() -> Province:
    return Province()


def test_a_consent_that_is_used_up_does_not_hide_a_fresh_one(province: Province) -> None:
    for days in range(300, 304):  # whatever the order of their ids
        province.consent(SELLER, "ICBC", from_day=province.day - days)
    looks = [province.do("ICBC", "access.open", **LOOK) for _ in range(5)]
    assert [look["outcome"] for look in looks] == ["GRANTED"] * 4 + ["REFUSED"]
    assert len({look["consents"] for look in looks[:4]}) == 4
    assert looks[4]["code"] == Code.CONSENT_USED


def test_an_application_of_the_lender_finds_the_fresh_consent(province: Province) -> None:
    for days in (300, 301):
        province.consent(SELLER, "ICBC", from_day=province.day - days)
    wish: dict[str, Any] = {"company": SELLER, "product": "LINE/1", "declared": {"ap.seats": 9}}
    wish |= {"amount_fen": 1_000_000, "term_days": 9}
    for _ in range(2):
        assert province.apply(who="ICBC", **wish)["outcome"] == "DECLINE"
    province.refuse(Code.CONSENT_USED, "ICBC", "loan.apply", **wish)


def corrected(record: Any) -> Record:
    fields = {**record["fields"], "net": 1, "gross": 1}
    return Record(SELLER, record["day"], fields, supersedes=reference(record), salt=SALT)


def reference(record: Any) -> tuple[int, bytes]:
    return record["day"], record["digest"]


def test_a_record_that_was_erased_is_not_brought_back_by_a_correction(province: Province) -> None:
    record = province.ask(SELLER, "company.records", **LINES)["records"][5]
    order = {"ground": "order", "reference": "court order 7", "records": (reference(record),)}
    province.do("D18", "records.erase", **LINES, **order)
    code, data = province.run(province.submit("D02", "C044", [corrected(record)], "line"))
    assert Code(code) is Code.RECORD_SUPERSEDES_UNKNOWN, data
    assert "was erased" in data["error"]
    shown = province.ask(SELLER, "company.records", **LINES)["records"]
    (lines,) = province.ask(SELLER, "company.show", company=SELLER)["schemas"]
    assert lines["record_count"] == len(shown) - 1
    (after,) = [item for item in shown if item["digest"] == record["digest"]]
    assert (after["status"], after["fields"], after["body"]) == ("ERASED", None, None)


def offered(province: Province) -> dict[str, str]:
    province.sell(OTHER)
    wish = {"company": OTHER, "term_days": 30, "amount_fen": 1_000_000}
    asked = province.apply("LINE/1", OTHER, declared={"ap.seats": 1}, **wish)
    return {"application": asked["application"]}


@pytest.mark.parametrize("asker", [OTHER, "D01", "ICBC"])
def test_a_guarantee_company_stands_for_whom_it_was_asked_to(
    province: Province, asker: str
) -> None:
    named = offered(province)
    stands = named | {"amount_fen": 500_000}
    unasked = province.refuse(Code.NOT_PERMITTED, "PAB", "loan.guarantee", **stands)
    assert unasked.startswith("nobody asked PAB")
    province.do(asker, "loan.ask_guarantee", guarantor="PAB", **named)
    (notice,) = province.ask("PAB", "notices.list")["notices"]
    assert (notice["kind"], notice["company"]) == ("guarantee asked", OTHER)
    province.do("PAB", "loan.guarantee", **stands)
    province.refuse(Code.LOAN_STATE, asker, "loan.ask_guarantee", guarantor="PAB", **named)


def test_nobody_else_asks_for_a_guarantee_and_asking_binds_nobody(province: Province) -> None:
    named = offered(province)
    for who, guarantor, code in (
        ("CCB", "PAB", Code.NOT_PERMITTED),
        (SELLER, "PAB", Code.NOT_PERMITTED),
        ("PAB", "PAB", Code.NOT_PERMITTED),
        (OTHER, "CCB", Code.NOT_PERMITTED),  # no guarantee company
        (OTHER, "nobody", Code.MEMBER_UNKNOWN),
    ):
        province.refuse(code, who, "loan.ask_guarantee", guarantor=guarantor, **named)
    province.do(OTHER, "loan.ask_guarantee", guarantor="PAB", **named)
    province.do(OTHER, "loan.accept", **named)
    loan = province.do("ICBC", "loan.disburse", **named)["loan"]
    assert province.ask("ICBC", "loan.show", loan=loan)["guarantor"] == ""
    with pytest.raises(Rejected, match="may not see this loan"):
        province.ask("PAB", "loan.show", loan=loan)
    paid = province.sign("ICBC", "loan.repay", {"loan": loan, "amount_fen": 5})
    province.succeed(paid)
    with pytest.raises(Rejected, match="2006"):
        province.ask("PAB", "receipt.check", tx_id=paid.id)


def test_a_guarantor_sees_the_loan_that_it_stands_for(province: Province) -> None:
    province.sell(OTHER)
    loan = province.lend(guaranteed_fen=500_000)
    province.advance_days(40)
    shown = province.ask("PAB", "loan.show", loan=loan)
    assert (shown["state"], shown["guaranteed_fen"]) == ("OVERDUE", 500_000)
    (listed,) = province.ask("PAB", "loan.list", company=OTHER)["loans"]
    assert listed["loan"] == loan
    assert province.ask("CCB", "loan.list", company=OTHER)["loans"] == []


def test_a_look_says_what_the_reader_owes_the_company(province: Province) -> None:
    stored = {"mode": "store", "data_life_days": 30, "is_onward_allowed": True}
    for changes in ({}, stored):
        consent = province.consent(SELLER, "ICBC", **changes)
        opened = province.do("ICBC", "access.open", **LOOK)
        (terms,) = opened["terms"]
        assert terms["consent"] == consent
        kept = province.day + 30 if changes else None
        assert (terms["mode"], terms["keep_until_day"]) == (changes.get("mode", "view"), kept)
        assert terms["is_onward_allowed"] is bool(changes)
    refused = province.do("ICBC", "access.open", **LOOK)
    assert (refused["outcome"], refused["terms"]) == ("REFUSED", ())


def test_new_terms_do_not_make_a_bad_loan_good_at_once(province: Province) -> None:
    province.sell(OTHER)
    loan = province.lend()

    def grade() -> str:
        return str(province.ask("ICBC", "loan.show", loan=loan)["grade"])

    province.advance_days(30 + 91)
    assert grade() == "substandard"
    province.do("ICBC", "loan.default", loan=loan)
    terms = {"loan": loan, "term_days": 365, "rate_bp": 400, "schedule": "bullet"}
    province.do("ICBC", "loan.restructure", **terms)
    province.do(OTHER, "loan.accept_terms", loan=loan)
    assert grade() == "substandard"
    province.advance_days(183)
    assert grade() == "substandard"
    province.advance_days(1)
    assert grade() == "pass"
    province.advance_days(365 - 184 + 1)
    assert grade() == "special mention"


@pytest.mark.parametrize(
    "limit", [item for item in LIMITS if item.measure != "definition"], ids=lambda item: item.id
)
def test_each_limit_of_the_law_is_kept_at_its_boundary_and_broken_beyond(limit: Limit) -> None:
    base = 1_000_003 * 10_000 if limit.base else None
    most = limit.most * 1_000_003 if limit.base else limit.most
    beyond = most - 1 if limit.is_minimum else most + 1
    assert Use(limit, "", most, base).status is Status.KEPT
    assert Use(limit, "", beyond, base).status is Status.BREACHED
    if limit.base and not limit.is_minimum:  # net assets below zero bear nothing
        assert Use(limit, "", 0, -base if base else 0).status is Status.KEPT
        assert Use(limit, "", 1, -base if base else 0).status is Status.BREACHED


def test_a_term_beyond_the_limit_is_noticed_when_new_terms_make_it_so() -> None:
    province = Supervised()
    province.sell(OTHER)
    loan = province.lend(OTHER)
    assert province.limits()["ML-TERM"]["status"] == "kept"
    terms = {"loan": loan, "term_days": 365, "rate_bp": 400}
    province.do("ICBC", "loan.restructure", **terms)
    province.do(OTHER, "loan.accept_terms", loan=loan)
    assert province.alarms() == [("limit/ML-TERM", OTHER, "OPEN")]
    owed_fen = province.ask("ICBC", "loan.show", loan=loan)["owed_fen"]
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=owed_fen)
    assert province.alarms() == [("limit/ML-TERM", OTHER, "RESOLVED")]


def test_a_lender_that_applies_of_its_own_accord_sees_no_further_than_the_consent(
    province: Province,
) -> None:
    asset = province.receivable()
    province.consent(SELLER, "ICBC", from_day=province.day - 363)
    narrow = province.apply("SCF-ICBC/1", "ICBC", asset=asset)
    assert narrow["outcome"] == "REFER"
    assert "co.sales_12m" in narrow["missing"]
    province.consent(SELLER, "ICBC", from_day=province.day - 364)
    assert province.apply("SCF-ICBC/1", "ICBC", asset=asset)["outcome"] == "GRANT"


def test_a_decision_reads_no_day_that_the_company_has_not_opened(province: Province) -> None:
    asset = province.receivable()
    wish: dict[str, Any] = {"company": SELLER, "product": "SCF-ICBC/1", "asset": asset}
    wish |= {"amount_fen": 1_000_000, "term_days": 90}
    ask = {"company": SELLER, "product": "SCF-ICBC/1"}
    day = province.day
    (needed,) = province.ask(SELLER, "consent.needed", **ask)["categories"]
    first_day = needed["first_day"]
    assert (needed["category"], needed["last_day"]) == ("C044", day)
    for changes in (
        {"from_day": day - 10, "decision_from_day": first_day + 1},
        {"from_day": day - 300, "to_day": day - 1, "decision_from_day": first_day},
    ):
        consent = province.consent(SELLER, "ICBC", **changes)
        sentence = province.refuse(Code.CONSENT_DAYS, SELLER, "loan.apply", **wish)
        assert consent in sentence
        told = province.ask(SELLER, "consent.needed", **ask)
        assert (told["code"], told["text"]) == (Code.CONSENT_DAYS, sentence)
        province.do(SELLER, "consent.revoke", consent=consent)
    fits = province.consent(SELLER, "ICBC", from_day=day - 10, decision_from_day=first_day)
    assert province.ask("ICBC", "consent.needed", **ask)["consents"] == (fits,)
    assert province.do(SELLER, "loan.apply", **wish)["outcome"] == "GRANT"
    (logged,) = province.ask(SELLER, "access.list", company=SELLER)["accesses"]
    assert (logged["from_day"], logged["to_day"]) == (first_day, day)


def test_what_a_regulator_notes_on_an_alert_is_for_regulators() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.report("ICBC", 5_000_000)
    province.lend(OTHER)
    alert = province.ask("D18", "alerts.list")["alerts"][0]
    named = {"alert": alert["alert"]}
    province.do("D18", "alert.ack", **named, note="we visit on Monday")
    for who, note in (("D18", "we visit on Monday"), ("ICBC", "")):
        assert province.ask(who, "alert.show", **named)["note"] == note
        listed = province.ask(who, "alerts.list")["alerts"]
        assert [a["note"] for a in listed if a["alert"] == alert["alert"]] == [note]
