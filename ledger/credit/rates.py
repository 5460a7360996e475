"""Exchange rates by vote, each of a currency and a day.

A record says its amount exactly, in minor units of its own currency; nothing is converted when it
is stored. A feature in fen over such amounts converts each day's with the rate of that day
(`ledger.rules.features`), and is missing when one has none. A rate counts until the next later one,
for at most `rate_age_days` days (weekends and holidays have none), and once set it never changes.
It is in millionths of a fen for one minor unit, so that 7.1234 yuan for a dollar, 7.1234 fen for a
cent, are 7_123_400.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.credit.currencies import HOME_CURRENCY
from ledger.credit.day_keys import day_key, day_of_key
from ledger.credit.voted_settings import RATE_AGE_DAYS, get_number
from ledger.errors import Code, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import EXCHANGE_RATES
from ledger.transactions.fields import FIRST_DAY, LAST_DAY

MAX_RATE_PPM = 10**12
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate of a currency from a day on, in millionths of a fen for one minor unit."""

    currency: str
    day: int
    ppm: int


def read_rate(item: object) -> Rate:
    """Return the rate of a list (currency, day, ppm); raise `Rejected` (2008)."""
    if type(item) is not tuple or [type(part) for part in item] != [str, int, int]:
        raise Rejected(Code.BODY_MALFORMED, "field rates: want lists of currency, day, rate")
    rate = Rate(*item)
    if _CURRENCY.fullmatch(rate.currency) is None or rate.currency == HOME_CURRENCY:
        raise Rejected(Code.BODY_MALFORMED, "field rates: want a foreign currency such as USD")
    if not (FIRST_DAY <= rate.day <= LAST_DAY and 1 <= rate.ppm <= MAX_RATE_PPM):
        raise Rejected(
            Code.BODY_MALFORMED, f"field rates: want a date, and a rate from 1 to {MAX_RATE_PPM}"
        )
    return rate


def check_rate_free(state: Overlay, rate: Rate) -> None:
    """Raise `Rejected` (2510) where the currency has a rate for the day."""
    if state.get(EXCHANGE_RATES, _key(rate)) is not None:
        raise Rejected(
            Code.RATE_EXISTS, f"the rate of {rate.currency} for day {rate.day} is set already"
        )


def put_rate(state: Overlay, rate: Rate) -> None:
    """Keep a rate."""
    state.put(EXCHANGE_RATES, _key(rate), rate.ppm)


def _key(rate: Rate) -> bytes:
    return rate.currency.encode() + day_key(rate.day)


def get_rate_ppm(state: Overlay, currency: str, day: int) -> int | None:
    """Return the rate that counts on a day, None when there is none or it is too old."""
    prefix = currency.encode()
    for key, ppm in state.scan(EXCHANGE_RATES, prefix, stop=day_key(day + 1), reverse=True):
        age = day - day_of_key(key[len(prefix) :])
        return int(ppm) if age <= get_number(state, RATE_AGE_DAYS, day) else None
    return None


def get_rates(state: Overlay, currency: str, first_day: int, last_day: int) -> Iterator[Rate]:
    """Yield the rates of a currency that were set for these days, in order."""
    prefix = currency.encode()
    start, stop = day_key(first_day), day_key(last_day + 1)
    for key, ppm in state.scan(EXCHANGE_RATES, prefix, start=start, stop=stop):
        yield Rate(currency, day_of_key(key[len(prefix) :]), ppm)
