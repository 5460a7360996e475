"""The products of a network's institutions: one `smartrule/1` file each, made from tables.

    python -m genesis.products guangdong

writes `products/` of the network from `products.csv` (one row a product: its lender, its conditions
and amount with their figures, scorecard, rates and repayment), `conditions.toml` and `amounts.toml`
(what the rows are put together from, each with its reason in two languages) and `cities.csv`. What
is changed goes into the tables; a test proves that the files are what this program makes of them.

How a row is written: a condition is its id, with its figures behind a colon, several parted by
"/": `age:2 falls-due:15/180`. Rates are lower bounds of the score and what is charged from there
on: `480:6.60 560:5.40`; below the first one the product declines. Repayment is `bullet`, or
`equal_instalments 1 30/360 5.00` (months, day count and what is added when late).

A product needs the company's authorisation of every category it reads that is not public, and the
kind of asset whose facts it reads: both follow from the features in the expressions, so the
program finds them with the rule language itself.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from genesis.institutions import CITY_COLUMNS, load_institutions
from genesis.network import NETWORKS, Network, load_network, read_rows
from ledger.credit.categories import compute_event_types
from ledger.errors import Code, Refused, RuleSourceError
from ledger.lending.products import get_read_categories
from ledger.membership.catalogue import Access, category_from_value
from ledger.rules.features import FeatureSource
from ledger.rules.product import Product, load_product
from ledger.rules.schema import Schema, load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard

TABLE = "products.csv"
FOLDER = "products"
LINES = (
    "supply_chain",
    "trade",
    "intellectual_property",
    "tax",
    "credit",
    "agricultural",
    "leasing",
    "factoring",
    "pawn",
    "guarantee",
)
COLUMNS = (
    "id",
    "lender",
    "line",
    "name",
    "name_zh",
    "conditions",
    "amount",
    "step",
    "minimum",
    "scorecard",
    "rates",
    "repayment",
)
EFFECTIVE_FROM = "2020-01-01"
SCORE_REASON = "R301"
_TEXT = "The score is below what the product asks for"
_TEXT_ZH = "评分低于本产品准入线"
_DAYS_A_YEAR = 365
_FACT = re.compile(r"\b[a-z]{2}\.[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as rules write it, and as people read it in English and Chinese."""

    rule: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A condition or an amount of the tables; `figures` are (parameter, unit)."""

    id: str
    expression: str
    reason: str
    text: str
    text_zh: str
    text_one: str  # the text where its figure is one, "" for no other
    figures: tuple[tuple[str, str], ...]

    def say(self, figures: Sequence[Figure]) -> str:
        """Return the English text with its figures."""
        if self.text_one and [figure.text for figure in figures] == ["1"]:
            return self.text_one
        return self.text.format(*(figure.text for figure in figures))


@dataclass(frozen=True, slots=True)
class Filled:
    """A piece with its figures; `params` are the parameters it needs, as the rule writes them."""

    id: str
    expression: str
    reason: str
    text: str
    text_zh: str
    params: Mapping[str, str]


def _yuan(text: str) -> Figure:
    number = int(text)
    return Figure(f'"CNY {number}.00"', f"CNY {number:,}", f"{number:,}元")


def _percent(text: str) -> Figure:
    whole, _, part = text.partition(".")
    return Figure(f'"{int(whole)}.{part:0<2}%"', f"{text}%", f"{text}%")


def _days(text: str) -> Figure:
    plural = "" if text == "1" else "s"
    return Figure(f'"{int(text)} days"', f"{text} day{plural}", f"{text}天")


def _years(text: str) -> Figure:
    plural = "" if text == "1" else "s"
    return Figure(f'"{int(text) * _DAYS_A_YEAR} days"', f"{text} year{plural}", f"{text}年")


def _number(text: str) -> Figure:
    return Figure(f"{int(text):_}", text, text)


def _scaled(times: int, unit: str, unit_zh: str) -> Callable[[str], Figure]:
    def read(text: str) -> Figure:
        number = int(text)
        return Figure(f"{number * times:_}", f"{number:,} {unit}", f"{number:,}{unit_zh}")

    return read


# How the tables write a figure of each unit.
UNITS: Mapping[str, Callable[[str], Figure]] = {
    "yuan": _yuan,
    "%": _percent,
    "days": _days,
    "years": _years,
    "number": _number,
    "kwh": _scaled(1_000, "kWh", "千瓦时"),
    "usd": _scaled(100, "US dollars", "美元"),
    "mu": _scaled(10_000, "mu", "亩"),
}
CITY_UNIT = "city"


@dataclass(frozen=True, slots=True)
class Row:
    """One product as its row says it."""

    id: str
    lender: str
    line: str
    name: str
    name_zh: str
    conditions: tuple[str, ...]
    amount: str
    step: str
    minimum: str
    scorecard: str
    rates: tuple[str, ...]
    repayment: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What products are checked against: the newest schema, its scorecards, access by category."""

    schema: Schema
    scorecards: Mapping[str, Scorecard]
    access: Mapping[str, Access]


