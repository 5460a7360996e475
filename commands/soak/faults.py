"""The faults of a soak, each as a context manager: broken inside the block, mended at its end.

A fault is given the `Place` (nodes, links), the members it strikes, and a generator of its own for
what it leaves to chance; it yields a sentence about itself. It is over when the block ends: the
process runs again, the link is whole, the clock is right. Whether the node comes back is the
caller's to see. `FAULTS` says how many members each kind strikes, and how often it is drawn.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, sleep

from commands.frame import Exit
from commands.homes.damage import Flip, flip_byte
from commands.soak.nodes import SoakNode
from commands.soak.stepped_node import set_offset
from ledger.errors import Code, LocalError
from ledger.storage.home import HomeLayout
from network.soak.field import Field

COMMAND_S = 600
BACK_S = 90.0
LOOK_S = 0.05
NOTICED_S = 15.0
SLOW_LINKS = ((0.1, 2e6), (0.4, 5e5), (1.0, 2e5), (0.02, 3e4))  # seconds late, bytes a second
CLOCK_STEPS_MS = (-86_400_000, -60_000, -5_000, -1_500, 1_500, 5_000, 60_000, 86_400_000)


@dataclass(frozen=True, slots=True)
class Place:
    """What can be broken: the nodes by member, and the links between them."""

    nodes: Mapping[str, SoakNode]
    field: Field
    net: Path
    back_s: float = BACK_S

    def others(self, members: Sequence[str]) -> list[SoakNode]:
        """Return the nodes of the members that are not struck."""
        return [node for member, node in self.nodes.items() if member not in members]

    def wait_until_back(self, members: Sequence[str]) -> None:
        """Wait until each member votes, and has certified more than anybody had at this moment.

        Raises `LocalError` (5007, 5008) for one that does not.
        """
        deadline = monotonic() + self.back_s
        for member in members:
            self.nodes[member].wait_until_up()
        heights = [node.certified_height() for node in self.nodes.values()]
        target = max((height for height in heights if height is not None), default=0)
        for member in members:
            while not self.nodes[member].is_back(target):
                if monotonic() > deadline:
                    raise LocalError(
                        Code.TIMED_OUT,
                        f"{member} has not passed block {target} "
                        f"{self.back_s:.0f} s after its fault",
                    )
                sleep(LOOK_S)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault to be: where, whom, and the source of what is left to chance."""

    place: Place
    members: Sequence[str]
    random: Random

    @property
    def nodes(self) -> list[SoakNode]:
        """The nodes that are struck."""
        return [self.place.nodes[member] for member in self.members]

    @property
    def node(self) -> SoakNode:
        """The one node that is struck."""
        (node,) = self.nodes
        return node


Broken = AbstractContextManager[str]
MakeFault = Callable[[Strike], Broken]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: members struck (0: more than f of them), how often, and what it does."""

    name: str
    weight: int
    make: MakeFault
    members: int = 1
    ends_process: bool = True


@contextmanager
def killed(strike: Strike) -> Iterator[str]:
    """SIGKILL at whatever moment this is (F41)."""
    for node in strike.nodes:
        node.may_be_down = True
        node.send(signal.SIGKILL)
    for node in strike.nodes:
        node.end(signal.SIGKILL)
    yield ", ".join(strike.members)
    for node in strike.nodes:
        node.start()


@contextmanager
def paused(strike: Strike) -> Iterator[str]:
    """SIGSTOP: the process is there and says nothing (F42)."""
    for node in strike.nodes:
        node.send(signal.SIGSTOP)
    yield ", ".join(strike.members)
    for node in strike.nodes:
        node.send(signal.SIGCONT)


@contextmanager
def cut(strike: Strike) -> Iterator[str]:
    """A link lost in one direction or both, or all links of a node (F33, F34)."""
    (member,) = strike.members
    field, random = strike.place.field, strike.random
    other = random.choice([node.member for node in strike.place.others([member])])
    links = field.links
    way = random.choice(("alone", "both", "from", "to"))
    chosen = {
        "alone": links.of(member),
        "both": links.between(member, other),
        "from": [links.links[member, other]],
        "to": [links.links[other, member]],
    }[way]
    for link in chosen:
        link.is_cut = True
    if random.random() < 0.5:
        field.break_connections(member)
    yield f"{member} from all" if way == "alone" else f"{member} and {other}, {way}"
    for link in chosen:
        link.heal()


@contextmanager
def slowed(strike: Strike) -> Iterator[str]:
    """All links of a node slow: late, or of few bytes a second (F28, F34)."""
    (member,) = strike.members
    delay_s, bytes_per_s = strike.random.choice(SLOW_LINKS)
    chosen = strike.place.field.links.of(member)
    for link in chosen:
        link.delay_s, link.bytes_per_s = delay_s, bytes_per_s
    yield f"{member}, {delay_s * 1000:.0f} ms, {bytes_per_s / 1000:.0f} kB/s"
    for link in chosen:
        link.heal()


@contextmanager
def clock_stepped(strike: Strike) -> Iterator[str]:
    """The wall clock of a node jumps, and later back (F35)."""
    node = strike.node
    step_ms = strike.random.choice(CLOCK_STEPS_MS)
    set_offset(node.home, step_ms)
    yield f"{node.member} by {step_ms / 1000:+,.1f} s"
    set_offset(node.home, 0)


@contextmanager
def disk_full(strike: Strike) -> Iterator[str]:
    """No file may grow: the node stops by itself with exit code 5, and says why (F55)."""
    node = strike.node
    node.may_be_down = True
    node.fill_disk()
    code = node.wait_for_end(NOTICED_S)
    if code is None:
        node.end(signal.SIGKILL)  # nothing was to be written: it would be deaf to no fault of ours
    elif code != Exit.STORAGE:
        raise LocalError(
            Code.STORE_IO, f"{node.member} ended with {code} on a full disk: {node.last_words()}"
        )
    yield f"{node.member}, " + ("did not write" if code is None else "stopped by itself")
    node.start()


@contextmanager
def database_flipped(strike: Strike) -> Iterator[str]:
    """One byte of the database is another; repaired with another node's copy (F57)."""
    node = strike.node
    node.end(strike.random.choice((signal.SIGTERM, signal.SIGKILL)))
    folder = HomeLayout(node.home).database
    files = [path for pattern in ("*.ldb", "*.log") for path in folder.glob(pattern)]
    done = flip_byte(files, strike.random.randrange(2**32))
    node.start()
    code = node.wait_for_end(strike.random.uniform(1.0, NOTICED_S))
    if code not in (None, Exit.STORAGE):
        raise LocalError(
            Code.STORE_IO, f"{node.member} ended with {code} on {done}: {node.last_words()}"
        )
    node.end()
    noticed = "refused" if code is not None else _audit_verdict(strike.place, node)
    yield f"{node.member}, {done.file.name} byte {done.offset}: {noticed}"
    _copy_database(strike.place, node)
    node.start()


