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
    alert_desk,
    alerts,
    applications,
    circles,
    consent_days,
    disclosure,
    guarantees,
    loans,
    matching,
    outcomes,
    pledges,
    products,
    queries,
    rule_governance,
    servicing,
    sources,
    supervision,
)
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
    **loans.HANDLERS,
    **servicing.HANDLERS,
    **alerts.HANDLERS,
    **alert_desk.HANDLERS,
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
    **alert_desk.QUERIES,
    **supervision.QUERIES,
    **circles.QUERIES,
    **matching.QUERIES,
    **rule_governance.QUERIES,
}
