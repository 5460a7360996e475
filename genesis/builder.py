"""From a consortium file to the genesis document (DESIGN 7, `creditledger genesis build`).

A consortium file is TOML: a name, the network whose tables it takes, the time, and one `[[member]]`
for each organisation with its certificate and, where it runs a node, the node's key and address
(genesis/demo/consortium.toml is an example). `build` reads it with the files it names and returns
the canonical bytes of the genesis document; their hash is the chain id. What is wrong is refused
with the place: 7003 for the consortium file and the tables, 7001 and 7002 for a document that
`verify` does not accept.

Time: `time` is the chain time of the first block's parent. A network that lives in the past sets
`as_of` instead: chain time is then `now` shifted by a fixed `clock_offset_ms`, so that the document
is built at midday UTC of that day.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from genesis.limits import load_limits
from genesis.network import Network, load_network
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.execution import execute_genesis
from ledger.lending.limits.limits import GENESIS_SETTING
from ledger.membership.catalogue import SELF_DECLARED
from ledger.membership.genesis import Genesis, parse_genesis
from ledger.membership.settings import SNAPSHOT_BLOCKS, SNAPSHOT_BLOCKS_DEFAULT

FORMAT = "creditledger/genesis/1"
CONSORTIUM_FORMAT = "creditledger/consortium/1"
ROLES = ("department", "institution", "regulator", "observer")
CAPABILITIES = ("registrar", "counter", "abroad")
MAX_CONSORTIUM_BYTES = 1024 * 1024
DAY_MS = 86_400_000
KEY_BYTES = 32
_BYTES_SETTINGS = frozenset({"asset_salt"})
_RULE_PLACE = re.compile(r"rules\[(\d+)\]")
_RULE_ORDER = ("schema", "scorecard", "alert", "product")
_TOP_KEYS = frozenset(
    [
        "format",
        "name",
        "network",
        "time",
        "as_of",
        "clock_offset_ms",
        "categories",
        "province",
        "rules",
        "validators",
        "settings",
        "member",
        "local",
    ]
)
_MEMBER_KEYS = frozenset(
    ["id", "name", "name_zh", "role", "kind", "capabilities", "certificate", "node_key", "address"]
)


@dataclass(frozen=True, slots=True)
class Built:
    """A genesis document: its bytes, and the chain id, which is their tagged hash."""

    data: bytes
    chain_id: bytes


def build(path: Path, now_ms: int) -> Built:
    """Return the genesis of the consortium file at `path`, checked as a node would check it.

    `now_ms` is real time in ms since 1970 UTC, used only where the file leaves the time open.
    Raises `Refused` 7003 for the file, 7001 and 7002 for the document it would give.
    """
    consortium = read_consortium(path)
    network = load_network(_network_folder(path, _text(path.name, consortium, "network")))
    rules = _rules(path, consortium, network)
    document = _document(consortium, path, network, now_ms)
    document["rules"] = [source for _, source in rules]
    data = encode(document)
    try:
        verify(data)
    except Refused as error:
        raise Refused(error.code, _name_file(error.message, rules)) from None
    return Built(data, compute_chain_id(data))


def compute_chain_id(data: bytes) -> bytes:
    """Return the 32-byte chain id of a genesis document."""
    return tagged_hash(GENESIS_TAG, data)


def verify(data: bytes) -> Genesis:
    """Return the parsed document; raise `Refused` 7001 or 7002 with the place.

    Its rules are compiled too, as a node does before it starts.
    """
    genesis = parse_genesis(data)
    execute_genesis(genesis)
    return genesis


def read_consortium(path: Path) -> dict[str, Any]:
    """Return the parsed consortium file, its keys and format checked; `Refused` 7003."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_CONSORTIUM_BYTES:
            raise _bad(path.name, f"{len(data)} bytes, want at most {MAX_CONSORTIUM_BYTES}")
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise _bad(str(path), f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path.name, f"is not TOML: {error}") from None
    _check_keys(path.name, document, _TOP_KEYS)
    if document.get("format") != CONSORTIUM_FORMAT:
        raise _bad(path.name, f"format: got {document.get('format')!r}, want {CONSORTIUM_FORMAT!r}")
    return document


