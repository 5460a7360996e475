"""`./scripts/bench --faults`: the speed with f members down, lying, and under attack from outside.

The issue asks for 70 % and 50 % of the speed with all up, measured in the same run, and that no
view ends by a timeout while it is measured. The members that are down and that lie are the first
f, so the primary of the first view is among them. Before that, with all up: one
client that sends 100,000 wrong signatures a second, if it is let (F68: 80 %), and latency at light
load without and with ten thousand connections that say nothing, say it slowly, or come and go at
the door of the node that is asked (F63: the 99th percentile at most doubles). Attackers are
processes of their own on the same machine: what they use of its processor is printed, and is lost
to the nodes.
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

from commands.console import say, show_table
from commands.local import local_network
from commands.local.network_file import LocalNetwork
from commands.local.processes import send_signal, stop
from commands.session import CLIENTS
from ledger.chain.certificate import fault_bound
from network.benchmark.phases import Latency
from network.benchmark.service import Service, measure_latency, measure_service
from network.profile import Profile

SENDER, FLOODER = "D02", "D20"
BASE_PORT = 7701
LIES_PER_S = 200.0
REQUESTS_PER_S = 400.0
# Half of a flood's requests carry 32 wrong signatures each.
FLOOD_PER_S = 100_000 / 16
CROWD = 10_000
LIGHT_RATE = 20.0
LIGHT_COUNT = 300
WAIT_S = 20
WANTED_DOWN, WANTED_LYING = 0.7, 0.5
Say = Callable[[str], None]
Attacker = tuple[str, str, float]  # what, member, and how much of it


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
    say(f"a client of {FLOODER} sends wrong signatures as fast as it may")
    with _attack(network.folder, [("flood", FLOODER, FLOOD_PER_S)]) as flooders:
        flooded = measure_service(profile, (), seconds, seed + 3)
    say("latency at light load, without a crowd and with one")
    calm = measure_latency(profile, LIGHT_COUNT, LIGHT_RATE, seed + 4)
    crowd = ("crowd", profile.nodes[0].member, float(CROWD))
    with _attack(network.folder, [crowd]) as crowds:
        crowded = measure_latency(profile, LIGHT_COUNT, LIGHT_RATE, seed + 5)
    for member in faulty:
        send_signal(network.node(member).process, signal.SIGKILL, WAIT_S)
    say(f"{', '.join(faulty)} down")
    down = measure_service(profile, faulty, seconds, seed + 1)
    say(f"{', '.join(faulty)} lying, a client of {FLOODER} flooding")
    liars = [("liar", member, LIES_PER_S) for member in faulty]
    with _attack(network.folder, [*liars, ("flood", FLOODER, REQUESTS_PER_S)]) as attackers:
        lying = measure_service(profile, faulty, seconds, seed + 2)
    return {
        "nodes": len(network.nodes),
        "faulty": faulty,
        "up": asdict(up),
        "flooded": asdict(flooded),
        "calm": asdict(calm),
        "crowded": asdict(crowded),
        "ratio_flooded": flooded.transactions_per_s / up.transactions_per_s,
        "ratio_p99_crowded": crowded.p99_ms / calm.p99_ms,
        "down": asdict(down),
        "lying": asdict(lying),
        "ratio_down": down.transactions_per_s / up.transactions_per_s,
        "ratio_lying": lying.transactions_per_s / up.transactions_per_s,
        "attackers": [*flooders, *crowds, *attackers],
    }


@contextmanager
def _attack(net: Path, wanted: Sequence[Attacker]) -> Iterator[list[dict[str, Any]]]:
    """Run the attackers; the list holds what each did once they have ended."""
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
    ratios = {
        "up": 1.0,
        "flooded": measured["ratio_flooded"],
        "down": measured["ratio_down"],
        "lying": measured["ratio_lying"],
    }
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
    calm, crowded = Latency(**measured["calm"]), Latency(**measured["crowded"])
    say(
        f"p99 at light load {calm.p99_ms:.0f} ms, with a crowd of {CROWD:,} "
        f"{crowded.p99_ms:.0f} ms ({measured['ratio_p99_crowded']:.1f} times)"
    )
    for attacker in measured["attackers"]:
        say(json.dumps(attacker))
