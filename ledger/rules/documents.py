"""Documents of the rule language: TOML read strictly, with the place of every word (RULES.md).

`load_document` turns bytes into a `Table` after everything that holds for all kinds was checked:
size, UTF-8, nesting, no float and no clock time anywhere, whole numbers of 64 bits, format and
kind. A `Table` gives out its values one by one, each checked for its type and bounds; `finish`
then refuses every key that nobody asked for. All refusals are `RuleSourceError`s with the line and
the column in the author's file.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, NoReturn

from ledger.errors import Code, RuleSourceError
from ledger.rules import quantities
from ledger.rules.limits import MAX_FILE_BYTES, MAX_FILE_NESTING, MAX_FILE_PARTS
from ledger.rules.names import quoted, suggest
from ledger.rules.source import Source, compute_place
from ledger.rules.times import EPOCH_ORDINAL
from ledger.rules.toml_mistakes import explain
from ledger.rules.toml_places import Path, Place, find_places
from ledger.rules.types import Variable, int_of
from ledger.rules.units import INT_MAX, INT_MIN, Unit

FORMAT = "smartrule/1"
KINDS = ("schema", "scorecard", "product", "alert")
MAX_VERSION = 2**31 - 1
MAX_TEXT = 500
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REF = re.compile(r"[A-Za-z0-9._-]{1,64}/[1-9][0-9]{0,9}")
REASON = re.compile(r"[A-Z][A-Z0-9._-]{0,15}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONG_NUMBER = re.compile(r"[0-9_]{4000,}")  # Python refuses to convert it, without a place
_TOO_WIDE = "a number that does not fit in 64 bits"
_TOML_PLACE = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)")
# Controls but tab and line end, and what changes the order or the look of what is read.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_STRUCTURE = re.compile(
    r'''"""(?:\\[\s\S]|[^\\])*?"{3,5}|\'\'\'[\s\S]*?'{3,5}'''
    r"""|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[\[\]{}.\n=,]"""
)


def load_kind(source: bytes) -> str:
    """Return "schema", "scorecard", "product" or "alert"; raise `RuleSourceError`."""
    root = _read(source)
    return root.choice("kind", KINDS)


def load_document(source: bytes, kind: str) -> Table:
    """Return the root table of a document of `kind`; raise `RuleSourceError`."""
    root = _read(source)
    found = root.choice("kind", KINDS)
    if found != kind:
        root.refuse("kind", f"a document of kind {found}, want {kind}")
    return root


def hash_source(source: bytes) -> bytes:
    """Return the identity of a rule: the SHA-256 of the bytes its author wrote."""
    return hashlib.sha256(source).digest()


def _read(source: bytes) -> Table:
    root = Table(*_read_checked(source))
    form = root.text("format")
    if form != FORMAT:
        root.refuse("format", f"format {quoted(form)}, want {FORMAT!a}")
    return root


@lru_cache(maxsize=8)
def _read_checked(source: bytes) -> tuple[str, Mapping[Path, Place], Path, dict[str, Any]]:
    """Return text, places, path and data of a document, whatever its kind; nobody changes them.

    A source is read for its kind, then for what it refers to, then for itself: once will do.
    """
    if len(source) > MAX_FILE_BYTES:
        message = f"a file of {len(source)} bytes, want at most {MAX_FILE_BYTES}"
        raise RuleSourceError(Code.RULE_LIMIT, message, 1, 1)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        before = source[: error.start].decode()
        place = compute_place(before, len(before))
        raise RuleSourceError(Code.RULE_SYNTAX, "not UTF-8 text", *place) from None
    text = text.replace("\r\n", "\n")
    _check_characters(text)
    _check_structure(text)
    data = _parse(text)
    places = find_places(text)
    _check_values(Table(text, places, (), data), data)
    return text, places, (), data


