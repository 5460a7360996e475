"""F45: two real processes run with one node's keys, one of them on a clone of its home.

Neither can see the other's lock. The program finds out all the same: a block certified with its
vote, which it has not given, or a vote that the others know and its log does not; then that home
votes no more (rule 46). Nearly always that is before it has contradicted itself; where both signed
first, the others keep the two messages as evidence against that key, and against no other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands.local import local_network
from commands.local.processes import find_free_ports
from ledger.membership.genesis import parse_genesis
from network.client import SyncClient
from network.methods import WatchStream
from tests.end_to_end.province import BASE_PORT, PATIENT, Province

TWIN = "D02"
OTHERS = ("D01", "D18", "icbc-gd")
ROUNDS = 600
HOLD_MS = 500
HOLD_SHORT_MS = 100
FAR = 2**62


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    """A network made and not yet started: what one key signs twice stays in its evidence."""
    network = local_network.make(
        tmp_path / "net",
        consortium=local_network.DEMO_CONSORTIUM,
        nodes=4,
        seed=45,
        as_of=None,
        base_port=BASE_PORT,
    )
    made = Province(network.folder, parse_genesis((network.folder / "genesis.bin").read_bytes()))
    yield made
    made.stop()


def test_f45_clone_of_a_home_finds_out_and_votes_no_more(province: Province) -> None:
    with twins(province):
        told = wait_for_refusal(province)
    assert "E6204" in told
    assert "another process uses the same key" in told or "does not remember" in told
    for node in OTHERS:
        kept = province.client("D18", node).query("evidence.list")["evidence"]
        assert {piece["member"] for piece in kept} <= {TWIN}


@contextmanager
def twins(province: Province) -> Iterator[None]:
    """Clone the home of the first primary whole, run both homes, and the others."""
    home = province.home(TWIN)
    clone = home.with_name("clone")
    shutil.copytree(home, clone)
    port = find_free_ports(2, BASE_PORT + 20)
    config = (clone / "config.toml").read_text()
    config = re.sub("^listen = .*$", f'listen = "127.0.0.1:{port}"', config, flags=re.M)
    config = re.sub("^metrics = .*$", f'metrics = "127.0.0.1:{port + 1}"', config, flags=re.M)
    (clone / "config.toml").write_text(config)
    processes = [start(folder) for folder in (home, clone)]
    try:
        local_network.start(province.network, OTHERS)
        wait_until_both_lead(province, [folder / "log" for folder in (home, clone)])
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(600)


def wait_until_both_lead(province: Province, logs: list[Path]) -> None:
    """Wait until both have leave to vote: the first view is theirs, and nothing is asked yet."""
    client = province.client("D18", "D18")
    for _ in range(10 * ROUNDS):
        if all('"event": "this node may vote"' in log.read_text() for log in logs):
            return
        client.watch(WatchStream.BLOCKS, FAR, limit=1, wait_ms=HOLD_SHORT_MS)
    raise AssertionError("the twins do not vote")


def start(home: Path) -> subprocess.Popen[bytes]:
    """Run a node on a home, its output in the home's log."""
    with (home / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-m", "node", "run", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
        )


def wait_for_refusal(province: Province) -> str:
    """Put load on the network until one of the twins says that it votes no more."""
    logs = [province.home(TWIN).with_name(name) / "log" for name in (TWIN, "clone")]
    with SyncClient(province.profile("D01", "D01"), PATIENT) as client:
        for _ in range(ROUNDS):
            client.submit(client.sign("company.bind", province.new_company()[2]))
            client.watch(WatchStream.BLOCKS, FAR, limit=1, wait_ms=HOLD_MS)
            for line in [line for log in logs for line in log.read_text().splitlines()]:
                if '"error": 6204' in line:
                    return f"E6204 {line}"
    raise AssertionError(f"neither twin noticed the other in {ROUNDS} rounds")