@contextmanager
def votes_flipped(strike: Strike) -> Iterator[str]:
    """One byte of the vote log is another: the node must not vote until it is put right (F59)."""
    node = strike.node
    node.end()
    files = [path for path in HomeLayout(node.home).votes.iterdir() if path.stat().st_size]
    done = flip_byte(files, strike.random.randrange(2**32))
    node.start()
    is_refused = node.wait_for_refusal(NOTICED_S)
    node.end()
    if not is_refused and done.file.suffix == ".log":
        raise LocalError(Code.STORE_IO, f"{node.member} votes on a damaged log: {done}")
    yield f"{node.member}, {done.file.name} byte {done.offset}: " + (
        "refused" if is_refused else "spare copy"
    )
    if is_refused:  # else the guard has repaired one of its two copies from the other
        _flip_back(done)
    node.start()


@contextmanager
def restarted_in_turn(strike: Strike) -> Iterator[str]:
    """Every node is stopped and started again, one after the other, as in an upgrade (F43)."""
    for node in strike.nodes:
        node.end()
        node.start()
        strike.place.wait_until_back([node.member])
    yield ", ".join(strike.members)


def _flip_back(done: Flip) -> None:
    with done.file.open("r+b") as file:
        file.seek(done.offset)
        byte = file.read(1)[0]
        file.seek(done.offset)
        file.write(bytes((byte ^ done.mask,)))


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own interpreter, our own command line
        [sys.executable, "-m", "node", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def _audit_verdict(place: Place, node: SoakNode) -> str:
    judged = _run("audit", node.home, "--trust", place.net / "genesis.bin")
    return f"ran, audit {(judged.stdout or judged.stderr).split(maxsplit=1)[0]}"


def _copy_database(place: Place, node: SoakNode) -> None:
    """Give a stopped node the database of another, as OPERATING.md says; its votes stay."""
    source = next(other for other in place.others([node.member]) if other.is_running)
    copy = place.net / "copies" / node.member
    shutil.rmtree(copy, ignore_errors=True)
    made = _run("backup", "--home", source.home, "--out", copy)
    if made.returncode != Exit.OK:
        raise LocalError(Code.STORE_IO, f"backup of {source.member}: {made.stderr}")
    database = HomeLayout(node.home).database
    shutil.rmtree(database)
    shutil.move(HomeLayout(copy).database, database)
    shutil.rmtree(copy)


FAULTS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("kill", 6, killed),
        Kind("pause", 4, paused, ends_process=False),
        Kind("cut", 6, cut, ends_process=False),
        Kind("slow", 4, slowed, ends_process=False),
        Kind("clock", 4, clock_stepped, ends_process=False),
        Kind("full-disk", 3, disk_full),
        Kind("flip-database", 2, database_flipped),
        Kind("flip-votes", 2, votes_flipped),
        Kind("pause-too-many", 1, paused, members=0, ends_process=False),
        Kind("kill-too-many", 2, killed, members=0),
        Kind("kill-all", 2, killed, members=0),
        Kind("restart-all", 2, restarted_in_turn, members=0),
    )
}
