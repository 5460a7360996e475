"""Members that fall far behind take a state, among crashes, liars, changes of members (rule 41)."""

from __future__ import annotations

from collections import Counter

from tests.simulator.simulation import Options, Simulation

FAULTS = frozenset({"outage", "crash", "byzantine", "members"})
SEEDS = (0, 2, 3, 5, 10, 11)  # of the first dozen, those in which somebody falls so far behind


def test_f25_who_is_far_behind_takes_a_state_and_votes_on():
    """Agreement, no contradicting votes, service within the bound: the checkers of every run."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        run = Simulation(seed, Options(faults=FAULTS, transactions=40, has_snapshots=True))
        run.run()
        counts.update(run.counts)
    assert counts["state transfers: installed"] >= len(SEEDS)
    assert counts["state transfers: begun"] > counts["state transfers: installed"]
    assert counts["epochs entered"] > 0
    assert counts["restarts"] > 0
