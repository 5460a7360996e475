"""What authors write who know spreadsheets, SQL or another language, and what to write instead.

The lexer, the parser and the checker look here before they say that something is unexpected or
unknown. Every answer is a half sentence that follows a colon.
"""

from __future__ import annotations

import re

from ledger.rules.quantities import parse_quantity
from ledger.rules.units import Unit

_IF = "write condition ? value : other value"
_BOTH = "write a && b"
_EITHER = "write a || b"
_MONTHS = "a month has no fixed length: write days(n)"
_DAY = (
    "the day of the decision is as_of; another day is a parameter, such as since = 2020-01-01 "
    "under [params], and is written p.since"
)

# Characters that begin no token.
CHARACTERS = {
    "&": "'&' is no operator: write '&&'",
    "|": "'|' is no operator: write '||'",
    "“": "“ is no quotation mark here: write ' or \"",
    "”": "” is no quotation mark here: write ' or \"",
    "‘": "‘ is no quotation mark here: write ' or \"",
    "’": "’ is no quotation mark here: write ' or \"",
    "、": "、 separates nothing here: write ,",
    "≤": "≤ is no operator: write '<='",
    "≥": "≥ is no operator: write '>='",
    "≠": "≠ is no operator: write '!='",
    "×": "× is no operator: write '*'",
    "÷": "÷ is no operator: write '/'",
    "#": "'#' starts no comment inside an expression: write '//'",
    ";": "';' ends nothing here: remove it",
    "'": "text that is not closed: a ' is missing",
    '"': 'text that is not closed: a " is missing',
    "万": "万 is no unit here: write the number out in digits, such as yuan(1000000)",
    "亿": "亿 is no unit here: write the number out in digits",
    "元": "元 is no unit here: write yuan(n)",
    "¥": "¥ is no unit here: write yuan(n)",
    "￥": "￥ is no unit here: write yuan(n)",
    "天": "天 is no unit here: write days(n)",
    "。": "。 is a full-width character: write .",
    "【": "【 is a full-width character: write [",
    "】": "】 is a full-width character: write ]",
    "《": "《 is a full-width character: write <",
    "》": "》 is a full-width character: write >",
    "\u00a0": "a blank that is not that of the keyboard (U+00A0): write a blank",
    "\u3000": "a full-width blank (U+3000): write a blank",
}
# Names that stand where an operator is wanted.
WORDS = {
    "and": "'and' is no operator: write &&",
    "or": "'or' is no operator: write ||",
    "not": "'not' is no operator: write !",
    "mod": "'mod' is no operator: write %",
    "div": "'div' is no operator: write /",
    "is": "'is' is no operator: write ==",
    "equals": "'equals' is no operator: write ==",
    "between": "'between' is no operator: write x >= a && x <= b",
    "like": "'like' is no operator: write x.contains('…') or x.startsWith('…')",
    "contains": "'contains' is no operator: write x.contains('…')",
    "then": f"'then' is no operator: {_IF}",
    "if": f"'if' is no operator: {_IF}",
    "else": f"'else' is no operator: {_IF}",
    "has": "write has(x), with brackets",
}
FUNCTIONS = {
    "least": "write math.least(a, b)",
    "min": "write math.least(a, b)",
    "greatest": "write math.greatest(a, b)",
    "max": "write math.greatest(a, b)",
    "abs": "write math.greatest(x, -x)",
    "if": _IF,
    "iif": _IF,
    "and": _BOTH,
    "or": _EITHER,
    "not": "write !a",
    "len": "write size(x)",
    "length": "write size(x)",
    "today": _DAY,
    "now": _DAY,
    "date": _DAY,
    "month": _MONTHS,
    "months": _MONTHS,
    "year": "write days(n), such as days(365)",
    "years": "write days(n), such as days(365)",
    "cny": "write yuan(n)",
    "fen": "write yuan(n), or an amount with cents as a parameter",
    "percent": 'give a rate as a parameter, such as rate = "5.00%", and write p.rate',
    "isnull": "write !has(x)",
    "ifnull": "write has(x) ? x : value",
    "coalesce": "write has(x) ? x : value",
    "missing": "write !has(x)",
    "ismissing": "write !has(x)",
    "is_missing": "write !has(x)",
    "isempty": "write !has(x)",
    "exists": "write has(x)",
    "nvl": "write has(x) ? x : value",
    "round": "division drops what is left over; mul_bp_up rounds up",
    "floor": "division drops what is left over",
    "sum": "a sum over records is a feature of the schema",
    "count": "a count of records is a feature of the schema",
    "avg": "an average is a sum divided by a count",
    "average": "an average is a sum divided by a count",
}
_NAMES = {
    "true": "write true",
    "false": "write false",
    "yes": "write true",
    "no": "write false",
    "nan": "what is not known is missing: write has(x)",
    "none": "what is not known is missing: write has(x)",
}
_DATE_TEXT = re.compile(r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}")
_NUMBER_TEXT = re.compile(r"-?[0-9][0-9,_]*")
_CONFUSED = {("=", ">"): ">=", ("=", "<"): "<=", ("<", ">"): "!=", ("=", "!"): "!="}
_CHINESE = ("\u4e00", "\u9fff")


def hint_for_character(text: str, position: int) -> str | None:
    """Return what to write for the character at `position`, which begins no token."""
    character = text[position]
    if character == "=":
        if not text[:position].strip():
            return "an expression does not begin with '='"
        before = text[max(position - 2, 0) : position]
        if before in ("==", "!="):
            return f"'{before}=' is no operator: write '{before}'"
        meant = _CONFUSED.get((character, text[position + 1 : position + 2]), "")
        return (
            f"'={text[position + 1]}' is no operator: write '{meant}'"
            if meant
            else ("'=' is no operator: write '==' to compare")
        )
    if "\uff01" <= character <= "\uff5e" and character not in CHARACTERS:
        plain = chr(ord(character) - 0xFEE0)
        return f"{character} is a full-width character: write {plain}"
    if character not in CHARACTERS and _CHINESE[0] <= character <= _CHINESE[1]:
        return (
            f"{character} stands in no quotes: a fact has a name such as co.sales_12m, a text "
            "stands in quotes"
        )
    return CHARACTERS.get(character)


def hint_for_pair(before: str, text: str) -> str:
    """Return what to write instead of two operators in a row, "" if nothing is known."""
    meant = _CONFUSED.get((before, text))
    if meant is not None:
        return f"'{before}{text}' is no operator: write '{meant}'"
    if before == "%":
        return (
            "'%' is the remainder of a division: give a percentage as a parameter, such as "
            'share = "15.00%", and write p.share'
        )
    return ""


def hint_for_name(name: str) -> str:
    """Return ": write …" for a name without a dot that is unknown."""
    return ": " + _NAMES.get(name.lower(), f"a text stands in quotes, as in '{name}'")


def hint_for_text(text: str, unit: Unit | None) -> str:
    """Return what to write instead of a text next to a quantity of `unit`, "" for no idea."""
    parsed = parse_quantity(text)
    if parsed is not None:
        return f'declare x = "{text}" under [params], and write p.x'
    if unit is Unit.DATE and _DATE_TEXT.fullmatch(text):
        return "declare the day under [params], such as since = 2020-01-31, and write p.since"
    if unit is not None and _NUMBER_TEXT.fullmatch(text):
        return "write the number without quotes"
    return ""
