"""A fixed sample of the simulator; `scripts/simulate` runs any number of seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.effects import Evidence
from consensus.messages import Prepare
from tests.consensus.harness import Maker
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.draw import KINDS, draw_schedule
from tests.simulator.keys import FastKeyring, verifier_of
from tests.simulator.main import Request, main, run_chunk, run_requests
from tests.simulator.mixes import BENIGN
from tests.simulator.model_ledger import Body, ModelLedger
from tests.simulator.shrink import play, shrink
from tests.simulator.simulation import Options, Simulation
from tests.simulator.summary import summary_lines

LYING = frozenset({"byzantine", "twins", "disk", "crash", "reorder"})


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_benign_faults(size):  # F1, F2, F13, F33, F34, F35, F41, F43, F44
    outcome = run_chunk(range(7), size, BENIGN, is_real=False)
    assert outcome.failures == []
    reached = outcome.counts
    wanted = ("crashes: at any time", "restarts", "faults: partition", "faults: clog", "catch-ups")
    assert min(reached[what] for what in wanted) > 0
    assert reached["views entered"] > 0
    assert reached["acknowledged"] > 140


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_byzantine_members(size):  # F4 to F8, F12, F14, F16 to F18, F20, F21, F27
    outcome = run_chunk(range(100, 107), size, LYING, is_real=False)
    assert outcome.failures == []
    assert outcome.counts["evidence found"] > 0
    assert sum(number for name, number in outcome.counts.items() if name.startswith("lies")) > 0


def test_without_faults_the_view_stays_until_its_primary_crashes():  # rules 27 and 49
    outcome = run_chunk(range(4), 5, frozenset(), is_real=False)
    assert outcome.failures == []  # a view change in calm would be one
    assert outcome.counts["acts: primaries lost"] == 4
    assert outcome.counts["view changes: request timeout"] > 0


def test_real_signatures_change_nothing():
    outcome = run_chunk([3], 4, frozenset(KINDS), is_real=True)
    assert outcome.failures == []


def test_f11_real_ledger_executes_and_refuses_alike_everywhere():
    request = Request(
        4, frozenset({"crash", "byzantine", "loss", "partition"}), is_real_ledger=True
    )
    outcome = run_requests(range(3, 6), request)
    assert outcome.failures == []  # state roots, and stores entry by entry, are equal
    kinds = [name for name in outcome.counts if name.startswith("kinds: ")]
    assert sum(name.endswith("executed") for name in kinds) >= 2
    assert outcome.counts["kinds: loan.apply refused"] > 0


def test_mixes_reach_what_they_are_for():
    outcome = run_requests(range(60, 66), Request())
    assert outcome.failures == []
    assert outcome.counts["evidence found"] > 0
    assert outcome.counts["acts: seconds of service"] > 0
    lines = "\n".join(summary_lines(outcome.counts, frozenset(KINDS)))
    assert "never: " in lines
    assert "lies told: " in lines


def test_inserted_bug_is_shrunk_to_a_crash_and_a_request(monkeypatch):
    monkeypatch.setattr("consensus.replica.recover", lambda *arguments: None)
    drawn = draw_schedule(3, Options(nodes=4, faults=frozenset({"crash", "clog", "delay"})))
    shrunk, failure, _ = shrink(drawn)
    assert len(drawn.steps) > 30
    assert len(shrunk.steps) <= 5
    assert {step.verb for step in shrunk.steps} >= {"crash", "submit"}
    assert play(shrunk).kind == failure.kind
    monkeypatch.undo()
    assert play(shrunk) is None


def test_same_seed_same_run():
    options = Options(nodes=5, faults=frozenset(KINDS))
    first, second = (Simulation(11, options).run() for _ in range(2))
    assert first.trace == second.trace
    assert first.counts == second.counts
    assert Simulation(12, options).run().trace != first.trace


def test_command_line_prints_what_it_runs(capsys):
    assert main(["--seed", "1", "--nodes", "4", "--faults", "crash,loss"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seeds 1..1, commit ")
    assert "faults crash,loss" in printed
    assert "trace " in printed


def _ledger() -> ModelLedger:
    bodies = {bytes([n]) * 32: Body(bytes([n]) * 32, 1, 100) for n in range(5)}
    return ModelLedger(bodies, 10)


def test_checkers_see_a_fork():
    checkers = Checkers()
    checkers.submitted.update(_ledger().bodies)
    checkers.on_block(0, _ledger().execute(20, b"\x01" * 32, (b"\x01" * 32,)))
    with pytest.raises(ViolationError, match="forked at height 1"):
        checkers.on_block(1, _ledger().execute(20, b"\x02" * 32, (b"\x02" * 32,)))


def test_checkers_see_contradictory_votes():
    checkers = Checkers()
    vote = Prepare(0, 0, 1, b"\x01" * 32, 2, bytes(64))
    checkers.on_honest_send(2, vote)
    checkers.on_honest_send(2, vote)
    with pytest.raises(ViolationError, match="contradictory votes"):
        checkers.on_honest_send(2, Prepare(0, 0, 1, b"\x02" * 32, 2, bytes(64)))


def test_checkers_see_what_nobody_submitted():
    with pytest.raises(ViolationError, match="nobody submitted"):
        Checkers().on_block(0, _ledger().execute(20, b"\x01" * 32, (b"\x01" * 32,)))


def test_checkers_see_a_lost_acknowledgement():
    checkers, ledger = Checkers(), _ledger()
    checkers.submitted.update(ledger.bodies)
    block = ledger.execute(20, b"\x01" * 32, (b"\x01" * 32,))
    checkers.on_acknowledged(b"\x01" * 32, block)
    with pytest.raises(ViolationError, match="lost an acknowledged block 1"):
        checkers.check_end({0: [], 1: []}, 1)


def test_checkers_see_evidence_against_the_honest_and_what_is_none():
    make, checkers, verify = Maker(4), Checkers(), verifier_of(FastKeyring(4))
    first, second = (make.prepare(0, make.batch(1, number), 2) for number in (1, 2))
    found = Evidence(2, first, second)
    checkers.on_evidence(found, make.config, verify, frozenset({2}))
    with pytest.raises(ViolationError, match="evidence against honest member 2"):
        checkers.on_evidence(found, make.config, verify, frozenset({3}))
    forged = Evidence(2, first, replace(second, signature=bytes(64)))
    with pytest.raises(ViolationError, match="proves nothing: signature of the"):
        checkers.on_evidence(forged, make.config, verify, frozenset({2}))


def test_checkers_see_a_view_that_goes_back():
    make, checkers = Maker(4), Checkers()
    checkers.on_honest_send(1, make.view_change(4, 1))
    with pytest.raises(ViolationError, match="went back to view 3"):
        checkers.on_honest_send(1, make.view_change(3, 1))
    with pytest.raises(ViolationError, match="it left that"):
        checkers.on_honest_send(1, make.commit(3, make.batch(1), 1))
