"""`company.match`: what every product would say, for the company alone."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, Rejected
from ledger.lending import ranking
from ledger.lending.matching import find_best_assets
from tests.lending.documents import supply_chain
from tests.lending.province import BUYER, OTHER, SELLER, TODAY, Province

ASKED = {"amount_fen": 20_000_000, "term_days": 90}


@pytest.fixture(scope="module")
def province() -> Province:
    """Shared: nothing here leaves a trace, which a test makes sure of."""
    province = Province()
    province.receivable(5, amount_fen=900_000_000, is_confirmed=False)
    province.receivable()
    return province


def match(province: Province, who: str = SELLER, **changes: Any) -> Any:
    return province.ask(who, "company.match", **({"company": SELLER, **ASKED} | changes))


@pytest.mark.parametrize("who", ["ICBC", "CCB", "D18", "D02", OTHER])
def test_nobody_sees_it_but_the_company_and_a_counter(province: Province, who: str) -> None:
    with pytest.raises(Rejected) as refused:
        match(province, who)
    assert refused.value.code is Code.NOT_PERMITTED
    assert match(province, "D01") == match(province)


def test_it_leaves_no_trace_that_a_lender_could_see(province: Province) -> None:
    before = province.head.state_root
    match(province)
    assert province.head.state_root == before
    assert province.ask(SELLER, "access.list", company=SELLER)["accesses"] == []
    assert province.ask(SELLER, "application.list", company=SELLER)["applications"] == []


def test_grants_come_by_what_they_cost_and_others_with_their_change(province: Province) -> None:
    found = match(province)
    assert found["counts"] == {"GRANT": 2, "REFER": 2}
    assert {item["product"] for item in found["eligible"]} == {"SCF-ICBC/1", "SCF-CCB/1"}
    first = found["eligible"][0]
    assert (first["rate_bp"], first["amount_fen"]) == (550, 20_000_000)
    assert first["interest_fen"] == 20_000_000 * 550 * 90 // (10_000 * 360)
    assert first["requires"] == ("C044",)
    others = {item["product"]: item for item in found["others"]}
    (seats,) = others["LINE/1"]["change"]["moves"]
    assert (seats["feature"], seats["before"], seats["after"]) == ("ap.seats", None, 0)
    assert others["LINE/1"]["missing"] == ("ap.seats",)
    titles = {move["feature"] for move in others["IPP/1"]["change"]["moves"]}
    assert titles == {"pt.legal_status", "pt.pledged"}


def test_what_it_says_is_what_an_application_gets(province: Province) -> None:
    asset = find_best_assets(province.query_context(SELLER).state, SELLER)["receivable"][0].hex()
    assert match(province)["assets"] == {"receivable": asset}
    said = match(province, declared={"ap.seats": 1})
    fresh = Province()
    fresh.receivable(5, amount_fen=900_000_000, is_confirmed=False)
    fresh.receivable()
    for lender in ("ICBC", "CCB"):
        fresh.consent(SELLER, lender)
    assets = {"SCF-ICBC/1": asset, "SCF-CCB/1": asset}
    for item in said["eligible"]:
        changes: dict[str, Any] = dict(ASKED)
        if item["product"] in assets:
            changes["asset"] = assets[item["product"]]
        else:
            changes["declared"] = {"ap.seats": 1}
        got = fresh.apply(item["product"], **changes)
        names = ("outcome", "amount_fen", "limit_fen", "rate_bp", "score")
        assert {name: got[name] for name in names} == {name: item[name] for name in names}
    assert len(said["eligible"]) == 3


def test_a_change_that_would_pass_names_what_failed(province: Province) -> None:
    (item,) = match(province, products=("SCF-ICBC",), term_days=160)["others"]
    assert item["outcome"] == "DECLINE"
    (reason,) = item["reasons"]
    assert (reason["code"], reason["text"]) == ("R104", "The loan would outlive the receivable")
    (move,) = item["change"]["moves"]
    assert (move["feature"], move["before"], move["after"]) == ("ap.term", 160, 150)


def test_all_changes_of_an_answer_have_a_bound(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up is answered by a node that has a chain to keep up with."""
    assert all(item["change"] for item in match(province)["others"])
    monkeypatch.setattr(ranking, "MAX_EVALUATIONS", 1)
    assert [item["change"] for item in match(province)["others"]] == [None, None]


def test_the_best_asset_is_free_then_confirmed_then_great() -> None:
    province = Province()
    great = province.receivable(5, amount_fen=900_000_000, is_confirmed=False)
    small = province.receivable(6, amount_fen=1_000_000)
    confirmed = province.receivable()
    assets = find_best_assets(province.query_context(SELLER).state, SELLER)
    assert assets["receivable"][0].hex() == confirmed
    province.consent(SELLER, "ICBC")
    offer = province.apply("SCF-ICBC/1", asset=confirmed)["application"]
    province.do(SELLER, "loan.accept", application=offer)
    province.do("ICBC", "loan.disburse", application=offer)
    assets = find_best_assets(province.query_context(SELLER).state, SELLER)
    assert assets["receivable"][0].hex() == small
    assert great != small


def test_a_product_that_is_not_in_force_is_not_matched() -> None:
    province = Province()
    later = supply_chain("ICBC", 2).replace(b"2020-01-01", b"2031-01-01")
    province.do("ICBC", "product.register", source=later)
    assert sum(match(province)["counts"].values()) == 4
    names = [item["product"] for item in match(province)["others"]]
    assert "SCF-ICBC/1" in names


def test_refuses_what_it_does_not_know(province: Province) -> None:
    for changes, code in (
        ({"products": ("NOPE",)}, Code.PRODUCT_UNKNOWN),
        ({"company": BUYER[:-1]}, Code.BODY_MALFORMED),
        ({"declared": {"co.sales_12m": 5}}, Code.BODY_MALFORMED),
        ({"top": 0}, Code.BODY_MALFORMED),
        ({"amount_fen": 0}, Code.AMOUNT_NOT_POSITIVE),
    ):
        with pytest.raises(Rejected) as refused:
            match(province, **changes)
        assert refused.value.code is code, changes
    assert match(province)["as_of"] == TODAY
