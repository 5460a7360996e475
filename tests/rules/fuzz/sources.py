"""Rule sources from good ones: mutated bytes, tokens and lines, made-up expressions, nasty TOML.

`make_source` gives for a seed the kind of a document and its bytes. Many mutations stay inside an
expression or put one word for another, so that what is made gets past the reader of TOML to the
checks behind it; the rest are what somebody would send who wants a replica to hang, to crash or to
be of two minds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from tests.rules.fuzz.expressions import quote
from tests.rules.samples import ALERT, PRODUCT, SCHEMA, SCORECARD

_RICH = PRODUCT.replace(
    'when = "rv.confirmed"',
    """when = '''
has(co.tax_grade) && co.tax_grade in ['A', 'B', "M"]   // a comment
&& [days(7), days(30)].exists(d, co.overdue_days_max_24m <= d)
&& ratio_bp(co.top_buyer_12m, co.sales_12m) < p.share || size({'a': co.buyers_12m}) == 1'''""",
).replace("[params]", '[params]\nshare = "60.00%"')
BASES = (
    ("product", PRODUCT), ("product", _RICH), ("scorecard", SCORECARD), ("schema", SCHEMA),
    ("alert", ALERT),
)  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\s+|\"\"\"|'''|[^\sA-Za-z0-9_]")
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_.]*|"[^"\n]*"|\b[0-9]+\b')
_OPERAND = re.compile(r"[a-z]+\.[a-z0-9_]+|\b[a-z_]+\([^()]*\)|\b[0-9]+\b|'[A-Z]+'")
_OPERATOR = re.compile(r"&&|\|\||==|<=|>=|[-+*<]|\bin\b")
_EXPRESSION = re.compile(r"(?m)^(when|amount|input|where) = .*$")
_VALUE = re.compile(r"(?m)= [^\n]+$")

_WORDS = (
    "rv.amount", "rv.confirmed", "co.sales_12m", "co.tax_grade", "co.overdue_days_max_24m",
    "co.void_rate", "co.buyers_12m", "co.last_sale_on", "ap.term", "ap.amount", "as_of", "w.now",
    "w.prev", "e.status", "e.net", "p.max_limit", "p.advance_rate", "p.max_term", "x", "y",
    "yuan(1)", "days(30)", "mul_bp(", "ratio_bp(", "math.least(", "math.greatest(", "size(",
    "has(", "int(", "string(", "bytes(", "timestamp(", "duration(", ".all(x, ", ".exists(y, ",
    ".map(x, ", ".filter(x, ", ".exists_one(x, ", "(", ")", "(", ")", "[", "]", "{", "}", ",", ":",
    "?", "+", "-", "*", "/", "%", "!", "&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", ".",
    "'A'", "'V'", "b'x'", "0", "1", "30", "9223372036854775807", "9223372036854775808", "1.5",
    "2u", "null", "true", "false", "and", "or", "not", "=", "“", "（", "//", "r'", "\\\\",
    "企业", "0x1f", "'\\\\u4f01'", "dyn(", ".matches(", "matches", "if", "else",
    "date('2020-01-01')",
)  # fmt: skip

_OPERATORS = ("&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in")
_OPERANDS = (
    *_WORDS[:22], "1", "30", "10000", "-1", "'A'", "'V'", "'企'", "true", "size(co.tax_grade)",
    "(as_of - co.last_sale_on)", "mul_bp(rv.amount, p.advance_rate)", "[1, 2, 3]", "['A', 'B']",
    "ratio_bp(co.top_buyer_12m, co.sales_12m)", "(has(ap.term) ? ap.term : days(1))", "{'A': 1}",
    "co.sales_12m * co.buyers_12m", "co.buyers_12m / co.void_12m", "int(co.tax_grade)",
    "duration(co.tax_grade + co.tax_grade)", "timestamp(co.tax_grade)", "-co.sales_12m",
    "[co.buyers_12m, co.void_12m].exists(x, 1 / x > 0)", "w.now", "w.prev * 2", "e.net / 0",
)  # fmt: skip

_BOMBS: tuple[Callable[[int], str], ...] = (
    lambda n: "(" * n + "true" + ")" * n,
    lambda n: "!" * n + "true",
    lambda n: "-" * n + "1 == 1",
    lambda n: "[" * n + "1" + "]" * n + " == []",
    lambda n: "{1: " * n + "1" + "}" * n + " == {}",
    lambda n: "[1].all(x, " * n + "true" + ")" * n,
    lambda n: "true ? 1 : " * n + "1 == 1",
    lambda n: "true && " * n + "true",
    lambda n: "math.least(" * n + "1" + ")" * n + " == 1",
    lambda n: "'" + "a" * n + "' == 'a'",
    lambda n: "1" + "0" * n + " == 1",
    lambda n: "0x" + "f" * n + " == 1",
    lambda n: "x" + ".a" * n,
    lambda n: "[" + "1," * n + "1].exists(x, [" + "1," * n + "1].all(y, x == y))",
    lambda n: "".join(f"[{'1, ' * min(n, 40)}1].all({name}, " for name in "xyz") + "true)))",
    lambda n: "['aaaaaaaaaaaaaaaa']" + ".map(x, x + x)" * n + " == []",
    lambda n: "size(" + " + ".join(["co.tax_grade"] * n) + ") > 1",
    lambda n: "duration(" + " + ".join(["co.tax_grade"] * n) + ") > duration('1s')",
    lambda n: "a" * n,
    lambda n: "\t" * n + "true",
    lambda n: "//" * n,
)
_NASTY_VALUES = (
    "99999999999999999999", "9" * 5000, "-" + "9" * 4299, "0x" + "f" * 3000, "1_0_0", "1__0",
    "0b1", "0o7", "+1", "-0", "00", "1e400", "1.5", "inf", "nan", "-nan", "2020-01-01",
    "2020-13-45", "0000-01-01", "9999-12-31", "2020-01-01T00:00:00Z", "12:30:00", "true", "'x",
    '"x', '"""x', "'''x", '"\\ud800"', '"\\U00110000"', '"\\u0000"', '"\\u202e"', '"\\x"', "[", "]",
    "{", "}", "[[[[[[[[[1]]]]]]]]]", "[" * 3000, "{a=" * 2000, "[" + "1," * 4000 + "]", "{}", "[]",
    "{a = 1, a = 2}", "{a.b.c.d = 1}", "['a', 1, 1.5]", "'" + "a" * 70_000 + "'",
    "'" + "[" * 30_000 + "'",
    "''", '""', "'企业'", '"CNY 1.00"', '"CNY 99999999999999999.00"', '"5%"', '"99999999.00%"',
    '"30 days"', "'''\n\n\nrv.bad'''", '"""\\\n   rv.bad"""', "#", "= 1", "",
)  # fmt: skip
_NASTY_LINES = (
    "\ufeff", "\0", "\r", "\r\n", "\x1b[2J", "\u202e# hidden", "# \u2066 comment", "\ud800",
    "a.b.c.d.e.f.g.h.i.j.k = 1", "[a]\n[a]", "[[limit]]", "[limit]\n[limit]", "[params]\n[params]",
    "[condition]", "[[condition]]", "[[params]]", "params = 1", "limit.amount = 1", "'' = 1",
    '"a\\nb" = 1', "id = 'x'", "version = 1", "= 1", "key", "key =", "[", "[[", "]", "\"", "'''",
    '"""', "\t[rate]", "[rate] # x", "format = 'smartrule/1'", "kind = 'alert'", "__proto__ = 1",
    "[" + " " * 60_000, "[" + " " * 60_000 + "]", "a" + " " * 60_000, "a = '''\n" * 9_000,
    'a = """\n' * 9_000, "a='" + " " * 60_000, "[ a ]\n" * 9_000,
    "[" + "a." * 5000 + "a]", "a" * 60_000 + " = 1", "x = [\n" + "[1],\n" * 1500 + "]", "\n" * 5000,
    "# " + "=" * 3000, "[feature.'co.x']\nunit='fen'", "[feature.\"co.x\".\"y\"]",
)  # fmt: skip


