"""Making a node's home from a genesis document and the keys of its node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from commands.files import read_bytes
from ledger.errors import Code, LocalError
from ledger.execution import execute_genesis
from ledger.keys import SigningKey
from ledger.membership.genesis import Genesis, parse_genesis
from ledger.storage.home import HomeLayout, create_home
from ledger.storage.store import WriteBatch
from network.certificates import load_key

KEY_FILES = ("node.key", "tls.key", "tls.crt")


def make_home(
    folder: Path,
    *,
    member: str,
    genesis_file: Path,
    keys: Path,
    listen: str,
    metrics: str | None,
    log_format: str = "json",
    password: bytes | None = None,
) -> HomeLayout:
    """Make the home of `member`'s node; `keys` is the folder of node.key, tls.key and tls.crt.

    Raises `LocalError` 7003 when the genesis knows no such node or another key for it, and what
    the files themselves give (8001, 1105, 7001, 7002, 6002, 6103).
    """
    genesis, writes = _read_start(read_bytes(genesis_file))
    public_key = SigningKey(load_key(keys / "node.key", password)).public_key
    entry = genesis.member(member)
    if entry is None or entry.node is None:
        raise LocalError(Code.CONFIG_INVALID, f"{genesis_file} has no node of member {member}")
    if entry.node.public_key != public_key:
        raise LocalError(
            Code.CONFIG_INVALID,
            f"node.key is {public_key.hex()[:16]}…, genesis has "
            f"{entry.node.public_key.hex()[:16]}… for {member}",
        )
    return create_home(
        folder,
        config=config_text(member, listen, metrics, log_format),
        genesis=genesis.data,
        keys={name: read_bytes(keys / name) for name in KEY_FILES},
        node_public_key=public_key,
        database=writes,
    )


@lru_cache(maxsize=1)
def _read_start(document: bytes) -> tuple[Genesis, WriteBatch]:
    """Return a genesis and the writes that a database starts with.

    The 157 homes of a province on one machine start alike; compiling its products takes seconds.
    """
    genesis = parse_genesis(document)
    return genesis, execute_genesis(genesis).writes


def config_text(
    member: str,
    listen: str,
    metrics: str | None,
    log_format: str,
    peers: Mapping[str, str] | None = None,
) -> str:
    """Return a config.toml; `peers` are addresses (host:port) by member, other than the chain's."""
    lines = [f'member = "{member}"', f'listen = "{listen}"', f'log_format = "{log_format}"']
    if metrics is not None:
        lines.append(f'metrics = "{metrics}"')
    if peers:
        lines += ["", "[peers]", *(f'"{name}" = "{address}"' for name, address in peers.items())]
    return "\n".join(lines) + "\n"