class Tables:
    """The tables of one network's products."""

    def __init__(self, folder: Path) -> None:
        self._conditions = dict(_read_pieces(folder / "conditions.toml", "when"))
        self._amounts = dict(_read_pieces(folder / "amounts.toml", "amount"))
        self._cities = {
            row["name"]: Figure(row["code"], row["name"], row["name_zh"])
            for _, row in read_rows(folder / "cities.csv", CITY_COLUMNS)
        }

    def condition(self, place: str, written: str) -> Filled:
        """Return the condition that a row writes; raise `Refused` 7003."""
        return self._fill(place, self._conditions, written)

    def amount(self, place: str, written: str) -> Filled:
        """Return the amount that a row writes; raise `Refused` 7003."""
        return self._fill(place, self._amounts, written)

    def _fill(self, place: str, pieces: Mapping[str, Piece], written: str) -> Filled:
        name, _, rest = written.partition(":")
        piece = pieces.get(name)
        if piece is None:
            _refuse(place, f"{name!r} is in no table of conditions or amounts")
        values = rest.split("/") if rest else []
        if len(values) != len(piece.figures):
            _refuse(place, f"{name}: got {len(values)} figures, want {len(piece.figures)}")
        expression, params, figures = piece.expression, {}, []
        for (param, unit), value in zip(piece.figures, values, strict=True):
            figure = self._read_figure(f"{place}: {name}", unit, value)
            figures.append(figure)
            if unit == CITY_UNIT:
                expression = expression.replace(f"{{{param}}}", figure.rule)
            else:
                params[param] = figure.rule
        return Filled(
            written,
            expression,
            piece.reason,
            piece.say(figures),
            piece.text_zh.format(*(figure.text_zh for figure in figures)),
            params,
        )

    def _read_figure(self, place: str, unit: str, value: str) -> Figure:
        if unit == CITY_UNIT:
            found = self._cities.get(value)
            if found is None:
                _refuse(place, f"city {value!r} is not in cities.csv")
            return found
        try:
            return UNITS[unit](value)
        except ValueError:
            _refuse(place, f"got {value!r}, want a number in {unit}")


def _read_pieces(path: Path, key: str) -> Iterator[tuple[str, Piece]]:
    for name, table in _read_toml(path).items():
        figures = tuple(tuple(item.split(" ")) for item in table.get("figures", ()))
        for item in figures:
            if len(item) != 2 or item[1] not in (*UNITS, CITY_UNIT):
                _refuse(path.name, f"{name}: a figure is a name and a unit, not {' '.join(item)!r}")
        try:
            texts = (table[key], table["reason"], table["text"], table["text_zh"])
        except KeyError as error:
            _refuse(path.name, f"{name}: the key {error} is missing")
        yield name, Piece(name, *texts, table.get("text_one", ""), figures)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        _refuse(path.name, f"cannot be read: {error}")


def _refuse(place: str, sentence: str) -> NoReturn:
    raise Refused(Code.CONFIG_INVALID, f"{place}: {sentence}")


