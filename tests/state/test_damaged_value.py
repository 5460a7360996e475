"""A stored value that does not decode stops the node; it is no rejection of a transaction."""

from __future__ import annotations

import pytest

from ledger.errors import Code, StorageError
from ledger.state.overlay import Overlay
from ledger.state.tables import LOANS
from ledger.storage.memory import MemoryStore


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x92\x01", b"\x01\x01", b"\xa2\xff\xfe"])
def test_a_damaged_value_is_an_error_of_the_disk(damaged: bytes) -> None:
    state = Overlay(MemoryStore({LOANS.prefix + b"a": damaged}))
    with pytest.raises(StorageError) as caught:
        state.get(LOANS, b"a")
    assert caught.value.code is Code.STORE_CORRUPT
    with pytest.raises(StorageError):
        list(state.scan(LOANS, b""))
