"""Strict canonical msgpack: one value, one encoding (DESIGN 5, PBFT part 4, F65, F76, F79).

What is signed or hashed must have exactly one byte string, and a peer's bytes must not be able to
exhaust memory. `encode` accepts None, bool, int (−2⁶³ … 2⁶⁴−1), str, bytes, sequences and maps
with str keys, writes map keys in increasing bytewise order and everything in minimal width.
`decode` refuses whatever `encode` would not have produced: it decodes with the library, walks the
value once (depth, types, key order) and compares a re-encoding with the input. Arrays come back
as tuples. Before a larger input is decoded a scan bounds its depth and the memory it would take,
and where the reader says how many items it may have, the time as well: two million small integers
are two megabytes and two seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgpack

from ledger.errors import Code, Refused, StorageError

Value: TypeAlias = (
    "bool | int | str | bytes | tuple[Value, ...] | list[Value] | Mapping[str, Value] | None"
)

MAX_DEPTH = 16
MAX_BYTES = 8 * 1024 * 1024
INT_MIN = -(2**63)
INT_MAX = 2**64 - 1
# Below this size even the worst expansion (one empty map a byte, about 72-fold) is harmless.
_SCAN_ABOVE = 4096
# A value may take eight times the largest frame, not eight times its own bytes (F65): results of a
# block are small maps and empty lists, which are many containers and no attack.
_EXPANSION_FLOOR = 1024 * 1024
_CONTAINER_BYTES = 72
_ITEM_BYTES = 8
_MAX_EXPANSION = 8
# What a packer takes at first; it grows. `packb` takes 256 KiB each time, whatever the value.
_PACK_BYTES = 512
# Lists of nothing but these are the common case: one pass over the types is all they need, and an
# integer that is too wide is refused by the packer.
_SCALARS = frozenset({bool, int, str, bytes, type(None)})
_TEXT = frozenset({str})


def encode(value: Any) -> bytes:
    """Return the one encoding of `value`; raise `Refused` (1001–1003) for what has none."""
    return _pack(value if _is_canonical(value) else _ordered(value, 0))


def decode(data: bytes, max_bytes: int = MAX_BYTES, max_items: int | None = None) -> Any:
    """Return the value of `data`; raise `Refused` unless `encode` would have produced `data`.

    `max_items` bounds the values and keys in it, of all levels; at most 4,096 are always allowed.
    """
    if len(data) > max_bytes:
        raise Refused(Code.ENCODING_SIZE, f"{len(data)} bytes, want at most {max_bytes}")
    if len(data) > _SCAN_ABOVE:
        _scan(data, len(data) if max_items is None else max_items)
    try:
        value = msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, UnicodeDecodeError) as error:
        reason = str(error) or type(error).__name__
        raise Refused(Code.ENCODING_MALFORMED, f"not one msgpack value: {reason}") from None
    except RecursionError:
        raise Refused(Code.ENCODING_DEPTH, f"nested deeper than {MAX_DEPTH}") from None
    _check(value, 0)
    if _pack(value) != data:
        raise Refused(Code.ENCODING_NOT_CANONICAL, "not the canonical encoding of its value")
    return value


def encode_own(value: Any) -> bytes:
    """Return the bytes of a value that this program built: known types, maps in one order.

    Not for what others may see by themselves: no map is sorted. It takes a third of the time of
    `encode`, and the same bytes come out where there is no map.
    """
    return _pack(value)


def own_encoder() -> Callable[[Any], bytes]:
    """Return what does as `encode_own` for many values in a row, in half of its time.

    For values that are known to have an encoding, in one thread, in one function.
    """
    pack: Callable[[Any], bytes] = msgpack.Packer(buf_size=_PACK_BYTES).pack
    return pack


def decode_own(data: bytes) -> Any:
    """Return the value of bytes that `encode` made here and a database with checksums kept.

    Not for bytes of others: nothing is checked but that they are one msgpack value, which takes a
    tenth of the time of `decode`. Raises `StorageError` STORE_CORRUPT when they are not, so that a
    node with a broken disk stops and does not go on to compute something of its own (rule 54).
    """
    try:
        return msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise StorageError(Code.STORE_CORRUPT, f"a stored value does not decode: {error}") from None


def _pack(value: Any) -> bytes:
    try:
        packed: bytes = msgpack.Packer(buf_size=_PACK_BYTES).pack(value)
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise Refused(Code.ENCODING_RANGE, f"value has no encoding: {error}") from None
    return packed


def _is_canonical(value: Any) -> bool:
    """Tell whether `value` may be packed as it stands: known types, ordered maps, not too deep.

    Level by level, which takes a fifth of the time of `_ordered` where lists are nested; that looks
    at what is left, to order it or to name what is wrong. The packer refuses too wide integers.
    """
    kind = type(value)
    if kind in _SCALARS or (kind is tuple and _SCALARS.issuperset(map(type, value))):
        return True
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [item for item in level if type(item) not in _SCALARS]
        if not containers:
            return True
        level = []
        for item in containers:
            kind = type(item)
            if kind is tuple or kind is list:
                level += item
            elif kind is dict and _TEXT.issuperset(map(type, item)) and [*item] == sorted(item):
                level += item.values()
            else:
                return False
    return False


def _ordered(value: Any, depth: int) -> Any:
    """Check `value` for `encode`, and return it with every map's keys in order."""
    kind = type(value)
    if kind is bytes or kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Refused(Code.ENCODING_RANGE, f"integer {value} is wider than 64 bits")
        return value
    if depth >= MAX_DEPTH:
        raise Refused(Code.ENCODING_DEPTH, f"nested deeper than {MAX_DEPTH}")
    if kind is tuple or kind is list:
        if _SCALARS.issuperset(map(type, value)):
            return value
        return [_ordered(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise Refused(Code.ENCODING_TYPE, f"map key of type {type(key).__name__}, want str")
        # Code points sort as their UTF-8 bytes do.
        keys = sorted(value)
        if _SCALARS.issuperset(map(type, value.values())):
            return {key: value[key] for key in keys}
        return {key: _ordered(value[key], depth + 1) for key in keys}
    raise Refused(Code.ENCODING_TYPE, f"type {kind.__name__} cannot be encoded")


def _check(value: Any, depth: int) -> None:
    """Refuse decoded floats, extensions, unordered keys and deep nesting."""
    kind = type(value)
    if kind is bytes or kind is str or kind is int or kind is bool or value is None:
        return
    if depth >= MAX_DEPTH:
        raise Refused(Code.ENCODING_DEPTH, f"nested deeper than {MAX_DEPTH}")
    if kind is tuple:
        if _SCALARS.issuperset(map(type, value)):
            return
        for item in value:
            _check(item, depth + 1)
    elif kind is dict:
        previous: str | None = None
        for key in value:
            if type(key) is not str:
                raise Refused(Code.ENCODING_TYPE, f"map key of type {type(key).__name__}, want str")
            # Code points sort as their UTF-8 bytes do.
            if previous is not None and key <= previous:
                raise Refused(Code.ENCODING_NOT_CANONICAL, "map keys are not increasing")
            previous = key
        if not _SCALARS.issuperset(map(type, value.values())):
            for item in value.values():
                _check(item, depth + 1)
    else:
        raise Refused(Code.ENCODING_TYPE, f"type {kind.__name__} is not allowed")


def _scan(data: bytes, max_items: int) -> None:
    """Bound depth, items and memory of a large input by its headers, before any allocation."""
    position, end = 0, len(data)
    budget = _MAX_EXPANSION * max(end, _EXPANSION_FLOOR)
    open_items: list[int] = []
    items = 0
    while position < end:
        position, children = _skip_header(data, position)
        items += 1
        if items > max_items:
            raise Refused(Code.ENCODING_SIZE, f"more than {max_items} items")
        budget -= _ITEM_BYTES + (_CONTAINER_BYTES if children >= 0 else 0)
        if budget < 0:
            raise Refused(Code.ENCODING_SIZE, "too many containers for its size")
        if children > 0:
            open_items.append(children)
            if len(open_items) > MAX_DEPTH:
                raise Refused(Code.ENCODING_DEPTH, f"nested deeper than {MAX_DEPTH}")
            continue
        while open_items:
            open_items[-1] -= 1
            if open_items[-1]:
                break
            open_items.pop()
        if not open_items:
            return


def _skip_header(data: bytes, position: int) -> tuple[int, int]:
    """Return where the next item starts and how many children this one has (−1: a scalar)."""
    byte = data[position]
    position += 1
    if byte <= 0x7F or byte >= 0xE0 or byte in (0xC0, 0xC2, 0xC3):
        return position, -1
    if byte <= 0x8F:
        return position, 2 * (byte & 0x0F)
    if byte <= 0x9F:
        return position, byte & 0x0F
    if byte <= 0xBF:
        return position + (byte & 0x1F), -1
    if byte in _LENGTH_WIDTH:
        width = _LENGTH_WIDTH[byte]
        length = int.from_bytes(data[position : position + width], "big")
        return position + width + length, -1
    if byte in _COUNT_WIDTH:
        width, factor = _COUNT_WIDTH[byte]
        count = int.from_bytes(data[position : position + width], "big")
        return position + width, factor * count
    if 0xCC <= byte <= 0xD3:
        return position + (1 << (byte & 0x03)), -1
    raise Refused(Code.ENCODING_TYPE, f"msgpack type 0x{byte:02x} is not allowed")


_LENGTH_WIDTH = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_COUNT_WIDTH = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
