"""Random well-typed expressions, written twice: in `smartrule/1` and in plain CEL.

Google's evaluator knows no units, so what only ours has is spelt out for it: yuan(n) is (n * 100),
days(n) is (n), and mul_bp and ratio_bp are functions that the oracle is given. A fact `fe.a` is a
selection from a map `fe` there, so that a missing fact is a key that is not in the map. Each kind
of value has a table of productions; a production asks for smaller expressions of the kinds that it
needs. Variables of macros join the leaves of their kind inside the macro's body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from ledger.rules.types import (
    BOOL,
    BYTES,
    DURATION,
    STRING,
    TIMESTAMP,
    Type,
    int_of,
    list_of,
    map_of,
)
from ledger.rules.units import INT_MAX, INT_MIN, Unit

# The prefix of the facts of a kind, and the type of such a fact.
KINDS: Mapping[str, Type] = {
    "nu": int_of(Unit.NUMBER), "fe": int_of(Unit.FEN), "bp": int_of(Unit.BP),
    "da": int_of(Unit.DAYS), "dt": int_of(Unit.DATE), "ct": int_of(Unit.COUNT),
    "sc": int_of(Unit.SCORE), "fl": BOOL, "tx": STRING, "by": BYTES, "ti": TIMESTAMP,
    "du": DURATION, "li": list_of(int_of(Unit.NUMBER)), "ls": list_of(STRING),
    "mp": map_of(STRING, int_of(Unit.NUMBER)),
}  # fmt: skip
NUMBERS = ("nu", "fe", "bp", "da", "dt", "ct", "sc")
ROOTS = ("fl", "fl", "fl", "nu", "fe", "bp", "da", "dt", "ct", "sc", "tx", "by", "li", "ls")
NAMES = ("a", "b", "c")
EDGES = (
    0, 1, -1, 2, 3, 7, 10, 99, 100, 9_999, 10_000, 10_001, 2**31, 2**53, 10**15, 2**62,
    INT_MAX // 100, INT_MAX - 1, INT_MAX, INT_MIN, INT_MIN + 1,
)  # fmt: skip
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "é",
    "企",
    "企业",
    "\U0001f600",
    "12",
    "-7",
    "true",
    "1s",
    "b12",
    "'",
    "\\",
)
_SECONDS = (0, 1, -1, 86_399, 86_400, 951_782_400, 1_606_003_200, -2_000_000_000, 4_000_000_000)
_STAMPS = ("2020-02-29T23:59:59.999Z", "1970-01-01T00:00:00Z", "2020-13-01T00:00:00Z", "x")
_SPANS = ("1s", "-90m", "1h30m", "0.5s", "1d", "", "72h3m0.001s")
_ZONES = ("+08:00", "-09:30", "UTC", "00:00")


@dataclass(frozen=True, slots=True)
class Pair:
    """One expression in `smartrule/1` and in plain CEL."""

    mine: str
    theirs: str


Production: TypeAlias = Callable[["Writer", int], Pair]


def same(text: str) -> Pair:
    """Return what is written alike in both."""
    return Pair(text, text)


def fill(template: str, *parts: Pair, theirs: str = "") -> Pair:
    """Return `template` (and `theirs`, if it is another) with the parts in its braces."""
    return Pair(
        template.format(*(part.mine for part in parts)),
        (theirs or template).format(*(part.theirs for part in parts)),
    )


@dataclass(slots=True)
class Writer:
    """Writes one expression; `scope` holds the macro variables of each kind in sight."""

    random: Random
    scope: dict[str, list[str]] = field(default_factory=dict)
    names: int = 0

    def write(self, kind: str, depth: int) -> Pair:
        """Return an expression of `kind`, at most `depth` productions deep."""
        if depth <= 0 or self.random.random() < 0.12:
            return self.leaf(kind)
        if self.random.random() < 0.08:
            return self.choice(kind, depth)
        return self.random.choice(PRODUCTIONS[kind])(self, depth - 1)

    def leaf(self, kind: str) -> Pair:
        """Return a fact, a macro's variable or a literal."""
        known = self.scope.get(kind, [])
        if known and self.random.random() < 0.6:
            return same(self.random.choice(known))
        if self.random.random() < 0.6:
            return same(f"{kind}.{self.random.choice(NAMES)}")
        return _LITERALS[kind](self)

    def choice(self, kind: str, depth: int) -> Pair:
        """Return a ternary, or the default of a fact that may be missing."""
        if self.random.random() < 0.3:
            name = f"{kind}.{self.random.choice(NAMES)}"
            default = self.write(kind, depth - 1)
            return fill(f"(has({name}) ? {name} : {{0}})", default)
        parts = (
            self.write("fl", depth - 1),
            self.write(kind, depth - 1),
            self.write(kind, depth - 1),
        )
        return fill("({0} ? {1} : {2})", *parts)

    def integer(self) -> int:
        """Return a number that is likely to be at an edge."""
        if self.random.random() < 0.7:
            return self.random.choice(EDGES[:9])
        return self.random.choice(EDGES)

    def loop(self, depth: int, macro: str, result: str = "fl") -> Pair:
        """Return a macro over a list of numbers or texts, or over a map's keys."""
        over, item = self.random.choice((("li", "nu"), ("li", "nu"), ("ls", "tx"), ("mp", "tx")))
        if macro in ("map", "map3") and over == "mp":
            over, item = "li", "nu"  # the oracle has no order of keys
        subject = self.write(over, depth)
        return self.body(depth, macro, subject, item, result)

    def body(self, depth: int, macro: str, subject: Pair, item: str, result: str) -> Pair:
        """Return the macro over `subject`, whose items are of kind `item`."""
        name = f"v{self.names}"
        self.names += 1
        self.scope.setdefault(item, []).append(name)
        inner = self.write(result, min(depth, 2))
        if macro == "map3":
            inner = fill("{0}, {1}", self.write("fl", min(depth, 2)), inner)
        self.scope[item].pop()
        return fill(f"{{0}}.{macro.removesuffix('3')}({name}, {{1}})", subject, inner)


