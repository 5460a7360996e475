"""Matching a province: every company of a snapshot against every product, by SQL.

`rules` finds the products in force, `plan` compiles them together into one query over a table of
facts, `duck` runs it over a part of them, `run` over all parts on the cores of this machine and
`spark` on those of a cluster, `answers` reads what they write and holds it against the decision of
a node's own evaluator, `summary` counts.
"""
