"""Mutants that no seed of the hunt kills, and the test of the core that does.

Each needs several things at once that chance seldom brings together, or is made good by a rule
beside it, within the bound; the comment says which. The test is named here and run with the mutant
in place, in a process of its own: it must fail there, and with the original all of them must pass.
"""

from __future__ import annotations

import sys

from tests.mutants.catalogue import MUTANTS, ORIGINAL
from tests.mutants.mutant import install

_VIEW = "tests/consensus/test_view_change.py::"
_EPOCHS = "tests/consensus/test_epochs.py::"
_ALONE = "tests/consensus/test_left_alone.py::"

TESTS: dict[str, str] = {
    # An entry of O must be 30 s old by the own clock, and the PREPARE of that member be needed.
    "freshness-checked-on-re-proposal": _VIEW + "test_re_proposal_is_not_checked_for_freshness",
    # The primary of a later view must lie about O while something is prepared that it leaves out.
    "wrong-set-of-proposals-accepted": (
        _VIEW + "test_new_view_with_a_wrong_o_is_rejected_and_the_view_advanced"
    ),
    # A NEW-VIEW must come after the new-view timer, and its VIEW-CHANGEs, though superseded by
    # then, be had from others.
    "past-new-view-entered": _VIEW + "test_new_view_below_the_own_view_change_is_ignored",
    # The other members' timers, and the idle timer, depose the same primary within the bound.
    "nothing-watched-in-a-new-view": (
        _VIEW + "test_own_requests_are_relayed_at_the_entry_into_a_view"
    ),
    # A view change must begin before the first block of an epoch whose quorum is another one.
    "last-certificate-held-against-the-new-quorum": (
        _EPOCHS + "test_f82_view_change_of_the_new_epoch_shows_the_certificate_of_the_old"
    ),
    # The members that brought the requests watch them too, and depose the primary with others.
    "proposed-requests-not-watched": (
        _VIEW + "test_f05_proposal_that_is_never_prepared_is_watched_whoever_brought_its_requests"
    ),
    # It costs the clients of one member half a second; no bound on recovery is as tight.
    "who-left-a-view-waits-for-its-log": (
        _ALONE + "test_who_left_a_view_fetches_each_certified_block_at_once"
    ),
    # The simulated clients ask other members when one is slow.
    "who-left-a-view-offers-nothing": (
        _ALONE + "test_what_was_taken_while_the_links_were_down_is_offered_when_they_are_up"
    ),
    # The simulated shell takes its time before it gives up.
    "asks-in-vain-without-end": _ALONE + "test_who_left_a_view_does_not_ask_without_end",
    # The simulated shell asks the other sources of one fetch too.
    "stays-with-a-silent-source": (
        _ALONE + "test_who_left_a_view_asks_the_same_source_while_it_serves"
    ),
}


def run_tests(name: str) -> int:
    """Run the test of a mutant, or with the original all of them; return pytest's exit code."""
    tests = sorted(set(TESTS.values())) if name == ORIGINAL.name else [TESTS[name]]
    install(ORIGINAL if name == ORIGINAL.name else MUTANTS[name])
    import pytest  # with the mutant in place, as all that it imports

    return pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1]))
