"""A damaged database rebuilt from what can still be read of it and of others (F57, F62).

`rebuild` begins with the genesis document and takes one block after the other from whichever source
has it whole: the home's own damaged database, copies of other members' homes, each perhaps damaged
elsewhere. Nothing of a source is believed. A block is executed here, the result must be the stored
header, and that header must be certified by Q members of its epoch, by its own certificate or, at
most `LOOK_AHEAD` blocks on, by one that its hash leads to. So what comes out is the chain that the
members certified, however the sources look; it ends where no source can prove the next block, and
a node fetches the rest from its peers.

`open_source` reads a copy, because an opened database changes its files, and reads on where a
careful opening would refuse: what is wrong there is found out above.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ledger.chain.certificate import Certificate, verify_certificate
from ledger.chain.header import Header
from ledger.errors import Code, CreditLedgerError, StorageError
from ledger.execution import ExecutedBlock, ExecutionCaches, execute_block, execute_genesis
from ledger.membership.epoch_state import get_epoch_set
from ledger.membership.genesis import Genesis
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore, certificate_writes
from ledger.storage.leveldb import LevelStore, salvage
from ledger.storage.store import Store

LOOK_AHEAD = 256
FLUSH_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class Source:
    """A chain to take blocks from, and its name for people."""

    name: str
    chain: ChainStore


@dataclass(slots=True)
class Rebuilt:
    """How far a chain could be rebuilt, and how many blocks each source gave.

    `reasons` says for each source why it could not give the block after `height`.
    """

    height: int = 0
    taken: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@contextmanager
def open_source(name: str, database: Path, scratch: Path) -> Iterator[Source]:
    """Open a copy of a database, as much of it as can be read; `StorageError` (6001, 6002)."""
    copy = shutil.copytree(database, scratch, ignore=shutil.ignore_patterns("LOCK"))
    try:
        store = LevelStore(copy, create=False)
    except StorageError:
        store = salvage(copy)
    try:
        yield Source(name, ChainStore(store))
    finally:
        store.close()
        shutil.rmtree(copy)


def rebuild(
    target: Store,
    genesis: Genesis,
    sources: Sequence[Source],
    progress: Callable[[int], None] = lambda _height: None,
) -> Rebuilt:
    """Fill the empty `target` from genesis on; return how far it came. Raise `StorageError`."""
    first = execute_genesis(genesis)
    target.write(first.writes, sync=True)
    done, parent = Rebuilt(), first.header
    caches = ExecutionCaches()
    order = list(sources)
    while (found := _next_block(target, parent, order, caches, done)) is not None:
        source, executed, certificate = found
        if done.reasons:
            caches = ExecutionCaches()  # they have seen a block that was not taken
        target.write(executed.writes, sync=done.height % FLUSH_BLOCKS == 0)
        if certificate is not None:
            target.write(certificate_writes(certificate), sync=False)
        parent = executed.header
        done.height = parent.height
        done.taken[source.name] = done.taken.get(source.name, 0) + 1
        # The one that had this block has the next one, most likely.
        order.sort(key=lambda item: item is not source)
        progress(done.height)
    target.write({}, sync=True)
    return done


def _next_block(
    target: Store,
    parent: Header,
    sources: Sequence[Source],
    caches: ExecutionCaches,
    done: Rebuilt,
) -> tuple[Source, ExecutedBlock, Certificate | None] | None:
    done.reasons = {}
    for source in sources:
        try:
            executed = _execute(target, parent, source.chain, caches)
            certificate = _prove(target, executed.header, sources)
        except CreditLedgerError as error:
            done.reasons[source.name] = error.message
        else:
            return source, executed, certificate
    return None


def _execute(
    target: Store, parent: Header, chain: ChainStore, caches: ExecutionCaches
) -> ExecutedBlock:
    """Execute the block after `parent` as a source has it."""
    height = parent.height + 1
    block = chain.block(height)
    if block is None:
        raise _corrupt(f"has no block {height}")
    executed = execute_block(
        target, parent, block.batch(), chain.transactions(block), caches=caches
    )
    if executed.header != block.header:
        raise _corrupt(f"block {height} does not come out as its header says")
    return executed


def _prove(target: Store, header: Header, sources: Sequence[Source]) -> Certificate | None:
    """Return the block's certificate, None when a later block's proves it; else raise."""
    members = get_epoch_set(Overlay(target))
    reason = f"nothing certifies block {header.height}"
    for source in sources:
        try:
            return _own_certificate(source.chain, header, members.keys)
        except CreditLedgerError as error:
            reason = error.message
    for source in sources:
        if _is_proved_later(source.chain, header, members.keys):
            return None
    raise _corrupt(reason)


def _own_certificate(chain: ChainStore, header: Header, keys: Sequence[bytes]) -> Certificate:
    certificate = chain.certificate(header.height)
    if certificate is None:
        raise _corrupt(f"block {header.height} has no certificate")
    if certificate.block_hash != header.hash() or certificate.epoch != header.epoch:
        raise _corrupt(f"certificate of block {header.height} is for another block")
    verify_certificate(certificate, header.chain_id, keys)
    return certificate


def _is_proved_later(chain: ChainStore, header: Header, keys: Sequence[bytes]) -> bool:
    """Tell whether hashes lead from the block to one of its epoch that is certified."""
    above = header
    for height in range(header.height + 1, header.height + 1 + LOOK_AHEAD):
        try:
            found = chain.header(height)
        except CreditLedgerError:
            return False
        if found is None or found.parent_hash != above.hash() or found.epoch != header.epoch:
            return False
        above = found
        with suppress(CreditLedgerError):
            _own_certificate(chain, above, keys)
            return True
    return False


def _corrupt(text: str) -> StorageError:
    return StorageError(Code.STORE_CORRUPT, text)
