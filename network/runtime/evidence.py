"""Keeps what the replica finds of members that contradict themselves, and shows it (rule 50).

One file for each contradiction, HOME/evidence/HASH.evidence, written under another name, synced and
renamed, so that it is there whole or not at all. What is known already is not written again, after
a restart neither; and of each signer only `PIECES_PER_SIGNER` are kept, at most one for each
subject, because one is enough and a liar must fill neither disk nor log (rule 48). An operator who
takes files away makes room for new ones at the next start.

`accept` only queues; a worker thread writes. Evidence is no part of what a vote rests on: a disk
that does not take it is logged, and the vote log decides whether the node can go on (F54, F55).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import trio

from consensus.effects import Evidence
from consensus.evidence import (
    EvidenceRecord,
    Subject,
    decode_evidence,
    encode_evidence,
    evidence_hash,
    make_evidence,
    subject_of,
)
from ledger.chain.receipt import Validators
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, Refused, Rejected
from ledger.membership.context import Query, QueryContext, Role
from ledger.membership.members import get_validators
from ledger.storage.files import FileSystem
from ledger.transactions.fields import Fields
from network.runtime.performer import describe

PIECES_PER_SIGNER = 16
SUFFIX = ".evidence"
_TEMPORARY = ".new"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Piece:
    """One kept piece: its hash, who signed, what it is about, and the size of its file in bytes."""

    id: bytes
    signer: int
    subject: Subject
    size: int


class EvidenceStore:
    """The evidence in one folder; `pieces`, by their hashes, may be read from any thread."""

    def __init__(
        self,
        folder: Path,
        files: FileSystem,
        chain_id: bytes,
        validators: Callable[[int], Validators],
    ) -> None:
        """Read what is there; what cannot be read is logged and left alone.

        `validators` gives those of an epoch, in order: a signer is a number within its epoch.
        """
        self._folder = folder
        self._files = files
        self._chain_id = chain_id
        self._validators = validators
        self._subjects: dict[int, set[Subject]] = {}
        self._queue: list[Evidence] = []
        self._wake = trio.Event()
        self.pieces: tuple[Piece, ...] = tuple(self._read_all())
        for piece in self.pieces:
            self._subjects.setdefault(piece.signer, set()).add(piece.subject)

    def _read_all(self) -> list[Piece]:
        pieces = []
        for name in self._files.names(self._folder):
            path = self._folder / name
            if name.endswith(_TEMPORARY):
                self._files.remove(path)
            elif name.endswith(SUFFIX):
                data = self._files.read(path) or b""
                try:
                    pieces.append(_read_piece(name, data))
                except Refused as error:
                    log.warning("evidence cannot be read", file=name, **describe(error))
        return pieces

    def accept(self, found: Evidence) -> bool:
        """Queue what the replica found; tell whether it is new and there is room for it."""
        subjects = self._subjects.setdefault(found.signer, set())
        subject = subject_of(found.first)
        if subject in subjects or len(subjects) >= PIECES_PER_SIGNER:
            return False
        subjects.add(subject)
        self._queue.append(found)
        self._wake.set()
        if len(subjects) == PIECES_PER_SIGNER:
            member = self.name(subject.epoch, found.signer)
            log.warning("no more evidence is kept of this signer", member=member)
        return True

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            queue, self._queue = self._queue, []
            for found in queue:
                try:
                    piece = await trio.to_thread.run_sync(self.keep, found)
                except CreditLedgerError as error:
                    signer = self.name(found.first.epoch, found.signer)
                    log.error("evidence is not kept", member=signer, **describe(error))
                else:
                    self._log(piece)

    def _log(self, piece: Piece) -> None:
        log.error(
            "conflicting signed messages",
            signer=piece.signer,
            member=self.name(piece.subject.epoch, piece.signer),
            text=f"two {piece.subject.kind}s for {piece.subject}",
            evidence=piece.id.hex(),
        )

    def keep(self, found: Evidence) -> Piece:
        """Make a piece durable and return it; raise `StorageError` (6002, 6003)."""
        keys = [key for _, key in self._validators(found.first.epoch)]
        record = make_evidence(found, self._chain_id, keys)
        data = encode_evidence(record)
        piece = _describe_record(record, data)
        if piece not in self.pieces:
            self._write(f"{piece.id.hex()}{SUFFIX}", data)
            self.pieces = tuple(sorted((*self.pieces, piece), key=lambda item: item.id))
        return piece

    def _write(self, name: str, data: bytes) -> None:
        files, target = self._files, self._folder / name
        temporary = self._folder / f"{name}{_TEMPORARY}"
        files.make_folder(self._folder)
        files.sync_folder(self._folder.parent)
        files.remove(temporary)
        file = files.open(temporary)
        try:
            file.write_at(0, data)
            file.sync()
        finally:
            file.close()
        files.rename(temporary, target)
        files.sync_folder(self._folder)

    def read(self, piece_id: bytes) -> bytes:
        """Return the bytes of a piece; raise `Refused` (5104), `StorageError` (6002)."""
        data = self._files.read(self._folder / f"{piece_id.hex()}{SUFFIX}")
        if data is None:
            raise Refused(Code.NOT_FOUND, f"this node holds no evidence {piece_id.hex()}")
        return data

    def name(self, epoch: int, signer: int) -> str:
        """Return the id of the member that signs as number `signer` in an epoch."""
        validators = self._validators(epoch)
        return validators[signer][0] if signer < len(validators) else f"number {signer}"


def _read_piece(name: str, data: bytes) -> Piece:
    piece = _describe_record(decode_evidence(data), data)
    if name != f"{piece.id.hex()}{SUFFIX}":
        raise Refused(Code.EVIDENCE_INVALID, f"content hashes to {piece.id.hex()}")
    return piece


def _describe_record(record: EvidenceRecord, data: bytes) -> Piece:
    return Piece(evidence_hash(data), record.signer, subject_of(record.first), len(data))


def evidence_queries(store: EvidenceStore) -> Mapping[str, Query]:
    """Return the queries about `store`, for regulators and members that run a validator.

    `evidence.list` {} gives the pieces without their content, `evidence.show` {id} the bytes of
    one; both raise `Rejected` (2006, 2008), `evidence.show` also `Refused` (5104).
    """

    def query_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
        _check_may_read(context)
        Fields(params).done()
        return {"evidence": tuple(_describe(store, piece) for piece in store.pieces)}

    def query_show(context: QueryContext, params: Mapping[str, Any]) -> Value:
        _check_may_read(context)
        fields = Fields(params)
        piece_id = fields.bytes32("id")
        fields.done()
        return {"data": store.read(piece_id)}

    return {"evidence.list": query_list, "evidence.show": query_show}


def _check_may_read(context: QueryContext) -> None:
    caller = context.caller
    is_validator = caller.id in dict(get_validators(context.state))
    if caller.role is not Role.REGULATOR and not is_validator:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} is neither regulator nor validator")


def _describe(store: EvidenceStore, piece: Piece) -> Value:
    subject = piece.subject
    return {
        "id": piece.id,
        "member": store.name(subject.epoch, piece.signer),
        "kind": subject.kind,
        "epoch": subject.epoch,
        "view": subject.view,
        "height": subject.height,
        "bytes": piece.size,
    }
