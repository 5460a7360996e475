"""The rule files of the network and of the demonstration are accepted as they stand."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from genesis.network import NETWORKS, load_network
from ledger.credit.categories import compute_event_types
from ledger.membership.catalogue import category_from_value
from ledger.rules.alert import Alert, load_alert
from ledger.rules.product import load_product
from ledger.rules.schema import EventTypes, Schema, load_schema
from ledger.rules.scorecard import load_scorecard

RULES = NETWORKS / "guangdong/rules"
PRODUCTS = Path(__file__).parents[2] / "genesis/demo/products"
SHARED = Path(__file__).parents[2] / "../shared/data"
MEMBERS = frozenset({"D01", "D02", "D18", "D20"})


def load_events(members: frozenset[str] | None) -> EventTypes:
    categories = [
        category_from_value(value["id"], value)
        for value in load_network("guangdong").categories
        if members is None or value["owner"] in members
    ]
    return compute_event_types(categories)


def load() -> tuple[EventTypes, Schema]:
    events = load_events(MEMBERS)
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


def load_alerts(paths: Iterable[Path], members: frozenset[str] | None = None) -> list[Alert]:
    """Return the alerts of these files, over what these members supply (None: all departments)."""
    events = load_events(members)
    schemas = {
        schema.ref: schema
        for name in ("company-1", "book-1")
        for schema in [load_schema((RULES / f"{name}.toml").read_bytes(), events)]
    }
    sources = [path.read_bytes() for path in paths]
    named = [tomllib.loads(source.decode()).get("schema", "") for source in sources]
    return [
        load_alert(source, events, schemas.get(ref))
        for source, ref in zip(sources, named, strict=True)
    ]


def test_small_networks_have_the_warnings_that_their_departments_supply() -> None:
    alerts = load_alerts(RULES.glob("ew*.toml"), MEMBERS)
    assert len(alerts) == 21
    others = load_alerts((RULES / "province").glob("ew*.toml"))
    owners = {value["id"]: value["owner"] for value in load_network("guangdong").categories}
    for alert in others:
        read = {owners[name.partition("/")[0]] for name in alert.categories}
        assert not read <= MEMBERS, alert.id


def test_alerts_are_those_of_the_published_rules() -> None:
    network = load_network("guangdong")
    files = [*network.rule_files(), *network.province_files()]  # what the province's genesis takes
    alerts = load_alerts(path for path in files if path.name.startswith("ew"))
    assert sorted(alert.id for alert in alerts) == [f"EW{number:02}" for number in range(1, 31)]
    path = SHARED / "alert_rules.csv"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    with path.open(encoding="utf-8", newline="") as file:
        published = {row["rule_id"]: row["severity"] for row in csv.DictReader(file)}
    assert published["EW04"] == "default"  # no colour: the reddest
    published["EW04"] = "red"
    assert {alert.id: alert.severity.value for alert in alerts} == published


def test_thresholds_of_one_question_form_a_group() -> None:
    alerts = load_alerts(RULES.rglob("ew*.toml"))
    groups = {
        alert.group: {item.id for item in alerts if item.group == alert.group} for alert in alerts
    }
    assert {group: found for group, found in groups.items() if len(found) > 1} == {
        "overdue": {"EW01", "EW02", "EW03", "EW04"},
        "sales-fall": {"EW05", "EW06"},
        "no-sale": {"EW07", "EW08"},
        "void-rate": {"EW09", "EW10"},
    }
