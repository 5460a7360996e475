"""One consortium for all tests of the network: keys and certificates take a while to make."""

from __future__ import annotations

import pytest

from tests.network.support import Consortium


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    """Four members with their certificates."""
    return Consortium(tmp_path_factory.mktemp("consortium"))
