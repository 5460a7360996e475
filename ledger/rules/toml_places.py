"""Where every key and value of a TOML document stands.

The standard library reads TOML but forgets the places, and an author needs them. This scanner
walks a document that `tomllib` has already accepted, so it need not check anything; it records for
each path (keys, and indexes into arrays) the offset of the key and of the value, and for a string
the offset of each of its characters, escapes and line ends resolved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")
_FOLDED_LINE = re.compile(r"\\[ \t]*\n[ \t\n]*")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_HEX_DIGITS = {"u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Place:
    """Offsets of a key and its value, and of a string's characters plus one for its end."""

    key: int
    value: int
    characters: Sequence[int] = ()


def find_places(text: str) -> dict[Path, Place]:
    """Return the place of every key and value of the valid TOML document `text`."""
    return _Scanner(text).scan()


class _Scanner:
    """A cursor over the document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._places: dict[Path, Place] = {}
        self._array_lengths: dict[Path, int] = {}

    def scan(self) -> dict[Path, Place]:
        """Walk the whole document."""
        table: Path = ()
        self._skip(_BLANK_LINES)
        while self._position < len(self._text):
            if self._text.startswith("[", self._position):
                table = self._scan_header()
            else:
                self._scan_pair(table)
            self._skip(_BLANK_LINES)
        return self._places

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._position)
        if match is not None:
            self._position = match.end()

    def _scan_header(self) -> Path:
        start = self._position
        is_array = self._text.startswith("[[", start)
        self._position += 2 if is_array else 1
        keys = self._scan_key()
        self._position += 2 if is_array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._enter((*path, key))
        path = (*path, keys[-1])
        self._places.setdefault(path, Place(start, start))
        if not is_array:
            return path
        index = self._array_lengths.get(path, 0)
        self._array_lengths[path] = index + 1
        path = (*path, index)
        self._places[path] = Place(start, start)
        return path

    def _enter(self, path: Path) -> Path:
        """Return `path`, or its latest element if it is an array of tables."""
        length = self._array_lengths.get(path, 0)
        return (*path, length - 1) if length else path

    def _scan_pair(self, table: Path) -> None:
        start = self._position
        path = table
        for key in self._scan_key():
            path = (*path, key)
            self._places.setdefault(path, Place(start, start))
        self._position += 1  # =
        self._skip(_BLANK)
        self._scan_value(path, start)

    def _scan_key(self) -> list[str]:
        """Read a dotted key and the blanks around it."""
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            if self._text[self._position] in "'\"":
                parts.append(self._scan_string()[0])
            else:
                match = _BARE_KEY.match(self._text, self._position)
                parts.append(match.group() if match is not None else "")
                self._skip(_BARE_KEY)
            self._skip(_BLANK)
            if not self._text.startswith(".", self._position):
                return parts
            self._position += 1

    def _scan_value(self, path: Path, key: int) -> None:
        start = self._position
        first = self._text[start]
        if first in "'\"":
            self._places[path] = Place(key, start, self._scan_string()[1])
            return
        self._places[path] = Place(key, start)
        if first == "[":
            self._scan_array(path)
        elif first == "{":
            self._scan_inline_table(path)
        else:
            self._skip(_BARE_VALUE)

    def _scan_array(self, path: Path) -> None:
        self._position += 1
        index = 0
        self._skip(_BLANK_LINES)
        while self._text[self._position] != "]":
            self._scan_value((*path, index), self._position)
            index += 1
            self._skip_comma()
        self._position += 1

    def _scan_inline_table(self, path: Path) -> None:
        self._position += 1
        self._skip(_BLANK_LINES)
        while self._text[self._position] != "}":
            self._scan_pair(path)
            self._skip_comma()
        self._position += 1

    def _skip_comma(self) -> None:
        self._skip(_BLANK_LINES)
        if self._text[self._position] == ",":
            self._position += 1
            self._skip(_BLANK_LINES)

    def _scan_string(self) -> tuple[str, Sequence[int]]:
        """Read a string of any of the four forms; return it and its characters' offsets."""
        quote = self._text[self._position]
        is_long = self._text.startswith(quote * 3, self._position)
        self._position += 3 if is_long else 1
        if is_long and self._text.startswith("\n", self._position):
            self._position += 1
        start, end = self._position, self._find_end(quote, is_long)
        if quote == "'" or "\\" not in self._text[start:end]:
            self._position = end + (3 if is_long else 1)
            return self._text[start:end], range(start, end + 1)
        return self._scan_escaped(is_long)

    def _find_end(self, quote: str, is_long: bool) -> int:
        """Return where the string ends that begins here, if it has no escapes."""
        if not is_long:
            return self._text.index(quote, self._position)
        end = self._text.index(quote * 3, self._position)
        while self._text.startswith(quote, end + 3):
            end += 1  # up to two quotes may stand before the closing three
        return end

    def _scan_escaped(self, is_long: bool) -> tuple[str, list[int]]:
        """Read a string in double quotes, with escapes, from its first character on."""
        characters: list[str] = []
        offsets: list[int] = []
        while not self._is_string_end(is_long):
            start = self._position
            piece = self._scan_character(is_long)
            characters.append(piece)
            offsets.extend([start] * len(piece))
        offsets.append(self._position)
        self._position += 3 if is_long else 1
        return "".join(characters), offsets

    def _is_string_end(self, is_long: bool) -> bool:
        if not is_long:
            return self._text[self._position] == '"'
        # Up to two quotes may stand before the closing three.
        closing = '"""'
        return self._text.startswith(closing, self._position) and not self._text.startswith(
            closing, self._position + 1
        )

    def _scan_character(self, is_long: bool) -> str:
        text, position = self._text, self._position
        if text[position] != "\\":
            self._position += 1
            return text[position]
        if is_long:
            match = _FOLDED_LINE.match(text, position)
            if match is not None:
                self._position = match.end()
                return ""
        letter = text[position + 1]
        width = _HEX_DIGITS.get(letter, 0)
        self._position += 2 + width
        if width:
            return chr(int(text[position + 2 : position + 2 + width], 16))
        return _ESCAPES[letter]
