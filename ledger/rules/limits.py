"""Every limit of the rule language, in one place; `format = "smartrule/1"` pins them (RULES.md)."""

from __future__ import annotations

MAX_FILE_BYTES = 64 * 1024
MAX_FILE_NESTING = 8  # of tables and arrays, and parts of a dotted key
MAX_FILE_PARTS = 2048  # keys, list items and tables: what reading a file costs, beside its bytes

MAX_EXPRESSION_BYTES = 4096
MAX_HEIGHT = 32  # of a syntax tree; a leaf has height 0
MAX_NODES = 500
MAX_NESTING = 64  # of brackets while parsing, for they need no node

MAX_COST = 10_000  # worst-case units of one expression
MAX_DOCUMENT_COST = 100_000
MAX_TEXT_CHARACTERS = 512  # a text fact that is longer counts as missing
MAX_LIST_ITEMS = 64  # assumed of a list variable; smartrule/1 documents have none

MAX_FEATURES = 1000
MAX_CONDITIONS = 64
MAX_BANDS = 64
MAX_CHARACTERISTICS = 64
MAX_WINDOWS = 16
