"""`creditledger product check`: beside what is refused, notes on what is seldom meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from tests.genesis.demo_network import DemoNetwork

PRODUCT = """format = "smartrule/1"
kind = "product"
id = "MY-LINE"
version = 1
lender = "icbc-gd"
schema = "company/1"
scorecard = "SME-RISK/1"
effective_from = 2020-01-01
requires = ["C044"]
[params]
least_sales = "CNY 1000000.00"
[[condition]]
id = "sales"
when = "co.sales_12m >= p.least_sales"
reason = "R103"
text = "Sales below CNY 1,000,000.00 in twelve months"
[limit]
amount = "co.sales_12m / 10"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R110"
[rate]
on = "score"
bands = [[0, "DECLINE", "R301"], [520, "6.85%"], [600, "5.20%"]]
"""


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = DemoNetwork(tmp_path_factory.mktemp("network"))
    path = tmp_path_factory.mktemp("trust") / "genesis.bin"
    path.write_bytes(network.genesis.data)
    return path


def check(trust: Path, text: str, *words: str) -> Result:
    file = trust.parent / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(cli, ["product", "check", str(file), "--trust", str(trust), *words])


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("[params]", '[params]\nspare = "5.00%"', "parameter p.spare is not used"),
        ("co.sales_12m >= p.least_sales", "p.least_sales > yuan(1)", "sales looks at no fact"),
        ("co.sales_12m >= p", "co.sales_12m < yuan(0) || co.sales_12m >= -p", "that fails sales"),
        ("co.sales_12m / 10", "co.sales_12m - co.sales_12m", "no company was found that gets"),
        ("6.85%", "685.00%", "from a score of 520 on the rate is 685.00% a year"),
    ],
)
def test_what_is_seldom_meant_is_noted(trust: Path, old: str, new: str, note: str) -> None:
    assert old in PRODUCT
    shown = check(trust, PRODUCT.replace(old, new))
    assert shown.exit_code == Exit.OK, shown.output
    (line,) = [line for line in shown.output.splitlines() if note in line]
    assert line.startswith("note: ")
    answer = json.loads(check(trust, PRODUCT.replace(old, new), "--json").output)
    assert any(note in item for item in answer["notes"])


def test_a_plain_product_has_no_notes(trust: Path) -> None:
    assert json.loads(check(trust, PRODUCT, "--json").output)["notes"] == []


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"icbc-gd"', '"icbc"', "no institution of this network: did you mean icbc-gd?"),
        ('"icbc-gd"', '"ICBC-GD"', "no institution of this network: did you mean icbc-gd?"),
        ("company/1", "company/9", "company/9 is not registered: did you mean company/1?"),
        ("SME-RISK/1", "SME-RISC/1", "is not registered: did you mean SME-RISK/1?"),
        ('["C044"]', "[]", 'add it to requires, as in requires = ["C044"]'),
    ],
)
def test_a_name_of_the_network_is_told_with_the_nearest(
    trust: Path, old: str, new: str, error: str
) -> None:
    shown = check(trust, PRODUCT.replace(old, new))
    assert shown.exit_code in (Exit.REFUSED, Exit.NOT_FOUND)
    assert error in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
