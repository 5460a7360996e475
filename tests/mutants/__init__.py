"""Mutants of the consensus core: one broken line each, and the seed of the simulator that sees it.

A rule that can be broken by a line without any seed telling is a hole in the checkers or in the
faults of the simulator. `mutant` says what a mutant is and puts it in place of its module while
that is imported, never in the tree; the `catalogue_*` modules list them; `hunt` looks for the seed
that kills one; `main` is `scripts/mutants`. Unit tests do not count here: the simulator does.
"""
