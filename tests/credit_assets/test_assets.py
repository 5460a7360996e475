"""The registry of assets: registered once, pledged once, and nobody learns to whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit import asset_queries
from ledger.credit.assets import (
    HANDLERS,
    KINDS,
    get_asset,
    get_pledge,
    process_pledge,
    process_release,
)
from ledger.credit.document_numbers import normalise_number
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.state.tables import ASSET_MARKS, PLEDGES
from tests.lending.desk import BUYER, OTHER, SELLER, TODAY, Desk

APPLICATION, SECOND = bytes(32), b"\x01" * 32


def claim(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "company": SELLER,
        "kind": "receivable",
        "document_no": "INV-0001",
        "day": TODAY - 20,
        "counterparty": BUYER,
        "amount_fen": 140_000_000,
        "due_day": TODAY + 90,
        "currency": "CNY",
    }
    return body | changes


def patent(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "company": SELLER,
        "kind": "patent",
        "document_no": "ZL201510000001.1",
        "day": TODAY - 900,
    }
    return body | changes


@pytest.fixture
def desk() -> Desk:
    return Desk(HANDLERS, asset_queries.QUERIES)


def refused(code: Code) -> Any:
    return pytest.raises(Rejected, match=f"E{int(code)} ")


def pledge(desk: Desk, asset: str, lender: str, application: bytes, amount_fen: int) -> None:
    desk.state.begin()
    try:
        process_pledge(desk.state, bytes.fromhex(asset), lender, application, amount_fen, desk.day)
    except Rejected:
        desk.state.rollback()
        raise
    desk.state.commit()


def release(desk: Desk, asset: str, application: bytes) -> None:
    desk.state.begin()
    process_release(desk.state, bytes.fromhex(asset), application)
    desk.state.commit()


def test_an_asset_is_registered_once(desk: Desk) -> None:
    assert desk.send(SELLER, "asset.register", **claim())["match"] == "none"
    for again in (claim(), claim(document_no=" inv 0001"), claim(document_no="ＩＮＶ０００１")):
        with refused(Code.ASSET_EXISTS):
            desk.send("D01", "asset.register", **again)


def test_a_title_is_registered_once_whoever_comes(desk: Desk) -> None:
    asset = desk.send(SELLER, "asset.register", **patent())["asset"]
    with refused(Code.ASSET_EXISTS):
        desk.send(OTHER, "asset.register", **patent(company=OTHER, day=TODAY))
    desk.send("D01", "asset.withdraw", asset=asset)
    desk.send(OTHER, "asset.register", **patent(company=OTHER))


def test_a_changed_amount_is_similar(desk: Desk) -> None:
    desk.send(SELLER, "asset.register", **claim())
    changed = desk.send(SELLER, "asset.register", **claim(amount_fen=140_000_001))
    assert changed["match"] == "similar"


def test_an_invoice_of_a_pledged_receivable_is_pledged_too(desk: Desk) -> None:
    receivable = desk.send(SELLER, "asset.register", **claim())["asset"]
    invoice = desk.send(SELLER, "asset.register", **claim(kind="invoice"))["asset"]
    pledge(desk, receivable, "icbc", APPLICATION, 112_000_000)
    with refused(Code.ASSET_ALREADY_PLEDGED):
        pledge(desk, invoice, "ccb", SECOND, 1)
    release(desk, receivable, APPLICATION)
    pledge(desk, invoice, "ccb", SECOND, 1)


def test_no_answer_names_the_lender_that_holds_it(desk: Desk) -> None:
    asset = desk.send(SELLER, "asset.register", **claim())["asset"]
    pledge(desk, asset, "icbc", APPLICATION, 112_000_000)
    with refused(Code.ASSET_ALREADY_PLEDGED) as caught:
        pledge(desk, asset, "ccb", SECOND, 1)
    answers = [
        desk.ask("ccb", "asset.show", asset=asset),
        desk.ask("ccb", "asset.list", company=SELLER),
        desk.ask("ccb", "asset.check", **claim()),
        desk.ask(BUYER, "asset.show", asset=asset),
    ]
    assert "icbc" not in str(caught.value)
    assert b"icbc" not in encode(answers)
    assert answers[0]["pledged"] == "exact"
    assert answers[2] == {"registered": "exact", "pledged": "exact"}
    for who in ("icbc", SELLER, "D18"):
        assert desk.ask(who, "asset.show", asset=asset)["lender"] == "icbc"
    for stranger in ("D01", "D02", OTHER):
        with refused(Code.NOT_PERMITTED):
            desk.ask(stranger, "asset.show", asset=asset)


def test_a_check_tells_exact_similar_none(desk: Desk) -> None:
    for who in ("ccb", "D18", "D01", SELLER):
        assert desk.ask(who, "asset.check", **claim())["registered"] == "none"
    for stranger in ("D02", OTHER):
        with refused(Code.NOT_PERMITTED):
            desk.ask(stranger, "asset.check", **claim())
    asset = desk.send(SELLER, "asset.register", **claim())["asset"]
    assert desk.ask("ccb", "asset.check", **claim()) == {"registered": "exact", "pledged": "none"}
    pledge(desk, asset, "icbc", APPLICATION, 1)
    forged = desk.ask("ccb", "asset.check", **claim(document_no="INV-0002"))
    assert forged == {"registered": "similar", "pledged": "similar"}
    unlike = desk.ask("ccb", "asset.check", **claim(document_no="INV-0002", amount_fen=1))
    assert unlike == {"registered": "none", "pledged": "none"}


def test_one_lender_may_pledge_more_up_to_the_amount(desk: Desk) -> None:
    asset = desk.send(SELLER, "asset.register", **claim())["asset"]
    pledge(desk, asset, "icbc", APPLICATION, 100_000_000)
    pledge(desk, asset, "icbc", APPLICATION, 100_000_000)
    with refused(Code.AMOUNT_TOO_LARGE):
        pledge(desk, asset, "icbc", SECOND, 40_000_001)
    pledge(desk, asset, "icbc", SECOND, 40_000_000)
    held = get_pledge(desk.state, get_asset(desk.state, bytes.fromhex(asset)))
    assert held is not None
    assert held.amount_fen == 140_000_000
    release(desk, asset, APPLICATION)
    with refused(Code.ASSET_ALREADY_PLEDGED):
        pledge(desk, asset, "ccb", bytes(31) + b"\x02", 1)


def test_the_debtor_confirms_or_a_counter_for_it(desk: Desk) -> None:
    first = desk.send(SELLER, "asset.register", **claim())["asset"]
    second = desk.send(SELLER, "asset.register", **claim(document_no="2"))["asset"]
    for stranger in (SELLER, OTHER, "icbc"):
        with refused(Code.NOT_PERMITTED):
            desk.send(stranger, "asset.confirm", asset=first)
    assert desk.send(BUYER, "asset.confirm", asset=first)["state"] == "CONFIRMED"
    assert desk.send("D01", "asset.confirm", asset=second)["state"] == "CONFIRMED"
    with refused(Code.ASSET_STATE):
        desk.send(BUYER, "asset.confirm", asset=first)
    title = desk.send(SELLER, "asset.register", **patent())["asset"]
    with refused(Code.ASSET_KIND):
        desk.send("D01", "asset.confirm", asset=title)


def test_a_pledged_asset_is_not_withdrawn_and_a_withdrawn_one_not_pledged(desk: Desk) -> None:
    asset = desk.send(SELLER, "asset.register", **claim())["asset"]
    pledge(desk, asset, "icbc", APPLICATION, 1)
    with refused(Code.ASSET_ALREADY_PLEDGED):
        desk.send(SELLER, "asset.withdraw", asset=asset)
    release(desk, asset, APPLICATION)
    with refused(Code.NOT_PERMITTED):
        desk.send("icbc", "asset.withdraw", asset=asset)
    assert desk.send(SELLER, "asset.withdraw", asset=asset)["state"] == "WITHDRAWN"
    with refused(Code.ASSET_STATE):
        pledge(desk, asset, "icbc", APPLICATION, 1)
    assert not list(desk.state.scan(ASSET_MARKS, b""))
    assert not list(desk.state.scan(PLEDGES, b""))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "boat"}, Code.BODY_MALFORMED),
        ({"amount_fen": 0}, Code.AMOUNT_NOT_POSITIVE),
        ({"amount_fen": -1}, Code.AMOUNT_NOT_POSITIVE),
        ({"amount_fen": 10**15 + 1}, Code.AMOUNT_TOO_LARGE),
        ({"document_no": " - "}, Code.BODY_MALFORMED),
        ({"currency": "yuan"}, Code.BODY_MALFORMED),
        ({"currency": "cny"}, Code.BODY_MALFORMED),
        ({"due_day": TODAY - 21}, Code.ASSET_STATE),
        ({"attributes": {"": 1}}, Code.BODY_MALFORMED),
        ({"attributes": {"a": (1,)}}, Code.BODY_MALFORMED),
        ({"attributes": {"a": "\u202e"}}, Code.BODY_MALFORMED),
        ({"company": "91440300MA5DTR1L4X"}, Code.COMPANY_UNKNOWN),
        ({"extra": 1}, Code.BODY_MALFORMED),
    ],
)
def test_registrations_that_are_refused(desk: Desk, changes: dict[str, Any], code: Code) -> None:
    with refused(code):
        desk.send("D01", "asset.register", **claim(**changes))
    assert not list(desk.state.scan(ASSET_MARKS, b""))


def test_only_the_company_or_a_counter_registers(desk: Desk) -> None:
    for stranger in ("icbc", "D02", BUYER):
        with refused(Code.NOT_PERMITTED):
            desk.send(stranger, "asset.register", **claim())


def test_every_kind_registers_and_shows(desk: Desk) -> None:
    for kind in KINDS:
        asset = desk.send(SELLER, "asset.register", **claim(kind=kind, attributes={"a": True}))
        shown = desk.ask(SELLER, "asset.show", asset=asset["asset"])
        assert (shown["kind"], shown["attributes"]) == (kind, {"a": True})
    assert len(desk.ask(SELLER, "asset.list", company=SELLER)["assets"]) == len(KINDS)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("a-1/2", "A12"),
        ("ｚＬ　１．", "ZL1"),
        ("发票 8", "发票8"),
        ("--", ""),
        ("№ A–1—2−3", "A123"),
        ("A#1：（2）、3\u00a04", "A1234"),
        ("O'1·2", "O12"),
        ("第 123 号", "123"),
    ],
)
def test_numbers_compare_without_form(raw: str, normal: str) -> None:
    assert normalise_number(raw) == normal


LENDERS = ("icbc", "ccb")
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["pledge", "release"]),
        st.integers(0, 1),
        st.sampled_from(LENDERS),
        st.integers(0, 2),
        st.integers(1, 140_000_000),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(MOVES)
def test_a_document_never_has_two_lenders(moves: list[tuple[str, int, str, int, int]]) -> None:
    desk = Desk(HANDLERS, asset_queries.QUERIES)
    assets = [
        desk.send(SELLER, "asset.register", **claim())["asset"],
        desk.send(SELLER, "asset.register", **claim(kind="invoice"))["asset"],
    ]
    held: dict[bytes, tuple[str, int]] = {}  # the dumb twin: application → lender, amount
    for move, which, lender, number, amount_fen in moves:
        application = bytes(31) + bytes((number,))
        if move == "release":
            release(desk, assets[which], application)
            held.pop(application, None)
            continue
        is_elsewhere = any(other != lender for other, _ in held.values())
        before_fen = held[application][1] if application in held else 0
        after_fen = max(before_fen, amount_fen)
        total_fen = sum(part for _, part in held.values()) - before_fen + after_fen
        is_fitting = after_fen == before_fen or total_fen <= 140_000_000
        if is_elsewhere or not is_fitting:
            with pytest.raises(Rejected):
                pledge(desk, assets[which], lender, application, amount_fen)
        else:
            pledge(desk, assets[which], lender, application, amount_fen)
            held[application] = (lender, after_fen)
        now = get_pledge(desk.state, get_asset(desk.state, bytes.fromhex(assets[0])))
        assert (now.amount_fen if now else 0) == sum(part for _, part in held.values())
        assert ({now.lender} if now else set()) == {other for other, _ in held.values()}
    for application in list(held):
        release(desk, assets[0], application)
    assert not list(desk.state.scan(PLEDGES, b""))


@pytest.mark.parametrize("written", ["CN 201910123456.7", "2019 1 0123456 7", "zl2019-10123456.7"])
def test_a_patent_is_one_however_its_number_is_written(desk: Desk, written: str) -> None:
    patent = {"company": SELLER, "kind": "patent", "day": TODAY}
    desk.send(SELLER, "asset.register", **patent, document_no="ZL 201910123456.7")
    with refused(Code.ASSET_EXISTS):
        desk.send("D01", "asset.register", **patent, document_no=written)
    other = desk.send(SELLER, "asset.register", **patent, document_no="ZL")
    assert other["match"] == "none"
