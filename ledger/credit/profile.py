"""What rules know of a company: the record features of a schema, on a day, in one state."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.credit.windows_state import CompanyWindows
from ledger.membership.context import RuleBook
from ledger.rules.schema import FeatureSource, Schema
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay


def compute_features(
    state: Overlay,
    rules: RuleBook,
    company: str,
    schema_ref: str,
    names: Iterable[str] | None,
    day: int,
) -> dict[str, FactValue]:
    """Return the record features `names` (default all) of a company as of `day`, and `as_of`.

    Names of other sources (`ap.*`, assets, the loan book) and unknown ones are left out, and so is
    what is missing, stale or out of its declared range (RULES.md). Raise `Rejected` (2504).
    """
    schema: Schema = rules.schema(schema_ref)
    wanted = [
        name
        for name in (schema.features if names is None else sorted(names))
        if name in schema.features and schema.features[name].source is FeatureSource.RECORDS
    ]
    return schema.compute(day, CompanyWindows(state, company), wanted)
