"""`./scripts/race`: two banks race for one receivable through different nodes, again and again.

Four nodes run as processes; in each heat both banks, each at a node of its own, send a pledge of
the same receivable at the same moment, with a head start of a few milliseconds drawn for one of
them. Where one bank's node is so much faster that the other has not won yet, its pledges come later
and later until it has. Judged afterwards: exactly one pledge of each heat had effect and the other
was refused as already pledged, the one with effect stands before the other in the order of the
blocks, every node names the same holder, no answer to the loser names the winner, all nodes agree
on the last block, and each bank won some. Leaves with exit code 1 when any of this does not hold.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import click

from commands.console import say, show_facts, show_table
from commands.local import local_network
from commands.local.network_file import LocalNetwork, load_network
from commands.local.processes import stop
from commands.measuring.race_setup import COUNTER, TAX, Heat, Stable
from commands.session import CLIENTS, only_node
from ledger.chain.receipt import Receipt
from ledger.errors import Code
from network.client import ClientPolicy, Profile, SyncClient
from network.methods import WatchStream

REGULATOR = "D18"
# Each bank and the member whose node it asks: its own, and the one that houses the other bank.
BANKS = {"icbc-gd": "icbc-gd", "pab-gd": "D01"}
HEAD_START_MS_MAX = 20.0
WINS_IN_A_ROW = 3  # by one bank, from the first heat on, before it is held back
HANDICAP_S_MAX = 30.0
LANES = 4
WAIT_MS = 60_000
LINE_S = 900.0
PATIENT = ClientPolicy(connect_s=30, answer_s=60, wait_ms=600_000)
DEFAULT_PORT = 18_400
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Run:
    """How one heat went: what the certified receipt of each bank says."""

    heat: Heat
    receipts: Mapping[str, Receipt]

    @property
    def winners(self) -> tuple[str, ...]:
        """The banks whose pledge had effect."""
        return tuple(bank for bank, item in self.receipts.items() if item.result[0] == Code.OK)


@dataclass(slots=True)
class Race:
    """What came of all heats; `breaches` has a sentence for each thing that must not be."""

    runs: list[Run] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wins(self) -> Counter[str]:
        """How often each bank won."""
        return Counter(winner for run in self.runs for winner in run.winners)


def run_race(net: Path, times: int, seed: int, lanes: int = LANES, run: int = 0) -> Race:
    """Race on the network in a folder, whose nodes run, and judge it.

    Raises `CreditLedgerError` when it cannot be prepared or a node does not answer.
    """
    race = Race()
    with ExitStack() as stack:

        def open_at(identity: str, node: str | None = None) -> SyncClient:
            profile = Profile.load(net / CLIENTS / identity)
            chosen = profile if node is None else only_node(profile, node)
            return stack.enter_context(SyncClient(chosen, PATIENT))

        clients = {name: open_at(name) for name in (TAX, COUNTER, *BANKS)}
        heats = Stable(clients, tuple(BANKS), run).prepare(times)
        starts = _draw_head_starts(seed, times)
        began = monotonic()
        race.runs = _run_heats(open_at, heats, starts, lanes)
        race.seconds = monotonic() - began
        members = [entry.member for entry in load_network(net).nodes]
        judges = {member: open_at(REGULATOR, member) for member in members}
        losers = {(bank, member): open_at(bank, member) for bank in BANKS for member in members}
        race.breaches = judge_order(race.runs)
        race.breaches += _judge_nodes(race.runs, judges, losers)
    race.breaches += [f"{bank} won none of {times} heats" for bank in BANKS if not race.wins[bank]]
    return race


def _draw_head_starts(seed: int, times: int) -> list[dict[str, float]]:
    """Return for each heat how many seconds each bank waits; one of them waits not at all."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw, no secret
    starts = []
    for _ in range(times):
        late = draw.choice(tuple(BANKS))
        waits = dict.fromkeys(BANKS, 0.0)
        waits[late] = draw.uniform(0.0, HEAD_START_MS_MAX) / 1000
        starts.append(waits)
    return starts


