"""Settings that the members change by vote, each from a day on; named and bounded here.

What genesis says of such a name holds until the first change; where it says nothing the default
does. A change never alters what was: the value of a day stays the value of that day. SETTINGS holds
"~at:" name, a zero byte, the day. Other settings of genesis (salts, windows of consensus, distances
of snapshots) cannot be changed, because what was computed with them would be another thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ledger.credit.day_keys import day_key, day_of_key
from ledger.errors import Code, Rejected
from ledger.membership.settings import get_setting
from ledger.state.overlay import Overlay
from ledger.state.tables import SETTINGS

ALERT_LOOK_DAYS = "alert_look_days"
BACKFILL_RECORDS = "backfill_records"
RATE_AGE_DAYS = "rate_age_days"
_AT = "~at:"


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """What a setting may be; `text` says what it does."""

    lowest: int
    highest: int
    default: int
    text: str


SETTINGS_BY_VOTE: Mapping[str, SettingSpec] = {
    ALERT_LOOK_DAYS: SettingSpec(
        1, 90, 7, "days in which every company with records is looked at by all alert rules"
    ),
    BACKFILL_RECORDS: SettingSpec(
        1, 100_000, 2_000, "records read a block for the windows of a rule adopted later"
    ),
    RATE_AGE_DAYS: SettingSpec(
        0, 60, 10, "days for which an exchange rate is used when no later one is set"
    ),
}


def check_setting(name: str, value: object) -> int:
    """Return the value of a setting as it may be; raise `Rejected` (2511)."""
    spec = SETTINGS_BY_VOTE.get(name)
    if spec is None:
        known = ", ".join(sorted(SETTINGS_BY_VOTE))
        raise Rejected(Code.SETTING_UNKNOWN, f"setting {name} is not voted on, want one of {known}")
    if type(value) is not int or not spec.lowest <= value <= spec.highest:
        raise Rejected(
            Code.SETTING_UNKNOWN,
            f"setting {name}: want a whole number from {spec.lowest} to {spec.highest}",
        )
    return value


def put_number(state: Overlay, name: str, value: int, day: int) -> None:
    """Keep the value of a setting from a day on."""
    state.put(SETTINGS, _prefix(name) + day_key(day), value)


def get_number(state: Overlay, name: str, day: int) -> int:
    """Return a setting's value on a day."""
    prefix = _prefix(name)
    for _, value in state.scan(SETTINGS, prefix, stop=day_key(day + 1), reverse=True):
        return int(value)
    spec = SETTINGS_BY_VOTE[name]
    found = get_setting(state, name, spec.default)
    return found if type(found) is int and spec.lowest <= found <= spec.highest else spec.default


def get_changes(state: Overlay, name: str) -> Iterator[tuple[int, int]]:
    """Yield (day, value) of every change, in order."""
    prefix = _prefix(name)
    for key, value in state.scan(SETTINGS, prefix):
        yield day_of_key(key[len(prefix) :]), value


def _prefix(name: str) -> bytes:
    return f"{_AT}{name}".encode() + b"\x00"
