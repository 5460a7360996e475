"""Authorisations: states only as drawn, caps by purpose, a basis for exactly what was granted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.consent import (
    CAPS,
    HANDLERS,
    MAX_LIVE,
    STATES,
    ConsentState,
    find_basis,
    has_basis,
)
from ledger.credit.consent_queries import QUERIES
from ledger.errors import Code, Rejected
from tests.lending.desk import BUYER, MS_A_DAY, SELLER, TODAY, Desk


def terms(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "company": SELLER,
        "recipient": "icbc",
        "categories": ("C044",),
        "purpose": "lending",
        "mode": "view",
        "from_day": TODAY - 400,
        "to_day": TODAY,
        "starts_ms": TODAY * MS_A_DAY,
        "expires_ms": (TODAY + 30) * MS_A_DAY,
        "fetch": "once",
    }
    return body | changes


@pytest.fixture
def desk() -> Desk:
    return Desk(HANDLERS, QUERIES)


def basis(desk: Desk, *categories: str, recipient: str = "icbc") -> tuple[str, ...]:
    return find_basis(desk.state, SELLER, recipient, categories, "lending", desk.time_ms)


def refused(code: Code) -> Any:
    return pytest.raises(Rejected, match=f"E{int(code)} ")


def test_a_company_grants_and_the_recipient_has_a_basis(desk: Desk) -> None:
    granted = desk.send(SELLER, "consent.grant", **terms())
    assert granted["state"] == "ACTIVE"
    assert basis(desk, "C044") == (granted["consent"],)
    assert has_basis(desk.state, SELLER, "icbc", "C044", desk.time_ms) == granted["consent"]


def test_a_missing_basis_names_the_categories(desk: Desk) -> None:
    desk.send(SELLER, "consent.grant", **terms())
    with refused(Code.CONSENT_MISSING) as caught:
        basis(desk, "C044", "C028")
    assert "C028" in str(caught.value)
    assert "C044" not in str(caught.value)
    with refused(Code.CONSENT_MISSING):
        basis(desk, "C044", recipient="ccb")


def test_two_consents_cover_together(desk: Desk) -> None:
    first = desk.send(SELLER, "consent.grant", **terms())
    second = desk.send(SELLER, "consent.grant", **terms(categories=("C028",)))
    assert set(basis(desk, "C044", "C028")) == {first["consent"], second["consent"]}


def test_a_counter_grants_for_the_company_and_a_bank_does_not(desk: Desk) -> None:
    assert desk.send("D01", "consent.grant", **terms())["state"] == "ACTIVE"
    for stranger in ("icbc", "D02", BUYER):
        with refused(Code.NOT_PERMITTED):
            desk.send(stranger, "consent.grant", **terms(to_day=TODAY - 1))


def test_a_consent_begins_and_expires_by_chain_time(desk: Desk) -> None:
    start, end = (TODAY + 2) * MS_A_DAY, (TODAY + 5) * MS_A_DAY
    granted = desk.send(SELLER, "consent.grant", **terms(starts_ms=start, expires_ms=end))
    assert granted["state"] == "PENDING"
    with refused(Code.CONSENT_MISSING):
        basis(desk, "C044")
    desk.time_ms = start
    assert basis(desk, "C044")
    desk.time_ms = end - 1
    assert basis(desk, "C044")
    desk.time_ms = end
    with refused(Code.CONSENT_MISSING):
        basis(desk, "C044")
    with refused(Code.CONSENT_STATE):
        desk.send(SELLER, "consent.pause", consent=granted["consent"])
    assert desk.ask(SELLER, "consent.list", company=SELLER)["consents"][0]["state"] == "EXPIRED"


def test_pause_resume_revoke(desk: Desk) -> None:
    consent = desk.send(SELLER, "consent.grant", **terms())["consent"]
    assert desk.send(SELLER, "consent.pause", consent=consent)["state"] == "PAUSED"
    with refused(Code.CONSENT_MISSING):
        basis(desk, "C044")
    assert desk.send("D01", "consent.resume", consent=consent)["state"] == "ACTIVE"
    assert basis(desk, "C044") == (consent,)
    assert desk.send(SELLER, "consent.revoke", consent=consent)["state"] == "REVOKED"
    with refused(Code.CONSENT_MISSING):
        basis(desk, "C044")
    with refused(Code.CONSENT_STATE):
        desk.send(SELLER, "consent.resume", consent=consent)
    listed = desk.ask(SELLER, "consent.list", company=SELLER)["consents"]
    assert [item["state"] for item in listed] == ["REVOKED"]


def test_a_recipient_asks_and_the_company_answers(desk: Desk) -> None:
    asked = desk.send("icbc", "consent.request", **terms())
    assert asked["state"] == "PENDING"
    with refused(Code.NOT_PERMITTED):
        desk.send("icbc", "consent.accept", consent=asked["consent"])
    assert desk.send(SELLER, "consent.accept", consent=asked["consent"])["state"] == "ACTIVE"
    assert basis(desk, "C044") == (asked["consent"],)
    other = desk.send("icbc", "consent.request", **terms(categories=("C028",)))
    assert desk.send(SELLER, "consent.reject", consent=other["consent"])["state"] == "REJECTED"
    with refused(Code.NOT_PERMITTED):
        desk.send("ccb", "consent.request", **terms())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recipient": "nobody"}, Code.MEMBER_UNKNOWN),
        ({"categories": ("C999",)}, Code.CATEGORY_UNKNOWN),
        ({"company": "91440300MA5DTR1L4X"}, Code.COMPANY_UNKNOWN),
        ({"from_day": TODAY - CAPS["lending"].range_days_max}, Code.CONSENT_CAP),
        ({"from_day": TODAY + 1}, Code.CONSENT_CAP),
        ({"fetch": "periodic"}, Code.CONSENT_CAP),
        ({"purpose": "monitoring", "from_day": TODAY - 184}, Code.CONSENT_CAP),
        (
            {"purpose": "monitoring", "from_day": TODAY - 100, "looks_a_month": 6},
            Code.CONSENT_CAP,
        ),
        ({"expires_ms": (TODAY + 91) * MS_A_DAY}, Code.CONSENT_CAP),
        ({"expires_ms": TODAY * MS_A_DAY}, Code.CONSENT_CAP),
        ({"mode": "store"}, Code.CONSENT_CAP),
        ({"purpose": "curiosity"}, Code.BODY_MALFORMED),
        ({"categories": ("C044", "C060")}, Code.CONSENT_CAP),
        ({"categories": ()}, Code.BODY_MALFORMED),
        ({"surprise": 1}, Code.BODY_MALFORMED),
        ({"from_day": "2020-01-01"}, Code.BODY_MALFORMED),
    ],
)
def test_terms_that_are_refused(desk: Desk, changes: dict[str, Any], code: Code) -> None:
    sender = "D01" if changes.get("company") else SELLER
    with refused(code):
        desk.send(sender, "consent.grant", **terms(**changes))
    assert desk.ask(SELLER, "consent.list", company=SELLER)["consents"] == []


def test_the_same_terms_twice_are_refused_while_the_first_live(desk: Desk) -> None:
    desk.send(SELLER, "consent.grant", **terms())
    with refused(Code.CONSENT_EXISTS):
        desk.send(SELLER, "consent.grant", **terms())


def test_live_consents_are_bounded_and_expired_ones_make_room(desk: Desk) -> None:
    for back in range(MAX_LIVE):
        desk.send(SELLER, "consent.grant", **terms(from_day=TODAY - 1 - back))
    with refused(Code.CONSENT_CAP):
        desk.send(SELLER, "consent.grant", **terms(from_day=TODAY - 100))
    desk.pass_days(31)
    desk.send(SELLER, "consent.grant", **terms(expires_ms=(TODAY + 60) * MS_A_DAY))
    assert len(desk.ask(SELLER, "consent.list", company=SELLER)["consents"]) == MAX_LIVE + 1


def test_a_bank_lists_only_what_was_granted_to_it(desk: Desk) -> None:
    desk.send(SELLER, "consent.grant", **terms())
    desk.send(SELLER, "consent.grant", **terms(recipient="ccb"))
    for caller, count in (("icbc", 1), ("ccb", 1), (BUYER, 0), (SELLER, 2), ("D18", 2)):
        listed = desk.ask(caller, "consent.list", company=SELLER)["consents"]
        assert len(listed) == count, caller


def test_an_unknown_id_is_refused(desk: Desk) -> None:
    for wrong in ("00" * 16, "xyz", "0" * 31):
        with refused(Code.CONSENT_UNKNOWN):
            desk.send(SELLER, "consent.pause", consent=wrong)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["accept", "reject", "pause", "resume", "revoke", "wait"])))
def test_states_move_only_as_drawn(steps: list[str]) -> None:
    desk = Desk(HANDLERS, QUERIES)
    consent = desk.send("icbc", "consent.request", **terms())["consent"]
    state = ConsentState.PENDING
    drawn = {(str(before), str(step)): after for (before, step), after in STATES.items()}
    for step in steps:
        if step == "wait":
            desk.pass_days(7)
            continue
        is_over = desk.day >= TODAY + 30 and str(state) not in ("REVOKED", "REJECTED")
        after = None if is_over else drawn.get((str(state), step))
        if after is None:
            with refused(Code.CONSENT_STATE):
                desk.send(SELLER, f"consent.{step}", consent=consent)
        else:
            desk.send(SELLER, f"consent.{step}", consent=consent)
            state = after
        found = has_basis(desk.state, SELLER, "icbc", "C044", desk.time_ms)
        assert (found == consent) == (state == "ACTIVE" and desk.day < TODAY + 30)
