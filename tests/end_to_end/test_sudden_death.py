"""Nodes killed with SIGKILL at random moments, under load: nothing acknowledged is lost (F53, 38).

A client submits without a pause and keeps every verified receipt. Meanwhile nodes die: one, two, or
all of them at once, in the middle of a write or while they are starting again, and are started at
once. The moments are drawn from a seed and counted in receipts, not in time. In the end all nodes
have every transaction in the block that its receipt names, and an auditor replays the chain.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from commands.frame import Exit
from commands.local.network_file import LocalNetwork
from commands.local.processes import send_signal, start_node
from ledger.chain.receipt import Receipt
from ledger.errors import Code, CreditLedgerError
from network.client import ClientPolicy, SyncClient
from network.methods import FateStatus
from tests.end_to_end.province import MEMBERS, Province

KILLS = 20
SEED = 20200110
RECEIPT_S = 900
POLICY = ClientPolicy(connect_s=10, answer_s=10, receipt_poll_s=1, wait_ms=300_000)


class Submitter(threading.Thread):
    """Submits until it is told to stop; every verified receipt goes into `receipts`."""

    def __init__(self, province: Province) -> None:
        super().__init__(name="submitter", daemon=True)
        self.receipts: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        self.epochs: set[int] = set()  # of blocks that hold something of its own
        self.failures: list[CreditLedgerError] = []
        self._province = province
        self._must_stop = threading.Event()

    def run(self) -> None:
        """Submit one transaction after another."""
        with SyncClient(self._province.profile("D01"), POLICY) as client:
            while not self._must_stop.is_set():
                body = self._province.new_company()[2]
                try:
                    receipt = client.submit_kind("company.bind", body)
                    self.epochs.add(receipt.header.epoch)
                    self.receipts.put(receipt)
                except CreditLedgerError as error:
                    self.failures.append(error)

    def stop(self) -> None:
        """End after the transaction in hand."""
        self._must_stop.set()
        self.join(RECEIPT_S)
        assert not self.is_alive()


@pytest.fixture
def submitter(province: Province) -> Iterator[Submitter]:
    """A client that submits while the test runs."""
    submitter = Submitter(province)
    submitter.start()
    yield submitter
    submitter.stop()


def kill(province: Province, members: list[str]) -> None:
    """Kill nodes at the same moment, as a power cut would, and start them again at once."""
    network = province.network
    for member in members:
        send_signal(network.node(member).process, signal.SIGKILL, 0)
    for member in members:
        assert send_signal(network.node(member).process, signal.SIGKILL, 120)
    for member in members:
        network = started(network, member)
    network.save()


def started(network: LocalNetwork, member: str) -> LocalNetwork:
    """Start a node without waiting for it."""
    entry = network.node(member)
    return network.with_node(entry.started(start_node(Path(entry.home))))


def test_nothing_acknowledged_is_lost_by_twenty_kills(
    province: Province, submitter: Submitter, tmp_path: Path
) -> None:
    rng = Random(SEED)
    receipts = [submitter.receipts.get(timeout=RECEIPT_S)]
    killed = 0
    while killed < KILLS:
        count = rng.choice([1, 1, 1, 1, 1, 2, 2, 4])
        kill(province, rng.sample(MEMBERS, count))
        killed += count
        receipts += [submitter.receipts.get(timeout=RECEIPT_S) for _ in range(rng.randrange(4))]
    receipts.append(submitter.receipts.get(timeout=RECEIPT_S))
    submitter.stop()
    while not submitter.receipts.empty():
        receipts.append(submitter.receipts.get())
    # A client that waited for long may have given up; what it was not told is not acknowledged.
    assert {error.code for error in submitter.failures} <= set(GAVE_UP)
    assert len(receipts) >= 10
    check_all_have(province, receipts)
    check_audit(province, tmp_path)


GAVE_UP = (
    Code.TIMED_OUT,
    Code.NOT_FOUND,
    Code.CONNECT_FAILED,
    Code.CONNECTION_LOST,
    Code.NOT_SYNCED,
    Code.BUSY,
)


def check_all_have(province: Province, receipts: list[Receipt]) -> None:
    """Check that all nodes run, agree, and have what each receipt says."""
    province.check_well()
    ids = [receipt.transaction_id for receipt in receipts]
    for member in MEMBERS:
        fates = province.client("D18", member).fate(ids)
        for receipt, fate in zip(receipts, fates, strict=True):
            assert fate.status is FateStatus.COMMITTED, f"{member} lost an acknowledged transaction"
            assert (fate.code, fate.height) == (receipt.result[0], receipt.header.height)
    for receipt in receipts:
        for member in MEMBERS:
            found = province.block_hash(member, receipt.header.height)
            assert found == receipt.header.hash()


def check_audit(province: Province, folder: Path) -> None:
    """Check that an auditor finds the chain of a killed node whole."""
    copy = folder / "copy"
    home = province.home(MEMBERS[0])
    made = province.command("backup", "--home", home, "--out", copy)
    assert made.exit_code == Exit.OK, made.stderr
    judged = province.command("audit", copy, "--trust", province.net / "genesis.bin")
    assert judged.exit_code == Exit.OK, judged.output
    assert judged.output.startswith("VALID\n")
