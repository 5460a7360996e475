"""A node's own settings: config.toml in its home, read once at the start.

    member = "D02"                     # which member of the genesis this node is
    listen = "127.0.0.1:7001"          # where peers and clients connect; one port for both
    metrics = "127.0.0.1:9101"         # optional: Prometheus and health over HTTP
    log_format = "json"                # json or text, on standard error
    log_level = "info"                 # debug, info, warning or error
    trace = "trace.jsonl"              # optional, for finding faults: every vote, in this file

    [peers]                            # optional: addresses other than those in genesis
    "D20" = "10.20.0.5:7001"

Everything else that a node must agree on with others stands in genesis. Beside config.toml a home
holds `genesis.bin`, `keys/node.key` (votes), `keys/tls.key` and `keys/tls.crt`, `db/` and `votes/`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.errors import Code, LocalError

CONFIG_FILE = "config.toml"
GENESIS_FILE = "genesis.bin"
NODE_KEY_FILE = "keys/node.key"
TLS_KEY_FILE = "keys/tls.key"
TLS_CERTIFICATE_FILE = "keys/tls.crt"
DATABASE_FOLDER = "db"
VOTES_FOLDER = "votes"

_FORMATS = ("json", "text")
_LEVELS = ("debug", "info", "warning", "error")
_NAMES = {"member", "listen", "metrics", "log_format", "log_level", "trace", "peers"}


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What config.toml says; addresses are (host, port)."""

    member: str
    listen: tuple[str, int]
    metrics: tuple[str, int] | None = None
    log_format: str = "json"
    log_level: str = "info"
    trace: Path | None = None
    peers: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def load_settings(home: Path) -> NodeSettings:
    """Read `home`/config.toml; raise `LocalError` (7003) that names the setting at fault."""
    path = home / CONFIG_FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalError(Code.CONFIG_INVALID, f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LocalError(Code.CONFIG_INVALID, f"{path} is not TOML: {error}") from None
    unknown = sorted(set(values) - _NAMES)
    if unknown:
        raise _invalid(path, f"unknown setting {unknown[0]}")
    peers = values.get("peers", {})
    if not isinstance(peers, dict):
        raise _invalid(path, "peers is not a table")
    return NodeSettings(
        member=_text(path, values, "member"),
        listen=parse_address(_text(path, values, "listen")),
        metrics=parse_address(_text(path, values, "metrics")) if "metrics" in values else None,
        log_format=_choice(path, values, "log_format", _FORMATS),
        log_level=_choice(path, values, "log_level", _LEVELS, default="info"),
        trace=home / _text(path, values, "trace") if "trace" in values else None,
        peers={name: parse_address(_text(path, peers, name)) for name in peers},
    )


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of "host:port" or "[v6]:port"; raise `LocalError` (7003)."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise LocalError(Code.CONFIG_INVALID, f"address {text!r} is not host:port")
    number = int(port)
    if not 0 < number < 65_536:
        raise LocalError(Code.CONFIG_INVALID, f"port of {text!r} is not 1 to 65535")
    return host.removeprefix("[").removesuffix("]"), number


def _text(path: Path, values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(path, f"{name}: got {value!r}, want a text")
    return value


def _choice(
    path: Path,
    values: Mapping[str, Any],
    name: str,
    choices: tuple[str, ...],
    default: str | None = None,
) -> str:
    value = values.get(name, default or choices[0])
    if value not in choices:
        raise _invalid(path, f"{name}: got {value!r}, want one of {', '.join(choices)}")
    return str(value)


def _invalid(path: Path, text: str) -> LocalError:
    return LocalError(Code.CONFIG_INVALID, f"{path}: {text}")
