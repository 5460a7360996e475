"""The prudential limits of a network: limits.csv, read for the genesis document.

A row says what is measured on which supervisory class, against what, and how much is allowed, as
the law writes it: `10,%` of the base, `8,x` times the base, `1000,CNY 10k`, `6,month`, `90,day`.
`measure` and `base` are names of `ledger.lending.limits.limits` and
`ledger.lending.limits.positions`; `is_hard` is 1 where the ledger refuses what goes beyond, 0 where
it raises an alert; `is_verified` is 0 where the figure was not checked against the text of the law,
and everybody who sees the limit sees that. The supervisor of a class is that of kinds.csv.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genesis.network import read_rows
from ledger.errors import Code, Refused
from ledger.lending.limits.limits import Measure
from ledger.lending.limits.positions import YEAR_END, Balance

TABLE = "limits.csv"
COLUMNS = (
    "id",
    "kind",
    "measure",
    "base",
    "limit",
    "unit",
    "is_minimum",
    "is_hard",
    "text",
    "source",
    "is_verified",
)
_KIND_COLUMNS = ("kind", "prefix", "name", "name_zh", "supervisor", "count")
# The unit as the law writes it → (the unit on the ledger, how many of them).
_UNITS = {
    "%": ("bp", 100),
    "x": ("bp", 10_000),
    "CNY 10k": ("fen", 1_000_000),
    "day": ("days", 1),
    "month": ("months", 1),
}
_FIGURES = frozenset({"net_assets", "total_assets", "registered_capital", "funds"})
_BASES = _FIGURES | {YEAR_END, ""} | set(Balance)
_MEASURES = _FIGURES | set(Balance) | set(Measure)


def load_limits(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the limits of a network's folder as genesis holds them; `Refused` 7003 with the line.

    A network without the table has none.
    """
    if not (folder / TABLE).exists():
        return ()
    supervisors = {
        row["kind"]: row["supervisor"] for _, row in read_rows(folder / "kinds.csv", _KIND_COLUMNS)
    }
    found: dict[str, dict[str, Any]] = {}
    for place, row in read_rows(folder / TABLE, COLUMNS):
        for column, known in (
            ("kind", supervisors.keys()),
            ("measure", _MEASURES),
            ("base", _BASES),
            ("unit", _UNITS.keys()),
            *((flag, {"0", "1"}) for flag in ("is_minimum", "is_hard", "is_verified")),
        ):
            if row[column] not in known:
                raise _bad(place, f"column {column}: got {row[column]!r}, not a known one")
        if row["id"] in found:
            raise _bad(place, f"limit {row['id']} stands twice")
        if not (row["limit"].isascii() and row["limit"].isdigit()):
            raise _bad(place, f"column limit: got {row['limit']!r}, want a whole number")
        unit, times = _UNITS[row["unit"]]
        found[row["id"]] = {
            **{name: row[name] for name in ("id", "kind", "measure", "base", "text", "source")},
            **{name: row[name] == "1" for name in ("is_minimum", "is_hard", "is_verified")},
            "most": int(row["limit"]) * times,
            "unit": unit,
            "supervisor": supervisors[row["kind"]],
        }
    return tuple(found.values())


def _bad(place: str, sentence: str) -> Refused:
    return Refused(Code.CONFIG_INVALID, f"{place}: {sentence}")
