"""Natural persons: keys bound at a counter, agreements over the very terms, withdrawal."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from ledger.credit.consent import get_consent
from ledger.credit.persons import MAX_PERSONS, name_person, sign_agreement, sign_withdrawal
from ledger.errors import Code
from ledger.keys import SigningKey
from tests.ledger_harness import CATEGORIES, DAY_MS
from tests.lending.province import OTHER, SELLER, TODAY, Province

KEYS = {name: SigningKey(sha256(name.encode()).digest()) for name in ("li", "wang", "zhao")}
IDS = {name: name_person(key.public_key) for name, key in KEYS.items()}
LOOK = {"company": SELLER, "categories": ("C044",), "purpose": "lending"}


class WithPersons(Province):
    """The sales name natural persons; li and wang have keys, zhao has none."""

    categories = tuple(item | {"has_natural_person": item["id"] == "C044"} for item in CATEGORIES)

    def __init__(self) -> None:
        super().__init__()
        for name in ("li", "wang"):
            self.bind_person(name)
        self.terms: dict[str, Any] = {
            "company": SELLER,
            "recipient": "CCB",
            "categories": ("C044",),
            "purpose": "lending",
            "mode": "view",
            "from_day": TODAY - 366,
            "to_day": TODAY + 60,
            "starts_ms": self.head.time_ms,
            "expires_ms": self.head.time_ms + 60 * DAY_MS,
            "fetch": "once",
        }

    def bind_person(self, name: str, key: SigningKey | None = None) -> None:
        public_key = (key or KEYS[name]).public_key
        self.do("D01", "person.bind", person=IDS[name], public_key=public_key)

    def agree(
        self, *names: str, key: SigningKey | None = None, **changes: Any
    ) -> tuple[tuple[str, bytes], ...]:
        """Return the agreements of persons to the terms, with changes."""
        terms = self.signed_terms(**changes)
        chain_id = self.genesis.chain_id
        return tuple(
            (IDS[name], sign_agreement(key or KEYS[name], chain_id, IDS[name], terms))
            for name in names
        )

    def signed_terms(self, **changes: Any) -> tuple[Any, ...]:
        """Return the terms in their order, as ADR 0027 has them."""
        said = {"decision_from_day": None, "looks_a_month": 1, "data_life_days": 0, "persons": ()}
        said |= {"is_onward_allowed": False, "is_cross_border": False} | self.terms | changes
        if said["decision_from_day"] is None:
            said["decision_from_day"] = said["from_day"]
        order = (
            *("company", "recipient", "categories", "purpose", "mode", "from_day", "to_day"),
            *("decision_from_day", "starts_ms", "expires_ms", "fetch", "looks_a_month"),
            *("data_life_days", "persons", "is_onward_allowed", "is_cross_border"),
        )
        return tuple(said[name] for name in order)

    def grant(self, *names: str, **changes: Any) -> str:
        """Grant what these persons have agreed to."""
        persons = tuple(sorted(IDS[name] for name in names))
        body = self.terms | changes | {"persons": persons}
        agreements = self.agree(*names, persons=persons, **changes)
        done = self.do(SELLER, "consent.grant", agreements=agreements, **body)
        return str(done["consent"])

    def withdraw(self, name: str, consent: str, who: str = SELLER) -> Any:
        signature = sign_withdrawal(
            KEYS[name], self.genesis.chain_id, IDS[name], bytes.fromhex(consent)
        )
        body = {"consent": consent, "person": IDS[name], "signature": signature}
        return self.do(who, "person.withdraw", **body)


@pytest.fixture
def province() -> WithPersons:
    return WithPersons()


def refuse(province: WithPersons, code: Code, persons: tuple[str, ...], agreements: Any) -> None:
    body = province.terms | ({"persons": persons} if persons else {})
    if agreements is not None:
        body["agreements"] = agreements
    province.refuse(code, SELLER, "consent.grant", **body)


def test_who_is_named_signs_the_terms_and_they_are_a_basis(province: WithPersons) -> None:
    consent = province.grant("li", "wang")
    stored = get_consent(province.state(), bytes.fromhex(consent))
    assert stored is not None
    assert stored.terms() == province.signed_terms(persons=stored.persons)
    assert province.do("CCB", "access.open", **LOOK)["outcome"] == "GRANTED"
    shown = province.ask(SELLER, "consent.show", consent=consent)
    assert any("2 persons has signed" in sentence for sentence in shown["enforced"])


def test_records_that_name_persons_want_their_agreement(province: WithPersons) -> None:
    refuse(province, Code.CONSENT_CAP, (), None)
    refuse(province, Code.AGREEMENT_MISSING, (IDS["li"],), None)
    both = tuple(sorted((IDS["li"], IDS["wang"])))
    refuse(province, Code.AGREEMENT_MISSING, both, province.agree("li", persons=both))
    one = (IDS["li"],)
    refuse(province, Code.AGREEMENT_MISSING, one, province.agree("li", "wang", persons=one))


def test_an_agreement_is_its_persons_own_over_these_very_terms(province: WithPersons) -> None:
    one = (IDS["li"],)
    for agreements in (
        province.agree("li", persons=one, key=KEYS["wang"]),
        province.agree("li", persons=one, recipient="ICBC"),
        province.agree("li", persons=one, company=OTHER),
        province.agree("li", persons=one, to_day=TODAY + 59),
        province.agree("li", persons=one, decision_from_day=TODAY - 1_000),
        province.agree("li", persons=one, is_onward_allowed=True),
        province.agree("li", persons=(IDS["wang"],)),
        ((IDS["li"], bytes(64)),),
    ):
        refuse(province, Code.AGREEMENT_INVALID, one, agreements)
    unknown = (IDS["zhao"],)
    refuse(province, Code.PERSON_UNKNOWN, unknown, province.agree("zhao", persons=unknown))
    refuse(province, Code.BODY_MALFORMED, ("Li Ming",), province.agree("li", persons=one))


def test_another_chain_is_not_agreed_to(province: WithPersons) -> None:
    one = (IDS["li"],)
    terms = province.signed_terms(persons=one)
    signature = sign_agreement(KEYS["li"], bytes(32), IDS["li"], terms)
    refuse(province, Code.AGREEMENT_INVALID, one, ((IDS["li"], signature),))


def test_what_a_recipient_asks_for_is_accepted_with_agreements(province: WithPersons) -> None:
    persons = (IDS["li"],)
    body = province.terms | {"persons": persons}
    asked = province.do("CCB", "consent.request", **body)["consent"]
    province.refuse(Code.AGREEMENT_MISSING, SELLER, "consent.accept", consent=asked)
    agreements = province.agree("li", persons=persons)
    done = province.do(SELLER, "consent.accept", consent=asked, agreements=agreements)
    assert done["state"] == "ACTIVE"


def test_a_person_ends_what_it_agreed_to_and_cannot_be_made_to_agree_again(
    province: WithPersons,
) -> None:
    consent = province.grant("li", "wang")
    look = province.do("CCB", "access.open", **LOOK)
    assert province.withdraw("wang", consent, who="D01")["state"] == "REVOKED"
    read = {"company": SELLER, "category": "C044", "access": look["access"]}
    with pytest.raises(Exception, match=f"E{int(Code.CONSENT_MISSING)}"):
        province.ask("CCB", "company.records", **read)
    assert province.do("CCB", "access.open", **LOOK)["code"] == Code.CONSENT_MISSING
    for who in (SELLER, "CCB"):
        kinds = [item["kind"] for item in province.ask(who, "notices.list")["notices"]]
        assert kinds == ["person withdrew"]
    persons = tuple(sorted((IDS["li"], IDS["wang"])))
    again = province.agree("li", "wang", persons=persons)
    refuse(province, Code.AGREEMENT_INVALID, persons, again)
    assert province.grant("li", to_day=TODAY + 59)  # li agrees to terms without wang


def test_only_the_person_withdraws_and_only_from_its_own(province: WithPersons) -> None:
    consent = province.grant("li")
    chain_id = province.genesis.chain_id
    body = {"consent": consent, "person": IDS["li"]}
    for key in (KEYS["wang"], KEYS["zhao"]):
        signature = sign_withdrawal(key, chain_id, IDS["li"], bytes.fromhex(consent))
        forged = body | {"signature": signature}
        province.refuse(Code.AGREEMENT_INVALID, SELLER, "person.withdraw", **forged)
    signature = sign_withdrawal(KEYS["wang"], chain_id, IDS["wang"], bytes.fromhex(consent))
    other = body | {"person": IDS["wang"], "signature": signature}
    province.refuse(Code.CONSENT_UNKNOWN, SELLER, "person.withdraw", **other)


def test_a_new_key_signs_in_the_place_of_the_old(province: WithPersons) -> None:
    province.bind_person("li", KEYS["zhao"])
    persons = (IDS["li"],)
    refuse(province, Code.AGREEMENT_INVALID, persons, province.agree("li", persons=persons))
    agreements = province.agree("li", persons=persons, key=KEYS["zhao"])
    body = province.terms | {"persons": persons}
    assert province.do(SELLER, "consent.grant", agreements=agreements, **body)["consent"]
    bind = {"person": IDS["li"], "public_key": KEYS["li"].public_key}
    province.refuse(Code.PERSON_KEY_BOUND, "D01", "person.bind", **bind)


@pytest.mark.parametrize(
    ("who", "changes", "code"),
    [
        ("CCB", {}, Code.NOT_PERMITTED),
        (SELLER, {}, Code.NOT_PERMITTED),
        ("D01", {"person": "Zhao Liu"}, Code.BODY_MALFORMED),
        ("D01", {"person": "F" * 32}, Code.BODY_MALFORMED),
        ("D01", {"public_key": bytes(32)}, Code.KEY_WEAK),
        ("D01", {"name": "Zhao Liu"}, Code.BODY_MALFORMED),
    ],
)
def test_what_binds_no_person(
    province: WithPersons, who: str, changes: dict[str, Any], code: Code
) -> None:
    body = {"person": IDS["zhao"], "public_key": KEYS["zhao"].public_key} | changes
    province.refuse(code, who, "person.bind", **body)


@pytest.mark.parametrize(
    "agreements",
    [
        (),
        (("li", bytes(64)),),
        ((IDS["li"], bytes(63)),),
        ((IDS["li"], bytes(64)), (IDS["li"], bytes(64))),
        ((IDS["li"],),),
        tuple((f"{number:032x}", bytes(64)) for number in range(MAX_PERSONS + 1)),
        {IDS["li"]: bytes(64)},
        "li",
    ],
)
def test_agreements_of_another_shape_are_refused(province: WithPersons, agreements: Any) -> None:
    refuse(province, Code.BODY_MALFORMED, (IDS["li"],), agreements)
