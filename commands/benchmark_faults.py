"""`./scripts/bench --faults`: the speed with f members down, and with f lying and one flooding.

The issue asks for 70 % and 50 % of the speed with all up, measured in the same run, and that no
view ends by a timeout while it is measured. The members that are down and that lie are the first
f, so the primary of the first view is among them. Attackers are processes of their own on the same
machine: what they use of its processor is printed, and is lost to the nodes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from commands import local_network
from commands.console import say, show_table
from commands.network_file import LocalNetwork
from commands.processes import send_signal, stop
from commands.session import CLIENTS
from ledger.chain.certificate import fault_bound
from network.benchmark.service import Service, measure_service
from network.profile import Profile

SENDER, FLOODER = "D02", "D20"
BASE_PORT = 7701
LIES_PER_S = 200.0
REQUESTS_PER_S = 400.0
WAIT_S = 20
WANTED_DOWN, WANTED_LYING = 0.7, 0.5
Say = Callable[[str], None]


def measure_faults(nodes: int, seconds: float, seed: int, say: Say) -> dict[str, Any]:
    """Make a network, measure its three phases, and return them with their ratios."""
    with tempfile.TemporaryDirectory(prefix="creditledger-faults-") as folder:
        network = local_network.make(
            Path(folder) / "net",
            consortium=local_network.DEMO_CONSORTIUM,
            nodes=nodes,
            seed=seed,
            as_of=None,
            base_port=BASE_PORT,
        )
        network = local_network.start(network, [entry.member for entry in network.nodes])
        try:
            return _measure(network, seconds, seed, say)
        finally:
            stop([entry.process for entry in network.nodes])


def _measure(network: LocalNetwork, seconds: float, seed: int, say: Say) -> dict[str, Any]:
    profile = Profile.load(network.folder / CLIENTS / SENDER)
    faulty = list(profile.genesis.validators)[: fault_bound(len(network.nodes))]
    say(f"all {len(network.nodes)} members up, {seconds:.0f} s")
    up = measure_service(profile, (), seconds, seed)
    for member in faulty:
        send_signal(network.node(member).process, signal.SIGKILL, WAIT_S)
    say(f"{', '.join(faulty)} down")
    down = measure_service(profile, faulty, seconds, seed + 1)
    say(f"{', '.join(faulty)} lying, a client of {FLOODER} flooding")
    with _attack(network.folder, faulty) as attackers:
        lying = measure_service(profile, faulty, seconds, seed + 2)
    return {
        "nodes": len(network.nodes),
        "faulty": faulty,
        "up": asdict(up),
        "down": asdict(down),
        "lying": asdict(lying),
        "ratio_down": down.transactions_per_s / up.transactions_per_s,
        "ratio_lying": lying.transactions_per_s / up.transactions_per_s,
        "attackers": attackers,
    }


@contextmanager
def _attack(net: Path, liars: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Run the attackers; the list holds what each did once they have ended."""
    wanted = [("liar", member, LIES_PER_S) for member in liars]
    wanted.append(("flood", FLOODER, REQUESTS_PER_S))
    processes = [
        subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-m", "commands.soak.attacker", what, str(net), member, str(rate)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for what, member, rate in wanted
    ]
    told: list[dict[str, Any]] = []
    try:
        yield told
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for (what, member, _), process in zip(wanted, processes, strict=True):
            output, _ = process.communicate(timeout=WAIT_S)
            told.append({"what": what, "member": member, **json.loads(output or "{}")})


def show_faults(measured: dict[str, Any]) -> None:
    """Print the phases, the ratios, and what the attackers did."""
    rows = []
    ratios = {"up": 1.0, "down": measured["ratio_down"], "lying": measured["ratio_lying"]}
    for name, ratio in ratios.items():
        phase = Service(**measured[name])
        rows.append(
            [
                name,
                f"{phase.transactions_per_s:,.0f}",
                f"{ratio:.0%}",
                str(phase.view_changes),
                f"{phase.longest_gap_s:.2f}",
            ]
        )
    title = f"service with {', '.join(measured['faulty'])} of {measured['nodes']} nodes faulty"
    show_table(title, ["phase", "transactions/s", "of all up", "view changes", "silence s"], rows)
    for attacker in measured["attackers"]:
        say(json.dumps(attacker))
