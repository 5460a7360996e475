"""What the processes of these tests do to a home: blocks and votes, as a node makes them durable.

`make_script` executes a small chain and writes down every batch that a node would hand to its
database. `python -m tests.disks.workload HOME SCRIPT` opens the home as a node does and goes on
from where it stands: for each block two votes and the block, synced, then its certificate; the vote
log is cut and the database compacted every few blocks, with buffers so small that it writes tables
all the time. After each promise (something that would now be sent to others) it is written to
`marks`, where the library of `shim.c` records it among the operations.

`judge` holds a folder against all that: it opens, it holds exactly what some moment at or after the
last promise left behind, and the same once more after it was opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, CreditLedgerError, StorageError
from ledger.execution import execute_genesis
from ledger.storage.chain_store import CERTIFICATES, ChainStore, certificate_writes
from ledger.storage.files import DiskFiles
from ledger.storage.home import HomeLayout, HomeLock, create_home, open_home
from ledger.storage.leveldb import LevelStore
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Reader, WriteBatch
from ledger.storage.vote_log import log_identity, open_vote_log
from tests.audit.chain import CertifiedChain, arrears
from tests.disks.recording import MARKS, Operation
from tests.ledger_harness import company_code, key_of

KEY = key_of("node:D01").public_key
BUFFER_BYTES = 64 * 1024
PRUNE_BLOCKS = 7
COMPACT_BLOCKS = 20
KEPT_VOTES = 3
FAILED = 70
LAST = b"\xff" * 64


@dataclass(frozen=True, slots=True)
class Script:
    """The batches of a chain: for each block its own and its certificate's, after genesis's."""

    genesis: bytes
    first: WriteBatch
    writes: tuple[WriteBatch, ...]

    def digests(self) -> list[bytes]:
        """Return the digest of everything stored after genesis, and after each block."""
        store = MemoryStore()
        found = []
        for batch in (self.first, *self.writes[::2]):
            store.write(batch, sync=True)
            found.append(digest(store))
        return found


def digest(reader: Reader) -> bytes:
    """Return a hash of all that a store holds, certificates apart."""
    found = sha256()
    for key, value in reader.scan(b"", LAST):
        if key.startswith(CERTIFICATES):
            continue
        found.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
    return found.digest()


def make_script(blocks: int, each: int = 10) -> Script:
    """Execute `blocks` blocks of `each` transactions: bindings, and records of the companies."""
    chain = CertifiedChain()
    first = execute_genesis(chain.genesis).writes
    writes: list[WriteBatch] = []
    for height in range(1, blocks + 1):
        numbers = range(height * each, (height + 1) * each)
        bindings = [chain.bind(company_code(number)) for number in numbers[1:]]
        records = chain.submit("D02", "C048", [arrears(number, height) for number in numbers])
        executed = chain.block(*bindings, records, is_certified=False)
        writes += [executed.writes, certificate_writes(chain.certify(executed.header))]
    return Script(chain.genesis.data, first, tuple(writes))


def save_script(script: Script, path: Path) -> None:
    """Write a script for the process that follows it."""
    path.write_bytes(
        b"".join(_framed(_batch_bytes(batch)) for batch in (script.first, *script.writes))
    )


def _batch_bytes(batch: WriteBatch) -> bytes:
    return encode(tuple(batch.items()))


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def load_batches(path: Path) -> list[WriteBatch]:
    """Return the batches of a saved script, genesis's first."""
    data, position = path.read_bytes(), 0
    found: list[WriteBatch] = []
    while position < len(data):
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        entries = decode(data[position + 4 : end], max_bytes=end - position)
        found.append(dict(entries))
        position = end
    return found


def make_home(folder: Path, script: Script) -> Path:
    """Make the home that a process begins with."""
    create_home(
        folder,
        config="[node]\n",
        genesis=script.genesis,
        keys={"node.key": b"secret"},
        node_public_key=KEY,
        database=script.first,
    )
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by path below it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def vote(index: int) -> bytes:
    """Return the vote of this number: the same bytes always, of a size that is no round one."""
    return index.to_bytes(8, "big") * (5 + index * 37 % 301)


def vote_index(entry: bytes) -> int:
    """Return the number of a vote; it must be whole."""
    index = int.from_bytes(entry[:8], "big")
    assert entry == vote(index), f"vote {index} is not what was written"
    return index


