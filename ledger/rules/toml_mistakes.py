"""What is wrong with a file that is no TOML, in the words of somebody who mends it.

The reader of TOML says where it stopped; its words differ between its versions and tell an author
little. The line where it stopped is looked at here for the mistakes that people make. A guess that
fits nothing is not made: then the general sentence stands.
"""

from __future__ import annotations

import re

from ledger.rules.names import quoted

_GENERAL = "not valid TOML here (a quote or a bracket missing, or a key given twice?)"
_HEADER = re.compile(r"[ \t]*(\[\[?)[ \t]*([^\s\[\]#]+)[ \t]*\]\]?[ \t]*(?:#.*)?")
_PAIR = re.compile(r"[ \t]*([A-Za-z0-9_.-]+|\"[^\"]*\"|'[^']*')[ \t]*([=:：＝])[ \t]*(.*)")
_BARE_WORD = re.compile(r"[^\s\"'\[\]{}#,]+")
_BLANK = re.compile("[\u00a0\u3000]")
_BASIC = re.compile(r'"(?:\\.|[^"\\])*"')
_DAY = re.compile(r"[0-9]{1,4}[/.年-][0-9]{1,2}[/.月-][0-9]{1,4}日?")
_UNOPENED = re.compile(r'[^\s"\'\[\]{}#,][^"\'\[\]{}#]*"')
_BOOLS = {"true": "true", "false": "false", "yes": "true", "no": "false"}


def explain(text: str, line: int, column: int) -> tuple[str, int, int]:
    """Return a sentence, and line and column (from 1), about where no TOML was found.

    The place is that of the reader, unless he read on to the end for a text that is not closed.
    """
    lines = text.split("\n")
    if not "".join(lines[line:]).strip():
        found = _find_open(lines[:line])
        if found is not None:
            return found
    written = lines[line - 1] if line <= len(lines) else ""
    blank = _BLANK.search(written)
    if blank is not None and blank.start() == column - 1:
        what = f"U+{ord(blank.group()):04X}"
        return f"a blank that is not that of the keyboard ({what}): write a blank", line, column
    return _explain_line(lines, line, written), line, column


def _find_open(lines: list[str]) -> tuple[str, int, int] | None:
    """Return sentence and place of the first text that begins in one of `lines` and goes on."""
    for number, written in enumerate(lines, 1):
        pair = _PAIR.fullmatch(written)
        value = pair.group(3) if pair is not None else ""
        for mark in ("'''", '"""', "'"):
            if value.startswith(mark) and value.count(mark) == 1:
                is_long = len(mark) == 3
                if is_long and any(mark in other for other in lines[number:]):
                    break
                where = "is missing" if is_long else "is missing at the end of the line"
                message = f"a text that is not closed: a {mark} {where}"
                column = written.index(mark) + 1 if is_long else len(written) + 1
                return message, number, column
    return None


def _explain_line(lines: list[str], line: int, written: str) -> str:
    header = _HEADER.fullmatch(written)
    if header is not None:
        return _explain_header(lines, line, header.group(1), header.group(2))
    pair = _PAIR.fullmatch(written)
    if pair is None:
        return _explain_other(written)
    key, sign, value = pair.groups()
    if sign != "=":
        return f"'{sign}' stands between {quoted(key)} and its value: write ="
    first = _find_before(lines, line, key)
    if first:
        return f"the key {quoted(key)} is given twice, first in line {first}"
    return _explain_value(value)


def _explain_header(lines: list[str], line: int, bracket: str, name: str) -> str:
    """Return what may be wrong with a line such as [limit]."""
    for number, other in enumerate(lines[: line - 1], 1):
        found = _HEADER.fullmatch(other)
        if found is not None and found.group(2) == name:
            if found.group(1) != bracket:
                return f"[{name}] here and [[{name}]] in line {number}: write [[{name}]] each time"
            return f"the table [{name}] is given twice, first in line {number}"
    return _GENERAL


def _find_before(lines: list[str], line: int, key: str) -> int:
    """Return the line above in the same table that gives `key`, 0 if none does."""
    for number in range(line - 1, 0, -1):
        written = lines[number - 1]
        if _HEADER.fullmatch(written) is not None:
            return 0
        found = _PAIR.fullmatch(written)
        if found is not None and found.group(1) == key:
            return number
    return 0


def _explain_other(written: str) -> str:
    stripped = written.strip()
    if re.fullmatch(r"[A-Za-z0-9_.-]+", stripped):
        return f"{quoted(stripped)} stands alone: write a key, = and a value"
    if stripped.startswith(("//", "--", ";", "/*")):
        return "a comment begins with #"
    return _GENERAL


def _explain_value(value: str) -> str:
    bare = value.partition("#")[0].strip()
    if not bare:
        return "a value is missing after ="
    if bare[0] in "“”‘’「＂":
        return f'{bare[0]} is no quotation mark here: write "'
    if _DAY.fullmatch(bare):
        return "a date is written as in 2020-01-31"
    if bare.lower() in _BOOLS:
        return f"{quoted(bare)} is no value: write {_BOOLS[bare.lower()]}"
    if re.fullmatch(r"[0-9][0-9,]*,[0-9]{3}(?:\.[0-9]+)?", bare):
        return f"a number has no commas: write {bare.replace(',', '')}"
    if bare[0] == '"' and not bare.startswith('"""'):
        return _explain_text(value.strip())
    if _UNOPENED.fullmatch(bare):
        return f'a " is missing before the text: write "{bare[:64]}'
    if _BARE_WORD.fullmatch(bare) and not bare[0].isdigit():
        return f'a text stands in quotes: write "{bare[:64]}"'
    return _GENERAL


def _explain_text(value: str) -> str:
    """Return what is wrong with a value that begins with a quotation mark."""
    closed = _BASIC.match(value)
    if closed is None:
        return (
            'a text that is not closed: a " is missing at the end of the line (a text of several '
            'lines stands between """ and """)'
        )
    rest = value[closed.end() :].lstrip()
    if rest and rest[0] not in "#,":
        return 'the text ends before the end of the line: within "…" write \' for a quote'
    if "\\" in closed.group():
        return "an escape that TOML does not know: write \\\\ for a backslash"
    return _GENERAL
