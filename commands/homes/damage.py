"""Damage on purpose, to copies: what an auditor must find (`creditledger devnet tamper|flip`).

`tamper_block` plays the insider: it rewrites one part of one stored block through the database, so
that every checksum is in order and only the chain itself can tell. `flip_byte` plays the disk: one
byte of one file changes under everybody. Where it happens is drawn from a seed; what was done is
returned, for whoever compares it with the auditor's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from ledger.chain.block import StoredBlock, encode_results, encode_transactions
from ledger.encoding import decode, encode
from ledger.errors import Code, LocalError
from ledger.storage.chain_store import RESULTS, TRANSACTIONS, ChainStore, body_key, height_key
from ledger.storage.store import Store

_MAX_TRIES = 10_000


@dataclass(frozen=True, slots=True)
class Tampering:
    """What was rewritten: the part of a transaction in a block."""

    height: int
    position: int
    transaction_id: bytes
    part: str
    change: str

    def to_value(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Flip:
    """One byte of one file, xor-ed with `mask`."""

    file: Path
    offset: int
    mask: int


def tamper_block(store: Store, seed: int) -> Tampering:
    """Rewrite one part of one block of `store`, drawn from `seed`, and say what was done."""
    random = Random(seed)  # noqa: S311  a place to damage, not a secret
    chain = ChainStore(store)
    height = chain.height() or 0
    for _ in range(_MAX_TRIES if height else 0):
        block = chain.block(random.randint(1, height))
        if block is not None and block.transactions:
            position = random.randrange(len(block.transactions))
            return _tamper(store, chain, block, position, random)
    raise LocalError(Code.NOT_FOUND, "no stored block with a transaction to tamper with")


def _tamper(
    store: Store, chain: ChainStore, block: StoredBlock, position: int, random: Random
) -> Tampering:
    height = block.header.height
    item = block.transactions[position]
    parts = ["transaction", "signature", "result"] + ["body"] * bool(item.attachment_count)
    part = random.choice(parts)
    if part == "body":
        index = random.randrange(item.attachment_count)
        key, change = body_key(height, position, index), f"record {index}"
        data = _altered_body(chain.body(height, position, index) or b"", random)
    elif part == "result":
        results = list(block.results)
        code, value = results[position]
        results[position] = (0 if code else int(Code.NOT_PERMITTED), value)
        key, data = height_key(RESULTS, height), encode_results(results)
        change = f"code {code} to {results[position][0]}"
    else:
        changed = _altered_signature(item, random)
        change = "a bit of the signature"
        if part == "transaction":
            fields = list(decode(item.unsigned))
            fields[7], change = _altered_map(fields[7], random)
            changed = replace(item, unsigned=encode(fields))
        stored = [*block.transactions[:position], changed, *block.transactions[position + 1 :]]
        key = height_key(TRANSACTIONS, height)
        data = encode_transactions(block.time_ms, block.hashes, stored)
    store.write({key: data}, sync=True)
    return Tampering(height, position, item.id, part, change)


def _altered_signature(item: Any, random: Random) -> Any:
    signature = bytearray(item.signature)
    signature[random.randrange(len(signature))] ^= 1 << random.randrange(8)
    return replace(item, signature=bytes(signature))


def _altered_body(data: bytes, random: Random) -> bytes:
    parts = list(decode(data))
    parts[5], _ = _altered_map(parts[5], random)
    return encode(parts)


def _altered_map(fields: Mapping[str, Any], random: Random) -> tuple[dict[str, Any], str]:
    """Return the map with one plausible change: ten times the money, another digit."""
    name = random.choice(sorted(fields))
    value = fields[name]
    if type(value) is int:
        changed: Any = value * 10 + 1
    elif type(value) is str:
        changed = value + "0"
    elif type(value) is bytes and value:
        changed = bytes((value[0] ^ 1,)) + value[1:]
    else:
        changed = 1
    return {**fields, name: changed}, f"field {name}"


def flip_byte(files: list[Path], seed: int) -> Flip:
    """Change one byte of one of `files`, drawn from `seed` by their sizes."""
    random = Random(seed)  # noqa: S311  a place to damage, not a secret
    sizes = [(path, path.stat().st_size) for path in sorted(files)]
    total = sum(size for _, size in sizes)
    if not total:
        raise LocalError(Code.NOT_FOUND, "no file with a byte to flip")
    offset = random.randrange(total)
    while offset >= sizes[0][1]:
        offset -= sizes.pop(0)[1]
    path = sizes[0][0]
    mask = random.randint(1, 255)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ mask,)))
    return Flip(path, offset, mask)
