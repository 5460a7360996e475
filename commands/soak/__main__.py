"""`./scripts/soak`: a network of real processes under load and faults, judged at the end.

It makes a network in a folder of its own, puts a proxy into every link between nodes, starts the
nodes and a load, lets the engine break things for the time that was asked for, mends everything,
and has the judge look. The exit code is 0 only if there was no finding. The seed comes first and
repeats what is struck; processes keep times of their own, so it does not repeat a run byte for byte
(the simulator does that).
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import click

from commands.console import say, show_json, show_table, warn
from commands.frame import Exit
from commands.local import local_network
from commands.local.network_file import LocalNetwork
from commands.session import CLIENTS
from commands.soak.engine import Engine, Pace, Struck
from commands.soak.faults import BACK_S, FAULTS, Place
from commands.soak.judge import Judge, Verdict
from commands.soak.nodes import SoakNode
from commands.soak.stepped_node import set_offset
from ledger.errors import CreditLedgerError
from ledger.storage.home import HomeLayout
from network.profile import Profile
from network.soak.field import Field
from network.soak.links import Links
from network.soak.load import Load

SENDER = "D02"
BASE_PORT = 24_000
LAST_ANSWERS_S = 300.0


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="How long things are broken.")
@click.option("--nodes", default=4, show_default=True, help="How many node processes (4 to 7).")
@click.option("--seed", type=int, help="What is struck follows from it (default: drawn).")
@click.option(
    "--strikes", default=0, help="Go on until so many faults were, however long it takes."
)
@click.option("--patience", default=BACK_S, show_default=True, help="Seconds to come back within.")
@click.option("--base-port", type=int, help="Look for ports from here.")
@click.option("--rate", default=25.0, show_default=True, help="Transactions a second.")
@click.option("--faults", help=f"Only these kinds, with commas: {','.join(FAULTS)}.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Keep the network here.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def main(
    minutes: float,
    nodes: int,
    seed: int | None,
    strikes: int,
    patience: float,
    base_port: int | None,
    rate: float,
    faults: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Break a network of real nodes in every way that is known, and see what is left of it.

    Example: ./scripts/soak --minutes 20 --seed 7
    """
    signal.signal(signal.SIGTERM, _interrupt)
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    kinds = list(FAULTS) if faults is None else faults.split(",")
    unknown = sorted(set(kinds) - set(FAULTS))
    if unknown:
        raise click.UsageError(f"no fault {unknown[0]}, want some of {', '.join(FAULTS)}")
    progress = warn if as_json else say
    progress(f"seed {seed}, {minutes:g} minutes, {nodes} nodes, {rate:g} transactions/s")
    with _folder(folder) as net, ExitStack() as stack:
        first = BASE_PORT + os.getpid() % 200 * 20 if base_port is None else base_port
        soak = Soak(net, nodes, seed, rate, first, patience)
        stack.callback(soak.close)
        report = soak.run(minutes, kinds, progress, strikes)
    if as_json:
        show_json(report)
    else:
        _print(report)
    if report["findings"]:
        raise SystemExit(int(Exit.REFUSED))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Give the network's folder; one that was not asked for is removed at the end."""
    if given is not None:
        yield given
        return
    drawn = Path(tempfile.mkdtemp(prefix="creditledger-soak-"))
    try:
        yield drawn / "net"
    finally:
        shutil.rmtree(drawn, ignore_errors=True)


