"""How DuckDB writes what the compiler needs; nothing else knows the engine.

`PLAIN` are integer operations that provably fit in 64 bits; `CHECKED` give NULL where the result
does not, or where the divisor is zero: they compute in 128 bits, which hold the product of any two
64-bit integers. `TEXTS` are functions of texts. Division truncates toward zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.rules.types import Kind
from ledger.rules.units import INT_MIN

TYPES: Mapping[Kind, str] = {Kind.BOOL: "BOOLEAN", Kind.INT: "BIGINT", Kind.STRING: "VARCHAR"}
PLAIN: Mapping[str, str] = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "neg": "(-{0})",
    "yuan": "({0} * 100)",
    "div": "({0} // NULLIF({1}, 0))",
    "mod": "({0} % NULLIF({1}, 0))",
    "mul_bp": "({0} * {1} // 10000)",
    "mul_bp_up": "({0} * {1} // 10000 + CAST({0} * {1} % 10000 > 0 AS BIGINT))",
    "ratio_bp": "({0} * 10000 // NULLIF({1}, 0))",
}
# INT_MIN % -1 is an error in CEL; the divisor is zero or it is that: no remainder.
_MOD_GUARD = f"{{1}} = 0 OR ({{0}} = CAST({INT_MIN} AS BIGINT) AND {{1}} = -1)"

_WIDE = "CAST({0} AS HUGEINT)"
CHECKED: Mapping[str, str] = {
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
}
TEXTS: Mapping[str, str] = {
    "concat": "({0} || {1})",
    "contains": "contains({0}, {1})",
    "size": "length({0})",
    "startsWith": "starts_with({0}, {1})",
    "endsWith": "ends_with({0}, {1})",
    "string(int)": "CAST({0} AS VARCHAR)",
    "string(bool)": "CAST({0} AS VARCHAR)",
}


def column(name: str) -> str:
    """Return a column's name, quoted."""
    text = name.replace('"', '""')
    return f'"{text}"'


def literal(value: int | bool | str) -> str:
    """Return a value of the rule language as SQL."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"CAST({value} AS BIGINT)"
    text = value.replace("'", "''")
    return f"'{text}'"


def null(kind: Kind) -> str:
    """Return a NULL of the type that values of `kind` have."""
    return f"CAST(NULL AS {TYPES[kind]})"
