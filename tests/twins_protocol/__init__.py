"""Twins, exhaustively (F38): four members, one of them twice, every schedule of four views.

A twin is two correct replicas with one key; between them a twin does whatever Byzantine behaviour
can come of two honest halves: equivocation, double votes, forgotten votes. Of the five instances
each member is twinned in turn; each of the views 0 to 3 has one of the 15 two-way splits of the
five, and a message obeys the split of its view; then the network is whole. So there are
4 × 15⁴ = 202,500 schedules. `instance` is one replica with a model ledger, `world` joins five,
`clone` copies a world, `explore` walks the tree of schedules, `main` is `scripts/twins`.

After Bano et al., Twins: BFT Systems Made Robust (OPODIS 2021).
"""
