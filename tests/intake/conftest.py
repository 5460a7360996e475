"""The categories of Guangdong, as a chain would have them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from genesis.network import load_network
from ledger.membership.catalogue import Category, category_from_value


@pytest.fixture(scope="session")
def categories() -> Mapping[str, Category]:
    return {
        value["id"]: category_from_value(value["id"], value)
        for value in load_network("guangdong").categories
    }
