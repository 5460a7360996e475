"""What a pledge is found by, and how much it may come to: forms of numbers, parts, currencies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit import asset_queries
from ledger.credit.assets import HANDLERS
from ledger.credit.document_numbers import normalise_number
from ledger.credit.rates import Rate, put_rate
from ledger.errors import Code, Rejected
from ledger.state.tables import ASSET_MARKS, PLEDGES
from tests.credit_assets.test_assets import APPLICATION, SECOND, claim, pledge, refused, release
from tests.lending.desk import BUYER, SELLER, TODAY, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(HANDLERS, asset_queries.QUERIES)


def register(desk: Desk, **changes: Any) -> str:
    return str(desk.send(SELLER, "asset.register", **claim(**changes))["asset"])


def pledged_match(desk: Desk, **changes: Any) -> str:
    return str(desk.ask("ccb", "asset.check", **claim(**changes))["pledged"])


def test_what_was_similar_to_a_released_pledge_is_free_again(desk: Desk) -> None:
    receivable = register(desk)
    invoice = register(desk, kind="invoice", amount_fen=99_000_000)  # the same paper, less tax
    pledge(desk, receivable, "icbc", APPLICATION, 50_000_000)
    pledge(desk, invoice, "icbc", SECOND, 20_000_000)
    assert pledged_match(desk, document_no="X9", amount_fen=99_000_000) == "similar"
    release(desk, receivable, APPLICATION)
    assert pledged_match(desk, document_no="X9") == "none"
    assert pledged_match(desk, document_no="X9", amount_fen=99_000_000) == "similar"
    release(desk, invoice, SECOND)
    assert pledged_match(desk, document_no="X9", amount_fen=99_000_000) == "none"
    assert not list(desk.state.scan(PLEDGES, b""))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 3), st.integers(1, 10**7)),
        max_size=25,
    )
)
def test_marks_of_pledges_are_those_of_the_parts(
    moves: list[tuple[bool, int, int, int]],
) -> None:
    desk = Desk(HANDLERS, asset_queries.QUERIES)
    amounts = (140_000_000, 130_000_000, 120_000_000)
    assets = [register(desk, amount_fen=fen) for fen in amounts]
    held: dict[int, int] = {}  # application → which of the assets
    for is_pledge, which, number, amount_fen in moves:
        application = bytes(31) + bytes((number,))
        if is_pledge:
            which = held.setdefault(number, which)
            pledge(desk, assets[which], "icbc", application, amount_fen)
        elif number in held:
            release(desk, assets[held.pop(number)], application)
        for index, fen in enumerate(amounts):
            near = pledged_match(desk, document_no="X9", amount_fen=fen)
            assert near == ("similar" if index in held.values() else "none")


@pytest.mark.parametrize(
    "written",
    [
        "inv 0001",
        "ＩＮＶ－０００１",
        "INV*0001",
        "INV_0001+",
        "\u0406NV-0001",  # a Cyrillic letter that looks like I
        "INV-\u0660\u0660\u0660\u0661",  # Arabic digits
        "INV-\u2070\u2070\u2070\u00b9",  # superscripts
        "\U0001d408NV-0001",  # a bold letter of mathematics
        "I\u0301NV-0001",  # with an accent
        "\u2160NV-0001",  # the Roman numeral one
        "INV\u3164-0001",  # a letter that shows nothing
        "INV\ufe0f0001",
    ],
)
def test_one_document_however_its_number_is_written(desk: Desk, written: str) -> None:
    asset = register(desk)
    with refused(Code.ASSET_EXISTS):
        register(desk, document_no=written)
    pledge(desk, asset, "icbc", APPLICATION, 1)
    assert pledged_match(desk, kind="invoice", document_no=written) == "exact"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("00123456", "123456"),
        ("INV-0001", "INV-1"),
        ("4403191130 12345678", "12345678"),
        ("044031900111 00012345", "12345"),
    ],
)
def test_a_number_without_its_zeros_or_its_code_is_similar(
    desk: Desk, first: str, second: str
) -> None:
    register(desk, document_no=first)
    other = claim(document_no=second, amount_fen=1, counterparty="somebody else", day=TODAY)
    assert desk.ask("ccb", "asset.check", **other)["registered"] == "similar"
    other |= {"document_no": second + "7"}
    assert desk.ask("ccb", "asset.check", **other)["registered"] == "none"


@given(st.text(max_size=20))
def test_a_normal_form_is_its_own(text: str) -> None:
    normal = normalise_number(text)
    assert normalise_number(normal) == normal
    assert not any(c.isspace() or c in "-/.,:;#_" for c in normal)


def test_goods_are_known_by_who_keeps_them(desk: Desk) -> None:
    goods = claim(kind="warehouse_receipt", counterparty="Nansha Warehouse")
    desk.send(SELLER, "asset.register", **goods)
    for kind in ("warehouse_receipt", "bill_of_lading", "equipment"):
        body = claim(kind=kind)
        del body["counterparty"]
        with refused(Code.BODY_MALFORMED):
            desk.send(SELLER, "asset.register", **body)
        with refused(Code.BODY_MALFORMED):
            desk.send(SELLER, "asset.register", **(body | {"counterparty": " - "}))


@pytest.mark.parametrize("debtor", [SELLER, SELLER.lower(), f" {SELLER} "])
def test_nobody_is_its_own_debtor(desk: Desk, debtor: str) -> None:
    with refused(Code.BODY_MALFORMED):
        register(desk, counterparty=debtor)
    assert not list(desk.state.scan(ASSET_MARKS, b""))


def test_a_claim_in_foreign_money_carries_what_it_is_worth_on_the_day(desk: Desk) -> None:
    asset = register(desk, currency="JPY", amount_fen=1_000_000)
    with refused(Code.ASSET_UNPRICED):
        pledge(desk, asset, "icbc", APPLICATION, 1)
    desk.state.begin()
    put_rate(desk.state, Rate("JPY", TODAY - 10, 6_500_000))  # 6.5 fen for a yen
    put_rate(desk.state, Rate("JPY", TODAY, 6_000_000))
    put_rate(desk.state, Rate("JPY", TODAY + 1, 9_000_000))
    desk.state.commit()
    with refused(Code.AMOUNT_TOO_LARGE):
        pledge(desk, asset, "icbc", APPLICATION, 6_000_001)
    pledge(desk, asset, "icbc", APPLICATION, 6_000_000)
    with refused(Code.AMOUNT_TOO_LARGE):
        pledge(desk, asset, "icbc", SECOND, 1)


def test_a_claim_of_little_coins_does_not_carry_as_many_fen(desk: Desk) -> None:
    asset = register(desk, currency="VND", amount_fen=1_000_000_000)
    desk.state.begin()
    put_rate(desk.state, Rate("VND", TODAY, 30_000))  # 0.03 fen for a dong
    desk.state.commit()
    pledge(desk, asset, "icbc", APPLICATION, 30_000_000)
    with pytest.raises(Rejected) as caught:
        pledge(desk, asset, "icbc", SECOND, 1)
    assert caught.value.code is Code.AMOUNT_TOO_LARGE
    assert BUYER not in caught.value.message
