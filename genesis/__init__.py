"""Genesis: the first document of a chain, and what it is built from.

`networks/` holds what a province knows before the first block, as tables that are edited by hand:
departments, categories, schemas, fields, and rule files. `network` reads those tables; `builder`
joins them with a consortium file (who takes part, with which certificates) into the genesis
document, whose hash is the chain id; `local` makes keys and a consortium for a network on one
machine; `synthetic` makes up companies and their records, and `demo/` holds the ones of the
demonstration. Nothing here runs in a block.
"""
