"""Tokens of an expression (CEL specification, "Syntax").

One regular expression finds the next token; string escapes are decoded here, so that the parser
sees values. What CEL has and `smartrule/1` does not (floats, unsigned integers) is refused with a
sentence that says what to write instead, and so are the slips people make coming from elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ledger.errors import Code
from ledger.rules import slips
from ledger.rules.limits import MAX_EXPRESSION_BYTES
from ledger.rules.names import quoted, shown
from ledger.rules.source import Source


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    INT = "integer"
    STRING = "string"
    BYTES = "bytes"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is as written, `value` what a literal means."""

    kind: TokenKind
    text: str
    offset: int
    value: int | str | bytes = 0


_TOKEN = re.compile(
    r'''(?P<space>[\t\n\f\r\ ]+|//[^\n]*)
      |(?P<raw>(?:[rR][bB]?|[bB][rR])
          (?:"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"[^"\r\n]*"|'[^'\r\n]*'))
      |(?P<quoted>[bB]?(?:"""(?:\\[\s\S]|[^\\])*?"""|\'\'\'(?:\\[\s\S]|[^\\])*?\'\'\'
          |"(?:\\.|[^"\\\r\n])*"|'(?:\\.|[^'\\\r\n])*'))
      |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
      |(?P<unsigned>(?:0[xX][0-9a-fA-F]+|\d+)[uU])
      |(?P<grouped>\d+(?:_\d+)+)
      |(?P<int>0[xX][0-9a-fA-F]+|\d+)
      |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<operator>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])''',
    re.VERBOSE | re.ASCII,  # a digit is 0 to 9, on every replica
)
_SIMPLE_ESCAPES = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11,
    "\\": 92, "?": 63, '"': 34, "'": 39, "`": 96,
}  # fmt: skip
_HEX_ESCAPES = {"x": 2, "X": 2, "u": 4, "U": 8}


def tokenize(source: Source) -> list[Token]:
    """Return the tokens of `source`, an END last; raise `RuleSourceError` 3001, 3005 or 3007."""
    text = source.text
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_EXPRESSION_BYTES:
        raise source.refusal(
            Code.RULE_LIMIT,
            f"an expression of {size} bytes, want at most {MAX_EXPRESSION_BYTES}",
            0,
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise source.refusal(Code.RULE_SYNTAX, "a character that is no Unicode text", 0)
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _bad_character(source, position)
        if match.lastgroup != "space":
            tokens.append(_make_token(source, match.lastgroup or "", match.group(), position))
        position = match.end()
    tokens.append(Token(TokenKind.END, "", len(text)))
    return tokens


def _bad_character(source: Source, position: int) -> Exception:
    character = source.text[position]
    message = slips.hint_for_character(source.text, position)
    message = message or f"unexpected character {quoted(character)}"
    return source.refusal(Code.RULE_SYNTAX, message, position)


def _make_token(source: Source, group: str, text: str, offset: int) -> Token:
    if group == "operator":
        return Token(TokenKind.OPERATOR, text, offset)
    if group == "name":
        return Token(TokenKind.NAME, text, offset)
    if group == "int":
        return Token(TokenKind.INT, text, offset, int(text, 16 if text[1:2] in ("x", "X") else 10))
    if group in ("raw", "quoted"):
        return _string_token(source, group == "raw", text, offset)
    if group == "grouped":
        plain = shown(text.replace("_", ""))
        raise source.refusal(Code.RULE_SYNTAX, f"marks inside a number: write {plain}", offset)
    if group == "float":
        _refuse_exponent(source, text, offset)
        raise source.refusal(
            Code.RULE_FORBIDDEN,
            f"{shown(text)} is a fraction, and rules count in whole numbers: declare a rate or "
            'an amount under [params], such as rate = "5.25%" or fee = "CNY 0.50", and write '
            "p.rate; for a half write x / 2",
            offset,
        )
    raise source.refusal(
        Code.RULE_FORBIDDEN,
        f"{shown(text)} is an unsigned number: write {shown(text[:-1])}",
        offset,
    )


def _refuse_exponent(source: Source, text: str, offset: int) -> None:
    """Refuse a whole number that is written as 1e6."""
    digits, _, exponent = text.lower().partition("e")
    if digits.isdecimal() and exponent.isdecimal() and len(exponent) < 3 and int(exponent) < 19:
        plain = shown(digits + "0" * int(exponent))
        message = f"{shown(text)} has an exponent: write the number out, {plain}"
        raise source.refusal(Code.RULE_FORBIDDEN, message, offset)


def _string_token(source: Source, is_raw: bool, text: str, offset: int) -> Token:
    start = 0
    while text[start] not in "'\"":
        start += 1
    is_bytes = "b" in text[:start].lower()
    quote = 3 if text[start : start + 3] in ('"""', "'''") else 1
    # CEL reads every line end as \n, whatever the editor wrote.
    body = text[start + quote : -quote].replace("\r\n", "\n").replace("\r", "\n")
    if is_raw:
        value: str | bytes = body.encode() if is_bytes else body
    else:
        value = _unescape(source, body, is_bytes, offset + start + quote)
    kind = TokenKind.BYTES if is_bytes else TokenKind.STRING
    return Token(kind, text, offset, value)


def _unescape(source: Source, body: str, is_bytes: bool, offset: int) -> str | bytes:
    """Return what an escaped string means; in bytes, \\x and octal escapes are octets."""
    if "\\" not in body:
        return body.encode() if is_bytes else body
    pieces: list[bytes] = []
    position = 0
    while position < len(body):
        character = body[position]
        if character != "\\":
            pieces.append(character.encode())
            position += 1
            continue
        length, value = _read_escape(body, position, is_bytes)
        if length == 0:
            raise source.refusal(
                Code.RULE_SYNTAX,
                f"unknown escape {quoted(body[position : position + 2])} in text: write \\\\ for a "
                "backslash",
                offset + position,
            )
        pieces.append(bytes([value]) if is_bytes else chr(value).encode())
        position += length
    joined = b"".join(pieces)
    return joined if is_bytes else joined.decode()


def _read_escape(body: str, position: int, is_bytes: bool) -> tuple[int, int]:
    """Return the length of the escape at `position` and its value; length 0 if there is none."""
    letter = body[position + 1 : position + 2]
    if letter in _SIMPLE_ESCAPES:
        return 2, _SIMPLE_ESCAPES[letter]
    if letter in _HEX_ESCAPES:
        width = _HEX_ESCAPES[letter]
        digits = body[position + 2 : position + 2 + width]
        if not re.fullmatch(f"[0-9a-fA-F]{{{width}}}", digits):
            return 0, 0
        value = int(digits, 16)
        is_scalar = value < 0xD800 or 0xE000 <= value <= 0x10FFFF
        if not is_scalar or (is_bytes and letter in "uU"):
            return 0, 0
        return 2 + width, value
    digits = body[position + 1 : position + 4]
    if re.fullmatch("[0-3][0-7]{2}", digits):
        return 4, int(digits, 8)
    return 0, 0
