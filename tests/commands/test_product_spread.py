"""`product spread`: as a table and as JSON, and what it says where the extra is not installed."""

from __future__ import annotations

import importlib.util
import json

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from genesis import products
from genesis.network import NETWORKS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["product", "spread", *arguments])


def test_it_says_what_each_product_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="the extra analytics is not installed")
    loaded = products.load_products(NETWORKS / "guangdong")  # once will do
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


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run()
    assert result.exit_code == 2
    assert "E8004: numpy is not installed: pip install 'creditledger[analytics]'" in result.stderr
