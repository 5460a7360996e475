"""A fixed sample of the mutants with seeds that kill them; `scripts/mutants` hunts them all."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.catalogue_records import RECORDS
from tests.mutants.catalogue_service import SERVICE
from tests.mutants.catalogue_views import VIEWS
from tests.mutants.catalogue_votes import VOTES
from tests.mutants.main import hunt_apart, main
from tests.mutants.mutant import Edit, MutantError, compute_source, install, one

SAMPLE = (
    ("quorum-of-2f+1", 1, "rule"),
    ("committed-with-q-1", 0, "before it is committed"),
    ("votes-of-past-views-counted", 0, "rule"),
    ("weak-quorum-of-f", 0, "joins view 1 on 1"),
    ("proposal-before-its-record", 0, "before it is durable"),
    ("restart-forgets-the-view", 0, "it left that"),
    ("taken-requests-stay-ready", 0, "orders a transaction twice"),
    ("no-empty-batch", 0, "chain time stands still"),
)


@pytest.mark.parametrize(("name", "seed", "how"), SAMPLE)
def test_known_seed_kills_mutant(name, seed, how):
    answer = hunt_apart(name, seed, seed)
    assert answer["seed"] == seed
    assert how in answer["how"]


def test_the_original_survives():
    assert hunt_apart(ORIGINAL.name, 0, 8)["how"] == ""


def test_there_are_enough_mutants_and_each_has_its_name():
    assert len(MUTANTS) == len([*VOTES, *VIEWS, *RECORDS, *SERVICE]) >= 60


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
    assert main(["--only", "quorum-of-2f+1", "--seeds", "1", "--jobs", "1"]) == 1
    assert "SURVIVED" in capsys.readouterr().out