def make_source(seed: int) -> tuple[str, bytes]:
    """Return the kind of the good document that a seed starts from, and the mutated bytes."""
    random = Random(seed)
    kind, text = random.choice(BASES)
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        text = random.choice(_MUTATIONS)(random, text)
    source = text.encode("utf-8", "surrogatepass")
    if random.random() < 0.05:
        source = _mutate_bytes(random, source)
    if random.random() < 0.02:
        source = random.randbytes(random.randrange(400))
    return kind, source


def _mutate_bytes(random: Random, source: bytes) -> bytes:
    data = bytearray(source)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data) + 1)
        data[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(data)


def _characters(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    removed = random.randrange(6)
    inserted = random.choice(
        ("", "", "é", "企", "\u202e", "\0", "'", '"', "\\", "\n", "=", "[", "1", ".", "\t")
    )
    return text[:at] + inserted + text[at + removed :]


def _tokens(random: Random, text: str) -> str:
    tokens = _TOKEN.findall(text)
    if not tokens:
        return text
    for _ in range(random.randrange(1, 4)):
        at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        match random.randrange(4):
            case 0:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 1:
                tokens[at] = ""
            case 2:
                tokens[at] = tokens[other]
            case _:
                tokens[at] += tokens[other]
    return "".join(tokens)


def _lines(random: Random, text: str) -> str:
    lines = text.split("\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            lines[at], lines[other] = lines[other], lines[at]
        case 1:
            del lines[at]
        case 2:
            lines.insert(other, lines[at])
        case _:
            lines.insert(at, random.choice(_NASTY_LINES))
    return "\n".join(lines)


def _values(random: Random, text: str) -> str:
    return _replace(random, text, _VALUE, f"= {random.choice(_NASTY_VALUES)}")


def _expressions(random: Random, text: str) -> str:
    """Put a soup of words, or one of what grows without end, where an expression stands."""
    match random.randrange(3):
        case 0:
            made = " ".join(random.choices(_WORDS, k=random.randrange(1, 14)))
        case 1:
            made = "".join(random.choices(_WORDS, k=random.randrange(1, 30)))
        case _:
            made = random.choice(_BOMBS)(random.choice((1, 5, 30, 33, 64, 300, 4000, 30_000)))
    form = random.choice(('"{}"', "'''{}'''", '"""\n{}"""', "'{}'"))
    found = _EXPRESSION.search(text)
    key = found.group(1) if found is not None else "when"
    return _replace(random, text, _EXPRESSION, f"{key} = " + form.format(made))


def _inside(random: Random, text: str) -> str:
    """Mutate the tokens of one expression and leave the file around it alone."""
    found = [match for match in _EXPRESSION.finditer(text) if match.group().endswith('"')]
    if not found:
        return text
    match = random.choice(found)
    head, _, body = match.group().partition(' = "')
    tokens = _TOKEN.findall(body.rstrip('"'))
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(tokens) + 1)
        tokens[at : at + random.randrange(2)] = [random.choice((*_WORDS, *tokens))]
    made = "".join(tokens).replace('"', "'").replace("\\", "")
    return text[: match.start()] + f'{head} = "{made}"' + text[match.end() :]


def _operand(random: Random, text: str) -> str:
    """Put one operand, or an operator between two, for another: the grammar stays right."""
    found = list(_EXPRESSION.finditer(text))
    if not found:
        return text
    match = random.choice(found)
    pattern, others = random.choice(((_OPERAND, _OPERANDS), (_OPERATOR, _OPERATORS)))
    parts = list(pattern.finditer(text, match.end(1) + 3, match.end()))
    if not parts:
        return text
    part = random.choice(parts)
    return text[: part.start()] + random.choice(others) + text[part.end() :]


def _names(random: Random, text: str) -> str:
    """Put one word of the document for another."""
    words = list(_NAME.finditer(text))
    if not words:
        return text
    match, other = random.choice(words), random.choice(words)
    return text[: match.start()] + other.group() + text[match.end() :]


def _texts(random: Random, text: str) -> str:
    return _replace(random, text, _VALUE, "= " + quote(random.choice(_NASTY_LINES), random))


def _ends(random: Random, text: str) -> str:
    match random.randrange(4):
        case 0:
            return text.replace("\n", "\r\n")
        case 1:
            return "\ufeff" + text
        case 2:
            return text[: random.randrange(len(text) + 1)]
        case _:
            return text * random.choice((2, 3, 80))


def _replace(random: Random, text: str, pattern: re.Pattern[str], new: str) -> str:
    """Return `text` with one of the matches of `pattern` replaced by `new`."""
    found = list(pattern.finditer(text))
    if not found:
        return text + "\n" + new
    match = random.choice(found)
    return text[: match.start()] + new + text[match.end() :]


_MUTATIONS: tuple[Callable[[Random, str], str], ...] = (
    _characters, _tokens, _lines, _lines, _values, _expressions, _expressions, _texts, _ends,
    *[_inside] * 4, *[_names] * 4, *[_operand] * 14,
)  # fmt: skip
