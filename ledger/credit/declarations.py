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

from ledger.credit.records import get_digests, process_batch, read_batch_head
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context, Handler, check_acts_for
from ledger.transactions.records import DECLARE_KIND, decode_checked_record


def handle_declare(context: Context) -> Value:
    """`records.declare` {category, schema, version, count, root} with the records attached."""
    head = read_batch_head(context)
    if not context.rules.category(head.category).is_self_declared:
        raise Rejected(
            Code.RECORD_SELF_DECLARED, f"category {head.category} is not declared by companies"
        )
    get_digests(context)  # what is decoded below is what was signed
    for company in sorted(
        {decode_checked_record(data).company for data in context.transaction.attachments}
    ):
        check_acts_for(context.sender, company)
    return process_batch(context, context.rules.plan(head.category, head.schema, head.version))


HANDLERS: Mapping[str, Handler] = {DECLARE_KIND: handle_declare}
