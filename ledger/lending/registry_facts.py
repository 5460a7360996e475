"""Facts of a company that the registry of assets gives beside the loan book (`source = "ledger"`).

    double_registrations     its assets whose document is registered more than once
    contested_registrations  days of the last 90 on which a registration was refused because another
                             company had the asset registered already; it counts for both
    pledged_patents_lapsed   its pledged patents of which the IP office says that they lapsed or
                             that the annual fee was paid until a day before this one

Double and contested registrations are complete by construction, so nothing is zero. A patent is
pledged when it secures an open loan of this ledger (C028 is asked by the number that the asset was
registered under) or stands in a valid pledge at the IP office (C030). A patent that C028 does not
know counts as not lapsed. Look-ups in C028 are kept when a registered schema has an asset feature
with `category = "C028"`, `key = "patent_no"` (`ledger.credit.rulebook.compute_lookups`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

from ledger.credit.assets import get_asset
from ledger.credit.double_registrations import get_contest_count, get_double_count
from ledger.credit.records import RecordStatus, find_latest, get_records, read_fields
from ledger.lending.loans.loan import Loan
from ledger.membership.context import BodyReader
from ledger.rules.units import Unit
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_LOANS, LOANS

PATENTS, PATENT_PLEDGES = "C028", "C030"
MAX_PLEDGES = 100  # registrations at the IP office that are looked at, the latest


def _double_registrations(state: Overlay, _: BodyReader, company: str, _day: int) -> int:
    return get_double_count(state, company)


def _contested_registrations(state: Overlay, _: BodyReader, company: str, day: int) -> int:
    return get_contest_count(state, company, day)


def _pledged_patents_lapsed(state: Overlay, bodies: BodyReader, company: str, day: int) -> int:
    numbers = {*_secured_patents(state, company), *_pledged_patents(state, bodies, company, day)}
    return sum(1 for number in numbers if _is_lapsed(state, bodies, company, number, day))


def _secured_patents(state: Overlay, company: str) -> Iterator[str]:
    """Yield the numbers of the patents that secure the company's open loans."""
    for key, _ in state.scan(COMPANY_LOANS, company.encode()):
        loan = Loan.from_value(state.get(LOANS, key[len(company) :]))
        if loan.asset and not loan.is_closed:
            asset = get_asset(state, bytes.fromhex(loan.asset))
            if asset.kind == "patent":
                yield asset.document_no


def _pledged_patents(state: Overlay, bodies: BodyReader, company: str, day: int) -> Iterator[str]:
    """Yield the numbers of the patents in valid pledges at the IP office."""
    placed = get_records(state, company, PATENT_PLEDGES, None, day)
    current = (item.entry for item in placed if item.entry.status is RecordStatus.CURRENT)
    for entry in deque(current, maxlen=MAX_PLEDGES):
        fields = read_fields(bodies, entry.height, entry.position, entry.index)
        if fields["status"] == "valid" and "released_on" not in fields:
            yield from fields["patent_nos"]


def _is_lapsed(state: Overlay, bodies: BodyReader, company: str, number: str, day: int) -> bool:
    pointer = find_latest(state, company, PATENTS, "patent_no", number)
    if pointer is None:
        return False
    fields = read_fields(bodies, *pointer[1:])
    paid_until = fields.get("annual_fee_paid_until")
    return fields["legal_status"] == "lapsed" or (paid_until is not None and paid_until < day)


RegistryFact = Callable[[Overlay, BodyReader, str, int], int]
REGISTRY_FACTS: Mapping[str, tuple[frozenset[Unit], RegistryFact]] = {
    "double_registrations": (frozenset({Unit.COUNT}), _double_registrations),
    "contested_registrations": (frozenset({Unit.COUNT}), _contested_registrations),
    "pledged_patents_lapsed": (frozenset({Unit.COUNT}), _pledged_patents_lapsed),
}
REGISTRY_CATEGORIES: Mapping[str, frozenset[str]] = {
    "pledged_patents_lapsed": frozenset({PATENTS, PATENT_PLEDGES}),
}
