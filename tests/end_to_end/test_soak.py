"""A short soak, as `./scripts/soak` runs a long one; and its judge, who must be able to say no.

Real processes, so what is struck follows from the seed but when does not: the test asks that the
faults happened and that nothing came of them, not for a certain order.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.frame import Exit
from commands.session import CLIENTS
from commands.soak.judge import Judge, measure_growth
from commands.soak.nodes import Life, SoakNode
from network.profile import Profile
from network.soak.load import Acknowledged, Load
from tests.end_to_end.province import BASE_PORT, MEMBERS, Province

SEED = 20
KINDS = ("kill", "pause", "cut", "slow", "clock", "full-disk")
STRUCK_MIN = 3
ROOT = Path(__file__).parents[2]


def test_f33_f35_f41_f42_f55_short_soak() -> None:
    done = subprocess.run(  # noqa: S603  our own interpreter, our own module
        [sys.executable, "-m", "commands.soak", "--minutes", "0.2", "--seed", str(SEED),
         "--strikes", str(STRUCK_MIN), "--patience", "900", "--base-port", str(BASE_PORT + 48),
         "--rate", "10", "--faults", ",".join(KINDS), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )  # fmt: skip
    assert done.returncode == Exit.OK, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.stderr.startswith(f"seed {SEED}, ")
    assert report["findings"] == []
    assert len(report["struck"]) >= STRUCK_MIN
    assert {item["kind"] for item in report["struck"]} <= set(KINDS)
    assert report["acknowledged"] == report["receipts"] > 0
    assert report["blocks"] > 0
    assert set(report["audits"].values()) == {"VALID"}
    assert len(report["audits"]) == report["nodes"] == 4


@pytest.fixture
def judge(province: Province) -> Judge:
    """A judge of the running network, and a load that has acknowledged one transaction."""
    nodes = [SoakNode(member, province.home(member), province.net) for member in MEMBERS]
    load = Load(Profile.load(province.net / CLIENTS / "D02"), rate=1, seed=1)
    receipt = province.send("D01", "company.bind", province.new_company()[2])
    header = receipt.header
    done = Acknowledged(receipt.transaction_id, 0, header.height, header.hash(), 0.0)
    load.acknowledged.append(done)
    for member in MEMBERS:
        province.block_hash(member, header.height)
    return Judge(nodes, load, province.net)


def look(judge: Judge) -> list[str]:
    """Let the judge look at the running network, but for what would stop its nodes."""
    (done,) = judge.load.acknowledged
    judge.compare_blocks(done.height)
    judge.check_fates()
    judge.check_receipts()
    return judge.verdict.findings


def test_judge_finds_nothing_where_nothing_is(judge: Judge) -> None:
    assert look(judge) == []
    assert judge.verdict.receipts == 1


def test_rule_38_judge_finds_what_was_acknowledged_and_is_not_there(judge: Judge) -> None:
    judge.load.acknowledged[0] = replace(judge.load.acknowledged[0], id=bytes(32))
    findings = look(judge)
    lost = [text for text in findings if "lost 1 acknowledged" in text]
    assert [text.split()[0] for text in lost] == list(MEMBERS)
    assert any("has no receipt of 0000" in text for text in findings)


@pytest.mark.parametrize("change", [{"block_hash": bytes(32)}, {"code": 2001}])
def test_judge_finds_what_differs_from_the_first_receipt(
    judge: Judge, change: dict[str, Any]
) -> None:
    judge.load.acknowledged[0] = replace(judge.load.acknowledged[0], **change)
    assert any("has another receipt of" in text for text in look(judge))


def test_growth_is_measured_after_the_warm_up() -> None:
    steady = Life(0.0, [(float(at), 60.0 if at > 25 else at) for at in range(200)])
    growing = Life(0.0, [(float(at), 60.0 + at / 2) for at in range(240)])
    assert measure_growth([Life(0.0, [(31.0, 60.0)])]) is None
    calm = measure_growth([steady])
    assert calm is not None
    assert (calm["warm_mib"], calm["end_mib"]) == (60.0, 60.0)
    assert abs(calm["slope_mib_per_minute"]) < 1e-9
    grown = measure_growth([steady, growing])
    assert grown is not None
    assert abs(grown["slope_mib_per_minute"] - 30) < 1e-6
    assert grown["end_mib"] - grown["warm_mib"] > 80
