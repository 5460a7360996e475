"""A fixed sample of the mutants with seeds that kill them; `scripts/mutants` hunts them all."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutants.by_test import TESTS
from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.catalogue_epochs import EPOCHS
from tests.mutants.catalogue_records import RECORDS
from tests.mutants.catalogue_service import SERVICE
from tests.mutants.catalogue_views import VIEWS
from tests.mutants.catalogue_votes import VOTES
from tests.mutants.directed import hunting_schedule, lie_of, mix_of, order_seeds
from tests.mutants.main import SEEDS, hunt_apart, load_known, main, try_test
from tests.mutants.mutant import Edit, MutantError, compute_source, install, one
from tests.simulator.byzantine import BEHAVIOURS

SAMPLE = (
    "quorum-of-2f+1",
    "committed-with-q-1",
    "votes-of-past-views-counted",
    "weak-quorum-of-f",
    "proposal-before-its-record",
    "restart-forgets-the-view",
    "taken-requests-stay-ready",
    "window-beyond-the-epoch",
)
TEST_SAMPLE = ("past-new-view-entered", "last-certificate-held-against-the-new-quorum")


@pytest.mark.parametrize("name", SAMPLE)
def test_known_seed_kills_mutant(name):
    seed = load_known()[name]
    answer = hunt_apart(name, [seed])
    assert answer["seed"] == seed, answer["how"]


@pytest.mark.parametrize("name", TEST_SAMPLE)
def test_named_test_kills_mutant(name):
    answer = try_test(name)
    assert answer["test"], answer["how"]
    assert TESTS[name] in answer["how"]


def test_the_original_passes_the_named_tests():
    assert set(TESTS) <= set(MUTANTS)
    assert try_test(ORIGINAL.name)["how"] == ""


def test_known_seeds_are_of_mutants_and_within_the_hunt():
    assert set(load_known()) <= set(MUTANTS)
    assert all(0 <= seed < SEEDS for seed in load_known().values())


def test_seeds_are_tried_in_the_order_of_the_hunt():
    order = order_seeds(1000, "epoch-never-over", 7)
    assert order[0] == 7
    assert {mix_of(seed) for seed in order[1:100]} == {"members"}
    assert sorted(order) == list(range(1000))
    told = order_seeds(1000, "anyone-may-propose", None)
    assert {lie_of(seed) for seed in told[:10]} == {"usurp"}


def test_each_lie_is_told_alone_and_beside_others():
    lines = [line for seed in range(1000) for line in hunting_schedule(seed).liars]
    alone = Counter(line.behaviours[0] for line in lines if len(line.behaviours) == 1)
    assert set(alone) == set(BEHAVIOURS)
    assert max(len(line.behaviours) for line in lines) > 3


def test_the_original_survives():
    assert hunt_apart(ORIGINAL.name, range(8))["how"] == ""


def test_there_are_enough_mutants_and_each_has_its_name():
    assert len(MUTANTS) == len([*VOTES, *VIEWS, *RECORDS, *SERVICE, *EPOCHS]) >= 60


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=list(MUTANTS))
def test_each_mutant_fits_the_source(mutant):
    assert mutant.rules
    for module in {edit.module for edit in mutant.edits}:
        compile(compute_source(module, mutant.edits), module, "exec")


def test_an_edit_that_does_not_fit_is_refused():
    with pytest.raises(MutantError, match="want 1"):
        compute_source("consensus.quorum", [Edit("consensus.quorum", "not there", "x")])


def test_a_module_that_is_imported_already_is_refused():
    with pytest.raises(MutantError, match=r"tests\.mutants\.mutant is imported already"):
        install(one("late", [1], ("tests.mutants.mutant", "import sys\n", "import os\n"), ""))


def test_the_command_lists_rules_and_names_survivors(capsys):
    assert main(["--list"]) == 0
    assert "quorum-of-2f+1" in capsys.readouterr().out
    # Seed 0 has n = 4, where 2f+1 is the quorum.
    assert main(["--only", "quorum-of-2f+1", "--seeds", "1", "--jobs", "1", "--fresh"]) == 1
    assert "SURVIVED" in capsys.readouterr().out
