"""`product spread`: as a table and as JSON, and what it says where the extra is not installed."""

from __future__ import annotations

import importlib.util
import json

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from genesis import products
from genesis.network import NETWORKS
from ledger.rules.product import Product


@pytest.fixture(scope="module")
def loaded() -> list[Product]:
    return products.load_products(NETWORKS / "guangdong")  # once will do


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["product", "spread", *arguments])


def test_it_says_what_each_product_grants(
    loaded: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="the extra analytics is not installed")
    monkeypatch.setattr(products, "load_products", lambda folder: loaded)
    answer = json.loads(run("--companies", "20", "--json").stdout)
    assert answer["companies"] == 20
    assert len(answer["products"]) == 319
    for item in answer["products"]:
        assert item["granted"] + item["referred"] + item["declined"] == 20
    shown = run("--companies", "20", "--each", "--ask", "100,000.00", "--term", "90").stdout
    assert "20 companies of seed 1, CNY 100,000.00 for 90 days" in shown
    assert "319 of 129 lenders" in shown
    assert "GD-SCF-1001/1" in shown


def test_who_refuses_the_wish_itself_is_named_and_stands_apart(
    loaded: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pawn runs for six months at most: asked for a year, five products say no to everybody."""
    pytest.importorskip("pyarrow", reason="the extra analytics is not installed")
    pawn = [item for item in loaded if item.line == "pawn"]
    monkeypatch.setattr(products, "load_products", lambda folder: pawn)
    answer = json.loads(run("--companies", "20", "--term", "184", "--json").stdout)
    assert [item["product"] for item in answer["refuse_the_wish"]] == [item.id for item in pawn]
    assert {item["reason"] for item in answer["refuse_the_wish"]} == {"R240"}
    assert answer["twins"] == []
    shown = run("--companies", "20", "--term", "184").stdout
    assert "GD-PWN-1001  R240    Longer than 183 days" in shown
    assert "5, whoever asks" in shown
    asked = json.loads(run("--companies", "20", "--term", "183", "--json").stdout)
    assert asked["refuse_the_wish"] == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run()
    assert result.exit_code == 2
    assert "E8004: numpy is not installed: pip install 'creditledger[analytics]'" in result.stderr
