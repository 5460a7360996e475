"""The institutions of a network: a readable table made from smaller ones, then edited by hand.

    python -m genesis.institutions guangdong

writes `institutions.csv` of the network from `kinds.csv` (each supervisory class with its word in a
name, its supervisor and how many there are), `real_institutions.csv` (the few that bear their own
names), `brands.csv` and `cities.csv`. Names other than the real ones are invented: a brand and the
word of the class. The table is what everything else reads, so what is changed in it by hand counts;
making it anew writes over such changes, and says how many rows differ.

What a province needs is then one file: `consortium_of` gives a consortium with every department,
institution and supervisor of the network, for `creditledger genesis province`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genesis.network import NETWORKS, read_rows
from ledger.errors import Code, Refused

TABLE = "institutions.csv"
COLUMNS = ("id", "kind", "supervisor", "name", "name_zh", "city")
CITY_COLUMNS = ("name", "name_zh", "code")  # code: the first four digits of GB/T 2260
_KIND_COLUMNS = ("kind", "prefix", "name", "name_zh", "supervisor", "count")
_REAL_COLUMNS = ("id", "kind", "name", "name_zh", "city")
# The steps through brands and cities have no divisor in common with their numbers, so that
# neighbours in the table differ in both.
_BRAND_STEP, _CITY_STEP = 7, 8
REGULATOR = "D18"  # the department that supervises local finance is a regulator in the ledger
REGISTRAR = "D01"  # binds companies' keys
COUNTERS = ("D01", "D26")  # where a company may act in person


@dataclass(frozen=True, slots=True)
class Institution:
    """One row of institutions.csv; `supervisor` is a member of the same province."""

    id: str
    kind: str
    supervisor: str
    name: str
    name_zh: str
    city: str


def make_institutions(folder: Path) -> list[Institution]:
    """Return the institutions that the small tables of a network's folder describe."""
    real = [row for _, row in read_rows(folder / "real_institutions.csv", _REAL_COLUMNS)]
    brands = [row for _, row in read_rows(folder / "brands.csv", ("slug", "name", "name_zh"))]
    cities = [row["name"] for _, row in read_rows(folder / "cities.csv", CITY_COLUMNS)]
    made: list[Institution] = []
    drawn = 0
    for _, kind in read_rows(folder / "kinds.csv", _KIND_COLUMNS):
        of_kind = [
            Institution(
                row["id"], row["kind"], kind["supervisor"], row["name"], row["name_zh"], row["city"]
            )
            for row in real
            if row["kind"] == kind["kind"]
        ]
        while len(of_kind) < int(kind["count"]):
            brand = brands[drawn * _BRAND_STEP % len(brands)]
            city = cities[drawn * _CITY_STEP % len(cities)]
            drawn += 1
            of_kind.append(
                Institution(
                    f"{brand['slug']}-{kind['prefix']}",
                    kind["kind"],
                    kind["supervisor"],
                    f"{brand['name']} {kind['name']}",
                    f"{brand['name_zh']}{kind['name_zh']}",
                    city,
                )
            )
        made += of_kind
    return made


def load_institutions(folder: Path) -> tuple[Institution, ...]:
    """Return the rows of a network's institutions.csv; raise `Refused` 7003 with the line."""
    found: dict[str, Institution] = {}
    for place, row in read_rows(folder / TABLE, COLUMNS):
        if row["id"] in found:
            raise Refused(Code.CONFIG_INVALID, f"{place}: institution {row['id']} stands twice")
        found[row["id"]] = Institution(*(row[column] for column in COLUMNS))
    return tuple(found.values())


def write_table(folder: Path, institutions: Sequence[Institution]) -> int:
    """Write institutions.csv and return how many of its lines are not as they were before."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in institutions:
        writer.writerow([getattr(item, column) for column in COLUMNS])
    path = folder / TABLE
    before = path.read_text("utf-8").splitlines() if path.exists() else []
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return len(set(buffer.getvalue().splitlines()) ^ set(before))


def consortium_of(folder: Path, name: str) -> str:
    """Return the consortium file of the whole province: departments, institutions, supervisors.

    It names no certificates, node keys or addresses: `creditledger devnet up` fills them in on one
    machine, and members of a real network send theirs.
    """
    lines = [
        "# Every member of the province. Edit it by hand: a member is one [[member]] table.",
        'format = "creditledger/consortium/1"',
        f"name = {_quoted(name)}",
        f"network = {_quoted(folder.name)}",
        'categories = "all"',
        "province = true",
    ]
    for member in _members(folder):
        lines += ["", "[[member]]", *(f"{key} = {value}" for key, value in member)]
    return "\n".join(lines) + "\n"


def _members(folder: Path) -> Iterator[list[tuple[str, str]]]:
    columns = ("id", "name", "name_zh")
    for _, row in read_rows(folder / "departments.csv", columns):
        role = "regulator" if row["id"] == REGULATOR else "department"
        entry = [(column, _quoted(row[column])) for column in columns]
        may = [
            *(["counter"] if row["id"] in COUNTERS else []),
            *(["registrar"] if row["id"] == REGISTRAR else []),
        ]
        yield [*entry, ("role", _quoted(role)), *([("capabilities", json.dumps(may))] * bool(may))]
    for _, row in read_rows(folder / "supervisors.csv", columns):
        yield [*((column, _quoted(row[column])) for column in columns), ("role", '"regulator"')]
    for item in load_institutions(folder):
        yield [
            ("id", _quoted(item.id)),
            ("name", _quoted(item.name)),
            ("name_zh", _quoted(item.name_zh)),
            ("role", '"institution"'),
            ("kind", _quoted(item.kind)),
        ]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a TOML basic string is a JSON string


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a network's institutions.csv anew."""
    parser = argparse.ArgumentParser(prog="python -m genesis.institutions", description=__doc__)
    parser.add_argument("network", help="folder, or name of a folder in genesis/networks")
    options = parser.parse_args(arguments)
    named = Path(options.network)
    folder = named if named.is_dir() else NETWORKS / options.network
    institutions = make_institutions(folder)
    differing = write_table(folder, institutions)
    print(f"{len(institutions)} institutions in {folder / TABLE}, {differing} lines differ")


if __name__ == "__main__":
    main()
