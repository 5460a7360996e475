"""One network of four node processes for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.province import Province


@pytest.fixture(scope="session")
def province(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """Four nodes that run; every test leaves them in agreement."""
    province = Province.start(tmp_path_factory.mktemp("province") / "net")
    try:
        yield province
    finally:
        province.stop()