def load_rows(folder: Path) -> list[tuple[str, Row]]:
    """Return (place, row) of a network's products.csv; raise `Refused` 7003 with the line."""
    lenders = {item.id for item in load_institutions(folder)}
    found: dict[str, tuple[str, Row]] = {}
    for place, row in read_rows(folder / TABLE, COLUMNS):
        if row["id"] in found:
            _refuse(place, f"product {row['id']} stands twice")
        if row["lender"] not in lenders:
            _refuse(place, f"lender {row['lender']!r} is not in institutions.csv")
        if row["line"] not in LINES:
            _refuse(place, f"line {row['line']!r}, want one of {', '.join(LINES)}")
        values = dict(row)
        conditions, rates = values.pop("conditions").split(), values.pop("rates").split()
        found[row["id"]] = place, Row(**values, conditions=tuple(conditions), rates=tuple(rates))
    return list(found.values())


def load_rules(network: Network) -> Rules:
    """Return what the network's products are written against: company/2 and the scorecards."""
    categories = [category_from_value(item["id"], item) for item in network.categories]
    events = compute_event_types(categories)
    files = [path for path in network.province_files() if path.parent.name != FOLDER]
    sources = [(tomllib.loads(path.read_text("utf-8"))["kind"], path) for path in files]
    schemas = [load_schema(path.read_bytes(), events) for kind, path in sources if kind == "schema"]
    schema = next(item for item in schemas if item.id == "company")
    scorecards = [
        load_scorecard(path.read_bytes(), schema)
        for kind, path in sources
        if kind == "scorecard" and _read_toml(path)["schema"] == schema.ref
    ]
    return Rules(
        schema,
        {item.ref: item for item in scorecards},
        {category.id: category.access for category in categories},
    )


def make_product(place: str, row: Row, tables: Tables, rules: Rules) -> str:
    """Return the file of one product; raise `Refused` 7003 or `RuleSourceError`."""
    scorecard = rules.scorecards.get(row.scorecard)
    if scorecard is None:
        _refuse(place, f"scorecard {row.scorecard} is none of {', '.join(rules.scorecards)}")
    conditions = [tables.condition(place, item) for item in row.conditions]
    amount = tables.amount(place, row.amount)
    asset = _write_asset(place, [item.expression for item in (*conditions, amount)], rules)
    draft = _write(row, conditions, amount, rules, asset)
    product = load_product(draft.encode(), rules.schema, scorecard)
    return _write(row, conditions, amount, rules, _write_requires(product, rules) + asset)


def _write_asset(place: str, expressions: Iterable[str], rules: Rules) -> str:
    """Return the line `asset` that facts in the expressions ask for, "" for none."""
    names = {name for expression in expressions for name in _FACT.findall(expression)}
    read = [rules.schema.features[name] for name in names & rules.schema.features.keys()]
    kinds = sorted({item.kind for item in read if item.source is FeatureSource.ASSET})
    if len(kinds) > 1:
        _refuse(place, f"reads facts of several kinds of asset: {', '.join(kinds)}")
    return "".join(f"asset = {_quoted(kind)}\n" for kind in kinds)


def _write_requires(product: Product, rules: Rules) -> str:
    """Return the line `requires` that the product's features ask for."""
    read = sorted(get_read_categories(product, rules.schema))
    requires = [item for item in read if rules.access[item] is Access.AUTHORISED]
    return f"requires = [{', '.join(map(_quoted, requires))}]\n"


