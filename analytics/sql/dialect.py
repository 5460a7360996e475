"""What DuckDB and Spark write differently: all of it, and nothing else knows which one it is.

`plain` are integer operations that provably fit in 64 bits; `checked` give NULL where the result
does not, or where the divisor is zero; `texts` are functions of texts. DuckDB computes wide in 128
bits, Spark in 38 decimal digits: both hold the product of any two 64-bit integers. Division
truncates toward zero in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.rules.types import Kind
from ledger.rules.units import INT_MAX, INT_MIN

# |dividend| below this bound: the quotient by 10000 fits in 64 bits.
_BP_END = (INT_MAX + 1) * 10_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """The spellings of one engine."""

    name: str
    quote: str  # around the name of a column
    backslash_escapes: bool  # whether a text literal reads "\\" as an escape
    types: Mapping[Kind, str]
    plain: Mapping[str, str]
    checked: Mapping[str, str]
    texts: Mapping[str, str]

    def column(self, name: str) -> str:
        """Return a column's name, quoted."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def literal(self, value: int | bool | str) -> str:
        """Return a value of the rule language as SQL."""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int):
            return f"CAST({value} AS BIGINT)"
        text = value.replace("'", "''")
        if self.backslash_escapes:
            text = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{text}'"

    def null(self, kind: Kind) -> str:
        """Return a NULL of the type that values of `kind` have."""
        return f"CAST(NULL AS {self.types[kind]})"


_TEXTS = {"concat": "({0} || {1})", "contains": "contains({0}, {1})", "size": "length({0})"}
_PLAIN = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "neg": "(-{0})",
    "yuan": "({0} * 100)",
}
# INT_MIN % -1 is an error in CEL; the divisor is zero or it is that: no remainder.
_MOD_GUARD = f"{{1}} = 0 OR ({{0}} = CAST({INT_MIN} AS BIGINT) AND {{1}} = -1)"

_WIDE = "CAST({0} AS HUGEINT)"
DUCKDB = Dialect(
    "duckdb",
    '"',
    False,
    {Kind.BOOL: "BOOLEAN", Kind.INT: "BIGINT", Kind.STRING: "VARCHAR"},
    {
        **_PLAIN,
        "div": "({0} // NULLIF({1}, 0))",
        "mod": "({0} % NULLIF({1}, 0))",
        "mul_bp": "({0} * {1} // 10000)",
        "mul_bp_up": "({0} * {1} // 10000 + CAST({0} * {1} % 10000 > 0 AS BIGINT))",
        "ratio_bp": "({0} * 10000 // NULLIF({1}, 0))",
    },
    {
        "add": f"TRY_CAST({_WIDE} + {{1}} AS BIGINT)",
        "sub": f"TRY_CAST({_WIDE} - {{1}} AS BIGINT)",
        "mul": f"TRY_CAST({_WIDE} * {{1}} AS BIGINT)",
        "neg": f"TRY_CAST(-{_WIDE} AS BIGINT)",
        "yuan": f"TRY_CAST({_WIDE} * 100 AS BIGINT)",
        "div": f"TRY_CAST({_WIDE} // NULLIF({{1}}, 0) AS BIGINT)",
        "mod": f"CASE WHEN {_MOD_GUARD} THEN NULL ELSE CAST({_WIDE} % {{1}} AS BIGINT) END",
        "mul_bp": f"TRY_CAST({_WIDE} * {{1}} // 10000 AS BIGINT)",
        "mul_bp_up": f"TRY_CAST({_WIDE} * {{1}} // 10000 + "
        f"CAST({_WIDE} * {{1}} % 10000 > 0 AS BIGINT) AS BIGINT)",
        "ratio_bp": f"TRY_CAST({_WIDE} * 10000 // NULLIF({{1}}, 0) AS BIGINT)",
    },
    {
        **_TEXTS,
        "startsWith": "starts_with({0}, {1})",
        "endsWith": "ends_with({0}, {1})",
        "string(int)": "CAST({0} AS VARCHAR)",
        "string(bool)": "CAST({0} AS VARCHAR)",
    },
)

_DECIMAL = "CAST({0} AS DECIMAL(38,0))"
_OTHER = "CAST({1} AS DECIMAL(38,0))"
_PRODUCT = f"({_DECIMAL} * {_OTHER})"
# The dividend less its remainder divides exactly, so that decimal division rounds nothing.
_SCALED = f"({_DECIMAL} * 10000)"
SPARK = Dialect(
    "spark",
    "`",
    True,
    {Kind.BOOL: "BOOLEAN", Kind.INT: "BIGINT", Kind.STRING: "STRING"},
    {
        **_PLAIN,
        "div": "({0} div NULLIF({1}, 0))",
        "mod": "({0} % NULLIF({1}, 0))",
        "mul_bp": "({0} * {1} div 10000)",
        "mul_bp_up": "({0} * {1} div 10000 + CAST({0} * {1} % 10000 > 0 AS BIGINT))",
        "ratio_bp": "({0} * 10000 div NULLIF({1}, 0))",
    },
    {
        "add": "try_add({0}, {1})",
        "sub": "try_subtract({0}, {1})",
        "mul": "try_multiply({0}, {1})",
        "neg": "try_subtract(CAST(0 AS BIGINT), {0})",
        "yuan": "try_multiply({0}, CAST(100 AS BIGINT))",
        "div": "CASE WHEN {1} = -1 THEN try_subtract(CAST(0 AS BIGINT), {0}) "
        "ELSE {0} div NULLIF({1}, 0) END",
        "mod": f"CASE WHEN {_MOD_GUARD} THEN NULL ELSE {{0}} % {{1}} END",
        "mul_bp": f"CASE WHEN {_PRODUCT} > -{_BP_END + 10_000} AND {_PRODUCT} < {_BP_END} "
        f"THEN {_PRODUCT} div 10000 END",
        "mul_bp_up": f"CASE WHEN {_PRODUCT} > -{_BP_END + 10_000} "
        f"AND {_PRODUCT} <= {_BP_END - 10_000} "
        f"THEN {_PRODUCT} div 10000 + CAST({_PRODUCT} % 10000 > 0 AS BIGINT) END",
        "ratio_bp": f"try_cast(({_SCALED} - {_SCALED} % NULLIF({{1}}, 0)) "
        "/ NULLIF({1}, 0) AS BIGINT)",
    },
    {
        **_TEXTS,
        "startsWith": "startswith({0}, {1})",
        "endsWith": "endswith({0}, {1})",
        "string(int)": "CAST({0} AS STRING)",
        "string(bool)": "CAST({0} AS STRING)",
    },
)
