"""LevelDB's files, read without LevelDB: logs, tables, the manifest, CURRENT.

The database, once opened, changes its folder, drops what it cannot read, and says of a damaged
block neither where it is nor what was in it. An auditor needs all three, so these readers follow
the documents `log_format.md` and `table_format.md` of LevelDB and check every checksum (CRC32C,
masked): a log is 32 KiB blocks of records (checksum, length, type, data); a table is blocks, each
with a type and a checksum, then an index and a footer; the manifest is a log of version edits that
names the tables in use with their sizes and key ranges. Nothing is written, nothing raises for
damaged content: what is wrong comes back as `Flaw`s with offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import google_crc32c

LOG_BLOCK_BYTES = 32 * 1024
_LOG_HEADER_BYTES = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_BATCH_HEADER_BYTES = 12
_PUT, _DELETE = 1, 0
_FOOTER_BYTES = 48
_TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_BLOCK_TRAILER_BYTES = 5
_SNAPPY = 1
_INTERNAL_BYTES = 8


class FormatError(Exception):
    """Bytes that are not of the format."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong at `offset`. `payload` is what can still be read of a damaged log record;
    `low` < lost keys ≤ `high` is the range of a damaged table block (None: open)."""

    offset: int
    what: str
    payload: bytes | None = None
    low: bytes | None = None
    high: bytes | None = None
    is_harmless: bool = False


def masked_crc(data: bytes) -> bytes:
    """Return LevelDB's checksum of `data` as stored: CRC32C, rotated, offset, little-endian."""
    crc = int(google_crc32c.value(data))
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked.to_bytes(4, "little")


@dataclass(slots=True)
class LogContent:
    """The whole records of a log, each with its offset, and what is wrong in it."""

    records: list[tuple[int, bytes]] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    is_unfinished: bool = False


def read_log(data: bytes) -> LogContent:
    """Return records and flaws of a log or a manifest.

    A record that is cut off by the end of the file is the mark of a process that was killed while
    it wrote, and is `is_unfinished`, no flaw; unless what is there proves that it was whole.
    """
    return _LogReader(data).read()