def _write(row: Row, conditions: Sequence[Filled], amount: Filled, rules: Rules, needs: str) -> str:
    head = {
        "format": "smartrule/1",
        "kind": "product",
        "id": row.id,
        "version": 1,
        "name": row.name,
        "name_zh": row.name_zh,
        "lender": row.lender,
        "line": row.line,
        "schema": rules.schema.ref,
        "scorecard": row.scorecard,
    }
    lines = [f"{key} = {_quoted(value)}" for key, value in head.items()]
    text = "\n".join([*lines, f"effective_from = {EFFECTIVE_FROM}", needs])
    params = {name: rule for item in (*conditions, amount) for name, rule in item.params.items()}
    if params:
        text += "\n[params]\n" + "".join(f"{name} = {rule}\n" for name, rule in params.items())
    for item in conditions:
        fields = {"id": item.id.partition(":")[0], "when": item.expression}
        text += "\n[[condition]]\n" + _fields({**fields, **_reason(item)})
    text += "\n[limit]\n" + _fields(
        {
            "amount": amount.expression,
            "step": f"CNY {row.step}.00",
            "minimum": f"CNY {row.minimum}.00",
            **_reason(amount),
        }
    )
    text += "\n[rate]\n" + _fields({"on": "score", "text": _TEXT, "text_zh": _TEXT_ZH})
    return text + f"bands = {_write_bands(row.rates)}\n" + _write_repayment(row.repayment)


def _reason(item: Filled) -> dict[str, str]:
    return {"reason": item.reason, "text": item.text, "text_zh": item.text_zh}


def _fields(fields: Mapping[str, object]) -> str:
    return "".join(f"{key} = {_quoted(value)}\n" for key, value in fields.items())


def _write_bands(rates: Iterable[str]) -> str:
    bands = [f'[0, "DECLINE", {_quoted(SCORE_REASON)}]']
    for item in rates:
        lower, _, rate = item.partition(":")
        bands.append(f'[{lower}, "{rate}%"]')
    return f"[{', '.join(bands)}]"


def _write_repayment(written: str) -> str:
    if not written:
        return ""
    schedule, months, day_count, late = written.split(" ")
    values = {"schedule": schedule, "period_months": int(months), "day_count": day_count}
    return "\n[repayment]\n" + _fields({**values, "late_rate": f"{late}%"})


_ESCAPED = re.compile(r'["\\]')


def _quoted(value: object) -> str:
    """Return a TOML value: a number as it is, text in double quotes."""
    if isinstance(value, int):
        return str(value)
    return '"' + _ESCAPED.sub(lambda match: "\\" + match[0], str(value)) + '"'


def make_products(folder: Path) -> dict[str, str]:
    """Return file name → text of every product of a network; raise `Refused` 7003."""
    tables, rules = Tables(folder), load_rules(load_network(folder))
    made: dict[str, str] = {}
    for place, row in load_rows(folder):
        try:
            made[f"{row.id.lower()}.toml"] = make_product(place, row, tables, rules)
        except RuleSourceError as error:
            _refuse(place, f"{row.id}: {error}")
    return made


def load_products(folder: Path) -> list[Product]:
    """Return the compiled products of the files as they stand, by file name."""
    rules = load_rules(load_network(folder))
    products = []
    for path in sorted((folder / FOLDER).glob("*.toml")):
        source = path.read_bytes()
        scorecard = rules.scorecards[tomllib.loads(source.decode())["scorecard"]]
        products.append(load_product(source, rules.schema, scorecard))
    return products


def write_products(folder: Path) -> tuple[int, int]:
    """Write the files anew; return how many there are, and how many are not as before."""
    made = make_products(folder)
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    before = {path.name: path.read_text("utf-8") for path in target.glob("*.toml")}
    for name in before.keys() - made.keys():
        (target / name).unlink()
    for name, text in made.items():
        (target / name).write_text(text, encoding="utf-8")
    changed = sum(1 for name in before.keys() | made.keys() if before.get(name) != made.get(name))
    return len(made), changed


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a network's products anew."""
    parser = argparse.ArgumentParser(prog="python -m genesis.products", description=__doc__)
    parser.add_argument("network", help="folder, or name of a folder in genesis/networks")
    options = parser.parse_args(arguments)
    named = Path(options.network)
    folder = named if named.is_dir() else NETWORKS / options.network
    count, changed = write_products(folder)
    print(f"{count} products in {folder / FOLDER}, {changed} files changed")


if __name__ == "__main__":
    main()
