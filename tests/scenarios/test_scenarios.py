"""Every fault row of the consensus that can be told as a story, replayed (PBFT part 2).

The stories are the text files of this folder; what each must end in stands in them (`want`). Rows
that are about every moment, every size or very many blocks are run here directly.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from consensus.messages import Prepare
from tests.consensus.harness import WALL_MS, Bench, said
from tests.scenarios.runner import FOLDER, ScenarioError, load, play, replay
from tests.simulator.draw import Options, draw_schedule
from tests.simulator.mixes import BENIGN, LIARS
from tests.simulator.schedule import Schedule, ScheduleError, Step, parse_schedule
from tests.simulator.simulation import Simulation

STORIES = sorted(path.stem for path in FOLDER.glob("*.txt"))
FOUND = sorted((FOLDER / "found").glob("*.txt"))


def story(*lines: str) -> Schedule:
    """Return the schedule of a story told in a test."""
    return parse_schedule(lines)


def run(schedule: Schedule) -> Simulation:
    """Run a schedule with every checker; return where it has come to."""
    simulation = Simulation(schedule.seed, schedule=schedule)
    simulation.run()
    return simulation


def views(simulation: Simulation) -> set[int]:
    """Return the views in which honest members ended."""
    return {node.replica.view for node in simulation.nodes if node.is_honest}


# F1 and F2: at every moment


@pytest.mark.parametrize("member", range(4))
def test_f01_crash_of_any_member_at_any_time(member):
    base = story("nodes 4", "seed 1", "at 300 submit t1 to 1", "at 320 submit t2 to 2",
                 "at 1500 submit t3 to 3", "calm-after 4500")  # fmt: skip
    for at_ms in range(300, 372, 6):
        crash = Step(at_ms, "crash", (str(member),), 4000)
        ended = run(replace(base, steps=(*base.steps, crash)))
        assert ended.counts["acknowledged"] == 3
        assert views(ended) == {1 if member == 0 else 0}


def test_f01_crash_of_two_of_seven():
    base = story("nodes 7", "seed 1", "at 300 submit t1 to 3", "at 2500 submit t2 to 4",
                 "at 302 crash 1 for 6000", "calm-after 6500")  # fmt: skip
    for at_ms in (300, 308, 316, 324, 340):
        ended = run(replace(base, steps=(*base.steps, Step(at_ms, "crash", ("0",), 6000))))
        assert ended.counts["acknowledged"] == 2
        assert views(ended) == {2}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_f02_primary_crashes_between_each_pair_of_sends(moment):
    base = story("nodes 4", "seed 2", "at 300 submit t1 to 1", "at 1500 submit t2 to 2",
                 "calm-after 4500")  # fmt: skip
    for count in range(1, 15):
        crash = Step(299, "crash", ("0", moment, "send", str(count)), 4000)
        ended = run(replace(base, steps=(crash, *base.steps)))
        assert ended.counts[f"crashes: {moment} a send"] == 1
        assert ended.counts["acknowledged"] == 2
        assert views(ended) == {1}


# F3 to F35: stories


def test_f03_primaries_of_consecutive_views_crash():
    replay("f03-primaries-run-down")


@pytest.mark.parametrize("told", ["half", "all"])
def test_f04_equivocating_primary(told):
    replay(f"f04-equivocation-to-{told}")


def test_f05_primarys_own_prepares_do_not_count():
    replay("f05-own-prepares-counted")


def test_f06_primary_is_silent_to_one_backup():
    replay("f06-silent-to-one")


def test_f07_primary_skips_a_height():
    replay("f07-skipped-height")


def test_f08_f09_proposals_beyond_the_window():
    replay("f08-f09-beyond-the-window")


def test_f10_transaction_that_the_door_refuses():
    replay("f10-refused-at-the-door")


def test_f12_withheld_body():
    replay("f12-withheld-body")


def test_f13_votes_delayed_a_thousand_times_and_doubled():
    replay("f13-late-and-twice")


def test_f14_votes_of_old_views_replayed():
    replay("f14-replayed-votes")


def test_f15_view_changes_with_forged_certificates():
    replay("f15-forged-certificates")


def test_f16_f17_prepared_batch_and_checkpoint_hidden():
    replay("f16-f17-hidden-prepared")


@pytest.mark.parametrize("what", ["wrong-new-view", "usurped-view"])
def test_f18_new_views_that_are_wrong(what):
    replay(f"f18-{what}")


def test_f19_two_new_views_for_one_view():
    replay("f19-two-new-views")


def test_f20_new_view_shown_to_some_only():
    replay("f20-new-view-to-half")


def test_f21_view_changes_to_far_views():
    replay("f21-far-views")


def test_f22_view_change_storm():
    replay("f22-view-change-storm")


def test_f23_members_do_not_start_together():
    replay("f23-asymmetric-start")


def test_f24_locks_over_several_views():
    replay("f24-locks-over-views")


def test_f25_member_that_was_away_too_long():
    replay("f25-lagging-member")


def test_f26_source_that_lies():
    replay("f26-lying-source")


def test_f27_wrong_checkpoints():
    replay("f27-wrong-checkpoints")


def test_f28_primary_that_orders_nothing():
    replay("f28-idle-primary")


@pytest.mark.parametrize("what", ["slow-primary", "working-primary"])
def test_f28_primary_below_and_above_the_floor(what):
    replay(f"f28-{what}")


def test_f29_censored_client():
    replay("f29-censored-client")


def test_f30_byzantine_origin_and_flood():
    replay("f30-byzantine-origin")


def test_f31_request_at_all_members():
    replay("f31-request-at-all-members")


def test_f33_partition_without_a_quorum():
    replay("f33-no-quorum")


def test_f34_one_way_flapping_and_clogged_links():
    replay("f34-bad-links")


def test_f35_clocks_that_jump_and_stop():
    replay("f35-clocks")


def test_f39_votes_of_other_views_and_kinds():
    replay("f39-moved-votes")


def test_f41_f53_crashes_within_a_sync():
    replay("f41-f53-torn-sync")


def test_f45_cloned_home():
    replay("f45-cloned-home")


def test_f57_f59_damaged_vote_log():
    replay("f57-damaged-votes")


def test_f58_f60_disk_that_lies():
    replay("f58-f60-lying-disk")


def test_f61_stalled_disk():
    replay("f61-stalled-disk")


# F36 and F37: very many blocks, every size


def test_f36_primary_at_the_edge_of_skew():
    """Ten thousand blocks: chain time is ahead of the clock by the skew, and never by more."""
    bench = Bench(index=1)
    limits = bench.config.limits
    for height in range(1, 10_001):
        bench.wait(1)
        ahead_ms = bench.clock.wall_ms + limits.skew_ms
        if height % 2500 == 0:
            beyond = bench.make.batch(height, time_ms=ahead_ms + 1)
            assert said(bench.receive(bench.make.pre_prepare(0, beyond)), Prepare) == []
        bench.commit_height(bench.make.batch(height, time_ms=ahead_ms))
        bench.certify_height(height)
    assert bench.replica.stable_height == 10_000
    assert bench.clock.wall_ms == WALL_MS + 10_000


@pytest.mark.parametrize("size", range(4, 14))
@pytest.mark.parametrize("faults", [LIARS, BENIGN], ids=["liars", "benign"])
def test_f37_quorums_of_every_size(size, faults):
    options = Options(nodes=size, faults=faults, transactions=4, fault_ms=900)
    ended = run(replace(draw_schedule(size, options), flags=frozenset()))
    assert ended.counts["acknowledged"] > 0


# The runner itself


def test_every_story_is_told_by_a_test():
    source = (FOLDER / "test_scenarios.py").read_text(encoding="utf-8")
    assert [name for name in STORIES if name.partition("-")[0] not in source] == []


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_a_seed_has_found_holds_now(path):
    play(load(path))


def test_story_that_ends_otherwise_fails():
    scenario = load(FOLDER / "f28-idle-primary.txt")
    with pytest.raises(ScenarioError, match="want view 2, got"):
        play(replace(scenario, wants=("view 2",)))
    with pytest.raises(ScheduleError, match="cannot read want"):
        play(replace(scenario, wants=("peace",)))


@pytest.mark.parametrize("line", ["nodes four", "at soon crash 1", "option loud", "peace"])
def test_line_that_cannot_be_read_is_named(line):
    with pytest.raises(ScheduleError, match=line):
        story(line)


def test_schedule_reads_what_it_writes():
    schedule = load(FOLDER / "f20-new-view-to-half.txt").schedule
    assert story(*schedule.lines()) == schedule


def test_same_seed_same_run_whatever_the_hash_seed():
    command = [sys.executable, "-m", "tests.simulator.main", "--seed", "9", "--nodes", "5"]
    traces = [
        subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=FOLDER.parents[1],
            env={"PYTHONHASHSEED": hash_seed},
        ).stdout.splitlines()[-1]
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0].startswith("trace ")
