"""Facts of a feature schema for a chunk of companies: what each replica would compute of them.

`Province` binds a seed, a day and a schema to the record schemas of a network. `facts` makes the
records of every category that a feature reads, as columns, and aggregates them; application
features (`ap.*`) are what somebody asks for, and not the province's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analytics.province.aggregates import (
    Attested,
    aggregate_events,
    aggregate_invoices,
    attest,
    check_conditions,
    fit,
    last_days,
    last_invoices,
)
from analytics.province.assets import Asset, make_loan_facts
from analytics.province.catalogue import find_recipe
from analytics.province.codes import make_codes
from analytics.province.events import Chunk, Column, EventTable, make_chunk
from analytics.province.invoices import PURCHASES, SALES
from analytics.province.latent import attested_span
from analytics.province.recipes import make_table
from genesis.network import NETWORKS, load_network
from ledger.credit.categories import compute_event_types
from ledger.errors import Code, LocalError
from ledger.lending.facts import builtin_name
from ledger.membership.catalogue import Category, RecordSchema, category_from_value
from ledger.rules.features import AS_OF, Feature, FeatureSource
from ledger.rules.operations import BP_ONE
from ledger.rules.schema import Schema, load_schema
from ledger.rules.tree import Tree
from ledger.rules.units import INT_MAX

DEFAULT_DAY = 18_271  # 2020-01-10, the day of the first loans and of the demonstration
SCHEMA_FILE = NETWORKS / "guangdong/rules/province/company-2.toml"
_MAX_PART = INT_MAX // BP_ONE  # beyond it, the exact product of a ratio leaves 64 bits
_RECORDS = (SALES.record, PURCHASES.record)


def read_categories(network: str = "guangdong") -> list[Category]:
    """Return the categories of a network's tables."""
    return [category_from_value(item["id"], item) for item in load_network(network).categories]


def read_schema(path: Path = SCHEMA_FILE) -> Schema:
    """Return a feature schema over all categories of the province."""
    return load_schema(path.read_bytes(), compute_event_types(read_categories()))


class Province:
    """The companies of a seed on a day, as a schema sees them."""

    def __init__(self, seed: int, schema: Schema | None = None, as_of: int = DEFAULT_DAY) -> None:
        self.seed, self.as_of = seed, as_of
        self.categories = read_categories()
        self.schema = read_schema() if schema is None else schema
        self._trees = check_conditions(self.schema.features, self.categories)

    @cached_property
    def record_schemas(self) -> Mapping[str, RecordSchema]:
        """Every record schema by its full name."""
        return {
            item.full_name: item
            for category in self.categories
            for item in category.latest().values()
        }

    @property
    def features(self) -> list[str]:
        """The names of the features that there are columns of, in the schema's order."""
        return [
            name
            for name, feature in self.schema.features.items()
            if feature.source is not FeatureSource.APPLICATION and name != AS_OF
        ]

    def chunk(self, first: int, count: int) -> Chunk:
        """Return companies `first` to `first + count - 1`."""
        return make_chunk(self.seed, first, count, self.as_of)

    def codes(self, chunk: Chunk) -> npt.NDArray[np.bytes_]:
        """Return the companies' codes."""
        return make_codes(chunk.latent.first, chunk.latent.region)

    def facts(self, chunk: Chunk) -> dict[str, Column]:
        """Return every fact of the schema but those of the application, by feature."""
        features = {name: self.schema.features[name] for name in self.features}
        return _Facts(self, chunk, features, self._trees).compute()

    def further_facts(self, chunk: Chunk, features: Mapping[str, Feature]) -> dict[str, Column]:
        """Return facts that are not the schema's: the windows of an alert.

        Raises `LocalError` 8003 for what the synthetic province cannot make.
        """
        return _Facts(self, chunk, features, check_conditions(features, self.categories)).compute()

    def table(self, chunk: Chunk, full_name: str) -> EventTable:
        """Return the records of one schema other than invoices line by line."""
        return make_table(chunk, self.record_schemas[full_name], find_recipe(full_name))


