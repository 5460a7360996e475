"""`product check` with samples, `what-if` over a home, and what proposals of rules are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from commands.proposing import describe_change
from commands.rules.rule import parse_exchange_rate, read_category
from commands.rules.rule_offline import compile_product
from ledger.errors import LocalError
from ledger.membership.catalogue import category_from_value
from ledger.rules.decision import Outcome
from ledger.rules.trial import compute_samples
from ledger.storage.leveldb import LevelStore
from tests.audit.test_what_if import live
from tests.genesis.demo_network import DEMO, DemoNetwork
from tests.ledger_harness import CATEGORIES
from tests.lending.documents import SALES_ALERT, credit_line
from tests.lending.rulers import Rulers


@pytest.fixture(scope="module")
def network() -> Rulers:
    return live()


@pytest.fixture(scope="module")
def home(network: Rulers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the network's database, as a home has it."""
    folder: Path = tmp_path_factory.mktemp("home")
    store = LevelStore(folder / "db")
    store.write(dict(network.store.scan(b"", b"\xff" * 8)), sync=True)
    store.close()
    return folder


@pytest.fixture
def trust(network: Rulers, tmp_path: Path) -> Path:
    path = tmp_path / "genesis.bin"
    path.write_bytes(network.genesis.data)
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def written(folder: Path, name: str, source: bytes) -> Path:
    path = folder / name
    path.write_bytes(source)
    return path


def test_a_product_is_shown_on_companies_made_from_its_rule(tmp_path: Path, trust: Path) -> None:
    path = written(tmp_path, "line.toml", credit_line(version=2))
    shown = run("product", "check", path, "--trust", trust)
    assert shown.exit_code == Exit.OK, shown.output
    for word in ("the best company found", "fails seats", "fails overdue", "GRANT", "R151"):
        assert word in shown.output
    value: Any = json.loads(run("product", "check", path, "--trust", trust, "--json").output)
    outcomes = [sample["outcome"] for sample in value["samples"]]
    assert (outcomes[0], outcomes[-1]) == ("GRANT", "REFER")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"a = " + b"[" * 20_000, "nested more than 8 deep"),
        (b"lender = " + b"9" * 5_000, "does not fit in 64 bits"),
        (b"\xff", "not UTF-8 text"),
    ],
)
def test_a_file_that_no_reader_takes_is_refused_on_one_line(
    source: bytes, words: str, tmp_path: Path, trust: Path
) -> None:
    shown = run("product", "check", written(tmp_path, "bad.toml", source), "--trust", trust)
    assert (shown.exit_code, shown.output.count("\n")) == (Exit.REFUSED, 1)
    assert words in shown.output


def test_each_product_of_the_demonstration_has_a_company_that_gets_it_and_one_for_each_no(
    tmp_path: Path,
) -> None:
    genesis = DemoNetwork(tmp_path / "demo").genesis.data
    sources = [path.read_bytes() for path in sorted((DEMO / "products").glob("*.toml"))]
    assert len(sources) == 3
    for source in sources:
        product = compile_product(source, genesis)
        samples = compute_samples(product)
        assert samples[0].decision.outcome is Outcome.GRANT, product.ref
        alone = {item.decision.reasons[0].condition for item in samples if "fails" in item.title}
        assert alone == {condition.id for condition in product.conditions}


def test_a_product_is_shown_on_the_companies_of_a_file(tmp_path: Path, trust: Path) -> None:
    path = written(tmp_path, "line.toml", credit_line(version=2))
    facts = b"""
[[company]]
name = "a good one"
"ap.amount" = "CNY 100000.00"
"ap.seats" = 3
"co.overdue_days" = "0 days"
"co.overdue_days_max_24m" = "0 days"
"co.debt_outstanding" = "CNY 0.00"
"co.sales_12m" = "CNY 3000000.00"
[[company]]
"ap.seats" = 9
"""
    options = ("--trust", trust, "--facts", written(tmp_path, "facts.toml", facts), "--json")
    value: Any = json.loads(run("product", "check", path, *options).output)
    first, second = value["samples"]
    assert (first["title"], first["outcome"], first["amount_fen"]) == (
        "a good one",
        "GRANT",
        10_000_000,
    )
    assert (second["outcome"], second["reasons"][0][:2]) == ("DECLINE", ["R150", "seats"])
    for bad in (b"", b"[[company]]\nx = 1", b'[[company]]\n"ap.seats" = "many"', b"[[company"):
        written(tmp_path, "facts.toml", bad)
        assert run("product", "check", path, *options).exit_code == Exit.REFUSED


