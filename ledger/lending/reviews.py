"""What follows from a correction: earlier readers are told, decisions that rested on it are marked.

At the end of a block, for each record schema of a company of which records were corrected: whoever
looked at the category after the corrected record was there gets a notice, and each decision of that
time whose product reads the category is marked for another look, its lender told. Nothing is
decided anew by itself: that is the lender's to do (DOMAIN.md, Objections).
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.access_log import get_readers
from ledger.credit.notices import NoticeKind, notify
from ledger.lending.applications import Application, get_applications
from ledger.lending.products import get_read_categories
from ledger.membership.context import RuleBook
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_APPLICATIONS

_REVIEWS = b"W"
MAX_REVIEWS = 64  # marks kept of one application


def process_corrections(
    state: Overlay, rules: RuleBook, corrected: Mapping[tuple[str, str], int], height: int
) -> None:
    """Tell readers and mark decisions; `corrected`: the lowest height of a corrected record."""
    for (company, full_name), since in sorted(corrected.items()):
        category = full_name.partition("/")[0]
        about = {"company": company, "schema": full_name}
        for reader, looked in get_readers(state, company, category):
            if looked >= since:
                notify(state, reader, height, NoticeKind.RECORD_CORRECTED, about)
        for application_id, application in list(get_applications(state, company)):
            if application.height >= since and _rests_on(rules, application, category):
                _mark(state, company, application_id, (height, full_name))
                told = {**about, "application": application_id.hex()}
                notify(state, application.lender, height, NoticeKind.DECISION_TO_REVIEW, told)


def _rests_on(rules: RuleBook, application: Application, category: str) -> bool:
    product = rules.product(application.product)
    return category in get_read_categories(product, rules.schema(product.schema_ref))


def _mark(state: Overlay, company: str, application_id: bytes, mark: tuple[int, str]) -> None:
    key = company.encode() + _REVIEWS + application_id
    marks = (*(state.get(COMPANY_APPLICATIONS, key) or ()), mark)
    state.put(COMPANY_APPLICATIONS, key, marks[-MAX_REVIEWS:])


def get_reviews(state: Overlay, company: str, application_id: bytes) -> tuple[tuple[int, str], ...]:
    """Return (height, record schema) of the corrections for which a decision wants a look."""
    key = company.encode() + _REVIEWS + application_id
    return tuple(state.get(COMPANY_APPLICATIONS, key) or ())