class _Facts:
    """One computation: every table is made once."""

    def __init__(
        self,
        province: Province,
        chunk: Chunk,
        features: Mapping[str, Feature],
        trees: Mapping[str, Tree],
    ) -> None:
        self._province, self._chunk = province, chunk
        self._features, self._trees = features, trees
        self._tables: dict[str, tuple[EventTable, Attested]] = {}
        self._invoices: dict[str, Attested] = {}
        self._assets: dict[str, Asset] = {}
        self._found: dict[str, Column] = {}

    def compute(self) -> dict[str, Column]:
        loans = make_loan_facts(self._chunk.latent)
        for name, feature in self._features.items():
            if name == AS_OF:
                self._found[name] = Column(np.full(self._chunk.latent.count, self._province.as_of))
            elif feature.source is FeatureSource.LEDGER:
                value = loans.get(builtin_name(feature))
                if value is None:
                    raise _unknown(feature)
                self._found[name] = fit(feature, Column(value))
            elif feature.source is FeatureSource.ASSET:
                self._found[name] = self._asset(feature).fact(feature)
            elif feature.stream is not None:
                self._found[name] = self._aggregate(feature)
        for name, feature in self._features.items():
            if name not in self._found:
                self._found[name] = self._derive(feature)
        return {name: self._found[name] for name in self._features}

    def _aggregate(self, feature: Feature) -> Column:
        stream = feature.stream
        if stream is None or feature.currency:
            raise _unknown(feature)
        tree = self._trees.get(feature.name)
        if stream.record_name in _RECORDS:
            chunk = self._chunk
            invoices = chunk.sales if stream.record_name == SALES.record else chunk.purchases
            attested = self._invoices.get(stream.record_name)
            if attested is None:
                span = attested_span(chunk.latent, stream.record_name)
                attested = attest(*span, last_invoices(invoices))
                self._invoices[stream.record_name] = attested
            return aggregate_invoices(invoices, feature, stream, tree, attested)
        table, attested = self._table(stream.record_name)
        return aggregate_events(table, feature, stream, tree, attested)

    def _table(self, full_name: str) -> tuple[EventTable, Attested]:
        found = self._tables.get(full_name)
        if found is None:
            table = self._province.table(self._chunk, full_name)
            attested = attest(table.attested_from, table.attested_to, last_days(table))
            found = self._tables[full_name] = (table, attested)
        return found

    def _asset(self, feature: Feature) -> Asset:
        asset = self._assets.get(feature.kind)
        if asset is None:
            named = (
                item
                for item in self._features.values()
                if item.source is FeatureSource.ASSET
                and item.kind == feature.kind
                and item.category
            )
            looked_up = next(named, None)
            table = None
            if looked_up is not None:
                schema = f"/{looked_up.record_schema}" if looked_up.record_schema else ""
                table = self._table(looked_up.category + schema)[0]
            asset = self._assets[feature.kind] = Asset(self._chunk, feature.kind, table)
        return asset

    def _derive(self, feature: Feature) -> Column:
        """Return a feature that is made of others."""
        parts = [self._found[name] for name in feature.of]
        present = parts[0].present
        if feature.agg == "days_since":
            return fit(feature, Column(self._province.as_of - parts[0].values, present))
        if feature.agg != "ratio_bp":
            raise _unknown(feature)
        part, whole = parts[0].values, parts[1].values
        there = np.ones(len(part), dtype=np.bool_)
        for item in parts:
            there &= True if item.present is None else item.present
        there &= (whole != 0) & (np.abs(part) < _MAX_PART)
        quotient = np.abs(np.where(there, part, 0)) * BP_ONE // np.abs(np.where(there, whole, 1))
        signed = np.where((part < 0) == (whole < 0), quotient, -quotient)
        return fit(feature, Column(signed, there))


def _unknown(feature: Feature) -> LocalError:
    message = f"{feature.name}: the synthetic province cannot make this feature"
    return LocalError(Code.INPUT_MAPPING, message)