def _integer(writer: Writer) -> Pair:
    value = writer.integer()
    return same(str(value) if value >= 0 else f"({value})")


def _small(writer: Writer) -> Pair:
    return same(str(writer.random.choice((0, 1, 2, 3, 30, 365, -5))))


def quote(text: str, random: Random) -> str:
    """Return a text literal in one of CEL's forms."""
    if random.random() < 0.15:
        return "'" + "".join(f"\\U{ord(character):08x}" for character in text) + "'"
    if random.random() < 0.2 and "'" not in text and "\\" not in text:
        return random.choice(("r'{}'", "'''{}'''", '"{}"', 'r"""{}"""')).format(text)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _text(writer: Writer) -> Pair:
    return same(quote(writer.random.choice(TEXTS), writer.random))


def _octets(writer: Writer) -> Pair:
    return same(
        writer.random.choice(("b''", "b'a'", "b'\\xff\\x00'", "b'\\344\\274\\201'", "b'é'"))
    )


def _items(kind: str) -> Callable[[Writer], Pair]:
    def write(writer: Writer) -> Pair:
        parts = [writer.leaf(kind) for _ in range(writer.random.randrange(4))]
        return fill("[" + ", ".join(f"{{{index}}}" for index in range(len(parts))) + "]", *parts)

    return write


def _entries(writer: Writer) -> Pair:
    keys = [quote(key, writer.random) for key in writer.random.sample(("a", "b", "企"), 2)]
    parts = [writer.leaf("nu"), writer.leaf("nu")]
    if writer.random.random() < 0.3:
        return fill("{{{0}: {1}, " + keys[0] + ": {2}}}", writer.leaf("tx"), *parts)
    return fill("{{" + keys[0] + ": {0}, " + keys[1] + ": {1}}}", *parts)


