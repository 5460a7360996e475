"""The calendar of limits: when a limit changes, everybody whom it binds is looked at again.

A limit that the members adopt or end counts from a day on, and on that day no loan need move and
nobody need report. So its supervisory class is put down for that day. From then on each block takes
one institution of the class, in the order of their ids, and looks at all its limits, until it has
been through them; what is broken by the new limit raises its alert, and what was broken of one that
ended clears.

LIMITS holds, beside the limits, DUE ‖ day ‖ class: the institution that was looked at last.
"""

from __future__ import annotations

from ledger.credit.day_keys import day_key
from ledger.lending.limits.watch import Site, process_institution
from ledger.membership.members import get_members
from ledger.state.overlay import Overlay
from ledger.state.tables import LIMITS

_DUE = b"~due\x00"  # no class has a name with this character
_DAY_BYTES = 4


def put_due(state: Overlay, kind: str, day: int) -> None:
    """Put down that the institutions of a supervisory class are to be looked at from a day on."""
    state.put(LIMITS, _DUE + day_key(day) + kind.encode(), "")


def process_due_limits(site: Site) -> None:
    """Look at the next institution that is due, if one is."""
    due = site.state.scan(LIMITS, _DUE, stop=day_key(site.day + 1))
    found = next(iter(due), None)
    if found is None:
        return
    key, last = found
    kind = key[len(_DUE) + _DAY_BYTES :].decode()
    institution = _find_next(site.state, kind, last)
    site.state.put(LIMITS, key, institution or None)
    if institution:
        process_institution(site, institution)


def _find_next(state: Overlay, kind: str, last: str) -> str:
    """Return the institution of a class after `last`, "" when there is none."""
    ids = (item.id for item in get_members(state) if item.kind == kind and not item.is_removed)
    return min((item for item in ids if item > last), default="")
