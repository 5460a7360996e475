"""Declarations: records that companies give of themselves, marked self-declared everywhere.

`records.declare` carries records as `records.submit` does, of the categories whose owner is `self`
(`Category.is_self_declared`): assets, liabilities, transactions, guarantees given. The company
signs with its own key, or a counter for whoever stands before it. Everything else is as with any
record: schemas, duplicates, conflicts, corrections, the company's log. Nobody vouches for what is
said, so every answer that shows such a record says that it is self-declared, features over them
are computed only when they are asked for by name, and there is nothing to object to: the company
corrects its own records.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.records import get_digests, process_batch
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context, Handler, check_acts_for
from ledger.transactions.envelope import MAX_ATTACHMENTS
from ledger.transactions.fields import Fields
from ledger.transactions.records import DECLARE_KIND, decode_checked_record


def handle_declare(context: Context) -> Value:
    """`records.declare` {category, schema, version, count, root} with the records attached."""
    body = Fields(context.body)
    category = body.identifier("category")
    schema = body.identifier("schema") if body.text("schema", minimum=0) else ""
    version = body.integer("version", minimum=1)
    count = body.integer("count")
    body.bytes32("root")
    body.done()
    if not 1 <= count <= MAX_ATTACHMENTS:
        code = Code.BATCH_TOO_LARGE if count else Code.BATCH_EMPTY
        raise Rejected(code, f"got {count} records, want 1 to {MAX_ATTACHMENTS}")
    if not context.rules.category(category).is_self_declared:
        raise Rejected(
            Code.RECORD_SELF_DECLARED, f"category {category} is not declared by companies"
        )
    get_digests(context)  # what is decoded below is what was signed
    for company in sorted(
        {decode_checked_record(data).company for data in context.transaction.attachments}
    ):
        check_acts_for(context.sender, company)
    return process_batch(context, context.rules.plan(category, schema, version))


HANDLERS: Mapping[str, Handler] = {DECLARE_KIND: handle_declare}
