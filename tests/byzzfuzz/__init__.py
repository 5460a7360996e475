"""ByzzFuzz (F39): small mutations of one member's messages, and lost rounds, drawn from a seed.

One Byzantine member runs the right code; some of what it sends is changed a little on its way to
some of the others: a view or a height one off, a value that was right before, an earlier message
in place of this one, nothing at all. Some rounds of the network are cut in two. A round is a view
and a phase, so that a fault meets the same step of the protocol in every run. `mutations` changes
messages, `plan` draws the faults, `world` runs them, `main` is `scripts/byzzfuzz`.

After Winter et al., Randomized Testing of Byzantine Fault Tolerant Algorithms (OOPSLA 2023).
"""
