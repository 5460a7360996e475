"""Rules as SQL: the checked trees of `ledger.rules` compiled for a table with a column a fact.

A value is NULL exactly where the evaluator of a node raises, so SQL's own three-valued logic is
CEL's absorption of errors, and which error it was is a second expression, made only where more than
one kind is possible. Nothing that is generated can fail at run time: whatever could overflow or
divide by zero is computed wide or by a function that gives NULL.
"""