class Work:
    """One process at work on a home."""

    def __init__(self, folder: Path, writes: Sequence[WriteBatch]) -> None:
        layout = HomeLayout(folder)
        self._lock = HomeLock(layout)
        self._store = LevelStore(layout.database, create=False, write_buffer_bytes=BUFFER_BYTES)
        chain = ChainStore(self._store)
        identity = log_identity(chain.chain_id() or b"", KEY)
        self._votes = open_vote_log(layout.votes, DiskFiles(), identity)
        self._writes = writes
        self._height = chain.height() or 0
        self._entries = self._votes.read()
        self._next = vote_index(self._entries[-1]) + 1 if self._entries else 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._marks = os.open(folder / MARKS, flags, 0o600)

    def run(self) -> None:
        """Go on to the end of the script."""
        if self._height:
            self._store.write(self._writes[2 * self._height - 1], sync=False)
        while 2 * self._height < len(self._writes):
            self._vote()
            self._height += 1
            self._store.write(self._writes[2 * self._height - 2], sync=True)
            self._mark("block", self._height)
            self._store.write(self._writes[2 * self._height - 1], sync=False)
            if self._height % PRUNE_BLOCKS == 0:
                self._prune()
            if self._height % COMPACT_BLOCKS == 0:
                self._store.compact()
        self._votes.close()
        self._store.close()
        self._lock.release()

    def _vote(self) -> None:
        made = [vote(self._next), vote(self._next + 1)]
        self._votes.append(made)
        self._entries += made
        self._next += len(made)
        self._mark("votes", self._next)

    def _prune(self) -> None:
        self._store.write({}, sync=True)
        self._mark("certificate", self._height)
        del self._entries[:-KEPT_VOTES]
        self._votes.prune(self._entries)

    def _mark(self, what: str, number: int) -> None:
        os.write(self._marks, f"{what} {number}\n".encode())


@dataclass(frozen=True, slots=True)
class Promises:
    """What others were told is durable: so many blocks, certificates and votes."""

    block: int = 0
    certificate: int = 0
    votes: int = 0

    def after(self, operation: Operation) -> Promises:
        """Return the promises after one more operation."""
        if not operation.is_mark:
            return self
        what, number = operation.data.decode().split()
        return replace(self, **{what: max(getattr(self, what), int(number))})


def promises_of(operations: Iterable[Operation]) -> Promises:
    """Return what has been promised in the end."""
    promises = Promises()
    for operation in operations:
        promises = promises.after(operation)
    return promises


def judge(folder: Path, digests: Sequence[bytes], promises: Promises) -> None:
    """Open a home twice and check both times that it is whole and nothing promised is missing."""
    for _ in range(2):
        with open_home(folder) as home:
            height = moment(home.store, digests)
            assert height >= promises.block, f"block {promises.block} is lost, has {height}"
            certified = [key[-8:] for key, _ in home.store.scan(CERTIFICATES, CERTIFICATES + LAST)]
            assert certified == [number.to_bytes(8, "big") for number in counting(certified)]
            assert len(certified) >= promises.certificate, f"has {len(certified)} certificates"
        judge_votes(folder, promises)


def counting(items: Sequence[object]) -> range:
    """Return 1, 2, … for so many items."""
    return range(1, len(items) + 1)


def moment(store: Reader, digests: Sequence[bytes]) -> int:
    """Return after which block a store held exactly what it holds now, certificates apart."""
    found = digest(store)
    assert found in digests, "the database holds what no moment left behind"
    return digests.index(found)


def judge_votes(folder: Path, promises: Promises) -> None:
    """Open the vote log of a home and check that nothing promised is missing."""
    layout = HomeLayout(folder)
    chain_id = tagged_hash(GENESIS_TAG, layout.genesis.read_bytes())
    votes = open_vote_log(layout.votes, DiskFiles(), log_identity(chain_id, KEY))
    try:
        check_votes(votes.read(), promises.votes)
    finally:
        votes.close()


def verdicts(folder: Path, digests: Sequence[bytes], promises: Promises) -> tuple[Code, Code]:
    """Return how a damaged home's database and vote log are refused, OK for one that is not.

    A database that opens must hold what some moment left behind, though it may be an earlier one:
    what it lacks is fetched from others. A vote log that opens must hold all that was promised.
    """
    try:
        with open_home(folder) as home:
            moment(home.store, digests)
        database = Code.OK
    except StorageError as error:
        database = error.code
    try:
        judge_votes(folder, promises)
        votes = Code.OK
    except StorageError as error:
        votes = error.code
    return database, votes


def check_votes(entries: Sequence[bytes], promised: int) -> None:
    """Check that the votes are whole, in order, and reach as far as what was promised."""
    numbers = [vote_index(entry) for entry in entries]
    assert (
        numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else not promised
    )
    assert not numbers or numbers[-1] + 1 >= promised, f"vote {promised - 1} is lost"
    assert not numbers or numbers[0] <= max(0, promised - KEPT_VOTES), "votes in use were cut"


def main(arguments: Sequence[str]) -> int:
    """Do the work; 70 and the error's number on stderr when the disk refuses."""
    folder, script = map(Path, arguments)
    try:
        Work(folder, load_batches(script)[1:]).run()
    except CreditLedgerError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