_LITERALS: Mapping[str, Callable[[Writer], Pair]] = {
    "nu": _integer,
    "ct": lambda writer: same(f"ct.{writer.random.choice(NAMES)}"),
    "sc": lambda writer: same(f"sc.{writer.random.choice(NAMES)}"),
    "bp": lambda writer: same(f"bp.{writer.random.choice(NAMES)}"),
    "dt": lambda writer: same(f"dt.{writer.random.choice(NAMES)}"),
    "fe": lambda writer: fill("yuan({0})", _integer(writer), theirs="({0} * 100)"),
    "da": lambda writer: fill("days({0})", _small(writer), theirs="({0})"),
    "fl": lambda writer: same(writer.random.choice(("true", "false"))),
    "tx": _text,
    "by": _octets,
    "ti": lambda writer: same(f"timestamp({writer.random.choice(_SECONDS)})"),
    "du": lambda writer: same(f"duration('{writer.random.choice(_SPANS)}')"),
    "li": _items("nu"),
    "ls": _items("tx"),
    "mp": _entries,
}


def _apply(template: str, *kinds: str, theirs: str = "") -> Production:
    """Return the production of a template over expressions of these kinds."""

    def write(writer: Writer, depth: int) -> Pair:
        return fill(template, *(writer.write(kind, depth) for kind in kinds), theirs=theirs)

    return write


def _compare(writer: Writer, depth: int) -> Pair:
    kind = writer.random.choice((*NUMBERS, "tx", "by", "fl", "ti", "du", "tx", "nu"))
    operator = writer.random.choice(("==", "!=", "<", "<=", ">", ">="))
    return fill(f"({{0}} {operator} {{1}})", writer.write(kind, depth), writer.write(kind, depth))


def _equal(writer: Writer, depth: int) -> Pair:
    kind = writer.random.choice(("li", "ls", "mp"))
    operator = writer.random.choice(("==", "!="))
    return fill(f"({{0}} {operator} {{1}})", writer.write(kind, depth), writer.write(kind, depth))


def _has(writer: Writer, depth: int) -> Pair:
    if depth and writer.random.random() < 0.2:
        return fill("has({0}.b)", writer.write("mp", depth - 1))
    return same(f"has({writer.random.choice(tuple(KINDS))}.{writer.random.choice(NAMES)})")


def _zoned(field_name: str) -> Production:
    def write(writer: Writer, depth: int) -> Pair:
        zone = f"'{writer.random.choice(_ZONES)}'" if writer.random.random() < 0.5 else ""
        return fill(f"{{0}}.{field_name}({zone})", writer.write("ti", depth))

    return write


def _convert(template: str, texts: tuple[str, ...]) -> Production:
    def write(writer: Writer, depth: int) -> Pair:
        if writer.random.random() < 0.3:
            return fill(template, writer.write("tx", depth))
        return fill(template, same(quote(writer.random.choice(texts), writer.random)))

    return write


def _macro(macro: str, result: str = "fl") -> Production:
    return lambda writer, depth: writer.loop(depth, macro, result)


def _extremes(kind: str) -> list[Production]:
    return [
        _apply("math.least({0}, {1})", kind, kind),
        _apply("math.greatest({0}, {1}, {2})", kind, kind, kind),
    ]


def _quantity(kind: str) -> list[Production]:
    """Return the productions of a unit that adds up and is multiplied by mere numbers."""
    return [
        _apply("({0} + {1})", kind, kind),
        _apply("({0} - {1})", kind, kind),
        _apply("({0} * {1})", kind, "nu"),
        _apply("({1} * {0})", kind, "nu"),
        _apply("({0} / {1})", kind, "nu"),
        _apply("({0} % {1})", kind, "nu"),
        _apply("(-{0})", kind),
        *_extremes(kind),
    ]