def _check_characters(text: str) -> None:
    """Refuse what an editor does not show and a voter would not see (CVE-2021-42574)."""
    match = _HIDDEN.search(text)
    if match is None:
        return
    place = compute_place(text, match.start())
    if match.start() == 0 and match.group() == "\ufeff":
        message = "the file starts with a byte order mark: save it as UTF-8 without one"
    elif match.group() == "\r":
        message = "a carriage return that ends no line: save the file with ordinary line ends"
    else:
        message = f"a character that cannot be seen, {quoted(match.group())}: remove it"
    raise RuleSourceError(Code.RULE_SYNTAX, message, *place)


def _check_structure(text: str) -> None:
    """Refuse nesting and numbers of parts that cost too much, before anything is read.

    Four replicas took a minute over a hundred products with 3,400 rates each, to reject them.
    """
    depth = dots = parts = 0
    for match in _STRUCTURE.finditer(text):
        mark = match.group()
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        dots = dots + 1 if mark == "." else 0 if len(mark) == 1 else dots
        parts += mark in ("[", "{", "=", ",")
        if parts > MAX_FILE_PARTS:
            message = f"more than {MAX_FILE_PARTS} keys, list items and tables: split the file"
            place = compute_place(text, match.start())
            raise RuleSourceError(Code.RULE_LIMIT, message, *place)
        if depth > MAX_FILE_NESTING or dots > MAX_FILE_NESTING:
            message = f"nested more than {MAX_FILE_NESTING} deep"
            place = compute_place(text, match.start())
            raise RuleSourceError(Code.RULE_LIMIT, message, *place)


def _parse(text: str) -> dict[str, Any]:
    """Return the data; the TOML reader's words differ between its versions and are not used."""
    try:
        return tomllib.loads(text)
    except ValueError as error:
        long = _LONG_NUMBER.search(text)
        if not isinstance(error, tomllib.TOMLDecodeError) and long is not None:
            place = compute_place(text, long.start())
            raise RuleSourceError(Code.RULE_LIMIT, _TOO_WIDE, *place) from None
        match = _TOML_PLACE.search(str(error))
        if match is None:
            place = compute_place(text, len(text))
        else:
            place = int(match.group(1)), int(match.group(2))
        message, *found = explain(text, *place)
        raise RuleSourceError(Code.RULE_SYNTAX, message, *found) from None


