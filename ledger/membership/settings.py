"""Settings of the chain: what the genesis document fixed beside members and categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ledger.state.overlay import Overlay
from ledger.state.tables import SETTINGS

Setting: TypeAlias = int | str | bool | bytes

# S of rule 41: states of heights that are multiples of it are kept to be given to others. A chain
# whose genesis document does not set it has no snapshots, and folds in the leaves of companies.
SNAPSHOT_BLOCKS = "snapshot_blocks"
SNAPSHOT_BLOCKS_MAX = 1_000_000
# What a new network gets whose consortium file says nothing.
SNAPSHOT_BLOCKS_DEFAULT = 1_000

# Keys that begin with "~" are the ledger's own: no setting has such a name.
_CHAIN_KEY = b"~chain"


def put_settings(state: Overlay, chain_id: bytes, settings: Mapping[str, Setting]) -> None:
    """Keep the settings of the genesis document, and the chain id."""
    state.put(SETTINGS, _CHAIN_KEY, chain_id)
    for name, value in settings.items():
        state.put(SETTINGS, name.encode(), value)


def get_setting(state: Overlay, name: str, default: Setting | None = None) -> Setting | None:
    """Return a setting of the genesis document, or `default`."""
    value: Setting | None = state.get(SETTINGS, name.encode())
    return default if value is None else value


def get_chain_id(state: Overlay) -> bytes:
    """Return the 32-byte chain id: public, and different for each network."""
    chain_id: bytes = state.get(SETTINGS, _CHAIN_KEY)
    return chain_id


def get_snapshot_blocks(state: Overlay) -> int:
    """Return S of rule 41 in blocks, 0 where the chain has no snapshots."""
    value = get_setting(state, SNAPSHOT_BLOCKS, 0)
    return value if type(value) is int and 1 <= value <= SNAPSHOT_BLOCKS_MAX else 0
