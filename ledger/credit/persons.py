"""Natural persons who agree for themselves: keys bound at a counter, agreements signed with them.

Records of some categories name persons (legal representatives, guarantors), and what concerns a
person takes that person's own consent beside the company's (Credit Reporting Regulation 18, PIPL
13). So that it is proven and not only said, a counter binds a key to a person, as the registrar
binds one to a company, and the person signs the very terms of the authorisation: chain, who sees
what of whom, for what, of which days, how long. The signature travels with the grant.

A person is 32 hexadecimal digits that the counter chose, by `name_person` from the first key: no
name and no identity number stands on the chain, where it could not be taken back. Who it is, and
that the records name nobody else, the counter and the company know; the ledger cannot.

A person withdraws with one more signature, handed in by anybody: the authorisation is revoked, and
the agreement cannot be used again. PERSONS holds a person's keys by id, and the withdrawn
agreements behind it.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.encoding import Value, encode
from ledger.errors import Code, Refused, Rejected
from ledger.keys import SIGNATURE_BYTES, SigningKey, signing_input, verify
from ledger.state.overlay import Overlay
from ledger.state.tables import PERSONS
from ledger.transactions.fields import Fields

AGREEMENT_DOMAIN = b"creditledger/agreement/1"
PERSON_DIGITS = 32
MAX_PERSONS = 16  # whose signatures one transaction may ask for
MAX_REVOKED_KEYS = 64
_AGREE, _WITHDRAW = "agree", "withdraw"
_WITHDRAWN = b"W"
_HEX = frozenset(string.hexdigits.lower())


@dataclass(frozen=True, slots=True)
class PersonKey:
    """The key bound to a person, by whom and when."""

    public_key: bytes
    bound_by: str
    height: int
    revoked_keys: tuple[bytes, ...] = ()

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that PERSONS holds."""
        return (self.public_key, self.bound_by, self.height, self.revoked_keys)


def name_person(public_key: bytes) -> str:
    """Return the id of a person whose first key this is."""
    return sha256(AGREEMENT_DOMAIN + public_key).hexdigest()[:PERSON_DIGITS]


def read_person(body: Fields, name: str) -> str:
    """Return the person that a field names; raise `Rejected` (2008)."""
    person = body.text(name)
    check_person(name, person)
    return person


def check_person(name: str, person: str) -> None:
    """Raise `Rejected` (2008) unless it is the id of a person and nothing that says who it is."""
    if len(person) != PERSON_DIGITS or not _HEX.issuperset(person):
        raise Rejected(
            Code.BODY_MALFORMED,
            f"field {name}: want persons as {PERSON_DIGITS} hexadecimal digits, never by name",
        )


def get_person_key(state: Overlay, person: str) -> PersonKey | None:
    """Return the key bound to the person, or None."""
    value = state.get(PERSONS, person.encode())
    return None if value is None else PersonKey(*value)


def put_person_key(state: Overlay, person: str, key: PersonKey) -> None:
    """Keep the key bound to the person."""
    state.put(PERSONS, person.encode(), key.to_value())


def _agreement_input(chain_id: bytes, person: str, terms: Value) -> bytes:
    return signing_input(AGREEMENT_DOMAIN, chain_id, _AGREE, encode((person, terms)))


def _withdrawal_input(chain_id: bytes, person: str, consent_id: bytes) -> bytes:
    return signing_input(AGREEMENT_DOMAIN, chain_id, _WITHDRAW, encode((person, consent_id)))


def sign_agreement(key: SigningKey, chain_id: bytes, person: str, terms: Value) -> bytes:
    """Return a person's 64-byte agreement to the terms of an authorisation (`Consent.terms`)."""
    return key.sign(_agreement_input(chain_id, person, terms))


def sign_withdrawal(key: SigningKey, chain_id: bytes, person: str, consent_id: bytes) -> bytes:
    """Return a person's 64-byte withdrawal from an authorisation."""
    return key.sign(_withdrawal_input(chain_id, person, consent_id))


def read_agreements(body: Fields) -> Mapping[str, bytes]:
    """Return the signatures of field `agreements` by person, none where it is absent."""
    if not body.has("agreements"):
        return {}
    given = body.raw("agreements")
    is_list = type(given) is tuple and 1 <= len(given) <= MAX_PERSONS
    if not is_list or not all(_is_agreement(item) for item in given):
        raise Rejected(
            Code.BODY_MALFORMED,
            f"field agreements: want 1 to {MAX_PERSONS} of (person, signature of 64 bytes)",
        )
    found: dict[str, bytes] = dict(given)
    if len(found) != len(given):
        raise Rejected(Code.BODY_MALFORMED, "field agreements: got a person twice")
    return found


def _is_agreement(item: Any) -> bool:
    if type(item) is not tuple or len(item) != 2:
        return False
    person, signature = item
    is_signature = type(signature) is bytes and len(signature) == SIGNATURE_BYTES
    return type(person) is str and len(person) == PERSON_DIGITS and is_signature


def check_agreements(
    state: Overlay,
    chain_id: bytes,
    persons: Sequence[str],
    terms: Value,
    agreements: Mapping[str, bytes],
) -> None:
    """Raise `Rejected` unless exactly the persons of the terms have signed them (2226, 2228, 2229).

    An agreement that its person has withdrawn is none.
    """
    if set(agreements) != set(persons):
        raise Rejected(
            Code.AGREEMENT_MISSING,
            f"{len(agreements)} agreements for {len(persons)} persons: want one of each, and of"
            " nobody else",
        )
    for person in persons:
        message = _agreement_input(chain_id, person, terms)
        _check_signature(state, person, agreements[person], message)
        if state.get(PERSONS, _withdrawn_key(person, terms)) is not None:
            raise Rejected(
                Code.AGREEMENT_INVALID, f"person {person} has withdrawn from these terms"
            )


def process_withdrawal(
    state: Overlay, chain_id: bytes, person: str, consent: tuple[bytes, Value], signature: bytes
) -> None:
    """Check and note that a person withdraws from (id, terms); raise `Rejected` (2226, 2229)."""
    consent_id, terms = consent
    message = _withdrawal_input(chain_id, person, consent_id)
    _check_signature(state, person, signature, message)
    state.put(PERSONS, _withdrawn_key(person, terms), 1)


def _withdrawn_key(person: str, terms: Value) -> bytes:
    return person.encode() + _WITHDRAWN + sha256(encode(terms)).digest()


def _check_signature(state: Overlay, person: str, signature: bytes, message: bytes) -> None:
    bound = get_person_key(state, person)
    if bound is None:
        raise Rejected(Code.PERSON_UNKNOWN, f"person {person} has no bound key: a counter binds it")
    try:
        verify(bound.public_key, signature, message)
    except Refused:
        raise Rejected(
            Code.AGREEMENT_INVALID,
            f"the signature is not that of person {person} over these very terms",
        ) from None
