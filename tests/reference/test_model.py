"""The reference model: what it demands, line by line; and the simulator held against it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.reference.main import main
from tests.reference.model import NULL, BreachError, Reference, compute_opening, compute_quorum
from tests.reference.recorder import Recorder
from tests.simulator.draw import Options
from tests.simulator.mixes import options_of
from tests.simulator.simulation import Simulation

D, E, H1 = "digest", "other digest", "block 1"
START = ("start", 0, 1, 4, 4, 0, None, ())


def change(view, signer, proofs=(), certificate=None):
    """Return a VIEW-CHANGE of epoch 0."""
    height = certificate[2] if certificate else 0
    name = f"change of {signer} to {view}"
    return ("view-change", 0, view, height, certificate, proofs, signer, name)


PROOF = (0, 1, D, (1, 2))
OWN = change(1, 1, (PROOF,))
CHANGES = (change(1, 0), OWN, change(1, 2))
NEW_VIEW = ("new-view", 0, 1, tuple((item[6], item[7]) for item in CHANGES), ((1, D),), 1)

# Member 1 of 4: a height in view 0, then it leads view 1 and proposes again what was prepared.
NORMAL = (
    START,
    ("received", ("pre-prepare", 0, 0, 1, D, 0)),
    ("persisted", ("accepted", 0, 0, 1, D)),
    ("sent", ("prepare", 0, 0, 1, D, 1)),
    ("received", ("prepare", 0, 0, 1, D, 2)),
    ("persisted", ("prepared", 0, 0, 1, D, (1, 2))),
    ("sent", ("commit", 0, 0, 1, D, 1)),
)
EXECUTION = (
    ("received", ("commit", 0, 0, 1, D, 0)),
    ("received", ("commit", 0, 0, 1, D, 3)),
    ("executed", 1, D, H1, None),
    ("sent", ("checkpoint", 0, 1, H1, 1)),
)
VIEW_CHANGE = (
    ("persisted", ("left", OWN)),
    ("sent", OWN),
    ("received", CHANGES[0]),
    ("received", CHANGES[2]),
    ("persisted", ("entered", NEW_VIEW, CHANGES)),
    ("sent", NEW_VIEW),
    ("persisted", ("accepted", 0, 1, 1, D)),
    ("sent", ("pre-prepare", 0, 1, 1, D, 1)),
)


def check(*lines):
    """Let the model judge one node."""
    reference = Reference()
    reference.check(("node", *line) for line in lines)
    return reference


def without(lines, place):
    """Return the lines but for one."""
    return lines[:place] + lines[place + 1 :]


def test_what_the_rules_allow_is_allowed():
    assert check(*NORMAL, *EXECUTION).votes == 3
    assert check(*NORMAL, *VIEW_CHANGE).votes == 5


@pytest.mark.parametrize(
    ("missing", "rule"),
    [
        (1, "rule 6"),
        (2, "rule 43"),
        (4, "rule 9"),
        (5, "rule 43"),
        (7, "rule 11"),
        (8, "rule 11"),
        (9, "rules 42, 43"),
    ],
)
def test_each_line_of_the_normal_case_is_needed(missing, rule):
    with pytest.raises(BreachError, match=rule):
        check(*without(NORMAL + EXECUTION, missing))


@pytest.mark.parametrize(
    ("missing", "rule"), [(0, "rule 43"), (2, "rule 29"), (3, "rule 29"), (4, "rule 43")]
)
def test_each_line_of_the_view_change_is_needed(missing, rule):
    with pytest.raises(BreachError, match=rule):
        check(*NORMAL, *without(VIEW_CHANGE, missing))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (("persisted", ("accepted", 0, 0, 1, E)), "rule 8"),
        (("persisted", ("accepted", 0, 0, 5, D)), "rule 6"),
        (("persisted", ("accepted", 0, 0, 2, NULL)), "rule 30"),
        (("persisted", ("accepted", 0, 1, 2, D)), "rule 33"),
        (("persisted", ("prepared", 0, 0, 1, D, (0, 1))), "rules 7, 9"),
        (("persisted", ("prepared", 0, 0, 1, D, (1, 2, 3))), "rules 7, 9"),
        (("persisted", ("left", change(1, 1))), "rule 24"),
        (("persisted", ("left", change(1, 2, (PROOF,)))), "rule 5"),
        (
            ("persisted", ("left", change(1, 1, (), ("certificate", 0, 1, H1, (0, 1, 2))))),
            "rule 24",
        ),
        (("received", ("certificate", 0, 1, H1, (0, 1, 2, 3))), "rule 18"),
        (("executed", 2, D, "block 2", None), "rule 13"),
        (("installed", 1, D, H1, None), "rule 41"),
        (("sent", ("pre-prepare", 0, 0, 1, D, 1)), "rule 7"),
        (("sent", ("prepare", 0, 0, 1, D, 2)), "rule 5"),
        (("sent", change(2, 3)), "rule 29"),
        (("sent", NEW_VIEW), "rule 43"),
        (("sent", ("commit", 1, 0, 1, D, 1)), "rule 2"),
    ],
)
def test_what_the_rules_forbid_is_found(line, rule):
    with pytest.raises(BreachError, match=rule):
        check(*NORMAL, line)


@pytest.mark.parametrize(
    ("message", "changes", "rule"),
    [
        ((*NEW_VIEW[:4], ((1, E),), 1), CHANGES, "rules 30, 32"),
        ((*NEW_VIEW[:3], NEW_VIEW[3][:2], *NEW_VIEW[4:]), CHANGES[:2], "rule 29"),
        ((*NEW_VIEW[:5], 2), CHANGES, "rule 4"),
    ],
)
def test_a_new_view_that_is_not_what_v_makes_is_found(message, changes, rule):
    with pytest.raises(BreachError, match=rule):
        check(*NORMAL, *VIEW_CHANGE[:4], ("persisted", ("entered", message, changes)))


def test_a_vote_below_the_own_view_change_is_found():  # rule 44
    with pytest.raises(BreachError, match="rule 44"):
        check(*NORMAL, *VIEW_CHANGE[:2], NORMAL[6])


def test_nothing_is_accepted_beyond_the_end_of_an_epoch():  # rule 2
    ending = (*EXECUTION[:2], ("executed", 1, D, H1, 3))
    at_end = ("received", ("pre-prepare", 0, 0, 3, E, 0))
    with pytest.raises(BreachError, match="rule 2"):
        check(*NORMAL, *ending, at_end, ("persisted", ("accepted", 0, 0, 3, E)))


def test_what_was_received_in_an_earlier_life_is_not_forgotten():
    check(*NORMAL[:5], START, *NORMAL[5:])


def test_what_the_log_held_at_a_start_needs_no_lines_before():
    restored = (("restored", ("accepted", 0, 0, 1, D)), ("restored", NORMAL[5][1]))
    check(START, *restored, NORMAL[3], NORMAL[6])


@pytest.mark.parametrize(("size", "quorum"), [(4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (26, 18)])
def test_the_quorum_is_the_least_that_intersects(size, quorum):
    assert compute_quorum(size) == quorum


def test_the_highest_view_decides_and_gaps_are_null():
    proofs = ((3, 3, E, ()), (1, 1, D, ())), ((2, 3, D, ()),)
    low, opening = compute_opening((change(4, 0, proofs[0]), change(4, 1, proofs[1])))
    assert (low, opening) == (0, {1: D, 2: NULL, 3: E})


def test_the_model_shares_no_code_with_what_it_judges():
    tree = ast.parse((Path(__file__).parent / "model.py").read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module]
            if isinstance(node, ast.ImportFrom)
            else [item.name for item in node.names]
        )
        if name is not None
    }
    assert names <= set(sys.stdlib_module_names) | {"__future__"}


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 8, 9])
def test_the_simulator_keeps_to_the_model(seed):
    simulation = Simulation(seed, options_of(seed))
    recorder = Recorder(simulation)
    simulation.run()
    assert recorder.reference.votes > 100


def test_members_that_change_keep_to_the_model():  # rule 2
    faults = frozenset({"members", "crash", "loss", "delay"})
    simulation = Simulation(11, Options(nodes=7, faults=faults))
    recorder = Recorder(simulation)
    simulation.run()
    assert max(max(node.epochs) for node in recorder.reference.nodes.values()) > 0


def test_a_trace_without_one_of_its_records_is_a_breach():
    simulation = Simulation(5, options_of(5))
    recorder = Recorder(simulation)
    lines = []
    feed = recorder.reference.feed
    recorder.reference.feed = lambda line: (lines.append(line), feed(line))
    simulation.run()
    places = [place for place, line in enumerate(lines) if line[1] == "persisted"]
    assert len(places) > 50
    for place in places[: 4 * len(places) // 5 : 7]:
        with pytest.raises(BreachError):
            Reference().check(without(lines, place))


def test_the_command_judges_seeds(capsys):
    assert main(["--seeds", "0..0"]) == 0
    assert "messages judged" in capsys.readouterr().out
