"""Catching up by blocks: fetched, proved up to a certificate, executed, installed (rule 28).

A node that was down asks one member at a time for the blocks it lacks. Nothing of an answer is
believed: headers must follow the own head by parent hash and end in one that Q members certified;
transactions and their records must lead to the batch digest in the header; and the own execution
must give the very header. A member that lies or stalls is passed over, and its turn comes again
only after the others'. Serving is bounded in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from consensus import effects as fx
from consensus.config import ReplicaConfig
from consensus.epochs import EpochView
from consensus.events import BlockInstalled, Event, FetchFailed
from ledger.chain.batch import Batch
from ledger.chain.block import verify_header_follows
from ledger.chain.certificate import Certificate, decode_certificate, verify_certificate
from ledger.chain.header import Header, decode_header
from ledger.errors import Code, CreditLedgerError, Refused, RemoteError
from ledger.storage.chain_store import ChainStore
from ledger.transactions.envelope import Transaction, decode_transaction
from ledger.transactions.records import check_attachments
from network.peers import PeerNetwork
from network.runtime.holes import CertificateHoles
from network.runtime.membership import MembershipWatch
from network.wire import BLOCKS_MAX, BlockParts, Blocks, GetBlocks

ANSWER_SECONDS = 5.0
SERVE_BYTES = 4 * 1024 * 1024
ROUNDS = 3
HOLES_SECONDS = 5.0

log = structlog.get_logger()


class Installer(Protocol):
    """The part that executes blocks and keeps certificates."""

    @property
    def head(self) -> Header:
        """The header of the last executed block."""

    async def execute(
        self,
        batch: Batch,
        transactions: Sequence[Transaction],
        digests: Sequence[tuple[bytes, ...] | None],
        expected: Header | None = None,
    ) -> None:
        """Execute the next block and make it durable."""

    def keep_certificate(self, certificate: Certificate) -> None:
        """Keep a verified certificate beside its block."""


@dataclass(frozen=True, slots=True)
class FetchedBlock:
    """A block from another member, its form checked, its header not yet proved."""

    header: Header
    batch: Batch
    transactions: tuple[Transaction, ...]
    digests: tuple[tuple[bytes, ...], ...]
    certificate: Certificate | None


class CatchUp:
    """Fetches blocks for the replica and serves them to others."""

    def __init__(
        self,
        chain: ChainStore,
        membership: MembershipWatch,
        peers: PeerNetwork,
        post: Callable[[Event], None],
    ) -> None:
        self._chain = chain
        self._membership = membership
        self._peers = peers
        self._post = post
        self._installer: Installer | None = None
        self._wanted: fx.FetchBlocks | None = None
        self._wake = trio.Event()
        self._answers_in, self._answers = trio.open_memory_channel[tuple[int, Blocks]](8)
        self._asked_member: int | None = None
        self._holes = CertificateHoles(chain)
        self._fetching = trio.CancelScope()
        self._is_busy = trio.Lock()
        self.installed_count = 0

    def bind(self, installer: Installer) -> None:
        """Say who executes; once, while the node is put together."""
        self._installer = installer

    def start(self, effect: fx.FetchBlocks) -> None:
        """Fetch up to a certificate, in place of what was wanted before."""
        self._wanted = effect
        self._wake.set()

    async def stop(self) -> None:
        """End what is being fetched, between two blocks; nothing is wanted any more."""
        self._wanted = None
        self._fetching.cancel()
        async with self._is_busy:
            self._wanted = None

    def enter(self, config: ReplicaConfig) -> None:
        """Judge certificates by another epoch from now on."""
        self._config = config

    def on_blocks(self, member: int, frame: Blocks) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        if member == self._asked_member:
            try:
                self._answers_in.send_nowait((member, frame))
            except trio.WouldBlock:
                log.warning("blocks dropped", peer=member)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            with trio.move_on_after(HOLES_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            async with self._is_busy:
                with trio.CancelScope() as self._fetching:
                    # Taken within the scope: who stops it finds it wanted, or in the scope.
                    effect, self._wanted = self._wanted, None
                    if effect is not None:
                        await self._fetch(effect)
                    else:
                        await self.fill_holes()

    async def _fetch(self, effect: fx.FetchBlocks) -> None:
        target = effect.certificate.height
        for source in effect.sources * ROUNDS:
            if self._wanted is not None:
                return
            if source in self._peers.connected:
                try:
                    await self._fetch_from(source, effect)
                except RemoteError as error:
                    log.warning("catch-up source failed", peer=source, text=error.message)
            if self._head().height >= target:
                return
        self._post(FetchFailed(target))

    async def _fetch_from(self, source: int, effect: fx.FetchBlocks) -> None:
        """Fetch and install from one source until the target, or raise `RemoteError`."""
        unproved: list[FetchedBlock] = []
        while self._head().height < effect.certificate.height:
            parent = unproved[-1].header if unproved else self._head()
            first = parent.height + 1
            last = min(first + BLOCKS_MAX - 1, effect.certificate.height)
            parts = await self._ask(source, first, last)
            try:
                for part in parts:
                    block = await trio.to_thread.run_sync(_read_block, part, parent)
                    unproved.append(block)
                    parent = block.header
                count = await trio.to_thread.run_sync(
                    self._proved_count, unproved, effect.certificate
                )
            except CreditLedgerError as error:
                raise RemoteError(str(source), error.code, error.message) from None
            if count == 0 and len(unproved) > 2 * BLOCKS_MAX:
                raise RemoteError(
                    str(source), Code.CERTIFICATE_INVALID, "sends blocks without certificates"
                )
            await self._install(unproved[:count], effect.certificate)
            unproved = unproved[count:]
            if count and unproved and unproved[0].header.epoch != unproved[-1].header.epoch:
                unproved = []  # proved in turn, by the members that the installed ones have made

    async def fill_holes(self) -> None:
        """Ask the others for certificates that this node lacks of its own blocks (see `holes`)."""
        lacking = await trio.to_thread.run_sync(self._holes.find)
        for source in sorted(self._peers.connected):
            if not lacking or self._wanted is not None:
                return
            try:
                for height in lacking:
                    await self._fill_hole(source, height)
            except RemoteError as error:
                log.warning("no certificate from this source", peer=source, text=error.message)
            lacking = await trio.to_thread.run_sync(self._holes.find)

    async def _fill_hole(self, source: int, height: int) -> None:
        (part, *_) = await self._ask(source, height, height)
        if not part.certificate:
            return
        epochs = self._membership.current.epochs
        try:
            certificate = decode_certificate(part.certificate)
            if certificate.epoch != epochs.epoch or not self._holes.is_of_own_block(certificate):
                return
            chain_id = self._head().chain_id
            await trio.to_thread.run_sync(verify_certificate, certificate, chain_id, epochs.keys)
        except CreditLedgerError as error:
            raise RemoteError(str(source), error.code, error.message) from None
        self._get_installer().keep_certificate(certificate)

    async def _ask(self, source: int, first: int, last: int) -> tuple[BlockParts, ...]:
        self._asked_member = source
        try:
            self._peers.send(source, GetBlocks(first, last))
            with trio.move_on_after(ANSWER_SECONDS):
                while True:
                    member, frame = await self._answers.receive()
                    if member == source:
                        if not frame.items:
                            raise RemoteError(str(source), Code.NOT_FOUND, f"has no block {first}")
                        return frame.items
            raise RemoteError(str(source), Code.TIMED_OUT, f"sent no block {first} in time")
        finally:
            self._asked_member = None

    def _proved_count(self, blocks: Sequence[FetchedBlock], target: Certificate) -> int:
        """Return how many blocks a certificate proves, by itself or through parent hashes.

        A certificate counts here if it is of the epoch that the own chain has reached; those of
        later ones when the blocks before them are installed.
        """
        epochs = self._membership.current.epochs
        proved = 0
        for count, block in enumerate(blocks, 1):
            if block.header.height == target.height:
                if block.header.hash() != target.block_hash:
                    raise Refused(
                        Code.BLOCK_INVALID, f"block {target.height} is not the certified one"
                    )
                proved = count
            elif block.certificate is not None and block.certificate.epoch == epochs.epoch:
                if block.certificate.block_hash != block.header.hash():
                    raise Refused(
                        Code.CERTIFICATE_INVALID,
                        f"certificate of block {block.header.height} is for another block",
                    )
                verify_certificate(block.certificate, block.header.chain_id, epochs.keys)
                proved = count
        return proved

    async def _install(self, blocks: Sequence[FetchedBlock], target: Certificate) -> None:
        installer = self._get_installer()
        for block in blocks:
            await installer.execute(
                block.batch, block.transactions, block.digests, expected=block.header
            )
            is_target = block.header.height == target.height
            certificate = target if is_target else block.certificate
            if certificate is not None:
                installer.keep_certificate(certificate)
            self.installed_count += 1
            self._post(
                BlockInstalled(
                    block.header.height,
                    block.header.hash(),
                    block.header.batch_digest,
                    block.header.time_ms,
                    block.batch.transactions,
                    certificate,
                    self.get_epochs(),
                )
            )

    def get_epochs(self) -> EpochView:
        """Return who votes at the next height, as the last block commits to it."""
        return self._membership.current.view

    async def serve_blocks(self, member: int, request: GetBlocks) -> None:
        """Send the blocks that another member asked for, as many as fit."""
        items = await trio.to_thread.run_sync(self._read_parts, request)
        self._peers.send(member, Blocks(tuple(items), self._head().height))

    def _read_parts(self, request: GetBlocks) -> list[BlockParts]:
        """Return the blocks up to one that is not here, or is damaged: others may have it (F62)."""
        items: list[BlockParts] = []
        try:
            self._append_parts(request, items)
        except CreditLedgerError as error:
            log.error("a stored block is damaged", error=int(error.code), text=error.message)
        return items

    def _append_parts(self, request: GetBlocks, items: list[BlockParts]) -> None:
        size = 0
        bodiless = self._chain.bodiless_height()
        for height in range(request.first, request.last + 1):
            block = self._chain.block(height)
            # Below a snapshot the bodies are not here, so others have to be asked (rule 41); above
            # it one may have been erased from this disk (ADR 0020).
            if block is None or height <= bodiless or not self._chain.has_bodies(block):
                break
            certificate = self._chain.certificate(height)
            wires = tuple(item.encoded() for item in self._chain.transactions(block))
            size += sum(map(len, wires))
            if items and size > SERVE_BYTES:
                break
            items.append(
                BlockParts(
                    block.header.encoded(),
                    block.time_ms,
                    wires,
                    b"" if certificate is None else certificate.encoded(),
                )
            )

    def _head(self) -> Header:
        return self._get_installer().head

    def _get_installer(self) -> Installer:
        if self._installer is None:
            raise RuntimeError("catch-up is used before it is bound")
        return self._installer


def _read_block(part: BlockParts, parent: Header) -> FetchedBlock:
    """Return a block whose transactions lead to its header and which follows `parent`."""
    header = decode_header(part.header)
    verify_header_follows(header, parent)
    transactions = tuple(decode_transaction(wire) for wire in part.transactions)
    batch = Batch(header.height, part.time_ms, tuple(item.signed_hash for item in transactions))
    if batch.digest(header.chain_id) != header.batch_digest:
        raise Refused(
            Code.BLOCK_INVALID, f"transactions of block {header.height} are not the header's"
        )
    digests = tuple(check_attachments(item) for item in transactions)
    certificate = decode_certificate(part.certificate) if part.certificate else None
    return FetchedBlock(header, batch, transactions, digests, certificate)
