"""A node's home: one folder that holds everything a node is, and serves one process.

    config.toml    how this node runs; written last, so a home that has it was made to the end
    genesis.bin    the genesis document; its hash is the chain id
    keys/          the node's and the member's keys and certificates
    db/            LevelDB: blocks, state, indexes; or db2/, where the file `database` says so
    votes/         the vote log of the first node key, and its guard
    votes-KEY/     the same of each later node key, made together with the key (rules 46, 47)
    evidence/      what members signed that contradicts itself (rule 50); there once there is some
    checksums      SHA-256 of genesis.bin and the keys, as `sha256sum -c` reads it
    lock           held by the process that uses the home; says its pid
    log            what the node printed, where it was started in the background

`open_home` refuses a home that is incomplete, that another process holds, or whose database belongs
to another chain than its genesis document; each refusal says what to do.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.errors import Code, LocalError, StorageError
from ledger.storage.chain_store import ChainStore
from ledger.storage.files import DiskFiles, FileSystem, file_error
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import WriteBatch
from ledger.storage.switchable import SwitchableStore, read_pointer
from ledger.storage.vote_log import (
    GUARD_NAME,
    VoteLog,
    create_vote_log,
    log_identity,
    open_vote_log,
)

NODE_KEY = "node.key"
# LevelDB may lose a batch of its log, or a table that its manifest forgot, and open without an
# error with what was written later: of a dozen tables at most, each of one buffer of 8 MiB. A
# block's batch has a kilobyte or more.
RECENT_BLOCKS = 100_000
CHECKSUMS_END = "# sha256 of the lines above: "


@dataclass(frozen=True, slots=True)
class HomeLayout:
    """Where everything lies below a home's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration, TOML."""
        return self.folder / "config.toml"

    @property
    def genesis(self) -> Path:
        """The genesis document."""
        return self.folder / "genesis.bin"

    @property
    def keys(self) -> Path:
        """The folder of keys and certificates."""
        return self.folder / "keys"

    @property
    def database(self) -> Path:
        """The folder of the database: `db`, or the other one since a state was installed."""
        return self.folder / read_pointer(self.folder)

    @property
    def votes(self) -> Path:
        """The folder of the vote log of the home's first node key."""
        return self.folder / "votes"

    def votes_of(self, node_public_key: bytes) -> Path:
        """The folder of the vote log of a node key: its own if it has one, else the first."""
        own = self.later_votes(node_public_key)
        return own if own.is_dir() else self.votes

    def later_votes(self, node_public_key: bytes) -> Path:
        """The folder of the vote log of a node key that came after the first."""
        return self.folder / f"votes-{node_public_key.hex()[:16]}"

    def node_keys(self) -> tuple[Path, ...]:
        """The files of the node's keys, of which the chain says which is in force."""
        return tuple(sorted(self.keys.glob("node*.key")))

    def vote_folders(self) -> tuple[Path, ...]:
        """The folders of all vote logs that are there."""
        found = (self.votes, *sorted(self.folder.glob("votes-*")))
        return tuple(folder for folder in found if folder.is_dir())

    @property
    def evidence(self) -> Path:
        """The folder of evidence."""
        return self.folder / "evidence"

    @property
    def checksums(self) -> Path:
        """The checksums of the files that nobody edits."""
        return self.folder / "checksums"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.folder / "lock"

    def parts(self) -> tuple[tuple[Path, str], ...]:
        """Return what a whole home has, each with its name for people."""
        return (
            (self.config, "config.toml"),
            (self.genesis, "genesis.bin"),
            (next(iter(self.node_keys()), self.keys / NODE_KEY), f"keys/{NODE_KEY}"),
            (self.database / "CURRENT", "the database db/"),
        )


def check_home(folder: Path) -> HomeLayout:
    """Return the layout of a complete home; raise `StorageError` (6103) naming what is missing.

    A home without its vote log is whole enough to follow the chain, and never votes (rule 46).
    """
    layout = HomeLayout(folder)
    missing = [words for path, words in layout.parts() if not path.exists()]
    if len(missing) == len(layout.parts()):
        raise StorageError(
            Code.HOME_INCOMPLETE, f"{folder} is no home: make one with creditledger init"
        )
    if missing:
        raise StorageError(
            Code.HOME_INCOMPLETE,
            f"home {folder} lacks {', '.join(missing)}: put it back, or let the node re-enter with "
            "creditledger member rejoin",
        )
    return layout


def create_home(
    folder: Path,
    *,
    config: str,
    genesis: bytes,
    keys: Mapping[str, bytes],
    node_public_key: bytes,
    database: WriteBatch,
) -> HomeLayout:
    """Make a home: `keys` by file name, `database` the writes of genesis (`execute_genesis`).

    Raise `StorageError` (6002, 6003), or `LocalError` (6103) when the folder holds anything.
    """
    layout, files = HomeLayout(folder), DiskFiles()
    if files.names(folder):
        raise LocalError(Code.HOME_INCOMPLETE, f"{folder} is not empty: a home needs a new folder")
    files.make_folder(layout.keys)
    for name, data in keys.items():
        _write_file(files, layout.keys / name, data)
    files.sync_folder(layout.keys)
    _write_file(files, layout.genesis, genesis)
    chain_id = tagged_hash(GENESIS_TAG, genesis)
    create_vote_log(layout.votes, files, log_identity(chain_id, node_public_key)).close()
    create_database(layout, database)
    write_checksums(layout, files)
    _write_file(files, layout.config, config.encode())
    files.sync_folder(folder)
    return layout