def _run_heats(
    open_at: Any, heats: Sequence[Heat], starts: Sequence[Mapping[str, float]], lanes: int
) -> list[Run]:
    """Run all heats, some at a time, each bank of a lane in a thread with a connection of its own.

    Raises what a thread raised.
    """
    receipts: dict[tuple[int, str], Receipt] = {}
    wins: Counter[str] = Counter()
    failures: list[BaseException] = []

    def ride(client: SyncClient, bank: str, lane: int, line: threading.Barrier) -> None:
        try:
            for heat in heats[lane::lanes]:
                body = {"asset": heat.asset, "application": heat.applications[bank]}
                transaction = client.sign("asset.pledge", body)
                line.wait(LINE_S)
                sleep(starts[heat.number][bank] + _compute_handicap_s(wins, bank))
                receipt = client.submit_until_certified(transaction)
                receipts[heat.number, bank] = receipt
                wins[bank] += receipt.result[0] == Code.OK
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(error)
            line.abort()

    threads = []
    for lane in range(lanes):
        line = threading.Barrier(len(BANKS))
        for bank, node in BANKS.items():
            rider = (open_at(bank, node), bank, lane, line)
            threads.append(threading.Thread(target=ride, args=rider, name=f"{bank}-{lane}"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        first = (item for item in failures if not isinstance(item, threading.BrokenBarrierError))
        raise next(first, failures[0])
    return [Run(heat, {bank: receipts[heat.number, bank] for bank in BANKS}) for heat in heats]


def _compute_handicap_s(wins: Mapping[str, int], bank: str) -> float:
    """Return how many seconds a bank waits because the other has not won a heat yet."""
    if any(wins.get(other, 0) for other in BANKS if other != bank):
        return 0.0
    doublings = wins.get(bank, 0) - WINS_IN_A_ROW
    return 0.0 if doublings < 0 else min(HANDICAP_S_MAX, HEAD_START_MS_MAX / 1000 * 2**doublings)


def judge_order(runs: Sequence[Run]) -> list[str]:
    """Return what the receipts say that must not be: of codes, of order, of names."""
    breaches = []
    for run in runs:
        where = f"heat {run.heat.number}"
        codes = {bank: int(item.result[0]) for bank, item in run.receipts.items()}
        if sorted(codes.values()) != [Code.OK, Code.ASSET_ALREADY_PLEDGED]:
            breaches.append(f"{where}: results {codes}, want one 0 and one 2303")
            continue
        winner = run.winners[0]
        for bank, receipt in run.receipts.items():
            if bank == winner:
                continue
            if winner in repr(receipt.result):
                breaches.append(f"{where}: the refusal names {winner}")
            if _place(receipt) < _place(run.receipts[winner]):
                breaches.append(f"{where}: {bank} was refused before {winner} had pledged")
    return breaches


def _place(receipt: Receipt) -> tuple[int, int]:
    return receipt.header.height, receipt.index


def _judge_nodes(
    runs: Sequence[Run],
    judges: Mapping[str, SyncClient],
    losers: Mapping[tuple[str, str], SyncClient],
) -> list[str]:
    """Return what any node says that must not be, once it has the last block of the race."""
    breaches = []
    height = max(_place(item)[0] for run in runs for item in run.receipts.values())
    hashes = {}
    for member, judge in judges.items():
        items, _ = judge.watch(WatchStream.BLOCKS, height - 1, limit=1, wait_ms=WAIT_MS)
        hashes[member] = items[0]["hash"] if items else None
    if len(set(hashes.values())) != 1 or None in hashes.values():
        breaches.append(f"the nodes do not agree on block {height}: {hashes}")
    for run in runs:
        if len(run.winners) != 1:
            continue
        winner = run.winners[0]
        loser = next(bank for bank in BANKS if bank != winner)
        for member, judge in judges.items():
            holder = judge.query("asset.show", {"asset": run.heat.asset}).get("lender")
            if holder != winner:
                breaches.append(f"heat {run.heat.number}: {member} says {holder}, want {winner}")
            told = losers[loser, member].query("asset.show", {"asset": run.heat.asset})
            if told.get("pledged") != "exact" or winner in repr(told):
                breaches.append(f"heat {run.heat.number}: {member} tells {loser} {told}")
    return breaches


@click.command("race")
@click.option("--times", default=1000, show_default=True, type=click.IntRange(1, 20_000))
@click.option("--seed", default=1, show_default=True, help="Of the head starts.")
@click.option("--lanes", default=LANES, show_default=True, help="How many heats run at a time.")
@click.option("--base-port", default=DEFAULT_PORT, show_default=True, help="Ports from here.")
def main(times: int, seed: int, lanes: int, base_port: int) -> None:
    """Let two banks race for one receivable, TIMES times, on four nodes of this machine."""
    say(f"race: {times} heats, seed {seed}, {lanes} at a time")
    with tempfile.TemporaryDirectory(prefix="creditledger-race-") as folder:
        network = _start(Path(folder) / "net", base_port)
        try:
            race = run_race(network.folder, times, seed, lanes)
        finally:
            running = load_network(network.folder).nodes
            stop([entry.process for entry in running if entry.is_running])
    show(race)
    sys.exit(1 if race.breaches else 0)


def _start(folder: Path, base_port: int) -> LocalNetwork:
    network = local_network.make(
        folder,
        consortium=local_network.DEMO_CONSORTIUM,
        nodes=4,
        seed=None,
        as_of=None,
        base_port=base_port,
    )
    return local_network.start(network, [entry.member for entry in network.nodes])


def show(race: Race) -> None:
    """Print who won how often, and what must not have been."""
    rows = [[bank, node, str(race.wins[bank])] for bank, node in BANKS.items()]
    show_table("", ["bank", "its node", "won"], rows)
    same = sum(
        len({item.header.height for item in run.receipts.values()}) == 1 for run in race.runs
    )
    show_facts(
        "",
        {
            "heats": f"{len(race.runs)} in {race.seconds:.1f} s",
            "in one block": f"{same} heats had both pledges in the same block",
            "breaches": str(len(race.breaches)),
        },
    )
    for sentence in race.breaches[:SHOWN_MAX]:
        say(f"BREACH {sentence}")


if __name__ == "__main__":
    main()
