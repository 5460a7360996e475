"""Made-up companies and their records, as files ready for `creditledger submit`.

    python -m genesis.synthetic --seed 7 --companies 250 --out .demo/data

writes, for each department, a CSV a category with its mapping file, a file of attestations, and
`plan.json`: what to submit in which order, who applies for what, and the records that fall off a
cliff (`genesis.scenario`). The borrowers of genesis/demo are data and are there whatever the seed;
everything else is a function of the seed and the number of companies, byte for byte.
"""

from __future__ import annotations

import argparse
import csv
import json
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from genesis.companies import Profile, make_profiles
from genesis.draws import Draws
from genesis.network import load_network
from genesis.records import Period, Row, Table, make_records
from genesis.scenario import SALES, cast_profiles, make_cases, make_cliff

DEMO = Path(__file__).parent / "demo"
MAX_COMPANIES = 20_000
# Where the owner attests that nothing is missing, from the first of these days to the day itself.
_ATTESTED = {
    ("C018", ""): date(2010, 1, 1),
    ("C019", ""): date(2010, 1, 1),
    ("C028", ""): date(2010, 1, 1),
    ("C044", "line"): None,
    ("C045", "line"): None,
    ("C035", ""): None,
    ("C040", ""): None,
    ("C048", ""): date(2010, 1, 1),
    ("C049", ""): date(2010, 1, 1),
    ("C183", ""): None,
    ("C185", ""): None,
}
_YEAR_DAYS = {"C036": "tax_year"}
_MAPPING = """# What the columns of {file} mean: each is the field of its name.
format = "creditledger/mapping/1"
category = "{category}"
"""


def write_data(out: Path, seed: int, companies: int, as_of: date) -> dict[str, Any]:
    """Write everything under `out` and return the plan, as in plan.json."""
    draws = Draws.of_seed(seed)
    period = Period(as_of)
    profiles = cast_profiles(make_profiles(draws.branch("companies"), companies), draws)
    tables: dict[Table, list[Row]] = {}
    for profile in profiles:
        for table, row in make_records(profile, period, draws.branch(profile.code)):
            tables.setdefault(table, []).append(row)
    names = {profile.code: (profile.name, profile.name_zh) for profile in profiles}
    borrowers = read_borrowers()
    for entry in borrowers["company"]:
        names[entry["code"]] = (entry["name"], entry["name_zh"])
    _add_demo_records(tables)
    submissions = [
        _write_table(out, table, rows) for table, rows in sorted(tables.items(), key=_table_order)
    ]
    submissions += _write_attestations(out, sorted(names), period)
    cases = make_cases(profiles, tables, period, draws.branch("cases"), borrowers)
    plan = {
        "seed": seed,
        "as_of": as_of.isoformat(),
        "records": sum(item["records"] for item in submissions if item["kind"] == "records"),
        "companies": [
            {"code": code, "name": name, "name_zh": name_zh}
            for code, (name, name_zh) in sorted(names.items())
        ],
        "products": [str(path.resolve()) for path in sorted((DEMO / "products").glob("*.toml"))],
        "submissions": submissions,
        "second_pledge": borrowers["second_pledge"],
        "applications": [case.to_value() for case in cases],
        "cliff": _write_cliff(out, profiles, tables, period, draws.branch("cliff")),
    }
    _write(out / "plan.json", json.dumps(plan, ensure_ascii=False, indent=1) + "\n")
    return plan


def read_borrowers() -> dict[str, Any]:
    """Return genesis/demo/borrowers.toml: the companies of the first loans and their wishes."""
    return tomllib.loads((DEMO / "borrowers.toml").read_text("utf-8"))


def _add_demo_records(tables: dict[Table, list[Row]]) -> None:
    """Put the borrowers' own records (genesis/demo/records) before the made-up ones."""
    owners = {item["id"]: item["owner"] for item in load_network("guangdong").categories}
    for path in sorted((DEMO / "records").glob("*.csv")):
        category, _, schema = path.stem.partition("-")
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
        table = (owners[category], category, schema)
        tables[table] = rows + tables.get(table, [])


def _table_order(item: tuple[Table, Sequence[Row]]) -> Table:
    return item[0]


def _write_table(out: Path, table: Table, rows: Sequence[Row]) -> dict[str, Any]:
    owner, category, schema = table
    stem = f"{category}-{schema}" if schema else category
    file = out / owner / f"{stem}.csv"
    write_csv(file, rows)
    return _write_mapping(out, table, file, len(rows))


def _write_mapping(out: Path, table: Table, file: Path, records: int) -> dict[str, Any]:
    owner, category, schema = table
    text = _MAPPING.format(file=file.name, category=category)
    if schema:
        text += f'schema = "{schema}"\n'
    if category in _YEAR_DAYS:
        text += f'day = {{ column = "{_YEAR_DAYS[category]}", as = "year" }}\n'
    mapping = file.with_suffix(".toml")
    _write(mapping, text)
    return _submission(out, owner, "records", file, mapping, records)


def _submission(
    out: Path, owner: str, kind: str, file: Path, mapping: Path, records: int
) -> dict[str, Any]:
    return {
        "member": owner,
        "kind": kind,
        "file": str(file.relative_to(out)),
        "map": str(mapping.relative_to(out)),
        "records": records,
    }


def _write_attestations(
    out: Path, companies: Sequence[str], period: Period
) -> list[dict[str, Any]]:
    owners = {item["id"]: item["owner"] for item in load_network("guangdong").categories}
    rows: dict[str, list[Row]] = {}
    for (category, schema), since in _ATTESTED.items():
        for company in companies:
            rows.setdefault(owners[category], []).append(
                {
                    "category": category,
                    "schema": schema,
                    "company": company,
                    "from": (since or period.months[0]).isoformat(),
                    "to": period.as_of.isoformat(),
                }
            )
    submissions: list[dict[str, Any]] = []
    for owner, lines in sorted(rows.items()):
        file, mapping = out / owner / "attest.csv", out / owner / "attest.toml"
        write_csv(file, lines)
        _write(mapping, 'format = "creditledger/mapping/1"\nkind = "attest"\n')
        submissions.append(_submission(out, owner, "attest", file, mapping, len(lines)))
    return submissions


def _write_cliff(
    out: Path,
    profiles: Sequence[Profile],
    tables: dict[Table, list[Row]],
    period: Period,
    draws: Draws,
) -> dict[str, Any]:
    """Write the red-letter invoices that take a company's sales away, and say whose they are."""
    profile, rows = make_cliff(profiles, tables[SALES], period, draws)
    file = out / "D02" / "cliff.csv"
    write_csv(file, rows)
    submission = _write_mapping(out, SALES, file, len(rows))
    return {**submission, "company": profile.code, "name": profile.name, "alert": "EW05"}


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal columns as a CSV file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of the module."""
    parser = argparse.ArgumentParser(prog="python -m genesis.synthetic", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it")
    parser.add_argument("--companies", type=int, default=250, help=f"10 to {MAX_COMPANIES}")
    parser.add_argument("--as-of", type=date.fromisoformat, default=date(2020, 1, 10))
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(arguments)
    if not 10 <= options.companies <= MAX_COMPANIES:
        parser.error(f"--companies: got {options.companies}, want 10 to {MAX_COMPANIES}")
    plan = write_data(options.out, options.seed, options.companies, options.as_of)
    for item in plan["submissions"]:
        print(f"{item['member']:6}{item['kind']:9}{item['records']:7}  {item['file']}")
    print(f"{plan['records']} records of {len(plan['companies'])} companies in {options.out}")


if __name__ == "__main__":
    main()