class Soak:
    """A network with everything around it; `close` ends what still runs."""

    def __init__(
        self, net: Path, nodes: int, seed: int, rate: float, base_port: int, patience_s: float
    ) -> None:
        network = local_network.make(
            net,
            consortium=local_network.DEMO_CONSORTIUM,
            nodes=nodes,
            seed=seed,
            as_of=None,
            base_port=base_port,
        )
        self._net = net
        self._patience_s = patience_s
        self._seed = seed
        self._network = network
        self.field = Field(Links({e.member: _port(e.address) for e in network.nodes}))
        self.nodes = {e.member: SoakNode(e.member, Path(e.home), net) for e in network.nodes}
        self.load = Load(Profile.load(net / CLIENTS / SENDER), rate, seed)

    def close(self) -> None:
        """End every process."""
        for node in self.nodes.values():
            node.close()

    def run(
        self, minutes: float, kinds: Sequence[str], progress: Any, strikes: int = 0
    ) -> dict[str, Any]:
        """Start, break, mend, judge; return the report."""
        with self.field:
            point_at_proxies(self._network, self.field.links)
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                node.wait_until_up()
            self.field.start_load(self.load)
            place = Place(self.nodes, self.field, self._net, self._patience_s)
            engine = Engine(
                place,
                self.load,
                self._seed,
                Pace.of(minutes),
                kinds,
                minutes * 60,
                progress,
                strikes,
            )
            engine.run()
            findings = list(engine.failures)
            took_s = monotonic() - engine.began
            findings += self._mend()
            progress("everything is mended; the last answers, then the judge")
            if not self.field.end_load(self.load, LAST_ANSWERS_S):
                findings.append(f"the load did not get its last answers in {LAST_ANSWERS_S:.0f} s")
            if self.field.failure is not None and not findings:
                findings.append(f"links or load ended: {self.field.failure!r}")
            nodes = list(self.nodes.values())
            verdict = Judge(nodes, self.load, self._net, self._patience_s).judge()
        verdict.findings[:0] = findings
        return self._report(took_s, engine, verdict)

    def _mend(self) -> list[str]:
        """Make whole what a failure may have left broken; return what could not be."""
        for link in self.field.links.links.values():
            link.heal()
        findings = []
        for node in self.nodes.values():
            set_offset(node.home, 0)
            node.send(signal.SIGCONT)
            if not node.is_running:
                node.start()
            try:
                node.wait_until_up()
            except CreditLedgerError as error:
                findings.append(str(error))
        return findings

    def _report(self, took_s: float, engine: Engine, verdict: Verdict) -> dict[str, Any]:
        nodes = self.nodes.values()
        return {
            "seed": self._seed,
            "witness": engine.witness,
            "nodes": len(self.nodes),
            "seconds": took_s,
            "acknowledged": len(self.load.acknowledged),
            "faults": _by_kind(engine.struck),
            "struck": [asdict(item) for item in engine.struck],
            "lives": {node.member: len(node.lives) for node in nodes},
            "views": max(
                (int(e["view"]) for node in nodes for e in node.events("new view")), default=0
            ),
            **asdict(verdict),
        }


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def point_at_proxies(network: LocalNetwork, links: Links) -> None:
    """Let every node find every other through the proxy of that pair."""
    for entry in network.nodes:
        lines = ["", "[peers]"]
        for (sender, receiver), port in links.ports.items():
            if sender == entry.member:
                lines.append(f'"{receiver}" = "127.0.0.1:{port}"')
        with HomeLayout(Path(entry.home)).config.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def _by_kind(struck: Sequence[Struck]) -> dict[str, dict[str, float]]:
    kinds: dict[str, dict[str, float]] = {}
    for name in FAULTS:
        items = [item for item in struck if item.kind == name]
        if items:
            back, gaps = [item.back_s for item in items], [item.gap_s for item in items]
            kinds[name] = {
                "count": len(items),
                "back_s_p50": median(back),
                "back_s_max": max(back),
                "gap_s_p50": median(gaps),
                "gap_s_max": max(gaps),
            }
    return kinds


def _print(report: dict[str, Any]) -> None:
    rows = [
        [
            name,
            str(int(row["count"])),
            f"{row['back_s_p50']:.1f} / {row['back_s_max']:.1f}",
            f"{row['gap_s_p50']:.1f} / {row['gap_s_max']:.1f}",
        ]
        for name, row in report["faults"].items()
    ]
    headers = ["fault", "times", "back after, s (p50 / max)", "longest silence, s (p50 / max)"]
    show_table("", headers, rows)
    say(
        f"{report['seconds']:.0f} s, {report['acknowledged']:,} acknowledged, "
        f"{report['receipts']:,} receipts verified again, {report['open_fates']} given up, "
        f"{report['blocks']:,} blocks equal, view {report['views']}"
    )
    for member, row in report["memory"].items():
        say(
            f"memory of {member}: {row['warm_mib']:.0f} MiB warm, {row['end_mib']:.0f} MiB at the "
            f"end of {row['seconds']:.0f} s, {row['slope_mib_per_minute']:+.2f} MiB a minute, "
            f"{row['late_slope_mib_per_minute']:+.2f} in the second half"
        )
    audits = ", ".join(f"{member} {word}" for member, word in report["audits"].items())
    say(f"audit: {audits}")
    for finding in report["findings"]:
        say(f"FINDING: {finding}")
    say("FAILED" if report["findings"] else "WELL")


if __name__ == "__main__":
    try:
        main()
    except CreditLedgerError as error:
        raise SystemExit(f"error E{int(error.code)}: {error.message}") from None