_FIELDS = (
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
)  # fmt: skip
PRODUCTIONS: Mapping[str, list[Production]] = {
    "nu": [
        *_quantity("nu"),
        _apply("({0} * {1})", "nu", "nu"),
        _apply("size({0})", "tx"),
        _apply("{0}.size()", "li"),
        _apply("size({0})", "by"),
        _apply("size({0})", "mp"),
        _apply("size({0})", "ls"),
        _apply("{0}[{1}]", "li", "nu"),
        _apply("{0}[{1}]", "mp", "tx"),
        _apply("{0}.b", "mp"),
        _convert("int({0})", ("0", "-0", "12", "-7", "9223372036854775808", "x", "", "1.5")),
        _apply("int({0})", "ti"),
        *(_zoned(name) for name in _FIELDS),
        *(_apply(f"{{0}}.{name}()", "du") for name in _FIELDS[6:]),
    ],
    "fe": [
        *_quantity("fe"),
        _apply("yuan({0})", "nu", theirs="({0} * 100)"),
        _apply("yuan({0})", "ct", theirs="({0} * 100)"),
        _apply("mul_bp({0}, {1})", "fe", "bp"),
        _apply("mul_bp_up({0}, {1})", "fe", "bp"),
    ],
    "bp": [
        *_quantity("bp"),
        _apply("ratio_bp({0}, {1})", "fe", "fe"),
        _apply("ratio_bp({0}, {1})", "da", "da"),
        _apply("ratio_bp({0}, {1})", "nu", "ct"),
    ],
    "da": [
        *_quantity("da"),
        _apply("days({0})", "nu", theirs="({0})"),
        _apply("({0} - {1})", "dt", "dt"),
    ],
    "dt": [
        _apply("({0} + {1})", "dt", "da"),
        _apply("({0} - {1})", "dt", "da"),
        _apply("({1} + {0})", "dt", "da"),
        *_extremes("dt"),
    ],
    "ct": [*_quantity("ct"), _apply("({0} * {1})", "ct", "ct"), _apply("({0} + {1})", "ct", "nu")],
    "sc": [*_quantity("sc"), _apply("int({0})", "sc"), _apply("({0} - {1})", "sc", "nu")],
    "fl": [
        *(_apply(f"({{0}} {operator} {{1}})", "fl", "fl") for operator in ("&&", "||") * 3),
        _apply("(!{0})", "fl"),
        *[_compare] * 8,
        _equal,
        _has,
        _apply("{0}.contains({1})", "tx", "tx"),
        _apply("{0}.startsWith({1})", "tx", "tx"),
        _apply("{0}.endsWith({1})", "tx", "tx"),
        _apply("({0} in {1})", "nu", "li"),
        _apply("({0} in {1})", "tx", "ls"),
        _apply("({0} in {1})", "tx", "mp"),
        _apply("bool({0})", "fl"),
        _convert("bool({0})", ("true", "f", "1", "False", "x", "")),
        *(_macro(name) for name in ("all", "exists", "exists_one") * 2),
    ],
    "tx": [
        _apply("({0} + {1})", "tx", "tx"),
        _apply("string({0})", "nu"),
        _apply("string({0})", "fl"),
        _apply("string({0})", "tx"),
        _apply("string({0})", "by"),
        _apply("string({0})", "ti"),
        _apply("string({0})", "du"),
        _apply("{0}[{1}]", "ls", "nu"),
    ],
    "by": [
        _apply("({0} + {1})", "by", "by"),
        _apply("bytes({0})", "tx"),
        _apply("bytes({0})", "by"),
    ],
    "ti": [
        _apply("({0} + {1})", "ti", "du"),
        _apply("({1} + {0})", "ti", "du"),
        _apply("({0} - {1})", "ti", "du"),
        _apply("timestamp({0})", "ti"),
        _convert("timestamp({0})", _STAMPS),
    ],
    "du": [
        _apply("({0} + {1})", "du", "du"),
        _apply("({0} - {1})", "du", "du"),
        _apply("({0} - {1})", "ti", "ti"),
        _apply("duration({0})", "du"),
        _convert("duration({0})", _SPANS),
    ],
    "li": [
        _apply("({0} + {1})", "li", "li"),
        _apply("[{0}, {1}]", "nu", "nu"),
        lambda writer, depth: writer.body(depth, "filter", writer.write("li", depth), "nu", "fl"),
        _macro("map", "nu"),
        _macro("map3", "nu"),
    ],
    "ls": [
        _apply("({0} + {1})", "ls", "ls"),
        _apply("[{0}, {1}]", "tx", "tx"),
        lambda writer, depth: writer.body(depth, "filter", writer.write("ls", depth), "tx", "fl"),
        _macro("map", "tx"),
        _macro("map3", "tx"),
    ],
    "mp": [
        _apply("{{'a': {0}, 'b': {1}}}", "nu", "nu"),
        _apply("{{{0}: {1}, 'b': {2}}}", "tx", "nu", "nu"),
    ],
}  # fmt: skip
