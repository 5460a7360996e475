"""The rule language `smartrule/1`: schemas, scorecards, products and alerts (RULES.md).

Credit officers write TOML documents whose conditions are expressions of a strict, statically typed
subset of CEL. `lexer`, `parser` and `checker` turn an expression into a small typed tree (`tree`);
`cost` bounds it, `intervals` proves where it cannot overflow, and `closures` and `codegen` are two
evaluators of it that the tests hold against each other. `documents` reads the files and knows where
each word of them stands; `schema`, `windows`, `scorecard`, `product` and `alert` give them meaning.
Nothing here touches the state: facts and daily buckets are handed in.
"""
