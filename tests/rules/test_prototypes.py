"""Decides as the measured prototype did, on its own products and facts.

The prototype's schema names departments as sources; here every feature is one that is handed in.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ledger.rules.alert import load_alert
from ledger.rules.product import Product, load_product
from ledger.rules.schema import Schema, load_schema
from ledger.rules.scorecard import load_scorecard
from tests.rules.samples import EVENTS

_PRODUCTS = Path(__file__).parents[3] / "shared" / "prototypes" / "products"


def _read(name: str) -> bytes:
    path = _PRODUCTS / f"{name}.toml"
    if not path.exists():
        pytest.skip("the shared folder with the prototype's products is absent")
    return path.read_bytes()


def _schema() -> Schema:
    text = _read("schema-company-7").decode().replace('"applicant"', '"application"')
    text = re.sub(r'source = "(?!application)[a-z-]+"', 'source = "ledger"', text)
    return load_schema(re.sub(r", fresh_days = \d+", "", text).encode(), EVENTS)


def _products() -> dict[str, Product]:
    schema = _schema()
    card = load_scorecard(_read("scorecard-sme-2"), schema)
    return {
        name: load_product(_read(name), schema, card)
        for name in ("scf-0042", "exp-0107", "ipp-0215")
    }


def test_decides_as_the_prototype_did() -> None:
    products = _products()
    examples = json.loads((_PRODUCTS / "examples.json").read_text())
    for example in examples:
        decision = products[example["product"]].decide(example["facts"])
        want = example["decision"]
        assert decision.product == want["product"]
        assert decision.outcome == want["outcome"]
        assert decision.score == want["score"]
        assert list(decision.score_reasons) == want["score_reasons"]
        assert list(decision.missing) == want["missing"]
        assert (decision.limit_fen, decision.amount_fen, decision.rate_bp) == (
            want.get("limit_fen"), want.get("grant_fen"), want.get("rate_bp"),
        )  # fmt: skip
        found = [(item.condition, item.code, item.result) for item in decision.reasons]
        assert found == [
            (item["condition"], item["code"], item["result"]) for item in want["reasons"]
        ]
    assert len(examples) >= 59


def test_loads_the_prototypes_alert() -> None:
    alert = load_alert(_read("alert-tax-drop"), EVENTS, _schema())
    assert alert.inputs == {"w.now", "w.prev"}
