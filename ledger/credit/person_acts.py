"""What is done about persons: a counter binds a key, a person withdraws from an authorisation.

`person.bind` gives a person a key, or a new one in the place of one that was lost, which is
remembered as revoked. `person.withdraw` carries the person's own signature, so whoever hands it in
adds nothing to it: the company, a counter, any member. The authorisation ends as if the company had
revoked it (`ledger.credit.consent`), and company and recipient are told.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.consent import CONSENT_ID_BYTES, get_consent, process_withdrawn_by_person
from ledger.credit.ids import read_id
from ledger.credit.notices import NoticeKind, notify
from ledger.credit.persons import (
    MAX_REVOKED_KEYS,
    PersonKey,
    get_person_key,
    process_withdrawal,
    put_person_key,
    read_person,
)
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, Rejected
from ledger.keys import SIGNATURE_BYTES, check_public_key
from ledger.membership.context import Context, Handler
from ledger.membership.members import COUNTER, REGISTRAR
from ledger.transactions.fields import Fields


def process_bind(context: Context) -> Value:
    """`person.bind` {person, public_key}: bind a key to a person; by a counter or registrar."""
    body = Fields(context.body)
    person = read_person(body, "person")
    public_key = body.bytes32("public_key")
    body.done()
    sender = context.sender
    if not (sender.has_capability(COUNTER) or sender.has_capability(REGISTRAR)):
        raise Rejected(Code.NOT_PERMITTED, f"{sender.id} is neither counter nor registrar")
    try:
        check_public_key(public_key)
    except CreditLedgerError as error:
        raise Rejected(error.code, f"field public_key: {error.message}") from None
    bound = get_person_key(context.state, person)
    revoked: tuple[bytes, ...] = ()
    if bound is not None:
        revoked = (*bound.revoked_keys, bound.public_key)
        if public_key in revoked or len(revoked) > MAX_REVOKED_KEYS:
            raise Rejected(
                Code.PERSON_KEY_BOUND,
                f"person {person} has or had this key, or {MAX_REVOKED_KEYS} others already",
            )
    key = PersonKey(public_key, sender.id, context.height, revoked)
    put_person_key(context.state, person, key)
    return {"person": person, "replaced": bound is not None}


def process_withdraw(context: Context) -> Value:
    """`person.withdraw` {consent, person, signature}: the person ends the authorisation."""
    body = Fields(context.body)
    consent_id = read_id(body, "consent", CONSENT_ID_BYTES, Code.CONSENT_UNKNOWN)
    person = read_person(body, "person")
    signature = body.bytes_("signature", maximum=SIGNATURE_BYTES)
    body.done()
    consent = get_consent(context.state, consent_id)
    if consent is None or person not in consent.persons:
        raise Rejected(
            Code.CONSENT_UNKNOWN, f"there is no consent {consent_id.hex()} of person {person}"
        )
    chain_id = context.transaction.chain_id
    terms = (consent_id, consent.terms())
    process_withdrawal(context.state, chain_id, person, terms, signature)
    state = process_withdrawn_by_person(context, consent_id, consent)
    about: dict[str, Value] = {"consent": consent_id.hex(), "company": consent.company}
    for told in (consent.company, consent.recipient):
        notify(context.state, told, context.height, NoticeKind.PERSON_WITHDREW, about)
    return {"consent": consent_id.hex(), "state": state}


HANDLERS: Mapping[str, Handler] = {
    "person.bind": process_bind,
    "person.withdraw": process_withdraw,
}
