"""A sample of ByzzFuzz runs (F39), and that a mutation is what it says."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from consensus.messages import Commit, NewView, Prepare, PrePrepare, ViewChange
from tests.byzzfuzz.main import main, run_seed
from tests.byzzfuzz.mutations import NAMES, Mutator
from tests.byzzfuzz.plan import PHASES, Plan, draw_plan, round_of
from tests.byzzfuzz.world import World, make_config
from tests.consensus.harness import Maker
from tests.simulator.checkers import ViolationError
from tests.simulator.keys import FastKeyring

SAMPLE = 48


def test_f39_sample_of_small_mutations():
    counts = Counter()
    for seed in range(SAMPLE):
        counts.update(run_seed(seed).counts)
    assert all(counts[f"mutations: {name}"] for name in NAMES)
    assert counts["views entered"] > SAMPLE
    assert counts["evidence"]


def make_mutator():
    """Return the mutator of member 0, which has met one other digest."""
    keyring = FastKeyring(4)
    mutator = Mutator(make_config(keyring, 0), keyring.signer(0))
    mutator.memory.digests.append(b"\x07" * 32)
    return mutator


@pytest.mark.parametrize(
    ("name", "is_changed"),
    [
        ("view", lambda before, after: abs(after.view - before.view) == 1),
        ("height", lambda before, after: abs(after.height - before.height) == 1),
        ("old value", lambda before, after: after.digest == b"\x07" * 32),
    ],
)
def test_a_mutated_vote_is_signed_and_differs_in_one_thing(name, is_changed):
    make = Maker(4)
    vote = Commit(0, 5, 3, make.digest(make.batch(3, 1)), 0, bytes(64))
    changed = make_mutator().mutate(name, vote, Random(1))
    assert is_changed(vote, changed)
    fields = ("view", "height", "digest", "signer")
    assert sum(getattr(vote, item) != getattr(changed, item) for item in fields) == 1
    assert changed.signature != vote.signature


def test_a_message_of_another_is_not_signed_anew():
    make = Maker(4)
    change = make.view_change(2, 3)
    changed = make_mutator().mutate("view", change, Random(1))
    assert changed.signature == change.signature


def test_nothing_is_sent_where_no_earlier_message_was():
    make = Maker(4)
    vote = make.prepare(0, make.batch(1, 1), 0)
    assert make_mutator().mutate("earlier message", vote, Random(1)) is None
    assert make_mutator().mutate("omit", vote, Random(1)) is None


def test_rounds_are_views_and_phases():
    make = Maker(4)
    batch = make.batch(1, 1)
    change = make.view_change(3, 1)
    rounds = {
        ViewChange: round_of(change, 0),
        NewView: round_of(make.new_view(3, [make.view_change(3, by) for by in (0, 1, 2)]), 0),
        PrePrepare: round_of(make.pre_prepare(3, batch), 0),
        Prepare: round_of(make.prepare(3, batch, 1), 0),
    }
    assert list(rounds.values()) == [3 * PHASES + phase for phase in range(4)]
    assert round_of(("relay", ()), 3) is None


def test_plans_follow_from_their_seeds():
    assert str(draw_plan(11)) == str(draw_plan(11))
    assert len({str(draw_plan(seed)) for seed in range(50)}) == 50


def test_f39_a_quorum_that_is_too_small_is_seen():
    # The first primary tells two members nothing of its proposals; with Q = 2 a pair is enough.
    changes = {2: ("old value", frozenset({2, 3})), 3: ("omit", frozenset({2, 3}))}
    world = World(Plan(4, 0, changes, {}), 0)
    for item in world.instances:
        object.__setattr__(item.replica._state.config, "quorum", 2)
    with pytest.raises(ViolationError):
        world.run()


def test_the_command_runs_seeds(capsys):
    assert main(["--seeds", "0..3", "--jobs", "1"]) == 0
    assert "4 seeds in" in capsys.readouterr().out
