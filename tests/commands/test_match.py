"""`creditledger match` with no node: facts from a file, products from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from commands.matching.show import Facts, move_text
from ledger.errors import Code, LocalError
from network import client
from network.client import ClientPolicy
from tests.genesis.demo_network import DEMO

COMPANY = "91441300MA4DEMO01X"
FACTS: dict[str, Any] = {
    "as_of": "2020-01-10",
    "co.established": "2012-03-01",
    "co.status": "active",
    "co.abnormal_listings": 0,
    "co.serious_listings": 0,
    "co.sales_12m": "CNY 5000000.00",
    "co.sales_prior_12m": 600_000_000,
    "co.invoice_count_12m": 100,
    "co.void_count_12m": 5,
    "co.void_rate_12m": "5.00%",
    "co.tax_grade": "B",
    "co.tax_arrears_12m": 0,
    "co.overdue_days_max_24m": 0,
    "co.debt_outstanding": 0,
    "rv.amount": "CNY 800000.00",
    "rv.pledged": 0,
    "rv.confirmed": True,
    "rv.invoice_verified": True,
    "rv.due": "2020-05-01",
}


def run(folder: Path, facts: Any, *words: str, rules: Path = DEMO / "products") -> Result:
    path = folder / "facts.json"
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts), encoding="utf-8")
    return CliRunner().invoke(cli, ["match", "--facts", str(path), "--rules", str(rules), *words])


def test_what_would_be_lent_and_what_would_have_to_differ(tmp_path: Path) -> None:
    shown = run(tmp_path, FACTS, "--term", "90")
    assert shown.exit_code == Exit.OK, shown.output
    first, *lines = shown.output.splitlines()
    assert first.startswith("facts asks CNY 500,000.00 for 90 days on 2020-01-10: of 3 products")
    assert "1 would lend" in first
    (granted,) = [line for line in lines if line.startswith("1 ")]
    assert granted.split()[1] == "GD-SCF-0001/1"
    assert "Released export declarations in twelve months: not known to 12" in shown.output


def test_what_is_not_known_is_not_said_to_have_failed(tmp_path: Path) -> None:
    facts = {"as_of": FACTS["as_of"], "co.status": "active"}
    shown = run(tmp_path, facts, "--product", "GD-SCF-0001")
    assert "R101 not known whether: " in shown.output
    assert "too much of what the score looks at is not known" in shown.output
    answer = json.loads(run(tmp_path, facts, "--product", "GD-SCF-0001", "--json").output)
    texts = {reason["code"]: reason["text"] for reason in answer["others"][0]["reasons"]}
    assert texts["S99"] == ""


def test_json_says_the_same_for_a_program(tmp_path: Path) -> None:
    shown = run(tmp_path, {**FACTS, "rv.confirmed": False}, "--product", "GD-SCF-0001", "--json")
    answer = json.loads(shown.output)
    assert answer["counts"] == {"DECLINE": 1}
    (item,) = answer["others"]
    moves = {move["feature"]: move["after"] for move in item["change"]["moves"]}
    assert moves == {"rv.confirmed": True, "ap.term": 142}
    assert item["reasons"][0]["code"] == "R101"


def test_one_product_is_shown_with_every_reason_and_its_inputs(tmp_path: Path) -> None:
    shown = run(tmp_path, {**FACTS, "co.tax_grade": "D"}, "--product", "GD-SCF-0001/1")
    assert "Tax credit grade: D to M (or A, B)" in shown.output
    assert "Tax arrears announced in twelve months = 0, Tax credit grade = D" in shown.output


@pytest.mark.parametrize(
    ("facts", "words", "error"),
    [
        ({"co.sale_12m": 5}, (), "no rule knows of 'co.sale_12m': did you mean co.sales_12m?"),
        ({"co.sales_12m": True}, (), "co.sales_12m is True, want a value in fen"),
        ({"rv.due": "soon"}, (), "rv.due: date 'soon', want for example 2020-01-10"),
        ({"as_of": [1]}, (), "as_of is [1], want a date or its number"),
        ("[]", (), "want an object"),
        ("{", (), "is no JSON"),
        (FACTS, ("--product", "GD-X"), "no product GD-X in force"),
    ],
)
def test_refusals_say_what_to_mend(
    tmp_path: Path, facts: Any, words: tuple[str, ...], error: str
) -> None:
    if isinstance(facts, dict):
        facts = {"as_of": "2020-01-10"} | facts
    shown = run(tmp_path, facts, *words)
    assert shown.exit_code != Exit.OK
    assert error in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_nothing_is_no_wish(tmp_path: Path) -> None:
    shown = run(tmp_path, FACTS, "--ask", "0")
    assert shown.exit_code == Exit.USAGE
    assert "--ask is nothing: name an amount" in shown.stderr


def test_the_first_match_of_a_node_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one compiles all products of the network: 10 s were too short on a busy machine."""
    policies: list[ClientPolicy] = []

    def connect(_profile: object, policy: ClientPolicy) -> Any:
        policies.append(policy)
        raise LocalError(Code.INPUT_USAGE, "far enough")

    monkeypatch.setattr(client.Profile, "load", lambda *_: None)
    monkeypatch.setattr(client, "SyncClient", connect)
    (tmp_path / "clients" / COMPANY).mkdir(parents=True)
    result = CliRunner().invoke(cli, ["--net", str(tmp_path), "match", COMPANY])
    assert "far enough" in result.stderr
    assert [policy.answer_s for policy in policies] == [120.0]


def test_without_a_company_or_rules_it_says_what_it_wants(tmp_path: Path) -> None:
    nobody = CliRunner().invoke(cli, ["match"])
    assert (nobody.exit_code, "name a COMPANY" in nobody.stderr) == (Exit.USAGE, True)
    no_rules = CliRunner().invoke(cli, ["match", "--facts", str(tmp_path / "x.json")])
    assert (no_rules.exit_code, "--rules" in no_rules.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--all", "91441300MA4DEMO01X"), "--all is of every company"),
        (("91441300MA4DEMO01X", "--out", "x", "--sample", "3"), "only with --all: --out, --sample"),
        (("91441300MA4DEMO01X", "--rules", "x"), "--rules is for --facts FILE"),
        (("--all",), "--all needs --facts"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: tuple[str, ...], error: str) -> None:
    result = CliRunner().invoke(cli, ["match", *words])
    assert result.exit_code == Exit.USAGE
    assert error in result.output


def test_a_count_is_told_in_what_it_counts() -> None:
    facts = Facts({"x": "count"}, {"x": ("Power", "电")}, {"x": (3, "kWh", "千瓦时")})
    move = {"feature": "x", "unit": "count", "before": 5_250, "after": 10_000_000, "others": ()}
    assert move_text(move, facts) == "Power: 5.250 kWh to 10,000 kWh"


@pytest.mark.parametrize(
    ("move", "text"),
    [
        ({"feature": "as_of", "unit": "date", "before": 1, "after": 18_300}, "from 2020-02-08 on"),
        ({"feature": "x", "unit": "flag", "before": False, "after": True}, "x: no to yes"),
        ({"feature": "x", "unit": "fen", "before": None, "after": 150}, "x: not known to 1.50"),
    ],
)  # fmt: skip
def test_a_move_reads_as_a_sentence(move: dict[str, Any], text: str) -> None:
    assert move_text({**move, "others": ()}, Facts()) == text
