"""Products: registered by their lender, upwards, and checked before they are sent."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Code, Refused
from ledger.queries import QUERIES
from tests.ledger_harness import Harness
from tests.lending.documents import RULES, credit_line, patent_loan, supply_chain
from tests.lending.province import Province


@pytest.fixture(scope="module")
def province() -> Province:
    """Shared: nothing here leaves a trace, which each test relies on."""
    return Province()


REFUSED = [
    ("CCB", supply_chain("ICBC", 2), Code.PRODUCT_NOT_LENDERS, "ICBC"),
    ("D02", supply_chain("D02"), Code.NOT_PERMITTED, "institution"),
    ("ICBC", supply_chain("ICBC"), Code.RULE_EXISTS, "SCF-ICBC/1"),
    ("ICBC", credit_line(version=1, limit=5), Code.RULE_EXISTS, "LINE/1"),
    (
        "CCB",
        supply_chain("CCB")
        .replace(b"SCF-CCB", b"SCF-ICBC")
        .replace(b"version = 1", b"version = 2"),
        Code.PRODUCT_NOT_LENDERS,
        "another lender",
    ),
    (
        "CCB",
        patent_loan("")
        .replace(b'"IPP"', b'"IPP2"')
        .replace(b"!pt.pledged", b"co.sales_12m > yuan(1)"),
        Code.RULE_INVALID,
        "C044",
    ),
    (
        "CCB",
        patent_loan('"C999", "C044"').replace(b'"IPP"', b'"IPP3"'),
        Code.CATEGORY_UNKNOWN,
        "C999",
    ),
    (
        "CCB",
        patent_loan(when="rv.wishful > yuan(0)").replace(b'"IPP"', b'"IPP4"'),
        Code.RULE_INVALID,
        "rv.wishful",
    ),
    (
        "CCB",
        patent_loan(when="pt.pledged > 3").replace(b'"IPP"', b'"IPP5"'),
        Code.RULE_INVALID,
        "line 16, column",
    ),
    ("CCB", patent_loan().replace(b"company/1", b"company/9"), Code.RULE_INVALID, ""),
    ("CCB", b"\xff\xfe", Code.RULE_INVALID, ""),
    ("CCB", b"kind = 'alert'", Code.RULE_INVALID, ""),
]


@pytest.mark.parametrize(("who", "source", "code", "sentence"), REFUSED)
def test_products_that_are_refused(
    province: Province, who: str, source: bytes, code: Code, sentence: str
) -> None:
    got, data = province.run(province.sign(who, "product.register", {"source": source}))
    if b"company/9" in source:
        assert Code(got) in (Code.RULE_INVALID, Code.SCHEMA_UNKNOWN)
    else:
        assert Code(got) is code, data
    assert sentence in data["error"]
    assert len(province.ask("ICBC", "product.list")["products"]) == 4


def test_a_check_says_what_registering_would_say_and_keeps_nothing(province: Province) -> None:
    for who, source, code, sentence in REFUSED:
        if code is Code.NOT_PERMITTED:
            continue
        checked = province.ask(who, "product.check", source=source)
        assert checked["is_valid"] is False
        assert sentence in checked["error"]
    good = province.ask("CCB", "product.check", source=supply_chain("CCB", 2))
    assert (good["is_valid"], good["product"]) == (True, "SCF-CCB/2")
    assert "rv.amount" in good["inputs"]
    assert len(province.ask("ICBC", "product.list")["products"]) == 4


@pytest.mark.parametrize("lender", ["nobody", "D02", "D18"])
def test_a_check_for_who_is_no_institution_here_says_so(province: Province, lender: str) -> None:
    source = supply_chain(lender)
    checked = province.ask("CCB", "product.check", source=source, lender=lender)
    assert (checked["is_valid"], checked["code"]) == (False, Code.PRODUCT_NOT_LENDERS)
    assert checked["error"] == f"lender {lender} is no institution of this network"


def test_products_are_listed_and_shown(province: Province) -> None:
    listed = province.ask("D18", "product.list", lender="CCB")["products"]
    assert [item["product"] for item in listed] == ["IPP/1", "SCF-CCB/1"]
    assert all(item["is_in_force"] for item in listed)
    shown = province.ask("PAB", "product.show", product="SCF-CCB/1")
    assert shown["params"] == {"p.max_limit": 300_000_000, "p.advance_rate": 8_000}
    assert shown["requires"] == ("C044",)


def test_versions_only_go_up() -> None:
    province = Province()
    province.do("ICBC", "product.register", source=credit_line(version=5))
    for version in (4, 2):
        province.refuse(
            Code.PRODUCT_VERSION,
            "ICBC",
            "product.register",
            source=credit_line(version=version),
        )
    province.do("ICBC", "product.register", source=credit_line("2030-01-01", version=6))
    listed = province.ask("D18", "product.list", lender="ICBC")["products"]
    in_force = {item["product"]: item["is_in_force"] for item in listed}
    assert in_force == {"LINE/1": False, "LINE/5": True, "LINE/6": False, "SCF-ICBC/1": True}


def test_product_of_the_first_block_is_its_lenders_and_in_force() -> None:
    chain = Harness(rules=(*RULES, supply_chain("ICBC")))
    answer: Any = QUERIES["product.list"](chain.query_context("ICBC"), {})
    listed = answer["products"]
    shown = [(item["product"], item["lender"], item["is_in_force"]) for item in listed]
    assert shown == [("SCF-ICBC/1", "ICBC", True)]
    for who, version, want in (("ICBC", 1, Code.RULE_EXISTS), ("ICBC", 2, Code.OK)):
        body = {"source": supply_chain(who, version)}
        assert chain.run(chain.sign(who, "product.register", body))[0] == want


@pytest.mark.parametrize("lender", ["D02", "nobody"])
def test_product_of_the_first_block_needs_an_institution_that_takes_part(lender: str) -> None:
    sentence = rf"lender {lender} is no institution of this network"
    with pytest.raises(Refused, match=sentence) as caught:
        Harness(rules=(*RULES, supply_chain(lender)))
    assert caught.value.code is Code.GENESIS_INVALID