def _name_file(message: str, rules: list[tuple[str, bytes]]) -> str:
    """Return the sentence with the file's name where it says `rules[3]`."""
    match = _RULE_PLACE.match(message)
    if match is None:
        return message
    return f"{rules[int(match[1])][0]}{message[match.end() :]}"


def _document(
    consortium: Mapping[str, Any], path: Path, network: Network, now_ms: int
) -> dict[str, Any]:
    members = [
        _member(f"{path.name} member {number}", entry, path.parent)
        for number, entry in enumerate(_tables(path.name, consortium, "member"), 1)
    ]
    time_ms, clock_offset_ms = _clock(path.name, consortium, now_ms)
    return {
        "format": FORMAT,
        "name": _text(path.name, consortium, "name"),
        "time_ms": time_ms,
        "clock_offset_ms": clock_offset_ms,
        "members": members,
        "validators": _validators(path.name, consortium, members),
        "categories": _select_categories(path.name, consortium, network, members),
        "settings": _settings(path.name, consortium, network),
    }


def _network_folder(path: Path, name: str) -> str | Path:
    beside = path.parent / name
    return beside if beside.is_dir() else name


def _member(place: str, entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    _check_keys(place, entry, _MEMBER_KEYS)
    certificate = _certificate(place, folder / _text(place, entry, "certificate"))
    role = _text(place, entry, "role")
    if role not in ROLES:
        raise _bad(place, f"role: got {role!r}, want one of {', '.join(ROLES)}")
    capabilities = _texts(place, entry, "capabilities", [])
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise _bad(place, f"capabilities: got {capability!r}, want {', '.join(CAPABILITIES)}")
    return {
        "id": _text(place, entry, "id"),
        "name": _text(place, entry, "name"),
        "name_zh": _text(place, entry, "name_zh"),
        "role": role,
        "capabilities": sorted(capabilities),
        "public_key": _public_key(place, certificate),
        "certificate": certificate.public_bytes(Encoding.DER),
        "node": _node(place, entry),
        "kind": _text(place, entry, "kind") if "kind" in entry else "",
    }


def _node(place: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    if ("node_key" in entry) != ("address" in entry):
        raise _bad(place, "a member with a node has both node_key and address")
    if "node_key" not in entry:
        return None
    key = _hex(place, "node_key", entry["node_key"])
    return {"public_key": key, "address": _address(place, _text(place, entry, "address"))}


def _address(place: str, text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise _bad(place, f"address: got {text!r}, want host:port")
    return text


def _certificate(place: str, path: Path) -> x509.Certificate:
    try:
        data = path.read_bytes()
        if data.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except OSError as error:
        raise _bad(place, f"certificate {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise _bad(place, f"certificate {path} is not an X.509 certificate") from None


def _public_key(place: str, certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise _bad(place, "certificate: its key is not an Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _clock(place: str, consortium: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
    """Return (genesis time, clock offset) in ms."""
    as_of, time = consortium.get("as_of"), consortium.get("time")
    if as_of is not None:
        if type(as_of) is not date or time is not None or "clock_offset_ms" in consortium:
            raise _bad(place, "as_of: want a date, and neither time nor clock_offset_ms beside it")
        midday = (as_of - date(1970, 1, 1)).days * DAY_MS + DAY_MS // 2
        return midday, midday - now_ms
    offset = consortium.get("clock_offset_ms", 0)
    if type(offset) is not int:
        raise _bad(place, "clock_offset_ms: want a whole number of milliseconds")
    if time is None:
        return now_ms + offset, offset
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise _bad(place, "time: want a date and time with its offset, like 2020-01-10T00:00:00Z")
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000, offset


def _validators(
    place: str, consortium: Mapping[str, Any], members: list[dict[str, Any]]
) -> list[str]:
    with_node = [member["id"] for member in members if member["node"] is not None]
    validators = _texts(place, consortium, "validators", with_node)
    for name in validators:
        if name not in with_node:
            raise _bad(place, f"validators: {name!r} is no member with a node")
    return validators


def _select_categories(
    place: str, consortium: Mapping[str, Any], network: Network, members: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the categories of the members (the default), all of them, or those listed."""
    choice = consortium.get("categories", "members")
    ids = {member["id"] for member in members}
    if choice == "all":
        chosen = [*network.categories, *network.declared]
    elif choice == "members":
        chosen = [item for item in network.categories if item["owner"] in ids]
        chosen += network.declared
    else:
        wanted = _texts(place, consortium, "categories", [])
        known = {item["id"]: item for item in (*network.categories, *network.declared)}
        for name in wanted:
            if name not in known:
                raise _bad(place, f"categories: {name!r} is no category of {network.name}")
        chosen = [known[name] for name in wanted]
    for item in chosen:
        if item["owner"] not in (*ids, SELF_DECLARED):
            raise _bad(place, f"categories: {item['id']} is owned by {item['owner']}, no member")
    return chosen


def _rules(path: Path, consortium: Mapping[str, Any], network: Network) -> list[tuple[str, bytes]]:
    """Return (file name, source): schemas, scorecards, alerts, products, by file name.

    Of the province's products those count whose lender takes part.
    """
    is_province = consortium.get("province", False)
    if type(is_province) is not bool:
        raise _bad(path.name, f"province: got {is_province!r}, want true or false")
    if "rules" in consortium:
        files = [path.parent / name for name in _texts(path.name, consortium, "rules", [])]
    else:
        files = network.rule_files()
    if is_province:
        files += network.province_files()
    members = {entry.get("id") for entry in _tables(path.name, consortium, "member")}
    sources: list[tuple[int, str, bytes]] = []
    for file in files:
        try:
            source = file.read_bytes()
            rule = tomllib.loads(source.decode())
        except OSError as error:
            raise _bad(str(file), f"cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _bad(file.name, f"is not TOML: {error}") from None
        kind = rule.get("kind")
        if kind not in _RULE_ORDER:
            raise _bad(file.name, f"kind: got {kind!r}, want one of {', '.join(_RULE_ORDER)}")
        if kind != "product" or not is_province or rule.get("lender") in members:
            sources.append((_RULE_ORDER.index(kind), file.name, source))
    return [(name, source) for _, name, source in sorted(sources)]


def _settings(place: str, consortium: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """Return the settings; those in `_BYTES_SETTINGS` are written as hexadecimal digits.

    The network's prudential limits are one of them.
    """
    settings = consortium.get("settings", {})
    if not isinstance(settings, dict):
        raise _bad(place, "settings: want a table")
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if type(value) not in (int, str, bool):
            raise _bad(place, f"settings.{name}: want text, a whole number or true or false")
        result[name] = _hex(place, f"settings.{name}", value) if name in _BYTES_SETTINGS else value
    result.setdefault(SNAPSHOT_BLOCKS, SNAPSHOT_BLOCKS_DEFAULT)
    limits = load_limits(network.folder)
    if limits:
        result[GENESIS_SETTING] = encode(limits)
    return result


def _hex(place: str, what: str, text: object) -> bytes:
    try:
        data = bytes.fromhex(text) if type(text) is str else b""
    except ValueError:
        data = b""
    if len(data) != KEY_BYTES:
        raise _bad(place, f"{what}: want {2 * KEY_BYTES} hexadecimal digits")
    return data


def _bad(place: str, sentence: str) -> Refused:
    return Refused(Code.CONFIG_INVALID, f"{place}: {sentence}")


def _check_keys(place: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in table:
        if key not in known:
            raise _bad(place, f"key {key!r} is unknown, want one of {', '.join(sorted(known))}")


def _text(place: str, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if type(value) is not str or not value:
        raise _bad(place, f"{key}: got {value!r}, want text")
    return value


def _texts(place: str, table: Mapping[str, Any], key: str, default: list[str]) -> list[str]:
    value = table.get(key, default)
    if not isinstance(value, list) or not all(type(item) is str for item in value):
        raise _bad(place, f"{key}: got {value!r}, want a list of texts")
    return value


def _tables(place: str, document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _bad(place, f"{key}: want at least one [[{key}]]")
    return value
