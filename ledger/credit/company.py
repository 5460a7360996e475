"""Companies: their codes, and the keys that the registrar binds to them.

`company.bind` gives a company a key of its own, or a new one in the place of the old, which is
remembered as revoked. `company.accept_code` attests a code of the first years whose check character
is wrong. Both belong to members with the `registrar` capability (the department of registration).
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.uscc import check_form, check_uscc
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, Rejected
from ledger.keys import check_public_key
from ledger.membership.context import Context, Handler
from ledger.membership.members import REGISTRAR, CompanyKey, get_company_key
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_KEYS
from ledger.transactions.fields import Fields

_ACCEPTED = b"accepted:"
MAX_REVOKED_KEYS = 64


def check_company_code(state: Overlay, code: str) -> None:
    """Raise `Rejected` (2201–2203) unless `code` is a valid USCC or one the registrar accepted."""
    try:
        check_uscc(code)
    except Rejected as error:
        if error.code is Code.USCC_CHECK_DIGIT and is_accepted_code(state, code):
            return
        raise


def is_accepted_code(state: Overlay, code: str) -> bool:
    """Tell whether the registrar attested a code whose check character is wrong."""
    return state.get(COMPANY_KEYS, _ACCEPTED + code.encode()) is not None


def handle_bind(context: Context) -> Value:
    """`company.bind` {company, public_key, name}: bind a key to a company's code."""
    body = Fields(context.body)
    company = body.text("company")
    public_key = body.bytes32("public_key")
    name = body.text("name")
    body.done()
    _check_registrar(context)
    check_company_code(context.state, company)
    try:
        check_public_key(public_key)
    except CreditLedgerError as error:
        raise Rejected(error.code, f"field public_key: {error.message}") from None
    bound = get_company_key(context.state, company)
    revoked: tuple[bytes, ...] = ()
    if bound is not None:
        if public_key == bound.public_key or public_key in bound.revoked_keys:
            raise Rejected(
                Code.COMPANY_KEY_BOUND, f"company {company} has or had this key, want a new one"
            )
        revoked = (*bound.revoked_keys, bound.public_key)
        if len(revoked) > MAX_REVOKED_KEYS:
            raise Rejected(
                Code.COMPANY_KEY_BOUND, f"company {company} had {MAX_REVOKED_KEYS} keys already"
            )
    key = CompanyKey(public_key, name, context.sender.id, context.height, revoked)
    context.state.put(COMPANY_KEYS, company.encode(), key.to_value())
    return {"company": company, "replaced": bound is not None}


def handle_accept_code(context: Context) -> Value:
    """`company.accept_code` {company, reason}: attest a code whose check character is wrong."""
    body = Fields(context.body)
    company = body.text("company")
    reason = body.text("reason")
    body.done()
    _check_registrar(context)
    check_form(company)
    key = _ACCEPTED + company.encode()
    context.state.put(COMPANY_KEYS, key, (context.sender.id, context.height, reason))
    return {"company": company}


def _check_registrar(context: Context) -> None:
    if not context.sender.has_capability(REGISTRAR):
        raise Rejected(Code.NOT_PERMITTED, f"{context.sender.id} is not a registrar")


HANDLERS: Mapping[str, Handler] = {
    "company.bind": handle_bind,
    "company.accept_code": handle_accept_code,
}
