"""Lending: products, applications, decisions, loans, exposure, alerts; all by rule, on the chain.

`HANDLERS` and `QUERIES` are everything of this package and of the consents and assets it stands on.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit import (
    access_log,
    asset_queries,
    assets,
    consent,
    consent_queries,
    keeping,
    looking,
    notices,
    objections,
    person_acts,
)
from ledger.lending import (
    applications,
    consent_days,
    disclosure,
    matching,
    pledges,
    products,
    queries,
    rule_governance,
    sources,
)
from ledger.lending.alerts import desk, outcomes, raising
from ledger.lending.limits import circles, supervision
from ledger.lending.loans import booking, guarantees, servicing
from ledger.membership.context import Handler, Query

HANDLERS: Mapping[str, Handler] = {
    **consent.HANDLERS,
    **person_acts.HANDLERS,
    **looking.HANDLERS,
    **objections.HANDLERS,
    **assets.HANDLERS,
    **products.HANDLERS,
    **applications.HANDLERS,
    **pledges.HANDLERS,
    **guarantees.HANDLERS,
    **booking.HANDLERS,
    **servicing.HANDLERS,
    **raising.HANDLERS,
    **desk.HANDLERS,
    **outcomes.HANDLERS,
    **supervision.HANDLERS,
    **rule_governance.HANDLERS,
}
QUERIES: Mapping[str, Query] = {
    **consent_queries.QUERIES,
    **access_log.QUERIES,
    **keeping.QUERIES,
    **consent_days.QUERIES,
    **objections.QUERIES,
    **notices.QUERIES,
    **asset_queries.QUERIES,
    **products.QUERIES,
    **queries.QUERIES,
    **disclosure.QUERIES,
    **sources.QUERIES,
    **desk.QUERIES,
    **supervision.QUERIES,
    **circles.QUERIES,
    **matching.QUERIES,
    **rule_governance.QUERIES,
}