def _check_values(root: Table, data: dict[str, Any]) -> None:
    """Refuse floats, clock times and numbers wider than 64 bits anywhere in the document."""
    pending: list[tuple[Path, Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, float):
            message = "a fraction, and rules count in whole numbers: " + quantities.FORMS
            raise root.refusal(Code.RULE_FORBIDDEN, path[0], message, *path[1:])
        elif isinstance(value, datetime | time):
            raise root.refusal(Code.RULE_FORBIDDEN, path[0], "a clock time, want a date", *path[1:])
        elif isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            raise root.refusal(Code.RULE_LIMIT, path[0], _TOO_WIDE, *path[1:])


def _check_shown(table: Table, key: str, value: str) -> None:
    """Refuse what an escape wrote that may not stand in the source: people are shown texts."""
    found = _HIDDEN.search(value)
    if found is not None:
        table.refuse(key, f"{key} has {quoted(found.group())}, which cannot be seen: remove it")


def to_days(day: date) -> int:
    """Return the days from 1970-01-01 to `day`."""
    return day.toordinal() - EPOCH_ORDINAL


# What a document says of itself; below a [table] it would be that table's.
_HEAD_KEYS = frozenset(
    {
        *("format", "kind", "id", "version", "name", "name_zh", "text", "schema", "scorecard"),
        *("lender", "line", "effective_from", "effective_to", "requires", "asset"),
        *("initial", "max_reasons", "max_missing", "severity", "group"),
    }
)


class Table:
    """One table of a document: its values by key, each taken once and checked.

    A method with a `default` returns it when the key is absent; without one the key is required.
    """

    def __init__(
        self, document: str, places: Mapping[Path, Place], path: Path, data: dict[str, Any]
    ) -> None:
        self._document = document
        self._places = places
        self._path = path
        self._data = data
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def names(self) -> list[str]:
        """Return the keys in the order of the file."""
        return list(self._data)

    def holds_text(self, key: str) -> bool:
        """Return whether the value of `key` is a text."""
        return isinstance(self._data.get(key), str)

    def holds_day(self, key: str) -> bool:
        """Return whether the value of `key` is a date."""
        return type(self._data.get(key)) is date

    def refuse(self, key: str | int | None, message: str, *more: str | int) -> NoReturn:
        """Refuse the value of `key` (and of an index in it), or the table itself for None."""
        raise self.refusal(Code.RULE_DOCUMENT, key, message, *more)

    def refusal(
        self, code: Code, key: str | int | None, message: str, *more: str | int
    ) -> RuleSourceError:
        """Return the error at the place of `key`, or of the nearest thing around it."""
        path = self._path if key is None else (*self._path, key, *more)
        while path and path not in self._places:
            path = path[:-1]
        place = self._places.get(path, Place(0, 0))
        return RuleSourceError(code, message, *compute_place(self._document, place.value))

    def finish(self) -> None:
        """Refuse the first key that nobody took."""
        for key in self._data:
            if key not in self._taken:
                path = (*self._path, key)
                offset = self._places[path].key if path in self._places else 0
                near = suggest(key[:64], sorted(self._taken))
                if not near and self._path and key in _HEAD_KEYS:
                    near = ": it stands above the first table, such as [params]"
                message = f"unknown key {quoted(key)}{near}"
                place = compute_place(self._document, offset)
                raise RuleSourceError(Code.RULE_DOCUMENT, message, *place)

    def _take(self, key: str, is_required: bool) -> Any:
        self._taken.add(key)
        if key not in self._data:
            if is_required:
                others = [name for name in self._data if name not in self._taken]
                near = suggest(key, others).removeprefix(": did you mean ").removesuffix("?")
                instead = f", but there is {quoted(near)}" if near else ""
                self.refuse(None, f"the key {key!a} is missing{instead}")
            return None
        return self._data[key]

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text of at most 500 characters."""
        value = self._take(key, default is None)
        if value is None:
            return default or ""
        if not isinstance(value, str):
            self.refuse(key, f"{key} must be text in quotes")
        if len(value) > MAX_TEXT:
            self.refuse(key, f"{key} has {len(value)} characters, want at most {MAX_TEXT}")
        _check_shown(self, key, value)
        return value

    def matching(self, key: str, pattern: re.Pattern[str], what: str, default: str | None) -> str:
        """Return a text of the form `pattern`."""
        value = self.text(key, default)
        if key in self._data and pattern.fullmatch(value) is None:
            self.refuse(key, f"{quoted(value)} is no {what}")
        return value

    def id(self, key: str, default: str | None = None) -> str:
        """Return an identifier."""
        return self.matching(key, _ID, "identifier of letters, digits, '.', '_' and '-'", default)

    def ref(self, key: str, default: str | None = None) -> str:
        """Return the reference of a document, such as company/7."""
        return self.matching(key, _REF, "reference ID/VERSION such as company/7", default)

    def reason(self, key: str, default: str | None = None) -> str:
        """Return a reason code."""
        return self.matching(key, REASON, "reason code such as R101", default)

    def choice(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        """Return one of `choices`."""
        value = self.text(key, default)
        if key in self._data and value not in choices:
            near = suggest(value[:64], choices)
            self.refuse(key, f"{quoted(value)} is none of {', '.join(choices)}{near}")
        return value

    def integer(
        self, key: str, low: int = INT_MIN, high: int = INT_MAX, default: int | None = None
    ) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._take(key, default is None)
        if value is None:
            return default or 0
        return self.check_integer(value, key, low, high)

    def optional_integer(self, key: str, low: int = INT_MIN) -> int | None:
        """Return a whole number of at least `low`, None if the key is absent."""
        return self.integer(key, low) if key in self._data else None

    def check_integer(self, value: Any, key: str, low: int, high: int, *more: int) -> int:
        """Return `value` as a whole number in its bounds; `more` is where it stands in `key`."""
        if type(value) is not int:
            self.refuse(key, f"{key} must be a whole number", *more)
        if not low <= value <= high:
            self.refuse(key, f"{key} is {value}, want {low} to {high}", *more)
        return value

    def day(self, key: str) -> int:
        """Return a date as days since 1970-01-01."""
        value = self._take(key, is_required=True)
        if type(value) is not date:
            self.refuse(key, f"{key} must be a date without quotes, such as 2020-01-31")
        return to_days(value)

    def quantity(self, key: str, unit: Unit) -> int:
        """Return a quantity of `unit` that is written as typed text."""
        value = self._take(key, is_required=True)
        parsed = quantities.parse_quantity(value) if isinstance(value, str) else None
        if parsed is None or parsed[0] is not unit:
            want = {Unit.FEN: '"CNY 1000.00"', Unit.BP: '"5.25%"', Unit.DAYS: '"30 days"'}
            hint = quantities.explain_quantity(value) if isinstance(value, str) else ""
            more = f": {hint}" if hint and parsed is None and hint != quantities.FORMS else ""
            self.refuse(key, f"{key} must be written as {want[unit]}{more}")
        return parsed[1]

    def texts(self, key: str, limit: int, default: tuple[str, ...] | None = None) -> list[str]:
        """Return a list of at most `limit` different texts."""
        value = self._take(key, default is None)
        if value is None:
            return list(default or ())
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, f"{key} must be a list of texts")
        if len(value) > limit or len(set(value)) != len(value):
            self.refuse(key, f"{key} must hold at most {limit} different texts")
        for item in value:
            _check_shown(self, key, item)
        return value

    def rows(self, key: str, limit: int) -> list[list[Any]]:
        """Return a list of 1 to `limit` lists."""
        value = self._take(key, is_required=True)
        if not isinstance(value, list) or not all(isinstance(item, list) for item in value):
            self.refuse(key, f"{key} must be a list of lists")
        if not 1 <= len(value) <= limit:
            self.refuse(key, f"{key} has {len(value)} rows, want 1 to {limit}")
        return value

    def table(self, key: str, is_required: bool = True) -> Table:
        """Return a table inside this one, empty if it may be absent and is."""
        value = self._take(key, is_required)
        if value is not None and not isinstance(value, dict):
            self.refuse(key, f"{key} must be a table")
        return Table(self._document, self._places, (*self._path, key), value or {})

    def tables(self, key: str, limit: int) -> list[Table]:
        """Return 1 to `limit` tables written as [[key]]."""
        value = self._take(key, is_required=True)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, f"{key} must be written as [[{key}]]")
        if not 1 <= len(value) <= limit:
            self.refuse(key, f"{len(value)} of [[{key}]], want 1 to {limit}")
        return [
            Table(self._document, self._places, (*self._path, key, index), item)
            for index, item in enumerate(value)
        ]

    def expression(self, key: str) -> Source:
        """Return the source of a required expression."""
        value = self._take(key, is_required=True)
        if not isinstance(value, str):
            self.refuse(key, f"{key} must be an expression in quotes")
        return Source(value, self._places[(*self._path, key)].characters, self._document)


def read_parameters(root: Table) -> dict[str, Variable]:
    """Return the constants of [params], as p.<name>."""
    table = root.table("params", is_required=False)
    found: dict[str, Variable] = {}
    for key in table.names():
        if _PARAMETER.fullmatch(key) is None:
            form = "want small letters, digits and '_', a letter first"
            table.refuse(key, f"{quoted(key)} is no parameter name: {form}")
        found[f"p.{key}"] = _read_parameter(table, key)
    return found


def _read_parameter(table: Table, key: str) -> Variable:
    unit, value = Unit.NUMBER, 0
    if table.holds_text(key):
        parsed = quantities.parse_quantity(table.text(key))
        if parsed is None:
            text = table.text(key)
            hint = quantities.explain_quantity(text)
            if hint is quantities.FORMS:
                hint += " (a key of the document itself stands above [params])"
            table.refuse(key, f"{quoted(text)} is no quantity: {hint}")
        unit, value = parsed
    elif table.holds_day(key):
        unit, value = Unit.DATE, table.day(key)
    else:
        value = table.integer(key)
    return Variable(int_of(unit), value, value, constant=value)
