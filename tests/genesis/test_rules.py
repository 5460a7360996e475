"""The rule files of the network and of the demonstration are accepted as they stand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from genesis.network import NETWORKS, load_network
from ledger.credit.categories import compute_event_types
from ledger.membership.catalogue import category_from_value
from ledger.rules.alert import load_alert
from ledger.rules.product import load_product
from ledger.rules.schema import EventTypes, Schema, load_schema
from ledger.rules.scorecard import load_scorecard

RULES = NETWORKS / "guangdong/rules"
PRODUCTS = Path(__file__).parents[2] / "genesis/demo/products"
SHARED = Path(__file__).parents[2] / "../shared/data"
MEMBERS = frozenset({"D01", "D02", "D18", "D20"})


def load() -> tuple[EventTypes, Schema]:
    categories = [
        category_from_value(value["id"], value)
        for value in load_network("guangdong").categories
        if value["owner"] in MEMBERS
    ]
    events = compute_event_types(categories)
    return events, load_schema((RULES / "company-1.toml").read_bytes(), events)


def test_features_need_only_what_the_demonstrations_members_supply() -> None:
    _, schema = load()
    assert schema.ref == "company/1"
    assert len(schema.features) > 40


def test_products_and_scorecard_fit_the_schema() -> None:
    _, schema = load()
    scorecard = load_scorecard((RULES / "sme-risk-1.toml").read_bytes(), schema)
    products = [
        load_product(path.read_bytes(), schema, scorecard) for path in PRODUCTS.glob("*.toml")
    ]
    assert {product.lender for product in products} == {"icbc-gd", "pab-gd", "ccb-gd"}
    access = {value["id"]: value["access"] for value in load_network("guangdong").categories}
    for product in products:
        read = {
            schema.features[name].category
            for name in product.inputs
            if name in schema.features and schema.features[name].category
        }
        assert {name for name in read if access[name] == "AUT"} <= set(product.requires)


def test_alerts_are_those_of_the_published_rules() -> None:
    events, schema = load()
    alerts = [load_alert(path.read_bytes(), events, schema) for path in RULES.glob("ew*.toml")]
    assert len(alerts) == 14
    path = SHARED / "alert_rules.csv"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    with path.open(encoding="utf-8", newline="") as file:
        published = {row["rule_id"]: row["severity"] for row in csv.DictReader(file)}
    assert all(published[alert.id] == alert.severity.value for alert in alerts)