class _LogReader:
    """Reads on behind damage: a record is put together from parts, and one bad part spoils it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._content = LogContent()
        self._parts: list[bytes] = []
        self._start = 0
        self._bad: tuple[int, str] | None = None
        self._is_lost = False

    def read(self) -> LogContent:
        position = 0
        while position < len(self._data):
            left = LOG_BLOCK_BYTES - position % LOG_BLOCK_BYTES
            if left < _LOG_HEADER_BYTES:
                self._check_padding(position, left)
                position += left
                continue
            reason = _record_flaw(self._data, position, left)
            if reason is None:
                position = self._take(position)
            else:
                position = self._pass(position, left, reason)
        if self._bad is not None:
            self._finish()
        self._content.is_unfinished |= bool(self._parts)
        return self._content

    def _check_padding(self, position: int, left: int) -> None:
        if any(self._data[position : position + left]):
            self._content.flaws.append(Flaw(position, "padding is not zero", is_harmless=True))

    def _take(self, position: int) -> int:
        """Add the part at `position` to its record; return where the next one begins."""
        length, kind = _record_head(self._data, position)
        end = position + _LOG_HEADER_BYTES + length
        if kind in (_FULL, _FIRST):
            if self._parts:
                if not self._is_lost:
                    self._bad = self._bad or (self._start, "record has no end")
                self._finish()
            self._start, self._is_lost = position, False
        elif not self._parts and not self._is_lost:
            self._bad = self._bad or (position, "record has no begin")
        self._parts.append(self._data[position + _LOG_HEADER_BYTES : end])
        if kind in (_FULL, _LAST):
            self._finish()
        return end

    def _pass(self, position: int, left: int, reason: str) -> int:
        """Note what is wrong at `position`; return where reading goes on."""
        end = min(position + left, len(self._data))
        following = _next_whole(self._data, position + 1, end)
        if reason == _CUT_OFF and following is None and not self._is_rest_whole(position, end):
            self._content.is_unfinished = True
            return len(self._data)
        self._bad = self._bad or (position, f"log record: {reason}")
        length, kind = _record_head(self._data, position)
        claimed = position + _LOG_HEADER_BYTES + length
        if reason == _BAD_CHECKSUM and claimed in (following, end) and _FULL <= kind <= _LAST:
            return self._take(position)
        stop = end if following is None else following
        self._parts.append(self._data[position + _LOG_HEADER_BYTES : stop])
        self._finish()
        self._is_lost = True
        return stop

    def _is_rest_whole(self, position: int, end: int) -> bool:
        """Tell whether the last record is whole but for its length."""
        rest = self._data[position:end]
        return len(rest) > _LOG_HEADER_BYTES and masked_crc(rest[6:]) == rest[:4]

    def _finish(self) -> None:
        payload = b"".join(self._parts)
        if self._bad is not None:
            offset, what = self._bad
            self._content.flaws.append(Flaw(offset, what, payload))
        elif not self._is_lost:
            self._content.records.append((self._start, payload))
        self._parts, self._bad = [], None


_CUT_OFF = "record is cut off"
_BAD_CHECKSUM = "checksum does not match"


def _record_head(data: bytes, position: int) -> tuple[int, int]:
    return int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]


def _record_flaw(data: bytes, position: int, left: int) -> str | None:
    """Return why the record at `position` is not whole, None when it is."""
    head = data[position : position + _LOG_HEADER_BYTES]
    if len(head) < _LOG_HEADER_BYTES:
        return _CUT_OFF
    length, kind = _record_head(data, position)
    if length > left - _LOG_HEADER_BYTES:
        return f"length {length} crosses the block"
    if position + _LOG_HEADER_BYTES + length > len(data):
        return _CUT_OFF
    covered = data[position + 6 : position + _LOG_HEADER_BYTES + length]
    if masked_crc(covered) != head[:4]:
        return _BAD_CHECKSUM
    if kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
        return f"record type {kind} is unknown"
    return None


def _next_whole(data: bytes, position: int, end: int) -> int | None:
    """Return where the next whole record of the block begins, if there is one."""
    left = LOG_BLOCK_BYTES - position % LOG_BLOCK_BYTES
    while position + _LOG_HEADER_BYTES <= end:
        length, kind = _record_head(data, position)
        is_likely = 0 < kind <= _LAST and length > 0
        if is_likely and _record_flaw(data, position, left) is None:
            return position
        position += 1
        left -= 1
    return None


def batch_entries(payload: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (key, value or None) of a log record, a write batch; raise `FormatError`."""
    if len(payload) < _BATCH_HEADER_BYTES:
        raise FormatError("write batch is too short")
    position = _BATCH_HEADER_BYTES
    while position < len(payload):
        kind = payload[position]
        if kind not in (_PUT, _DELETE):
            raise FormatError(f"write batch has entry type {kind}")
        key, position = _prefixed(payload, position + 1)
        value = None
        if kind == _PUT:
            value, position = _prefixed(payload, position)
        yield key, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= 63:
        if position >= len(data):
            raise FormatError("number is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise FormatError("number is too long")


def _prefixed(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = _varint(data, position)
    if position + length > len(data):
        raise FormatError("bytes are cut off")
    return data[position : position + length], position + length


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table in use, as the manifest names it: size in bytes, smallest and largest key."""

    number: int
    size: int
    low: bytes
    high: bytes


@dataclass(slots=True)
class Manifest:
    """The version edits of a manifest, summed up."""

    tables: dict[int, TableEntry] = field(default_factory=dict)
    log_number: int = 0
    flaws: list[Flaw] = field(default_factory=list)


_COMPARATOR, _LOG, _NEXT, _LAST_SEQUENCE, _POINTER, _DELETED, _NEW, _, _PREVIOUS_LOG = range(1, 10)


def read_manifest(data: bytes) -> Manifest:
    """Return the tables in use and the oldest log that still counts."""
    manifest = Manifest()
    content = read_log(data)
    manifest.flaws += content.flaws
    for offset, record in content.records:
        try:
            _apply_edit(manifest, record)
        except FormatError as error:
            manifest.flaws.append(Flaw(offset, f"version edit: {error}"))
    return manifest


def _apply_edit(manifest: Manifest, record: bytes) -> None:
    position = 0
    while position < len(record):
        tag, position = _varint(record, position)
        if tag == _COMPARATOR:
            _, position = _prefixed(record, position)
        elif tag in (_LOG, _NEXT, _LAST_SEQUENCE, _PREVIOUS_LOG):
            number, position = _varint(record, position)
            if tag == _LOG:
                manifest.log_number = number
        elif tag == _POINTER:
            _, position = _varint(record, position)
            _, position = _prefixed(record, position)
        elif tag == _DELETED:
            _, position = _varint(record, position)
            number, position = _varint(record, position)
            manifest.tables.pop(number, None)
        elif tag == _NEW:
            _, position = _varint(record, position)
            number, position = _varint(record, position)
            size, position = _varint(record, position)
            low, position = _prefixed(record, position)
            high, position = _prefixed(record, position)
            manifest.tables[number] = TableEntry(number, size, user_key(low), user_key(high))
        else:
            raise FormatError(f"tag {tag} is unknown")


def user_key(internal: bytes) -> bytes:
    """Return the key that was written, without LevelDB's sequence number behind it."""
    return internal[:-_INTERNAL_BYTES]


def check_table(data: bytes, low: bytes, high: bytes) -> list[Flaw]:
    """Return what is wrong in a table whose keys are `low` ≤ key ≤ `high`.

    Every byte belongs to a block, its trailer or the footer, and each is checked. Without a
    readable index the whole range is lost.
    """
    footer_start = len(data) - _FOOTER_BYTES
    if footer_start < 0 or data[-8:] != _TABLE_MAGIC:
        return [Flaw(max(footer_start, 0), "footer is damaged", low=low, high=high)]
    try:
        meta_index, index, padding = _footer_handles(data[footer_start:-8])
        index_block = _checked_block(data, *index)
        blocks = [(key, *_handle(value, 0)[:2]) for key, value in _block_entries(index_block)]
    except FormatError as error:
        return [Flaw(footer_start, f"index: {error}", low=low, high=high)]
    flaws: list[Flaw] = []
    if any(padding):
        offset = len(data) - 8 - len(padding)
        flaws.append(Flaw(offset, "padding of the footer is not zero", is_harmless=True))
    covered = [index, meta_index]
    previous = low
    for key, offset, size in blocks:
        covered.append((offset, size))
        bound = user_key(key)
        reason = _block_flaw(data, offset, size)
        if reason is not None:
            flaws.append(Flaw(offset, reason, low=previous, high=min(bound, high)))
        previous = bound
    flaws += _check_meta(data, meta_index, covered)
    flaws += _check_coverage(covered, footer_start)
    return flaws


def _footer_handles(footer: bytes) -> tuple[tuple[int, int], tuple[int, int], bytes]:
    meta_offset, meta_size, position = _handle(footer, 0)
    offset, size, position = _handle(footer, position)
    return (meta_offset, meta_size), (offset, size), footer[position:]


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return offset, size, position


def _check_meta(data: bytes, meta_index: tuple[int, int], covered: list[tuple[int, int]]) -> list[
    Flaw
]:  # fmt: skip
    """Check the index of filters and the filters: they speed reads up and hold no data."""
    try:
        entries = list(_block_entries(_checked_block(data, *meta_index)))
        filters = [_handle(value, 0)[:2] for _, value in entries]
    except FormatError as error:
        return [Flaw(meta_index[0], f"index of filters: {error}", low=b"", high=b"")]
    covered += filters
    flaws = [(offset, _block_flaw(data, offset, size)) for offset, size in filters]
    return [
        Flaw(offset, f"filter: {reason}", low=b"", high=b"")
        for offset, reason in flaws
        if reason is not None
    ]


def _check_coverage(covered: list[tuple[int, int]], end: int) -> list[Flaw]:
    """Return a flaw for each byte range that no block claims, or that two claim."""
    position = 0
    flaws: list[Flaw] = []
    for offset, size in sorted(covered):
        if offset != position:
            flaws.append(Flaw(position, f"blocks do not meet at {offset}", low=b"", high=b""))
        position = offset + size + _BLOCK_TRAILER_BYTES
    if position != end:
        flaws.append(Flaw(position, "blocks do not reach the footer", low=b"", high=b""))
    return flaws


def _block_flaw(data: bytes, offset: int, size: int) -> str | None:
    end = offset + size
    if end + _BLOCK_TRAILER_BYTES > len(data) - _FOOTER_BYTES:
        return "block lies outside the file"
    covered, stored = data[offset : end + 1], data[end + 1 : end + _BLOCK_TRAILER_BYTES]
    return None if masked_crc(covered) == stored else "checksum of a block does not match"


def _checked_block(data: bytes, offset: int, size: int) -> bytes:
    reason = _block_flaw(data, offset, size)
    if reason is not None:
        raise FormatError(reason)
    content, kind = data[offset : offset + size], data[offset + size]
    return snappy_decompress(content) if kind == _SNAPPY else content


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) of a block: keys share prefixes with the one before."""
    if len(block) < 4:
        raise FormatError("block is too short")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + unshared + length > end:
            raise FormatError("block entry is cut off")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def snappy_decompress(data: bytes) -> bytes:
    """Return the content of a snappy block (format_description.txt); raise `FormatError`."""
    try:
        return _snappy(data)
    except IndexError:
        raise FormatError("snappy block is cut off") from None


def _snappy(data: bytes) -> bytes:
    size, position = _varint(data, 0)
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                width = length - 59
                length = int.from_bytes(data[position : position + width], "little")
                position += width
            out += data[position : position + length + 1]
            position += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[position]
            position += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length = (tag >> 2) + 1
            offset = int.from_bytes(data[position : position + width], "little")
            position += width
        if not 0 < offset <= len(out):
            raise FormatError("snappy copy reaches before the begin")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise FormatError(f"snappy block of {len(out)} bytes, want {size}")
    return bytes(out)