def create_database(layout: HomeLayout, database: WriteBatch) -> None:
    """Make a home's database of the writes of genesis; raise `StorageError` (6001 to 6003)."""
    store = LevelStore(layout.database)
    store.write(database, sync=True)
    store.close()


def add_vote_log(layout: HomeLayout, node_public_key: bytes) -> Path:
    """Make the vote log of a new node key, while the key is being made and never later (rule 46).

    Return its folder; raise `StorageError` (6002, 6003), `LocalError` (6202) where one is there.
    """
    files = DiskFiles()
    chain_id = tagged_hash(GENESIS_TAG, files.read(layout.genesis) or b"")
    folder = layout.later_votes(node_public_key)
    create_vote_log(folder, files, log_identity(chain_id, node_public_key)).close()
    files.sync_folder(layout.folder)
    return folder


def write_checksums(layout: HomeLayout, files: FileSystem) -> None:
    """Write the checksums of genesis.bin and the keys anew, as after a change of keys.

    The last line is a comment to `sha256sum` and covers the lines above it.
    """
    names = ["genesis.bin", *(f"keys/{name}" for name in files.names(layout.keys))]
    lines = "".join(
        f"{sha256(files.read(layout.folder / name) or b'').hexdigest()}  {name}\n" for name in names
    )
    last = f"{CHECKSUMS_END}{sha256(lines.encode()).hexdigest()}\n"
    _write_file(files, layout.checksums, (lines + last).encode())


def _write_file(files: FileSystem, path: Path, data: bytes) -> None:
    file = files.open(path)
    file.truncate(0)
    file.write_at(0, data)
    file.sync()
    file.close()


class HomeLock:
    """The right to use a home, until `release` or the end of the process."""

    def __init__(self, layout: HomeLayout) -> None:
        """Take the lock; raise `StorageError` (6101) with the pid of who has it."""
        try:
            self._descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise file_error(error, layout.lock) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StorageError(
                Code.HOME_LOCKED,
                f"home {layout.folder} is in use by process {holder or 'unknown'}: stop it first",
            ) from None
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            raise file_error(error, layout.lock) from None

    def release(self) -> None:
        """Give the home back; the file stays."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


@dataclass(slots=True)
class OpenHome:
    """A home in use by this process: its lock, its database, its genesis document."""

    layout: HomeLayout
    genesis: bytes
    chain_id: bytes
    store: SwitchableStore
    lock: HomeLock

    def open_votes(self, node_public_key: bytes) -> VoteLog:
        """Open the vote log of a key of this home; raise `StorageError` (6201, 6202, 6203)."""
        folder = self.layout.votes_of(node_public_key)
        if not (folder / GUARD_NAME).exists():
            raise StorageError(
                Code.VOTE_LOG_MISSING,
                f"no vote log of node key {node_public_key.hex()[:16]}… in {folder}; this key must "
                "not vote, rejoin under a new key",
            )
        identity = log_identity(self.chain_id, node_public_key)
        return open_vote_log(folder, DiskFiles(), identity)

    def close(self) -> None:
        """Close the database, then release the lock."""
        self.store.close()
        self.lock.release()

    def __enter__(self) -> OpenHome:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_home(folder: Path) -> OpenHome:
    """Lock and open a home; raise `StorageError` (6001, 6002, 6101, 6102, 6103)."""
    layout = check_home(folder)
    lock = HomeLock(layout)
    try:
        genesis = DiskFiles().read(layout.genesis) or b""
        chain_id = tagged_hash(GENESIS_TAG, genesis)
        store = SwitchableStore(layout.folder)
        try:
            _check_chain(ChainStore(store), folder, chain_id)
        except StorageError:
            store.close()
            raise
    except StorageError:
        lock.release()
        raise
    return OpenHome(layout, genesis, chain_id, store, lock)


def _check_chain(chain: ChainStore, folder: Path, chain_id: bytes) -> None:
    """Refuse a database of another chain (6102), and one that has lost anything (6001)."""
    stored = chain.chain_id()
    if stored is None:
        raise StorageError(
            Code.STORE_CORRUPT,
            f"database of {folder} holds no chain: audit it, then creditledger repair",
        )
    if stored != chain_id:
        raise StorageError(
            Code.HOME_WRONG_CHAIN,
            f"database of {folder} holds chain {stored.hex()}, genesis.bin is of chain "
            f"{chain_id.hex()}: put the right genesis document or database there",
        )
    missing = chain.missing_height(RECENT_BLOCKS)
    if missing is not None:
        raise StorageError(
            Code.STORE_CORRUPT,
            f"database of {folder} has lost block {missing}, though it holds later ones: "
            "audit it, then creditledger repair",
        )