def test_what_if_tells_what_a_product_would_have_done(tmp_path: Path, home: Path) -> None:
    stricter = credit_line(version=2, limit=20_000).replace(b"ap.seats <= 5", b"ap.seats <= 1")
    path = written(tmp_path, "line.toml", stricter)
    shown = run("product", "what-if", path, "--home", home)
    assert shown.exit_code == Exit.OK, shown.output
    assert "4 applications" in shown.output
    assert "GRANT limit 20,000.00" in shown.output
    value: Any = json.loads(run("rule", "what-if", path, "--home", home, "--json").output)
    assert value["counts"]["application"] == [
        ["DECLINE", "DECLINE", 1],
        ["GRANT", "DECLINE", 1],
        ["GRANT", "GRANT", 1],
    ]


def test_what_if_on_what_is_no_home_or_no_rule(tmp_path: Path, home: Path) -> None:
    path = written(tmp_path, "alert.toml", SALES_ALERT.replace(b"sum", b"sums"))
    refused = run("rule", "what-if", path, "--home", home)
    assert (refused.exit_code, "line 18" in refused.output) == (Exit.REFUSED, True), refused.output
    written(tmp_path, "alert.toml", SALES_ALERT)
    assert run("rule", "what-if", path, "--home", tmp_path / "none").exit_code == Exit.STORAGE


def test_a_category_is_read_as_genesis_has_it(tmp_path: Path) -> None:
    text = """
id = "C999"
owner = "D02"
name = "Exports"
access = "PUB"
[[schemas]]
date_field = "on"
[[schemas.fields]]
name = "on"
type = "date"
[[schemas.fields]]
name = "value"
type = "decimal"
unit = "USD"
scale = 2
"""
    value = read_category(written(tmp_path, "c.toml", text.encode()))
    category = category_from_value("it", value)
    assert category.schemas["", 1].fields["value"].unit == "USD"
    path = written(tmp_path, "c.json", json.dumps(CATEGORIES[0]).encode())
    assert read_category(path) == CATEGORIES[0]
    with pytest.raises(LocalError, match="E8001"):
        read_category(written(tmp_path, "bad.toml", b"id = "))


@pytest.mark.parametrize(
    ("currency", "yuan", "ppm"),
    [("USD", "7.0210", 7_021_000), ("JPY", "0.0470", 4_700_000), ("KWD", "23", 2_300_000)],
)
def test_a_rate_is_kept_for_the_minor_unit(currency: str, yuan: str, ppm: int) -> None:
    assert parse_exchange_rate(currency, yuan) == ppm


@pytest.mark.parametrize("yuan", ["", ".5", "7,1", "-7", "7.00000001", "1e3"])
def test_a_rate_that_cannot_be_kept_exactly_is_refused(yuan: str) -> None:
    with pytest.raises(LocalError):
        parse_exchange_rate("USD", yuan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"kind": "rule", "source": SALES_ALERT, "effective_from": 18_313},
            "rule alert EW05/1 from 2020-02-21",
        ),
        ({"kind": "end_alert", "ref": "X/1", "last_day": 18_313}, "end_alert X/1 until 2020-02-21"),
        ({"kind": "rates", "rates": (("USD", 18_313, 7),)}, "rates USD 2020-02-21"),
        (
            {"kind": "setting", "name": "a", "value": 3, "effective_from": 18_313},
            "setting a = 3 from 2020-02-21",
        ),
        ({"kind": "promote", "member": "D02"}, "promote D02"),
    ],
)
def test_a_proposal_is_told_in_a_few_words(change: Mapping[str, Any], words: str) -> None:
    assert describe_change(change) == words
