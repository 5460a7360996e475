"""What must be true after a soak: one chain, nothing acknowledged lost, no lie, no growing memory.

The judge asks every node for the hash of every certified block and compares them; asks every node
for the fate of every transaction; fetches the receipt of every acknowledged one again, from a node
in turn, verifies it, and compares block and code with those of the first. Then the nodes are
stopped and every home is audited offline, from genesis. No home may hold evidence: all members were
honest, so a contradiction would be a fault of the program. Each finding is a sentence.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from time import monotonic, sleep

from commands.frame import Exit
from commands.session import CLIENTS, only_node
from commands.soak.nodes import Life, SoakNode
from ledger.errors import CreditLedgerError
from ledger.storage.home import HomeLayout
from network.client import SyncClient
from network.methods import FATES_MAX, WATCH_ITEMS_MAX, Fate, FateStatus, WatchStream
from network.profile import Profile
from network.soak.load import Acknowledged, Load

EQUAL_S = 60.0
LOOK_S = 0.2
AUDIT_S = 1800
WARM_UP_S = 60.0
GROWTH_SHARE_MAX = 0.25
GROWTH_MIB_MAX = 24.0
SAMPLES_MIN = 20


@dataclass(slots=True)
class Verdict:
    """What was found, and how much was looked at; no findings: all is well."""

    findings: list[str] = field(default_factory=list)
    blocks: int = 0
    receipts: int = 0
    open_fates: int = 0
    audits: dict[str, str] = field(default_factory=dict)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)


class Judge:
    """Looks at nodes that all run, and then at their homes."""

    def __init__(
        self, nodes: Sequence[SoakNode], load: Load, net: Path, equal_s: float = EQUAL_S
    ) -> None:
        self._nodes = nodes
        self.load = load
        self._net = net
        self._equal_s = equal_s
        self.verdict = Verdict()

    def judge(self) -> Verdict:
        """Look at everything; stops the nodes on the way."""
        height = self._wait_until_equal()
        if height is not None:
            self.compare_blocks(height)
            self.check_fates()
            self.check_receipts()
        for node in self._nodes:
            node.end()
            self._check_home(node)
            self._check_memory(node)
        return self.verdict

    def _find(self, text: str) -> None:
        self.verdict.findings.append(text)

    def _client(self, node: SoakNode) -> SyncClient:
        profile = Profile.load(self._net / CLIENTS / node.member)
        return SyncClient(only_node(profile, node.member))

    def _wait_until_equal(self) -> int | None:
        """Return a height that every node has certified, once all have what one of them had."""
        deadline = monotonic() + self._equal_s
        heights = [node.certified_height() for node in self._nodes]
        target = max((height for height in heights if height is not None), default=0)
        while not all((node.certified_height() or 0) >= target for node in self._nodes):
            if monotonic() > deadline:
                found = {node.member: node.certified_height() for node in self._nodes}
                self._find(
                    f"nodes do not all certify block {target} after {self._equal_s} s: {found}"
                )
                return None
            sleep(LOOK_S)
        return target

    def compare_blocks(self, height: int) -> None:
        """Compare the hash of every certified block up to `height`."""
        first, *others = self._nodes
        wanted = list(self._hashes(first, height))
        self.verdict.blocks = len(wanted)
        if len(wanted) != height:
            self._find(f"{first.member} shows {len(wanted)} certified blocks, want {height}")
        for node in others:
            for number, (own, other) in enumerate(
                zip(wanted, self._hashes(node, height), strict=False), start=1
            ):
                if own != other:
                    self._find(f"block {number} of {node.member} is not that of {first.member}")
                    break
        self._blocks = wanted

    def _hashes(self, node: SoakNode, height: int) -> Iterator[bytes]:
        cursor = 0
        with self._client(node) as client:
            while cursor < height:
                limit = min(WATCH_ITEMS_MAX, height - cursor)
                items, cursor = client.watch(WatchStream.BLOCKS, cursor, limit=limit, wait_ms=1000)
                if not items:
                    return
                yield from (item["hash"] for item in items)

    def check_fates(self) -> None:
        """Compare what each node says became of every transaction with what was acknowledged."""
        done = {item.id: item for item in self.load.acknowledged}
        ids = [*done, *self.load.given_up]
        by_node = []
        for node in self._nodes:
            with self._client(node) as client:
                parts = [ids[i : i + FATES_MAX] for i in range(0, len(ids), FATES_MAX)]
                by_node.append([fate for part in parts for fate in client.fate(part)])
        for node, fates in zip(self._nodes, by_node, strict=True):
            self._compare_fates(node, fates, done)
        self.verdict.open_fates = len(self.load.given_up)
        places = [[_place(fate) for fate in fates[len(done) :]] for fates in by_node]
        if any(other != places[0] for other in places[1:]):
            self._find("nodes differ on a transaction whose client gave up")

    def _compare_fates(
        self, node: SoakNode, fates: Sequence[Fate], done: dict[bytes, Acknowledged]
    ) -> None:
        lost = [
            fate.id.hex()
            for fate in fates
            if fate.id in done
            and (fate.status, fate.code, fate.height)
            != (FateStatus.COMMITTED, done[fate.id].code, done[fate.id].height)
        ]
        if lost:
            self._find(f"{node.member} lost {len(lost)} acknowledged transactions: {lost[0]}, …")

    def check_receipts(self) -> None:
        """Fetch and verify the receipt of each acknowledged transaction from a node in turn."""
        count = len(self._nodes)
        parts = [self.load.acknowledged[index::count] for index in range(count)]
        with ThreadPoolExecutor(count) as pool:
            for verified in pool.map(self._check_part, self._nodes, parts):
                self.verdict.receipts += verified

    def _check_part(self, node: SoakNode, part: Sequence[Acknowledged]) -> int:
        """Fetch receipts from one node, and compare them; return how many were verified."""
        with self._client(node) as client:
            for number, item in enumerate(part):
                try:
                    receipt = client.receipt(item.id, 10_000)
                except CreditLedgerError as error:
                    self._find(f"{node.member} has no receipt of {item.id.hex()}: {error}")
                    return number
                found = (receipt.header.height, receipt.header.hash(), int(receipt.result[0]))
                if found != (item.height, item.block_hash, item.code):
                    self._find(f"{node.member} has another receipt of {item.id.hex()}")
                if self._blocks[item.height - 1] != item.block_hash:
                    self._find(f"{item.id.hex()} was acknowledged in a block of no chain")
        return len(part)

    def _check_home(self, node: SoakNode) -> None:
        pieces = list(HomeLayout(node.home).evidence.glob("*.evidence"))
        if pieces:
            self._find(f"{node.member} holds {len(pieces)} pieces of evidence of honest members")
        if "Traceback" in (node.home / "log").read_text(errors="replace"):
            self._find(f"{node.member} has a traceback in its log")
        done = subprocess.run(  # noqa: S603  our own interpreter, our own command line
            [
                sys.executable, "-m", "node", "audit", str(node.home),
                "--trust", str(self._net / "genesis.bin"),
            ],
            capture_output=True,
            text=True,
            timeout=AUDIT_S,
            check=False,
        )  # fmt: skip
        word = (done.stdout or done.stderr or "nothing").split(maxsplit=1)[0]
        self.verdict.audits[node.member] = word
        if done.returncode != Exit.OK or word != "VALID":
            self._find(f"audit of {node.member}: {(done.stdout or done.stderr).strip()[:400]}")

    def _check_memory(self, node: SoakNode) -> None:
        measured = measure_growth(node.lives)
        if measured is None:
            return
        self.verdict.memory[node.member] = measured
        warm, end = measured["warm_mib"], measured["end_mib"]
        if end > warm * (1 + GROWTH_SHARE_MAX) + GROWTH_MIB_MAX:
            self._find(
                f"{node.member} grew from {warm:.0f} to {end:.0f} MiB in "
                f"{measured['seconds']:.0f} s"
            )


def _place(fate: Fate) -> tuple[object, ...]:
    return (fate.status is FateStatus.COMMITTED, fate.code, fate.height, fate.position)


def measure_growth(lives: Sequence[Life]) -> dict[str, float] | None:
    """Return memory in MiB of the longest life: after warm-up, at its end, and fitted slopes.

    Caches fill for a while: the slope of the second half says whether they are full.

    None where no process lived through its warm-up.
    """
    measured = [[sample for sample in life.samples if sample[0] >= WARM_UP_S / 2] for life in lives]
    samples = max(measured, key=len, default=[])
    if len(samples) < SAMPLES_MIN:
        return None
    part = max(5, len(samples) // 10)
    times = [at for at, _ in samples]
    values = [mib for _, mib in samples]
    return {
        "seconds": times[-1] - times[0],
        "warm_mib": median(values[:part]),
        "end_mib": median(values[-part:]),
        "peak_mib": max(values),
        "slope_mib_per_minute": _slope(samples),
        "late_slope_mib_per_minute": _slope(samples[len(samples) // 2 :]),
    }


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a straight line through (seconds, MiB), in MiB a minute."""
    mean_at = fmean(at for at, _ in samples)
    mean = fmean(mib for _, mib in samples)
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    return 60 * sum((at - mean_at) * (mib - mean) for at, mib in samples) / spread
